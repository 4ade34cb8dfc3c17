//! `plinth onboard`: what a Job of onboarding runs, inside the block that it talks to.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use plinth_plan::onboarding::Document;
use plinth_runtime::onboard;

use super::exit::Exit;

/// Arguments of `onboard`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The step, as Plinth wrote it into a ConfigMap.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File that is told the outcome, if it is there: Kubernetes shows its text with the pod.
    #[arg(long, default_value = "/dev/termination-log", hide = true, value_name = "FILE")]
    outcome: PathBuf,
}

/// Takes the step: one line a call on standard output, the outcome last.
pub async fn run(args: Args) -> Result<Exit> {
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("reading {}", args.file.display()))?;
    let document: Document =
        serde_json::from_str(&text).with_context(|| format!("reading {}", args.file.display()))?;
    let said = onboard::run(&document, |name| std::env::var(name).ok(), |line| println!("{line}")).await;
    let (exit, outcome) = match said {
        Ok(outcome) => (Exit::Ok, outcome),
        Err(error) => (Exit::Failed, format!("{error:#}")),
    };
    // Never made here: where nobody asks for it, nobody gets it.
    if let Ok(mut file) = File::options().write(true).truncate(true).open(&args.outcome) {
        let _ = file.write_all(outcome.as_bytes());
    }
    println!("{outcome}");
    Ok(exit)
}
