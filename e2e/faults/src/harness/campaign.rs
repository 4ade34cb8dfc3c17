//! The same fault at every write of an example, one case each.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use super::audit::Counts;
use super::case::{Case, Example, Outcome, Route};
use super::session::Session;
use crate::fault::{Action, Fault, Trigger};
use crate::history::Record;
use crate::write::Key;

/// After rest, a difference has so long to go away: Kubernetes may still be busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many failures tell what is wrong; more would only take time.
const ENOUGH: usize = 5;

/// A case that did not end as the run without a fault.
#[derive(Debug)]
pub struct Failure {
    /// What was done.
    pub fault: Fault,
    /// The write that it was done to, when it came to that.
    pub write: Option<String>,
    /// What is different.
    pub differences: Vec<String>,
    /// The operator's log; the proxy's history is beside it.
    pub log: PathBuf,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let write = self.write.as_deref().unwrap_or("a write that never came");
        writeln!(f, "{}: {write}", self.fault)?;
        for difference in self.differences.iter().take(20) {
            writeln!(f, "    {difference}")?;
        }
        if let Some(more) = self.differences.len().checked_sub(20).filter(|&more| more > 0) {
            writeln!(f, "    and {more} more")?;
        }
        write!(f, "    log: {}", self.log.display())
    }
}

/// What a campaign has found.
#[derive(Debug, Default)]
pub struct Report {
    /// Writes of the run without a fault.
    pub writes: usize,
    /// Cases in which the fault has struck.
    pub struck: usize,
    /// Contents that were hit, of those of the run without a fault.
    pub contents: (usize, usize),
    /// What went wrong.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took: Duration,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hit, all) = self.contents;
        write!(
            f,
            "{} writes, {} faults struck, {hit} of {all} contents hit, {} failures, {:.0} s",
            self.writes,
            self.struck,
            self.failures.len(),
            self.took.as_secs_f64()
        )
    }
}

/// Runs the example once without a fault.
pub async fn undisturbed(session: &Session<'_>, example: &Example, route: Route) -> Result<Outcome> {
    let mut case = Case::start(session, example, route).await?;
    let log = case.log().to_path_buf();
    let outcome = async {
        case.settle().await?;
        case.outcome().await
    };
    let outcome =
        outcome.await.with_context(|| format!("the run without a fault; its log is {}", log.display()))?;
    case.discard().await?;
    Ok(outcome)
}

/// Hits every write of the example, each in a run of its own: first by number, and then by content what the numbers
/// have missed because the order was another. The control planes share the cases, one at a time on each.
pub async fn every_write(sessions: &[Session<'_>], example: &Example, action: Action) -> Result<Report> {
    let began = Instant::now();
    let first = sessions.first().context("a campaign needs a control plane")?;
    let reference = undisturbed(first, example, Route::Proxy(None)).await?;
    let counted = || reference.writes.iter().filter(|write| write.k.is_some());
    let all: BTreeSet<String> = counted().map(content).collect();
    let campaign = Campaign { sessions, example, reference: &reference, found: RefCell::default() };

    let writes = counted().count();
    campaign.run((1..=writes as u64).map(|k| Fault { trigger: Trigger::Nth(k), action }).collect()).await?;
    let missed = all.difference(&campaign.found.borrow().hit).cloned().collect::<Vec<_>>().into_iter();
    let by_content = |target| Fault { trigger: Trigger::Write(Key { target, occurrence: 1 }), action };
    campaign.run(missed.map(by_content).collect()).await?;

    let Found { struck, hit, failures } = campaign.found.into_inner();
    let contents = (all.intersection(&hit).count(), all.len());
    Ok(Report { writes, struck, contents, failures, took: began.elapsed() })
}

/// The runs of one example under one kind of fault.
struct Campaign<'a> {
    sessions: &'a [Session<'a>],
    example: &'a Example,
    reference: &'a Outcome,
    found: RefCell<Found>,
}

/// What the runs so far have come to.
#[derive(Default)]
struct Found {
    struck: usize,
    hit: BTreeSet<String>,
    failures: Vec<Failure>,
}

impl Campaign<'_> {
    /// One run a fault; each control plane takes the next when it is free.
    async fn run(&self, faults: VecDeque<Fault>) -> Result<()> {
        let faults = RefCell::new(faults);
        let planes = self.sessions.iter().map(async |session| {
            while self.found.borrow().failures.len() < ENOUGH {
                let Some(fault) = faults.borrow_mut().pop_front() else { break };
                self.one(session, fault).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(planes).await.map(drop)
    }

    async fn one(&self, session: &Session<'_>, fault: Fault) -> Result<()> {
        let mut case = Case::start(session, self.example, Route::Proxy(Some(fault.clone()))).await?;
        let log = case.log().to_path_buf();
        let ended = run(&mut case, self.reference).await;
        self.note(fault, log, ended);
        case.discard().await
    }

    fn note(&self, fault: Fault, log: PathBuf, ended: Result<(Outcome, Vec<String>)>) {
        let mut found = self.found.borrow_mut();
        let (write, differences) = match ended {
            Ok((outcome, differences)) => {
                let victim = outcome.writes.iter().find(|write| write.fault.is_some());
                found.hit.extend(victim.map(content));
                found.struck += usize::from(victim.is_some());
                // Fewer writes than in the run without a fault: there was nothing to hit.
                (victim.map(|write| write.key.to_string()), differences)
            }
            Err(error) => (None, vec![format!("{error:#}")]),
        };
        let verdict = if differences.is_empty() { "ok" } else { "FAILED" };
        eprintln!("{fault}: {} {verdict}", write.as_deref().unwrap_or("-"));
        if !differences.is_empty() {
            let failure = Failure { fault, write, differences, log };
            eprintln!("{failure}");
            found.failures.push(failure);
        }
    }
}

/// What a write is, whichever time it comes. The name of an event ends in a number that nobody knows before.
fn content(write: &Record) -> String {
    let target = &write.key.target;
    match target.rsplit_once('.') {
        Some((stem, _)) if target.contains("/events ") => format!("{stem}.*"),
        _ => target.clone(),
    }
}

async fn run(case: &mut Case<'_>, reference: &Outcome) -> Result<(Outcome, Vec<String>)> {
    case.settle().await?;
    let end = Instant::now() + PATIENCE;
    loop {
        let outcome = case.outcome().await?;
        let differences = different(&outcome, reference);
        if differences.is_empty() || Instant::now() >= end {
            return Ok((outcome, differences));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Everything in which two runs differ.
pub fn different(outcome: &Outcome, reference: &Outcome) -> Vec<String> {
    let mut found = outcome.dump.differences(&reference.dump);
    found.extend(counts(&outcome.counts, &reference.counts));
    found
}

fn counts(one: &Counts, two: &Counts) -> Vec<String> {
    let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    let of = |counts: &Counts, key: &str| counts.get(key).copied().unwrap_or_default();
    let differ = keys.into_iter().filter(|key| of(one, key) != of(two, key));
    differ
        .map(|key| {
            let ((created, deleted), (wanted, gone)) = (of(one, key), of(two, key));
            format!(
                "{key}: created {created} times, expected {wanted}; deleted {deleted} times, expected {gone}"
            )
        })
        .collect()
}
