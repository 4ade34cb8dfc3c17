//! Numbers of each Stack, as its status has them. Few series a Stack, whatever it holds: conditions, and counts by state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use plinth_api::condition::{self, State};
use plinth_api::v1alpha1::stack::CertificateSource;
use plinth_plan::model::StackId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Every state, so that one that nothing is in any more is 0 and not the last number.
const STATES: [State; 12] = [
    State::Ready,
    State::Absent,
    State::Waiting,
    State::OutOfDate,
    State::Drifted,
    State::Conflicted,
    State::Progressing,
    State::Unhealthy,
    State::Blocked,
    State::Orphaned,
    State::Unreachable,
    State::Suspended,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StackLabels {
    namespace: String,
    stack: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SourceLabels {
    namespace: String,
    stack: String,
    source: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    stack: String,
    condition: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    namespace: String,
    stack: String,
    cluster: String,
    state: String,
}

/// What is known of a Stack at the end of a reconcile.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// Cluster and state of each block.
    pub blocks: Vec<(String, State)>,
    /// Cluster and state of each part of a block, as it was decided about last.
    pub parts: Vec<(String, State)>,
    /// Plans and steps that wait for a yes.
    pub approvals: usize,
    /// When the first of its certificates is to be made anew, in seconds since the Unix epoch.
    pub renewal: Option<i64>,
    /// When the first of its certificates ends, by who brings the next one.
    pub ends: BTreeMap<CertificateSource, i64>,
}

/// What was shown of a Stack: taken away when it is gone.
#[derive(Clone, Debug, Default)]
struct Shown {
    conditions: BTreeSet<String>,
    clusters: BTreeSet<String>,
}

/// Metrics with the name of a Stack in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stacks {
    conditions: Family<ConditionLabels, Gauge>,
    since: Family<StackLabels, Gauge>,
    blocks: Family<StateLabels, Gauge>,
    parts: Family<StateLabels, Gauge>,
    approvals: Family<StackLabels, Gauge>,
    renewals: Family<StackLabels, Gauge>,
    ends: Family<SourceLabels, Gauge>,
    shown: Arc<Mutex<BTreeMap<StackId, Shown>>>,
}

