//! A Stack goes through a surge and does without, and everything is as it was.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth_api::condition::State;
use plinth_api::{BuildingBlock, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

/// Pods that each workload of the Stack asks for, by kind and name.
async fn pods(client: &Client) -> Result<BTreeMap<String, Option<i32>>> {
    let ours = ListParams::default().labels(&format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY));
    let deployments = Api::<Deployment>::all(client.clone()).list(&ours).await?.items;
    let sets = Api::<StatefulSet>::all(client.clone()).list(&ours).await?.items;
    let deployments = deployments.into_iter().map(|d| (d.metadata, d.spec.and_then(|spec| spec.replicas)));
    let sets = sets.into_iter().map(|s| (s.metadata, s.spec.and_then(|spec| spec.replicas)));
    let named = |(meta, pods): (kube::core::ObjectMeta, Option<i32>)| {
        (format!("{}/{}", meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default()), pods)
    };
    Ok(deployments.chain(sets).map(named).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_surge_and_a_degraded_mode_pass_and_everything_is_as_it_was() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let mut wanted = serde_json::to_value(smallest()?)?;
    wanted["spec"]["blocks"] =
        json!([{ "name": "identity", "product": "keycloak" }, { "name": "workflow", "product": "operaton" }]);
    wanted["spec"]["continuity"] = json!({
        "priorities": [{ "block": "identity", "priority": "critical" }],
        "surge": { "load": 3 },
    });
    stacks.create(&PostParams::default(), &serde_json::from_value(wanted)?).await?;
    let operator = Operator::start(&cluster, "me");
    let before = ready(&stacks, "small").await?.status.and_then(|status| status.plan_hash);
    let (made, asked) = (values(&client).await?, pods(&client).await?);
    let switch = async |mode: &str| -> Result<Stack> {
        let patch = Patch::Merge(json!({ "spec": { "mode": mode } }));
        stacks.patch("small", &PatchParams::default(), &patch).await?;
        ready(&stacks, "small").await
    };

    let stack = switch("Surge").await?;
    ensure!(matches!(condition(&stack, "Surging"), Some(("True", "Surge", _))), "{:?}", stack.status);
    ensure!(pods(&client).await?["small-workflow/operaton-api"] == Some(3));

    let stack = switch("Degraded").await?;
    let says = condition(&stack, "Degraded").map(|(.., message)| message.to_owned()).unwrap_or_default();
    ensure!(says.contains("workflow: stopped by spec.mode Degraded, which keeps what is critical"), "{says}");
    ensure!(condition(&stack, "Surging").is_none());
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    eventually("the block says that it is done without", async || {
        let block = blocks.get("small-workflow").await?.status.unwrap_or_default();
        Ok((block.state == State::Suspended).then_some(()))
    })
    .await?;
    let left = pods(&client).await?;
    for (name, wanted) in [("workflow/operaton", 0), ("workflow/operaton-api", 0), ("workflow/postgresql", 1)]
    {
        ensure!(left[&format!("small-{name}")] == Some(wanted), "{name}: {left:?}");
    }
    ensure!(left["small-identity/keycloak"] == Some(1), "{left:?}");

    let stack = switch("Normal").await?;
    ensure!(stack.status.and_then(|status| status.plan_hash) == before, "another plan");
    ensure!(pods(&client).await? == asked && values(&client).await? == made);
    let written = writes(&cluster)?.len();
    let touched: Value = json!({ "metadata": { "annotations": { "touched": "yes" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(touched)).await?;
    operator.stop().await?;
    let operator = Operator::start(&cluster, "me");
    ready(&stacks, "small").await?;
    operator.stop().await?;
    let after = writes(&cluster)?;
    ensure!(after.len() == written, "{:#?}", &after[written..]);
    Ok(())
}
