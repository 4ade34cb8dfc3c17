//! axe's accessibility rules, of npm's registry, on the page that is open.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use fantoccini::Client;
use serde_json::Value;

const AXE: &str = "axe-core@4.14.1";

/// Rules that the page breaks, with where it does.
pub async fn broken(client: &Client) -> Result<Vec<String>> {
    client.execute(script()?, Vec::new()).await.context("loading axe")?;
    let run = "axe.run().then(arguments[arguments.length - 1], (e) => arguments[arguments.length - 1]({ error: String(e) }))";
    let found = client.execute_async(run, Vec::new()).await.context("running axe")?;
    ensure!(
        found["passes"].as_array().is_some_and(|passes| passes.len() > 10),
        "axe looked at nothing: {found}"
    );
    let violations = found["violations"].as_array().into_iter().flatten();
    Ok(violations.map(|one| format!("{}: {}", one["id"], places(one))).collect())
}

fn places(violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    nodes.map(|node| node["html"].as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ")
}

/// Fetched once.
fn script() -> Result<&'static str> {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    if let Some(script) = SCRIPT.get() {
        return Ok(script);
    }
    let folder = tempfile::tempdir()?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", AXE])
        .current_dir(folder.path());
    let output = npm.output().context("npm is missing: install Debian's `npm`")?;
    ensure!(output.status.success(), "npm: {}", String::from_utf8_lossy(&output.stderr));
    let file: PathBuf = folder.path().join("node_modules/axe-core/axe.min.js");
    let script = std::fs::read_to_string(&file).context("reading axe")?;
    Ok(SCRIPT.get_or_init(|| script))
}
