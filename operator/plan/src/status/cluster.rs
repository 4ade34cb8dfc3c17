//! What is said of a `WorkloadCluster`. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use plinth_api::condition::{self, Reason, Verdict};
use plinth_api::v1alpha1::cluster::{Capacity, ClusterClaim};
use plinth_api::{WorkloadCluster, WorkloadClusterStatus, names};

use super::{listed, merged, verdict};

/// What is known of a cluster by asking it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSeen {
    /// Its version of Kubernetes.
    pub version: Option<String>,
    /// What its nodes have to give.
    pub capacity: Option<Capacity>,
    /// What is installed on it, by name.
    pub capabilities: Option<Vec<String>>,
}

/// How a look at a cluster ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It answers. `trouble` is what is wrong with its credentials all the same: what was read before is still used.
    Answers {
        /// What it said.
        seen: ClusterSeen,
        /// What a person has to mend.
        trouble: Option<(Reason, String)>,
    },
    /// It does not answer.
    Silent {
        /// What happened.
        why: String,
        /// When it answered last, as far as this process knows.
        last: Option<Time>,
    },
    /// Nobody can ask it before a person has mended something.
    Unusable {
        /// In a word.
        reason: Reason,
        /// What, and what to do.
        why: String,
    },
}

/// Status of a `WorkloadCluster` after a look at it. Written when something changes, never for a heartbeat alone. Claims are
/// the word of the Stacks, and left out.
pub fn workload_cluster(
    cluster: &WorkloadCluster,
    claims: &[ClusterClaim],
    looked: Looked,
    now: &Time,
) -> WorkloadClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation.unwrap_or_default();
    let conditions = merged(verdicts(cluster, claims, &looked), &before.conditions, generation, now);
    let moved = reachable(&conditions) != reachable(&before.conditions);
    let (seen, last) = match looked {
        Looked::Answers { seen, .. } => (seen, Some(now.clone())),
        Looked::Silent { last, .. } => (ClusterSeen::default(), last),
        Looked::Unusable { .. } => (ClusterSeen::default(), None),
    };
    WorkloadClusterStatus {
        observed_generation: Some(generation),
        conditions,
        version: seen.version.or(before.version),
        capacity: seen.capacity.or(before.capacity),
        capabilities: seen.capabilities.or(before.capabilities),
        last_seen: last.filter(|_| moved).or(before.last_seen),
        claims: Vec::new(),
    }
}

fn reachable(conditions: &[Condition]) -> Option<&str> {
    let found = conditions.iter().find(|condition| condition.type_ == condition::REACHABLE);
    found.map(|condition| condition.status.as_str())
}

fn verdicts(cluster: &WorkloadCluster, claims: &[ClusterClaim], looked: &Looked) -> Vec<Verdict> {
    let ready = |status, reason, why: String| verdict(condition::READY, status, reason, why);
    let reachable = |status, reason, why: String| verdict(condition::REACHABLE, status, reason, why);
    match looked {
        Looked::Answers { trouble, .. } => vec![
            match (going(cluster, claims), trouble) {
                (Some(waits), _) => ready(Some(false), Reason::InUse, waits),
                (None, Some((reason, why))) => ready(Some(false), *reason, why.clone()),
                (None, None) => ready(Some(true), Reason::AllReady, "blocks can run on it".to_owned()),
            },
            reachable(Some(true), Reason::Answers, "it answers".to_owned()),
        ],
        Looked::Silent { why, .. } => {
            let (reason, expected) = match cluster.spec.expected_offline {
                true => (Reason::ExpectedOffline, ", as is expected of it (spec.expectedOffline)"),
                false => (Reason::Unreachable, ""),
            };
            let why = format!("it does not answer{expected}: {why}{}", held(claims));
            let waits = going(cluster, claims).map(|waits| format!("{waits}; {why}"));
            vec![
                ready(None, reason, waits.unwrap_or_else(|| why.clone())),
                reachable(Some(false), reason, why),
            ]
        }
        Looked::Unusable { reason, why } => vec![
            ready(
                Some(false),
                *reason,
                going(cluster, claims).map_or(why.clone(), |waits| format!("{waits}; {why}")),
            ),
            reachable(Some(false), *reason, why.clone()),
        ],
    }
}

/// What is on it, for whoever reads that it does not answer.
fn held(claims: &[ClusterClaim]) -> String {
    match claims {
        [] => String::new(),
        claims => format!("; what runs on it is left alone: {}", listed(&words(claims))),
    }
}

