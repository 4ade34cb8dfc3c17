//! `plinth sandbox list`, `open`, `cost`: what there is, where it is reached, what it costs.

use anyhow::{Context as _, Result};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use plinth_api::v1alpha1::people::PeopleStatus;
use plinth_api::v1alpha1::sandbox::{Sandbox, SandboxCost, SandboxPhase};
use serde::Serialize;

use super::create::show_credentials;
use super::people::loaded;
use super::{meant, read};
use crate::cli::connect::ClusterArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Out, lines, table};

/// Arguments of `sandbox list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Look into all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of verbs that are about one sandbox.
#[derive(Debug, clap::Args)]
pub struct OneArgs {
    /// Name of the sandbox.
    name: String,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Serialize)]
struct Listing {
    sandboxes: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    namespace: String,
    name: String,
    phase: SandboxPhase,
    team: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<SandboxCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<PeopleStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

fn line(sandbox: Sandbox) -> Line {
    let (namespace, name) = (sandbox.namespace().unwrap_or_default(), sandbox.name_any());
    let status = sandbox.status.unwrap_or_default();
    let ready = status.conditions.into_iter().find(|condition| condition.type_ == "Ready");
    Line {
        namespace,
        name,
        phase: status.phase,
        team: sandbox.spec.owner.team,
        expires_at: status.expires_at.map(|time| time.0.to_string()),
        url: status.url,
        cost: status.cost,
        people: status.people,
        message: ready.map(|ready| ready.message),
    }
}

/// Prints them.
pub async fn list(args: ListArgs, out: Out) -> Result<Exit> {
    let (client, namespace) = meant(&args.cluster, args.namespace.as_deref()).await?;
    let sandboxes: Api<Sandbox> =
        if args.all_namespaces { Api::all(client) } else { Api::namespaced(client, &namespace) };
    let found = sandboxes.list(&ListParams::default()).await.context("listing Sandboxes")?.items;
    let listing = Listing { sandboxes: found.into_iter().map(line).collect() };
    out.print(&listing, table_of)?;
    Ok(Exit::Ok)
}

fn table_of(listing: &Listing) -> String {
    if listing.sandboxes.is_empty() {
        return "there is none; look into all namespaces with -A, or make one: plinth sandbox create"
            .to_owned();
    }
    let mut rows = table(["SANDBOX", "STATE", "TEAM", "EXPIRES", "URL", "COST", "PEOPLE", "MESSAGE"]);
    for line in &listing.sandboxes {
        let cost = line.cost.as_ref().map(|cost| format!("{} {}", cost.so_far, cost.currency));
        rows.add_row([
            format!("{}/{}", line.namespace, line.name),
            format!("{:?}", line.phase),
            line.team.clone(),
            line.expires_at.clone().unwrap_or_default(),
            line.url.clone().unwrap_or_default(),
            cost.unwrap_or_default(),
            line.people.as_ref().map(loaded).unwrap_or_default(),
            line.message.clone().unwrap_or_default(),
        ]);
    }
    lines(&rows)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Door {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<String>,
}

/// Prints where it is reached.
pub async fn open(args: OneArgs, out: Out) -> Result<Exit> {
    let (client, namespace) = meant(&args.cluster, args.namespace.as_deref()).await?;
    let status = read(&client, &namespace, &args.name).await?.status.unwrap_or_default();
    let Some(url) = status.url.filter(|_| status.phase == SandboxPhase::Awake) else {
        let failure =
            Failure::new(Exit::NotReady, format!("Sandbox {namespace}/{} is {:?}", args.name, status.phase));
        let next = match status.phase {
            SandboxPhase::Asleep | SandboxPhase::FallingAsleep => {
                format!("plinth sandbox wake {} --reason …", args.name)
            }
            _ => "plinth sandbox list".to_owned(),
        };
        return Err(failure.next(next).into());
    };
    let home = status.stack.map(|stack| stack.namespace).filter(|_| status.credentials_secret.is_some());
    let door = Door { url, credentials: home.map(|namespace| show_credentials(&namespace)) };
    out.print(&door, |door| {
        let credentials = door.credentials.as_ref().map(|how| format!("\ncredentials: {how}"));
        format!("{}{}", door.url, credentials.unwrap_or_default())
    })?;
    Ok(Exit::Ok)
}

/// Prints what it costs.
pub async fn cost(args: OneArgs, out: Out) -> Result<Exit> {
    let (client, namespace) = meant(&args.cluster, args.namespace.as_deref()).await?;
    let sandbox = read(&client, &namespace, &args.name).await?;
    let Some(cost) = sandbox.status.and_then(|status| status.cost) else {
        let what = format!("nobody knows what Sandbox {namespace}/{} costs", args.name);
        let next = "the cluster's owner gives prices in a SandboxPolicy (spec.prices)";
        return Err(Failure::new(Exit::Failed, what).next(next).into());
    };
    let budget = sandbox.spec.budget;
    out.print(&cost, |cost| {
        let SandboxCost { currency, per_month, so_far, this_month, month, as_of } = cost;
        let of = budget.map(|budget| format!(" of a budget of {} {}", budget.monthly, budget.currency));
        format!(
            "since it was made  {so_far} {currency}\nin {month}         {this_month} {currency}{}\na month, by its schedule  {per_month} {currency}\ncounted until {}",
            of.unwrap_or_default(),
            as_of.0
        )
    })?;
    Ok(Exit::Ok)
}
