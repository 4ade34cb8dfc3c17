//! Which clusters beside the hub a Stack has to do with, and which of them can be asked (I/O, bounded). Nobody waits here for
//! a cluster that does not answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::ResourceExt;
use plinth_api::{Stack, names};
use plinth_plan::failover::{Failovers, recorded};
use plinth_plan::model::{Live, Plan, StackId};
use plinth_runtime::apply::Applier;
use plinth_runtime::clusters::Cluster;
use plinth_runtime::secrets::Sources;
use plinth_runtime::status::id_of;
use serde_json::Value;
use tokio::time::timeout;

use super::claims::Claimed;
use super::context::Context;

/// So long a reconcile waits for a cluster that answers, once.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The clusters of one Stack, by the names of their WorkloadClusters.
#[derive(Default)]
pub(super) struct Reach {
    clusters: BTreeMap<String, Reached>,
    /// Takeovers of its blocks, as any side of them says.
    failovers: Failovers,
}

/// One of them.
pub(super) struct Reached {
    /// The hand that writes to it; nothing before it has answered for the first time.
    pub hand: Option<Applier>,
    /// Why nothing can be asked of it now.
    pub silence: Option<String>,
    /// What of the Stack is on it, as it was claimed.
    pub claimed: Claimed,
}

impl Reach {
    /// Those that hold something of the Stack, and all beside it where it says where its blocks run.
    pub async fn of(stack: &Stack, context: &Context) -> Self {
        let id = id_of(stack);
        let beside = context.workload_clusters(&id.namespace);
        let known = beside.iter().filter_map(|cluster| {
            let claimed = Claimed::of(cluster, &id.name);
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
        let clusters: BTreeMap<String, Reached> = join_all(looks).await.into_iter().collect();
        // Whoever plans asks for them again, and is told when the hub does not answer.
        let at_home = context.clusters.home().observer.namespaces(&id).await.unwrap_or_default();
        let elsewhere = everywhere(&id, &clusters);
        let all: Vec<Live> = at_home.into_iter().chain(elsewhere).collect();
        let failovers = recorded(&id, all.iter().map(|live| &*live.body));
        Self { clusters, failovers }
    }

    /// Takeovers of its blocks: the newest of each.
    pub fn failovers(&self) -> &Failovers {
        &self.failovers
    }

    /// Why nothing can be asked of a cluster now; the hub is asked in every case.
    pub fn silence(&self, cluster: &str) -> Option<&str> {
        self.clusters.get(cluster)?.silence.as_deref()
    }

    /// A cluster, where it answers.
    pub fn answering(&self, cluster: &str) -> Option<Arc<Cluster>> {
        let reached = self.clusters.get(cluster).filter(|reached| reached.silence.is_none())?;
        Some(reached.hand.as_ref()?.cluster().clone())
    }

    /// Every cluster.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Reached)> {
        self.clusters.iter()
    }

    /// The namespaces of blocks, each on the cluster that the block serves on, as they were seen last. What another
    /// cluster says of a block is not listened to: a site that is taken over must not speak for the others.
    pub fn namespaces(&self, stack: &StackId) -> Vec<Live> {
        self.all(stack, "Namespace", owned_block(stack))
    }

    /// The same of standbys too: what is not known of the side that serves may be known of the other.
    pub fn everywhere(&self, stack: &StackId) -> Vec<Live> {
        everywhere(stack, &self.clusters)
    }

    /// Their ConfigMaps, as [`Self::namespaces`] has those.
    pub fn config_maps(&self, stack: &StackId) -> Vec<Live> {
        self.all(stack, "ConfigMap", |body| {
            body.pointer("/metadata/labels")?.get(names::LABEL_BLOCK)?.as_str().map(str::to_owned)
        })
    }

    fn all(&self, stack: &StackId, kind: &str, block: impl Fn(&Value) -> Option<String>) -> Vec<Live> {
        let of = |(name, reached): (&String, &Reached)| {
            reached.all(stack, kind, &block, |block| match self.failovers.get(block) {
                Some(record) => record.side() == name,
                None => reached.claimed.blocks.contains(block),
            })
        };
        self.clusters.iter().flat_map(of).collect()
    }

    /// Where the Secrets of each namespace of a plan are.
    pub fn sources(&self, plan: Option<&Plan>, hub: &Arc<Cluster>) -> Sources {
        let Some(plan) = plan else { return Sources::hub(hub.clone()) };
        let cluster = |name: &str| self.clusters.get(name)?.hand.as_ref().map(|hand| hand.cluster().clone());
        Sources::of_plan(hub.clone(), plan, cluster)
    }
}

impl Reached {
    /// Objects of a kind of the blocks that are claimed to be there, and that `serves` tells are meant.
    fn all(
        &self,
        stack: &StackId,
        kind: &str,
        block: impl Fn(&Value) -> Option<String>,
        serves: impl Fn(&str) -> bool,
    ) -> Vec<Live> {
        let kind = ("v1".to_owned(), kind.to_owned());
        let store = self.hand.as_ref().map(|hand| hand.cluster().observer.store().clone());
        let mut live = store.map(|store| store.of_kind(stack, &kind)).unwrap_or_default();
        let Claimed { blocks, standby } = &self.claimed;
        live.retain(|live| {
            let block = block(&live.body);
            block.is_some_and(|block| (blocks.contains(&block) || standby.contains(&block)) && serves(&block))
        });
        live
    }
}

/// Namespaces of blocks on every cluster that is claimed for them, in whichever way.
fn everywhere(stack: &StackId, clusters: &BTreeMap<String, Reached>) -> Vec<Live> {
    let of = |reached: &Reached| reached.all(stack, "Namespace", owned_block(stack), |_| true);
    clusters.values().flat_map(of).collect()
}

/// The block of a Stack that a namespace says it is of.
fn owned_block(stack: &StackId) -> impl Fn(&Value) -> Option<String> + use<> {
    let prefix = format!("{stack}/");
    move |body| {
        let owner = body.pointer("/metadata/annotations")?.get(names::ANNOTATION_OWNER)?.as_str()?;
        owner.strip_prefix(&prefix).map(str::to_owned)
    }
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
