//! What simulated nodes do with pods, volumes and Jobs, on a cluster that all tests of this file share.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use support::{create, eventually, namespace, template};

async fn client_in(name: &str) -> Result<Client> {
    let client = TestCluster::shared().await?.client().await?;
    namespace(&client, name).await?;
    Ok(client)
}

fn deployment(name: &str, replicas: u32, annotations: &Value) -> Value {
    let labels = json!({ "app": name });
    json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": template(&labels, annotations, json!({})),
        },
    })
}

fn job(name: &str, annotations: &Value) -> Value {
    let pod = template(&json!({}), annotations, json!({ "restartPolicy": "Never" }));
    json!({ "metadata": { "name": name }, "spec": { "backoffLimit": 0, "template": pod } })
}

async fn available(client: &Client, name: &str) -> Result<Option<i32>> {
    let deployment = Api::<Deployment>::namespaced(client.clone(), name).get(name).await?;
    Ok(deployment.status.and_then(|status| status.available_replicas))
}

async fn job_condition(client: &Client, namespace: &str, wanted: &str) -> Result<()> {
    let jobs = Api::<Job>::namespaced(client.clone(), namespace);
    eventually(wanted, async || {
        let status = jobs.get("job").await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        Ok(conditions.iter().any(|is| is.type_ == wanted && is.status == "True").then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_deployment_becomes_available_and_scales_down() -> Result<()> {
    let client = client_in("web").await?;
    create::<Deployment>(&client, "web", deployment("web", 3, &json!({}))).await?;
    eventually("3 replicas", async || Ok(available(&client, "web").await?.filter(|&n| n == 3))).await?;

    let pods = Api::<Pod>::namespaced(client.clone(), "web");
    let list = pods.list(&ListParams::default()).await?;
    for pod in &list.items {
        let status = pod.status.clone().unwrap_or_default();
        ensure!(status.pod_ip.is_some(), "a running pod has an address");
        ensure!(
            pod.spec
                .as_ref()
                .and_then(|spec| spec.node_name.as_deref())
                .is_some_and(|node| node.starts_with("simulated-"))
        );
    }
    let none = json!({ "spec": { "replicas": 0 } });
    Api::<Deployment>::namespaced(client.clone(), "web")
        .patch("web", &PatchParams::default(), &Patch::Merge(none))
        .await?;
    eventually("no pods", async || {
        Ok(pods.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn simulated_nodes_say_so() -> Result<()> {
    let client = TestCluster::shared().await?.client().await?;
    let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?;
    ensure!(nodes.items.len() == 3);
    for node in nodes {
        let labels = node.metadata.labels.context("labels")?;
        ensure!(labels.get("plinth.dev/simulated").is_some_and(|value| value == "true"));
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_start_is_running_before_it_is_ready() -> Result<()> {
    let client = client_in("slow").await?;
    let slow = json!({ "plinth.dev/simulate": "slow-start", "plinth.dev/simulate-seconds": "3" });
    let begin = Instant::now();
    create::<Deployment>(&client, "slow", deployment("slow", 1, &slow)).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), "slow");
    eventually("a pod that runs and is not ready", async || {
        let list = pods.list(&ListParams::default()).await?;
        let status = list.items.first().and_then(|pod| pod.status.clone()).unwrap_or_default();
        let not_ready =
            status.conditions.iter().flatten().any(|is| is.type_ == "Ready" && is.status == "False");
        Ok((status.phase.as_deref() == Some("Running") && not_ready).then_some(()))
    })
    .await?;
    eventually("the replica", async || Ok(available(&client, "slow").await?.filter(|&n| n == 1))).await?;
    ensure!(begin.elapsed() >= Duration::from_secs(3), "it took its time: {:?}", begin.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_crash_loop_never_becomes_ready() -> Result<()> {
    let client = client_in("crash").await?;
    create::<Deployment>(
        &client,
        "crash",
        deployment("crash", 1, &json!({ "plinth.dev/simulate": "crash-loop" })),
    )
    .await?;
    let pods = Api::<Pod>::namespaced(client.clone(), "crash");
    eventually("CrashLoopBackOff", async || {
        let list = pods.list(&ListParams::default()).await?;
        let statuses =
            list.items.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.clone()).flatten();
        let crashing = statuses.into_iter().find(|container| {
            let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
            waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
        });
        Ok(crashing.filter(|container| container.restart_count > 0 && !container.ready))
    })
    .await?;
    ensure!(available(&client, "crash").await?.unwrap_or_default() == 0);
    Ok(())
}

#[tokio::test]
async fn a_job_completes() -> Result<()> {
    let client = client_in("job-good").await?;
    create::<Job>(&client, "job-good", job("job", &json!({}))).await?;
    job_condition(&client, "job-good", "Complete").await
}

#[tokio::test]
async fn a_job_fails_when_asked_to() -> Result<()> {
    let client = client_in("job-bad").await?;
    create::<Job>(&client, "job-bad", job("job", &json!({ "plinth.dev/simulate": "job-fails" }))).await?;
    job_condition(&client, "job-bad", "Failed").await
}

#[tokio::test]
async fn a_running_job_can_be_deleted() -> Result<()> {
    let client = client_in("job-gone").await?;
    create::<Job>(&client, "job-gone", job("job", &json!({ "plinth.dev/simulate-seconds": "600" }))).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), "job-gone");
    eventually("a running pod", async || {
        let list = pods.list(&ListParams::default()).await?;
        Ok(list
            .items
            .iter()
            .any(|pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")))
            .then_some(()))
    })
    .await?;
    Api::<Job>::namespaced(client.clone(), "job-gone").delete("job", &DeleteParams::background()).await?;
    eventually("no pods", async || {
        Ok(pods.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_stateful_set_gets_its_volumes_and_gives_them_back() -> Result<()> {
    let client = client_in("data").await?;
    let labels = json!({ "app": "data" });
    let set = json!({
        "metadata": { "name": "data" },
        "spec": {
            "replicas": 2,
            "serviceName": "data",
            "selector": { "matchLabels": labels },
            "template": template(&labels, &json!({}), json!({})),
            "volumeClaimTemplates": [{
                "metadata": { "name": "disk" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    });
    create::<StatefulSet>(&client, "data", set).await?;
    let sets = Api::<StatefulSet>::namespaced(client.clone(), "data");
    eventually("2 replicas", async || {
        let status = sets.get("data").await?.status.unwrap_or_default();
        Ok(status.ready_replicas.filter(|&ready| ready == 2))
    })
    .await?;
    let claims =
        Api::<PersistentVolumeClaim>::namespaced(client.clone(), "data").list(&ListParams::default()).await?;
    ensure!(claims.items.len() == 2);
    for claim in claims {
        ensure!(claim.status.and_then(|status| status.phase).as_deref() == Some("Bound"));
    }
    // Deleting the namespace exercises the way back: pods, claims, volumes, finalizers.
    Api::<Namespace>::all(client.clone()).delete("data", &DeleteParams::default()).await?;
    eventually("no volumes", async || {
        let volumes = Api::<PersistentVolume>::all(client.clone()).list(&ListParams::default()).await?;
        Ok(volumes.items.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_gateway_api_is_served_and_its_gateways_say_that_they_are_simulated() -> Result<()> {
    let cluster = TestCluster::start_with(|options| {
        options.nodes(plinth_cluster::Nodes::Simulated(1)).gateway_api(true)
    })
    .await?;
    let client = cluster.client().await?;
    namespace(&client, "gateway").await?;
    let gvk = |kind: &str| kube::core::GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    let api = |kind: &str| -> Api<kube::core::DynamicObject> {
        let resource = kube::core::ApiResource::from_gvk(&gvk(kind));
        Api::namespaced_with(client.clone(), "gateway", &resource)
    };
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "public" },
        "spec": { "gatewayClassName": "any", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] },
    });
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "web" },
        "spec": { "parentRefs": [{ "name": "public" }], "hostnames": ["web.example"] },
    });
    for (kind, object, pointer) in
        [("Gateway", gateway, "/status/conditions"), ("HTTPRoute", route, "/status/parents/0/conditions")]
    {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        api(kind).patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await?;
        eventually(kind, async || {
            let live = api(kind).get(&name).await?;
            let conditions =
                live.data.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
            let simulated = !conditions.is_empty()
                && conditions.iter().all(|c| c["status"] == "True" && c["message"] == "simulated by kwok");
            Ok((simulated && conditions.iter().any(|c| c["observedGeneration"] != 0)).then_some(()))
        })
        .await?;
    }
    Ok(())
}
