//! Onboarding against contract servers: the steps of entries, planned and run by the real program, against servers made of
//! the products' own documents of their APIs. No product runs here; whether a product keeps to its documents is for suites
//! of their own.

mod contract;
mod server;
mod steps;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::Contract;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contracts");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

/// Takes every step of a contract twice. Returns how many calls made something the first time.
fn onboard(contract: Contract) -> Result<u32, String> {
    let contract = Arc::new(contract);
    let served = server::serve(contract.clone());
    let steps = steps::of(&contract, &served.url)?;
    let mut made = 0;
    for (pass, name) in ["first", "second"].into_iter().enumerate() {
        for step in &steps {
            let ran = step.run();
            let misfits = served.misfits();
            let wrong = if !misfits.is_empty() {
                let Contract { title, made_from, .. } = &*contract;
                format!("does not fit {title} (from its {made_from:?}):\n{}", misfits.join("\n"))
            } else if ran.code != 0 {
                "fails".to_owned()
            } else if pass > 0 && ran.made > 0 {
                "makes again what is there".to_owned()
            } else {
                made += ran.made;
                continue;
            };
            return Err(format!("step {} in the {name} run: {wrong}\n{}", step.name, ran.said));
        }
    }
    Ok(made)
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
        ("          endpoints: >-", "          forgotten: >-", ["in the second run", "makes again"]),
    ] {
        let found = onboard(mojaloop_with(from, to)).unwrap_err();
        assert!(wanted.iter().all(|part| found.contains(part)), "{from}: {found}");
    }
}
