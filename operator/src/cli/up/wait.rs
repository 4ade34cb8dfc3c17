//! Waiting until Stacks are Ready, with a line for each block.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use plinth_api::condition::{self, State};
use plinth_plan::model::Plan;

use super::operator::Operator;
use crate::cli::exit::{Exit, Failure, explain};
use crate::cli::output::{note, sign};
use crate::cli::progress::{block_style, spinner};
use crate::cli::status;
use crate::cli::tree::StackTree;

const LOOK: Duration = Duration::from_millis(300);
/// From the lead to a status that is the new operator's own word.
const SETTLE: Duration = Duration::from_secs(2);
/// The operator's Lease.
const LEASE: &str = "plinth";
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
    plans: &[&Plan],
    operator: &mut Operator,
    limit: Duration,
) -> Result<Waited> {
    let new = operator.is_new();
    tokio::select! {
        waited = watch(client, plans, limit, new) => waited,
        why = operator.ended() => Err(why),
    }
}

async fn watch(client: &Client, plans: &[&Plan], limit: Duration, new: bool) -> Result<Waited> {
    let begun = Timestamp::now();
    let mut believed = None;
    let until = Instant::now() + limit;
    let mut view = View::new();
    let mut failures = 0;
    loop {
        let looked = look(client, plans).await;
        match looked {
            Ok(trees) => {
                failures = 0;
                view.show(&trees, plans);
                if let Some(refused) = trees.iter().find_map(refused) {
                    view.clear();
                    return Err(refused.into());
                }
                let ready = trees.iter().all(StackTree::is_ready);
                // Ready at first sight, from before the operator ran, says nothing: it has to look for itself.
                let stale = *believed.get_or_insert(new && ready);
                if stale && leads_since(client, begun).await {
                    tokio::time::sleep(SETTLE).await;
                    believed = Some(false);
                    continue;
                }
                let ready = ready && !stale;
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

/// Whether some operator has taken or renewed the lead after this moment. Who may not read Leases is told so by its
/// absence: then nothing is waited for.
async fn leads_since(client: &Client, moment: Timestamp) -> bool {
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    match leases.get_opt(LEASE).await {
        Ok(Some(lease)) => {
            let renewed = lease.spec.and_then(|spec| spec.renew_time);
            renewed.is_some_and(|renewed| renewed.0 >= moment)
        }
        Ok(None) => false,
        Err(_) => true,
    }
}

async fn look(client: &Client, plans: &[&Plan]) -> Result<Vec<StackTree>> {
    let mut trees = Vec::with_capacity(plans.len());
    for Plan { stack, .. } in plans {
        trees.push(status::tree(client, &stack.namespace, &stack.name).await?);
    }
    Ok(trees)
}

/// A spec that the operator refuses stays refused until somebody edits it.
fn refused(tree: &StackTree) -> Option<Failure> {
    let planned =
        tree.notes.iter().find(|note| note.condition == condition::PLANNED && note.reason == "Invalid")?;
    let what = format!("the operator refuses Stack {}/{}: {}", tree.namespace, tree.name, planned.message);
    Some(Failure::new(Exit::InvalidInput, what).next("correct the file and run the command again"))
}

/// Components that a block will have.
fn planned(plans: &[&Plan], tree: &StackTree, block: &str) -> u64 {
    let plan =
        plans.iter().find(|plan| plan.stack.name == tree.name && plan.stack.namespace == tree.namespace);
    let block = plan.and_then(|plan| plan.blocks.iter().find(|planned| planned.name == block));
    block.map_or(0, |block| block.units.iter().filter(|unit| unit.component).count() as u64)
}

/// What a person sees meanwhile.
enum View {
    /// A line for each block, redrawn.
    Bars {
        all: MultiProgress,
        head: ProgressBar,
        blocks: BTreeMap<String, ProgressBar>,
        told: BTreeSet<String>,
    },
    /// A line for each change.
    Lines { last: BTreeMap<String, String>, told: BTreeSet<String> },
}

impl View {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: BTreeMap::new(), told: BTreeSet::new() };
        }
        let all = MultiProgress::new();
        let head = all.add(spinner("Waiting until Ready"));
        Self::Bars { all, head, blocks: BTreeMap::new(), told: BTreeSet::new() }
    }

    fn show(&mut self, trees: &[StackTree], plans: &[&Plan]) {
        for tree in trees {
            self.say_held(tree);
            for block in &tree.blocks {
                let name = if trees.len() > 1 {
                    format!("{}/{}", tree.name, block.name)
                } else {
                    block.name.clone()
                };
                let (ready, total) = block.count();
                // Before the operator has looked, the plan knows how many there will be.
                let total = if total == 0 { planned(plans, tree, &block.name) } else { total };
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
                    Self::Lines { last, .. } => {
                        let line = format!("{} {name} {ready}/{total} {message}", sign(block.state));
                        if last.get(&name) != Some(&line) {
                            note(&line);
                            last.insert(name, line);
                        }
                    }
                }
            }
            if let Self::Bars { head, .. } = self {
                let waiting = "the operator has not looked at it yet".to_owned();
                head.set_message(if tree.ready == "Unknown" { waiting } else { tree.message.clone() });
            }
        }
    }

    /// Nobody else will say that a person is waited for.
    fn say_held(&mut self, tree: &StackTree) {
        let Some(hash) = tree.plan_hash.as_ref().filter(|_| tree.awaiting_approval) else { return };
        let (name, namespace) = (&tree.name, &tree.namespace);
        let line = format!(
            "Stack {name} waits for approval: plinth approve {name} -n {namespace} --hash {hash} --reason …"
        );
        if self.told().insert(line.clone()) {
            self.say(&line);
        }
    }

    fn told(&mut self) -> &mut BTreeSet<String> {
        match self {
            Self::Bars { told, .. } | Self::Lines { told, .. } => told,
        }
    }

    fn say(&self, text: &str) {
        match self {
            // Nothing is written between the bars but through them.
            Self::Bars { all, .. } => drop(all.println(text)),
            Self::Lines { .. } => note(text),
        }
    }

    fn clear(&self) {
        if let Self::Bars { all, head, blocks, .. } = self {
            blocks.values().for_each(ProgressBar::finish_and_clear);
            head.finish_and_clear();
            // A terminal that cannot be cleared keeps its lines; nothing else depends on it.
            let _ = all.clear();
        }
    }
}
