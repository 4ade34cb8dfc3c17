//! Alerts: each has a page that says what to do, and fires when it should in Prometheus' own rule engine.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::CHART;
use super::prometheus::program;
use super::tools::said;

fn rules() -> Result<Value> {
    let text = std::fs::read_to_string(Path::new(CHART).join("files/alerts.yaml"))?;
    Ok(serde_yaml::from_str(&text)?)
}

fn names(rules: &Value) -> BTreeSet<String> {
    let groups = rules["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    rules.filter_map(|rule| rule["alert"].as_str()).map(str::to_owned).collect()
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() -> Result<()> {
    let rules = rules()?;
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(CHART).join("../../docs/runbooks"))? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        pages.extend(name.strip_suffix(".md").filter(|name| *name != "README").map(str::to_owned));
    }
    ensure!(pages == names(&rules), "{pages:?} {:?}", names(&rules));
    let text = rules.to_string();
    for name in &pages {
        ensure!(text.contains(&format!("RUNBOOKS/{name}.md")), "{name} does not lead to its page");
    }
    Ok(())
}

#[test]
#[ignore = "needs Prometheus, which is fetched: e2e/all chart"]
fn every_alert_fires_when_it_should_and_not_before() -> Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/alerts.yaml");
    let cases: Value = serde_yaml::from_str(&std::fs::read_to_string(&tests)?)?;
    let tried = cases["tests"].as_array().into_iter().flatten();
    let tried = tried.flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
    let (mut fires, mut rests) = (BTreeSet::new(), BTreeSet::new());
    for case in tried {
        let name = case["alertname"].as_str().context("alertname")?.to_owned();
        let expected = case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
        if expected {
            fires.insert(name)
        } else {
            rests.insert(name)
        };
    }
    let all = names(&rules()?);
    ensure!(fires == all && rests == all, "tried to fire: {fires:?}; to rest: {rests:?}; there are {all:?}");
    let mut promtool = program("promtool")?;
    let out = said(promtool.args(["test", "rules"]).arg(&tests))?;
    ensure!(out.contains("SUCCESS"), "{out}");
    let mut promtool = program("promtool")?;
    said(promtool.args(["check", "rules", "--lint=all"]).arg(Path::new(CHART).join("files/alerts.yaml")))
        .map(drop)
}
