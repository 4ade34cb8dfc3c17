//! A real node: containers run, find each other, keep what they write, and are kept apart; and nothing of it is left.

mod host;
mod support;

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Component, ControlPlane, Lines, Nodes, Options, TOOLBOX};
use serde_json::{Value, json};

use crate::host::Traces;
use crate::support::{create, namespace, parent_of_a_cluster, within};

/// A container starts in a second; here others compile meanwhile.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_node_runs_pods_and_leaves_nothing() -> Result<()> {
    let before = host::shared()?;
    let traces = TestCluster::run(Nodes::Real, async |cluster| {
        let client = cluster.client().await?;
        it_is_not_called_simulated(&client).await?;
        pods_find_each_other(cluster, &client).await?;
        files_stay(cluster, &client).await?;
        a_failing_probe_is_seen(cluster, &client).await?;
        a_policy_closes_a_path(cluster, &client).await?;
        a_restarted_node_runs_the_same_pods(cluster, &client).await?;
        let traces = Traces::of(cluster.state_dir())?;
        ensure!(!traces.now()?.is_empty(), "while it runs, it is seen");
        anyhow::Ok(traces)
    })
    .await?;
    ensure!(traces.now()?.is_empty(), "left behind: {:#?}", traces.now()?);
    ensure!(host::shared()? == before, "{:#?} is not {before:#?}", host::shared()?);
    Ok(())
}

/// Runs beside the test above: two nodes on one host.
#[tokio::test]
async fn whoever_is_killed_the_host_is_clean_in_the_end() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut parent = parent_of_a_cluster(&["--real", "--name", "killed"], dir.path()).await?;
    let traces = Traces::of(dir.path())?;
    ensure!(!traces.now()?.is_empty(), "while it runs, it is seen");
    parent.kill()?;
    parent.wait()?;
    within(LIMIT, "the node to end with its parent", async || {
        let left = traces.now()?;
        ensure!(left.is_empty(), "{left:#?}");
        Ok(Some(()))
    })
    .await?;

    let options = Options::new("killed").state_dir(dir.path()).nodes(Nodes::Real).detach(true);
    let plane = ControlPlane::start(options, &Lines::default()).await?;
    plane.kill_component(Component::Node).await?;
    ensure!(traces.now()?.iter().any(|line| line.starts_with("cgroup")), "there is something to clean up");
    ControlPlane::stop_at(dir.path()).await?;
    ensure!(traces.now()?.is_empty(), "left behind: {:#?}", traces.now()?);
    Ok(())
}

async fn it_is_not_called_simulated(client: &Client) -> Result<()> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    let names: Vec<_> = nodes.iter().map(|node| node.metadata.name.clone().unwrap_or_default()).collect();
    ensure!(names == ["node-0"], "{names:?}");
    let labels = nodes.items[0].metadata.labels.clone().unwrap_or_default();
    ensure!(!labels.contains_key("plinth.dev/simulated"), "{labels:?}");
    Ok(())
}

