//! `plinth upgrade`: to another version of a block, step by step, or to another catalogue; and, before that, what it would do.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use kube::{Api, ResourceExt as _};
use plinth_api::Stack;
use plinth_api::v1alpha1::operation::{OperationSpec, OperationType, UpgradeTarget};
use plinth_api::v1alpha1::product::Rollback;
use plinth_plan::upgrade::{StepAhead, ahead, waits};
use serde::Serialize;

use super::ask::{AskArgs, ask};
use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::input::Input;
use super::lookup;
use super::output::{Out, note};
use super::problem::Problem;

/// Arguments of `upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack.
    stack: String,
    /// Block that is upgraded.
    #[arg(
        long,
        value_name = "BLOCK",
        requires = "to",
        required_unless_present = "catalogue",
        conflicts_with = "catalogue"
    )]
    block: Option<String>,
    /// Version that the Stack asks for by now, to begin or to go on; or the version before, to go back.
    #[arg(long, value_name = "VERSION", requires = "block")]
    to: Option<String>,
    /// Catalogue that the whole Stack is brought to, as `plinth catalogue list` prints it. What that changes says `plinth catalogue diff`.
    #[arg(long, value_name = "REVISION")]
    catalogue: Option<String>,
    /// Only say what would be done, step by step.
    #[arg(long, requires = "block")]
    plan: bool,
    /// Take steps that cannot be undone although nothing backs the block's data up.
    #[arg(long, requires = "block")]
    without_restore_point: bool,
    /// To go back over a step whose way back is a restore point: Secret in the Stack's namespace whose `identity` is a private key of
    /// one of the backup's recipients.
    #[arg(long, value_name = "SECRET", requires = "block")]
    identity_secret: Option<String>,
    /// Namespace of the Stack; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", required_unless_present = "plan")]
    reason: Option<String>,
    /// Seconds to wait for the outcome.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Serialize)]
struct Ahead {
    stack: String,
    block: String,
    /// Why the first step would not begin now, however ready it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    steps: Vec<StepAhead>,
}

/// Asks for the upgrade and waits for its outcome, or says what it would do.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let namespace = args.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    if let (true, Some(block), Some(to)) = (args.plan, &args.block, &args.to) {
        let stacks: Api<Stack> = Api::namespaced(client.clone(), &namespace);
        let stack = stacks.get(&args.stack).await;
        let stack = stack.with_context(|| format!("reading Stack {namespace}/{}", args.stack))?;
        let inputs = lookup::inputs(&client, &Input::default(), &stack).await?;
        let steps = ahead(&stack, &inputs, block, to).map_err(|findings| {
            let problem = |finding: &plinth_plan::model::Finding| Problem {
                path: finding.path.clone(),
                ..Problem::of_file(format!("Stack {namespace}/{}", stack.name_any()), finding.message.clone())
            };
            Failure::invalid(findings.iter().map(problem).collect())
        })?;
        let window = waits(&stack, Timestamp::now().as_second());
        out.print(&Ahead { stack: args.stack, block: block.clone(), window, steps }, text)?;
        return Ok(Exit::Ok);
    }
    let what = match (&args.catalogue, &args.block, &args.to) {
        (Some(revision), ..) => format!("to catalogue {revision}"),
        (None, Some(block), Some(to)) => format!("block {block} to {to}"),
        _ => String::new(),
    };
    note(&format!("upgrading {what} of Stack {namespace}/{}", args.stack));
    let spec = OperationSpec {
        upgrade: Some(UpgradeTarget {
            block: args.block,
            to: args.to,
            catalogue: args.catalogue,
            without_restore_point: args.without_restore_point,
            identity_secret: args.identity_secret,
        }),
        ..OperationSpec::new(&args.stack, OperationType::Upgrade, args.reason.as_deref().unwrap_or_default())
    };
    let asking = AskArgs {
        namespace: Some(namespace),
        reason: args.reason.unwrap_or_default(),
        timeout: args.timeout,
    };
    let asked = ask(&client, &asking, spec, &format!("upgrade-{}", args.stack)).await?;
    out.print(&asked, |asked| asked.text())?;
    Ok(asked.exit())
}

fn text(ahead: &Ahead) -> String {
    if ahead.steps.is_empty() {
        return format!("block {} runs that version", ahead.block);
    }
    let mut lines =
        vec![format!("Stack {}, block {}: {} steps", ahead.stack, ahead.block, ahead.steps.len())];
    lines.extend(ahead.window.iter().map(|window| format!("now every step {window}")));
    for (number, step) in ahead.steps.iter().enumerate() {
        lines.push(format!("\n{}. {} -> {}", number + 1, step.from, step.to));
        let mut line = |what: &str, items: &[String]| {
            if !items.is_empty() {
                lines.push(format!("   {what}: {}", items.join(", ")));
            }
        };
        line("restore point first, of", &step.restore_point);
        line("migrations, before anything is replaced", &step.migrations);
        line("stands still between the versions", &step.stands_still);
        line("rolls, the old version serving", &step.rolls);
        if step.others > 0 {
            lines.push(format!("   other objects that change: {}", step.others));
        }
        lines.push(match step.rollback {
            Rollback::Possible => "   the way back: the old version starts on the new one's data".to_owned(),
            Rollback::RestorePoint => "   the way back: the restore point alone".to_owned(),
        });
        lines.extend(step.changes.iter().map(|change| format!("   note: {change}")));
        lines.extend(step.held.iter().map(|why| format!("   HELD: {why}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_is_closed_stands_before_the_steps() {
        let step = StepAhead {
            from: "1".to_owned(),
            to: "2".to_owned(),
            rollback: Rollback::Possible,
            restore_point: Vec::new(),
            migrations: Vec::new(),
            stands_still: Vec::new(),
            rolls: vec!["Deployment/a".to_owned()],
            others: 0,
            changes: Vec::new(),
            held: None,
        };
        let window = Some("waits for a maintenance window, which opens on Saturday".to_owned());
        let ahead =
            Ahead { stack: "demo".to_owned(), block: "identity".to_owned(), window, steps: vec![step] };
        let lines: Vec<String> = text(&ahead).lines().map(str::to_owned).collect();
        assert_eq!(lines[1], "now every step waits for a maintenance window, which opens on Saturday");
        assert!(text(&Ahead { window: None, ..ahead }).lines().nth(1) == Some(""), "{lines:?}");
    }
}
