//! `plinth pause` and `plinth resume`: whether a Stack, or a block of it, is written to. What runs goes on running.

use anyhow::{Context as _, Result};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use plinth_api::Stack;
use serde::Serialize;
use serde_json::{Value, json};

use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::output::{Out, note};

/// Who changes the Stack, for `kubectl get --show-managed-fields`.
const MANAGER: &str = "plinth-cli";

/// Arguments of `pause` and `resume`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack.
    stack: String,
    /// Only this block.
    block: Option<String>,
    /// Namespace of the Stack; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What the Stack says by now.
#[derive(Debug, Serialize)]
struct Outcome {
    namespace: String,
    stack: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<String>,
    paused: bool,
    changed: bool,
}

/// Sets `paused` where it says something else.
///
/// # Errors
/// There is no such Stack or block, or the API server refused.
pub async fn run(args: Args, paused: bool, out: Out) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    // As it stands there: what it does not say is not said by this either.
    let resource = ApiResource::erase::<Stack>(&());
    let stacks: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    let stack =
        stacks.get(&args.stack).await.with_context(|| format!("reading Stack {namespace}/{}", args.stack))?;
    let patch = patch(&stack, args.block.as_deref(), paused)?;
    if let Some(patch) = &patch {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patched = stacks.patch(&args.stack, &params, &Patch::Merge(patch)).await;
        patched.with_context(|| format!("changing Stack {namespace}/{}", args.stack))?;
        note("where git declares this Stack, say it there too: whatever applies that next may take it back");
    }
    let changed = patch.is_some();
    let outcome = Outcome { namespace, stack: args.stack, block: args.block, paused, changed };
    out.print(&outcome, text)?;
    Ok(Exit::Ok)
}

/// The change, if it is one (merge patch). It names the version that was read: what somebody else changes meanwhile is not undone.
fn patch(stack: &DynamicObject, block: Option<&str>, paused: bool) -> Result<Option<Value>> {
    let spec = &stack.data["spec"];
    let Some(name) = block else {
        let was = spec["paused"] == true;
        return Ok((was != paused).then(|| json!({ "spec": { "paused": paused } })));
    };
    let mut blocks = spec["blocks"].as_array().cloned().unwrap_or_default();
    let Some(found) = blocks.iter_mut().find(|block| block["name"] == name) else {
        let names: Vec<&str> = blocks.iter().filter_map(|block| block["name"].as_str()).collect();
        let of = stack.metadata.name.as_deref().unwrap_or_default();
        let message = format!("Stack {of} has no block {name}; it has {}", names.join(", "));
        return Err(Failure::new(Exit::InvalidInput, message).into());
    };
    if (found["paused"] == true) == paused {
        return Ok(None);
    }
    found["paused"] = json!(paused);
    Ok(Some(json!({
        "metadata": { "resourceVersion": stack.metadata.resource_version },
        "spec": { "blocks": blocks },
    })))
}

fn text(outcome: &Outcome) -> String {
    let what = match &outcome.block {
        Some(block) => format!("block {block} of Stack {}/{}", outcome.namespace, outcome.stack),
        None => format!("Stack {}/{}", outcome.namespace, outcome.stack),
    };
    match (outcome.paused, outcome.changed) {
        (true, true) => format!("{what} is paused: it is looked at, and nothing of it is written to"),
        (true, false) => format!("{what} was paused already"),
        (false, true) => format!("{what} goes on"),
        (false, false) => format!("{what} was not paused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit;

    fn stack() -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
            "metadata": { "name": "demo", "resourceVersion": "7" },
            "spec": { "country": { "code": "NV" }, "blocks": [
                { "name": "identity", "paused": true }, { "name": "payments", "version": "17.2.0" },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn a_block_is_paused_and_the_others_stay_as_they_are() {
        let patch = patch(&stack(), Some("payments"), true).unwrap().unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let blocks = &patch["spec"]["blocks"];
        assert_eq!((&blocks[0]["paused"], &blocks[1]["paused"]), (&json!(true), &json!(true)));
        assert_eq!(blocks[1]["version"], "17.2.0");
        assert_eq!(blocks[0].as_object().unwrap().len(), 2, "nothing is said that was not");
    }

    #[test]
    fn what_is_so_already_is_not_written() {
        assert_eq!(patch(&stack(), Some("identity"), true).unwrap(), None);
        assert_eq!(patch(&stack(), None, false).unwrap(), None);
        assert_eq!(patch(&stack(), None, true).unwrap(), Some(json!({ "spec": { "paused": true } })));
    }

    #[test]
    fn a_block_that_there_is_not_is_answered_with_those_that_there_are() {
        let error = patch(&stack(), Some("pyments"), true).unwrap_err();
        assert_eq!(exit::of(&error), Exit::InvalidInput);
        assert!(exit::explain(&error).contains("it has identity, payments"), "{}", exit::explain(&error));
    }
}
