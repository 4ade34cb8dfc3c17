//! `plinth rotate`: gives a generated secret a new value, and waits until everybody who holds it has the new one.

use anyhow::Result;
use plinth_api::v1alpha1::operation::{OperationSpec, OperationType, RotateTarget};

use super::ask::{AskArgs, ask};
use super::connect::ClusterArgs;
use super::exit::Exit;
use super::output::{Out, note};

/// Arguments of `rotate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the Stack.
    stack: String,
    /// Block whose secret it is.
    block: String,
    /// Name of the Secret in the block's namespace, for example postgresql-superuser.
    secret: String,
    /// Only this key of it; every generated key that may change when left out.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Asks for it, and waits for the outcome.
///
/// # Errors
/// There is no cluster or no reason, or the API server refused.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    let client = args.cluster.connect().await?.client;
    let Args { stack, block, secret, key, ask: asking, .. } = args;
    note(&format!("rotating {secret} of block {block} of Stack {stack}"));
    let spec = OperationSpec {
        rotate: Some(RotateTarget { block, secret, key }),
        ..OperationSpec::new(&stack, OperationType::Rotate, &asking.reason)
    };
    let asked = ask(&client, &asking, spec, &format!("rotate-{stack}")).await?;
    out.print(&asked, |asked| asked.text())?;
    Ok(asked.exit())
}
