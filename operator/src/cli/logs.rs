//! `plinth logs`: what the containers of a block say, of all its pods, each line with the container that said it.

use std::pin::pin;

use anyhow::{Context as _, Result};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};
use plinth_api::{BuildingBlock, names};

use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::output::{Out, note};

/// Containers that are read at the same time.
const AT_ONCE: usize = 50;

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack.
    stack: String,
    /// Name of the block.
    block: String,
    /// Only this component.
    component: Option<String>,
    /// The Stack's namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Lines of each container.
    #[arg(long, default_value_t = 100, value_name = "LINES")]
    tail: i64,
    /// Keep listening. Ends with Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// What the containers said before they were started anew.
    #[arg(long, conflicts_with = "follow")]
    previous: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Prints the lines as they come.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let home = home(&client, &namespace, &args).await?;
    let mut selector = format!(
        "{}={namespace},{}={},{}={}",
        names::LABEL_STACK_NAMESPACE,
        names::LABEL_STACK,
        args.stack,
        names::LABEL_BLOCK,
        args.block
    );
    if let Some(component) = &args.component {
        selector += &format!(",{}={component}", names::LABEL_COMPONENT);
    }
    let pods: Api<Pod> = Api::namespaced(client, &home);
    let found = pods.list(&ListParams::default().labels(&selector)).await.context("listing pods")?.items;
    let containers: Vec<(String, String)> = found.iter().flat_map(containers_of).collect();
    if containers.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("no pod of {selector} in namespace {home}"))
            .next(format!("see why with `plinth why {} {} -n {namespace}`", args.stack, args.block))
            .into());
    }
    let read = containers.iter().map(|(pod, container)| said(&pods, pod, container, &args, out));
    let ended: Vec<Result<()>> = stream::iter(read).buffer_unordered(AT_ONCE).collect().await;
    let mut all_well = true;
    for error in ended.into_iter().filter_map(Result::err) {
        all_well = false;
        note(&format!("{error:#}"));
    }
    Ok(if all_well { Exit::Ok } else { Exit::Failed })
}

/// The namespace that the block is in, as its BuildingBlock says.
async fn home(client: &Client, namespace: &str, args: &Args) -> Result<String> {
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), namespace);
    let name = format!("{}-{}", args.stack, args.block);
    let block = blocks.get_opt(&name).await.context("reading the BuildingBlock")?;
    let Some(block) = block else {
        let message = format!("Stack {namespace}/{} has no block `{}`", args.stack, args.block);
        return Err(Failure::new(Exit::InvalidInput, message)
            .next(format!("see its blocks with `plinth status {} -n {namespace}`", args.stack))
            .into());
    };
    let home = block.spec.target_namespace;
    home.with_context(|| format!("block {} runs elsewhere: Plinth has no pods of it", args.block))
}

/// Name of the pod and of each of its containers, those of its start first.
fn containers_of(pod: &Pod) -> Vec<(String, String)> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let Some(spec) = &pod.spec else { return Vec::new() };
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.map(|container| (name.clone(), container.name.clone())).collect()
}

async fn said(pods: &Api<Pod>, pod: &str, container: &str, args: &Args, out: Out) -> Result<()> {
    let asked = LogParams {
        container: Some(container.to_owned()),
        follow: args.follow,
        previous: args.previous,
        tail_lines: Some(args.tail),
        ..LogParams::default()
    };
    let name = format!("{pod}/{container}");
    let log = pods.log_stream(pod, &asked).await.with_context(|| name.clone())?;
    let mut lines = pin!(log.lines());
    while let Some(line) = lines.try_next().await.with_context(|| name.clone())? {
        out.text(&format!("{} {line}", out.paint().dim(&name)))?;
    }
    Ok(())
}
