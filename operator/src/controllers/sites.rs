//! The clusters that blocks of a Stack may be on (I/O).

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use plinth_api::v1alpha1::cluster::CAPABILITIES;
use plinth_api::{Stack, WorkloadCluster, names};
use plinth_plan::model::StackId;
use plinth_plan::placement::{ClusterFacts, blocks_on};
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::clusters::Cluster;
use plinth_runtime::status::id_of;
use serde::Deserialize;
use serde_json::Value;

use super::context::Context;
use super::reach::Reach;

/// What is known of the clusters beside the Stack.
#[derive(Default, Hash)]
pub(super) struct Sites {
    /// WorkloadClusters of its namespace, by name.
    pub clusters: BTreeMap<String, ClusterFacts>,
    /// The hub. Which blocks are on it is for whoever has their namespaces.
    pub hub: ClusterFacts,
    /// The WorkloadCluster that each block was shown on last.
    pub placed: BTreeMap<String, String>,
}

impl Sites {
    /// What the clusters themselves say, over what is written down of them: a hub that was rebuilt remembers nothing. One that
    /// has not been looked at may hold anything.
    pub fn look(&mut self, stack: &StackId, reach: &Reach) {
        let namespace = ("v1".to_owned(), "Namespace".to_owned());
        for (name, reached) in reach.iter() {
            let Some(facts) = self.clusters.get_mut(name) else { continue };
            if let Some(hand) = &reached.hand {
                let found = hand.cluster().observer.store().of_kind(stack, &namespace);
                facts.holds.extend(blocks_on(stack, found.iter().map(|live| &*live.body)));
            }
            if reached.silence.is_none() {
                (facts.reachable, facts.seen) = (Some(true), true);
                continue;
            }
            // That it does not answer just now is no news yet: it is waited for, as one that was never seen.
            facts.seen &= facts.reachable == Some(false);
            facts.reachable = Some(false);
        }
    }
}

/// Looks around for a Stack that has to do with other clusters; nothing for one that has not.
///
/// # Errors
/// The API server refused or did not answer: no clusters would say that nothing runs on any.
pub(super) async fn sites(stack: &Stack, context: &Context) -> Result<Option<Sites>, CallError> {
    let blocks = stack.status.iter().flat_map(|status| &status.blocks);
    let placed = blocks.filter_map(|block| Some((block.name.clone(), block.cluster.clone()?)));
    let placed: BTreeMap<String, String> = placed.collect();
    if stack.spec.placement.is_none() && placed.is_empty() {
        return Ok(None);
    }
    let home = context.clusters.home();
    let capabilities = Some(capabilities(home).await?);
    let hub = ClusterFacts { capabilities, reachable: Some(true), seen: true, ..ClusterFacts::default() };
    Ok(Some(Sites { clusters: clusters(stack, home).await?, hub, placed }))
}

/// Everything that placement may ask for and that a cluster has.
async fn capabilities(cluster: &Cluster) -> Result<BTreeSet<String>, CallError> {
    let mut found = BTreeSet::new();
    for (name, api_version, kind) in CAPABILITIES {
        if cluster.kinds.served(api_version, kind).await?.is_some() {
            found.insert((*name).to_owned());
        }
    }
    Ok(found)
}

/// The WorkloadClusters beside the Stack. One that is not understood is as good as none, and stops nobody else.
async fn clusters(stack: &Stack, home: &Cluster) -> Result<BTreeMap<String, ClusterFacts>, CallError> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Value>,
    }
    let version = format!("{}/{}", names::GROUP, names::VERSION);
    let Some(served) = home.kinds.served(&version, "WorkloadCluster").await? else {
        return Ok(BTreeMap::new());
    };
    let id = id_of(stack);
    let list: List = home.caller.list(&served, Some(&id.namespace), &[], Answer::Whole).await?;
    let read = |value| match serde_json::from_value::<WorkloadCluster>(value) {
        Ok(cluster) => Some((cluster.name_any(), ClusterFacts::of(&cluster, &id.name))),
        Err(error) => {
            tracing::warn!(stack = %id, %error, "a WorkloadCluster is not understood");
            None
        }
    };
    Ok(list.items.into_iter().filter_map(read).collect())
}
