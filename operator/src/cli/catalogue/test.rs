//! `plinth catalogue lint` and `plinth catalogue test`.

use std::path::PathBuf;

use anyhow::Result;
use plinth_plan::{Inputs, closure, lint as rules};
use serde::Serialize;

use super::folder::{Subjects, problem, subjects, today};
use crate::cli::exit::Exit;
use crate::cli::output::{Out, count, lines, table};
use crate::cli::problem::Problem;

#[derive(Debug, Default, Serialize)]
struct Report {
    passed: bool,
    entries: usize,
    /// Plans that were made: Stacks times profiles.
    plans: usize,
    findings: Vec<Problem>,
    /// What could not be tested, and why.
    notes: Vec<String>,
}

/// Prints what entries should say and do not. Exit code 3 when there is something.
pub fn lint(folders: &[PathBuf], out: Out) -> Result<Exit> {
    let subjects = subjects(folders)?;
    let mut report =
        Report { entries: subjects.names.len(), findings: subjects.problems.clone(), ..Report::default() };
    report.findings.extend(lints(&subjects));
    finish(report, out)
}

/// Lints, plans and checks. Exit code 3 when anything is found.
pub fn run(folders: &[PathBuf], out: Out) -> Result<Exit> {
    let subjects = subjects(folders)?;
    let mut report =
        Report { entries: subjects.names.len(), findings: subjects.problems.clone(), ..Report::default() };
    report.findings.extend(lints(&subjects));
    let inputs = Inputs { catalogue: subjects.catalogue.clone(), ..Inputs::default() };
    for name in &subjects.names {
        let stacks = subjects.samples.get(name).map(Vec::as_slice).unwrap_or_default();
        let installable = subjects.catalogue.get(name).is_some_and(|e| e.spec.unavailable.is_none());
        if stacks.is_empty() && installable {
            report.notes.push(format!("{name}: no stacks.yaml shows it, so nothing was planned"));
        }
        for stack in stacks {
            report.plans += 1;
            let label = format!(
                "{name}: Stack {}, {}",
                stack.metadata.name.as_deref().unwrap_or_default(),
                stack.spec.profile.as_str()
            );
            let found = match plinth_plan::plan(stack, &inputs) {
                Err(findings) => findings,
                Ok(plan) => {
                    let blocked = plan.blocks.iter().flat_map(|block| block.blocked.clone());
                    blocked.chain(closure::check(&plan, stack, &inputs)).collect()
                }
            };
            report.findings.extend(found.into_iter().map(|finding| Problem {
                path: finding.path,
                ..Problem::of_file(label.clone(), finding.message)
            }));
        }
    }
    finish(report, out)
}

fn lints(subjects: &Subjects) -> Vec<Problem> {
    let today = today();
    let entries = subjects.names.iter().filter_map(|name| subjects.catalogue.get(name));
    entries.flat_map(|entry| rules::lint(entry, &subjects.catalogue, &today)).map(|f| problem(&f)).collect()
}

fn finish(mut report: Report, out: Out) -> Result<Exit> {
    report.passed = report.findings.is_empty();
    out.print(&report, text)?;
    Ok(if report.passed { Exit::Ok } else { Exit::InvalidInput })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    if !report.findings.is_empty() {
        let mut table = table(["WHERE", "FIELD", "WHAT IS WRONG AND WHAT IS ALLOWED"]);
        for problem in &report.findings {
            table.add_row([&problem.file, &problem.path, &problem.message]);
        }
        text += &lines(&table);
        text += "\n\n";
    }
    for note in &report.notes {
        text += &format!("note: {note}\n");
    }
    let verdict = if report.passed { "passed" } else { "failed" };
    let entries =
        if report.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", report.entries) };
    text + &format!(
        "{verdict}: {entries}, {}, {}",
        count(report.plans, "plan"),
        count(report.findings.len(), "finding")
    )
}
