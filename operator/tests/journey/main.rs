//! `examples/journey` on a real node, with a citizen at a browser: she signs in, agrees, signs, and is paid in a real ledger. Whatever is
//! killed, and when the whole country has slept, records and balances are the same afterwards; and each link that is taken away fails
//! its own step, closed, and no other.
//!
//! Long: images are built from package registries once. It needs Linux, root, what `e2e/cluster/README.md` names, and Debian's
//! `chromium` and `chromium-driver`. `e2e/all journey` runs it; `PLINTH_JOURNEY=demo` goes on from what `plinth demo --keep` left.

mod asleep;
mod killed;
#[path = "../support/node.rs"]
mod node;
mod operator;
mod refused;
mod revoked;

use anyhow::{Context as _, Result, ensure};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use node::{LIMIT, ended, is_ready_for_real, plinth};
use plinth_api::{BuildingBlock, PublicService};
use plinth_journey::{
    Browser, Citizen, Country, DOMAIN, Ledger, Page, Paid, Person, SERVICE, STACK, STACK_NAMESPACE, System,
    namespace_of,
};
use serde_json::Value;

const CURRENCY: &str = "XTS";
/// What the service pays for an application.
const GRANT: f64 = 25.0;

/// Everything that the stages of the test look at.
struct World<'a> {
    country: &'a Country,
    /// The keeper of the register of persons.
    desk: System<'a>,
    /// The Treasury, which keeps the account mapper.
    treasury: System<'a>,
    /// A system of the Office for Families, which reads.
    grants: System<'a>,
    browser: &'a Browser,
    person: &'a Person,
    name: &'a str,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: e2e/all journey"]
async fn a_citizen_is_paid_whatever_is_killed_and_not_by_a_link_that_is_taken_away() -> Result<()> {
    // A country that runs already is gone on from, and kept.
    if let Some(name) = std::env::var("PLINTH_JOURNEY").ok().filter(|name| !name.is_empty()) {
        return journey(&name).await;
    }
    let name = format!("journey-{}", std::process::id());
    let went = match demo(&name) {
        Ok(()) => journey(&name).await,
        Err(error) => Err(error),
    };
    ended(&name, went)
}

/// The first citizen, by the command that people run.
fn demo(name: &str) -> Result<()> {
    let said = plinth(&["demo", "--name", name, "--keep", "-o", "json"])?;
    let said: Value = serde_json::from_str(&said).context("what the demo says")?;
    ensure!(
        said["paid"]["indication"] == "TOTAL_PASSED" && said["paid"]["payment"] == "COMMITTED",
        "{said:#}"
    );
    eprintln!("{:#}", said["stages"]);
    Ok(())
}

async fn journey(name: &str) -> Result<()> {
    let country = Country::attach(name).await?;
    it_is_ready_and_not_called_simulated(&country).await?;
    let person = Person::jaan();
    let desk = System::start(&country, "civil", "desk", "exchange-100-desk-").await?;
    let treasury = System::start(&country, "treasury", "desk", "exchange-300-desk-").await?;
    let grants = System::start(&country, "families", "grants", "exchange-200-grants-").await?;
    person.enter_record(&desk).await?;
    person.enter_account(&treasury).await?;
    person.enter_login(&country).await?;
    let (door, certificate) = country.door(&namespace_of("api-gateway")).await?;
    let browser = Browser::open(DOMAIN, door, &certificate).await?;
    let world = World { country: &country, desk, treasury, grants, browser: &browser, person: &person, name };

    refused::who_may_not_is_refused(&world).await?;
    world.signs_in_and_agrees().await?;
    killed::whatever_is_killed_records_and_balances_are_the_same(&world).await?;
    asleep::asleep_and_awake_records_and_balances_are_the_same(&world).await?;
    revoked::each_link_fails_its_own_step_closed(&world).await?;
    browser.close().await
}

async fn it_is_ready_and_not_called_simulated(country: &Country) -> Result<()> {
    is_ready_for_real(&country.client, STACK_NAMESPACE, STACK).await?;
    let blocks = Api::<BuildingBlock>::namespaced(country.client.clone(), STACK_NAMESPACE);
    for block in blocks.list(&ListParams::default()).await? {
        let seen = block.status.clone().unwrap_or_default().conformance;
        let seen = seen.with_context(|| format!("nothing is said of {}'s conformance", block.name_any()))?;
        ensure!(seen.holds > 0 && !seen.requirements.is_empty(), "{}: {seen:#?}", block.name_any());
    }
    let service =
        Api::<PublicService>::namespaced(country.client.clone(), "families").get("child-grant").await?;
    let status = service.status.unwrap_or_default();
    ensure!(status.granted.as_deref() == Some("4/4"), "{status:#?}");
    Ok(())
}

/// What must not change by itself: the person's records as the exchange gives them, and the ledger's balances.
#[derive(Debug, PartialEq)]
struct Kept {
    record: (u16, String),
    account: (u16, String),
    positions: [f64; 2],
    funds: [f64; 2],
}

impl World<'_> {
    fn citizen(&self) -> Citizen<'_> {
        Citizen::at(self.browser, self.person, SERVICE)
    }

    async fn signs_in_and_agrees(&self) -> Result<()> {
        let citizen = self.citizen();
        let page = citizen.open().await?;
        ensure!(page == Page::Welcome, "{page:?}");
        let page = citizen.sign_in().await?;
        ensure!(page == Page::Consent, "{page:?}");
        let page = citizen.agree().await?;
        ensure!(page == Page::Application { name: "Jaan Tamm".to_owned() }, "{page:?}");
        Ok(())
    }

    /// The signed-in citizen opens the service once more, applies and is paid: the ledger says so too.
    async fn is_paid(&self) -> Result<Paid> {
        let before = self.positions()?;
        let paid = match self.applies().await? {
            Page::Paid(paid) => paid,
            other => anyhow::bail!("not paid: {other:?}"),
        };
        let after = self.positions()?;
        ensure!(
            after[0] - before[0] == GRANT && before[1] - after[1] == GRANT,
            "{paid:?}, and positions went from {before:?} to {after:?}"
        );
        Ok(paid)
    }

    /// What she comes to when she opens the service, signed in or not, and applies.
    async fn applies(&self) -> Result<Page> {
        let citizen = self.citizen();
        let page = match citizen.open().await? {
            Page::Welcome => citizen.sign_in().await?,
            page => page,
        };
        match page {
            Page::Application { .. } => citizen.apply().await,
            page => Ok(page),
        }
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger::of(self.country, &namespace_of("payments"))
    }

    fn positions(&self) -> Result<[f64; 2]> {
        let ledger = self.ledger();
        Ok([ledger.position("treasury", CURRENCY)?, ledger.position("peoplesbank", CURRENCY)?])
    }

    fn kept(&self) -> Result<Kept> {
        let ledger = self.ledger();
        let kept = Kept {
            record: self.desk.call("GET", &self.person.record(), "")?,
            account: self.treasury.call("GET", &self.person.mapping(), "")?,
            positions: self.positions()?,
            funds: [ledger.funds("treasury", CURRENCY)?, ledger.funds("peoplesbank", CURRENCY)?],
        };
        ensure!(kept.record.0 == 200 && kept.account.0 == 200, "{kept:?}");
        Ok(kept)
    }
}
