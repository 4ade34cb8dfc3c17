//! `plinth failover` and `plinth switchback`: takes a block over to a cluster that stands by for it, and back.

use anyhow::Result;
use plinth_api::v1alpha1::operation::{FailoverTarget, OperationSpec, OperationType, RestorePart};

use super::ask::{AskArgs, ask};
use super::connect::ClusterArgs;
use super::exit::Exit;
use super::output::{Out, note};

/// Arguments of `failover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    takeover: Takeover,
    /// WorkloadCluster that takes over, or hub; the only one that stands by when left out.
    #[arg(long, value_name = "CLUSTER")]
    to: Option<String>,
}

/// What both ways need, and the arguments of `switchback`.
#[derive(Debug, clap::Args)]
pub struct Takeover {
    /// Name of the Stack.
    stack: String,
    /// Block that is taken over.
    block: String,
    /// Backup that the new side starts from, as `plinth backup list` shows it; once for each database of the block.
    #[arg(long, value_name = "REQUIREMENT=ID", value_parser = part, requires = "identity_secret")]
    restore: Vec<RestorePart>,
    /// Secret in the Stack's namespace whose `identity` is a private key of one of the backups' recipients.
    #[arg(long, value_name = "SECRET")]
    identity_secret: Option<String>,
    /// What is not on the new side may be lost; needed when the old side does not answer, or no backup is named.
    #[arg(long)]
    accept_data_loss: bool,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Asks for the takeover, and waits for its outcome.
///
/// # Errors
/// There is no cluster or no reason, or the API server refused.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    take(args.takeover, OperationType::Failover, args.to, out).await
}

/// Asks for the way back, and waits for its outcome.
///
/// # Errors
/// As [`run`].
pub async fn back(args: Takeover, out: Out) -> Result<Exit> {
    take(args, OperationType::Switchback, None, out).await
}

async fn take(args: Takeover, kind: OperationType, to: Option<String>, out: Out) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let Takeover { stack, block, restore, identity_secret, accept_data_loss, ask: asking, .. } = args;
    let (word, prefix) = match kind {
        OperationType::Switchback => ("bringing back", "switchback"),
        _ => ("taking over", "failover"),
    };
    note(&format!("{word} block {block} of Stack {stack}"));
    let spec = OperationSpec {
        failover: Some(FailoverTarget { block, to, accept_data_loss, restore, identity_secret }),
        ..OperationSpec::new(&stack, kind, &asking.reason)
    };
    let asked = ask(&client, &asking, spec, &format!("{prefix}-{stack}")).await?;
    out.print(&asked, |asked| asked.text())?;
    Ok(asked.exit())
}

fn part(text: &str) -> Result<RestorePart, String> {
    match text.split_once('=') {
        Some((requirement, from)) if !requirement.is_empty() && !from.is_empty() => {
            Ok(RestorePart { requirement: requirement.to_owned(), from: from.to_owned() })
        }
        _ => Err("give REQUIREMENT=ID as `plinth backup list` shows them, for example data=20261130T020000Z"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_named_with_the_requirement_that_it_is_of() {
        let read = part("data=20261130T020000Z").unwrap();
        assert_eq!((read.requirement.as_str(), read.from.as_str()), ("data", "20261130T020000Z"));
        for wrong in ["20261130T020000Z", "data=", "=20261130T020000Z"] {
            assert!(part(wrong).unwrap_err().contains("plinth backup list"), "{wrong}");
        }
    }
}
