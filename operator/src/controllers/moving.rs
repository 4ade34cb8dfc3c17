//! Operations of type MigrateProvider, and the record on a block's namespace that says how far they are (I/O). What the
//! record says next is decided in `plinth_plan::moving`.

use kube::ResourceExt;
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_plan::moving::{Move, Moves, Phase, admit, after_failure, recorded};
use plinth_plan::resolve::namespace_of;
use plinth_runtime::call::CallError;
use plinth_runtime::status::id_of;

use super::context::Context;
use super::dereference::dereference;
use super::operation::Verdict;
use super::reach::Reach;
use super::records::{annotate, namespaces, not_now, said};

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
    let namespaces = namespaces(stack, &reach, context).await?;
    let record = recorded(&id, namespaces.iter().map(|live| &*live.body)).remove(&target.block);
    if let Some(record) = record.filter(|record| record.uid == uid) {
        return Ok(told(&record, &target.block, stack));
    }
    if let Some(verdict) = not_now(before, stack, &target.block) {
        return Ok(verdict);
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
            let says = said(stack, block, &record.operation);
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
