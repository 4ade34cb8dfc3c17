//! `plinth preflight`: whether a cluster can carry a Stack, before anything is written to it.

mod checks;
mod demand;
mod facts;

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use self::checks::{CHECKS, Line, Verdict};
use self::demand::Demand;
use self::facts::Facts;
use super::connect::ClusterArgs;
use super::exit::Exit;
use super::input::Input;
use super::output::{Out, count, lines, note, table};
use super::progress;

/// Arguments of `preflight`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with Stacks and Products; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    fits: bool,
    shortfalls: usize,
    stacks: Vec<OfStack>,
}

#[derive(Debug, Serialize)]
struct OfStack {
    namespace: String,
    stack: String,
    checks: Vec<Line>,
}

/// Prints every check. Exit code 4 when the cluster falls short.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let planned = Input::read(&args.file)?.some_plans(&args.file)?;
    let connection = args.cluster.connect().await?;
    note(&format!("checking the cluster of {}; nothing is written", connection.origin));
    let mut stacks = Vec::new();
    for planned in &planned {
        let bar = progress::spinner("Looking at the cluster");
        let demand = Demand::of(&planned.stack, &planned.plan);
        let facts = Facts::gather(&connection.client, &demand).await?;
        bar.finish_and_clear();
        stacks.push(OfStack {
            namespace: planned.plan.stack.namespace.clone(),
            stack: planned.plan.stack.name.clone(),
            checks: CHECKS.iter().flat_map(|check| check(&demand, &facts)).collect(),
        });
    }
    let short = |line: &&Line| line.verdict == Verdict::Short;
    let shortfalls = stacks.iter().flat_map(|stack| &stack.checks).filter(short).count();
    let report = Report { fits: shortfalls == 0, shortfalls, stacks };
    out.print(&report, text)?;
    Ok(if report.fits { Exit::Ok } else { Exit::NotReady })
}

fn text(report: &Report) -> String {
    let mut texts = Vec::new();
    for stack in &report.stacks {
        let mut table = table(["", "CHECK", "WHAT WAS FOUND"]);
        for line in &stack.checks {
            table.add_row([line.verdict.sign(), line.check, &line.message]);
        }
        texts.push(format!("Stack {}/{}\n{}", stack.namespace, stack.stack, lines(&table)));
    }
    texts.push(match report.shortfalls {
        0 => "the cluster can carry it, as far as can be known from here".to_owned(),
        n => count(n, "shortfall"),
    });
    texts.join("\n\n")
}
