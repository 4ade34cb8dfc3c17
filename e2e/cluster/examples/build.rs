//! Builds the control plane, or with `--node` a real node, ahead of the tests that need it, with progress.

use clap::Parser;
use plinth_cluster::{Build, Lines, NodeBinaries};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// What a real node runs, instead of the control plane.
    #[arg(long)]
    node: bool,
}

#[tokio::main]
async fn main() -> plinth_cluster::Result<()> {
    if Arguments::parse().node {
        NodeBinaries::ensure(&Lines::default()).await?;
        println!("the node is built");
        return Ok(());
    }
    let binaries = Build::ensure(&Lines::default()).await?;
    println!("the control plane is in {}", binaries.dir().display());
    Ok(())
}
