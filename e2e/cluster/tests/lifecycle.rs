//! Control planes come, are hurt, and go, and leave nothing behind.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::ListParams;
use kube::{Api, Client};
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Component, ControlPlane, Error, Nodes, Options, Silent};
use serde_json::{Value, json};

use support::{LIMIT, create, eventually, namespace, parent_of_a_cluster, within};

fn map(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "key": "value" } })
}

/// Every process that has this folder in its command line.
fn processes_of(folder: &Path) -> Vec<u32> {
    let folder = folder.to_string_lossy().into_owned();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&folder)
        })
        .collect()
}

async fn no_processes_of(folder: &Path) -> Result<()> {
    eventually("no processes", async || Ok(processes_of(folder).is_empty().then_some(()))).await
}

async fn pids(plane: &ControlPlane) -> BTreeMap<Component, u32> {
    let mut pids = BTreeMap::new();
    for &component in Component::of(plane.nodes()) {
        pids.extend(plane.pid(component).await.map(|pid| (component, pid)));
    }
    pids
}

#[tokio::test]
async fn two_run_side_by_side_and_leave_nothing() -> Result<()> {
    let (one, two) = tokio::join!(TestCluster::start(Nodes::None), TestCluster::start(Nodes::Simulated(1)));
    let (one, two) = (one?, two?);
    ensure!(one.server_url() != two.server_url());
    let (left, right) = (one.client().await?, two.client().await?);
    namespace(&left, "only-here").await?;
    ensure!(Api::<Namespace>::all(right).get_opt("only-here").await?.is_none());
    ensure!(pids(&one).await.len() == 4, "without nodes there is no kwok");
    ensure!(pids(&two).await.len() == 5);

    let folders = [one.state_dir().to_path_buf(), two.state_dir().to_path_buf()];
    drop((one, two));
    for folder in folders {
        ensure!(processes_of(&folder).is_empty());
        ensure!(!folder.exists());
    }
    Ok(())
}

#[tokio::test]
async fn killing_the_parent_leaves_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut parent = parent_of_a_cluster(&["--nodes", "1", "--name", "orphan"], dir.path()).await?;
    let components = processes_of(&dir.path().join("data")).len();
    ensure!(components > 0);
    parent.kill()?;
    parent.wait()?;
    no_processes_of(dir.path()).await
}

#[tokio::test]
async fn a_second_start_has_the_data_and_is_quick() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = || Options::new("again").state_dir(dir.path());
    let first = ControlPlane::start(options(), &Silent).await?;
    create::<ConfigMap>(&first.client().await?, "default", map("kept")).await?;
    let server = first.server_url();
    first.stop().await?;
    ensure!(processes_of(dir.path()).is_empty());

    let begin = Instant::now();
    let second = ControlPlane::start(options(), &Silent).await?;
    println!("second start: {:.1} s", begin.elapsed().as_secs_f64());
    ensure!(second.server_url() == server, "kubeconfigs stay valid");
    Api::<ConfigMap>::namespaced(second.client().await?, "default").get("kept").await?;
    second.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_detached_cluster_is_found_and_stopped_by_anyone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let options = Options::new("detached").state_dir(dir.path()).detach(true);
    let starter = ControlPlane::start(options.clone(), &Silent).await?;
    let started = pids(&starter).await;
    drop(starter);

    let found = ControlPlane::attach_at(dir.path()).await?;
    ensure!(pids(&found).await == started, "dropping the handle ended nothing");
    let again = ControlPlane::start(options, &Silent).await?;
    ensure!(pids(&again).await == started, "a second start finds the first");
    ControlPlane::stop_at(dir.path()).await?;
    ensure!(processes_of(dir.path()).is_empty());
    ensure!(matches!(ControlPlane::attach_at(dir.path()).await, Err(Error::NotRunning(_))));
    ensure!(matches!(ControlPlane::stop_at(dir.path()).await, Err(Error::NotRunning(_))));
    Ok(())
}

#[tokio::test]
async fn components_can_be_killed_and_restarted() -> Result<()> {
    TestCluster::run(Nodes::Simulated(1), kill_and_restart).await
}

