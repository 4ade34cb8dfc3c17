//! Two Stacks of one cluster that federate: anchors handed over by the command line, confirmed by somebody else than the author,
//! asked anew when they change or come back.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

async fn country(client: &Client, namespace: &str, name: &str) -> Result<()> {
    let stack = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": name, "annotations": { names::ANNOTATION_AUTHOR: "anna" } },
        "spec": {
            "country": { "code": name.to_uppercase() },
            "profile": "sandbox",
            "blocks": [{ "name": "information-mediator", "product": "gateway-exchange" }],
            "exchange": {},
        },
    });
    let stacks: Api<Stack> = Api::namespaced(client.clone(), namespace);
    stacks.create(&PostParams::default(), &serde_json::from_value(stack)?).await?;
    Ok(())
}

/// What `plinth anchor` prints of a Stack, and the fingerprint that it says.
fn anchor(cluster: &TestCluster, namespace: &str, name: &str) -> Result<(ConfigMap, String)> {
    let ran = Command::new(env!("CARGO_BIN_EXE_plinth"))
        .args(["anchor", name, "-n", namespace, "-o", "json", "--kubeconfig"])
        .arg(cluster.kubeconfig())
        .output()?;
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    ensure!(ran.status.success(), "{told}");
    let digest = told.split_once("sha256:").and_then(|(_, rest)| rest.get(..64)).context(told.clone())?;
    Ok((serde_json::from_slice(&ran.stdout)?, digest.to_owned()))
}

/// Waits until the first country's exchange trusts exactly these instances.
async fn trusts(client: &Client, wanted: &[&str]) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "ee-information-mediator");
    eventually("the exchange is told whom to trust", async || {
        let map = maps.get("gateway-exchange-rights").await?.data.unwrap_or_default();
        let rights: Value = serde_json::from_str(&map["rights.json"])?;
        let peers = rights["peers"].as_array().cloned().unwrap_or_default();
        Ok((json!(peers) == json!(wanted)).then_some(()))
    })
    .await
}

/// Waits until the condition Federated of the first country is so; its message.
async fn federated(stacks: &Api<Stack>, status: &str, reason: &str) -> Result<String> {
    eventually("the Stack says how it is federated", async || {
        let stack = stacks.get("ee").await?;
        let said = condition(&stack, "Federated").filter(|(s, r, _)| (*s, *r) == (status, reason));
        Ok(said.map(|(.., message)| message.to_owned()))
    })
    .await
}

async fn declare(stacks: &Api<Stack>, federation: Value) -> Result<()> {
    let change = json!({ "spec": { "exchange": { "federation": federation } } });
    stacks.patch("ee", &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}

/// How an approval of a step by somebody ends.
async fn approve(client: &Client, name: &str, by: &str, step: &str) -> Result<OperationPhase> {
    Ok(approval(client, "ee", name, by, json!({ "step": step })).await?.phase)
}

/// The step that the first country's condition asks about.
async fn asked(stacks: &Api<Stack>) -> Result<String> {
    let message = federated(stacks, "False", "AwaitingApproval").await?;
    step_in(&message).map(str::to_owned).with_context(|| format!("no step is named: {message}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anchor_counts_from_the_yes_of_somebody_else_until_it_changes_or_is_withdrawn() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let namespace = json!({ "metadata": { "name": "dpi-fi" } });
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await?;
    country(&client, "dpi", "ee").await?;
    country(&client, "dpi-fi", "fi").await?;
    let_approve(&client, &["anna", "ben"]).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let operator = Operator::start(&cluster, "me");
    let alone = ready(&stacks, "ee").await?;
    ensure!(condition(&alone, "Federated").is_none(), "{:?}", alone.status);
    ready(&Api::namespaced(client.clone(), "dpi-fi"), "fi").await?;

    // The other side's anchor is printed there and applied here.
    let (map, fingerprint) = anchor(&cluster, "dpi-fi", "fi")?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "dpi");
    maps.create(&PostParams::default(), &map).await?;
    let entry = json!([{ "instance": "FI", "anchor": "anchor-fi" }]);
    declare(&stacks, entry.clone()).await?;
    let step = asked(&stacks).await?;
    ensure!(step.starts_with("federation/fi-") && step.ends_with(&fingerprint), "{step}, {fingerprint}");
    trusts(&client, &[]).await?;
    ensure!(approve(&client, "own", "anna", &step).await? == OperationPhase::Refused);
    let other = format!("{}{}", step.trim_end_matches(&fingerprint), "0".repeat(64));
    ensure!(approve(&client, "other", "ben", &other).await? == OperationPhase::Refused);
    ensure!(approve(&client, "good", "ben", &step).await? == OperationPhase::Succeeded);
    let message = federated(&stacks, "True", "Approved").await?;
    ensure!(message == "federated with FI", "{message}");
    trusts(&client, &["FI"]).await?;
    ready(&stacks, "ee").await?;

    // Another anchor under the same name is nobody that anybody has said yes to.
    let mut text = map.data.clone().unwrap_or_default()["anchor.yaml"].clone();
    text.push_str("# changed\n");
    let change = json!({ "data": { "anchor.yaml": text } });
    maps.patch("anchor-fi", &PatchParams::default(), &Patch::Merge(change)).await?;
    declare(&stacks, json!([{ "instance": "FI", "anchor": "anchor-fi", "cidrs": ["192.0.2.0/24"] }])).await?;
    trusts(&client, &[]).await?;
    let anew = asked(&stacks).await?;
    ensure!(anew != step, "{anew}");

    // Put back, it is asked again, for a yes is used up; withdrawn, it leaves nothing.
    maps.patch("anchor-fi", &PatchParams::default(), &Patch::Merge(json!({ "data": map.data }))).await?;
    declare(&stacks, entry).await?;
    eventually("the first anchor is asked about again", async || {
        let stack = stacks.get("ee").await?;
        let said = condition(&stack, "Federated").map(|(.., message)| message.contains(&step));
        Ok(said.filter(|asked| *asked))
    })
    .await?;
    trusts(&client, &[]).await?;
    ensure!(approve(&client, "again", "ben", &step).await? == OperationPhase::Succeeded);
    trusts(&client, &["FI"]).await?;
    declare(&stacks, json!([])).await?;
    trusts(&client, &[]).await?;
    eventually("nothing is said of it", async || {
        let stack = stacks.get("ee").await?;
        let steps = stack.status.as_ref().map(|status| status.approved_steps.len());
        Ok((condition(&stack, "Federated").is_none() && steps == Some(0)).then_some(()))
    })
    .await?;
    operator.stop().await
}
