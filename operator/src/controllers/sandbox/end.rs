//! The end of a Sandbox: its Stack goes with its data, then the namespace that it was in. Every step can be repeated.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use plinth_api::v1alpha1::sandbox::SandboxPhase;
use plinth_api::{Sandbox, Stack, names};
use plinth_plan::model::ObjectKey;
use plinth_plan::sandbox::{id, place};
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::observe::own;

use super::{Sandboxes, key_of};
use crate::controllers::claims::finalizer;
use crate::controllers::context::Context;

impl Sandboxes {
    /// Whether a namespace is that of a Sandbox which is on its way out. Known before the namespace goes, and so before any watch
    /// shows that it does.
    pub(in crate::controllers) fn is_ending(&self, namespace: &str) -> bool {
        let all = self.all.state();
        all.iter().filter_map(|guard| guard.0.as_ref().ok()).any(|sandbox| {
            let told = self.recall(&id(sandbox)).told.or_else(|| sandbox.status.clone());
            let over = sandbox.metadata.deletion_timestamp.is_some()
                || told.is_some_and(|status| status.phase == SandboxPhase::Expiring);
            over && place(sandbox).namespace == namespace
        })
    }
}

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

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::super::{Clock, Feeds, Memory, Pace};
    use super::*;

    /// What is known where one Sandbox is, `demo` in `donors`.
    fn knowing(deleted: Value, phase: &str) -> (Sandboxes, Feeds) {
        let (sandboxes, mut feeds) = Sandboxes::new(store().0, Clock::default(), Pace::default());
        let sandbox = json!({
            "apiVersion": "plinth.dev/v1alpha1",
            "kind": "Sandbox",
            "metadata": { "name": "demo", "namespace": "donors", "deletionTimestamp": deleted },
            "spec": { "owner": { "team": "one", "contact": "one@example", "groups": ["one"] }, "ttl": "1d" },
            "status": { "phase": phase },
        });
        let sandbox: Sandbox = serde_json::from_value(sandbox).unwrap();
        feeds.sandboxes.apply_watcher_event(&Event::Apply(DeserializeGuard(Ok(sandbox))));
        (sandboxes, feeds)
    }

    #[test]
    fn a_namespace_ends_with_its_sandbox_and_no_other_does() {
        let now = json!("2026-01-01T00:00:00Z");
        let cases = [
            ("it lives", json!(null), "Awake", false),
            ("it is deleted", now, "Awake", true),
            ("its time is over", json!(null), "Expiring", true),
            ("it was taken away before", json!(null), "Expired", false),
        ];
        for (name, deleted, phase, wanted) in cases {
            let (known, _feeds) = knowing(deleted, phase);
            let sandbox = known.all.state()[0].0.as_ref().unwrap().clone();
            assert_eq!(known.is_ending(&place(&sandbox).namespace), wanted, "{name}");
            assert!(!known.is_ending("donors"), "{name}: the namespace that it was asked for in stays");
        }
    }

    #[test]
    fn what_was_told_last_counts_before_the_watch_shows_it() {
        let (known, _feeds) = knowing(json!(null), "Awake");
        let sandbox = known.all.state()[0].0.as_ref().unwrap().clone();
        let told = serde_json::from_value(json!({ "phase": "Expiring" })).unwrap();
        known.remember(&id(&sandbox), Memory { told: Some(told), ..Memory::default() });
        assert!(known.is_ending(&place(&sandbox).namespace));
    }
}
