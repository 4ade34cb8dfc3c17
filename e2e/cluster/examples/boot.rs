//! Boots a control plane, prints how long it took and how to reach it, and stops it on Ctrl-C.
//!
//! `cargo run -p plinth-cluster --example boot -- --nodes 3`

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use plinth_cluster::{Build, Component, ControlPlane, Lines, NodeBinaries, Nodes, Options};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Simulated nodes; none when 0.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// One real node instead.
    #[arg(long, conflicts_with = "nodes")]
    real: bool,
    /// The name of the cluster.
    #[arg(long, default_value = "boot")]
    name: String,
    /// The folder of the cluster, instead of the one in the XDG state folder.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Leave it running and return.
    #[arg(long)]
    detach: bool,
    /// Stop the cluster of that name, which an earlier call left running.
    #[arg(long)]
    stop: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.stop {
        return Ok(ControlPlane::stop_named(&arguments.name).await?);
    }
    let nodes = match arguments.nodes {
        _ if arguments.real => Nodes::Real,
        0 => Nodes::None,
        count => Nodes::Simulated(count),
    };
    let mut options = Options::new(&arguments.name).nodes(nodes).detach(arguments.detach);
    if let Some(dir) = arguments.state_dir {
        options = options.state_dir(dir);
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let begin = Instant::now();
    let start = async {
        Build::ensure(&Lines::default()).await?;
        if nodes == Nodes::Real {
            NodeBinaries::ensure(&Lines::default()).await?;
        }
        let built = begin.elapsed();
        let plane = ControlPlane::start(options, &Lines::default()).await?;
        anyhow::Ok((built, plane))
    };
    let (built, plane) = tokio::select! {
        started = start => started?,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    };
    println!("build {:.1} s, boot {:.1} s", built.as_secs_f64(), (begin.elapsed() - built).as_secs_f64());
    for &component in Component::of(plane.nodes()) {
        if let Some(pid) = plane.pid(component).await {
            println!("pid {pid} {component}");
        }
    }
    println!("{} logs {}", plane.server_url(), plane.log_dir().display());
    println!("kubectl {}", plane.binaries().kubectl().display());
    println!("KUBECONFIG={}", plane.kubeconfig().display());
    if arguments.detach {
        return Ok(());
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let begin = Instant::now();
    plane.stop().await?;
    println!("stopped in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}
