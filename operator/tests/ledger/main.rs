//! Mojaloop's real ledger on a real node: Plinth's own onboarding opens its accounts, a service pays through it, and money is where it
//! was whatever is killed. The API adapter is a stand-in (`docs/images.md`): what is shown here are ledger, onboarding and paths.
//!
//! Long: images are built from package registries once. It needs Linux, root and what `e2e/cluster/README.md` names.
//! `e2e/all ledger` runs it.

mod hub;
#[path = "../support/node.rs"]
mod node;

use std::time::Instant;

use anyhow::{Result, ensure};
use hub::{Hub, balances};
use node::{LIMIT, ended, is_ready_for_real};
use plinth_journey::{Waiting, within};

const PAID: &str = "00000000-0000-4000-8000-000000000001";
const TOO_EARLY: &str = "00000000-0000-4000-8000-000000000002";
const TOO_MUCH: &str = "00000000-0000-4000-8000-000000000003";
const LATER: &str = "00000000-0000-4000-8000-000000000004";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: e2e/all ledger"]
async fn a_service_pays_through_the_real_ledger_and_balances_outlive_what_is_killed() -> Result<()> {
    let name = format!("ledger-{}", std::process::id());
    let waiting = Waiting { cluster: &name, namespace: hub::STACK_NAMESPACE, stack: hub::STACK };
    let went = match node::up(hub::PATH, waiting).await {
        Ok(()) => pays(&name).await,
        Err(error) => Err(error),
    };
    ended(&name, went)
}

async fn pays(name: &str) -> Result<()> {
    let hub = Hub::attach(name).await?;
    it_is_ready_and_the_ledger_was_told_what_is_declared(&hub).await?;
    hub.start_service("grants", "grants").await?;
    hub.start_service("stranger", "nobody").await?;

    nobody_pays_without_funds(&hub).await?;
    a_payment_moves_positions_by_its_amount(&hub).await?;
    a_payment_beyond_the_cap_moves_nothing(&hub).await?;
    who_is_not_the_service_does_not_reach_the_hub(&hub)?;
    told_again_the_ledger_makes_nothing_twice(&hub).await?;
    whatever_is_killed_the_balances_are_the_same(&hub).await
}

async fn it_is_ready_and_the_ledger_was_told_what_is_declared(hub: &Hub) -> Result<()> {
    is_ready_for_real(&hub.country.client, hub::STACK_NAMESPACE, hub::STACK).await?;
    ensure!(hub.participants()? == ["Hub", "peoplesbank", "treasury"], "{:?}", hub.participants()?);
    ensure!(hub.cap("treasury")? == "100" && hub.cap("peoplesbank")? == "50.5");
    let wanted = [
        ("Hub HUB_MULTILATERAL_SETTLEMENT", "0"),
        ("Hub HUB_RECONCILIATION", "0"),
        ("peoplesbank POSITION", "0"),
        ("peoplesbank SETTLEMENT", "0"),
        ("treasury POSITION", "0"),
        ("treasury SETTLEMENT", "0"),
    ];
    ensure!(hub.balances()? == balances(&wanted), "{:?}", hub.balances()?);
    Ok(())
}

async fn nobody_pays_without_funds(hub: &Hub) -> Result<()> {
    let before = hub.balances()?;
    hub.pays(TOO_EARLY, "10")?;
    let state = hub.ends(TOO_EARLY).await?;
    ensure!(
        state["transferState"] == "ABORTED" && state["errorInformation"]["errorCode"] == "4001",
        "{state}"
    );
    ensure!(hub.balances()? == before, "{:?}", hub.balances()?);
    Ok(())
}

async fn a_payment_moves_positions_by_its_amount(hub: &Hub) -> Result<()> {
    hub.ledger().funds_in("treasury", "XTS", 1000).await?;
    let began = Instant::now();
    hub.pays(PAID, "25")?;
    let state = hub.ends(PAID).await?;
    ensure!(state["transferState"] == "COMMITTED", "{state}");
    eprintln!("COMMITTED {} ms after it was asked for", began.elapsed().as_millis());
    let wanted = [
        ("Hub HUB_MULTILATERAL_SETTLEMENT", "0"),
        ("Hub HUB_RECONCILIATION", "1000"),
        ("peoplesbank POSITION", "-25"),
        ("peoplesbank SETTLEMENT", "0"),
        ("treasury POSITION", "25"),
        ("treasury SETTLEMENT", "-1000"),
    ];
    ensure!(hub.balances()? == balances(&wanted), "{:?}", hub.balances()?);
    Ok(())
}

async fn a_payment_beyond_the_cap_moves_nothing(hub: &Hub) -> Result<()> {
    let before = hub.balances()?;
    hub.pays(TOO_MUCH, "75.01")?;
    let state = hub.ends(TOO_MUCH).await?;
    ensure!(
        state["transferState"] == "ABORTED" && state["errorInformation"]["errorCode"] == "4200",
        "{state}"
    );
    ensure!(state["errorInformation"]["extensionList"].is_null(), "it tells of its own files: {state}");
    ensure!(hub.balances()? == before, "{:?}", hub.balances()?);
    Ok(())
}

fn who_is_not_the_service_does_not_reach_the_hub(hub: &Hub) -> Result<()> {
    // With the very bindings of the service: its pod is not the one that its Member named.
    let answer = hub.asks("stranger", &["GET", PAID])?;
    ensure!(answer.0 == 0, "{answer:?}");
    let answer = hub.asks("grants", &["GET", PAID])?;
    ensure!(answer.0 == 200, "{answer:?}");
    Ok(())
}

async fn told_again_the_ledger_makes_nothing_twice(hub: &Hub) -> Result<()> {
    let before = hub.everything()?;
    let again = hub.forget_onboarding().await?;
    ensure!(again >= 4, "only {again} steps of onboarding");
    hub.onboarded_again(again).await?;
    let after = hub.everything()?;
    ensure!(after == before, "{after:#?}\nis not\n{before:#?}");
    Ok(())
}

async fn whatever_is_killed_the_balances_are_the_same(hub: &Hub) -> Result<()> {
    let before = hub.balances()?;
    for component in ["centralledger-service", "mysql", "kafka", "ml-api-adapter-service"] {
        hub.country.kill(hub::NAMESPACE, component).await?;
        let began = Instant::now();
        within(LIMIT, &format!("the same balances after {component} was killed"), async || {
            let now = hub.balances()?;
            ensure!(now == before, "{now:?} is not {before:?}");
            Ok(())
        })
        .await?;
        eprintln!("the same balances {} s after {component} was killed", began.elapsed().as_secs());
    }
    // And it still pays; what a new adapter did not see itself, notifications tell it.
    within(LIMIT, "the hub to take a payment", async || hub.pays(LATER, "5")).await?;
    for (transfer, amount) in [(LATER, "30"), (PAID, "30")] {
        let state = hub.ends(transfer).await?;
        ensure!(state["transferState"] == "COMMITTED", "{transfer}: {state}");
        ensure!(hub.balances()?["treasury POSITION"] == amount, "{:?}", hub.balances()?);
    }
    Ok(())
}
