//! `plinth conformance`: what is seen of GovStack's cross-functional requirements, block by block. A self-look with evidence; levels are
//! GovStack's to award.

use std::path::PathBuf;

use anyhow::Result;
use kube::Api;
use plinth_api::BuildingBlock;
use plinth_api::v1alpha1::conformance::{ConformanceStatus, Outcome, RequirementStatus};
use plinth_plan::conformance::{ALL, SPECIFICATION, Sight};
use serde::Serialize;

use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::input::{Input, Planned};
use super::output::{Out, count, lines, note, table};

/// Arguments of `conformance`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack, on a cluster; every Stack of the namespace when left out.
    #[arg(conflicts_with = "file")]
    stack: Option<String>,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long, conflicts_with = "file")]
    namespace: Option<String>,
    /// Look at what a file or a folder declares instead of at what runs; `-` is standard input.
    #[arg(short, long, value_name = "FILE|FOLDER")]
    file: Option<PathBuf>,
    /// This block alone.
    #[arg(long)]
    block: Option<String>,
    /// List the requirements that nobody looked at as well.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    specification: &'static str,
    /// What was looked at: what is `running`, or what is `declared`.
    ground: Ground,
    blocks: Vec<Block>,
    /// Identifiers of requirements of which neither shows anything.
    not_tested: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Ground {
    Running,
    Declared,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    stack: String,
    block: String,
    product: Option<String>,
    /// Nothing where not all of the block is there yet, or where somebody else runs it.
    conformance: Option<ConformanceStatus>,
}

/// Prints the report.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let (ground, mut blocks) = match &args.file {
        Some(file) => (Ground::Declared, declared(&Input::read(file)?.some(file)?.plans()?)),
        None => (Ground::Running, running(&args).await?),
    };
    if let Some(name) = &args.block {
        let known: Vec<&str> = blocks.iter().map(|block| block.block.as_str()).collect();
        let wrong = format!("there is no block `{name}`; there are {}", known.join(", "));
        blocks.retain(|block| block.block == *name);
        if blocks.is_empty() {
            return Err(Failure::new(Exit::InvalidInput, wrong).into());
        }
    }
    let unseen = ALL.iter().filter(|requirement| requirement.check.is_none());
    let not_tested = unseen.map(|requirement| requirement.id()).collect();
    let report = Report { specification: SPECIFICATION, ground, blocks, not_tested };
    out.print(&report, |report| text(report, args.all))?;
    note("levels are GovStack's to award: this is what was seen, for whoever assesses");
    Ok(Exit::Ok)
}

fn declared(planned: &[Planned]) -> Vec<Block> {
    let of = |planned: &Planned| -> Vec<Block> {
        let blocks = planned.plan.blocks.iter().filter(|block| block.tenant.is_none());
        let block = |block| Sight::planned(&planned.plan, block).map(|sight| sight.conformance());
        let blocks = blocks.map(|one| Block {
            stack: planned.plan.stack.name.clone(),
            block: one.name.clone(),
            product: one.product.clone(),
            conformance: block(one),
        });
        blocks.collect()
    };
    planned.iter().flat_map(of).collect()
}

async fn running(args: &Args) -> Result<Vec<Block>> {
    let client = args.cluster.connect().await?.client;
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let blocks: Api<BuildingBlock> = Api::namespaced(client, &namespace);
    let mut blocks = blocks.list(&kube::api::ListParams::default()).await?.items;
    if let Some(stack) = &args.stack {
        blocks.retain(|block| block.spec.stack == *stack);
    }
    if blocks.is_empty() {
        let which = args.stack.as_ref().map_or_else(String::new, |stack| format!(" of Stack `{stack}`"));
        let what = format!("there are no blocks{which} in namespace {namespace}");
        return Err(Failure::new(Exit::InvalidInput, what)
            .next("list Stacks with `plinth status -A`, or look at a file with `plinth conformance -f FILE`")
            .into());
    }
    let block = |block: BuildingBlock| Block {
        stack: block.spec.stack.clone(),
        block: block.spec.block.clone(),
        product: block.spec.product.clone(),
        conformance: block.status.unwrap_or_default().conformance,
    };
    Ok(blocks.into_iter().map(block).collect())
}

fn text(report: &Report, all: bool) -> String {
    let ground = match report.ground {
        Ground::Running => "what runs",
        Ground::Declared => "what is declared; nothing runs",
    };
    let mut parts = vec![format!("{}, seen on {ground}", report.specification)];
    parts.extend(report.blocks.iter().map(block));
    if all {
        let mut rows = table(["NOT LOOKED AT", "LEVEL", "ASKS FOR"]);
        for requirement in ALL.iter().filter(|requirement| requirement.check.is_none()) {
            rows.add_row([requirement.id(), word(&requirement.level), requirement.rule.to_owned()]);
        }
        parts.push(lines(&rows));
    } else {
        let what = count(report.not_tested.len(), "requirement");
        parts.push(format!("{what} cannot be seen on a cluster; `--all` lists them"));
    }
    parts.join("\n\n")
}

fn block(block: &Block) -> String {
    let product = block.product.as_deref().unwrap_or("external");
    let head = format!("{} ({product})", block.block);
    let Some(seen) = &block.conformance else {
        return format!("{head}: not looked at, since not all of it is there or somebody else runs it");
    };
    let ConformanceStatus { holds, fails, exceptions, not_tested, requirements, .. } = seen;
    let mut rows = table(["REQUIREMENT", "LEVEL", "", "RESULT", "EVIDENCE"]);
    for RequirementStatus { id, level, verification, result, evidence, .. } in requirements {
        let id = id.trim_start_matches("govstack-").to_owned();
        rows.add_row([
            id,
            word(level),
            word(verification),
            result_word(*result).to_owned(),
            evidence.clone(),
        ]);
    }
    let sums = format!("{holds} hold, {fails} fail, {exceptions} excepted, {not_tested} not tested");
    format!("{head}: {sums}\n{}", lines(&rows))
}

fn result_word(result: Outcome) -> &'static str {
    match result {
        Outcome::Holds => "holds",
        Outcome::Fails => "FAILS",
        Outcome::Exception => "exception",
        Outcome::NotTested => "not tested",
    }
}

/// A classifier as GovStack writes it.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
