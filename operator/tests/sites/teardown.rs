//! A Stack goes although something that it needs for that has gone before: it ends, or waits and says for what.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use plinth_api::names;
use serde_json::json;

use crate::country::{BLOCKS, Country, FAST, has_namespace, said};
use crate::house::{condition, eventually, ready};
use crate::wire::Passes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_goes_after_its_site_secret_cluster_and_namespace_were_deleted_first() -> Result<()> {
    let country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(FAST);
    ready(&country.stacks(), "land").await?;

    // The site is gone first.
    country.a.wire.set(Passes::Nothing);
    country.stacks().delete("land", &DeleteParams::default()).await?;
    eventually("the deletion says that it waits for the site", async || {
        let stack = country.stacks().get("land").await?;
        let says = condition(&stack, "Ready").map(|(_, _, message)| message.to_owned()).unwrap_or_default();
        Ok(says.contains("WorkloadCluster site-a does not answer").then_some(()))
    })
    .await?;
    gone(&country, &["identity", "digital-registries"]).await?;

    // Then its credentials, then the WorkloadCluster, then the namespace with all of it.
    country.secrets().delete("site-a", &DeleteParams::default()).await?;
    country.clusters().delete("site-a", &DeleteParams::default()).await?;
    eventually("the WorkloadCluster says what it waits for", async || {
        let site = country.clusters().get("site-a").await?.status.unwrap_or_default();
        let says = said(&serde_json::to_value(&site.conditions)?, "Ready").context("Ready")?.2;
        Ok(says.contains("workflow of Stack land").then_some(()))
    })
    .await?;
    Api::<Namespace>::all(country.client.clone()).delete("dpi", &DeleteParams::default()).await?;
    ensure!(
        country.secrets().get_opt("site-a").await?.is_some(),
        "the credentials are held while they are needed"
    );
    ensure!(has_namespace(&country.a.client, "land-workflow").await?);

    country.a.wire.set(Passes::All);
    gone(&country, &["workflow"]).await?;
    eventually("the namespace of the Stack is gone", async || {
        Ok((!has_namespace(&country.client, "dpi").await?).then_some(()))
    })
    .await?;
    operator.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn a_site_that_is_given_up_by_hand_is_waited_for_no_longer() -> Result<()> {
    let country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(FAST);
    ready(&country.stacks(), "land").await?;
    country.a.wire.set(Passes::Nothing);
    country.stacks().delete("land", &DeleteParams::default()).await?;
    country.clusters().delete("site-a", &DeleteParams::default()).await?;
    eventually("it says how to give the site up", async || {
        let site = country.clusters().get("site-a").await?.status.unwrap_or_default();
        let says = said(&serde_json::to_value(&site.conditions)?, "Ready").context("Ready")?.2;
        Ok(says.contains(names::FINALIZER).then_some(()))
    })
    .await?;
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    country.clusters().patch("site-a", &PatchParams::default(), &patch).await?;
    eventually("the Stack is gone", async || {
        Ok(country.stacks().get_opt("land").await?.is_none().then_some(()))
    })
    .await?;
    ensure!(has_namespace(&country.a.client, "land-workflow").await?, "what was given up stays where it is");
    operator.stop().await
}

async fn gone(country: &Country, blocks: &[&str]) -> Result<()> {
    for (block, _, site) in BLOCKS.iter().filter(|(block, ..)| blocks.contains(block)) {
        let client = match site {
            None => &country.client,
            Some("site-a") => &country.a.client,
            Some(_) => &country.b.client,
        };
        eventually("the namespace of the block is gone", async || {
            Ok((!has_namespace(client, &format!("land-{block}")).await?).then_some(()))
        })
        .await?;
    }
    Ok(())
}
