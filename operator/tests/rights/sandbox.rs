//! A life of a Sandbox: what the operator makes for it, and takes away again.

use anyhow::{Result, ensure};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use plinth_api::Sandbox;
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::v1alpha1::sandbox::SandboxPhase;
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
    sandboxes.delete("trial", &DeleteParams::default()).await?;
    eventually("the Sandbox is gone", async || Ok(sandboxes.get_opt("trial").await?.is_none().then_some(())))
        .await
}
