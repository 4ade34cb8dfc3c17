//! What a Stack has on a cluster, written down on the WorkloadCluster before the first object of a block is (I/O): a cluster
//! that does not answer cannot be asked what it holds.

use std::collections::BTreeSet;

use kube::ResourceExt;
use plinth_api::v1alpha1::cluster::ClusterClaim;
use plinth_api::{WorkloadCluster, names};
use plinth_plan::model::ObjectKey;
use plinth_plan::model::{Decisions, Observed, Plan, StackId};
use plinth_runtime::call::{Answer, Applying, CallError, Served};
use plinth_runtime::observe::own;
use serde::de::IgnoredAny;
use serde_json::json;

use super::context::Context;
use super::reach::Reach;

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
        let claimed: BTreeSet<String> = reached.claimed.iter().cloned().collect();
        let mut wanted = claimed.clone();
        wanted.extend(planned(plan, cluster));
        if wanted != claimed {
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
        let claimed: BTreeSet<String> = reached.claimed.iter().cloned().collect();
        let planned: BTreeSet<String> = plan.into_iter().flat_map(|plan| planned(plan, cluster)).collect();
        let mut wanted: BTreeSet<String> = claimed.intersection(&planned).cloned().collect();
        wanted.extend(seen.inventory.keys().cloned());
        if wanted != claimed {
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
        write(stack, cluster, &BTreeSet::new(), context).await?;
    }
    Ok(())
}

fn planned<'a>(plan: &'a Plan, cluster: &'a str) -> impl Iterator<Item = String> + 'a {
    let there = plan.blocks.iter().filter(move |block| block.cluster.as_deref() == Some(cluster));
    there.filter(|block| !block.units.is_empty()).map(|block| block.name.clone())
}

/// Makes the claim of a Stack on a cluster say `blocks`. Other Stacks' claims stay: all are said each time, for the version
/// that was read.
///
/// # Errors
/// The API server refused or did not answer; another Stack was faster.
pub(super) async fn write(
    stack: &StackId,
    cluster: &str,
    blocks: &BTreeSet<String>,
    context: &Context,
) -> Result<(), CallError> {
    let key = key_of(&stack.namespace, cluster);
    let Some(served) = served(&key, context).await? else { return Ok(()) };
    let home = context.clusters.home();
    let Some(found) = home.caller.get::<WorkloadCluster>(&served, &key, Answer::Whole).await? else {
        return Ok(());
    };
    let before = found.status.clone().unwrap_or_default().claims;
    let mut claims: Vec<ClusterClaim> =
        before.iter().filter(|claim| claim.stack != stack.name).cloned().collect();
    if !blocks.is_empty() {
        let blocks = blocks.iter().cloned().collect();
        claims.push(ClusterClaim { stack: stack.name.clone(), blocks });
        claims.sort_by(|one, other| one.stack.cmp(&other.stack));
        pin(&key, &found, &served, context).await?;
    }
    if claims == before {
        return Ok(());
    }
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": { "name": key.name, "namespace": key.namespace, "uid": found.metadata.uid },
        "status": { "claims": claims },
    });
    let how = Applying {
        manager: names::FIELD_MANAGER,
        force: true,
        subresource: Some("status"),
        answer: Answer::Metadata,
    };
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
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        // With the uid, an object that was deleted meanwhile is not made again.
        "metadata": { "name": key.name, "namespace": key.namespace, "uid": uid, "finalizers": ours },
    });
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
