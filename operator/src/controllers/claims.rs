//! What a Stack has on a cluster, written down on the WorkloadCluster before the first object of a block is (I/O): a cluster
//! that does not answer cannot be asked what it holds.

use std::collections::BTreeSet;

use kube::ResourceExt;
use plinth_api::v1alpha1::cluster::ClusterClaim;
use plinth_api::{WorkloadCluster, names};
use plinth_plan::model::{Decisions, ObjectKey, Observed, Plan, StackId};
use plinth_runtime::call::{Answer, Applying, CallError, Served};
use plinth_runtime::observe::own;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::context::Context;
use super::reach::Reach;

/// What a Stack has on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claimed {
    /// Blocks that are there.
    pub blocks: BTreeSet<String>,
    /// Blocks that the cluster stands by for.
    pub standby: BTreeSet<String>,
}

impl Claimed {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.standby.is_empty()
    }

    /// What the status of a WorkloadCluster says of a Stack.
    pub fn of(cluster: &WorkloadCluster, stack: &str) -> Self {
        let claims = cluster.status.iter().flat_map(|status| &status.claims);
        let mut own = Self::default();
        for claim in claims.filter(|claim| claim.stack == stack) {
            own.blocks.extend(claim.blocks.iter().cloned());
            own.standby.extend(claim.standby.iter().cloned());
        }
        own
    }

    fn planned(plan: Option<&Plan>, cluster: &str) -> Self {
        let mut planned = Self::default();
        for (stands_by, block) in plan.into_iter().flat_map(|plan| plan.blocks_on(Some(cluster))) {
            let of = if stands_by { &mut planned.standby } else { &mut planned.blocks };
            of.extend(Some(block.name.clone()).filter(|_| !block.units.is_empty()));
        }
        planned
    }
}

/// Says on each cluster that is about to be written to what is about to be there.
///
/// # Errors
/// Some claim was not written: nothing may be written there either.
pub(super) async fn hold(
    stack: &StackId,
    plan: &Plan,
    decisions: &Decisions,
    reach: &Reach,
    context: &Context,
) -> Result<(), CallError> {
    for (cluster, reached) in reach.iter().filter(|(name, _)| decisions.elsewhere.contains_key(*name)) {
        let planned = Claimed::planned(Some(plan), cluster);
        let mut wanted = reached.claimed.clone();
        wanted.blocks.extend(planned.blocks);
        wanted.standby.extend(planned.standby);
        if wanted != reached.claimed {
            write(stack, cluster, &wanted, context).await?;
        }
    }
    Ok(())
}

/// Takes off what is there no longer, and adds what is found there.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn settle(
    stack: &StackId,
    plan: Option<&Plan>,
    observed: &Observed,
    reach: &Reach,
    context: &Context,
) -> Result<(), CallError> {
    for (cluster, reached) in reach.iter() {
        let seen = observed.on(Some(cluster));
        if seen.unreachable.is_some() {
            continue;
        }
        let planned = Claimed::planned(plan, cluster);
        let both =
            |one: &BTreeSet<String>, other: &BTreeSet<String>| one.intersection(other).cloned().collect();
        let mut wanted = Claimed {
            blocks: both(&reached.claimed.blocks, &planned.blocks),
            standby: both(&reached.claimed.standby, &planned.standby),
        };
        let (waiting, there) =
            seen.inventory.keys().cloned().partition::<Vec<_>, _>(|block| planned.standby.contains(block));
        wanted.standby.extend(waiting);
        wanted.blocks.extend(there);
        if wanted != reached.claimed {
            write(stack, cluster, &wanted, context).await?;
        }
    }
    Ok(())
}

/// Nothing of the Stack is on any cluster any more, but for what is kept for its data.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn release(stack: &StackId, reach: &Reach, context: &Context) -> Result<(), CallError> {
    for (cluster, _) in reach.iter().filter(|(_, reached)| !reached.claimed.is_empty()) {
        write(stack, cluster, &Claimed::default(), context).await?;
    }
    Ok(())
}

/// Makes the claim of a Stack on a cluster say this. As a manager of its own: other Stacks' claims are theirs.
///
/// # Errors
/// The API server refused or did not answer; the WorkloadCluster is gone.
pub(super) async fn write(
    stack: &StackId,
    cluster: &str,
    claimed: &Claimed,
    context: &Context,
) -> Result<(), CallError> {
    let key = key_of(&stack.namespace, cluster);
    let gone = || CallError::Lost(format!("{key} is gone"));
    let found = context.workload_cluster(&stack.namespace, cluster).ok_or_else(gone)?;
    let served = served(&key, context).await?.ok_or_else(gone)?;
    if !claimed.is_empty() {
        pin(&key, &found, &served, context).await?;
    }
    let claim = ClusterClaim {
        stack: stack.name.clone(),
        blocks: claimed.blocks.iter().cloned().collect(),
        standby: claimed.standby.iter().cloned().collect(),
    };
    let claims: Vec<ClusterClaim> = Some(claim).filter(|_| !claimed.is_empty()).into_iter().collect();
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": { "name": key.name, "namespace": key.namespace, "uid": found.metadata.uid },
        "status": { "claims": claims },
    });
    let manager = format!("{}:{}", names::CLAIM_MANAGER, stack.name);
    let how =
        Applying { manager: &manager, force: true, subresource: Some("status"), answer: Answer::Metadata };
    let writer = context.applier.writer();
    writer.apply::<IgnoredAny>(&served, &key, body.to_string().into_bytes(), how).await.map(drop)
}

/// The finalizer: set before the first claim, so that nothing is left behind unseen.
async fn pin(
    key: &ObjectKey,
    found: &WorkloadCluster,
    served: &Served,
    context: &Context,
) -> Result<(), CallError> {
    let is_pinned = found.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER);
    if is_pinned || found.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    finalizer(key, found.metadata.uid.as_deref(), true, served, context).await
}

/// Puts our finalizer on an object of the hub, or takes it off; others stay. One that is gone, or another one of its name,
/// is left alone.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn finalizer(
    key: &ObjectKey,
    uid: Option<&str>,
    on: bool,
    served: &Served,
    context: &Context,
) -> Result<(), CallError> {
    let ours: &[&str] = if on { &[names::FINALIZER] } else { &[] };
    held(key, uid, json!({ "finalizers": ours }), served, context).await
}

/// Says of the metadata of an object of the hub what is ours, and nothing else.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn held(
    key: &ObjectKey,
    uid: Option<&str>,
    mut metadata: Value,
    served: &Served,
    context: &Context,
) -> Result<(), CallError> {
    metadata["name"] = key.name.as_str().into();
    metadata["namespace"] = key.namespace.as_deref().into();
    // With the uid, an object that was deleted meanwhile is not made again.
    metadata["uid"] = uid.into();
    let body = json!({ "apiVersion": key.api_version, "kind": key.kind, "metadata": metadata });
    let how = Applying { answer: Answer::Metadata, ..Applying::rendered(true) };
    let writer = context.applier.writer();
    match writer.apply::<IgnoredAny>(served, key, body.to_string().into_bytes(), how).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}

/// Identity of a WorkloadCluster.
pub(super) fn key_of(namespace: &str, name: &str) -> ObjectKey {
    let (api_version, kind) = own("WorkloadCluster");
    ObjectKey { api_version, kind, namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

pub(super) async fn served(key: &ObjectKey, context: &Context) -> Result<Option<Served>, CallError> {
    context.clusters.home().kinds.served(&key.api_version, &key.kind).await
}
