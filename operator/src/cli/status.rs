//! `plinth status`: what runs, what does not, and why.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::TryFutureExt as _;
use kube::api::ListParams;
use kube::{Api, Client};
use plinth_api::{BuildingBlock, Stack};
use serde::Serialize;

use super::connect::ClusterArgs;
use super::exit::{Exit, Failure, explain};
use super::output::{Format, Out, yaml};
use super::tree::{StackTree, text};

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(1);

/// Which Stacks a command looks at.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Name of the Stack; every Stack when left out.
    pub stack: Option<String>,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Look into all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl Which {
    /// The namespace that is looked into; nothing for all.
    pub fn namespace(&self, client: &Client) -> Option<String> {
        let own = || self.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        (!self.all_namespaces).then(own)
    }

    /// Their trees.
    ///
    /// # Errors
    /// There is no Stack of that name, or the cluster does not answer, or does not know Plinth's kinds.
    pub async fn trees(&self, client: &Client) -> Result<Vec<StackTree>> {
        let namespace = self.namespace(client);
        let mut stacks = trees(client, namespace.as_deref()).await?;
        if let Some(name) = &self.stack {
            stacks.retain(|stack| stack.name == *name);
            if stacks.is_empty() {
                let place =
                    namespace.map_or_else(|| "in any namespace".to_owned(), |n| format!("in namespace {n}"));
                return Err(Failure::new(Exit::InvalidInput, format!("there is no Stack `{name}` {place}"))
                    .next("list all with `plinth status -A`")
                    .into());
            }
        }
        Ok(stacks)
    }
}

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Keep looking: a terminal is redrawn, elsewhere each change is printed (one JSON document a line). Ends with Ctrl-C.
    #[arg(short, long)]
    watch: bool,
}

/// What is printed.
#[derive(Debug, PartialEq, Serialize)]
struct Status {
    stacks: Vec<StackTree>,
}

/// Prints the trees. Exit code 4 when one is not Ready.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let connection = args.which.cluster.connect().await?;
    if args.watch {
        return watch(&connection.client, &args, out).await;
    }
    let status = look(&connection.client, &args).await?;
    let ready = status.stacks.iter().all(StackTree::is_ready);
    out.print(&status, |status| shown(status, out))?;
    Ok(if ready { Exit::Ok } else { Exit::NotReady })
}

async fn watch(client: &Client, args: &Args, out: Out) -> Result<Exit> {
    let mut last = None;
    loop {
        // Whoever watches wants to know that the cluster went away, and that it came back.
        match look(client, args).await {
            Ok(status) if last.as_ref() == Some(&status) => {}
            Ok(status) => {
                match out.format {
                    Format::Json => out.text(&serde_json::to_string(&status)?)?,
                    Format::Yaml => out.text(&format!("---\n{}", yaml(&status)?))?,
                    _ if out.terminal => out.text(&format!("\u{1b}[2J\u{1b}[H{}", shown(&status, out)))?,
                    _ => out.text(&format!("{}\n", shown(&status, out)))?,
                }
                last = Some(status);
            }
            Err(error) => {
                eprintln!("{}", explain(&error));
                last = None;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Ok),
        }
    }
}

async fn look(client: &Client, args: &Args) -> Result<Status> {
    Ok(Status { stacks: args.which.trees(client).await? })
}

/// The trees of every Stack in a namespace, or in all.
///
/// # Errors
/// The cluster does not answer, or does not know Plinth's kinds.
pub async fn trees(client: &Client, namespace: Option<&str>) -> Result<Vec<StackTree>> {
    let (stacks, blocks) = match namespace {
        Some(namespace) => {
            (Api::namespaced(client.clone(), namespace), Api::namespaced(client.clone(), namespace))
        }
        None => (Api::all(client.clone()), Api::all(client.clone())),
    };
    let (stacks, blocks): (Api<Stack>, Api<BuildingBlock>) = (stacks, blocks);
    let everything = ListParams::default();
    let (stacks, blocks) = tokio::try_join!(
        stacks.list(&everything).map_err(missing),
        blocks.list(&everything).map_err(missing)
    )?;
    let trees = stacks.items.iter().map(|stack| {
        let namespace = &stack.metadata.namespace;
        let own: Vec<BuildingBlock> =
            blocks.items.iter().filter(|block| block.metadata.namespace == *namespace).cloned().collect();
        StackTree::of(stack, &own)
    });
    Ok(trees.collect())
}

/// The tree of one Stack.
///
/// # Errors
/// The cluster does not answer, or has no such Stack.
pub async fn tree(client: &Client, namespace: &str, name: &str) -> Result<StackTree> {
    let mut trees = trees(client, Some(namespace)).await?;
    trees.retain(|tree| tree.name == name);
    trees.pop().with_context(|| format!("there is no Stack {namespace}/{name}"))
}

fn missing(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            Failure::new(Exit::Failed, "this cluster does not know Plinth's kinds")
                .next("install them with `plinth crds | kubectl apply --server-side -f -`")
                .into()
        }
        error => anyhow::Error::new(error).context("listing Stacks"),
    }
}

fn shown(status: &Status, out: Out) -> String {
    if status.stacks.is_empty() {
        return "no Stack; look into all namespaces with -A".to_owned();
    }
    let trees: Vec<String> = status.stacks.iter().map(|tree| text(tree, out.paint())).collect();
    trees.join("\n\n")
}
