//! `plinth sandbox extend`, `sleep`, `wake`, `delete`: what a person asks of a sandbox. All but the last are Operations.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kube::Api;
use kube::api::DeleteParams;
use plinth_api::Sandbox;
use plinth_api::v1alpha1::operation::{OperationSpec, OperationType};
use serde::Serialize;

use super::meant;
use crate::cli::ask::{AskArgs, ask};
use crate::cli::connect::ClusterArgs;
use crate::cli::exit::Exit;
use crate::cli::output::{Out, note};
use crate::cli::{progress, up};

/// Arguments of `sandbox extend`.
#[derive(Debug, clap::Args)]
pub struct ExtendArgs {
    /// Name of the sandbox.
    name: String,
    /// How much longer, as 14d, 36h or 90m.
    #[arg(long, value_name = "SPAN")]
    by: String,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `sandbox sleep` and `sandbox wake`.
#[derive(Debug, clap::Args)]
pub struct AskArgsOf {
    /// Name of the sandbox.
    name: String,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `sandbox delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteArgs {
    /// Name of the sandbox.
    name: String,
    /// Its namespace; the kubeconfig's own when left out.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How long to wait until nothing of it is left, as `10m` or `90s`.
    #[arg(long, default_value = "10m", value_parser = up::duration)]
    timeout: Duration,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Asks for more time.
pub async fn extend(args: ExtendArgs, out: Out) -> Result<Exit> {
    let spec = OperationSpec {
        extend: Some(args.by),
        ..OperationSpec::of_sandbox(&args.name, OperationType::Extend, &args.ask.reason)
    };
    request(spec, "extend", &args.ask, &args.cluster, out).await
}

/// Puts it to sleep.
pub async fn sleep(args: AskArgsOf, out: Out) -> Result<Exit> {
    let spec = OperationSpec::of_sandbox(&args.name, OperationType::Sleep, &args.ask.reason);
    request(spec, "sleep", &args.ask, &args.cluster, out).await
}

/// Wakes it.
pub async fn wake(args: AskArgsOf, out: Out) -> Result<Exit> {
    let spec = OperationSpec::of_sandbox(&args.name, OperationType::Wake, &args.ask.reason);
    request(spec, "wake", &args.ask, &args.cluster, out).await
}

async fn request(
    spec: OperationSpec,
    verb: &str,
    args: &AskArgs,
    cluster: &ClusterArgs,
    out: Out,
) -> Result<Exit> {
    let prefix = format!("{verb}-{}", spec.sandbox.as_deref().unwrap_or_default());
    let client = cluster.connect().await?.client;
    let asked = ask(&client, args, spec, &prefix).await?;
    out.print(&asked, |asked| asked.text())?;
    Ok(asked.exit())
}

#[derive(Debug, Serialize)]
struct Gone {
    namespace: String,
    name: String,
    gone: bool,
}

/// Deletes it, and waits until nothing of it is left.
pub async fn delete(args: DeleteArgs, out: Out) -> Result<Exit> {
    let (client, namespace) = meant(&args.cluster, args.namespace.as_deref()).await?;
    let sandboxes: Api<Sandbox> = Api::namespaced(client, &namespace);
    let name = args.name;
    note(&format!("deleting Sandbox {namespace}/{name} with everything in it"));
    sandboxes
        .delete(&name, &DeleteParams::default())
        .await
        .with_context(|| format!("deleting Sandbox {name}"))?;
    let until = Instant::now() + args.timeout;
    let bar = progress::spinner("Waiting until it is gone");
    let gone = loop {
        let Some(left) = sandboxes.get_opt(&name).await.with_context(|| format!("reading Sandbox {name}"))?
        else {
            break true;
        };
        if Instant::now() >= until {
            break false;
        }
        let conditions = left.status.map(|status| status.conditions).unwrap_or_default();
        if let Some(ready) = conditions.into_iter().find(|condition| condition.type_ == "Ready") {
            bar.set_message(ready.message);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    bar.finish_and_clear();
    out.print(&Gone { namespace, name, gone }, |gone| match gone.gone {
        true => format!("Sandbox {}/{} is gone, and nothing of it is left", gone.namespace, gone.name),
        false => format!("Sandbox {}/{} is not gone yet; it goes on by itself", gone.namespace, gone.name),
    })?;
    Ok(if gone { Exit::Ok } else { Exit::NotReady })
}
