//! `plinth validate`: everything that is wrong with the input, offline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use plinth_plan::closure;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::input::{Input, Planned};
use super::output::{Out, kinds, lines, note, table};
use super::plan::blocked;
use super::problem::Problem;
use super::schema::short;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with Stacks and Products; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: PathBuf,
}

/// What was looked at, and what was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    valid: bool,
    stacks: usize,
    products: usize,
    /// What agencies declare, by kind.
    declared: BTreeMap<&'static str, usize>,
    findings: Vec<Problem>,
}

/// Prints every finding. Exit code 3 when there is one.
pub fn run(args: &Args, out: Out) -> Result<Exit> {
    let report = match check(args) {
        Ok(report) => report,
        // Findings are this command's data, on standard output; anything else is a failure like any other.
        Err(error) => match error.downcast::<Failure>() {
            Ok(failure) if !failure.problems.is_empty() => {
                Report { findings: failure.problems, ..Report::default() }
            }
            Ok(failure) => return Err(failure.into()),
            Err(error) => return Err(error),
        },
    };
    out.print(&report, text)?;
    Ok(if report.valid { Exit::Ok } else { Exit::InvalidInput })
}

fn check(args: &Args) -> Result<Report> {
    let input = Input::read(&args.file)?;
    let (stacks, products) = (input.stacks.len(), input.products.len());
    let declared = input.agencies.counts();
    for elsewhere in input.agencies.elsewhere(&input.stacks) {
        note(&format!("warning: {elsewhere}"));
    }
    let findings: Vec<Problem> = input.plans()?.iter().flat_map(of_plan).collect();
    Ok(Report { valid: findings.is_empty(), stacks, products, declared, findings })
}

/// What a plan says about its own content: blocks that nobody can deploy, mentions that lead nowhere, and what agencies
/// declare and does not hold.
fn of_plan(planned: &Planned) -> Vec<Problem> {
    let Planned { document, stack, plan, inputs, declared } = planned;
    blocked(plan)
        .map(|(_, finding)| finding.clone())
        .chain(closure::check(plan, stack, inputs))
        .map(|finding| Problem::of_finding(&document.file, &document.object(), &document.value, &finding))
        .chain(declared.iter().cloned())
        .collect()
}

fn text(report: &Report) -> String {
    if report.valid {
        let own = [("Stack", report.stacks), ("Product", report.products)];
        let declared = report.declared.iter().map(|(kind, n)| (*kind, *n));
        let counts = own.into_iter().chain(declared).map(|(kind, n)| kinds(n, kind));
        return format!("valid: {}", counts.collect::<Vec<_>>().join(", "));
    }
    let mut table = table(["FILE", "OBJECT", "FIELD", "VALUE", "WHAT IS WRONG AND WHAT IS ALLOWED"]);
    for problem in &report.findings {
        let value = problem.value.as_ref().map(short).unwrap_or_default();
        table.add_row([&problem.file, &problem.object, &problem.path, &value, &problem.message]);
    }
    lines(&table)
}
