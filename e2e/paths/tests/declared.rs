//! Over every pair of pods of an example, exactly the declared paths are open.

use std::path::Path;

use anyhow::Result;
use plinth_cluster::Lines;
use plinth_paths::example::{Example, Planned};
use plinth_paths::{Analysis, differences};

/// Differences that are worth reading; the rest is counted.
const SHOWN: usize = 40;

async fn exactly_the_declared_paths_are_open(name: &str, example: Example) -> Result<()> {
    let Planned { world, declared, .. } = example.planned()?;
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
    exactly_the_declared_paths_are_open("country", Example::read("country.yaml")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_a_nation_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("nation", Example::read("nation.yaml")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_a_register_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("register", Example::read("register.yaml")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_ukraine_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("ukraine", Example::read("ukraine")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_peru_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("peru", Example::read("peru")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_a_national_id_and_a_subsidy_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("mosip-g2p", Example::read("mosip-g2p")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_of_a_cash_transfer_are_open() -> Result<()> {
    exactly_the_declared_paths_are_open("govstack-usct", Example::read("govstack-usct")?).await
}

#[tokio::test]
async fn exactly_the_declared_paths_between_agencies_are_open() -> Result<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agencies"));
    exactly_the_declared_paths_are_open("agencies", Example::at(folder)?).await
}
