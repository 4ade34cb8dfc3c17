//! What a lost site costs the others: the time from a change of the Stack to the changed object on another site, with and
//! without the fault, in turns. Printed, not judged: machines differ.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::country::{Country, FAST};
use crate::house::{condition, eventually, ready};
use crate::wire::Passes;

/// Changes with and as many without the fault.
const CHANGES: usize = 100;
/// So many in a row before the fault is turned on or off: noticing and healing take longer than a change.
const IN_A_ROW: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn a_black_holed_site_does_not_slow_the_others() -> Result<()> {
    let country = Country::start().await?;
    country.declare().await?;
    let operator = country.operator(FAST);
    ready(&country.stacks(), "land").await?;
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    for round in 0..2 * CHANGES / IN_A_ROW {
        let is_cut = round % 2 == 1;
        country.a.wire.set(if is_cut { Passes::Nothing } else { Passes::All });
        let times = if is_cut { &mut cut } else { &mut whole };
        for change in 0..IN_A_ROW {
            times.push(one(&country, &format!("{round}-{change}")).await?);
        }
        if is_cut {
            country.a.wire.set(Passes::All);
        }
        settled(&country).await?;
    }
    let (whole, cut) = (summary(&mut whole), summary(&mut cut));
    println!("all sites:       median {:.0} ms, quartiles {:.0} to {:.0} ms", whole[1], whole[0], whole[2]);
    println!("one black-holed: median {:.0} ms, quartiles {:.0} to {:.0} ms", cut[1], cut[0], cut[2]);
    println!("ratio of the medians: {:.3} over {CHANGES} changes each", cut[1] / whole[1]);
    operator.stop().await
}

/// From the change of the Stack until the other site has it.
async fn one(country: &Country, text: &str) -> Result<Duration> {
    let began = Instant::now();
    country.change("digital-registries", text).await?;
    country.changed(&country.b.client, "digital-registries", text).await?;
    Ok(began.elapsed())
}

async fn settled(country: &Country) -> Result<()> {
    eventually("the Stack is Ready", async || {
        let stack = country.stacks().get("land").await?;
        Ok(matches!(condition(&stack, "Ready"), Some(("True", ..))).then_some(()))
    })
    .await
}

/// First quartile, median and third quartile, in milliseconds.
fn summary(times: &mut [Duration]) -> [f64; 3] {
    times.sort();
    [1, 2, 3].map(|quarter| times[times.len() * quarter / 4].as_secs_f64() * 1000.0)
}
