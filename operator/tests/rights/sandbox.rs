//! A life of a Sandbox: what the operator makes for it, and takes away again.

use anyhow::{Result, ensure};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::v1alpha1::sandbox::SandboxPhase;
use plinth_api::{Member, Registry, Sandbox};
use serde_json::json;

use super::house::{eventually, operation};

/// Kinds that no product renders: they bound the Stack of a Sandbox.
pub(crate) const BOUNDS: &[&str] = &["limitranges", "resourcequotas", "rolebindings"];

pub(crate) async fn one_lives_and_ends(client: &Client) -> Result<()> {
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), "dpi");
    let sandbox = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Sandbox", "metadata": { "name": "trial", "namespace": "dpi" },
        "spec": {
            "fromStack": { "name": "small" },
            "owner": { "team": "trial", "contact": "trial@example", "groups": ["oidc:trial"] },
            "ttl": "1d",
        },
    });
    sandboxes.create(&PostParams::default(), &serde_json::from_value(sandbox)?).await?;
    eventually("the Sandbox is awake", async || {
        let status = sandboxes.get("trial").await?.status.unwrap_or_default();
        let there = status.phase == SandboxPhase::Awake && status.credentials_secret.is_some();
        Ok(there.then_some(()))
    })
    .await?;
    let sleep = json!({ "sandbox": "trial", "type": "Sleep", "reason": "the weekend" });
    let asleep = operation(client, "sleep-trial", "anna", sleep).await?;
    ensure!(asleep.phase == OperationPhase::Succeeded, "{asleep:?}");
    gone(&sandboxes, "trial").await
}

/// Of a template that declares agencies beside its Stack, these are made. Nobody waits for the Stack.
pub(crate) async fn one_has_agencies_of_its_own(client: &Client) -> Result<()> {
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), "dpi");
    let sandbox = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Sandbox", "metadata": { "name": "civil", "namespace": "dpi" },
        "spec": {
            "template": "civil-registration",
            "owner": { "team": "civil", "contact": "civil@example", "groups": ["oidc:civil"] },
            "ttl": "1d",
        },
    });
    let sandbox: Sandbox = serde_json::from_value(sandbox)?;
    let home = plinth_plan::sandbox::place(&sandbox).namespace;
    sandboxes.create(&PostParams::default(), &sandbox).await?;
    let members: Api<Member> = Api::namespaced(client.clone(), &home);
    let registries: Api<Registry> = Api::namespaced(client.clone(), &home);
    eventually("its agency answers for its register", async || {
        let member = members.get_opt("civil").await?;
        let registry = registries.get_opt("persons").await?;
        let is_told = registry.and_then(|registry| registry.status).is_some();
        Ok((member.is_some() && is_told).then_some(()))
    })
    .await?;
    gone(&sandboxes, "civil").await
}

async fn gone(sandboxes: &Api<Sandbox>, name: &str) -> Result<()> {
    sandboxes.delete(name, &DeleteParams::default()).await?;
    eventually("the Sandbox is gone", async || Ok(sandboxes.get_opt(name).await?.is_none().then_some(())))
        .await
}
