//! `plinth-faults`: the proxy by itself, for a look by hand.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use plinth_faults::fault::Fault;
use plinth_faults::proxy::{LEASES, Options, Proxy};
use tokio::signal::unix::{SignalKind, signal};

/// Passes everything on to the API server, counts the writes, and can do harm.
///
/// A fault begins at a request, which is a write's number (`crash @ 3`) or a content (`error=503 for=5 @ apply
/// apps/deployments small-identity/keycloak #1`, `gone on=core/pods @ 4`).
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The kubeconfig that the operator would have been given.
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: PathBuf,
    /// Where to write the kubeconfig that leads through the proxy.
    #[arg(long)]
    out: PathBuf,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What goes wrong; may be said more than once.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// The operator's process.
    #[arg(long)]
    pid: Option<u32>,
    /// Kinds whose writes have no number, as `group/resource`.
    #[arg(long, value_name = "KIND", default_value = LEASES)]
    exempt: Vec<String>,
    /// Where to write every write, as JSON lines.
    #[arg(long)]
    history: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let arguments = Arguments::parse();
    let options = Options {
        listen: arguments.listen,
        faults: arguments.fault,
        exempt: arguments.exempt,
        history: arguments.history,
        ..Options::new(arguments.kubeconfig)
    };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let proxy = Proxy::start(options).await?;
    if let Some(pid) = arguments.pid {
        proxy.operator_is(pid);
    }
    std::fs::write(&arguments.out, proxy.kubeconfig())
        .with_context(|| format!("writing {}", arguments.out.display()))?;
    println!("KUBECONFIG={} leads through {}", arguments.out.display(), proxy.address());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let progress = proxy.progress();
    println!("{} writes, {} faults have begun", progress.writes, progress.struck);
    Ok(())
}
