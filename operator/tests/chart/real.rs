//! The chart on a real node: the operator is a container there, under the NetworkPolicy and the rights that the chart gives it.
//!
//! It needs Linux, root and what `e2e/cluster/README.md` and `e2e/images/README.md` name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use plinth_api::{Product, Stack};
use plinth_cluster::testing::{TestCluster, eventually};
use plinth_cluster::{Lines, Nodes, TOOLBOX};
use plinth_images::Images;
use serde_json::json;

use super::account::NAMESPACE;
use super::house::{condition, ready};
use super::told::Guide;

/// Until another process leads, whatever happened to the one before.
const TAKEN_OVER: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a real node, and Helm, which is built: e2e/all chart"]
async fn the_operator_is_a_pod_that_brings_a_stack_up_and_is_followed_by_another_when_it_is_killed()
-> Result<()> {
    let image = tokio::task::spawn_blocking(image).await??;
    println!("the image is {}", image.archive.display());
    TestCluster::run(Nodes::Real, async |cluster| {
        cluster.import_image(&image.archive).await?;
        let client = cluster.client().await?;
        let dpi: Namespace = serde_json::from_value(json!({ "metadata": { "name": "dpi" } }))?;
        Api::all(client.clone()).create(&PostParams::default(), &dpi).await?;
        let guide = Guide::of(cluster, &image.values).await?;
        guide.follow("docs/guide/install.md").await?;
        let deployment = Api::<Deployment>::namespaced(client.clone(), NAMESPACE).get("plinth").await?;
        ensure!(deployment.status.as_ref().and_then(|status| status.ready_replicas) == Some(2));

        let product: Product = serde_json::from_value(greeter())?;
        Api::all(client.clone()).create(&PostParams::default(), &product).await?;
        let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
        stacks.create(&PostParams::default(), &serde_json::from_value(stack())?).await?;
        let up = ready(&stacks, "hello").await?;
        ensure!(condition(&up, "Simulated").is_none(), "{:?}", up.status);
        guide.console_is_served(&client).await?;
        guide.follow("docs/runbooks/PlinthQueueGrows.md").await?;
        another_takes_over(&client, &stacks).await
    })
    .await
}

/// Whoever leads is killed, and the Stack is followed all the same.
async fn another_takes_over(client: &Client, stacks: &Api<Stack>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let holder = async || -> Result<Option<String>> {
        Ok(leases.get("plinth").await?.spec.and_then(|spec| spec.holder_identity))
    };
    let first = holder().await?.context("a holder")?;
    pods.delete(&first, &DeleteParams::default().grace_period(0)).await?;
    let next: Result<String> = eventually(TAKEN_OVER, "another process leads", async || {
        Ok(holder().await?.filter(|holder| *holder != first))
    })
    .await;
    let next = next?;
    let blocks: Api<k8s_openapi::api::core::v1::Service> = Api::namespaced(client.clone(), "hello-x-greeter");
    let service = blocks.list(&ListParams::default()).await?.items.remove(0);
    let name = service.metadata.name.context("a Service without a name")?;
    blocks.delete(&name, &DeleteParams::default()).await?;
    let mended: Result<()> = eventually(TAKEN_OVER, "what was deleted by hand is back", async || {
        Ok(blocks.get_opt(&name).await?.filter(|s| s.metadata.uid != service.metadata.uid).map(drop))
    })
    .await;
    mended?;
    ready(stacks, "hello").await?;
    println!("seen: {first} was killed, {next} leads");
    Ok(())
}

/// An image, and what the chart has to be told of it.
struct Image {
    archive: PathBuf,
    values: String,
}

/// The image that `PLINTH_IMAGE` names, as it is published; without, one of this program, from its recipe.
fn image() -> Result<Image> {
    if let Some(published) = std::env::var_os("PLINTH_IMAGE") {
        return Ok(Image { archive: published.into(), values: "image.pullPolicy=Never".to_owned() });
    }
    let program = Path::new(env!("CARGO_BIN_EXE_plinth")).to_owned();
    let progress = Lines::default();
    let archive = Images::new(&progress)?.given("plinth", program).build("plinth")?.archive;
    let values = "image.repository=plinth.local/plinth-dev/plinth,image.tag=onboard-1,image.pullPolicy=Never";
    Ok(Image { archive, values: values.to_owned() })
}

/// A product whose image every real node has.
fn greeter() -> serde_json::Value {
    json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Product", "metadata": { "name": "greeter" },
        "spec": {
            "block": "x-greeter", "title": "Greeter", "description": "A test.", "licence": "Apache-2.0",
            "maturity": "reference", "asOf": "2026-11-30",
            "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": { "app": TOOLBOX } }],
            "components": [{
                "name": "greeter", "image": "app", "command": ["/toolbox", "serve", "8080"],
                "ports": [{ "name": "http", "port": 8080 }],
                "probes": { "readiness": { "path": "/health", "port": "http" } },
                "resources": { "sandbox": { "cpu": "10m", "memory": "32Mi" } },
                "security": { "runAsUser": 65532 },
            }],
        },
    })
}

fn stack() -> serde_json::Value {
    json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "hello", "namespace": "dpi" },
        "spec": {
            "country": { "code": "EE" }, "profile": "sandbox",
            "blocks": [{ "name": "x-greeter", "product": "greeter" }],
        },
    })
}
