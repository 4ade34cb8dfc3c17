//! The enforcement of NetworkPolicies on a real node, held against cyclonus: its cases, tried by pods of the cluster.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::program::assert_all_named;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{ControlPlane, Lines, Nodes, Program};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const SOURCES: [(&str, &str); 5] = [
    ("go.mod", include_str!("../node/policies-check/go.mod")),
    ("go.sum", include_str!("../node/policies-check/go.sum")),
    ("agnhost.go", include_str!("../node/policies-check/agnhost.go")),
    ("main.go", include_str!("../node/policies-check/main.go")),
    ("worker.go", include_str!("../node/policies-check/worker.go")),
];
/// The image that cyclonus' pods ask for.
const IMAGE: &str = "docker.io/mfenwick100/cyclonus-worker:latest";

fn program() -> Program {
    Program {
        title: "the check of NetworkPolicies",
        folder: "policies-check",
        binary: "policies-check",
        packages: &[],
        links: Vec::new(),
        sources: &SOURCES,
        linker_flags: "-s -w".to_owned(),
    }
}

#[test]
fn the_sources_are_all_there() {
    assert_all_named(&SOURCES, &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("node/policies-check"));
}

/// One case of so many, spread over all kinds: `PLINTH_POLICY_CASES_EVERY=1` tries all, which takes an hour.
#[tokio::test]
#[ignore = "minutes of trying: e2e/all policies"]
async fn policies_hold_as_cyclonus_expects() -> Result<()> {
    let every = std::env::var("PLINTH_POLICY_CASES_EVERY").unwrap_or_else(|_| "10".to_owned());
    TestCluster::run(Nodes::Real, async |cluster| check(cluster, &every).await).await
}

async fn check(cluster: &ControlPlane, every: &str) -> Result<()> {
    let program = program().ensure(&Lines::default()).await?.join("policies-check");
    cluster.import_program(IMAGE, &program, &["agnhost", "worker"]).await?;
    let mut running = Command::new(&program)
        .args(["--every", every])
        .env("KUBECONFIG", cluster.kubeconfig())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| program.display().to_string())?;
    let mut lines = BufReader::new(running.stdout.take().context("it is piped")?).lines();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await? {
        println!("{line}");
        if line.starts_with("cases of ") {
            last = line;
        }
    }
    ensure!(running.wait().await?.success(), "{last}");
    ensure!(last.ends_with(" 0 failed") && !last.contains(": 0 tried"), "{last}");
    Ok(())
}
