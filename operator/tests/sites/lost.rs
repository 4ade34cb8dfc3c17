//! A site is cut off while the others go on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use plinth::controllers::cluster::Rhythm;
use plinth_api::condition::State;
use plinth_cluster::Component;

use crate::country::{BLOCKS, Country, FAST, has_namespace, said};
use crate::credentials;
use crate::house::{eventually, ready, writes};
use crate::wire::Passes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_is_cut_off_is_told_of_holds_up_nobody_and_is_mended_when_it_is_back() -> Result<()> {
    let country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(FAST);
    let stack = ready(&country.stacks(), "land").await?;
    for (block, _, site) in BLOCKS {
        let found = stack.status.iter().flat_map(|status| &status.blocks).find(|b| b.name == block);
        ensure!(found.and_then(|b| b.cluster.as_deref()) == site, "{block}: {found:?}");
        let namespace = format!("land-{block}");
        let there = [
            has_namespace(&country.client, &namespace).await?,
            has_namespace(&country.a.client, &namespace).await?,
            has_namespace(&country.b.client, &namespace).await?,
        ];
        let wanted = [site.is_none(), site == Some("site-a"), site == Some("site-b")];
        ensure!(there == wanted, "{block}: {there:?}");
    }
    let claims = country.clusters().get("site-a").await?.status.unwrap_or_default().claims;
    ensure!(claims.len() == 1 && claims[0].blocks == ["workflow"], "{claims:?}");
    let made = country.values().await?;
    ensure!(made.len() > 2, "{made:?}");

    credentials::are_read_again(&country).await?;
    credentials::must_open_a_cluster_of_its_own(&country).await?;

    let before = writes(&country.a.plane)?.len();
    country.a.wire.set(Passes::Questions);
    silent(&country, FAST.noticed_within() + Duration::from_secs(10)).await?;
    // Meanwhile somebody breaks something there, and the other site is changed.
    let services: Api<Service> = Api::namespaced(country.a.client.clone(), "land-workflow");
    let service =
        services.list(&ListParams::default()).await?.items.remove(0).metadata.name.unwrap_or_default();
    services.delete(&service, &DeleteParams::default()).await?;
    country.change("digital-registries", "while cut off").await?;
    country.changed(&country.b.client, "digital-registries", "while cut off").await?;
    ensure!(
        writes(&country.a.plane)?.len() == before,
        "something was written to a site that does not answer"
    );

    country.a.wire.set(Passes::All);
    ready(&country.stacks(), "land").await?;
    ensure!(services.get_opt(&service).await?.is_some(), "what was deleted meanwhile is not back");
    ensure!(country.values().await? == made, "a secret changed");
    operator.stop().await
}

/// With the beats of a real country: the promise is a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn the_status_of_a_dead_and_of_a_black_holed_site_is_true_within_a_minute() -> Result<()> {
    let country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(Rhythm::default());
    ready(&country.stacks(), "land").await?;
    for passes in [Passes::Nothing, Passes::Questions] {
        country.a.wire.set(passes);
        let took = silent(&country, Duration::from_secs(60)).await?;
        println!("{passes:?} passes: unknown after {:.1} s", took.as_secs_f64());
        country.a.wire.set(Passes::All);
        ready(&country.stacks(), "land").await?;
    }
    country.a.plane.kill_component(Component::ApiServer).await?;
    let took = silent(&country, Duration::from_secs(60)).await?;
    println!("API server killed: unknown after {:.1} s", took.as_secs_f64());
    country.a.plane.restart_component(Component::ApiServer).await?;
    ready(&country.stacks(), "land").await?;
    operator.stop().await
}

/// Stack, block and WorkloadCluster say that the first site does not answer; how long that took.
pub(crate) async fn silent(country: &Country, within: Duration) -> Result<Duration> {
    let began = Instant::now();
    eventually("Stack, block and WorkloadCluster are unknown", async || {
        let stack = country.stacks().get("land").await?;
        let block = country.block("workflow").await?.status.unwrap_or_default();
        let site = country.clusters().get("site-a").await?.status.unwrap_or_default();
        let of = |conditions: &[_]| said(&serde_json::to_value(conditions).unwrap_or_default(), "Ready");
        let stack = of(&stack.status.unwrap_or_default().conditions);
        let named = stack.is_some_and(|(status, reason, message)| {
            status == "Unknown" && reason == "Unreachable" && message.contains("WorkloadCluster site-a")
        });
        let unknown = of(&site.conditions).is_some_and(|(status, ..)| status == "Unknown");
        Ok((named && unknown && block.state == State::Unreachable).then_some(()))
    })
    .await?;
    let took = began.elapsed();
    ensure!(took <= within, "only after {took:?}");
    let other = country.block("digital-registries").await?.status.unwrap_or_default();
    ensure!(other.state == State::Ready, "{other:?}");
    Ok(took)
}
