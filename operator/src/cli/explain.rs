//! `plinth explain`: why a plan is as it is.

use std::path::Path;

use anyhow::{Context as _, Result};
use kube::Api;
use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::model::{Finding, StackId};
use plinth_plan::placement::{Choice, Considered, Standing, choose};
use plinth_plan::resolve::stack_id;
use serde::Serialize;

use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::input::{Document, Input};
use super::names::nearest;
use super::output::{Out, lines, table};
use super::problem::Problem;
use super::{lookup, wait_for};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say on which cluster each block is, and why it is on no other.
    Placement(PlacementArgs),
}

/// Arguments of `explain placement`.
#[derive(Debug, clap::Args)]
struct PlacementArgs {
    /// File or folder with the Stack and its WorkloadClusters, `-` for standard input; or the Stack on a cluster.
    #[arg(value_name = "FILE|FOLDER|[NAMESPACE/]STACK")]
    of: String,
    /// One block alone, with every reason in full.
    block: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Prints the reasons. Exit code 3 when a block has no place, or must not be where it is.
pub fn run(args: &Args, out: Out) -> Result<Exit> {
    let What::Placement(args) = &args.what;
    let explained = if args.of == "-" || Path::new(&args.of).exists() {
        let path = Path::new(&args.of);
        let input = Input::read(path)?.some(path)?;
        let inputs = |stack: &Stack| Inputs { clusters: input.clusters_of(stack), ..Inputs::default() };
        let all = input.stacks.iter().map(|(document, stack)| (Some(document), stack, inputs(stack)));
        all.map(|(document, stack, inputs)| explain(document, stack, &inputs)).collect::<Result<Vec<_>>>()?
    } else {
        vec![wait_for(on_cluster(&args.of, &args.cluster))?]
    };
    let explained = Explained { stacks: only(explained, args.block.as_deref())? };
    let refused = explained.stacks.iter().flat_map(|stack| &stack.blocks).any(|b| !b.refused.is_empty());
    out.print(&explained, |explained| text(explained, args.block.is_some()))?;
    Ok(if refused { Exit::InvalidInput } else { Exit::Ok })
}

async fn on_cluster(name: &str, cluster: &ClusterArgs) -> Result<Placed> {
    let client = cluster.connect().await?.client;
    let id = match name.split_once('/') {
        Some((namespace, name)) => StackId { namespace: namespace.to_owned(), name: name.to_owned() },
        None => StackId { namespace: client.default_namespace().to_owned(), name: name.to_owned() },
    };
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &id.namespace);
    let found = stacks.get_opt(&id.name).await.with_context(|| format!("reading Stack {id}"))?;
    let stack = found.ok_or_else(|| {
        let what = format!("there is no file, no folder and no Stack `{id}`");
        Failure::new(Exit::InvalidInput, what).next("give a folder, or the Stack as NAMESPACE/NAME")
    })?;
    let inputs = lookup::inputs(&client, &Input::default(), &stack).await?;
    explain(None, &stack, &inputs)
}

/// Every Stack. The outermost value is an object, so that fields can be added without breaking a reader.
#[derive(Debug, Serialize)]
struct Explained {
    stacks: Vec<Placed>,
}

/// One Stack.
#[derive(Debug, Serialize)]
struct Placed {
    stack: String,
    blocks: Vec<BlockView>,
}

/// One block: its cluster, and what there is to say of each other.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockView {
    block: String,
    /// `hub` for the cluster that Plinth itself runs on; nothing where it has no place.
    cluster: Option<String>,
    /// It is there already.
    runs: bool,
    standby: Vec<String>,
    clusters: Vec<ClusterView>,
    refused: Vec<Finding>,
    lacking: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct ClusterView {
    name: String,
    standing: &'static str,
    reasons: Vec<ReasonView>,
}

/// A reason, and the predicate that says it.
#[derive(Debug, Serialize)]
struct ReasonView {
    predicate: &'static str,
    message: String,
}

fn explain(document: Option<&Document>, stack: &Stack, inputs: &Inputs) -> Result<Placed> {
    let choices = choose(stack, inputs).map_err(|findings| {
        let (file, object, value) = match document {
            Some(document) => (document.file.clone(), document.object(), document.value.clone()),
            None => ("on the cluster".to_owned(), format!("Stack {}", stack_id(stack)), Default::default()),
        };
        let problems = findings.iter().map(|finding| Problem::of_finding(&file, &object, &value, finding));
        Failure::invalid(problems.collect())
    })?;
    Ok(Placed { stack: stack_id(stack).to_string(), blocks: choices.into_iter().map(view).collect() })
}

fn view(choice: Choice) -> BlockView {
    let cluster = |considered: Considered| ClusterView {
        name: considered.cluster,
        standing: considered.standing.as_str(),
        reasons: considered
            .reasons
            .into_iter()
            .map(|(predicate, message)| ReasonView { predicate, message })
            .collect(),
    };
    BlockView {
        block: choice.block,
        cluster: choice.cluster,
        runs: choice.runs,
        standby: choice.standby,
        clusters: choice.considered.into_iter().map(cluster).collect(),
        refused: choice.refused,
        lacking: choice.lacking,
    }
}

/// The block that was asked for, in the Stacks that have it.
fn only(mut explained: Vec<Placed>, block: Option<&str>) -> Result<Vec<Placed>> {
    let Some(wanted) = block else { return Ok(explained) };
    let known: Vec<String> =
        explained.iter().flat_map(|placed| &placed.blocks).map(|block| block.block.clone()).collect();
    if !known.iter().any(|block| block == wanted) {
        let what = format!("there is no block `{wanted}` that Plinth installs; {}", nearest(wanted, &known));
        return Err(Failure::new(Exit::InvalidInput, what).into());
    }
    explained.iter_mut().for_each(|placed| placed.blocks.retain(|block| block.block == wanted));
    explained.retain(|placed| !placed.blocks.is_empty());
    Ok(explained)
}

fn text(explained: &Explained, whole: bool) -> String {
    let stacks = explained.stacks.iter().map(|placed| stack_text(placed, whole));
    stacks.collect::<Vec<_>>().join("\n\n")
}

fn stack_text(placed: &Placed, whole: bool) -> String {
    let mut rows = table(["BLOCK", "CLUSTER", "STANDING", "WHY"]);
    let mut said = Vec::new();
    for block in &placed.blocks {
        for cluster in &block.clusters {
            let chosen = cluster.standing == Standing::Chosen.as_str();
            let why: Vec<&str> = cluster.reasons.iter().map(|reason| reason.message.as_str()).collect();
            let why = match (chosen, block.runs) {
                (true, true) => "the block runs there".to_owned(),
                (true, false) => "the first that may hold it".to_owned(),
                // One reason is enough for an overview.
                (false, _) if !whole => why.first().copied().unwrap_or_default().to_owned(),
                (false, _) => why.join("\n"),
            };
            rows.add_row([&block.block, &cluster.name, &cluster.standing.to_owned(), &why]);
        }
        said.extend(block.refused.iter().map(|finding| format!("refused: {finding}")));
        said.extend(block.lacking.iter().map(|finding| format!("lacking: {finding}")));
    }
    let mut text = format!("Stack {}\n\n{}", placed.stack, lines(&rows));
    if !said.is_empty() {
        text.push_str(&format!("\n\n{}", said.join("\n")));
    }
    text
}
