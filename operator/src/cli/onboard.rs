//! `plinth onboard`: what a Job of onboarding runs, inside the block that it talks to.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use plinth_plan::onboarding::{Document, SEAL_VARIABLE};
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
    let variable = |name: &str| std::env::var(name).ok();
    let taken = onboard::run(&document, variable, Timestamp::now, |line| println!("{line}")).await;
    let (exit, said, message) =
        match taken.and_then(|outcome| Ok((message(&outcome, variable)?, outcome.said))) {
            Ok((message, said)) => (Exit::Ok, said, message),
            Err(error) => (Exit::Failed, format!("{error:#}"), format!("{error:#}")),
        };
    // Never made here: where nobody asks for it, nobody gets it.
    if let Ok(mut file) = File::options().write(true).truncate(true).open(&args.outcome) {
        let _ = file.write_all(message.as_bytes());
    }
    println!("{said}");
    Ok(exit)
}

/// The message with which the pod ends: what a step hands over is in it, sealed.
fn message(outcome: &onboard::Outcome, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    if outcome.handed_over.is_empty() {
        return Ok(outcome.said.clone());
    }
    let seal = variable(SEAL_VARIABLE).with_context(|| format!("variable {SEAL_VARIABLE} is not set"))?;
    onboard::sealed(&outcome.said, &outcome.handed_over, &seal)
}
