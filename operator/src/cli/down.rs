//! `plinth down`: ends what `up --detach` left running, and nothing else.

use anyhow::{Context as _, Result};
use plinth_cluster::{ControlPlane, Error, clusters_dir};
use serde::Serialize;

use super::connect::DEFAULT_NAME;
use super::exit::Exit;
use super::output::Out;
use super::progress;
use super::up::operator::Record;
use super::up::operators_dir;

/// Arguments of `down`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the cluster.
    #[arg(long, default_value = DEFAULT_NAME)]
    name: String,
    /// Delete the cluster's data as well. It does not come back.
    #[arg(long)]
    purge: bool,
}

/// What was ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    name: String,
    operator_stopped: bool,
    cluster_stopped: bool,
    purged: bool,
}

/// Ends it, and says what was ended.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    out.print(&end(&args.name, args.purge).await?, text)?;
    Ok(Exit::Ok)
}

/// Ends the operator first, so that it writes its last status, then the cluster, and with `purge` deletes the cluster's data.
///
/// # Errors
/// Something does not end.
pub async fn end(name: &str, purge: bool) -> Result<Ended> {
    let bar = progress::spinner("Stopping");
    let mut ended =
        Ended { operator_stopped: false, cluster_stopped: false, purged: false, name: name.to_owned() };
    let folder = clusters_dir()?.join(name);
    for dir in [&folder, &operators_dir(name)?] {
        if let Some(record) = Record::load(dir)? {
            ended.operator_stopped |= record.end().await;
        }
    }
    ended.cluster_stopped = match ControlPlane::stop_named(name).await {
        Ok(()) => true,
        Err(Error::NotRunning(_)) => false,
        Err(error) => return Err(error).context("stopping the cluster"),
    };
    if purge {
        ended.purged = folder.is_dir();
        ControlPlane::delete_named(name).await.context("deleting the cluster's data")?;
    }
    bar.finish_and_clear();
    Ok(ended)
}

fn text(ended: &Ended) -> String {
    let mut done = Vec::new();
    if ended.operator_stopped {
        done.push("the operator is stopped");
    }
    if ended.cluster_stopped {
        done.push("the cluster is stopped");
    }
    match (ended.purged, ended.cluster_stopped) {
        (true, _) => done.push("its data is deleted"),
        (false, true) => done.push("its data is kept (--purge deletes it)"),
        (false, false) => {}
    }
    if done.is_empty() { format!("nothing of `{}` runs here", ended.name) } else { done.join(", ") }
}
