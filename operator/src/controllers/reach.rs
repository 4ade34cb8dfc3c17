//! Which clusters beside the hub a Stack has to do with, and which of them can be asked (I/O, bounded). Nobody waits here for
//! a cluster that does not answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::ResourceExt;
use plinth_api::{Stack, WorkloadCluster, names};
use plinth_plan::model::{Live, Plan, StackId};
use plinth_runtime::apply::Applier;
use plinth_runtime::clusters::Cluster;
use plinth_runtime::secrets::Sources;
use plinth_runtime::status::id_of;
use serde_json::Value;
use tokio::time::timeout;

use super::context::Context;

/// So long a reconcile waits for a cluster that answers, once.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The clusters of one Stack, by the names of their WorkloadClusters.
#[derive(Default)]
pub(super) struct Reach(BTreeMap<String, Reached>);

/// One of them.
pub(super) struct Reached {
    /// The hand that writes to it; nothing before it has answered for the first time.
    pub hand: Option<Applier>,
    /// Why nothing can be asked of it now.
    pub silence: Option<String>,
    /// Blocks of the Stack that are on it, as it was claimed for them.
    pub claimed: Vec<String>,
}

impl Reach {
    /// Those that hold something of the Stack, and all beside it where it says where its blocks run.
    pub async fn of(stack: &Stack, context: &Context) -> Self {
        let id = id_of(stack);
        let beside = context.workload_clusters(&id.namespace);
        let known = beside.iter().filter_map(|cluster| {
            let claimed = claimed(cluster, &id.name);
            (stack.spec.placement.is_some() || !claimed.is_empty()).then_some((cluster.name_any(), claimed))
        });
        let looks = known.map(|(name, claimed)| {
            let id = &id;
            async move {
                let hand = context.clusters.get(&id.namespace, &name);
                let silence = match &hand {
                    Some(hand) => listed(id, hand.cluster()).await.err(),
                    None => Some("it has not answered yet".to_owned()),
                };
                (name, Reached { hand, silence, claimed })
            }
        });
        Self(join_all(looks).await.into_iter().collect())
    }

    /// Every cluster.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Reached)> {
        self.0.iter()
    }

    /// The namespaces of blocks, each on the cluster that the block is claimed to be on, as they were seen last. What another
    /// cluster says of a block is not listened to: a site that is taken over must not speak for the others.
    pub fn namespaces(&self, stack: &StackId) -> Vec<Live> {
        let prefix = format!("{stack}/");
        self.all(stack, "Namespace", |body| {
            let owner = body.pointer("/metadata/annotations")?.get(names::ANNOTATION_OWNER)?.as_str()?;
            owner.strip_prefix(&prefix)
        })
    }

    /// Their ConfigMaps, as [`Self::namespaces`] has those.
    pub fn config_maps(&self, stack: &StackId) -> Vec<Live> {
        self.all(stack, "ConfigMap", |body| {
            body.pointer("/metadata/labels")?.get(names::LABEL_BLOCK)?.as_str()
        })
    }

    fn all(&self, stack: &StackId, kind: &str, block: impl Fn(&Value) -> Option<&str>) -> Vec<Live> {
        let kind = ("v1".to_owned(), kind.to_owned());
        let of = |reached: &Reached| {
            let store = reached.hand.as_ref().map(|hand| hand.cluster().observer.store().clone());
            let mut live = store.map(|store| store.of_kind(stack, &kind)).unwrap_or_default();
            live.retain(|live| {
                block(&live.body).is_some_and(|block| reached.claimed.iter().any(|c| c == block))
            });
            live
        };
        self.0.values().flat_map(of).collect()
    }

    /// Where the Secrets of each namespace of a plan are.
    pub fn sources(&self, plan: Option<&Plan>, hub: &Arc<Cluster>) -> Sources {
        let Some(plan) = plan else { return Sources::hub(hub.clone()) };
        let cluster = |name: &str| self.0.get(name)?.hand.as_ref().map(|hand| hand.cluster().clone());
        Sources::of_plan(hub.clone(), plan, cluster)
    }
}

fn claimed(cluster: &WorkloadCluster, stack: &str) -> Vec<String> {
    let claims = cluster.status.iter().flat_map(|status| &status.claims);
    claims.filter(|claim| claim.stack == stack).flat_map(|claim| claim.blocks.iter().cloned()).collect()
}

/// What a plan is made from has been listed: nothing is planned for a cluster on the strength of not having looked.
async fn listed(stack: &StackId, cluster: &Cluster) -> Result<(), String> {
    if let Some(silence) = cluster.pulse.silence() {
        return Err(silence);
    }
    let observer = &cluster.observer;
    let both = async { futures::try_join!(observer.namespaces(stack), observer.config_maps(stack)) };
    match timeout(PATIENCE, both).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}
