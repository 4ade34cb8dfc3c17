//! What every reconcile needs, handed in once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use plinth_api::{Product, StackSpec, WorkloadCluster};
use plinth_plan::catalogue::Catalogues;
use plinth_plan::model::{Finding, Plan, StackId};
use plinth_runtime::apply::{Applier, Failures};
use plinth_runtime::call::CallError;
use plinth_runtime::clusters::{ClusterId, Clusters};
use plinth_runtime::events::{Events, Transition};
use plinth_runtime::lease::Fence;
use plinth_runtime::metrics::Metrics;
use plinth_runtime::observe::agencies::Agencies;
use plinth_runtime::status::StatusWriter;
use tokio_util::task::TaskTracker;

use super::certificates::Certificates;
use super::claims::Claimed;
use super::cluster::{Attended, Rhythm};
use super::documents::Documents;
use super::lanes::Lanes;
use super::sandbox::Sandboxes;
use super::trace::Change;

/// Shared by the controllers.
pub struct Context {
    /// The hub and the other clusters.
    pub clusters: Clusters,
    /// What WorkloadClusters say.
    pub sites: Store<DeserializeGuard<WorkloadCluster>>,
    /// What is remembered of them.
    pub attended: Attended,
    /// How often they are asked whether they answer.
    pub rhythm: Rhythm,
    /// What is under way on other clusters than the hub.
    pub errands: TaskTracker,
    /// Asked before every write.
    pub fence: Fence,
    /// The only writer of objects on the hub.
    pub applier: Applier,
    /// Writes status.
    pub status: StatusWriter,
    /// Publishes events, by [`Self::publish`].
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// The catalogues that this version carries.
    pub catalogues: Arc<Catalogues>,
    /// The user's own products.
    pub products: Store<DeserializeGuard<Product>>,
    /// What agencies have declared.
    pub agencies: Agencies,
    /// What agencies' objects point to.
    pub documents: Documents,
    /// When certificates end that Stacks point to.
    pub certificates: Certificates,
    /// What is known of Sandboxes.
    pub sandboxes: Sandboxes,
    /// What is remembered between two reconciles of a Stack.
    pub stacks: Mutex<HashMap<StackId, Arc<tokio::sync::Mutex<Memory>>>>,
}

/// What is remembered of a Stack. All of it can be made again; losing it costs time only.
#[derive(Default)]
pub struct Memory {
    /// The last plan, and what it was made from.
    pub plan: Option<Planned>,
    /// The spec that was approved last, and what came of it; kept while a newer one waits for its approval.
    pub approved: Option<Approved>,
    /// Hash of the approved plan whose spec is known to be kept.
    pub kept: Option<String>,
    /// What failed on the hub and when to try again.
    pub failures: Failures,
    /// What is under way on other clusters.
    pub lanes: Lanes,
    /// The change that is followed.
    pub(super) change: Change,
}

/// A spec that somebody has said yes to.
pub struct Approved {
    /// Hash of its plan, as it was approved.
    pub hash: String,
    /// The spec; `None` where it was not kept, or is not what was approved.
    pub spec: Option<StackSpec>,
    /// Its last plan.
    pub plan: Option<Planned>,
}

/// A plan or what kept it from being made.
pub struct Planned {
    /// Generation of the Stack and digest of the inputs.
    pub made_from: (i64, u64),
    /// The plan, or every finding.
    pub result: Result<Arc<Plan>, Vec<Finding>>,
}

impl Context {
    /// The memory of a Stack.
    pub fn memory(&self, stack: &StackId) -> Arc<tokio::sync::Mutex<Memory>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).entry(stack.clone()).or_default().clone()
    }

    /// The plan that a Stack runs by, where it is valid: what was approved last while a newer one waits.
    pub async fn plan(&self, stack: &StackId) -> Option<Arc<Plan>> {
        let memory = self.memory(stack);
        let memory = memory.lock().await;
        let approved = memory.approved.as_ref().and_then(|approved| approved.plan.as_ref());
        let running = approved.or(memory.plan.as_ref());
        running.and_then(|planned| planned.result.as_ref().ok().cloned())
    }

    /// The WorkloadClusters of a namespace. One that is not understood is as good as none, and stops nobody else.
    pub fn workload_clusters(&self, namespace: &str) -> Vec<WorkloadCluster> {
        let all = self.sites.state().into_iter().filter_map(|guard| guard.0.as_ref().ok().cloned());
        all.filter(|cluster| cluster.namespace().as_deref() == Some(namespace)).collect()
    }

    /// A WorkloadCluster, where there is one that is understood.
    pub fn workload_cluster(&self, namespace: &str, name: &str) -> Option<WorkloadCluster> {
        self.sites.get(&ObjectRef::new(name).within(namespace))?.0.as_ref().ok().cloned()
    }

    /// Blocks of a Stack that are claimed to be on a cluster.
    pub(super) fn claimed(&self, (namespace, name): &ClusterId, stack: &str) -> Claimed {
        let cluster = self.workload_cluster(namespace, name);
        cluster.map(|cluster| Claimed::of(&cluster, stack)).unwrap_or_default()
    }

    /// The hand that writes to a cluster; `None` is the hub.
    ///
    /// # Errors
    /// It has not answered yet.
    pub fn hand(&self, stack: &StackId, cluster: Option<&str>) -> Result<Applier, CallError> {
        let Some(name) = cluster else { return Ok(self.applier.clone()) };
        let hand = self.clusters.get(&stack.namespace, name);
        hand.ok_or_else(|| CallError::Lost(format!("WorkloadCluster {name} has not answered yet")))
    }

    /// Tells in events what changed. Not in a namespace on its way out: that takes nothing new from anybody.
    pub(super) async fn publish(&self, about: &ObjectReference, changed: Vec<Transition>) {
        let namespace = about.namespace.as_deref().unwrap_or_default();
        if !self.agencies.is_ending(namespace) && !self.sandboxes.is_ending(namespace) {
            self.events.publish(about, changed).await;
        }
    }

    /// Wakes the Stacks of a namespace: a cluster beside them has changed.
    pub fn wake(&self, namespace: &str) {
        let stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        let triggers = self.clusters.home().observer.triggers();
        stacks
            .keys()
            .filter(|stack| stack.namespace == namespace)
            .for_each(|stack| triggers.poke(stack.clone()));
    }

    /// Forgets a Stack that is gone.
    pub fn forget(&self, stack: &StackId) {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).remove(stack);
        self.status.forget(stack);
        self.metrics.forget(stack);
    }
}

/// The time in whole seconds, as Kubernetes keeps it: a finer one would never compare equal to what comes back.
pub fn now() -> (i64, Time) {
    let seconds = k8s_openapi::jiff::Timestamp::now().as_second();
    (seconds, Time(k8s_openapi::jiff::Timestamp::from_second(seconds).unwrap_or_default()))
}
