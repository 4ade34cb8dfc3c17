//! Operations: what a person asked once. Each is carried out at most once and tells in its status who asked, what was
//! done and how it ended. Every step can be repeated, so that a crash in the middle is finished by the next process.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action as Next;
use kube::{Resource, ResourceExt};
use plinth_api::v1alpha1::operation::{OperationPhase, OperationType};
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_plan::expr::listed;
use plinth_plan::model::{ObjectKey, StackId};
use plinth_runtime::call::CallError;
use plinth_runtime::observe::own;

use super::backup::backup;
use super::context::{Context, now};
use super::failover::take_over;
use super::moving::migrate;
use super::restoring::restore;
use super::rotation::rotate;
use super::sandbox::operate::operate;
use super::upgrade::upgrade;

/// A step that cannot be taken yet is tried again so often.
const AGAIN: Duration = Duration::from_secs(2);

/// How an attempt ended.
pub(super) enum Verdict {
    /// Done; what was done.
    Done { message: String, steps: Vec<String> },
    /// Not allowed; nothing was changed.
    Refused(String),
    /// Cannot work as it was asked.
    Failed(String),
    /// Something is not there yet.
    NotYet(String),
    /// It goes on by itself; what was done so far.
    UnderWay { message: String, steps: Vec<String> },
}

/// One look at an Operation. Never fails: what goes wrong is in its status.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<Operation>>,
    context: Arc<Context>,
) -> Result<Next, Infallible> {
    let began = Instant::now();
    context.metrics.reconcile_begins("operation");
    let next = match &guard.0 {
        Ok(operation) => run(operation, &context).await,
        Err(invalid) => {
            tracing::warn!(operation = guard.name_any(), %invalid, "an Operation is not understood");
            Next::await_change()
        }
    };
    context.metrics.reconcile_ended("operation", began.elapsed());
    Ok(next)
}

/// `reconcile` has no error.
pub fn on_error(_: Arc<DeserializeGuard<Operation>>, error: &Infallible, _: Arc<Context>) -> Next {
    match *error {}
}

async fn run(operation: &Operation, context: &Context) -> Next {
    let before = operation.status.clone().unwrap_or_default();
    let ended =
        matches!(before.phase, OperationPhase::Succeeded | OperationPhase::Refused | OperationPhase::Failed);
    if ended || operation.metadata.deletion_timestamp.is_some() || context.applier.writer().check().is_err() {
        return Next::await_change();
    }
    let by = annotation(operation, names::ANNOTATION_AUTHOR);
    let verdict = match attempt(operation, &before, by.as_deref(), context).await {
        Ok(verdict) => verdict,
        Err(CallError::NotLeader(_)) => return Next::await_change(),
        Err(error) => Verdict::NotYet(error.to_string()),
    };
    let status = status(operation, before.clone(), by, verdict);
    if status != before {
        let (api_version, kind) = own("Operation");
        let key =
            ObjectKey { api_version, kind, namespace: operation.namespace(), name: operation.name_any() };
        match context.status.other(&key, operation.metadata.uid.as_deref(), &status).await {
            Err(CallError::NotLeader(_)) => return Next::await_change(),
            Err(error) if error.is_not_found() => return Next::await_change(),
            Err(error) => {
                tracing::warn!(operation = %key, %error, "its status cannot be written; it is tried again");
                return Next::requeue(AGAIN);
            }
            Ok(()) => {}
        }
    }
    match status.phase {
        OperationPhase::Pending | OperationPhase::Running => Next::requeue(AGAIN),
        _ => Next::await_change(),
    }
}

fn status(
    operation: &Operation,
    before: OperationStatus,
    by: Option<String>,
    verdict: Verdict,
) -> OperationStatus {
    let (_, now) = now();
    let (phase, message, steps) = match verdict {
        Verdict::Done { message, steps } => (OperationPhase::Succeeded, message, steps),
        Verdict::Refused(message) => (OperationPhase::Refused, message, Vec::new()),
        Verdict::Failed(message) => (OperationPhase::Failed, message, before.steps),
        Verdict::NotYet(message) => (OperationPhase::Running, message, before.steps),
        Verdict::UnderWay { message, steps } => (OperationPhase::Running, message, steps),
    };
    let finished_at = (phase != OperationPhase::Running).then(|| now.clone());
    OperationStatus {
        observed_generation: operation.metadata.generation,
        phase,
        by,
        message: Some(message),
        started_at: before.started_at.or(Some(now)),
        finished_at,
        steps,
        conditions: before.conditions,
    }
}

async fn attempt(
    operation: &Operation,
    before: &OperationStatus,
    by: Option<&str>,
    context: &Context,
) -> Result<Verdict, CallError> {
    if let Some(sandbox) = &operation.spec.sandbox {
        return operate(operation, sandbox, by, context).await;
    }
    let id =
        StackId { namespace: operation.namespace().unwrap_or_default(), name: operation.spec.stack.clone() };
    let stacks: Api<Stack> = Api::namespaced(context.clusters.home().clients.requests.clone(), &id.namespace);
    let stack = match stacks.get_opt(&id.name).await {
        Ok(Some(stack)) => stack,
        Ok(None) => return Ok(Verdict::Failed(format!("there is no Stack {id}"))),
        Err(error) => return Ok(Verdict::NotYet(format!("Stack {id} cannot be read: {error}"))),
    };
    match operation.spec.kind {
        OperationType::Approve => approve(operation, by, &id, &stack, context).await,
        OperationType::Rotate => rotate(operation, &id, context).await,
        OperationType::MigrateProvider => migrate(operation, before, &stack, context).await,
        OperationType::Backup => backup(operation, &stack, context).await,
        OperationType::Restore => restore(operation, before, &stack, context).await,
        OperationType::Extend | OperationType::Sleep | OperationType::Wake => {
            Ok(Verdict::Failed("it names no Sandbox".to_owned()))
        }
        OperationType::Upgrade => upgrade(operation, before, &stack, context).await,
        OperationType::Failover | OperationType::Switchback => {
            take_over(operation, before, &stack, context).await
        }
    }
}

