//! What tests on a real node do as people do it: run the program, bring a country up, end it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::{Api, Client};
use plinth_api::Stack;
use plinth_journey::Waiting;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Names of images that were made here, in place of their makers'.
const REWRITES: &str = include_str!("../../../e2e/images/rewrites.yaml");

/// Until pods that were killed answer again, and what was changed has taken effect.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Runs the program, and returns what it printed.
///
/// # Errors
/// It does not end well.
pub fn plinth(arguments: &[&str]) -> Result<String> {
    let mut plinth = Command::new(env!("CARGO_BIN_EXE_plinth"));
    plinth.args(arguments).env_remove("KUBECONFIG").stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = plinth.output()?;
    ensure!(output.status.success(), "plinth {}: {}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).context("what plinth printed")
}

/// Writes an example as it is into a folder, but for the rules that name the images which were made here, and what a test changes of
/// the Stack's spec.
///
/// # Errors
/// It is no YAML, or cannot be written.
pub fn with_images_of_this_machine(
    example: &str,
    folder: &Path,
    mut change: impl FnMut(&mut Value),
) -> Result<PathBuf> {
    let mut text = String::new();
    for document in serde_yaml::Deserializer::from_str(example) {
        let mut object = Value::deserialize(document).context("reading the example")?;
        if object["kind"] == "Stack" {
            let rules: Value = serde_yaml::from_str(REWRITES).context("reading the rules")?;
            object["spec"]["images"] = json!({ "rewrites": rules });
            change(&mut object["spec"]);
        }
        text += &format!("---\n{}", serde_yaml::to_string(&object)?);
    }
    let path = folder.join("country.yaml");
    std::fs::write(&path, text).context("writing the example")?;
    Ok(path)
}

/// Brings a country up on a real node of its own, as one person, and says yes to every step that waits for another one.
///
/// # Errors
/// It is not Ready in time.
pub async fn up(path: &str, waiting: Waiting<'_>) -> Result<()> {
    let began = Instant::now();
    let (path, cluster) = (path.to_owned(), waiting.cluster.to_owned());
    let coming_up = tokio::task::spawn_blocking(move || {
        let timeout = ["--timeout", "15m", "-o", "json"];
        plinth(&[&["up", &path, "--nodes", "real", "--detach", "--name", &cluster][..], &timeout].concat())
    });
    tokio::select! {
        came_up = coming_up => came_up?.map(drop)?,
        error = waiting.approve() => return Err(error),
    }
    eprintln!("Ready after {} s", began.elapsed().as_secs());
    Ok(())
}

/// Ends a cluster whose test went well; of another one it says how to look at it.
///
/// # Errors
/// How the test went, or the cluster does not end.
pub fn ended(cluster: &str, went: Result<()>) -> Result<()> {
    if went.is_err() {
        eprintln!(
            "what it left: kubectl --kubeconfig ~/.local/state/plinth/clusters/{cluster}/kubeconfigs/admin.yaml get pods -A"
        );
        eprintln!("  end it with `plinth down --name {cluster} --purge`");
        return went;
    }
    plinth(&["down", "--name", cluster, "--purge"]).map(drop)
}

/// Fails unless a Stack is Ready and told, and nothing of it simulated.
///
/// # Errors
/// What its conditions say instead.
pub async fn is_ready_for_real(client: &Client, namespace: &str, stack: &str) -> Result<()> {
    let stack = Api::<Stack>::namespaced(client.clone(), namespace).get(stack).await?;
    let conditions = stack.status.unwrap_or_default().conditions;
    let is = |kind: &str| conditions.iter().find(|c| c.type_ == kind).map(|c| c.status.as_str());
    ensure!(is("Ready") == Some("True") && is("Onboarded") == Some("True"), "{conditions:#?}");
    ensure!(is("Simulated").is_none(), "{conditions:#?}");
    Ok(())
}