impl Stacks {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "stack_condition",
            "A condition of a Stack: 1 True, 0 False, -1 Unknown",
            self.conditions.clone(),
        );
        registry.register(
            "stack_ready_transition_timestamp_seconds",
            "When the Ready condition of a Stack changed last, in seconds since the Unix epoch",
            self.since.clone(),
        );
        registry.register("blocks", "Blocks of a Stack, by cluster and state", self.blocks.clone());
        registry.register(
            "parts",
            "Components, steps and other parts of blocks, by cluster and state",
            self.parts.clone(),
        );
        registry.register(
            "approvals_waiting",
            "Plans and steps that wait for a person's yes",
            self.approvals.clone(),
        );
        registry.register(
            "certificate_renewal_timestamp_seconds",
            "When the first certificate of a Stack is due to be made anew, in seconds since the Unix epoch",
            self.renewals.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the first certificate of a Stack ends, in seconds since the Unix epoch, by who brings the next one",
            self.ends.clone(),
        );
    }

    pub fn show(&self, id: &StackId, sight: &Sight) {
        let mut all = self.lock();
        let shown = all.entry(id.clone()).or_default();
        let labels = of(id);
        for condition in &sight.conditions {
            let value = match condition.status.as_str() {
                "True" => 1,
                "False" => 0,
                _ => -1,
            };
            self.conditions.get_or_create(&condition_labels(id, &condition.type_)).set(value);
            shown.conditions.insert(condition.type_.clone());
            if condition.type_ == condition::READY {
                self.since.get_or_create(&labels).set(condition.last_transition_time.0.as_second());
            }
        }
        // A condition that nobody speaks of any more is not what it was.
        let spoken: BTreeSet<&str> = sight.conditions.iter().map(|c| c.type_.as_str()).collect();
        shown.conditions.retain(|condition| {
            let stays = spoken.contains(condition.as_str());
            if !stays {
                self.conditions.remove(&condition_labels(id, condition));
            }
            stays
        });
        shown.clusters.extend(sight.blocks.iter().chain(&sight.parts).map(|(cluster, _)| cluster.clone()));
        for (family, states) in [(&self.blocks, &sight.blocks), (&self.parts, &sight.parts)] {
            for cluster in &shown.clusters {
                for state in STATES {
                    let count = states.iter().filter(|(on, is)| on == cluster && *is == state).count();
                    family.get_or_create(&state_labels(id, cluster, state)).set(number(count));
                }
            }
        }
        self.approvals.get_or_create(&labels).set(number(sight.approvals));
        match sight.renewal {
            Some(at) => drop(self.renewals.get_or_create(&labels).set(at)),
            None => drop(self.renewals.remove(&labels)),
        }
        for source in CertificateSource::ALL {
            match sight.ends.get(&source) {
                Some(at) => drop(self.ends.get_or_create(&source_labels(id, source)).set(*at)),
                None => drop(self.ends.remove(&source_labels(id, source))),
            }
        }
    }

    pub fn forget(&self, id: &StackId) {
        if let Some(shown) = self.lock().remove(id) {
            self.take_away(id, &shown);
        }
    }

    pub fn forget_all(&self) {
        for (id, shown) in std::mem::take(&mut *self.lock()) {
            self.take_away(&id, &shown);
        }
    }

    fn take_away(&self, id: &StackId, shown: &Shown) {
        for condition in &shown.conditions {
            self.conditions.remove(&condition_labels(id, condition));
        }
        for cluster in &shown.clusters {
            for state in STATES {
                self.blocks.remove(&state_labels(id, cluster, state));
                self.parts.remove(&state_labels(id, cluster, state));
            }
        }
        let labels = of(id);
        self.since.remove(&labels);
        self.approvals.remove(&labels);
        self.renewals.remove(&labels);
        for source in CertificateSource::ALL {
            self.ends.remove(&source_labels(id, source));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<StackId, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(id: &StackId) -> StackLabels {
    StackLabels { namespace: id.namespace.clone(), stack: id.name.clone() }
}

fn source_labels(id: &StackId, source: CertificateSource) -> SourceLabels {
    SourceLabels { namespace: id.namespace.clone(), stack: id.name.clone(), source: source.as_str() }
}

fn condition_labels(id: &StackId, condition: &str) -> ConditionLabels {
    ConditionLabels {
        namespace: id.namespace.clone(),
        stack: id.name.clone(),
        condition: condition.to_owned(),
    }
}

fn state_labels(id: &StackId, cluster: &str, state: State) -> StateLabels {
    StateLabels {
        namespace: id.namespace.clone(),
        stack: id.name.clone(),
        cluster: cluster.to_owned(),
        state: state.to_string(),
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::metrics::text;

    fn id() -> StackId {
        StackId { namespace: "dpi".to_owned(), name: "small".to_owned() }
    }

    fn is(kind: &str, status: &str) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: "Because".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(k8s_openapi::jiff::Timestamp::from_second(1_700_000_000).unwrap()),
        }
    }

    fn registered() -> (Registry, Stacks) {
        let (mut registry, stacks) = (Registry::with_prefix("plinth"), Stacks::default());
        stacks.register(&mut registry);
        (registry, stacks)
    }

    #[test]
    fn a_state_that_nothing_is_in_any_more_is_zero() {
        let (registry, stacks) = registered();
        let home = |state| ("home".to_owned(), state);
        let mut sight =
            Sight { blocks: vec![home(State::Progressing), home(State::Ready)], ..Sight::default() };
        stacks.show(&id(), &sight);
        sight.blocks = vec![home(State::Ready), home(State::Ready)];
        stacks.show(&id(), &sight);
        let text = text(&registry);
        let series = |state: &str, count: u32| {
            format!(
                "plinth_blocks{{namespace=\"dpi\",stack=\"small\",cluster=\"home\",state=\"{state}\"}} {count}\n"
            )
        };
        assert!(text.contains(&series("Ready", 2)) && text.contains(&series("Progressing", 0)), "{text}");
    }

    #[test]
    fn conditions_are_numbers_and_one_that_ends_is_gone() {
        let (registry, stacks) = registered();
        let mut sight =
            Sight { conditions: vec![is("Ready", "Unknown"), is("Drifted", "True")], ..Sight::default() };
        stacks.show(&id(), &sight);
        let said = text(&registry);
        assert!(
            said.contains("condition=\"Ready\"} -1\n") && said.contains("condition=\"Drifted\"} 1\n"),
            "{said}"
        );
        assert!(
            said.contains("transition_timestamp_seconds{namespace=\"dpi\",stack=\"small\"} 1700000000\n"),
            "{said}"
        );
        sight.conditions.pop();
        stacks.show(&id(), &sight);
        assert!(!text(&registry).contains("Drifted\"}"), "{}", text(&registry));
    }

    #[test]
    fn nothing_is_left_of_a_stack_that_is_gone() {
        let (registry, stacks) = registered();
        let empty = text(&registry);
        let sight = Sight {
            conditions: vec![is("Ready", "True")],
            blocks: vec![("home".to_owned(), State::Ready)],
            parts: vec![("north".to_owned(), State::Waiting)],
            approvals: 1,
            renewal: Some(1_800_000_000),
            ends: [(CertificateSource::Supplied, 1_800_000_000)].into(),
        };
        stacks.show(&id(), &sight);
        let ends =
            "expiry_timestamp_seconds{namespace=\"dpi\",stack=\"small\",source=\"supplied\"} 1800000000\n";
        assert!(text(&registry).contains(ends), "{}", text(&registry));
        stacks.forget(&id());
        assert_eq!(text(&registry), empty);
        stacks.show(&id(), &sight);
        stacks.forget_all();
        assert_eq!(text(&registry), empty);
    }
}
