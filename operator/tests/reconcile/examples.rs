//! Each of the examples with agencies comes up as its folder stands, given the yes of a second person to every step that asks
//! for one. The large ones are for `e2e/all countries`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::json;

use crate::agencies::says;
use crate::documents::{create, documents, resource};
use crate::house::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all countries"]
async fn the_platform_of_a_hundred_registers_comes_up() -> Result<()> {
    comes_up("ukraine").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all countries"]
async fn the_back_end_that_sectors_share_comes_up() -> Result<()> {
    comes_up("peru").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all countries"]
async fn the_national_id_that_departments_reuse_comes_up() -> Result<()> {
    comes_up("mosip-g2p").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cash_transfer_in_one_folder_comes_up() -> Result<()> {
    comes_up("govstack-usct").await
}

/// The Stack is Ready, and so is everything that agencies declare.
async fn comes_up(example: &str) -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(3)).gateway_api(true)).await?;
    let client = prepare(&cluster).await?;
    let_approve(&client, &["ben"]).await?;
    let mut objects = documents(example)?;
    // What has to be there first: namespaces, then what Stacks and agencies point to.
    objects.sort_by_key(|object| match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        kind if resource(object).group != names::GROUP || kind == "Product" => 1,
        "Stack" => 2,
        _ => 3,
    });
    for object in &objects {
        create(&client, object).await.with_context(|| object["metadata"].to_string())?;
    }
    let stack = objects.iter().find(|object| object["kind"] == "Stack").context("a Stack")?;
    let text = |field: &str| stack["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));

    let operator = Operator::start(&cluster, "me");
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &namespace);
    let mut said = BTreeSet::new();
    let mut last = String::new();
    let up = eventually("the Stack is Ready", async || {
        let stack = stacks.get(&name).await?;
        last = serde_json::to_string(&stack.status)?;
        if let Some(step) = asked(&stack).filter(|step| !said.contains(step)) {
            // By somebody who has not written the Stack.
            let number = format!("yes-{}", said.len());
            let status = approval(&client, &name, &number, "ben", json!({ "step": step })).await?;
            ensure!(status.phase == OperationPhase::Succeeded, "{status:?}");
            said.insert(step);
        }
        Ok(matches!(condition(&stack, "Ready"), Some(("True", ..))).then_some(()))
    });
    up.await.with_context(|| last)?;

    for object in &objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if matches!(kind, "Member" | "ExchangeAgreement" | "Registry" | "PublicService") {
            let metadata = &object["metadata"];
            let of = |field: &str| metadata[field].as_str().unwrap_or_default();
            says(&client, kind, &format!("{}/{}", of("namespace"), of("name")), "True AllReady").await?;
        }
    }
    operator.stop().await
}

/// The step that the Stack says it waits for.
fn asked(stack: &Stack) -> Option<String> {
    let (_, _, message) = condition(stack, "Stalled").filter(|(status, ..)| *status == "True")?;
    step_in(message).map(str::to_owned)
}
