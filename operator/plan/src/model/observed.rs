//! What is: the state of the hub and of every other cluster, as far as watches and reads can tell. Pure data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use plinth_api::condition::Reason;
use plinth_api::names;
use serde_json::Value;

use super::{Inventory, ObjectKey, UnitId};
use crate::certificates::Pointed;

/// What is, as far as the watches and reads can tell: on the hub, and in `elsewhere` on the other clusters.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Live objects: those that carry the Stack's labels and every planned key that was looked up.
    pub live: BTreeMap<ObjectKey, Live>,
    /// What the inventories list, by block.
    pub inventory: BTreeMap<String, Inventory>,
    /// Pods by component: what workload objects do not tell (crash loops, image pulls, scheduling).
    pub pods: BTreeMap<UnitId, Vec<PodBrief>>,
    /// Kinds (`apiVersion`, `kind`) that the cluster does not serve.
    pub missing_kinds: BTreeSet<(String, String)>,
    /// Last failure to write an object, cleared by a success.
    pub failures: BTreeMap<ObjectKey, Failure>,
    /// The cluster does not answer, and why. What else is said of it is then what was seen last.
    pub unreachable: Option<String>,
    /// Steps of onboarding that a person has said yes to, as [`Unit::step_id`] names them.
    pub approved_steps: BTreeSet<String>,
    /// Nodes are simulated.
    pub simulated: bool,
    /// When the first certificate ends of each object that is pointed to and holds one, in seconds since the Unix epoch.
    pub ends: BTreeMap<Pointed, i64>,
    /// Seconds since the Unix epoch, from the injected clock.
    pub now: i64,
    /// The same of each WorkloadCluster that the Stack has to do with, by its name.
    pub elsewhere: BTreeMap<String, Observed>,
}

/// A cluster that nobody has looked at yet.
static UNSEEN: LazyLock<Observed> = LazyLock::new(|| Observed {
    unreachable: Some("nobody has looked at it yet".to_owned()),
    ..Observed::default()
});

impl Observed {
    /// What is on one cluster; `None` is the hub.
    pub fn on(&self, cluster: Option<&str>) -> &Observed {
        cluster.map_or(self, |cluster| self.elsewhere.get(cluster).unwrap_or(&UNSEEN))
    }

    /// Every cluster, the hub first.
    pub fn clusters(&self) -> impl Iterator<Item = (Option<&str>, &Observed)> {
        let elsewhere = self.elsewhere.iter().map(|(name, observed)| (Some(name.as_str()), observed));
        [(None, self)].into_iter().chain(elsewhere)
    }

    /// That it does not answer, in one line that names it; nothing when it does.
    pub fn silence(&self, cluster: Option<&str>) -> Option<String> {
        let why = self.unreachable.as_ref()?;
        Some(match cluster {
            None => format!("the cluster does not answer: {why}"),
            Some(cluster) => format!("WorkloadCluster {cluster} does not answer: {why}"),
        })
    }

    /// It does not answer, and nothing was ever seen of it.
    pub fn is_blind(&self) -> bool {
        self.unreachable.is_some() && self.live.is_empty()
    }
}

/// A live object.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// uid: the precondition of a delete.
    pub uid: String,
    /// Seconds since the Unix epoch of its creation.
    pub created: i64,
    /// Seconds since the Unix epoch of Plinth's last change to it (the time in managedFields): a start-up budget runs
    /// again from there.
    pub applied: Option<i64>,
    /// A delete is under way.
    pub deleting: bool,
    /// The object without managedFields. A Secret's values are never here: its `data` maps each key to null.
    pub body: Arc<Value>,
}

impl Live {
    /// Digest of what was applied last, from the annotation.
    pub fn applied_hash(&self) -> Option<&str> {
        self.body.pointer("/metadata/annotations/plinth.dev~1desired-hash").and_then(Value::as_str)
    }

    /// When something in a Secret is due to be made anew, from the annotation.
    pub fn renew_at(&self) -> Option<Timestamp> {
        self.noted(names::ANNOTATION_RENEW_AT)
    }

    /// When the first certificate in a Secret ends, from the annotation.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.noted(names::ANNOTATION_EXPIRES_AT)
    }

    fn noted(&self, annotation: &str) -> Option<Timestamp> {
        self.body.pointer("/metadata/annotations")?.get(annotation)?.as_str()?.parse().ok()
    }
}

/// A pod in the words of the person on duty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodBrief {
    /// Pod name.
    pub name: String,
    /// Ready condition.
    pub ready: bool,
    /// What keeps it: a waiting or terminated reason (CrashLoopBackOff, ImagePullBackOff, Unschedulable, OOMKilled).
    pub trouble: Option<String>,
    /// Kubernetes' message to it.
    pub message: Option<String>,
    /// Restarts of its containers.
    pub restarts: u32,
    /// Its containers have ended for good.
    pub finished: bool,
}

/// A failed write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Conflict, NamespaceTaken, KindMissing, Denied, Invalid, SecretMissing, Waiting or ApplyFailed.
    pub reason: Reason,
    /// What happened, naming manager and field for a conflict.
    pub message: String,
    /// Hash of the desired object that failed: an unchanged one is not tried again before `retry_at`.
    pub hash: String,
    /// Seconds since the Unix epoch.
    pub retry_at: i64,
}
