//! `plinth sandbox`: copies of a Stack for a team, within a budget, for a time. One verb each.

mod create;
mod export;
mod life;
mod list;
mod people;
mod templates;

use anyhow::{Context as _, Result};
use kube::api::ListParams;
use kube::{Api, Client};
use plinth_api::{Sandbox, SandboxPolicy, Stack};
use plinth_plan::sandbox::policy::Terms;

use super::connect::ClusterArgs;
use super::exit::Exit;
use super::output::Out;

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a sandbox and wait until it is Ready: prints where it is and where its credentials are.
    Create(Box<create::Args>),
    /// List sandboxes.
    List(list::ListArgs),
    /// Print where a sandbox is reached, and the command that shows its credentials.
    Open(list::OneArgs),
    /// Give a sandbox more time, within its SandboxPolicy.
    Extend(life::ExtendArgs),
    /// Put a sandbox to sleep: no pods run, its data is kept.
    Sleep(life::AskArgsOf),
    /// Wake a sandbox.
    Wake(life::AskArgsOf),
    /// Write the Stack of a sandbox as a team takes it home, and list what has to change before it serves people.
    Export(export::Args),
    /// Delete a sandbox with everything in it.
    Delete(life::DeleteArgs),
    /// Show what a sandbox costs.
    Cost(list::OneArgs),
    /// Show people that a seed makes up, as blocks get them. Offline.
    People(people::Args),
    /// List the templates that come with Plinth. Offline.
    Templates,
}

/// Runs a verb of `sandbox`.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    match args.verb {
        Verb::Create(args) => create::run(*args, out).await,
        Verb::List(args) => list::list(args, out).await,
        Verb::Open(args) => list::open(args, out).await,
        Verb::Cost(args) => list::cost(args, out).await,
        Verb::Extend(args) => life::extend(args, out).await,
        Verb::Sleep(args) => life::sleep(args, out).await,
        Verb::Wake(args) => life::wake(args, out).await,
        Verb::Export(args) => export::run(args, out).await,
        Verb::Delete(args) => life::delete(args, out).await,
        Verb::People(args) => people::run(&args, out),
        Verb::Templates => templates::run(out),
    }
}

/// A client, and the namespace that is meant.
async fn meant(cluster: &ClusterArgs, namespace: Option<&str>) -> Result<(Client, String)> {
    let client = cluster.connect().await?.client;
    let namespace = namespace.map_or_else(|| client.default_namespace().to_owned(), str::to_owned);
    Ok((client, namespace))
}

async fn read(client: &Client, namespace: &str, name: &str) -> Result<Sandbox> {
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), namespace);
    sandboxes.get(name).await.with_context(|| format!("reading Sandbox {namespace}/{name}"))
}

/// A Stack, where there is one.
async fn stack(client: &Client, namespace: &str, name: &str) -> Result<Option<Stack>> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), namespace);
    stacks.get_opt(name).await.with_context(|| format!("reading Stack {namespace}/{name}"))
}

/// What the policies of a namespace allow, as the cluster has them.
async fn terms(client: &Client, namespace: &str) -> Result<Terms> {
    let policies: Api<SandboxPolicy> = Api::all(client.clone());
    let found = policies.list(&ListParams::default()).await.context("listing SandboxPolicies")?;
    Ok(Terms::of(&found.items, namespace))
}
