//! The lease on a real API server.

mod support;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plinth_runtime::lease::state::Timing;
use plinth_runtime::lease::{Election, Fence, Options};
use plinth_runtime::metrics::Metrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use support::{House, LIMIT, config, plan, stack};

const TIMING: Timing = Timing {
    duration: Duration::from_secs(6),
    deadline: Duration::from_secs(4),
    retry: Duration::from_millis(500),
};

struct Candidate {
    fence: Fence,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn stand(house: &House, lease: &str, identity: &str) -> Candidate {
    let options = Options {
        namespace: "default".to_owned(),
        name: lease.to_owned(),
        identity: identity.to_owned(),
        timing: TIMING,
    };
    let (election, fence) = Election::new(house.client(), options, Metrics::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(election.run(stop.clone()));
    Candidate { fence, stop, task }
}

async fn leads(candidate: &Candidate) -> Result<()> {
    tokio::time::timeout(LIMIT, candidate.fence.gained()).await.context("never led")
}

#[tokio::test]
async fn one_leads_and_a_graceful_end_hands_over_at_once() -> Result<()> {
    let house = House::start().await?;
    let lease = stack().name;
    let one = stand(&house, &lease, "one");
    leads(&one).await?;
    let two = stand(&house, &lease, "two");
    let early = tokio::time::timeout(TIMING.retry * 4, two.fence.gained()).await;
    ensure!(early.is_err() && two.fence.check().is_err(), "two lead at once");
    one.stop.cancel();
    one.task.await?;
    ensure!(one.fence.check().is_err());
    let handed = tokio::time::Instant::now();
    leads(&two).await?;
    ensure!(handed.elapsed() < TIMING.duration, "it waited for a lease that was released");
    two.stop.cancel();
    two.task.await?;
    Ok(())
}

#[tokio::test]
async fn a_restarted_process_takes_its_own_lease_back_at_once_and_its_twin_steps_down() -> Result<()> {
    let house = House::start().await?;
    let lease = stack().name;
    let first = stand(&house, &lease, "same");
    leads(&first).await?;
    let second = stand(&house, &lease, "same");
    let began = tokio::time::Instant::now();
    leads(&second).await?;
    ensure!(began.elapsed() < TIMING.duration, "it waited although the lease was its own");
    tokio::time::timeout(TIMING.deadline * 2, first.fence.lost()).await.context("two lead at once")?;
    first.stop.cancel();
    first.task.await?;
    tokio::time::timeout(TIMING.retry * 3, second.fence.lost())
        .await
        .err()
        .context("the wrong one stepped down")?;
    second.stop.cancel();
    second.task.await?;
    Ok(())
}

#[tokio::test]
async fn without_the_lease_nothing_is_written() -> Result<()> {
    let house = House::start().await?;
    let stack = stack();
    let one = stand(&house, &stack.name, "one");
    leads(&one).await?;
    one.stop.cancel();
    one.task.await?;
    let mut cut_off = House::over(house.cluster.clients.clone(), one.fence.clone());
    let result = cut_off.converge(&plan(&stack, vec![vec![config(&stack, "a", "x")]])).await;
    ensure!(result.is_err());
    ensure!(cut_off.metrics.render().lines().all(|line| !line.starts_with("plinth_writes_total")));
    Ok(())
}
