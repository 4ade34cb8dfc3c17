//! Onboarding against contract servers: the steps of entries, planned and run by the real program, against servers made of
//! the products' own documents of their APIs. No product runs here; whether a product keeps to its documents is for suites
//! of their own.

mod contract;
mod declared;
mod planned;
mod server;
#[path = "../support/steps.rs"]
mod steps;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::Contract;
use declared::{Change, World};
use plinth_plan::expr::Scope;
use serde_json::{Map, Value};
use server::Served;
use steps::Step;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contracts");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

/// Takes every step of a contract twice, after each change those that it changes twice, and at the end every one. Returns how
/// many calls made something the first time.
fn onboard(contract: Contract) -> Result<u32, String> {
    let contract = Arc::new(contract);
    let served = server::serve(contract.clone());
    let mut world = World::new(&contract.declares);
    let mut steps = planned::of(&contract, &world, &served.url)?;
    let take = |steps: &[&Step], when: &str| taken(steps, &served, &contract, when);
    let made = take(&steps.iter().collect::<Vec<_>>(), "in the first run")?;
    nothing(&steps.iter().collect::<Vec<_>>(), |step| take(&[step], "in the second run"))?;
    for change in &contract.changes {
        let wrong = |what: String| format!("after the change `{}`: {what}", change.says);
        world = world.after(change).map_err(wrong)?;
        let next = planned::of(&contract, &world, &served.url).map_err(wrong)?;
        let changed: Vec<&Step> = next.iter().filter(|step| !steps.contains(step)).collect();
        let names: Vec<&str> = changed.iter().map(|step| step.name.as_str()).collect();
        let fit =
            |(name, begins): (&&str, &String)| name.rsplit('/').next().is_some_and(|n| n.starts_with(begins));
        if names.len() != change.steps.len() || !names.iter().zip(&change.steps).all(fit) {
            return Err(wrong(format!("other steps change: {}", names.join(", "))));
        }
        let before = served.state();
        let made = take(&changed, "then").map_err(wrong)?;
        if made != change.makes {
            return Err(wrong(format!("{made} calls make something, not {}", change.makes)));
        }
        holds(change, before, served.state()).map_err(wrong)?;
        nothing(&changed, |step| take(&[step], "in the next run")).map_err(wrong)?;
        steps = next;
    }
    nothing(&steps.iter().collect::<Vec<_>>(), |step| take(&[step], "at the end"))?;
    Ok(made)
}

/// Runs steps in order. Returns how many of their calls make something.
fn taken(steps: &[&Step], served: &Served, contract: &Contract, when: &str) -> Result<u32, String> {
    let mut made = 0;
    for step in steps {
        let ran = step.run();
        let misfits = served.misfits();
        let wrong = if !misfits.is_empty() {
            let Contract { title, made_from, .. } = contract;
            format!("does not fit {title} (from its {made_from:?}):\n{}", misfits.join("\n"))
        } else if ran.code != 0 {
            "fails".to_owned()
        } else {
            made += ran.made;
            continue;
        };
        return Err(format!("step {} {when}: {wrong}\n{}", step.name, ran.said));
    }
    Ok(made)
}

/// Every step finds everything there.
fn nothing(steps: &[&Step], take: impl Fn(&Step) -> Result<u32, String>) -> Result<(), String> {
    for step in steps {
        if take(step)? > 0 {
            return Err(format!("step {} run again makes again what is there", step.name));
        }
    }
    Ok(())
}

/// What a change says is true then.
fn holds(change: &Change, before: Map<String, Value>, state: Map<String, Value>) -> Result<(), String> {
    let names = [("before".to_owned(), Value::Object(before)), ("state".to_owned(), Value::Object(state))];
    let scope = Scope::new(Map::from_iter(names));
    let wrong = |source: &&String| !scope.when(Some(source)).is_ok_and(|holds| holds);
    match change.then.iter().find(wrong) {
        None => Ok(()),
        Some(source) => {
            let why = scope.when(Some(source)).err().unwrap_or_default();
            Err(format!(
                "`{source}` does not hold {why}\n{}",
                Value::Object(Map::from_iter([("state".to_owned(), scope.cel("state")?)]))
            ))
        }
    }
}

#[test]
fn every_entry_with_a_contract_is_onboarded_at_its_contract_server_and_then_left_alone() {
    let mut failed = String::new();
    let files = files();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match Contract::read(&file).and_then(onboard) {
            Ok(0) => drop(writeln!(failed, "{name}: no step makes anything, which proves nothing")),
            Ok(_) => {}
            Err(why) => drop(writeln!(failed, "{name}: {why}")),
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
}

/// The contract of Mojaloop with some text replaced.
fn mojaloop_with(from: &str, to: &str) -> Contract {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contracts/mojaloop.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    Contract::parse(&text.replace(from, to)).unwrap()
}

#[test]
fn a_step_that_does_not_fit_its_contract_server_is_named_with_the_request() {
    for (from, to, wanted) in [
        ("initialPosition: { type: number }", "", ["onboard-cap-", "initialPositionAndLimits: body: "]),
        ("request: POST /oracles", "request: POST /oracle", ["onboard-oracle-", "is no operation"]),
        (
            "POST /oracles\n    headers: [",
            "POST /oracles\n    headers: [x-more, ",
            ["onboard-oracle-", "header x-more is missing"],
        ),
        ("          endpoints: >-", "          forgotten: >-", ["onboard-callbacks-", "makes again"]),
    ] {
        let found = onboard(mojaloop_with(from, to)).unwrap_err();
        assert!(wanted.iter().all(|part| found.contains(part)), "{from}: {found}");
    }
}
