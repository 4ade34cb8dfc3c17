//! The hub is lost, and an empty one is given the same files.

use anyhow::{Result, ensure};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;

use crate::country::{Country, FAST};
use crate::house::{prepare, ready, writes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn a_new_hub_adopts_what_runs_on_the_sites_and_writes_nothing_there() -> Result<()> {
    let mut country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(FAST);
    ready(&country.stacks(), "land").await?;
    let made = country.values().await?;
    operator.kill().await;
    let before = (writes(&country.a.plane)?.len(), writes(&country.b.plane)?.len());

    country.hub = TestCluster::start(Nodes::Simulated(2)).await?;
    country.client = prepare(&country.hub).await?;
    // The Stack comes first: nothing may be placed before it is known what runs where.
    country.declare().await?;
    let operator = country.operator(FAST);
    country.introduce().await?;
    ready(&country.stacks(), "land").await?;
    for site in [&country.a, &country.b] {
        let written = writes(&site.plane)?;
        let before = if std::ptr::eq(site, &country.a) { before.0 } else { before.1 };
        ensure!(written.len() == before, "written by the new hub: {:#?}", &written[before..]);
    }
    ensure!(country.values().await? == made, "a secret changed");
    let claims = country.clusters().get("site-b").await?.status.unwrap_or_default().claims;
    ensure!(claims.len() == 1 && claims[0].blocks == ["digital-registries"], "{claims:?}");
    operator.stop().await
}
