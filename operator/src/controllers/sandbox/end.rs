//! The end of a Sandbox: its Stack goes with its data, then the namespace that it was in. Every step can be repeated.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use plinth_api::{Sandbox, Stack, names};
use plinth_plan::model::ObjectKey;
use plinth_plan::sandbox::{id, place};
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::observe::own;

use super::key_of;
use crate::controllers::claims::finalizer;
use crate::controllers::context::Context;

/// Takes away what a Sandbox has. What is left of it, in words; `None` when nothing is.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn remove(sandbox: &Sandbox, context: &Context) -> Result<Option<String>, CallError> {
    let (spot, home) = (place(sandbox), context.clusters.home());
    let writer = context.applier.writer();
    let (api_version, kind) = own("Stack");
    let key = ObjectKey { api_version, kind, namespace: Some(spot.namespace.clone()), name: spot.name };
    if let Some(served) = home.kinds.served(&key.api_version, &key.kind).await?
        && let Some(found) =
            home.caller.get::<PartialObjectMeta<Stack>>(&served, &key, Answer::Metadata).await?
        && found.annotations().get(names::ANNOTATION_SANDBOX) == Some(&id(sandbox))
    {
        if found.metadata.deletion_timestamp.is_none() {
            writer.delete(&served, &key, found.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        let said = context.sandboxes.stack(&spot.namespace, &key.name).and_then(|stack| {
            let conditions = stack.status?.conditions;
            conditions.into_iter().find(|c| c.type_ == "Ready").map(|ready| ready.message)
        });
        return Ok(Some(format!("{key} is being deleted: {}", said.unwrap_or_default())));
    }
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: None,
        name: spot.namespace,
    };
    if let Some(served) = home.kinds.served("v1", "Namespace").await?
        && let Some(found) =
            home.caller.get::<PartialObjectMeta<Namespace>>(&served, &key, Answer::Metadata).await?
        && found.annotations().get(names::ANNOTATION_SANDBOX) == Some(&id(sandbox))
    {
        if found.metadata.deletion_timestamp.is_none() {
            writer.delete(&served, &key, found.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        return Ok(Some(format!("{key} is being deleted")));
    }
    Ok(None)
}

/// Takes our finalizer off: nothing is left that it would hold.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn release(sandbox: &Sandbox, context: &Context) -> Result<(), CallError> {
    let key = key_of(sandbox);
    if !sandbox.finalizers().iter().any(|name| name == names::FINALIZER) {
        return Ok(());
    }
    let Some(served) = context.clusters.home().kinds.served(&key.api_version, &key.kind).await? else {
        return Ok(());
    };
    finalizer(&key, sandbox.metadata.uid.as_deref(), false, &served, context).await
}
