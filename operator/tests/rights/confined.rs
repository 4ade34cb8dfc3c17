//! RBAC knows no labels: that the operator's account changes nothing but what is Plinth's is said by a policy.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth_api::names;
use serde_json::json;

use super::stages::client_of;

/// Somebody else's things are tried with the operator's token. Nothing is written: each refusal is the policy's, and each attempt
/// names no right that is lacking.
pub(crate) async fn what_is_not_plinths_is_safe(kubeconfig: &Path, client: &Client) -> Result<()> {
    // Under another agent's name, so that these refusals are not taken for the operator's own.
    let thief = client_of(kubeconfig).await?;
    let ministry: Namespace = serde_json::from_value(json!({ "metadata": { "name": "ministry" } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &ministry).await?;
    let secret: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "own" }, "stringData": { "a": "b" } }))?;
    Api::namespaced(client.clone(), "ministry").create(&PostParams::default(), &secret).await?;

    let mine = json!({ "metadata": { "labels": { names::LABEL_MANAGED_BY: names::MANAGED_BY } } });
    let secrets: Api<Secret> = Api::namespaced(thief.clone(), "ministry");
    let taken = secrets.patch("own", &PatchParams::default(), &Patch::Merge(&mine)).await;
    refused(taken, "it exists and is not Plinth's")?;
    let spoiled = Patch::Merge(json!({ "stringData": { "a": "c" } }));
    let changed = secrets.patch("own", &PatchParams::default(), &spoiled).await;
    refused(changed, "Plinth writes only what carries the label")?;
    refused(secrets.delete("own", &DeleteParams::default()).await, "it exists and is not Plinth's")?;
    let namespaces: Api<Namespace> = Api::all(thief.clone());
    let taken = namespaces.patch("ministry", &PatchParams::default(), &Patch::Merge(&mine)).await;
    refused(taken, "it exists and is not Plinth's")?;
    refused(namespaces.delete("ministry", &DeleteParams::default()).await, "it exists and is not Plinth's")?;
    let plain: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "plain" } }))?;
    let config_maps: Api<ConfigMap> = Api::namespaced(thief, "ministry");
    let made = config_maps.create(&PostParams::default(), &plain).await;
    refused(made, "Plinth writes only what carries the label")
}

fn refused<T>(result: kube::Result<T>, why: &str) -> Result<()> {
    match result {
        Ok(_) => anyhow::bail!("was let through, expected: {why}"),
        Err(kube::Error::Api(status)) => {
            ensure!(status.message.contains(why), "{}", status.message);
            Ok(())
        }
        Err(other) => Err(other).context("expected a refusal"),
    }
}
