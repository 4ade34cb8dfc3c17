//! `plinth-campaign`: every case of some classes, or a slice, on a few control planes side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures::future::try_join_all;
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_faults::campaign::cases::{cases, representatives};
use plinth_faults::campaign::report::{Report, commit};
use plinth_faults::campaign::run::{Campaign, Verdict};
use plinth_faults::campaign::scenario::{scenarios, usual};
use plinth_faults::campaign::{Class, Spec};
use plinth_faults::harness::session::Session;

/// Plays scenarios under faults and judges each run.
///
/// Writes a line a case into `cases.jsonl` as it ends, and `report.json` and `report.html` at the end.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Classes of faults; all of them when left out.
    classes: Vec<Class>,
    /// Scenarios; those that are usual for a class when left out.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Exactly this case; may be said more than once.
    #[arg(long, value_name = "CASE")]
    case: Vec<Spec>,
    /// Only cases whose hash leaves the remainder N when divided by M.
    #[arg(long, value_name = "N/M", value_parser = slice)]
    slice: Option<(u64, u64)>,
    /// Only one case of each class, kind of fault, verb and resource: the one with the lowest hash.
    #[arg(long)]
    representatives: bool,
    /// Says which cases there are, and plays none.
    #[arg(long)]
    list: bool,
    /// Leaves out what this commit has a good verdict of already.
    #[arg(long)]
    resume: bool,
    /// Goes on after so many bad cases only when it is 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    enough: usize,
    /// Control planes side by side.
    #[arg(long, value_name = "N", default_value_t = 2)]
    planes: usize,
    /// No Stack lives beside the cases.
    #[arg(long)]
    alone: bool,
    /// One more variable in the operator's environment.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Where results go.
    #[arg(long, value_name = "DIR", default_value = "target/campaign")]
    out: PathBuf,
}

fn slice(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
    parts.filter(|(n, m)| n < m).ok_or_else(|| format!("`{text}` must be N/M with N below M, as in 0/8"))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    parts.ok_or_else(|| format!("`{text}` must be NAME=VALUE"))
}

#[tokio::main]
async fn main() -> Result<()> {
    // What goes wrong on purpose is not worth a line.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("creating {}", arguments.out.display()))?;
    let starting = (0..arguments.planes.max(1)).map(|_| TestCluster::start(Nodes::Simulated(1)));
    let planes = try_join_all(starting).await?;
    let smallest = scenarios()?.remove(0).example;
    let sessions = planes.iter().map(async |plane| {
        let mut session = Session::new(plane).await?;
        if !arguments.alone {
            session = session.with_neighbour(&smallest).await?;
        }
        let variables = arguments.env.iter().cloned();
        anyhow::Ok(variables.fold(session, |session, (name, value)| session.with_env(name, value)))
    });
    let sessions = try_join_all(sessions).await?;
    campaign(&arguments, &sessions).await
}

async fn campaign(arguments: &Arguments, sessions: &[Session<'_>]) -> Result<()> {
    let commit = commit()?;
    let wanted = wanted(arguments)?;
    let all = scenarios()?;
    let named: BTreeSet<&str> = wanted.iter().map(|(_, scenario)| scenario.as_str()).collect();
    let scenarios = all.into_iter().filter(|scenario| named.contains(scenario.name)).collect();
    let logs = arguments.out.join("logs");
    let campaign = Campaign::new(sessions, scenarios, commit.clone(), logs).await?;
    let unsound = campaign.unsound();
    for (scenario, violation) in &unsound {
        eprintln!("{scenario} without a fault: {violation}");
    }
    ensure!(unsound.is_empty(), "runs without a fault are wrong already: nothing can be told of the others");

    let lines = arguments.out.join("cases.jsonl");
    let before = if arguments.resume { read(&lines, &commit)? } else { BTreeMap::new() };
    let mut specs = if arguments.case.is_empty() {
        let all = wanted.iter().flat_map(|(class, scenario)| {
            let reference = campaign.references.get(scenario.as_str());
            reference.map(|(_, outcome)| cases(*class, scenario, outcome)).unwrap_or_default()
        });
        let all: Vec<Spec> = all.collect();
        if arguments.representatives { representatives(all) } else { all }
    } else {
        arguments.case.clone()
    };
    if let Some((n, m)) = arguments.slice {
        specs.retain(|spec| spec.hash() % m == n);
    }
    specs.retain(|spec| before.get(&spec.to_string()).is_none_or(|verdict| !verdict.is_good()));
    if arguments.list {
        specs.iter().for_each(|spec| println!("{spec}"));
        return Ok(());
    }

    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&lines)
        .with_context(|| format!("opening {}", lines.display()))?;
    let (mut verdicts, mut bad, count) = (before, 0, specs.len());
    let mut played = 0;
    eprintln!("{count} cases on {} control planes", sessions.len());
    let tell = |verdict: Verdict| {
        played += 1;
        bad += usize::from(!verdict.is_good());
        let word = if verdict.is_good() { "ok" } else { "BAD" };
        let struck = match &verdict.victim {
            _ if verdict.struck => "",
            Some(_) => " (refused)",
            None => " (not struck)",
        };
        eprintln!("{played}/{count} {word}{struck} {:.1} s {}", verdict.seconds, verdict.case);
        verdict.violations.iter().take(12).for_each(|violation| eprintln!("    {violation}"));
        verdict.broken.iter().for_each(|broken| eprintln!("    harness: {broken}"));
        writeln!(file, "{}", serde_json::to_string(&verdict)?)?;
        verdicts.insert(verdict.case.clone(), verdict);
        Ok(arguments.enough == 0 || bad < arguments.enough)
    };
    campaign.play(specs, tell).await?;
    let report = Report::new(commit, verdicts.into_values().collect());
    report.write(&arguments.out)?;
    println!(
        "{} cases, {} with a violation, {} broken: {}",
        report.cases,
        report.bad,
        report.broken,
        arguments.out.join("report.html").display()
    );
    ensure!(report.bad == 0 && report.broken == 0, "something does not hold");
    Ok(())
}

/// Classes and the scenarios that they are played on.
fn wanted(arguments: &Arguments) -> Result<BTreeSet<(Class, String)>> {
    if !arguments.case.is_empty() {
        return Ok(arguments.case.iter().map(|spec| (spec.class, spec.scenario.clone())).collect());
    }
    let known: Vec<&str> = scenarios()?.iter().map(|scenario| scenario.name).collect();
    for name in &arguments.scenario {
        ensure!(known.contains(&name.as_str()), "{name} is no scenario; there are {}", known.join(", "));
    }
    let classes: Vec<Class> =
        if arguments.classes.is_empty() { Class::all().collect() } else { arguments.classes.clone() };
    let pairs = classes.into_iter().flat_map(|class| {
        let scenarios: Vec<String> = if arguments.scenario.is_empty() {
            usual(class).iter().map(|&name| name.to_owned()).collect()
        } else {
            arguments.scenario.clone()
        };
        scenarios.into_iter().map(move |scenario| (class, scenario))
    });
    Ok(pairs.collect())
}

/// The last verdict of each case, of this commit.
fn read(lines: &Path, commit: &str) -> Result<BTreeMap<String, Verdict>> {
    let text = std::fs::read_to_string(lines).unwrap_or_default();
    let mut verdicts = BTreeMap::new();
    for line in text.lines() {
        let verdict: Verdict =
            serde_json::from_str(line).with_context(|| format!("a line of {}", lines.display()))?;
        if verdict.commit == commit {
            verdicts.insert(verdict.case.clone(), verdict);
        }
    }
    Ok(verdicts)
}
