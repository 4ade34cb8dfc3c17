//! Operations of type MigrateProvider, and the record on a block's namespace that says how far they are (I/O). What the
//! record says next is decided in `plinth_plan::moving`.

use kube::ResourceExt;
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_plan::model::{Live, ObjectKey, StackId};
use plinth_plan::moving::{Move, Moves, Phase, admit, after_failure, recorded};
use plinth_plan::resolve::namespace_of;
use plinth_runtime::apply::Applier;
use plinth_runtime::call::{Applying, CallError};
use plinth_runtime::observe::ingest::{Ingest, Lean};
use plinth_runtime::status::id_of;
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::dereference::dereference;
use super::operation::Verdict;
use super::reach::Reach;

/// Begins the move, or tells how far it is. The Stack's own reconcile carries it out, so that it goes on when the Operation
/// is gone.
pub(super) async fn migrate(
    operation: &Operation,
    before: &OperationStatus,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let Some(target) = &operation.spec.migrate_provider else {
        return Ok(Verdict::Failed("it names no block".to_owned()));
    };
    let id = id_of(stack);
    let uid = operation.uid().unwrap_or_default();
    let memory = context.memory(&id);
    // Whoever decides from the record and writes it does so alone.
    let _alone = memory.lock().await;
    let reach = Reach::of(stack, context).await;
    let mut namespaces = context.clusters.home().observer.namespaces(&id).await?;
    namespaces.extend(reach.namespaces(&id));
    let record = recorded(&id, namespaces.iter().map(|live| &*live.body)).remove(&target.block);
    if let Some(record) = record.filter(|record| record.uid == uid) {
        return Ok(told(&record, &target.block, stack));
    }
    let namespace = namespace_of(stack, &target.block);
    if !before.steps.is_empty() {
        return Ok(Verdict::Failed(format!(
            "its record is no longer on namespace {namespace}: somebody took it away, or another Operation took its place"
        )));
    }
    if stack.metadata.deletion_timestamp.is_some() {
        return Ok(Verdict::Refused(format!("Stack {id} is being deleted")));
    }
    if stack.spec.paused {
        return Ok(Verdict::NotYet(format!("waits until Stack {id} is no longer paused")));
    }
    let (inputs, _) = dereference(stack, &reach, context).await?;
    let record = match admit(stack, &inputs, target, &operation.name_any(), &uid) {
        Ok(record) => record,
        Err(why) => return Ok(Verdict::Refused(why)),
    };
    write(context, stack, &target.block, &record).await?;
    context.clusters.home().observer.triggers().poke(id);
    Ok(told(&record, &target.block, stack))
}

/// What the record says, in the words of an Operation's status.
fn told(record: &Move, block: &str, stack: &Stack) -> Verdict {
    let Move { capability, from, to, .. } = record;
    let mut steps = vec![format!(
        "wrote on namespace {} that `{capability}` is brought from `{from}` to `{to}`",
        namespace_of(stack, block)
    )];
    if matches!(record.phase, Phase::Moved | Phase::Done) {
        steps.push(format!("the data is with `{to}`"));
    }
    let kept = format!("volumes, secrets and data of `{from}` are kept");
    match record.phase {
        Phase::Copying | Phase::Moved => {
            let blocks = stack.status.iter().flat_map(|status| &status.blocks);
            let says = blocks.filter(|b| b.name == block).find_map(|b| b.message.clone());
            // What the Stack said before it knew of the move is no news.
            let says = says.filter(|says| says.contains(&record.operation));
            let message = says.unwrap_or_else(|| format!("block {block} is being brought to `{to}`"));
            Verdict::UnderWay { message, steps }
        }
        Phase::Done => {
            steps.push(format!("switched block {block} to `{to}`; {kept}"));
            Verdict::Done {
                message: format!("block {block} has its `{capability}` with `{to}`; {kept}"),
                steps,
            }
        }
        Phase::Failed => {
            let why = record.message.as_deref().unwrap_or("a Job gave up");
            Verdict::Failed(format!("{why}; {}", after_failure(record)))
        }
        Phase::Aborted => {
            Verdict::Failed(record.message.clone().unwrap_or_else(|| "it was given up".to_owned()))
        }
    }
}

/// Writes records that have changed.
///
/// # Errors
/// The API server refused or did not answer; the same is written again.
pub async fn write_all(context: &Context, stack: &Stack, changed: &Moves) -> Result<(), CallError> {
    for (block, record) in changed {
        write(context, stack, block, record).await?;
    }
    Ok(())
}

async fn write(context: &Context, stack: &Stack, block: &str, record: &Move) -> Result<(), CallError> {
    annotate(context, stack, block, (names::ANNOTATION_MOVE, names::MOVE_MANAGER), record).await?;
    let id = id_of(stack);
    tracing::info!(stack = %id, block, operation = record.operation, phase = ?record.phase, "a move goes on");
    Ok(())
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
