//! What went through the proxy: every write, in the order in which it came, and the reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::fault::{Action, Cut, Fault};
use crate::said::Said;
use crate::write::{Key, Target};

/// One write, or a read that a fault has hit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its number among the counted writes; none for those that are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u64>,
    /// Its content.
    pub key: Key,
    /// Which process of the operator sent it: 0 for the first, 1 for the first after a crash, …
    pub incarnation: u32,
    /// The answer; none when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What was done to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Action>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// Seconds since the proxy started, when it came in.
    pub came: f64,
    /// Seconds since the proxy started, at the answer.
    pub seconds: f64,
}

impl Record {
    /// Whether the API server has carried it out.
    pub fn happened(&self) -> bool {
        let asked = !matches!(self.fault, Some(Action::Error(_)));
        asked && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// One read.
#[derive(Clone, Debug, Serialize)]
pub struct Read {
    /// The text of its target.
    pub target: String,
    /// Which process of the operator sent it.
    pub incarnation: u32,
    /// Seconds since the proxy started.
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
    /// Faults that have begun.
    pub struck: u32,
    /// Until when a fault goes on.
    pub faulty_until: Option<Instant>,
    /// How often the operator was killed.
    pub crashes: u32,
    /// Since when the operator's present process has been watching Stacks.
    pub watching: Option<Instant>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    /// The request that it began at, and until when it lasts.
    begun: Option<(String, Option<Instant>)>,
}

/// What is to happen to watches.
#[derive(Clone, Debug)]
struct Order {
    fault: Fault,
    begun: String,
    until: Option<Instant>,
}

/// What a watch has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// End.
    Close,
    /// Say that what it began at is gone, and end.
    Gone,
    /// Say nothing until then.
    Hold(Instant),
    /// Say nothing until then, and break.
    Break(Instant),
}

#[derive(Debug)]
struct State {
    records: Vec<Record>,
    occurrences: BTreeMap<String, u32>,
    reads: Vec<Read>,
    incarnation: u32,
    armed: Vec<Armed>,
    orders: Vec<Order>,
    progress: Progress,
}

/// The history of one run.
#[derive(Debug)]
pub struct History {
    started: Instant,
    started_at: SystemTime,
    /// Resources (as `group/resource`) whose writes are not counted.
    exempt: Vec<String>,
    file: Option<Mutex<File>>,
    state: Mutex<State>,
    told: watch::Sender<Progress>,
    ordered: watch::Sender<usize>,
}

/// A request that came in.
pub(crate) struct Admitted {
    index: Option<usize>,
    write: bool,
    /// What to do to it.
    pub(crate) action: Option<Action>,
    /// How many orders to watches there were before.
    pub(crate) orders: usize,
}

impl History {
    pub(crate) fn new(exempt: Vec<String>, faults: Vec<Fault>, file: Option<File>) -> Self {
        let started = Instant::now();
        let progress = Progress {
            writes: 0,
            in_flight: 0,
            last_write: started,
            struck: 0,
            faulty_until: None,
            crashes: 0,
            watching: None,
        };
        let state = State {
            records: Vec::new(),
            occurrences: BTreeMap::new(),
            reads: Vec::new(),
            incarnation: 0,
            armed: faults.into_iter().map(|fault| Armed { fault, begun: None }).collect(),
            orders: Vec::new(),
            progress,
        };
        Self {
            started,
            started_at: SystemTime::now(),
            exempt,
            file: file.map(Mutex::new),
            state: Mutex::new(state),
            told: watch::Sender::new(progress),
            ordered: watch::Sender::new(0),
        }
    }

    /// A write comes in: it gets its number, and perhaps its fate.
    pub(crate) fn admit(&self, target: &Target, said: Option<Said>) -> Admitted {
        let counted = !self.exempt.contains(&format!("{}/{}", target.group, target.resource));
        self.change(|state| {
            let key = state.occur(target);
            let progress = &mut state.progress;
            progress.in_flight += 1;
            let k = counted.then(|| {
                progress.writes += 1;
                progress.last_write = Instant::now();
                progress.writes
            });
            let orders = state.orders.len();
            let (action, mark) = state.fate(k, &key, target);
            let index = Some(self.note(state, k, key, mark, said));
            Admitted { index, write: true, action, orders }
        })
    }

