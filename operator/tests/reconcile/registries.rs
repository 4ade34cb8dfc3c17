//! A hundred registers in one Stack: one more is as easy as the first.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::PostParams;
use kube::{Api, Client};
use plinth_api::{Member, Registry, Stack};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::json;

use crate::agencies::says;
use crate::house::*;

fn stack() -> Result<Stack> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "land", "namespace": "dpi" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] },
            "profile": "sandbox",
            "blocks": [
                { "name": "identity", "product": "keycloak" },
                { "name": "digital-registries", "product": "sunbird-rc" },
            ],
            "exchange": { "bindings": [
                { "namespace": "dpi", "members": ["GOV/1"], "registries": (0..=100).map(code).collect::<Vec<_>>() },
            ] },
        },
    }))?)
}

fn code(number: usize) -> String {
    format!("register-{number:03}")
}

async fn declare(client: &Client, number: usize) -> Result<()> {
    let registry: Registry = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Registry",
        "metadata": { "name": code(number) },
        "spec": {
            "stackRef": { "name": "land" },
            "code": code(number),
            "owner": "agency",
            "block": "digital-registries",
            "classification": "personal",
            "schema": { "type": "object", "properties": { "name": { "type": "string" } } },
        },
    }))?;
    Api::namespaced(client.clone(), "dpi").create(&PostParams::default(), &registry).await?;
    Ok(())
}

/// Waits until nothing is written any more; what was written to each kind of object, without statuses and events.
async fn writes_at_rest(cluster: &TestCluster) -> Result<BTreeMap<String, usize>> {
    let mut last = usize::MAX;
    eventually("nothing is written any more", async || {
        let written = writes(cluster)?.len();
        let rests = std::mem::replace(&mut last, written) == written;
        // Silence can only be heard over time.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(rests.then_some(()))
    })
    .await?;
    let mut kinds = BTreeMap::new();
    for write in writes(cluster)? {
        let path = write.split_once(' ').map_or("", |(_, path)| path).split('?').next().unwrap_or_default();
        if path.ends_with("/status") {
            continue;
        }
        // …/namespaces/NAMESPACE/KIND/NAME, or …/namespaces/NAMESPACE/KIND of what is created.
        let kind = path.split("/namespaces/").nth(1).and_then(|rest| rest.split('/').nth(1));
        *kinds.entry(kind.unwrap_or("namespaces").to_owned()).or_default() += 1;
    }
    kinds.remove("events");
    Ok(kinds)
}

/// What came between two looks.
fn between(before: &BTreeMap<String, usize>, after: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let grown = after.iter().map(|(kind, n)| (kind.clone(), n - before.get(kind).copied().unwrap_or(0)));
    grown.filter(|(_, more)| *more > 0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all countries"]
async fn the_hundred_and_first_registry_costs_as_many_writes_as_the_first() -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(3)).gateway_api(true)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let member: Member = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Member", "metadata": { "name": "agency" },
        "spec": { "stackRef": { "name": "land" }, "class": "GOV", "code": "1" },
    }))?;
    Api::namespaced(client.clone(), "dpi").create(&PostParams::default(), &member).await?;
    stacks.create(&PostParams::default(), &stack()?).await?;
    let operator = Operator::start(&cluster, "me");
    ready(&stacks, "land").await?;

    let none = writes_at_rest(&cluster).await?;
    declare(&client, 0).await?;
    says(&client, "Registry", "dpi/register-000", "True AllReady").await?;
    let one = writes_at_rest(&cluster).await?;
    for number in 1..100 {
        declare(&client, number).await?;
    }
    for number in 1..100 {
        says(&client, "Registry", &format!("dpi/{}", code(number)), "True AllReady").await?;
    }
    let hundred = writes_at_rest(&cluster).await?;
    declare(&client, 100).await?;
    says(&client, "Registry", "dpi/register-100", "True AllReady").await?;
    let all = writes_at_rest(&cluster).await?;

    let (first, last) = (between(&none, &one), between(&hundred, &all));
    ensure!(first == last, "the first: {first:?}\nthe hundred and first: {last:?}");
    ensure!(first.get("deployments") == Some(&1), "{first:?}");
    let engines: Api<Deployment> = Api::namespaced(client.clone(), "land-digital-registries");
    let engines = engines.list(&Default::default()).await?.items;
    let engines = engines.iter().filter_map(|engine| engine.metadata.name.as_deref());
    let engines = engines.filter(|name| name.contains("register-")).count();
    ensure!(engines == 101, "{engines} engines");
    operator.stop().await
}
