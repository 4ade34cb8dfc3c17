//! What somebody has said yes to last, kept for as long as something newer waits for its yes (I/O). A change that waits
//! stops nothing: what was approved goes on being reconciled, and what agencies take back is taken back on time.
//!
//! It is kept the way Kubernetes keeps what a workload was before: as a ControllerRevision of the Stack, named after the
//! hash that was approved. Whoever could write another one gains nothing: its plan has to have that hash.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::ObjectList;
use kube::{Resource, ResourceExt};
use plinth_api::{Stack, StackSpec, names};
use plinth_plan::Inputs;
use plinth_plan::model::{ObjectKey, Plan, StackId};
use plinth_runtime::call::{Answer, CallError, Served};
use plinth_runtime::status::id_of;
use serde::de::IgnoredAny;

use super::context::{Approved, Context, Memory, Planned};
use super::dereference::dereference;
use super::reach::Reach;

/// So many are kept, as a Deployment keeps its own.
const KEPT: usize = 10;

/// A Stack that runs, and by what.
pub(super) struct Running {
    /// The Stack, with the spec that runs.
    pub stack: Stack,
    /// What its plan was made from.
    pub inputs: Inputs,
    /// Its plan.
    pub plan: Arc<Plan>,
}

/// What was approved before, where that can still be run as it was approved.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn before(
    stack: &Stack,
    reach: &Reach,
    memory: &mut Memory,
    context: &Context,
) -> Result<Option<Running>, CallError> {
    let Some(hash) = stack.status.as_ref().and_then(|status| status.approved_hash.clone()) else {
        return Ok(None);
    };
    let known = memory.approved.take().filter(|approved| approved.hash == hash);
    let approved = match known {
        Some(approved) => approved,
        None => Approved { spec: kept(stack, &hash, context).await?, hash, plan: None },
    };
    let approved = memory.approved.insert(approved);
    let Some(spec) = approved.spec.clone() else { return Ok(None) };
    let stack = Stack { spec, ..stack.clone() };
    let (inputs, digest) = dereference(&stack, reach, context).await?;
    // The spec is one and the same for this hash: what else it was made from is all that can change.
    let made_from = (0, digest);
    let planned = match approved.plan.take() {
        Some(planned) if planned.made_from == made_from => planned,
        _ => Planned { made_from, result: plinth_plan::plan(&stack, &inputs).map(Arc::new) },
    };
    // Something else has moved on, say the catalogue: then nobody has said yes to what would come of it now.
    let plan = planned.result.as_ref().ok().filter(|plan| plan.hash == approved.hash).cloned();
    approved.plan = Some(planned).filter(|_| plan.is_some());
    Ok(plan.map(|plan| Running { stack, inputs, plan }))
}

/// After the yes that no yes is needed any more, none is on record: the next change is free.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn forget(stack: &Stack, context: &Context) -> Result<(), CallError> {
    let Some(status) = stack.status.as_ref().filter(|status| status.approved_hash.is_some()) else {
        return Ok(());
    };
    match context.status.approve(stack, None, &status.approved_steps).await {
        // The Stack has changed since it was read: whoever looks at it next does the same.
        Err(error) if error.is_conflict() => Ok(()),
        other => other,
    }
}

/// Keeps the spec whose plan was approved under `hash`.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn keep(
    stack: &Stack,
    hash: &str,
    memory: &mut Memory,
    context: &Context,
) -> Result<(), CallError> {
    if memory.kept.as_deref() == Some(hash) {
        return Ok(());
    }
    let key = key(stack, hash);
    let Some(served) = served(&key, context).await? else { return Ok(()) };
    let caller = &context.clusters.home().caller;
    if caller.get::<IgnoredAny>(&served, &key, Answer::Metadata).await?.is_none() {
        let body = serde_json::to_vec(&revision(stack, hash)?).map_err(unreadable)?;
        let created =
            context.applier.writer().create::<IgnoredAny>(&served, &key, body, Answer::Metadata).await;
        match created {
            Err(error) if !error.is_already_exists() => return Err(error),
            _ => forget_old(stack, &served, &key, context).await?,
        }
    }
    memory.kept = Some(hash.to_owned());
    Ok(())
}

/// The spec that was approved under `hash`, if it was kept and can be read.
async fn kept(stack: &Stack, hash: &str, context: &Context) -> Result<Option<StackSpec>, CallError> {
    let key = key(stack, hash);
    let Some(served) = served(&key, context).await? else { return Ok(None) };
    let found: Option<ControllerRevision> =
        context.clusters.home().caller.get(&served, &key, Answer::Whole).await?;
    Ok(found.and_then(|revision| revision.data).and_then(|data| serde_json::from_value(data.0).ok()))
}

/// Those beyond the newest few go; the one that was just made never does.
async fn forget_old(
    stack: &Stack,
    served: &Served,
    newest: &ObjectKey,
    context: &Context,
) -> Result<(), CallError> {
    let StackId { namespace, name } = id_of(stack);
    let selector = format!("{}={name}", names::LABEL_STACK);
    let query = [("labelSelector", selector.as_str())];
    let caller = &context.clusters.home().caller;
    let mut all: ObjectList<ControllerRevision> =
        caller.list(served, Some(&namespace), &query, Answer::Whole).await?;
    all.items.retain(|revision| revision.name_any() != newest.name);
    all.items.sort_by_key(|revision| std::cmp::Reverse(revision.metadata.creation_timestamp.clone()));
    for old in all.items.iter().skip(KEPT - 1) {
        let key = ObjectKey { name: old.name_any(), ..newest.clone() };
        context.applier.writer().delete(served, &key, &old.uid().unwrap_or_default()).await?;
    }
    Ok(())
}

fn revision(stack: &Stack, hash: &str) -> Result<ControllerRevision, CallError> {
    let labels = [
        (names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned()),
        (names::LABEL_STACK.to_owned(), stack.name_any()),
    ];
    let key = key(stack, hash);
    Ok(ControllerRevision {
        metadata: kube::core::ObjectMeta {
            name: Some(key.name),
            namespace: key.namespace,
            labels: Some(labels.into()),
            owner_references: Some(stack.controller_owner_ref(&()).into_iter().collect()),
            ..Default::default()
        },
        data: Some(RawExtension(serde_json::to_value(&stack.spec).map_err(unreadable)?)),
        revision: stack.metadata.generation.unwrap_or_default(),
    })
}

fn key(stack: &Stack, hash: &str) -> ObjectKey {
    let digits = hash.trim_start_matches("sha256:");
    ObjectKey {
        api_version: ControllerRevision::api_version(&()).into_owned(),
        kind: ControllerRevision::kind(&()).into_owned(),
        namespace: stack.namespace(),
        name: format!("{}-approved-{}", stack.name_any(), &digits[..digits.len().min(16)]),
    }
}

async fn served(key: &ObjectKey, context: &Context) -> Result<Option<Served>, CallError> {
    context.clusters.home().kinds.served(&key.api_version, &key.kind).await
}

fn unreadable(error: serde_json::Error) -> CallError {
    CallError::Lost(error.to_string())
}
