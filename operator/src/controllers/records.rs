//! The records on blocks' namespaces that say how far an Operation on data is, a move to another provider or a restore (I/O). They
//! stand beside the data, so that a restarted operator and a rebuilt hub go on from there.

use kube::ResourceExt;
use plinth_api::{OperationStatus, Stack};
use plinth_plan::model::{Live, ObjectKey, StackId};
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
    let id = id_of(stack);
    let missing = || CallError::Lost(format!("{key} is not there"));
    let (hand, live) = beside_data(&id, &key, context).ok_or_else(missing)?;
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
    let lean: Lean = hand.writer().apply(&served, &key, body.to_string().into_bytes(), how).await?;
    if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
        cluster.observer.wrote(seen);
    }
    Ok(())
}

/// A block's namespace, wherever it is, and the hand that writes there.
fn beside_data(stack: &StackId, key: &ObjectKey, context: &Context) -> Option<(Applier, Live)> {
    let others = context.workload_clusters(&stack.namespace).into_iter();
    let others = others.filter_map(|cluster| context.clusters.get(&stack.namespace, &cluster.name_any()));
    let mut hands = [context.applier.clone()].into_iter().chain(others);
    hands.find_map(|hand| {
        let live = hand.cluster().observer.store().object(key)?;
        Some((hand, live))
    })
}