    /// A read comes in; it has a record only where a fault hits it.
    pub(crate) fn read(&self, target: &Target) -> Admitted {
        self.change(|state| {
            let key = state.occur(target);
            let seconds = self.started.elapsed().as_secs_f64();
            let read = Read { target: key.target.clone(), incarnation: state.incarnation, seconds };
            state.reads.push(read);
            if target.verb == "watch"
                && target.group == plinth_api::names::GROUP
                && target.resource == "stacks"
            {
                state.progress.watching.get_or_insert_with(Instant::now);
            }
            let orders = state.orders.len();
            let (action, mark) = state.fate(None, &key, target);
            let index = mark.map(|mark| self.note(state, None, key, Some(mark), None));
            Admitted { index, write: false, action, orders }
        })
    }

    fn note(
        &self,
        state: &mut State,
        k: Option<u64>,
        key: Key,
        fault: Option<Action>,
        said: Option<Said>,
    ) -> usize {
        let seconds = self.started.elapsed().as_secs_f64();
        let incarnation = state.incarnation;
        state.records.push(Record { k, key, incarnation, status: None, fault, said, came: seconds, seconds });
        state.records.len() - 1
    }

    /// There is an answer, or will be none.
    pub(crate) fn answered(&self, admitted: &Admitted, status: Option<u16>) {
        let Some(index) = admitted.index else { return };
        let record = self.change(|state| {
            if admitted.write {
                state.progress.in_flight -= 1;
            }
            let record = &mut state.records[index];
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

    /// The operator was killed.
    pub(crate) fn crashed(&self) {
        self.change(|state| state.progress.crashes += 1);
    }

    /// The operator gets a new process.
    pub(crate) fn reincarnate(&self) {
        self.change(|state| {
            state.incarnation += 1;
            state.progress.watching = None;
        });
    }

    /// What is cut off now, and until when.
    pub(crate) fn cut(&self) -> Option<(Cut, Instant)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.orders.iter().find_map(|order| match (order.fault.action, order.until) {
            (Action::Partition(cut, _), Some(until)) if now < until => Some((cut, until)),
            _ => None,
        })
    }

    /// Wakes whoever holds a watch when there is something to do for watches.
    pub(crate) fn ordered(&self) -> watch::Receiver<usize> {
        self.ordered.subscribe()
    }

    /// What a watch has to do, of the orders after the first `seen`, and of those before as far as they still last.
    pub(crate) fn turn(&self, target: &Target, seen: &mut usize, opening: bool) -> Option<Turn> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let first = *seen;
        *seen = state.orders.len();
        let mut orders = state.orders.iter().enumerate().filter(|(index, order)| {
            let lasts = order.until.is_some_and(|until| now < until);
            (*index >= first || (opening && lasts)) && order.fault.concerns(&order.begun, target)
        });
        orders.next().and_then(|(_, order)| match (order.fault.action, order.until) {
            (Action::CloseWatch, _) => Some(Turn::Close),
            (Action::Gone, _) => Some(Turn::Gone),
            (Action::HoldWatch(_), Some(until)) => Some(Turn::Hold(until)),
            (Action::Partition(..), Some(until)) => Some(Turn::Break(until)),
            _ => None,
        })
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut state);
        let (progress, orders) = (state.progress, state.orders.len());
        drop(state);
        self.told.send_replace(progress);
        self.ordered.send_if_modified(|known| std::mem::replace(known, orders) != orders);
        result
    }

    /// Every write so far, and every read that a fault has hit.
    pub fn records(&self) -> Vec<Record> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).records.clone()
    }

    /// Every read so far.
    pub fn reads(&self) -> Vec<Read> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).reads.clone()
    }

    /// When the proxy started, in seconds since 1970: the zero of what is recorded.
    pub fn started(&self) -> f64 {
        self.started_at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
    }

    /// What has happened so far; wakes whoever waits at each change.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.told.subscribe()
    }
}

impl State {
    fn occur(&mut self, target: &Target) -> Key {
        let text = target.to_string();
        let occurrence = self.occurrences.entry(text.clone()).or_default();
        *occurrence += 1;
        Key { target: text, occurrence: *occurrence }
    }

