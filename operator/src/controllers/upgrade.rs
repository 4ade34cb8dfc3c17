//! Operations of type Upgrade: of a block to a version, or of the Stack to a catalogue (I/O). How far a step is stands on the block's
//! namespace; what it says next is decided in `plinth_plan::upgrade`.

use kube::ResourceExt;
use plinth_api::v1alpha1::operation::UpgradeTarget;
use plinth_api::v1alpha1::stack::Approval;
use plinth_api::{Operation, OperationStatus, Stack, StackStatus};
use plinth_plan::Inputs;
use plinth_plan::expr::listed;
use plinth_plan::installed::{Installed, Installs};
use plinth_plan::model::{BlockPlan, Live, Plan};
use plinth_plan::resolve::namespace_of;
use plinth_plan::upgrade::{Phase, admit, after_failure};
use plinth_runtime::call::CallError;
use plinth_runtime::status::{Told, id_of};

use super::context::Context;
use super::dereference::dereference;
use super::operation::Verdict;
use super::progress::write_installed;
use super::reach::Reach;
use super::restoring::without_key;

/// The step after which an Operation only tells.
const WROTE: &str = "wrote on namespace";

/// Begins the upgrade, or tells how far it is. The Stack's own reconcile carries it out, so that it goes on when the Operation is gone.
pub(super) async fn upgrade(
    operation: &Operation,
    before: &OperationStatus,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let id = id_of(stack);
    let Some(target) = &operation.spec.upgrade else {
        return Ok(Verdict::Failed("it names neither a block nor a catalogue".to_owned()));
    };
    if stack.metadata.deletion_timestamp.is_some() {
        return Ok(Verdict::Refused(format!("Stack {id} is being deleted")));
    }
    if stack.spec.paused {
        return Ok(Verdict::NotYet(format!("waits until Stack {id} is no longer paused")));
    }
    let memory = context.memory(&id);
    // Whoever decides from the record and writes it does so alone.
    let _alone = memory.lock().await;
    let stack = &context.status.freshest(stack);
    let reach = Reach::of(stack, context).await;
    let (inputs, _) = dereference(stack, &reach, context).await?;
    match &target.catalogue {
        Some(revision) => to_catalogue(revision, stack, &inputs, context).await,
        None => to_version(target, operation, before, stack, &inputs, context).await,
    }
}

/// Pins the Stack to another catalogue, and waits until every block is rendered from it.
async fn to_catalogue(
    revision: &str,
    stack: &Stack,
    inputs: &Inputs,
    context: &Context,
) -> Result<Verdict, CallError> {
    let id = id_of(stack);
    let carried: Vec<&str> = context.catalogues.revisions().map(|(revision, _)| revision).collect();
    if !carried.contains(&revision) {
        return Ok(Verdict::Refused(format!(
            "{revision} is not in this version of Plinth; it carries {}",
            listed(&carried)
        )));
    }
    let declared = stack.spec.catalogue.as_ref().and_then(|reference| reference.revision.as_deref());
    if let Some(declared) = declared.filter(|declared| *declared != revision) {
        return Ok(Verdict::Refused(format!(
            "the Stack's spec.catalogue.revision is {declared}: change it there"
        )));
    }
    let status = stack.status.clone().unwrap_or_default();
    if status.catalogue_revision.as_deref() != Some(revision) {
        if declared.is_some() {
            return Ok(Verdict::NotYet("waits for the plan of the Stack's newest spec".to_owned()));
        }
        if stack.spec.change_policy.approval == Approval::Required {
            return Ok(Verdict::Refused(
                "the Stack's plans are approved before they run: name the revision in spec.catalogue.revision, so that its plan can be"
                    .to_owned(),
            ));
        }
        let moved = StackStatus { catalogue_revision: Some(revision.to_owned()), ..status };
        if let Told::Later(_) = context.status.stack(stack, &moved).await? {
            return Ok(Verdict::NotYet("waits for a moment to write the Stack's status".to_owned()));
        }
        context.clusters.home().observer.triggers().poke(id.clone());
    }
    let steps = vec![format!("pinned Stack {id} to catalogue {revision}")];
    let behind = inputs.installed.iter().filter(|(_, installed)| installed.catalogue != revision);
    let behind: Vec<&str> = behind.map(|(block, _)| block.as_str()).collect();
    Ok(match behind.as_slice() {
        [] => Verdict::Done { message: format!("all blocks are from catalogue {revision}"), steps },
        behind => Verdict::UnderWay {
            message: format!("{} are being brought to catalogue {revision}", listed(behind)),
            steps,
        },
    })
}

