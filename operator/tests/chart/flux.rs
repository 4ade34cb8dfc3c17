//! What Flux waits for: its kstatus library over the objects that the real API server has.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use plinth_api::{BuildingBlock, Stack};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde::Serialize;
use serde_json::json;

use super::house::{Operator, condition, eventually, prepare, ready, smallest};
use super::tools::tool;

/// What kstatus says of each.
async fn statuses<K: Serialize>(objects: &[K]) -> Result<Vec<String>> {
    let mut kstatus = tool("kstatus").await?;
    let mut child = kstatus.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("kstatus")?;
    let lines: Vec<String> = objects.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    child.stdin.take().context("it is piped")?.write_all(lines.join("\n").as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "kstatus: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs kstatus, which is built: e2e/all chart"]
async fn flux_waits_goes_on_and_gives_up_as_the_conditions_say() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    stacks.create(&PostParams::default(), &smallest()?).await?;
    let operator = Operator::start(&cluster, "me");
    let first = eventually("it has been looked at", async || {
        let stack = stacks.get("small").await?;
        Ok(condition(&stack, "Ready").is_some_and(|(status, ..)| status == "False").then_some(stack))
    })
    .await?;
    ensure!(statuses(&[first]).await? == ["InProgress"]);

    let up = ready(&stacks, "small").await?;
    ensure!(statuses(&[up]).await? == ["Current"]);
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    let blocks = blocks.list(&ListParams::default()).await?.items;
    ensure!(!blocks.is_empty() && statuses(&blocks).await?.iter().all(|status| status == "Current"));

    let wrong = json!({ "spec": { "blocks": [{ "name": "identity", "product": "no-such-product" }] } });
    let changed = stacks.patch("small", &PatchParams::default(), &Patch::Merge(wrong)).await?;
    ensure!(statuses(&[changed]).await? == ["InProgress"], "the newest spec has not been looked at");
    let refused = eventually("it is refused", async || {
        let stack = stacks.get("small").await?;
        Ok(condition(&stack, "Stalled").is_some_and(|(status, ..)| status == "True").then_some(stack))
    })
    .await?;
    ensure!(statuses(&[refused]).await? == ["Failed"]);
    operator.stop().await
}