    /// What to do to a request, and what its record says of it: where a fault begins that is about watches, nothing is
    /// done to the request itself.
    fn fate(&mut self, k: Option<u64>, key: &Key, target: &Target) -> (Option<Action>, Option<Action>) {
        let now = Instant::now();
        for armed in &mut self.armed {
            let action = armed.fault.action;
            let watches = action.on_watches();
            match &armed.begun {
                None if armed.fault.trigger.means(k, key) => {
                    let seconds = armed.fault.lasts.max(action.seconds());
                    let until = seconds.map(|seconds| now + Duration::from_secs(seconds.into()));
                    armed.begun = Some((key.target.clone(), until));
                    self.progress.struck += 1;
                    self.progress.faulty_until = self.progress.faulty_until.max(until);
                    if watches || matches!(action, Action::Partition(..)) {
                        let (fault, begun) = (armed.fault.clone(), key.target.clone());
                        self.orders.push(Order { fault, begun, until });
                    }
                    return ((!watches).then_some(action), Some(action));
                }
                // What is cut off or told to watches is not asked here.
                Some((begun, Some(until)))
                    if now < *until
                        && !watches
                        && !matches!(action, Action::Partition(..))
                        && armed.fault.concerns(begun, target) =>
                {
                    return (Some(action), Some(action));
                }
                _ => {}
            }
        }
        (None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(verb: &str, resource: &str, group: &str) -> Target {
        Target {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: Some("a".to_owned()),
            name: Some("b".to_owned()),
            subresource: None,
            passing: false,
        }
    }

    fn history(faults: &[&str]) -> History {
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        History::new(vec!["coordination.k8s.io/leases".to_owned()], faults, None)
    }

    fn hit(history: &History, target: &Target) -> bool {
        history.admit(target, None).action.is_some()
    }

    #[test]
    fn the_lease_has_no_number() {
        let history = history(&["crash @ 2"]);
        let lease = target("apply", "leases", "coordination.k8s.io");
        let map = target("apply", "configmaps", "core");
        for (target, is_hit) in [(&lease, false), (&map, false), (&lease, false), (&map, true), (&map, false)]
        {
            assert_eq!(hit(&history, target), is_hit);
        }
        let numbers: Vec<_> = history.records().iter().map(|record| record.k).collect();
        assert_eq!(numbers, [None, Some(1), None, Some(2), Some(3)]);
    }

    #[test]
    fn a_content_is_hit_at_its_occurrence_only() {
        let history = history(&["crash @ apply core/configmaps a/b #2"]);
        let map = target("apply", "configmaps", "core");
        let hits: Vec<_> = (0..3).map(|_| hit(&history, &map)).collect();
        assert_eq!(hits, [false, true, false]);
    }

    #[test]
    fn a_fault_that_lasts_hits_again_and_each_of_two_faults_has_its_turn() {
        let history = history(&["error=503 for=60 @ get core/secrets a/b #2", "crash @ 1"]);
        let get = target("get", "secrets", "core");
        let hits: Vec<_> = (0..4).map(|_| history.read(&get).action.is_some()).collect();
        assert_eq!(hits, [false, true, true, true]);
        assert!(hit(&history, &target("apply", "configmaps", "core")));
        assert_eq!(history.reads().len(), 4);
        assert_eq!(history.records().len(), 4, "three reads that were hit and a write");
        assert_eq!(history.progress().borrow().struck, 2);
    }

    #[test]
    fn a_watch_obeys_what_is_ordered_after_it_began_and_what_still_lasts() {
        let history = history(&[
            "close-watch on=core/pods @ 1",
            "hold-watch=60 on=core/pods @ 2",
            "gone on=core/x @ 3",
        ]);
        let (watch, map) = (target("watch", "pods", "core"), target("apply", "configmaps", "core"));
        let mut seen = history.read(&watch).orders;
        assert_eq!(history.turn(&watch, &mut seen, true), None);
        assert!(!hit(&history, &map), "a fault of watches does nothing to the write");
        assert_eq!(history.turn(&watch, &mut seen, false), Some(Turn::Close));
        assert_eq!(history.turn(&watch, &mut seen, false), None, "once");
        history.admit(&map, None);
        history.admit(&map, None);
        assert!(matches!(history.turn(&watch, &mut seen, false), Some(Turn::Hold(_))));
        let mut later = history.read(&watch).orders;
        assert!(matches!(history.turn(&watch, &mut later, true), Some(Turn::Hold(_))), "it still lasts");
        assert!(history.cut().is_none());
    }

    #[test]
    fn a_partition_is_a_cut_for_everyone() {
        let history = history(&["partition-answers=60 @ 1"]);
        assert_eq!(
            history.admit(&target("apply", "configmaps", "core"), None).action,
            Some(Action::Partition(Cut::Answers, 60))
        );
        assert!(matches!(history.cut(), Some((Cut::Answers, _))));
        let watch = target("watch", "pods", "core");
        assert!(matches!(history.turn(&watch, &mut 0, true), Some(Turn::Break(_))));
    }
}
