//! Operations of type Restore, and the record on a block's namespace that says how far they are (I/O). What the record says
//! next is decided in `plinth_plan::restoring`.

use kube::ResourceExt;
use plinth_api::v1alpha1::operation::RestoreInto;
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_plan::backup::IDENTITY;
use plinth_plan::exchange::references::{Kind, Reference};
use plinth_plan::model::StackId;
use plinth_plan::resolve::namespace_of;
use plinth_plan::restoring::{Phase, Restore, Restores, admit, recorded};
use plinth_runtime::call::CallError;
use plinth_runtime::status::id_of;

use super::context::Context;
use super::dereference::dereference;
use super::operation::Verdict;
use super::reach::Reach;
use super::read::{Content, read};
use super::records::{annotate, namespaces, not_now, said};

/// Begins the restore, or tells how far it is. The Stack's own reconcile carries it out, so that it goes on when the Operation
/// is gone.
pub(super) async fn restore(
    operation: &Operation,
    before: &OperationStatus,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let Some(target) = &operation.spec.restore else {
        return Ok(Verdict::Failed("it names no block".to_owned()));
    };
    let id = id_of(stack);
    let uid = operation.uid().unwrap_or_default();
    let plan = context.plan(&id).await;
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
    let Some(plan) = plan else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    if let Some(why) = without_key("restore", &target.identity_secret, &id, context).await? {
        return Ok(Verdict::Refused(why));
    }
    let (inputs, _) = dereference(stack, &reach, context).await?;
    let record = match admit(stack, &plan, &inputs, target, &operation.name_any(), &uid) {
        Ok(record) => record,
        Err(why) => return Ok(Verdict::Refused(why)),
    };
    write(context, stack, &target.block, &record).await?;
    context.clusters.home().observer.triggers().poke(id);
    Ok(told(&record, &target.block, stack))
}

/// Why the private key cannot be had that an Operation names in its part `target`.
pub(super) async fn without_key(
    target: &str,
    name: &str,
    id: &StackId,
    context: &Context,
) -> Result<Option<String>, CallError> {
    let secret = Reference { kind: Kind::Secret, namespace: id.namespace.clone(), name: name.to_owned() };
    Ok(match read(&secret, context.clusters.home()).await? {
        Some(Content::Keys(keys)) if keys.iter().any(|key| key == IDENTITY) => None,
        Some(_) => Some(format!("{target}.identitySecret: Secret `{name}` has no key `{IDENTITY}`")),
        None => Some(format!(
            "{target}.identitySecret: Secret `{name}` does not exist in namespace {}",
            id.namespace
        )),
    })
}

/// What the record says, in the words of an Operation's status.
fn told(record: &Restore, block: &str, stack: &Stack) -> Verdict {
    let Restore { requirement, from, .. } = record;
    let namespace = namespace_of(stack, block);
    let suffix = record.suffix();
    let kept = format!(
        "what was there is kept under a name that ends in `_before_{}`",
        &suffix["restored_".len()..]
    );
    let mut steps =
        vec![format!("wrote on namespace {namespace} that backup {from} of `{requirement}` is restored")];
    if matches!((record.phase, record.into), (Phase::Switching | Phase::Done, _)) {
        steps.push(format!(
            "read all of the backup, restored it into a database whose name ends in `_{suffix}`, and counted every table's rows"
        ));
    }
    match (record.phase, record.into) {
        (Phase::Filling | Phase::Switching, _) => {
            let says = said(stack, block, &record.operation);
            let message =
                says.unwrap_or_else(|| format!("backup {from} of `{requirement}` is being restored"));
            Verdict::UnderWay { message, steps }
        }
        (Phase::Done, RestoreInto::Same) => {
            steps.push(format!(
                "stopped what could write, put the database in place, started the block; {kept}"
            ));
            Verdict::Done {
                message: format!("`{requirement}` of block {block} is as in backup {from}; {kept}"),
                steps,
            }
        }
        (Phase::Done, RestoreInto::Beside) => Verdict::Done {
            message: format!(
                "backup {from} of `{requirement}` is in a database of the same server whose name ends in `_{suffix}`"
            ),
            steps,
        },
        (Phase::Failed, _) => {
            let why = record.message.as_deref().unwrap_or("a Job gave up");
            Verdict::Failed(format!(
                "{why}; nothing that served was changed, and block {block} runs as before"
            ))
        }
    }
}

/// Writes records that have changed.
///
/// # Errors
/// The API server refused or did not answer; the same is written again.
pub async fn write_all(context: &Context, stack: &Stack, changed: &Restores) -> Result<(), CallError> {
    for (block, record) in changed {
        write(context, stack, block, record).await?;
    }
    Ok(())
}

async fn write(context: &Context, stack: &Stack, block: &str, record: &Restore) -> Result<(), CallError> {
    annotate(context, stack, block, (names::ANNOTATION_RESTORE, names::RESTORE_MANAGER), record).await?;
    tracing::info!(stack = %id_of(stack), block, operation = record.operation, phase = ?record.phase, "a restore goes on");
    Ok(())
}
