//! Operations of type Failover and Switchback, and the record on both namespaces of a block that says how far they are (I/O). What
//! the record says next is decided in `plinth_plan::failover`.

use kube::ResourceExt;
use plinth_api::v1alpha1::operation::OperationType;
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_plan::failover::{Asked, Failover, Failovers, FencedBy, Phase, lease, measured, recorded};
use plinth_plan::model::{Desired, ObjectKey, StackId};
use plinth_plan::placement::HUB;
use plinth_plan::resolve::namespace_of;
use plinth_runtime::apply::Applier;
use plinth_runtime::call::CallError;
use plinth_runtime::status::id_of;
use tokio::time::timeout;

use super::context::{Context, now};
use super::dereference::dereference;
use super::operation::Verdict;
use super::reach::{PATIENCE, Reach};
use super::records::{annotate_at, not_now, said};
use super::restoring::without_key;

/// Begins a takeover, or tells how far it is. The Stack's own reconcile carries it out, so that it goes on when the Operation is
/// gone.
pub(super) async fn take_over(
    operation: &Operation,
    before: &OperationStatus,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let Some(target) = &operation.spec.failover else {
        return Ok(Verdict::Failed("it names no block".to_owned()));
    };
    let id = id_of(stack);
    let uid = operation.uid().unwrap_or_default();
    let plan = context.plan(&id).await;
    let memory = context.memory(&id);
    // Whoever decides from the record and writes it does so alone.
    let _alone = memory.lock().await;
    let reach = Reach::of(stack, context).await;
    if let Some(record) = reach.failovers().get(&target.block).filter(|record| record.uid == uid) {
        return Ok(told(record, &target.block, stack));
    }
    if let Some(verdict) = not_now(before, stack, &target.block) {
        return Ok(verdict);
    }
    let Some(plan) = plan else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    if let Some(name) = &target.identity_secret
        && let Some(why) = without_key("failover", name, &id, context).await?
    {
        return Ok(Verdict::Refused(why));
    }
    let (inputs, _) = dereference(stack, &reach, context).await?;
    let name = operation.name_any();
    let asked = Asked { stack, plan: &plan, inputs: &inputs, operation: (&name, &uid), now: now().0 };
    let is_there = |cluster: &str, secret: &Desired| is_there(&id, cluster, secret, context);
    let record = match operation.spec.kind {
        OperationType::Switchback => asked.switchback(target, is_there),
        _ => asked.failover(target, is_there),
    };
    let record = match record {
        Ok(record) => record,
        Err(why) => return Ok(Verdict::Refused(why)),
    };
    write(context, stack, &target.block, &record, &record.to).await?;
    context.clusters.home().observer.triggers().poke(id);
    Ok(told(&record, &target.block, stack))
}

/// A Secret is on a cluster, with all of its keys.
fn is_there(stack: &StackId, cluster: &str, secret: &Desired, context: &Context) -> bool {
    let hand = hand(stack, cluster, context);
    let live = hand.ok().and_then(|hand| hand.cluster().observer.store().object(&secret.key));
    let has = |key: &String| live.as_ref().is_some_and(|live| live.body["data"].get(key).is_some());
    live.is_some() && secret.secret.keys().all(has)
}

fn hand(stack: &StackId, cluster: &str, context: &Context) -> Result<Applier, CallError> {
    context.hand(stack, Some(cluster).filter(|cluster| *cluster != HUB))
}

/// What the record says, in the words of an Operation's status.
fn told(record: &Failover, block: &str, stack: &Stack) -> Verdict {
    let Failover { from, to, .. } = record;
    let namespace = namespace_of(stack, block);
    let mut steps =
        vec![format!("wrote on namespace {namespace} on `{to}` that it takes over from `{from}`")];
    steps.extend(record.fence.as_ref().map(|fence| match fence.by {
        FencedBy::Acknowledgement => format!("stopped block {block} on `{from}`: none of its pods is left there"),
        FencedBy::ExpiredLease => format!(
            "waited until the lease of `{from}` had run out, {} s after its last answer; what it does is not known, and it is \
             stopped as soon as it answers",
            lease(stack)
        ),
    }));
    if matches!(record.phase, Phase::Serving | Phase::Done) {
        let restored = record.restore.iter();
        steps.extend(
            restored.map(|part| format!("restored backup {} of `{}` on `{to}`", part.from, part.requirement)),
        );
    }
    match record.phase {
        Phase::Fencing | Phase::Filling | Phase::Serving => {
            let says = said(stack, block, &record.operation);
            let message = says.unwrap_or_else(|| format!("block {block} is being taken over to `{to}`"));
            Verdict::UnderWay { message, steps }
        }
        Phase::Done => {
            steps.extend(measured(stack, block, record));
            let message =
                format!("block {block} serves on `{to}`; what is on `{from}` is kept there and stands by");
            Verdict::Done { message, steps }
        }
        Phase::Failed => {
            let why = record.message.as_deref().unwrap_or("a restore gave up");
            Verdict::Failed(format!(
                "{why}; neither side serves block {block}: ask for another Failover or Switchback"
            ))
        }
    }
}

/// Writes records that have changed, each first on the side that takes over.
///
/// # Errors
/// The API server of that side refused or did not answer; the same is written again.
pub(super) async fn write_all(
    context: &Context,
    stack: &Stack,
    changed: &Failovers,
) -> Result<(), CallError> {
    for (block, record) in changed {
        write(context, stack, block, record, &record.to).await?;
    }
    Ok(())
}

/// Brings what each side says up to date with the newest: the one that was taken over from may have been gone meanwhile. What it is
/// told does not depend on it, so that nobody waits for a side that does not take it in.
pub(super) async fn agree(reach: &Reach, stack: &Stack, context: &Context) {
    let id = id_of(stack);
    for (block, record) in reach.failovers() {
        for side in [&record.to, &record.from] {
            if reach.silence(side).is_some() {
                continue;
            }
            let Ok(hand) = hand(&id, side, context) else { continue };
            let Some(live) = hand.cluster().observer.store().object(&home_of(stack, block)) else { continue };
            let said = recorded(&id, [&*live.body]).remove(block);
            if said.as_ref() == Some(record) {
                continue;
            }
            let written = timeout(PATIENCE, write(context, stack, block, record, side)).await;
            let written =
                written.unwrap_or_else(|_| Err(CallError::Lost(format!("no answer within {PATIENCE:?}"))));
            if let Err(error) = written {
                tracing::warn!(stack = %id, block, side, %error, "a takeover cannot be written there; it is tried again");
            }
        }
    }
}

async fn write(
    context: &Context,
    stack: &Stack,
    block: &str,
    record: &Failover,
    side: &str,
) -> Result<(), CallError> {
    let id = id_of(stack);
    let key = home_of(stack, block);
    let hand = hand(&id, side, context)?;
    let live = hand.cluster().observer.store().object(&key);
    let live = live.ok_or_else(|| CallError::Lost(format!("{key} is not there")))?;
    annotate_at(&hand, &key, &live, (names::ANNOTATION_FAILOVER, names::FAILOVER_MANAGER), record).await?;
    tracing::info!(stack = %id, block, side, operation = record.operation, phase = ?record.phase, "a takeover goes on");
    Ok(())
}

fn home_of(stack: &Stack, block: &str) -> ObjectKey {
    ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: None,
        name: namespace_of(stack, block),
    }
}
