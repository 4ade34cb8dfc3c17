//! `plinth-mutants`: whether the campaign would find the bugs that are built in on purpose.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures::future::try_join_all;
use plinth_api::mutant::Mutant;
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_faults::campaign::cases::{cases, representatives};
use plinth_faults::campaign::mutants::{Ground, Hunt, hunt};
use plinth_faults::campaign::report::commit;
use plinth_faults::campaign::run::{Campaign, quiet};
use plinth_faults::campaign::scenario::{scenarios, usual};
use plinth_faults::campaign::{Class, Spec};
use plinth_faults::harness::session::Session;
use plinth_faults::oracles::Violation;
use serde_json::json;

/// Of a hundred, so many have to be found.
const FLOOR: usize = 95;
/// The classes that find most for the least; the others come after them.
const FIRST: [Class; 6] =
    [Class::Drift, Class::LostResponse, Class::Crash, Class::Leader, Class::Error, Class::Stale];

/// Hunts each built-in bug with the cases of the campaign until an oracle finds it.
///
/// PLINTH_BIN names a binary with the feature `mutants`: cargo build --features plinth/mutants --target-dir target/mutants
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// These bugs; all of them when left out.
    mutants: Vec<String>,
    /// Bugs hunted side by side, each on a control plane of its own.
    #[arg(long, value_name = "N", default_value_t = 2)]
    planes: usize,
    /// So many cases have to be enough for one.
    #[arg(long, value_name = "N", default_value_t = 150)]
    cases: usize,
    /// Where the result goes.
    #[arg(long, value_name = "FILE", default_value = "target/mutants.json")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    ensure!(
        std::env::var_os("PLINTH_BIN").is_some(),
        "PLINTH_BIN has to name a binary with the feature `mutants`; see --help"
    );
    let wanted = wanted(&arguments.mutants)?;
    let starting = (0..arguments.planes.max(1)).map(|_| TestCluster::start(Nodes::Simulated(1)));
    let planes = try_join_all(starting).await?;
    let sessions = try_join_all(planes.iter().map(|plane| Session::new(plane))).await?;
    let mut campaign = Campaign::new(&sessions, scenarios()?, String::new(), PathBuf::new()).await?;
    // Nothing can be told by a scenario in which something is wrong already, or that does not end the same twice.
    for (scenario, violation) in unsound(&campaign, &sessions[0]).await? {
        eprintln!("left out: {scenario}, without a bug: {violation}");
        campaign.references.remove(scenario.as_str());
    }
    ensure!(!campaign.references.is_empty(), "without a bug something is wrong in every scenario");
    let specs = specs(&campaign, arguments.cases);
    let logs = arguments.out.with_extension("logs");
    let ground = Ground { references: &campaign.references, cases: &specs, logs: &logs };

    // First with none alive.
    let queue: VecDeque<Option<Mutant>> = std::iter::once(None).chain(wanted.into_iter().map(Some)).collect();
    let (queue, hunts) = (RefCell::new(queue), RefCell::new(Vec::new()));
    let hunters = (0..arguments.planes.max(1)).map(async |_| {
        loop {
            let Some(mutant) = queue.borrow_mut().pop_front() else { break };
            let found = hunt(mutant, &ground).await?;
            tell(&found);
            hunts.borrow_mut().push(found);
        }
        anyhow::Ok(())
    });
    try_join_all(hunters).await?;
    let mut hunts = hunts.into_inner();
    let none = hunts.iter().position(|hunt| hunt.mutant == "none").map(|index| hunts.swap_remove(index));
    let none = none.context("the hunt without a bug has not ended")?;
    hunts.sort_by(|one, other| one.mutant.cmp(&other.mutant));
    let caught = hunts.iter().filter(|hunt| hunt.caught).count();
    let report = json!({ "commit": commit()?, "mutants": hunts.len(), "caught": caught, "withoutABug": none, "cases": specs.len(), "hunts": hunts });
    std::fs::write(&arguments.out, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("writing {}", arguments.out.display()))?;
    println!("{caught} of {} bugs found: {}", hunts.len(), arguments.out.display());
    ensure!(!none.caught, "something was found where no bug is: {}", none.violation.unwrap_or_default());
    ensure!(caught * 100 >= hunts.len() * FLOOR, "fewer than {FLOOR} of 100 were found");
    Ok(())
}

async fn unsound(campaign: &Campaign<'_>, session: &Session<'_>) -> Result<Vec<(String, Violation)>> {
    let mut found = campaign.unsound();
    for (scenario, reference) in campaign.references.values() {
        let again = quiet(session, scenario, reference).await?;
        found.extend(again.into_iter().map(|violation| (scenario.name.to_owned(), violation)));
    }
    Ok(found)
}

fn wanted(names: &[String]) -> Result<Vec<Mutant>> {
    let known = |name: &String| {
        let mutant = Mutant::ALL.iter().find(|mutant| mutant.name() == *name).copied();
        let all: Vec<String> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        mutant.with_context(|| format!("{name} is no built-in bug; there are {}", all.join(", ")))
    };
    if names.is_empty() { Ok(Mutant::ALL.to_vec()) } else { names.iter().map(known).collect() }
}

/// One case of each group, class by class, but no more than are allowed: of each class an even share.
fn specs(campaign: &Campaign<'_>, most: usize) -> Vec<Spec> {
    let classes: Vec<Class> =
        FIRST.into_iter().chain(Class::all().filter(|class| !FIRST.contains(class))).collect();
    let share = most.div_ceil(classes.len());
    let of_class = |class: Class| {
        let all = usual(class).iter().flat_map(move |scenario| {
            let reference = campaign.references.get(scenario);
            reference.map(|(_, outcome)| cases(class, scenario, outcome)).unwrap_or_default()
        });
        let mut all = representatives(all.collect());
        all.sort_by_key(Spec::hash);
        all.truncate(share);
        all
    };
    classes.into_iter().flat_map(of_class).collect()
}

fn tell(hunt: &Hunt) {
    let word = if hunt.caught { "found" } else { "SURVIVES" };
    let by: Vec<String> = hunt.oracles.iter().map(|oracle| format!("{oracle:?}")).collect();
    if let Some(violation) = &hunt.violation {
        eprintln!("    {violation}");
    }
    let (case, broken) = (hunt.case.as_deref().unwrap_or("-"), hunt.broken);
    eprintln!(
        "{word} {} by {} in case {} ({case}), {broken} broken, {:.0} s",
        hunt.mutant,
        by.join(" "),
        hunt.cases,
        hunt.seconds
    );
}
