//! The records on blocks' namespaces that say how far an Operation on data is, a move to another provider or a restore (I/O). They
//! stand beside the data, so that a restarted operator and a rebuilt hub go on from there.

use kube::ResourceExt;
use plinth_api::{OperationStatus, Stack, names};
use plinth_plan::failover;
use plinth_plan::model::{Live, ObjectKey, StackId};
use plinth_plan::placement::HUB;
use plinth_plan::resolve::namespace_of;
use plinth_runtime::apply::Applier;
use plinth_runtime::call::{Applying, CallError};
use plinth_runtime::observe::ingest::{Ingest, Lean};
use plinth_runtime::status::id_of;
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::operation::Verdict;
use super::reach::Reach;

/// The namespaces of a Stack's blocks, on the hub and wherever else they are.
///
/// # Errors
/// The hub's API server did not answer.
pub(super) async fn namespaces(
    stack: &Stack,
    reach: &Reach,
    context: &Context,
) -> Result<Vec<Live>, CallError> {
    let id = id_of(stack);
    let mut all = context.clusters.home().observer.namespaces(&id).await?;
    all.extend(reach.namespaces(&id));
    Ok(all)
}

/// Why an Operation without a record does not begin: it had one, or the Stack is not to be touched. Nothing where it may.
pub(super) fn not_now(before: &OperationStatus, stack: &Stack, block: &str) -> Option<Verdict> {
    let (id, namespace) = (id_of(stack), namespace_of(stack, block));
    if !before.steps.is_empty() {
        return Some(Verdict::Failed(format!(
            "its record is no longer on namespace {namespace}: somebody took it away, or another Operation took its place"
        )));
    }
    if stack.metadata.deletion_timestamp.is_some() {
        return Some(Verdict::Refused(format!("Stack {id} is being deleted")));
    }
    stack.spec.paused.then(|| Verdict::NotYet(format!("waits until Stack {id} is no longer paused")))
}

/// What the Stack says of a block that an Operation is under way with. What it said before it knew of that is no news.
pub(super) fn said(stack: &Stack, block: &str, operation: &str) -> Option<String> {
    let mut blocks = stack.status.iter().flat_map(|status| &status.blocks).filter(|b| b.name == block);
    blocks.find_map(|b| b.message.clone()).filter(|says| says.contains(operation))
}

/// Writes a record on a block's namespace, as a manager of its own: what Plinth renders does not name the annotation and leaves
/// it alone.
pub(super) async fn annotate(
    context: &Context,
    stack: &Stack,
    block: &str,
    (annotation, manager): (&str, &'static str),
    record: &impl Serialize,
) -> Result<(), CallError> {
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: None,
        name: namespace_of(stack, block),
    };
    let missing = || CallError::Lost(format!("{key} is not there"));
    let (hand, live) = beside_data(&id_of(stack), block, &key, context).ok_or_else(missing)?;
    annotate_at(&hand, &key, &live, (annotation, manager), record).await
}

/// The same on a namespace that was found.
pub(super) async fn annotate_at(
    hand: &Applier,
    key: &ObjectKey,
    live: &Live,
    (annotation, manager): (&str, &'static str),
    record: &impl Serialize,
) -> Result<(), CallError> {
    let missing = || CallError::Lost(format!("{key} is not there"));
    let cluster = hand.cluster();
    let served = cluster.kinds.served(&key.api_version, &key.kind).await?.ok_or_else(missing)?;
    let text = serde_json::to_string(record).map_err(|error| CallError::Lost(error.to_string()))?;
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        // With the uid, a namespace that is gone meanwhile is not made again.
        "metadata": { "name": key.name, "uid": live.uid, "annotations": { annotation: text } },
    });
    let how = Applying { manager, ..Applying::rendered(true) };
    let lean: Lean = hand.writer().apply(&served, key, body.to_string().into_bytes(), how).await?;
    if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
        cluster.observer.wrote(seen);
    }
    Ok(())
}

/// A block's namespace where it serves, and the hand that writes there.
fn beside_data(stack: &StackId, block: &str, key: &ObjectKey, context: &Context) -> Option<(Applier, Live)> {
    let others = context.workload_clusters(&stack.namespace).into_iter().map(|cluster| cluster.name_any());
    let others =
        others.filter_map(|name| Some((name.clone(), context.clusters.get(&stack.namespace, &name)?)));
    let hands = [(HUB.to_owned(), context.applier.clone())].into_iter().chain(others);
    let mut found: Vec<(String, Applier, Live)> = hands
        .filter_map(|(name, hand)| {
            let live = hand.cluster().observer.store().object(key)?;
            Some((name, hand, live))
        })
        .collect();
    let takeover = failover::recorded(stack, found.iter().map(|(.., live)| &*live.body)).remove(block);
    let stands_by = |live: &Live| {
        let annotations = live.body.pointer("/metadata/annotations");
        annotations.is_some_and(|annotations| annotations.get(names::ANNOTATION_STANDBY).is_some())
    };
    found.sort_by_key(|(name, _, live)| match &takeover {
        Some(takeover) => takeover.side() != name,
        None => stands_by(live),
    });
    found.into_iter().next().map(|(_, hand, live)| (hand, live))
}
