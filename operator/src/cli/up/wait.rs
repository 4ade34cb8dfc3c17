//! Waiting until Stacks are Ready, with a line for each block.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar};
use kube::Client;
use plinth_api::condition::{self, State};
use plinth_plan::model::StackId;

use super::operator::Operator;
use crate::cli::exit::{Exit, Failure, explain};
use crate::cli::output::{note, sign};
use crate::cli::progress::{block_style, spinner};
use crate::cli::status;
use crate::cli::tree::StackTree;

const LOOK: Duration = Duration::from_millis(300);
/// Looks in a row that may fail before the wait is given up: an API server may restart.
const FAILURES: u32 = 20;

/// How the wait ended.
pub struct Waited {
    /// The Stacks as they were seen last.
    pub trees: Vec<StackTree>,
    /// Why not all of them are Ready.
    pub gave_up: Option<String>,
}

/// Waits until every Stack is Ready, the time is over, or waiting makes no sense.
///
/// # Errors
/// The spec is refused, the operator ended, or the cluster stopped answering.
pub async fn until_ready(
    client: &Client,
    stacks: &[StackId],
    operator: &mut Operator,
    limit: Duration,
) -> Result<Waited> {
    tokio::select! {
        waited = watch(client, stacks, limit) => waited,
        why = operator.ended() => Err(why),
    }
}

async fn watch(client: &Client, stacks: &[StackId], limit: Duration) -> Result<Waited> {
    let until = Instant::now() + limit;
    let mut view = View::new();
    let mut failures = 0;
    loop {
        let looked = look(client, stacks).await;
        match looked {
            Ok(trees) => {
                failures = 0;
                view.show(&trees);
                if let Some(refused) = trees.iter().find_map(refused) {
                    view.clear();
                    return Err(refused.into());
                }
                let ready = trees.iter().all(StackTree::is_ready);
                if ready || Instant::now() >= until {
                    view.clear();
                    let gave_up = (!ready).then(|| format!("not Ready within {} s", limit.as_secs()));
                    return Ok(Waited { trees, gave_up });
                }
            }
            Err(error) => {
                failures += 1;
                if failures == FAILURES || Instant::now() >= until {
                    view.clear();
                    return Err(error.context("the cluster stopped answering"));
                }
                view.say(&explain(&error));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(client: &Client, stacks: &[StackId]) -> Result<Vec<StackTree>> {
    let mut trees = Vec::with_capacity(stacks.len());
    for stack in stacks {
        trees.push(status::tree(client, &stack.namespace, &stack.name).await?);
    }
    Ok(trees)
}

/// A spec that the operator refuses stays refused until somebody edits it.
fn refused(tree: &StackTree) -> Option<Failure> {
    let planned = tree.notes.iter().find(|note| note.condition == condition::PLANNED && note.reason == "Invalid")?;
    let what = format!("the operator refuses Stack {}/{}: {}", tree.namespace, tree.name, planned.message);
    Some(Failure::new(Exit::InvalidInput, what).next("correct the file and run the command again"))
}

/// What a person sees meanwhile.
enum View {
    /// A line for each block, redrawn.
    Bars { all: MultiProgress, head: ProgressBar, blocks: BTreeMap<String, ProgressBar> },
    /// A line for each change.
    Lines(BTreeMap<String, String>),
}

impl View {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(BTreeMap::new());
        }
        let all = MultiProgress::new();
        let head = all.add(spinner("Waiting until Ready"));
        Self::Bars { all, head, blocks: BTreeMap::new() }
    }

    fn show(&mut self, trees: &[StackTree]) {
        for tree in trees {
            for block in &tree.blocks {
                let name = if trees.len() > 1 { format!("{}/{}", tree.name, block.name) } else { block.name.clone() };
                let (ready, total) = block.count();
                let message = match block.state {
                    State::Ready => "Ready".to_owned(),
                    state => match block.message.as_deref() {
                        Some(message) => format!("{state}: {message}"),
                        None => state.to_string(),
                    },
                };
                match self {
                    Self::Bars { all, blocks, .. } => {
                        let bar = blocks.entry(name.clone()).or_insert_with(|| {
                            let bar = all.add(ProgressBar::new(0));
                            bar.set_style(block_style());
                            bar
                        });
                        bar.set_length(total);
                        bar.set_position(ready);
                        bar.set_prefix(format!("{} {name}", sign(block.state)));
                        bar.set_message(message);
                    }
                    Self::Lines(last) => {
                        let line = format!("{} {name} {ready}/{total} {message}", sign(block.state));
                        if last.get(&name) != Some(&line) {
                            note(&line);
                            last.insert(name, line);
                        }
                    }
                }
            }
            if let Self::Bars { head, .. } = self {
                head.set_message(tree.message.clone());
            }
        }
    }

    fn say(&self, text: &str) {
        match self {
            // Nothing is written between the bars but through them.
            Self::Bars { all, .. } => drop(all.println(text)),
            Self::Lines(_) => note(text),
        }
    }

    fn clear(&self) {
        if let Self::Bars { all, head, blocks } = self {
            blocks.values().for_each(ProgressBar::finish_and_clear);
            head.finish_and_clear();
            // A terminal that cannot be cleared keeps its lines; nothing else depends on it.
            let _ = all.clear();
        }
    }
}
