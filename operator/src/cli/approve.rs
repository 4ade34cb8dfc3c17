//! `plinth approve`: lets a held plan, or a held step of onboarding, run, with a reason, for the audit trail.

use anyhow::{Context as _, Result};
use kube::{Api, ResourceExt as _};
use plinth_api::condition;
use plinth_api::v1alpha1::operation::{OperationPhase, OperationSpec, OperationType};
use plinth_api::v1alpha1::stack::Stack;
use serde::Serialize;

use super::ask::submit;
use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::output::{Out, note};

/// Arguments of `approve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack.
    stack: String,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The plan that was read (`sha256:…`): another one is refused. Without it, whatever is held now is approved.
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
    /// A step of onboarding or another instance's anchor that waits for a yes, as `plinth status` names it, or a change of a
    /// Registry's schema, as its own status does, in place of the plan.
    #[arg(long, value_name = "BLOCK/JOB", conflicts_with = "hash")]
    step: Option<String>,
    /// Seconds to wait for the outcome.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How it went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    namespace: String,
    stack: String,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    phase: OperationPhase,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Creates the Operation and waits for its outcome.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let stacks: Api<Stack> = Api::namespaced(client.clone(), &namespace);
    let stack =
        stacks.get(&args.stack).await.with_context(|| format!("reading Stack {namespace}/{}", args.stack))?;
    let hash = match &args.step {
        Some(_) => None,
        None => Some(held(&stack, args.hash.as_deref())?),
    };
    let what = args.step.as_ref().map(|step| format!("step {step}"));
    let what = what.or(hash.as_ref().map(|hash| format!("plan {hash}"))).unwrap_or_default();
    note(&format!("approving {what} of Stack {namespace}/{}", args.stack));

    let spec = OperationSpec {
        plan_hash: hash.clone(),
        step: args.step.clone(),
        ..OperationSpec::new(&args.stack, OperationType::Approve, &args.reason)
    };
    let (name, ended) =
        submit(&client, &namespace, spec, &format!("approve-{}", args.stack), args.timeout).await?;
    let outcome = Outcome {
        namespace,
        stack: args.stack,
        operation: name,
        plan_hash: hash,
        step: args.step,
        phase: ended.phase,
        by: ended.by,
        message: ended.message,
    };
    out.print(&outcome, |outcome| text(outcome, args.timeout))?;
    Ok(match outcome.phase {
        OperationPhase::Succeeded => Exit::Ok,
        OperationPhase::Pending | OperationPhase::Running => Exit::NotReady,
        OperationPhase::Refused | OperationPhase::Failed => Exit::Failed,
    })
}

/// The plan that waits, if it is the one that was read.
fn held(stack: &Stack, read: Option<&str>) -> Result<String> {
    let status = stack.status.clone().unwrap_or_default();
    let approved = status.conditions.iter().find(|condition| condition.type_ == condition::APPROVED);
    let (Some(hash), Some("False")) = (status.plan_hash, approved.map(|condition| condition.status.as_str()))
    else {
        let why = match approved {
            Some(condition) if condition.status == "True" => "it needs no approval, or has it already",
            _ => "the operator has made no plan of it yet",
        };
        return Err(Failure::new(Exit::Failed, format!("Stack {} holds no plan: {why}", stack.name_any()))
            .next("look at it with `plinth status`")
            .into());
    };
    match read {
        Some(read) if read != hash => Err(Failure::new(
            Exit::InvalidInput,
            format!("the held plan is {hash}, not {read}: it changed since it was read"),
        )
        .next("read it again with `plinth plan --diff`, then approve the new hash")
        .into()),
        _ => Ok(hash),
    }
}

fn text(outcome: &Outcome, waited: u64) -> String {
    let Outcome { operation, phase, by, message, plan_hash, step, .. } = outcome;
    let what = plan_hash.as_ref().or(step.as_ref()).map(String::as_str).unwrap_or_default();
    let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let message = message.as_deref().unwrap_or("no message");
    match phase {
        OperationPhase::Succeeded => format!("approved{by}: {what}\n{message}"),
        OperationPhase::Refused => format!("refused{by}: {message}"),
        OperationPhase::Failed => format!("failed: {message}"),
        OperationPhase::Pending | OperationPhase::Running => format!(
            "no outcome within {waited} s; is an operator running?\nIt is asked: kubectl get operation {operation} -n {}",
            outcome.namespace
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit;
    use serde_json::json;

    fn stack(approved: &str) -> Stack {
        serde_json::from_value(json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "demo" },
            "spec": { "country": { "code": "NV" }, "blocks": [] },
            "status": { "planHash": "sha256:aa", "conditions": [{ "type": "Approved", "status": approved,
                "reason": "AwaitingApproval", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] },
        }))
        .unwrap()
    }

    #[test]
    fn only_the_plan_that_is_held_and_was_read_is_approved() {
        assert_eq!(held(&stack("False"), None).unwrap(), "sha256:aa");
        assert_eq!(held(&stack("False"), Some("sha256:aa")).unwrap(), "sha256:aa");
        let other = held(&stack("False"), Some("sha256:bb")).unwrap_err();
        assert_eq!(exit::of(&other), Exit::InvalidInput);
        let none = held(&stack("True"), None).unwrap_err();
        assert!(exit::explain(&none).contains("needs no approval"));
    }
}
