//! The enforcement of NetworkPolicies on a real node, held against cyclonus: its cases, tried by pods of the cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::program::assert_all_named;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{ControlPlane, Lines, Nodes, Program};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const SOURCES: [(&str, &str); 8] = [
    ("go.mod", include_str!("../node/policies-check/go.mod")),
    ("go.sum", include_str!("../node/policies-check/go.sum")),
    ("agnhost.go", include_str!("../node/policies-check/agnhost.go")),
    ("main.go", include_str!("../node/policies-check/main.go")),
    ("progress.go", include_str!("../node/policies-check/progress.go")),
    ("report.go", include_str!("../node/policies-check/report.go")),
    ("settling.go", include_str!("../node/policies-check/settling.go")),
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

/// All cases, or one of so many, spread over all kinds: `PLINTH_POLICY_CASES_EVERY=10`; all from one on: `…_FROM=77`. A run that broke off goes on where it
/// was. `PLINTH_POLICY_REPORT` is a file for what came of it, `PLINTH_POLICY_COMMIT` what that file says was tried.
#[tokio::test]
#[ignore = "minutes of trying: e2e/all policies"]
async fn policies_hold_as_cyclonus_expects() -> Result<()> {
    TestCluster::run(Nodes::Real, async |cluster| check(cluster).await).await
}

async fn check(cluster: &ControlPlane) -> Result<()> {
    let folder = program().ensure(&Lines::default()).await?;
    let program = folder.join("policies-check");
    cluster.import_program(IMAGE, &program, &["agnhost", "worker"]).await?;
    let variable = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let progress = progress(&folder)?;
    let mut running = Command::new(&program)
        .args(["--from", &variable("PLINTH_POLICY_CASES_FROM", "1")])
        .args(["--every", &variable("PLINTH_POLICY_CASES_EVERY", "1")])
        .args(["--report", &variable("PLINTH_POLICY_REPORT", "")])
        .args(["--commit", &variable("PLINTH_POLICY_COMMIT", "")])
        .arg("--progress")
        .arg(&progress)
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
    std::fs::remove_file(&progress)?;
    Ok(())
}

/// What passed is kept for a check and an enforcer of these sources; others begin anew.
fn progress(check: &Path) -> Result<PathBuf> {
    let mut sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("node/policies"))?
        .map(|file| Ok(file?.path()))
        .collect::<Result<Vec<_>>>()?;
    sources.sort();
    let mut enforcer = Sha256::new();
    for source in sources {
        enforcer.update(std::fs::read(source)?);
    }
    let check = check.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = format!("policies-{check:.12}-{:.12}.jsonl", format!("{:x}", enforcer.finalize()));
    Ok(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
}
