//! What went through the proxy: every write, in the order in which it came, and a count of the reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::watch;

use crate::fault::{Action, Fault};
use crate::write::{Key, Target};

/// One write.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Its number among the counted writes; none for those that are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u64>,
    /// Its content.
    pub key: Key,
    /// Which process of the operator sent it: 0 for the first, 1 for the first after a crash, …
    pub incarnation: u32,
    /// The API server's answer; none when it gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What was done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Action>,
    /// Seconds since the proxy started, at the answer.
    pub seconds: f64,
}

/// What has happened so far, for whoever waits.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Counted writes that came in.
    pub writes: u64,
    /// Writes on their way to the API server or back, counted or not.
    pub in_flight: u64,
    /// When the last counted write came in or was answered.
    pub last_write: Instant,
    /// The fault that has struck.
    pub struck: Option<Action>,
    /// Since when the operator's present process has been watching Stacks.
    pub watching: Option<Instant>,
}

#[derive(Debug)]
struct State {
    records: Vec<Record>,
    occurrences: BTreeMap<String, u32>,
    reads: BTreeMap<String, u64>,
    incarnation: u32,
    fault: Option<Fault>,
    progress: Progress,
}

/// The history of one run.
#[derive(Debug)]
pub struct History {
    started: Instant,
    /// Resources (as `group/resource`) whose writes are not counted.
    exempt: Vec<String>,
    file: Option<Mutex<File>>,
    state: Mutex<State>,
    told: watch::Sender<Progress>,
}

/// A write that came in.
pub(crate) struct Admitted {
    index: usize,
    /// What to do to it once it is answered.
    pub(crate) action: Option<Action>,
}

impl History {
    pub(crate) fn new(exempt: Vec<String>, fault: Option<Fault>, file: Option<File>) -> Self {
        let started = Instant::now();
        let progress =
            Progress { writes: 0, in_flight: 0, last_write: started, struck: None, watching: None };
        let state = State {
            records: Vec::new(),
            occurrences: BTreeMap::new(),
            reads: BTreeMap::new(),
            incarnation: 0,
            fault,
            progress,
        };
        Self {
            started,
            exempt,
            file: file.map(Mutex::new),
            state: Mutex::new(state),
            told: watch::Sender::new(progress),
        }
    }

    /// A write comes in: it gets its number, and perhaps its fate.
    pub(crate) fn admit(&self, target: &Target) -> Admitted {
        let counted = !self.exempt.contains(&format!("{}/{}", target.group, target.resource));
        self.change(|state| {
            let text = target.to_string();
            let occurrence = state.occurrences.entry(text.clone()).or_default();
            *occurrence += 1;
            let key = Key { target: text, occurrence: *occurrence };
            let progress = &mut state.progress;
            progress.in_flight += 1;
            let k = counted.then(|| {
                progress.writes += 1;
                progress.last_write = Instant::now();
                progress.writes
            });
            let hit = state.fault.as_ref().is_some_and(|fault| fault.trigger.means(k, &key));
            let action = if hit { state.fault.take().map(|fault| fault.action) } else { None };
            let seconds = self.started.elapsed().as_secs_f64();
            let record =
                Record { k, key, incarnation: state.incarnation, status: None, fault: action, seconds };
            state.records.push(record);
            Admitted { index: state.records.len() - 1, action }
        })
    }

    /// The API server has answered, or will not.
    pub(crate) fn answered(&self, admitted: &Admitted, status: Option<u16>) {
        let record = self.change(|state| {
            state.progress.in_flight -= 1;
            let record = &mut state.records[admitted.index];
            record.status = status;
            record.seconds = self.started.elapsed().as_secs_f64();
            if record.k.is_some() {
                state.progress.last_write = Instant::now();
            }
            record.clone()
        });
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let line = serde_json::to_string(&record).unwrap_or_default();
            if let Err(error) = writeln!(file, "{line}") {
                tracing::warn!(%error, "the history has a gap");
            }
        }
    }

    /// The fault has struck.
    pub(crate) fn struck(&self, action: Action) {
        self.change(|state| state.progress.struck = Some(action));
    }

    pub(crate) fn read(&self, target: &Target) {
        self.change(|state| {
            *state
                .reads
                .entry(format!("{} {}/{}", target.verb, target.group, target.resource))
                .or_default() += 1;
            if target.verb == "watch"
                && target.group == plinth_api::names::GROUP
                && target.resource == "stacks"
            {
                state.progress.watching.get_or_insert_with(Instant::now);
            }
        });
    }

    /// The operator gets a new process.
    pub(crate) fn reincarnate(&self) {
        self.change(|state| {
            state.incarnation += 1;
            state.progress.watching = None;
        });
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        let progress = state.progress;
        drop(state);
        self.told.send_replace(progress);
        result
    }

    /// Every write so far.
    pub fn records(&self) -> Vec<Record> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).records.clone()
    }

    /// How often each kind was read, by verb.
    pub fn reads(&self) -> BTreeMap<String, u64> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).reads.clone()
    }

    /// What has happened so far; wakes whoever waits at each change.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.told.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(resource: &str, group: &str) -> Target {
        Target {
            verb: "apply".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: Some("a".to_owned()),
            name: Some("b".to_owned()),
            subresource: None,
            passing: false,
        }
    }

    fn history(trigger: &str) -> History {
        let fault = Fault { trigger: trigger.parse().unwrap(), action: Action::Crash };
        History::new(vec!["coordination.k8s.io/leases".to_owned()], Some(fault), None)
    }

    #[test]
    fn the_lease_has_no_number() {
        let history = history("2");
        for (target, hit) in [
            (target("leases", "coordination.k8s.io"), false),
            (target("configmaps", "core"), false),
            (target("leases", "coordination.k8s.io"), false),
            (target("configmaps", "core"), true),
            (target("configmaps", "core"), false),
        ] {
            assert_eq!(history.admit(&target).action.is_some(), hit);
        }
        let numbers: Vec<_> = history.records().iter().map(|record| record.k).collect();
        assert_eq!(numbers, [None, Some(1), None, Some(2), Some(3)]);
    }

    #[test]
    fn a_content_is_hit_at_its_occurrence_only() {
        let history = history("apply core/configmaps a/b #2");
        let hits: Vec<_> =
            (0..3).map(|_| history.admit(&target("configmaps", "core")).action.is_some()).collect();
        assert_eq!(hits, [false, true, false]);
    }
}
