//! Over every pair of pods of an example, exactly the declared paths are open.

use anyhow::Result;
use plinth_cluster::Lines;
use plinth_paths::example::Example;
use plinth_paths::{Analysis, Declared, World, differences};

/// Differences that are worth reading; the rest is counted.
const SHOWN: usize = 40;

async fn exactly_the_declared_paths_are_open(name: &str) -> Result<()> {
    let example = Example::read(name)?;
    let plan = example.plan()?;
    let declared = Declared::of(&example.stack, &example.inputs, &plan)?;
    let world = World::of(&plan, &declared)?;
    let expected = declared.over(&world);
    let analysis = Analysis::of(&world, &Lines::default()).await?;
    println!("{name}: {}", expected.summary(&world));
    let differences = differences(&world, &expected, &analysis);
    let shown: Vec<String> = differences.iter().take(SHOWN).map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), shown.join("\n"));
    Ok(())
}

#[tokio::test]
async fn exactly_the_declared_paths_of_a_country_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("country.yaml").await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_a_nation_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("nation.yaml").await
}