async fn kill_and_restart(cluster: &ControlPlane) -> Result<()> {
    let client = cluster.client().await?;
    create::<ConfigMap>(&client, "default", map("before")).await?;
    for &component in Component::of(cluster.nodes()) {
        let before = cluster.pid(component).await.context("it runs")?;
        cluster.kill_component(component).await?;
        ensure!(cluster.pid(component).await.is_none());
        let begin = Instant::now();
        cluster.restart_component(component).await?;
        println!("{component} back after {:.1} s", begin.elapsed().as_secs_f64());
        ensure!(cluster.pid(component).await.context("it runs again")? != before);
        Api::<ConfigMap>::namespaced(client.clone(), "default").get("before").await?;
    }
    let begin = Instant::now();
    // All at once, as when a machine loses power.
    for &component in Component::of(cluster.nodes()) {
        cluster.kill_component(component).await?;
    }
    for &component in Component::of(cluster.nodes()) {
        cluster.restart_component(component).await?;
    }
    // A pod that is Ready needs every one of them.
    let pod = json!({
        "metadata": { "name": "after" },
        "spec": { "containers": [{ "name": "main", "image": "example.org/none:1" }] },
    });
    create::<Pod>(&client, "default", pod).await?;
    let pods = Api::<Pod>::namespaced(client, "default");
    within(3 * LIMIT, "the pod", async || {
        // On a machine that is busy a component may give up on its first start; a kubelet would start it again.
        for &component in Component::of(cluster.nodes()) {
            if cluster.pid(component).await.is_none() {
                eprintln!("{component} ended by itself and is started again");
                cluster.restart_component(component).await?;
            }
        }
        let status = pods.get("after").await?.status.unwrap_or_default();
        let is_ready =
            status.conditions.iter().flatten().any(|is| is.type_ == "Ready" && is.status == "True");
        ensure!(is_ready, "{}", serde_json::to_string(&status)?);
        Ok(Some(()))
    })
    .await?;
    println!("all of them back after {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

#[tokio::test]
async fn every_write_is_in_the_audit_log_and_users_are_who_they_are() -> Result<()> {
    TestCluster::run(Nodes::None, write_and_count).await
}

async fn write_and_count(cluster: &ControlPlane) -> Result<()> {
    let kubeconfig = cluster.kubeconfig_for("ministry:clerk", &["clerks", "auditors"])?;
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&kubeconfig)?);
    ensure!(mode & 0o077 == 0, "a key is nobody else's to read");
    let clerk = client(&kubeconfig).await?;
    let refused = Api::<ConfigMap>::namespaced(clerk, "default").list(&ListParams::default()).await;
    ensure!(matches!(refused, Err(kube::Error::Api(status)) if status.code == 403));

    let admin = cluster.client().await?;
    for nth in 0..20 {
        create::<ConfigMap>(&admin, "default", map(&format!("counted-{nth}"))).await?;
    }
    let log = cluster.audit_log();
    let is_ours = |event: &Value| event["user"]["username"] == "plinth:admin" && event["verb"] == "create";
    let counted = eventually("20 lines", async || {
        let events: Vec<_> = events(&log)?.into_iter().filter(is_ours).collect();
        Ok((events.len() >= 20).then_some(events))
    })
    .await?;
    ensure!(counted.len() == 20);
    for event in counted {
        ensure!(event["objectRef"]["resource"] == "configmaps");
        ensure!(event["responseStatus"]["code"] == 201);
        ensure!(event["userAgent"] == "plinth-cluster", "{event}");
        ensure!(event["requestReceivedTimestamp"].is_string(), "{event}");
    }
    let clerks: Vec<_> =
        events(&log)?.into_iter().filter(|event| event["user"]["username"] == "ministry:clerk").collect();
    ensure!(clerks.len() == 1);
    ensure!(clerks[0]["user"]["groups"] == json!(["clerks", "auditors", "system:authenticated"]));
    Ok(())
}

fn events(log: &PathBuf) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(log)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await?;
    Ok(Client::try_from(config)?)
}

#[tokio::test]
async fn policies_are_served_and_pod_security_is_enforced() -> Result<()> {
    TestCluster::run(Nodes::None, ask_for_policies).await
}

async fn ask_for_policies(cluster: &ControlPlane) -> Result<()> {
    let kubectl = |arguments: &[&str]| {
        Command::new(cluster.binaries().kubectl())
            .args(arguments)
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("HOME", cluster.state_dir())
            .output()
    };
    let listed = kubectl(&["api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name"])?;
    let listed = String::from_utf8(listed.stdout)?;
    for kind in ["mutatingadmissionpolicies", "validatingadmissionpolicies"] {
        ensure!(listed.contains(kind), "{listed}");
    }
    let labelled =
        kubectl(&["label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted"])?;
    ensure!(labelled.status.success());
    let refused = kubectl(&["run", "root", "--image=example.org/none:1"])?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(said.contains("violates PodSecurity"), "{said}");
    Ok(())
}
