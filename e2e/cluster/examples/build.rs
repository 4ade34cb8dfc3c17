//! Builds the control plane ahead of the tests that need it, with progress.

use plinth_cluster::{Build, Lines};

#[tokio::main]
async fn main() -> plinth_cluster::Result<()> {
    let binaries = Build::ensure(&Lines::default()).await?;
    println!("the control plane is in {}", binaries.dir().display());
    Ok(())
}