fn words(claims: &[ClusterClaim]) -> Vec<String> {
    let said = |claim: &ClusterClaim| {
        let waiting = claim.standby.iter().map(|block| format!("{block} (standing by)"));
        let all: Vec<String> = claim.blocks.iter().cloned().chain(waiting).collect();
        format!("{} of Stack {}", all.join(", "), claim.stack)
    };
    claims.iter().map(said).collect()
}

/// What a deletion waits for, and the way to give up what cannot be reached any more.
fn going(cluster: &WorkloadCluster, claims: &[ClusterClaim]) -> Option<String> {
    cluster.metadata.deletion_timestamp.as_ref().filter(|_| !claims.is_empty())?;
    Some(format!(
        "is being deleted and waits for what runs on it: {}. Delete or move that first; to give it up for good, and leave it where \
         it is, take the finalizer {} off this object",
        listed(&words(claims)),
        names::FINALIZER
    ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use plinth_api::WorkloadClusterSpec;

    use super::*;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn site(expected_offline: bool) -> WorkloadCluster {
        let mut site =
            WorkloadCluster::new("site-a", WorkloadClusterSpec { expected_offline, ..Default::default() });
        site.metadata.generation = Some(1);
        site
    }

    fn answers() -> Looked {
        let seen = ClusterSeen { version: Some("v1.37.2".to_owned()), ..ClusterSeen::default() };
        Looked::Answers { seen, trouble: None }
    }

    fn silent() -> Looked {
        Looked::Silent { why: "connection refused".to_owned(), last: Some(at(90)) }
    }

    fn claims() -> Vec<ClusterClaim> {
        vec![ClusterClaim {
            stack: "small".to_owned(),
            blocks: vec!["identity".to_owned()],
            standby: vec!["wallet".to_owned()],
        }]
    }

    fn said<'a>(status: &'a WorkloadClusterStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
        let found = status.conditions.iter().find(|c| c.type_ == kind).unwrap();
        (&found.status, &found.reason, &found.message)
    }

    #[test]
    fn a_heartbeat_alone_changes_nothing() {
        let mut site = site(false);
        let first = workload_cluster(&site, &[], answers(), &at(10));
        assert_eq!(first.last_seen, Some(at(10)));
        site.status = Some(first.clone());
        assert_eq!(workload_cluster(&site, &[], answers(), &at(25)), first);
    }

    #[test]
    fn silence_is_unknown_and_names_what_is_left_there() {
        let mut site = site(false);
        site.status = Some(workload_cluster(&site, &[], answers(), &at(10)));
        let told = workload_cluster(&site, &claims(), silent(), &at(100));
        let (status, reason, message) = said(&told, "Ready");
        assert_eq!((status, reason), ("Unknown", "Unreachable"));
        assert!(
            message.contains("connection refused")
                && message.contains("identity, wallet (standing by) of Stack small"),
            "{message}"
        );
        assert_eq!(said(&told, "Reachable").0, "False");
        assert_eq!(told.last_seen, Some(at(90)), "when it answered last, not when that was noticed");
        assert_eq!(told.version.as_deref(), Some("v1.37.2"), "what it was is not forgotten");
        site.status = Some(told.clone());
        assert_eq!(workload_cluster(&site, &claims(), silent(), &at(130)), told);
    }

    #[test]
    fn silence_that_is_expected_is_no_alarm() {
        let told = workload_cluster(&site(true), &[], silent(), &at(100));
        let (status, reason, message) = said(&told, "Reachable");
        assert_eq!((status, reason), ("False", "ExpectedOffline"));
        assert!(message.contains("expectedOffline"), "{message}");
    }

    #[test]
    fn a_deletion_says_what_it_waits_for_and_how_to_give_up() {
        let mut site = site(false);
        site.metadata.deletion_timestamp = Some(at(5));
        let told = workload_cluster(&site, &claims(), answers(), &at(10));
        let (status, reason, message) = said(&told, "Ready");
        assert_eq!((status, reason), ("False", "InUse"));
        assert!(
            message.contains("identity, wallet (standing by) of Stack small")
                && message.contains(names::FINALIZER),
            "{message}"
        );
    }

    #[test]
    fn missing_credentials_are_said_although_the_old_ones_still_work() {
        let trouble = Some((Reason::CredentialsMissing, "Secret gov/site-a is gone: restore it".to_owned()));
        let told = workload_cluster(
            &site(false),
            &[],
            Looked::Answers { seen: ClusterSeen::default(), trouble },
            &at(10),
        );
        assert_eq!(said(&told, "Ready").1, "CredentialsMissing");
        assert_eq!(said(&told, "Reachable").0, "True");
    }
}
