//! The operator on a real control plane with simulated nodes: a Stack comes up, stays still, survives a restart, goes.

mod agencies;
mod approval;
mod backups;
mod catalogue;
mod console;
#[path = "../support/documents.rs"]
mod documents;
mod examples;
mod federation;
mod house;
mod lookup;
mod modes;
mod moving;
#[path = "../support/page.rs"]
mod page;
mod people;
mod registries;
mod sandboxes;
mod seen;
#[path = "../support/tls.rs"]
mod tls;
mod upgrades;
#[path = "../support/webhook.rs"]
mod webhook;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use plinth_api::{BuildingBlock, Stack};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde::Deserialize as _;
use serde_json::{Value, json};

use house::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_comes_up_stays_still_survives_a_crash_and_goes_without_residue() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let mut wanted = smallest()?;
    wanted.spec.deletion = serde_json::from_value(json!({ "policy": "Delete", "confirm": "small" }))?;
    stacks.create(&PostParams::default(), &wanted).await?;

    // Killed in the middle of its work, a process of the same name goes on.
    let first = Operator::start(&cluster, "me");
    eventually("something was written", async || Ok((writes(&cluster)?.len() > 8).then_some(()))).await?;
    first.kill().await;
    let second = Operator::start(&cluster, "me");
    let stack = ready(&stacks, "small").await?;
    ensure!(matches!(condition(&stack, "Simulated"), Some(("True", ..))), "{:?}", stack.status);
    let made = values(&client).await?;
    ensure!(!made.is_empty());
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    let block = blocks.get("small-identity").await?;
    ensure!(block.status.is_some_and(|status| status.state == plinth_api::condition::State::Ready));
    second.stop().await?;

    // A second full reconcile is silent.
    let before = writes(&cluster)?;
    let third = Operator::start(&cluster, "me");
    let touched = json!({ "metadata": { "annotations": { "touched": "yes" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(touched)).await?;
    let workloads: Api<kube::api::DynamicObject> = {
        let resource = kube::discovery::ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&());
        Api::namespaced_with(client.clone(), "small-identity", &resource)
    };
    // Silence can only be heard over time; that it looked at all shows afterwards, when it mends what is broken.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = writes(&cluster)?;
    ensure!(before.len() == after.len(), "not silent: {:#?}", &after[before.len()..]);
    let service = workloads.list(&ListParams::default()).await?.items.remove(0);
    let name = service.metadata.name.context("a Service without a name")?;
    workloads.delete(&name, &DeleteParams::default()).await?;
    eventually("what was deleted by hand is back", async || {
        Ok(workloads.get_opt(&name).await?.filter(|s| s.metadata.uid != service.metadata.uid))
    })
    .await?;
    ensure!(values(&client).await? == made, "a value changed");

    // Gone, with data, as the Stack asked.
    stacks.delete("small", &DeleteParams::default()).await?;
    eventually("the Stack is gone", async || Ok(stacks.get_opt("small").await?.is_none().then_some(())))
        .await?;
    eventually("its namespace is gone", async || {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        Ok(namespaces.get_opt("small-identity").await?.is_none().then_some(()))
    })
    .await?;
    eventually("its blocks are gone", async || {
        Ok(blocks.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await?;
    third.stop().await
}

/// MOSIP, eSignet, Mojaloop, OpenCRVS, Sunbird RC, X-Road and trust services, as the example declares them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_country_comes_up_and_a_restart_writes_nothing_and_changes_no_secret() -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(3)).gateway_api(true)).await?;
    let client = prepare(&cluster).await?;
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nation.yaml"))?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document)?;
        match value["kind"].as_str() {
            Some("Secret") => {
                drop(secrets.create(&PostParams::default(), &serde_json::from_value(value)?).await?)
            }
            _ => drop(stacks.create(&PostParams::default(), &serde_json::from_value(value)?).await?),
        }
    }
    let first = Operator::start(&cluster, "me");
    let stack = ready(&stacks, "nation").await?;
    let summary = stack.status.and_then(|status| status.summary);
    ensure!(summary.as_deref() == Some("11/11"), "{summary:?}");
    let made = values(&client).await?;
    first.stop().await?;

    let before = writes(&cluster)?;
    let second = Operator::start(&cluster, "me");
    // Silence can only be heard over time.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = writes(&cluster)?;
    ensure!(before.len() == after.len(), "not silent: {:#?}", &after[before.len()..]);
    ensure!(values(&client).await? == made, "a value changed");
    second.stop().await
}
