//! What policies leave open, as cyclonus evaluates them: the Go program in `go/`.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use plinth_cluster::{Program, Progress};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::world::World;

const SOURCES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../go/go.mod")),
    ("go.sum", include_str!("../go/go.sum")),
    ("main.go", include_str!("../go/main.go")),
];

/// The program that evaluates policies.
pub fn program() -> Program {
    Program {
        title: "the analysis of network paths",
        folder: "paths",
        binary: "plinth-paths",
        packages: &[],
        links: Vec::new(),
        sources: &SOURCES,
        linker_flags: "-s -w".to_owned(),
    }
}

/// What is open: for each try of a [`World`], in its order, whether the source is let out, and whether the target lets it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// One for each of [`World::tries`].
    pub verdicts: Vec<(bool, bool)>,
}

#[derive(Deserialize)]
struct Answer {
    rows: Vec<String>,
}

impl Analysis {
    /// Evaluates the policies of a world over every pair of its pods, after building the program if need be.
    ///
    /// # Errors
    /// The program cannot be built, or refuses the policies.
    pub async fn of(world: &World, progress: &dyn Progress) -> Result<Self> {
        let program = program();
        let binary = program.ensure(progress).await?.join(program.binary);
        let mut child = Command::new(&binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| binary.display().to_string())?;
        let mut input = child.stdin.take().context("its standard input is piped")?;
        let problem = serde_json::to_vec(world)?;
        let write = async move {
            // One that refuses its input stops reading; what it says about it is on standard error.
            let _ = input.write_all(&problem).await;
            let _ = input.shutdown().await;
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        let output = output?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} ended with {}: {}", program.binary, output.status, said.trim());
        let answer: Answer = serde_json::from_slice(&output.stdout)?;
        let verdict = |letter: u8| match letter {
            b'0'..=b'3' => Ok(((letter - b'0') & 1 == 1, letter >= b'2')),
            other => Err(anyhow::anyhow!("{} answered {:?}", program.binary, char::from(other))),
        };
        let verdicts =
            answer.rows.iter().flat_map(|row| row.bytes()).map(verdict).collect::<Result<Vec<_>>>()?;
        ensure!(verdicts.len() == world.tries().count(), "{} did not answer every question", program.binary);
        Ok(Self { verdicts })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_sources_are_all_there() {
        plinth_cluster::program::assert_all_named(
            &SOURCES,
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("go"),
        );
    }
}
