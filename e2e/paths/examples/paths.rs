//! Builds the analysis of network paths ahead of the tests that need it; with files or folders, runs it on each.
//!
//! ```text
//! cargo run -p plinth-paths --example paths -- examples/ukraine
//! ```

use std::path::Path;

use anyhow::{Result, ensure};
use plinth_cluster::Lines;
use plinth_paths::analysis::program;
use plinth_paths::example::{Example, Planned};
use plinth_paths::{Analysis, differences};

#[tokio::main]
async fn main() -> Result<()> {
    let progress = Lines::default();
    println!("the analysis of network paths is in {}", program().ensure(&progress).await?.display());
    let mut found = 0;
    for path in std::env::args().skip(1) {
        let example = Example::at(Path::new(&path))?;
        let Planned { world, declared, .. } = example.planned()?;
        let expected = declared.over(&world);
        let analysis = Analysis::of(&world, &progress).await?;
        println!("{path}: {}", expected.summary(&world));
        let differences = differences(&world, &expected, &analysis);
        differences.iter().for_each(|difference| println!("{difference}"));
        found += differences.len();
    }
    ensure!(found == 0, "{found} differences between what is open and what is declared");
    Ok(())
}
