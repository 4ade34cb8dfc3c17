//! Whatever is killed: the same records and balances, and people are paid again.

use std::time::Instant;

use anyhow::{Result, ensure};
use plinth_cluster::Component;
use plinth_journey::{Page, namespace_of, within};

use super::{LIMIT, World};

/// Pods: block and component.
const PODS: [(&str, &str); 10] = [
    ("digital-registries", "engine-persons"),
    ("digital-registries", "postgresql"),
    ("information-mediator", "gateway"),
    ("information-mediator", "authoriser"),
    ("identity", "keycloak"),
    ("e-signature", "dss-signature"),
    ("payments", "mysql"),
    ("payments", "kafka"),
    ("payments", "centralledger-service"),
    ("payments", "centralledger-handler-transfer-prepare"),
];

/// Pods, the operator, the API server, the node: each killed, and nothing lost.
pub async fn whatever_is_killed_records_and_balances_are_the_same(world: &World<'_>) -> Result<()> {
    world.is_paid().await?;
    let before = world.kept()?;
    for (block, component) in PODS {
        world.country.kill(&namespace_of(block), component).await?;
        same(world, &before, &format!("the pod of {component} was killed")).await?;
    }
    in_the_middle_of_a_journey(world).await?;
    let before = world.kept()?;
    world.country.plane.kill_component(Component::Node).await?;
    world.country.plane.restart_component(Component::Node).await?;
    same(world, &before, "the node was killed").await?;
    paid_again(world).await
}

/// She has signed in and agreed; then operator and API server go, and she is paid by what runs.
async fn in_the_middle_of_a_journey(world: &World<'_>) -> Result<()> {
    let before = world.kept()?;
    paid_again(world).await?;
    let citizen = world.citizen();
    let page = citizen.open().await?;
    ensure!(matches!(page, Page::Application { .. }), "{page:?}");
    super::operator::kill(world)?;
    world.country.plane.kill_component(Component::ApiServer).await?;
    let page = citizen.apply().await?;
    ensure!(matches!(page, Page::Paid(_)), "without operator and API server: {page:?}");
    world.country.plane.restart_component(Component::ApiServer).await?;
    super::operator::start(world)?;
    let after = world.kept()?;
    ensure!(
        after.record == before.record && after.account == before.account && after.funds == before.funds,
        "{before:?} became {after:?}"
    );
    Ok(())
}

async fn paid_again(world: &World<'_>) -> Result<()> {
    within(LIMIT, "a citizen to be paid again", async || world.is_paid().await.map(drop)).await
}

async fn same(world: &World<'_>, before: &super::Kept, what: &str) -> Result<()> {
    let began = Instant::now();
    within(LIMIT, &format!("the same records and balances after {what}"), async || {
        let now = world.kept()?;
        ensure!(now == *before, "{now:?} is not {before:?}");
        Ok(())
    })
    .await?;
    eprintln!("the same records and balances {} s after {what}", began.elapsed().as_secs());
    Ok(())
}
