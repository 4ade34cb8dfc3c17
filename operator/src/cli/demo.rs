//! `plinth demo`: from nothing to a citizen who is paid, on this machine, with the time that each stage took.

mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::clusters_dir;
use plinth_journey::{
    Browser, Citizen, Country, DOMAIN, Ledger, Page, Person, SERVICE, STACK, STACK_NAMESPACE, System,
    Waiting, missing_for_browser, namespace_of,
};

use self::report::{Change, Told};
use super::down;
use super::exit::{Exit, Failure};
use super::output::{Out, note};
use super::progress;
use super::up;

/// Name of the cluster of a demo, where nobody names another.
const NAME: &str = "demo";
/// Who pays and who is paid, and in what.
const PAYER: &str = "treasury";
const PAYEE: &str = "peoplesbank";
const CURRENCY: &str = "XTS";
/// What the payer brings of its own.
const FUNDS: u32 = 1000;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the cluster that is started.
    #[arg(long, default_value = NAME)]
    name: String,
    /// Leave cluster and country running.
    #[arg(long)]
    keep: bool,
    /// Write what the citizen sees at the end as a picture (PNG).
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// How long the country has until it is Ready, images included that are built the first time.
    #[arg(long, default_value = "60m", value_parser = up::duration)]
    timeout: Duration,
}

/// Goes the whole way, and ends what it started.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    check(&args.name)?;
    let mut stop = up::Stop::listen()?;
    let mut told = Told::new(&args.name, args.keep);
    let gone = tokio::select! {
        gone = go(&args, &mut told) => gone,
        () = stop.wanted() => {
            down::end(&args.name, true).await?;
            return Err(Failure::new(Exit::Interrupted, "interrupted; the demo's cluster is deleted").into());
        }
    };
    if let Err(error) = gone {
        let name = &args.name;
        note(&format!(
            "the cluster `{name}` is left as it is, to be looked at: plinth status --watch, plinth down --name {name} --purge"
        ));
        return Err(error);
    }
    if !args.keep {
        let began = Instant::now();
        down::end(&args.name, true).await?;
        told.stage("everything ended, nothing left", began);
    }
    out.print(&told, report::text)?;
    Ok(Exit::Ok)
}

/// What is missing, or in the way, is said before minutes are spent.
fn check(name: &str) -> Result<()> {
    up::check_real_node()?;
    // What the demo starts it deletes: it takes no cluster that somebody else has made.
    if clusters_dir()?.join(name).exists() {
        let what =
            format!("there is a cluster `{name}` already, and the demo makes and deletes one of its own");
        let next = format!("give another --name, or delete that one: plinth down --name {name} --purge");
        return Err(Failure::new(Exit::Usage, what).next(next).into());
    }
    let missing = missing_for_browser();
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("the demo's citizen has no browser; missing: {}", missing.join(", "));
    Err(Failure::new(Exit::Usage, what).next(format!("apt-get install {}", missing.join(" "))).into())
}

async fn go(args: &Args, told: &mut Told) -> Result<()> {
    let folder = tempfile::tempdir().context("making a folder for the country's declaration")?;
    plinth_journey::unpack(folder.path())?;
    come_up(args, folder.path(), told).await?;
    let country = Country::attach(&args.name).await?;
    let mari = Person::mari();
    let began = Instant::now();
    enter(&country, &mari).await?;
    told.stage("the citizen's record, account and login entered, and the Treasury's money", began);

    let began = Instant::now();
    let (door, certificate) = country.door(&namespace_of("api-gateway")).await?;
    let browser = Browser::open(DOMAIN, door, &certificate).await?;
    let citizen = Citizen::at(&browser, &mari, SERVICE);
    told.stage("a browser opened", began);
    let gone = journey(&citizen, &country, told).await;
    if let Some(file) = &args.picture {
        browser.picture(file).await?;
    }
    browser.close().await?;
    gone
}

/// Cluster, images, blocks: the same as `plinth up`. People's yeses to what moves money are given meanwhile.
async fn come_up(args: &Args, folder: &Path, told: &mut Told) -> Result<()> {
    let came_up = up::detached(folder, &args.name, args.timeout);
    let waiting = Waiting { cluster: &args.name, namespace: STACK_NAMESPACE, stack: STACK };
    let took = tokio::select! {
        came_up = came_up => came_up?,
        error = waiting.approve() => return Err(error),
    };
    told.took("the cluster started", took.cluster);
    told.took("images built from package registries, and imported", took.images);
    told.took("the country Ready, onboarded", took.ready);
    Ok(())
}

/// What people enter by hand.
async fn enter(country: &Country, mari: &Person) -> Result<()> {
    let bar = progress::spinner("Entering a citizen");
    let registry = System::start(country, "civil", "desk", "exchange-100-desk-").await?;
    mari.enter_record(&registry).await?;
    let treasury = System::start(country, "treasury", "desk", "exchange-300-desk-").await?;
    mari.enter_account(&treasury).await?;
    mari.enter_login(country).await?;
    Ledger::of(country, &namespace_of("payments")).funds_in(PAYER, CURRENCY, FUNDS).await?;
    bar.finish_and_clear();
    Ok(())
}

/// What the citizen does, and what the ledger says of it.
async fn journey(citizen: &Citizen<'_>, country: &Country, told: &mut Told) -> Result<()> {
    let ledger = Ledger::of(country, &namespace_of("payments"));
    let positions = || anyhow::Ok((ledger.position(PAYER, CURRENCY)?, ledger.position(PAYEE, CURRENCY)?));
    let before = positions()?;

    let began = Instant::now();
    reached(citizen.open().await?, &Page::Welcome)?;
    told.stage("the service's page opened", began);
    let began = Instant::now();
    reached(citizen.sign_in().await?, &Page::Consent)?;
    told.stage("signed in at Keycloak, by OpenID Connect with PKCE", began);
    let began = Instant::now();
    let application = citizen.agree().await?;
    ensure!(matches!(application, Page::Application { .. }), "she agreed, and came to {application:?}");
    told.stage("consent given, record read through the exchange with mutual TLS", began);
    let began = Instant::now();
    let Page::Paid(paid) = citizen.apply().await? else {
        anyhow::bail!("she applied, and is not paid: {:?}", citizen.now().await?);
    };
    told.stage("application signed, signature validated, payment committed", began);

    let after = positions()?;
    told.paid = Some(paid);
    told.positions = vec![Change::of(PAYER, before.0, after.0), Change::of(PAYEE, before.1, after.1)];
    told.hold()
}

fn reached(page: Page, wanted: &Page) -> Result<()> {
    ensure!(page == *wanted, "the citizen came to {page:?} in place of {wanted:?}");
    Ok(())
}
