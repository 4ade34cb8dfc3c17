//! The country sleeps, as a sandbox does at night, and wakes: the same records and balances, and people are paid again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use plinth_api::Stack;
use plinth_api::names::LABEL_COMPONENT;
use plinth_journey::{Page, STACK, STACK_NAMESPACE, within};
use serde_json::json;

use super::{LIMIT, World, is_ready_for_real};

/// Everything begins again, one thing after the other, as after `up`.
const WAKES: Duration = Duration::from_secs(420);

/// No pod runs, nobody is served; awake again nothing is lost.
pub async fn asleep_and_awake_records_and_balances_are_the_same(world: &World<'_>) -> Result<()> {
    let before = world.kept()?;
    let began = Instant::now();
    turn(world, true).await?;
    within(LIMIT, "the country to be asleep", async || nothing_runs(world).await).await?;
    println!("measured: \"asleep, s\": {}", began.elapsed().as_secs());
    let page = world.citizen().open().await;
    ensure!(
        !matches!(page, Ok(Page::Application { .. } | Page::Paid(_))),
        "served while it sleeps: {page:?}"
    );

    let began = Instant::now();
    turn(world, false).await?;
    let client = &world.country.client;
    within(WAKES, "the country to be awake", async || {
        is_ready_for_real(client, STACK_NAMESPACE, STACK).await
    })
    .await?;
    println!("measured: \"awake, s\": {}", began.elapsed().as_secs());
    within(LIMIT, "the same records and balances after the night", async || {
        let now = world.kept()?;
        ensure!(now == before, "{now:?} is not {before:?}");
        Ok(())
    })
    .await?;
    within(LIMIT, "a citizen to be paid after the night", async || world.is_paid().await.map(drop)).await
}

async fn turn(world: &World<'_>, asleep: bool) -> Result<()> {
    let stacks = Api::<Stack>::namespaced(world.country.client.clone(), STACK_NAMESPACE);
    let patch = Patch::Merge(json!({ "spec": { "asleep": asleep } }));
    stacks.patch(STACK, &PatchParams::default(), &patch).await.context("changing spec.asleep").map(drop)
}

/// The Stack says so, and no pod of a component is left.
async fn nothing_runs(world: &World<'_>) -> Result<()> {
    let client = &world.country.client;
    let stack = Api::<Stack>::namespaced(client.clone(), STACK_NAMESPACE).get(STACK).await?;
    let conditions = stack.status.unwrap_or_default().conditions;
    ensure!(conditions.iter().any(|c| c.type_ == "Ready" && c.reason == "Asleep"), "{conditions:#?}");
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default().labels(LABEL_COMPONENT)).await?;
    let runs = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
    };
    let left: Vec<_> = pods.iter().filter(runs).map(|pod| pod.name_any()).collect();
    ensure!(left.is_empty(), "still there: {left:?}");
    Ok(())
}
