//! `plinth authorise`: what the reference exchange asks about every call, inside its block.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use plinth::run::signalled;
use plinth_runtime::authorise::serve::{Options, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::run::{LogFormat, start_log};

/// Arguments of `authorise`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The compiled rights, as Plinth wrote them into a ConfigMap. Read again when the file changes.
    #[arg(long, value_name = "FILE")]
    rights: PathBuf,
    /// Address on which Envoy asks.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address on which probes and metrics are answered.
    #[arg(long, value_name = "ADDRESS")]
    health: SocketAddr,
    /// How many authorisers share each limit.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replicas: u32,
}

/// Answers until SIGTERM or Ctrl-C: decisions on standard output, its own log on standard error.
pub async fn run(args: Args) -> Result<Exit> {
    start_log(LogFormat::Json)?;
    let bind = async |address: SocketAddr| {
        TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
    };
    let options = Options {
        decisions: bind(args.listen).await?,
        health: bind(args.health).await?,
        rights: args.rights,
        replicas: args.replicas,
    };
    let stop = CancellationToken::new();
    let signal = stop.clone();
    tokio::spawn(async move {
        signalled().await;
        signal.cancel();
    });
    serve(options, stop).await.context("answering")?;
    Ok(Exit::Ok)
}