/// Four eyes: the plan is named by its hash, and who names it is allowed to and did not author the change.
async fn approve(
    operation: &Operation,
    by: Option<&str>,
    id: &StackId,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let (Some(by), Some(author)) = (by, annotation(stack, names::ANNOTATION_AUTHOR)) else {
        return Ok(Verdict::Refused(format!(
            "the API server does not stamp {} on Stacks and Operations, so nobody can tell who asks: \
             install Plinth's admission policies (plinth crds)",
            names::ANNOTATION_AUTHOR
        )));
    };
    if by == author {
        return Ok(Verdict::Refused(format!(
            "{by} authored the change and cannot approve it; another person has to"
        )));
    }
    let groups = annotation(operation, names::ANNOTATION_AUTHOR_GROUPS).unwrap_or_default();
    if !may_approve(by, &groups, id, context).await? {
        return Ok(Verdict::Refused(format!(
            "{by} may not approve: the verb `approve` on stacks.{} in namespace {} is not granted",
            names::GROUP,
            id.namespace
        )));
    }
    if let Some(step) = operation.spec.step.as_deref() {
        return approve_step(step, by, id, stack, context).await;
    }
    let Some(hash) = operation.spec.plan_hash.as_deref() else {
        return Ok(Verdict::Failed("it names neither a plan nor a step".to_owned()));
    };
    let status = stack.status.clone().unwrap_or_default();
    let generation = stack.metadata.generation;
    if status.plan_hash.as_deref() != Some(hash) {
        // The plan of the newest spec may not be there yet; an approval must not miss it by a second.
        if status.observed_generation != generation {
            return Ok(Verdict::NotYet("waits for the plan of the Stack's newest spec".to_owned()));
        }
        let held = status.plan_hash.as_deref().unwrap_or("none");
        return Ok(Verdict::Refused(format!(
            "the Stack's plan is {held} by now, not {hash}: look at it again"
        )));
    }
    if status.approved_hash.as_deref() != Some(hash) {
        context.status.approve(stack, Some(hash), &status.approved_steps).await?;
    }
    context.clusters.home().observer.triggers().poke(id.clone());
    Ok(Verdict::Done {
        message: format!("{by} approved plan {hash}"),
        steps: vec![format!("recorded the approval in the status of Stack {id}")],
    })
}

/// A step is named by its Job, whose name ends in a digest of what it does: what was read is what runs.
async fn approve_step(
    step: &str,
    by: &str,
    id: &StackId,
    stack: &Stack,
    context: &Context,
) -> Result<Verdict, CallError> {
    let Some(plan) = context.plan(id).await else {
        return Ok(Verdict::NotYet(format!("waits for a valid plan of Stack {id}")));
    };
    let known: Vec<String> = plan.held_steps().collect();
    if !known.iter().any(|held| held == step) {
        return Ok(Verdict::Refused(format!(
            "{step} is no step of the Stack's plan that waits for a yes; those that do are {}",
            listed(&known)
        )));
    }
    let status = stack.status.clone().unwrap_or_default();
    if !status.approved_steps.iter().any(|approved| approved == step) {
        // What the plan no longer has needs no yes any more.
        let kept = status.approved_steps.into_iter().filter(|approved| known.contains(approved));
        let steps: Vec<String> = kept.chain([step.to_owned()]).collect();
        context.status.approve(stack, status.approved_hash.as_deref(), &steps).await?;
    }
    context.clusters.home().observer.triggers().poke(id.clone());
    Ok(Verdict::Done {
        message: format!("{by} approved step {step}"),
        steps: vec![format!("recorded the approval in the status of Stack {id}")],
    })
}

async fn may_approve(user: &str, groups: &str, id: &StackId, context: &Context) -> Result<bool, CallError> {
    let groups: Vec<String> = groups.lines().map(str::to_owned).collect();
    let reviews: Api<SubjectAccessReview> = Api::all(context.clusters.home().clients.requests.clone());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(groups),
            resource_attributes: Some(ResourceAttributes {
                group: Some(names::GROUP.to_owned()),
                resource: Some("stacks".to_owned()),
                namespace: Some(id.namespace.clone()),
                name: Some(id.name.clone()),
                verb: Some("approve".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    match reviews.create(&PostParams::default(), &review).await {
        Ok(answer) => Ok(answer.status.is_some_and(|status| status.allowed)),
        Err(error) => Err(CallError::Lost(format!("whether {user} may approve cannot be asked: {error}"))),
    }
}

fn annotation(object: &impl Resource, name: &str) -> Option<String> {
    object.meta().annotations.as_ref()?.get(name).filter(|value| !value.is_empty()).cloned()
}