async fn pods_find_each_other(cluster: &ControlPlane, client: &Client) -> Result<()> {
    namespace(client, "here").await?;
    let claim = json!({
        "metadata": { "name": "keep" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
    });
    create::<PersistentVolumeClaim>(client, "here", claim).await?;
    create::<Pod>(client, "here", server()).await?;
    create::<Pod>(client, "here", pod("client", json!(["/pause"]))).await?;
    let service = json!({
        "metadata": { "name": "server" },
        "spec": { "selector": { "app": "server" }, "ports": [{ "port": 80, "targetPort": "web" }] },
    });
    create::<Service>(client, "here", service).await?;
    ready(client, "server", true).await?;
    ready(client, "client", true).await?;
    open(cluster, "server:80", true).await?;
    open(cluster, "server.here.svc.cluster.local:80", true).await?;
    // The API server is one of the pods' neighbours too.
    open(cluster, "kubernetes.default:443", true).await?;
    let logs = kubectl(cluster, &["logs", "server"])?;
    ensure!(text(&logs).contains("serving [8080]"), "{logs:?}");
    Ok(())
}

async fn files_stay(cluster: &ControlPlane, client: &Client) -> Result<()> {
    sh(cluster, "server", "echo written > /keep/file")?;
    Api::<Pod>::namespaced(client.clone(), "here").delete("server", &DeleteParams::default()).await?;
    within(LIMIT, "the pod to be gone", async || {
        Ok(Api::<Pod>::namespaced(client.clone(), "here").get_opt("server").await?.is_none().then_some(()))
    })
    .await?;
    create::<Pod>(client, "here", server()).await?;
    ready(client, "server", true).await?;
    let read = sh(cluster, "server", "cat /keep/file")?;
    ensure!(text(&read) == "written\n", "{read:?}");
    Ok(())
}

async fn a_failing_probe_is_seen(cluster: &ControlPlane, client: &Client) -> Result<()> {
    sh(cluster, "server", "echo > /tmp/unhealthy")?;
    ready(client, "server", false).await?;
    open(cluster, "server:80", false).await?;
    sh(cluster, "server", "rm /tmp/unhealthy")?;
    ready(client, "server", true).await?;
    open(cluster, "server:80", true).await
}

async fn a_policy_closes_a_path(cluster: &ControlPlane, client: &Client) -> Result<()> {
    let policy = json!({
        "metadata": { "name": "nobody" },
        "spec": { "podSelector": { "matchLabels": { "app": "server" } }, "policyTypes": ["Ingress"] },
    });
    create::<NetworkPolicy>(client, "here", policy).await?;
    open(cluster, "server:80", false).await?;
    // The kubelet is let in always.
    ready(client, "server", true).await?;
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), "here");
    policies.delete("nobody", &DeleteParams::default()).await?;
    open(cluster, "server:80", true).await
}

async fn a_restarted_node_runs_the_same_pods(cluster: &ControlPlane, client: &Client) -> Result<()> {
    cluster.kill_component(Component::Node).await?;
    cluster.restart_component(Component::Node).await?;
    ready(client, "server", true).await?;
    ready(client, "client", true).await?;
    let read = sh(cluster, "server", "cat /keep/file")?;
    ensure!(text(&read) == "written\n", "{read:?}");
    open(cluster, "server:80", true).await
}

/// Pods of the toolbox as Pod Security `restricted` admits them.
fn pod(name: &str, command: Value) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main",
                "image": TOOLBOX,
                "imagePullPolicy": "Never",
                "command": command,
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}

fn server() -> Value {
    let mut pod = pod("server", json!(["/toolbox", "serve", "8080"]));
    let main = &mut pod["spec"]["containers"][0];
    main["ports"] = json!([{ "name": "web", "containerPort": 8080 }]);
    main["readinessProbe"] =
        json!({ "httpGet": { "path": "/health", "port": "web" }, "periodSeconds": 1, "failureThreshold": 1 });
    main["volumeMounts"] = json!([{ "name": "keep", "mountPath": "/keep" }]);
    pod["spec"]["volumes"] = json!([{ "name": "keep", "persistentVolumeClaim": { "claimName": "keep" } }]);
    pod
}

async fn ready(client: &Client, name: &str, wanted: bool) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), "here");
    within(LIMIT, &format!("Ready={wanted} of the pod {name}"), async || {
        let status = pods.get(name).await?.status.unwrap_or_default();
        let is = status.conditions.iter().flatten().any(|is| is.type_ == "Ready" && is.status == "True");
        ensure!(is == wanted, "{}", serde_json::to_string(&status)?);
        Ok(Some(()))
    })
    .await
}

/// Whether the client can connect to the target, at once or after a while.
async fn open(cluster: &ControlPlane, target: &str, wanted: bool) -> Result<()> {
    within(LIMIT, &format!("open={wanted} of {target}"), async || {
        let tried = kubectl(cluster, &["exec", "client", "--", "/toolbox", "connect", "1s", target])?;
        let answers: Value = serde_json::from_slice(&tried.stdout).with_context(|| format!("{tried:?}"))?;
        ensure!((answers[target] == "") == wanted, "{answers}");
        Ok(Some(()))
    })
    .await
}

fn sh(cluster: &ControlPlane, pod: &str, script: &str) -> Result<Output> {
    let output = kubectl(cluster, &["exec", pod, "--", "/bin/sh", "-c", script])?;
    ensure!(output.status.success(), "{output:?}");
    Ok(output)
}

fn kubectl(cluster: &ControlPlane, arguments: &[&str]) -> Result<Output> {
    let mut kubectl = Command::new(cluster.binaries().kubectl());
    kubectl.args(["--namespace", "here"]).args(arguments);
    kubectl.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.state_dir());
    Ok(kubectl.output()?)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