/// Begins a step, goes on after a failure or goes back.
async fn to_version(
    target: &UpgradeTarget,
    operation: &Operation,
    before: &OperationStatus,
    stack: &Stack,
    inputs: &Inputs,
    context: &Context,
) -> Result<Verdict, CallError> {
    let id = id_of(stack);
    let uid = operation.uid().unwrap_or_default();
    let block = target.block.clone().unwrap_or_default();
    let to = target.to.clone().unwrap_or_default();
    let record = inputs.installed.get(&block);
    let is_ours = |record: &&Installed| record.asked.as_ref().is_some_and(|asked| asked.uid == uid);
    let wrote = before.steps.iter().any(|step| step.starts_with(WROTE));
    if let Some(record) = record.filter(|record| is_ours(record) || (wrote && has_come_to(record, &to))) {
        return Ok(told(record, &block, &to, before.steps.clone(), stack));
    }
    let namespace = namespace_of(stack, &block);
    if wrote {
        return Ok(Verdict::Failed(format!(
            "its record is no longer on namespace {namespace}: another Operation took its place, or the Stack asks for another version"
        )));
    }
    let plan = match plinth_plan::plan(stack, inputs) {
        Ok(plan) => plan,
        Err(_) => return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}"))),
    };
    let next = match admit(stack, &plan, inputs, target, &operation.name_any(), &uid) {
        Ok(Some(next)) => next,
        Ok(None) => {
            let message = format!("block {block} runs version {to} already");
            return Ok(Verdict::Done { message, steps: Vec::new() });
        }
        Err(why) => return Ok(Verdict::Refused(why)),
    };
    if let Some(secret) = &target.identity_secret
        && let Some(why) = without_key("upgrade", secret, &id, context).await?
    {
        return Ok(Verdict::Refused(why));
    }
    let goes_on = next.step.as_ref().is_some_and(|step| step.phase != Phase::Returning);
    if goes_on && before.steps.is_empty() {
        let removed = remove_failed(&plan, &block, stack, context).await?;
        if !removed.is_empty() {
            context.clusters.home().observer.triggers().poke(id);
            return Ok(Verdict::UnderWay {
                message: "what had failed is run again".to_owned(),
                steps: vec![format!("removed {}, which had failed, to be run again", listed(&removed))],
            });
        }
    }
    write_installed(context, stack, &Installs::from([(block.clone(), next.clone())])).await?;
    context.clusters.home().observer.triggers().poke(id);
    let wrote = format!("{WROTE} {namespace} that version {to} of block {block} is asked for");
    let steps = before.steps.iter().cloned().chain([wrote]).collect();
    Ok(told(&next, &block, &to, steps, stack))
}

/// Removes Jobs that have failed: a Job that is not there is made. What has run to its end is not run again.
async fn remove_failed(
    plan: &Plan,
    block: &str,
    stack: &Stack,
    context: &Context,
) -> Result<Vec<String>, CallError> {
    let mut removed = Vec::new();
    let Some(block) = plan.blocks.iter().find(|planned| planned.name == block) else { return Ok(removed) };
    let hand = context.hand(&id_of(stack), block.cluster.as_deref())?;
    let cluster = hand.cluster();
    for job in jobs(block) {
        let Some(live) = cluster.observer.store().object(&job.key).filter(has_failed) else { continue };
        let Some(served) = cluster.kinds.served(&job.key.api_version, &job.key.kind).await? else { continue };
        match hand.writer().delete(&served, &job.key, &live.uid).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => removed.push(job.key.to_string()),
        }
    }
    Ok(removed)
}

fn jobs(block: &BlockPlan) -> impl Iterator<Item = &plinth_plan::model::Desired> {
    block.units.iter().flat_map(|unit| &unit.objects).filter(|object| object.key.kind == "Job")
}

fn has_failed(live: &Live) -> bool {
    let conditions = live.body.pointer("/status/conditions").and_then(|conditions| conditions.as_array());
    conditions.into_iter().flatten().any(|c| c["type"] == "Failed" && c["status"] == "True")
}

fn has_come_to(record: &Installed, to: &str) -> bool {
    record.version == to && record.step.is_none()
}

/// What the record says, in the words of an Operation's status.
fn told(record: &Installed, block: &str, to: &str, mut steps: Vec<String>, stack: &Stack) -> Verdict {
    let mut note = |step: String| {
        if !steps.contains(&step) {
            steps.push(step);
        }
    };
    if let Some(point) = record.step.as_ref().and_then(|step| step.point.as_ref()) {
        let databases: Vec<&String> = point.databases.iter().collect();
        if !databases.is_empty() {
            note(format!("took restore point {} of {}", point.backup, listed(&databases)));
        }
    }
    if let Some(before) = &record.before {
        note(format!("brought block {block} from version {} to {}", before.version, record.version));
    }
    if has_come_to(record, to) {
        if let Some(returned) = &record.returned {
            note(format!("brought block {block} back from version {}", returned.from));
        }
        return Verdict::Done { message: format!("block {block} runs version {to}"), steps };
    }
    let blocks = stack.status.iter().flat_map(|status| &status.blocks);
    let says = blocks.filter(|summary| summary.name == block).find_map(|summary| summary.message.clone());
    let Some(step) = &record.step else {
        // It may wait for a maintenance window.
        let message = says.unwrap_or_else(|| {
            format!("block {block} runs version {}; the next step is about to begin", record.version)
        });
        return Verdict::UnderWay { message, steps };
    };
    if let Some(why) = &step.failed {
        let name = stack.name_any();
        return Verdict::Failed(format!(
            "{why}; {}",
            after_failure(&name, block, (&record.version, to), step)
        ));
    }
    let message =
        says.unwrap_or_else(|| format!("block {block} is on its way from {} to {to}", record.version));
    Verdict::UnderWay { message, steps }
}
