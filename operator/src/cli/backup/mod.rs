//! `plinth backup` and `plinth restore`: what is backed up, now; what there is; whether it can be read; and bringing it back.

mod kept;

use anyhow::Result;
use plinth_api::v1alpha1::operation::{
    BackupScope, OperationSpec, OperationType, RestoreInto, RestoreTarget,
};

use super::ask::{AskArgs, ask};
use super::connect::ClusterArgs;
use super::exit::{Exit, Failure};
use super::output::{Out, note};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Back up a Stack now, without waiting for its schedule.
    Now(NowArgs),
    /// List the backups that there are, as the storage has them; needs no cluster.
    List(kept::ListArgs),
    /// Read a whole backup and find that it is what was sent and that the key opens it; needs no cluster and keeps nothing.
    Verify(kept::VerifyArgs),
    /// Print the secrets that a block had when a backup was taken, as a List of Secrets to apply before the Stack; needs no cluster.
    Secrets(kept::VerifyArgs),
}

#[derive(Debug, clap::Args)]
struct NowArgs {
    /// Name of the Stack.
    stack: String,
    /// Only this block, or this requirement of it; everything when left out.
    #[arg(value_name = "BLOCK[/REQUIREMENT]")]
    what: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// Name of the Stack.
    stack: String,
    /// What is restored, as `plinth backup list` shows it.
    #[arg(value_name = "BLOCK/REQUIREMENT")]
    what: String,
    /// The backup, as `plinth backup list` shows it.
    #[arg(long, value_name = "ID")]
    from: String,
    /// Secret in the Stack's namespace whose `identity` is a private key of one of the backup's recipients.
    #[arg(long, value_name = "SECRET")]
    identity_secret: String,
    /// Into a database beside the one that serves, which is not touched.
    #[arg(long)]
    beside: bool,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs a verb of `backup`.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    match args.verb {
        Verb::Now(args) => now(args, out).await,
        Verb::List(args) => kept::list(args, out).await,
        Verb::Verify(args) => kept::verify(args, out).await,
        Verb::Secrets(args) => kept::secrets(args, out).await,
    }
}

async fn now(args: NowArgs, out: Out) -> Result<Exit> {
    let backup = args.what.as_deref().map(|what| match what.split_once('/') {
        None => BackupScope { block: what.to_owned(), requirement: None },
        Some((block, requirement)) => {
            BackupScope { block: block.to_owned(), requirement: Some(requirement.to_owned()) }
        }
    });
    note(&format!("backing up {} of Stack {}", args.what.as_deref().unwrap_or("everything"), args.stack));
    let spec =
        OperationSpec { backup, ..OperationSpec::new(&args.stack, OperationType::Backup, &args.ask.reason) };
    let client = args.cluster.connect().await?.client;
    let asked = ask(&client, &args.ask, spec, &format!("backup-{}", args.stack)).await?;
    out.print(&asked, |asked| asked.text())?;
    Ok(asked.exit())
}

/// Restores, and waits for it.
pub async fn restore(args: RestoreArgs, out: Out) -> Result<Exit> {
    let (block, requirement) = parts(&args.what)?;
    let target = RestoreTarget {
        block: block.to_owned(),
        requirement: requirement.to_owned(),
        from: args.from.clone(),
        into: if args.beside { RestoreInto::Beside } else { RestoreInto::Same },
        identity_secret: args.identity_secret.clone(),
    };
    note(&format!("restoring {} of Stack {} from backup {}", args.what, args.stack, args.from));
    let spec = OperationSpec {
        restore: Some(target),
        ..OperationSpec::new(&args.stack, OperationType::Restore, &args.ask.reason)
    };
    let client = args.cluster.connect().await?.client;
    let asked = ask(&client, &args.ask, spec, &format!("restore-{}", args.stack)).await?;
    out.print(&asked, |asked| asked.text())?;
    Ok(asked.exit())
}

/// Block and requirement.
fn parts(what: &str) -> Result<(&str, &str)> {
    what.split_once('/').ok_or_else(|| {
        Failure::new(Exit::Usage, format!("`{what}` is no BLOCK/REQUIREMENT, such as identity/db")).into()
    })
}
