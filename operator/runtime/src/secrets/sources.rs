//! Which cluster the Secrets of a namespace are on. A value is read from where it was born, and copied to nobody but who
//! declares that it needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use plinth_api::condition::Reason;
use plinth_plan::model::Plan;

use crate::apply::classify::Trouble;
use crate::clusters::Cluster;

/// The clusters of one Stack.
#[derive(Clone)]
pub struct Sources {
    hub: Arc<Cluster>,
    others: BTreeMap<String, Option<Arc<Cluster>>>,
    /// The cluster of each namespace that is not on the hub.
    places: BTreeMap<String, String>,
}

impl Sources {
    /// Everything is on the hub.
    pub fn hub(hub: Arc<Cluster>) -> Self {
        Self { hub, others: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Namespaces as `plan` places them; `others` are the clusters that have answered, by name.
    pub fn of_plan(hub: Arc<Cluster>, plan: &Plan, others: impl Fn(&str) -> Option<Arc<Cluster>>) -> Self {
        let mut sources = Self::hub(hub);
        for block in &plan.blocks {
            let (Some(cluster), Some(namespace)) = (&block.cluster, &block.namespace) else { continue };
            sources.others.entry(cluster.clone()).or_insert_with(|| others(cluster));
            sources.places.insert(namespace.clone(), cluster.clone());
        }
        sources
    }

    /// The cluster that the Secrets of a namespace are on.
    ///
    /// # Errors
    /// It has not answered yet.
    pub(super) fn of(&self, namespace: &str) -> Result<&Arc<Cluster>, Trouble> {
        let Some(name) = self.places.get(namespace) else { return Ok(&self.hub) };
        self.others.get(name).and_then(Option::as_ref).ok_or_else(|| {
            let message = format!(
                "waits for namespace {namespace} on WorkloadCluster {name}, which has not answered yet"
            );
            Trouble::new(Reason::Waiting, message)
        })
    }
}
