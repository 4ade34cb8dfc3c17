//! A second site: a control plane of its own that a block of the country runs on, and that goes down.

use anyhow::{Result, ensure};
use fantoccini::Locator;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Component, Nodes};

use crate::Page;
use crate::machine::Machine;

/// What runs there is no longer known, and the page says because of whom; everything else goes on.
pub async fn a_site_that_is_down_is_named(page: &Page<'_>, machine: &Machine) -> Result<()> {
    let site =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(2)).gateway_api(true)).await?;
    machine.open_site("kharkiv", &std::fs::read_to_string(site.kubeconfig())?)?;
    page.opens("#/dpi/ukraine").await?;
    page.shows(".card.good h3", "workflow").await?;
    page.shows(".lead .sign.good", "Ready").await?;
    site.kill_component(Component::ApiServer).await?;
    page.shows(".card.unknown .fault", "kharkiv").await?;
    page.shows(".card.unknown h3", "workflow").await?;
    page.shows(".card.good h3", "identity").await?;
    page.shows(".lead", "kharkiv").await?;
    page.keeps_axes_rules("a site that is down").await?;
    page.script("document.querySelector('.card.unknown').scrollIntoView({ block: 'end' })").await?;
    page.picture("site-down").await?;
    page.opens("#/").await?;
    page.shows(".card.unknown .fault", "kharkiv").await?;
    page.opens("#/dpi/ukraine").await?;
    page.browser.client.find(Locator::LinkText("workflow")).await?.click().await?;
    page.shows("main", "kharkiv").await?;
    site.restart_component(Component::ApiServer).await?;
    page.opens("#/dpi/ukraine").await?;
    page.shows(".card.good h3", "workflow").await?;
    page.shows(".lead .sign.good", "Ready").await?;
    ensure!(page.count(".card.unknown").await? == 0, "something is still unknown");
    Ok(())
}
