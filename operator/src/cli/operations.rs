//! `plinth operations`: what people have asked for once, who, why, and how it ended. The audit trail.

use anyhow::{Context as _, Result};
use kube::Api;
use kube::api::ListParams;
use plinth_api::Operation;
use plinth_api::v1alpha1::operation::{OperationPhase, OperationType};
use serde::Serialize;

use super::exit::Exit;
use super::output::{Out, lines, table};
use super::status::Which;

/// Arguments of `operations`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// What is printed: the newest first.
#[derive(Debug, Serialize)]
struct Listing {
    operations: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    stack: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<String>,
    #[serde(rename = "type")]
    kind: OperationType,
    phase: OperationPhase,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<String>,
}

/// Prints them.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let client = args.which.cluster.connect().await?.client;
    let operations: Api<Operation> = match args.which.namespace(&client) {
        Some(namespace) => Api::namespaced(client, &namespace),
        None => Api::all(client),
    };
    let mut found = operations.list(&ListParams::default()).await.context("listing Operations")?.items;
    found.retain(|operation| args.which.stack.as_ref().is_none_or(|stack| operation.spec.stack == *stack));
    found.sort_by_key(|operation| std::cmp::Reverse(operation.metadata.creation_timestamp.clone()));
    let listing = Listing { operations: found.into_iter().map(line).collect() };
    out.print(&listing, text)?;
    Ok(Exit::Ok)
}

fn line(operation: Operation) -> Line {
    let status = operation.status.unwrap_or_default();
    Line {
        namespace: operation.metadata.namespace.unwrap_or_default(),
        name: operation.metadata.name.unwrap_or_default(),
        stack: operation.spec.stack,
        sandbox: operation.spec.sandbox,
        kind: operation.spec.kind,
        phase: status.phase,
        by: status.by,
        reason: operation.spec.reason,
        message: status.message,
        asked_at: operation.metadata.creation_timestamp.map(|time| time.0.to_string()),
    }
}

fn text(listing: &Listing) -> String {
    if listing.operations.is_empty() {
        return "nobody has asked for anything; look into all namespaces with -A".to_owned();
    }
    let mut rows = table(["ASKED", "STACK OR SANDBOX", "TYPE", "PHASE", "BY", "REASON", "OUTCOME"]);
    for line in &listing.operations {
        rows.add_row([
            line.asked_at.clone().unwrap_or_default(),
            format!("{}/{}", line.namespace, line.sandbox.as_ref().unwrap_or(&line.stack)),
            format!("{:?}", line.kind),
            format!("{:?}", line.phase),
            line.by.clone().unwrap_or_default(),
            line.reason.clone(),
            line.message.clone().unwrap_or_default(),
        ]);
    }
    lines(&rows)
}
