//! What a campaign has found: a line a case as it ends, then a report for machines and one for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::run::Verdict;
use crate::harness::dump::MASKS;
use crate::harness::session::in_repository;
use crate::oracles::Oracle;

/// How a case is played again.
const AGAIN: &str = "cargo run -p plinth-faults --bin plinth-campaign -- --case";

/// Commit of the checkout.
pub fn commit() -> Result<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(in_repository(".")).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Everything that is published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Commit of the checkout.
    pub commit: String,
    /// Cases.
    pub cases: usize,
    /// Cases in which something does not hold.
    pub bad: usize,
    /// Cases of which the harness knows nothing.
    pub broken: usize,
    /// By class.
    pub classes: BTreeMap<String, Row>,
    /// By scenario.
    pub scenarios: BTreeMap<String, Row>,
    /// What is not compared.
    pub masks: Vec<&'static str>,
    /// What does not hold, and how to see it again.
    pub found: Vec<Found>,
}

/// A line of the table.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Cases that ended.
    pub cases: usize,
    /// Cases that came to their fault.
    pub struck: usize,
    /// Cases of which the harness knows nothing.
    pub broken: usize,
    /// Cases in which something does not hold.
    pub bad: usize,
    /// Cases in which an oracle says so, by oracle.
    pub violations: BTreeMap<Oracle, usize>,
    /// Seconds that they took, one after the other.
    pub seconds: f64,
}

/// One case in which something does not hold.
#[derive(Debug, Serialize)]
pub struct Found {
    /// How to see it again.
    pub again: String,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Report {
    /// Of all these.
    pub fn new(commit: String, verdicts: Vec<Verdict>) -> Self {
        let (mut classes, mut scenarios) = (BTreeMap::<_, Row>::new(), BTreeMap::<_, Row>::new());
        for verdict in &verdicts {
            let mut parts = verdict.case.splitn(3, '/').map(str::to_owned);
            let (class, scenario) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            classes.entry(class).or_default().add(verdict);
            scenarios.entry(scenario).or_default().add(verdict);
        }
        let cases = verdicts.len();
        let found: Vec<Found> = verdicts
            .into_iter()
            .filter(|verdict| !verdict.is_good())
            .map(|verdict| Found { again: format!("{AGAIN} '{}'", verdict.case), verdict })
            .collect();
        let broken = found.iter().filter(|found| found.verdict.broken.is_some()).count();
        let bad = found.iter().filter(|found| !found.verdict.violations.is_empty()).count();
        Self { commit, cases, bad, broken, classes, scenarios, masks: MASKS.to_vec(), found }
    }

    /// Writes `report.json` and `report.html`.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        for (name, text) in [("report.json", json), ("report.html", self.html())] {
            let path = dir.join(name);
            std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn html(&self) -> String {
        let mut page = String::from(HEAD);
        let _ = write!(
            page,
            "<h1>Faults</h1><p>Commit {}: {} cases, {} with a violation, {} of which nothing is known.</p>",
            escaped(&self.commit),
            self.cases,
            self.bad,
            self.broken
        );
        for (what, rows) in [("class", &self.classes), ("scenario", &self.scenarios)] {
            let _ =
                write!(page, "<h2>By {what}</h2><table><tr><th>{what}<th>cases<th>struck<th>bad<th>broken");
            for oracle in Oracle::ALL {
                let _ = write!(page, "<th title=\"{}\">{oracle:?}", oracle.title());
            }
            page.push_str("<th>seconds</tr>");
            for (name, row) in rows {
                let Row { cases, struck, broken, bad, violations, seconds } = row;
                let _ = write!(page, "<tr><td>{}<td>{cases}<td>{struck}<td>{bad}<td>{broken}", escaped(name));
                for oracle in Oracle::ALL {
                    let count = violations.get(&oracle).map_or(String::new(), usize::to_string);
                    let _ = write!(page, "<td>{count}");
                }
                let _ = write!(page, "<td>{seconds:.0}</tr>");
            }
            page.push_str("</table>");
        }
        page.push_str("<h2>Violations</h2>");
        for Found { again, verdict } in &self.found {
            let _ = write!(page, "<h3>{}</h3><pre>{}</pre><ul>", escaped(&verdict.case), escaped(again));
            for violation in &verdict.violations {
                let _ = write!(page, "<li>{}", escaped(&violation.to_string()));
            }
            if let Some(broken) = &verdict.broken {
                let _ = write!(page, "<li>harness: {}", escaped(broken));
            }
            page.push_str("</ul>");
        }
        page.push_str("<h2>Not compared</h2><ul>");
        for mask in &self.masks {
            let _ = write!(page, "<li>{}", escaped(mask));
        }
        page.push_str("</ul>");
        page
    }
}

impl Row {
    fn add(&mut self, verdict: &Verdict) {
        self.cases += 1;
        self.struck += usize::from(verdict.struck);
        self.broken += usize::from(verdict.broken.is_some());
        self.bad += usize::from(!verdict.violations.is_empty());
        self.seconds += verdict.seconds;
        let oracles: std::collections::BTreeSet<Oracle> =
            verdict.violations.iter().map(|violation| violation.oracle).collect();
        for oracle in oracles {
            *self.violations.entry(oracle).or_default() += 1;
        }
    }
}

const HEAD: &str = "<!doctype html><meta charset=utf-8><title>Faults</title><style>\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}\
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2rem .5rem;text-align:right}\
td:first-child,th:first-child{text-align:left}pre{background:#f3f3f3;padding:.5rem;overflow:auto}\
h3{font-size:1rem;margin-bottom:0}</style>";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::Violation;

    fn verdict(case: &str, violations: Vec<Violation>) -> Verdict {
        Verdict {
            commit: "c".to_owned(),
            case: case.to_owned(),
            struck: true,
            victim: None,
            seconds: 2.0,
            violations,
            broken: None,
            log: None,
        }
    }

    #[test]
    fn a_report_counts_by_class_and_names_how_to_see_it_again() {
        let wrong = Violation::new(Oracle::O3, "core/secrets a/<b>", "created 2 times");
        let case = "crash/create/crash @ apply core/secrets a/b #1";
        let report = Report::new(
            "c".to_owned(),
            vec![
                verdict(case, vec![wrong.clone(), wrong]),
                verdict("crash/change/crash @ 2", Vec::new()),
                verdict("drift/create/edit x", Vec::new()),
            ],
        );
        assert_eq!((report.cases, report.bad, report.classes["crash"].cases), (3, 1, 2));
        assert_eq!(report.classes["crash"].violations[&Oracle::O3], 1, "cases, not messages");
        assert!(report.found[0].again.ends_with(&format!("--case '{case}'")));
        let html = report.html();
        assert!(html.contains("core/secrets a/&lt;b&gt;") && html.contains("resourceVersion"));
    }
}
