//! Helm, kubeconform, kube-score and Flux's kstatus, built from their modules: three, because what they are built from does not agree.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::{Lines, Program};

const HELM: [(&str, &str); 2] =
    [("go.mod", include_str!("tools/helm/go.mod")), ("go.sum", include_str!("tools/helm/go.sum"))];
const KUBE_SCORE: [(&str, &str); 2] = [
    ("go.mod", include_str!("tools/kube-score/go.mod")),
    ("go.sum", include_str!("tools/kube-score/go.sum")),
];

const KSTATUS: [(&str, &str); 3] = [
    ("go.mod", include_str!("tools/kstatus/go.mod")),
    ("go.sum", include_str!("tools/kstatus/go.sum")),
    ("main.go", include_str!("tools/kstatus/main.go")),
];

fn helm() -> Program {
    Program {
        title: "Helm and kubeconform",
        folder: "chart",
        binary: "helm",
        packages: &["helm.sh/helm/v3/cmd/helm", "github.com/yannh/kubeconform/cmd/kubeconform"],
        links: Vec::new(),
        sources: &HELM,
        linker_flags: "-s -w".to_owned(),
    }
}

fn kube_score() -> Program {
    Program {
        title: "kube-score",
        binary: "kube-score",
        packages: &["github.com/zegl/kube-score/cmd/kube-score"],
        sources: &KUBE_SCORE,
        ..helm()
    }
}

fn kstatus() -> Program {
    Program { title: "kstatus", binary: "kstatus", packages: &[], sources: &KSTATUS, ..helm() }
}

/// A command of one of them, with nothing of the user's settings.
pub(crate) async fn tool(name: &str) -> Result<Command> {
    let program = match name {
        "kube-score" => kube_score(),
        "kstatus" => kstatus(),
        _ => helm(),
    };
    let mut command = Command::new(program.ensure(&Lines::default()).await?.join(name));
    command.env_clear().env("HOME", std::env::temp_dir());
    Ok(command)
}

/// What it says when it succeeds.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("{command:?}"))?;
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    ensure!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    Ok(out.into_owned())
}

#[test]
fn the_sources_are_all_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chart/tools");
    plinth_cluster::program::assert_all_named(&HELM, &folder.join("helm"));
    plinth_cluster::program::assert_all_named(&KUBE_SCORE, &folder.join("kube-score"));
    plinth_cluster::program::assert_all_named(&KSTATUS, &folder.join("kstatus"));
}
