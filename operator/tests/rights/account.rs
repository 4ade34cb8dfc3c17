//! The account that `plinth rbac` prints, and a kubeconfig with nothing but its token.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use plinth_api::admission;
use plinth_api::rights::{self, Account, Cluster};
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

/// Namespace of the operator.
pub(crate) const NAMESPACE: &str = "plinth-system";

/// The account.
pub(crate) fn account() -> Account {
    Account { namespace: NAMESPACE.to_owned(), name: "plinth".to_owned() }
}

/// Installs what `plinth rbac --cluster workload` prints. Returns the account's kubeconfig.
pub(crate) async fn install_on_site(cluster: &TestCluster, folder: &Path) -> Result<String> {
    let client = cluster.client().await?;
    make_namespace(&client).await?;
    let account = account();
    for object in
        rights::roles(&account, Cluster::Workload).into_iter().chain(admission::confined(&account.user()))
    {
        apply(&client, &object).await?;
    }
    Ok(std::fs::read_to_string(kubeconfig_of_the_account(cluster, &client, folder).await?)?)
}

async fn make_namespace(client: &Client) -> Result<()> {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Installs account, roles and policies. Returns the path of the account's kubeconfig.
pub(crate) async fn install(
    cluster: &TestCluster,
    client: &Client,
    extensions: &BTreeSet<&str>,
    folder: &Path,
) -> Result<PathBuf> {
    make_namespace(client).await?;
    let account = account();
    let objects = rights::roles(&account, Cluster::Hub)
        .into_iter()
        .chain(rights::beyond(&account, extensions))
        .chain(rights::console(&account))
        .chain(rights::people())
        .chain(admission::objects(&account.user()));
    for object in objects {
        apply(client, &object).await?;
    }
    kubeconfig_of_the_account(cluster, client, folder).await
}

/// Writes a kubeconfig that holds nothing but a token of the account.
pub(crate) async fn kubeconfig_of_the_account(
    cluster: &TestCluster,
    client: &Client,
    folder: &Path,
) -> Result<PathBuf> {
    let account = account();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &account.namespace);
    let asked: TokenRequest = serde_json::from_value(json!({ "spec": { "audiences": [] } }))?;
    let token = accounts.create_token_request(&account.name, &PostParams::default(), &asked).await?;
    let token = token.status.context("a token")?.token;

    let text = std::fs::read_to_string(cluster.kubeconfig())?;
    let mut config: Value = serde_yaml::from_str(&text)?;
    config["users"][0]["user"] = json!({ "token": token });
    let path = folder.join("kubeconfig");
    std::fs::write(&path, serde_yaml::to_string(&config)?)?;
    Ok(path)
}

/// Server-side apply, as an administrator.
pub(crate) async fn apply(client: &Client, object: &Value) -> Result<()> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("/kind")));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let params = PatchParams::apply("test").validation_strict();
    let name = text("/metadata/name");
    api.patch(name, &params, &Patch::Apply(object)).await.with_context(|| name.to_owned())?;
    Ok(())
}
