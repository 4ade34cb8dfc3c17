//! What a lost site costs the others: the time from a change of the Stack to the changed object on another site, with and
//! without the fault, in turns. Printed, not judged: machines differ.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::country::{Country, FAST};
use crate::house::{LIMIT, ready};
use crate::lost::silent;
use crate::wire::Passes;

/// Rounds of three rows of changes: with all sites, with one cut off just now, and after that was noticed.
const ROUNDS: usize = 10;
/// Changes in a row.
const IN_A_ROW: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn a_black_holed_site_does_not_slow_the_others() -> Result<()> {
    let country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(FAST);
    ready(&country.stacks(), "land").await?;
    let (mut whole, mut cut, mut noticed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        row(&country, &format!("{round}-whole"), &mut whole).await?;
        country.a.wire.set(Passes::Nothing);
        row(&country, &format!("{round}-cut"), &mut cut).await?;
        silent(&country, LIMIT).await?;
        row(&country, &format!("{round}-noticed"), &mut noticed).await?;
        country.a.wire.set(Passes::All);
        ready(&country.stacks(), "land").await?;
    }
    let [whole, cut, noticed] = [&mut whole, &mut cut, &mut noticed].map(|times| summary(times));
    for (what, times) in
        [("all sites", whole), ("one just cut off", cut), ("after that was noticed", noticed)]
    {
        println!(
            "{what}: median {:.0} ms, quartiles {:.0} to {:.0} ms, ratio {:.3}",
            times[1],
            times[0],
            times[2],
            times[1] / whole[1]
        );
    }
    operator.stop().await
}

async fn row(country: &Country, name: &str, times: &mut Vec<Duration>) -> Result<()> {
    for change in 0..IN_A_ROW {
        times.push(one(country, &format!("{name}-{change}")).await?);
    }
    Ok(())
}

/// From the change of the Stack until the other site has it.
async fn one(country: &Country, text: &str) -> Result<Duration> {
    let began = Instant::now();
    country.change("digital-registries", text).await?;
    country.changed(&country.b.client, "digital-registries", text).await?;
    Ok(began.elapsed())
}

/// First quartile, median and third quartile, in milliseconds.
fn summary(times: &mut [Duration]) -> [f64; 3] {
    times.sort();
    [1, 2, 3].map(|quarter| times[times.len() * quarter / 4].as_secs_f64() * 1000.0)
}
