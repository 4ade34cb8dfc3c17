//! An installation on the real control plane, its life as Helm leads it, and an operator that runs with nothing but what it brought.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client};
use plinth::run::Options;
use plinth_api::Stack;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{ControlPlane, Nodes};
use plinth_runtime::clusters::Access;
use serde_json::{Value, json};

use super::CHART;
use super::account::{NAMESPACE, kubeconfig_of_the_account};
use super::house::{Operator, eventually, ready, smallest};
use super::tools::{said, tool};

/// Until Helm has seen the pods ready.
const PATIENCE: &str = "--timeout=5m";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Helm, which is built: e2e/all chart"]
async fn what_the_chart_installs_brings_a_stack_up_is_upgraded_and_leaves_it_when_it_goes() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = cluster.client().await?;
    // Where nothing is admitted that Pod Security's strictest level refuses.
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": NAMESPACE, "labels": labels } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;

    let folder = tempfile::tempdir()?;
    let older = older_chart(folder.path())?;
    helm(&cluster, &["install", "plinth", &older, "--wait", PATIENCE]).await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let status = deployments.get("plinth").await?.status.unwrap_or_default();
    ensure!(status.ready_replicas == Some(2), "{status:?}");

    // Nodes are simulated, so that the pods run nothing. The same program runs here, as the account that the chart made.
    let dpi: Namespace = serde_json::from_value(json!({ "metadata": { "name": "dpi" } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &dpi).await?;
    let operator = Operator::run(Options {
        access: Access {
            kubeconfig: Some(kubeconfig_of_the_account(&cluster, &client, folder.path()).await?),
            context: None,
        },
        lease_namespace: Some(NAMESPACE.to_owned()),
        identity: Some("pod".to_owned()),
        ..Options::default()
    });
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    stacks.create(&PostParams::default(), &smallest()?).await?;
    ready(&stacks, "small").await?;

    let columns = async || -> Result<usize> {
        let definition = definition(&client).await?;
        Ok(definition.spec.versions[0].additional_printer_columns.as_ref().map_or(0, Vec::len))
    };
    let before = columns().await?;
    helm(&cluster, &["upgrade", "plinth", CHART, "--wait", PATIENCE]).await?;
    ensure!(columns().await? == before + 1, "the kinds are not upgraded with the chart");

    helm(&cluster, &["uninstall", "plinth", "--wait", PATIENCE]).await?;
    ensure!(deployments.get_opt("plinth").await?.is_none());
    ensure!(definition(&client).await?.metadata.deletion_timestamp.is_none(), "the kinds go with the chart");
    stacks.get("small").await.context("the Stack goes with the chart")?;
    operator.kill().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Helm and kubectl, which are built: e2e/all chart"]
async fn kubectl_waits_for_a_stack() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = super::house::prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    stacks.create(&PostParams::default(), &smallest()?).await?;
    let operator = Operator::start(&cluster, "me");
    let mut kubectl = tokio::process::Command::new(cluster.binaries().kubectl());
    kubectl.arg("--kubeconfig").arg(cluster.kubeconfig());
    kubectl.args(["-n", "dpi", "wait", "--for=condition=Ready", "--timeout=300s", "stack/small"]);
    let waited = kubectl.output().await?;
    ensure!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    ready(&stacks, "small").await?;
    operator.stop().await
}

async fn definition(client: &Client) -> Result<CustomResourceDefinition> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = eventually("the Stack's definition can be read", async || {
        Ok(api.get_opt("stacks.plinth.dev").await?)
    });
    tokio::time::timeout(Duration::from_secs(30), found).await?
}

/// Helm, as an administrator of the cluster.
pub(crate) async fn helm(cluster: &ControlPlane, arguments: &[&str]) -> Result<String> {
    let mut helm = tool("helm").await?;
    helm.args(arguments).args(["--namespace", NAMESPACE]).arg("--kubeconfig").arg(cluster.kubeconfig());
    tokio::task::spawn_blocking(move || said(&mut helm)).await?
}

/// A copy of the chart whose Stack has a column less.
fn older_chart(folder: &Path) -> Result<String> {
    let copy = folder.join("older");
    copy_all(Path::new(CHART), &copy)?;
    let path = copy.join("files/crds/plinth.dev_stacks.yaml");
    let mut definition: Value = serde_yaml::from_str(&std::fs::read_to_string(&path)?)?;
    let columns = definition.pointer_mut("/spec/versions/0/additionalPrinterColumns");
    columns.and_then(Value::as_array_mut).and_then(Vec::pop).context("a column")?;
    std::fs::write(&path, serde_yaml::to_string(&definition)?)?;
    Ok(copy.display().to_string())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_all(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
