//! Plays cases, a few control planes side by side, and judges each.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::scenario::{Scenario, scenarios as all_scenarios};
use super::wrong::wrongs;
use super::{Class, Deed, Spec};
use crate::harness::audit::Counts;
use crate::harness::case::{Case, Outcome, Route};
use crate::harness::drift::{Drift, without_mark};
use crate::harness::example::{End, Example};
use crate::harness::session::Session;
use crate::oracles::{
    Oracle, Setting, Violation, data_of, data_safe, isolated, judge, no_leaks, no_orphans, path_independent,
    rolled_back, same_end, stable, unchanged,
};

/// After rest, a difference has so long to go away: Kubernetes may still be busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same after drift: nobody tells when it is over.
const MENDED: Duration = Duration::from_secs(30);
/// Longer than any pause between two looks of the operator at what it has.
const STILL: Duration = Duration::from_secs(3);
/// One case in so many is also asked to be stable, by hash.
const STABLE_EACH: u64 = 6;

/// What came of one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Commit of the checkout.
    pub commit: String,
    /// The case, as it is written.
    pub case: String,
    /// Whether it came to the fault: not every run does everything that another does.
    pub struck: bool,
    /// The request that was hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// What does not hold.
    pub violations: Vec<Violation>,
    /// What the harness could not do; then nothing is known of the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// The operator's log, where there is something to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.broken.is_none()
    }
}

/// Runs the example once without a fault. What it ends with is what two looks agree on: on a busy machine Kubernetes may still be
/// clearing up when the Stack has been looked at, and a reference that is too early makes every case wrong.
pub async fn undisturbed(session: &Session<'_>, example: &Example, route: Route) -> Result<Outcome> {
    let mut case = Case::start(session, example, route).await?;
    let log = case.log().to_path_buf();
    let outcome = async {
        case.settle().await?;
        // A namespace takes its time to go, and a Stack that is only looked at does not wait for it.
        let apart = if example.end() == End::Observed { PATIENCE } else { STILL };
        let end = Instant::now() + apart + MENDED;
        let mut before = case.outcome().await?;
        loop {
            tokio::time::sleep(apart).await;
            let outcome = case.outcome().await?;
            if same_end(&outcome.dump, &before.dump).is_empty() {
                return Ok(outcome);
            }
            ensure!(Instant::now() < end, "it does not come to rest");
            before = outcome;
        }
    };
    let outcome =
        outcome.await.with_context(|| format!("the run without a fault; its log is {}", log.display()))?;
    case.discard().await?;
    Ok(outcome)
}

/// Runs a scenario once without a fault, and judges it as if it had one; at rest it is asked to be stable, too.
pub async fn quiet(
    session: &Session<'_>,
    scenario: &Scenario,
    reference: &Outcome,
) -> Result<Vec<Violation>> {
    let example = &scenario.example;
    let mut case = Case::start(session, example, Route::Proxy(Vec::new())).await?;
    let mut found = Vec::new();
    if let Err(error) = case.settle().await {
        found.push(Violation::new(Oracle::O1, "Stack", format!("{error:#}")));
    }
    let patience = if found.is_empty() { PATIENCE } else { Duration::ZERO };
    found.extend(judged(&mut case, reference, &setting(example, None), patience).await?.1);
    if found.is_empty() && example.end() != End::Gone {
        found.extend(is_stable(&mut case).await?);
    }
    // What a bug has left behind goes with the control plane.
    if found.is_empty() {
        case.discard().await?;
    }
    Ok(found)
}

/// Everything that cases are compared with.
pub struct Campaign<'a> {
    /// Control planes that take the cases.
    pub sessions: &'a [Session<'a>],
    /// Scenarios and their runs without a fault, by name.
    pub references: BTreeMap<&'static str, (Scenario, Outcome)>,
    /// Named in every verdict.
    pub commit: String,
    /// Where the logs of what went wrong are kept.
    pub logs: PathBuf,
}

impl<'a> Campaign<'a> {
    /// Runs each scenario once without a fault. Also says what cannot be run at all.
    pub async fn new(
        sessions: &'a [Session<'a>],
        scenarios: Vec<Scenario>,
        commit: String,
        logs: PathBuf,
    ) -> Result<Self> {
        let queue = RefCell::new(VecDeque::from(scenarios));
        let references = RefCell::new(BTreeMap::new());
        let planes = sessions.iter().map(async |session| {
            loop {
                let Some(scenario) = queue.borrow_mut().pop_front() else { break };
                let outcome = undisturbed(session, &scenario.example, Route::Proxy(Vec::new())).await;
                let outcome = outcome.with_context(|| format!("scenario {}", scenario.name))?;
                references.borrow_mut().insert(scenario.name, (scenario, outcome));
            }
            anyhow::Ok(())
        });
        try_join_all(planes).await?;
        Ok(Self { sessions, references: references.into_inner(), commit, logs })
    }

    /// What is wrong in the runs without a fault themselves: then no case tells anything.
    pub fn unsound(&self) -> Vec<(String, Violation)> {
        let judged = self.references.values().flat_map(|(scenario, outcome)| {
            let found = judge(outcome, outcome, &setting(&scenario.example, None));
            found.into_iter().map(|violation| (scenario.name.to_owned(), violation))
        });
        judged.collect()
    }

    /// Plays all of them; each control plane takes the next when it is free. `tell` hears of each as it ends, and says
    /// whether to go on.
    pub async fn play(&self, specs: Vec<Spec>, mut tell: impl FnMut(Verdict) -> Result<bool>) -> Result<()> {
        let queue = RefCell::new(VecDeque::from(specs));
        let tell = RefCell::new(&mut tell);
        let planes = self.sessions.iter().map(async |session| {
            loop {
                let Some(spec) = queue.borrow_mut().pop_front() else { break };
                let verdict = self.one(session, &spec).await?;
                let goes_on = tell.borrow_mut()(verdict)?;
                if !goes_on {
                    queue.borrow_mut().clear();
                }
            }
            anyhow::Ok(())
        });
        try_join_all(planes).await.map(drop)
    }

    async fn one(&self, session: &Session<'_>, spec: &Spec) -> Result<Verdict> {
        let began = Instant::now();
        let (scenario, reference) = self
            .references
            .get(spec.scenario.as_str())
            .with_context(|| format!("{spec}: no such scenario"))?;
        let mut verdict = Verdict {
            commit: self.commit.clone(),
            case: spec.to_string(),
            struck: false,
            victim: None,
            seconds: 0.0,
            violations: Vec::new(),
            broken: None,
            log: None,
        };
        if let Deed::As(way) = &spec.deed {
            let example = all_scenarios()?.into_iter().find(|it| it.name == way);
            let example = example.with_context(|| format!("{spec}: no such scenario"))?.example;
            match undisturbed(session, &example, Route::Proxy(Vec::new())).await {
                Ok(other) => {
                    let (one, other) = (reference.dump.without_history(), other.dump.without_history());
                    verdict.struck = true;
                    verdict.violations = path_independent(&one, &other);
                }
                Err(error) => verdict.broken = Some(format!("{error:#}")),
            }
            verdict.seconds = began.elapsed().as_secs_f64();
            return Ok(verdict);
        }
        match start(session, &scenario.example, &spec.deed).await {
            Ok(mut case) => {
                let played = play(&mut case, spec, &scenario.example, reference, &mut verdict).await;
                verdict.broken = played.err().map(|error| format!("{error:#}"));
                if !verdict.is_good() {
                    verdict.log = keep(case.log(), &self.logs, spec);
                }
                if let Err(error) = case.discard().await {
                    verdict.broken.get_or_insert(format!("discarding: {error:#}"));
                }
            }
            Err(error) => verdict.broken = Some(format!("{error:#}")),
        }
        verdict.seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        Ok(verdict)
    }
}

async fn start<'a>(session: &'a Session<'a>, example: &Example, deed: &Deed) -> Result<Case<'a>> {
    match deed {
        Deed::Faults(faults) => Case::start(session, example, Route::Proxy(faults.clone())).await,
        Deed::Harm(harm) => Case::harmed(session, example, harm.clone()).await,
        Deed::Drift(..) | Deed::Wrong(_) | Deed::As(_) => {
            Case::start(session, example, Route::Proxy(Vec::new())).await
        }
    }
}

fn setting(example: &Example, spec: Option<&Spec>) -> Setting {
    let end = example.end();
    Setting {
        end,
        gives_up_data: end == End::Gone && example.gives_up_data(),
        seconds: spec.map(Spec::seconds).unwrap_or_default(),
        gaps: spec.is_some_and(|spec| spec.class == Class::ControlPlane),
        everywhere: spec.is_some_and(Spec::is_everywhere),
    }
}

/// Errors are the harness's own; what the operator does wrong is a violation.
async fn play(
    case: &mut Case<'_>,
    spec: &Spec,
    example: &Example,
    reference: &Outcome,
    verdict: &mut Verdict,
) -> Result<()> {
    let setting = setting(example, Some(spec));
    if let Err(error) = case.settle().await {
        verdict.violations.push(Violation::new(Oracle::O1, "Stack", format!("{error:#}")));
    }
    if let Deed::Drift(drift, object) = &spec.deed {
        return drifted(case, *drift, object, reference, &setting, verdict).await;
    }
    if let Deed::Wrong(name) = &spec.deed {
        return wrong(case, name, verdict).await;
    }
    let patience = if verdict.violations.is_empty() { PATIENCE } else { Duration::ZERO };
    let (outcome, found) = judged(case, reference, &setting, patience).await?;
    verdict.violations.extend(found);
    let victim = outcome.victim();
    (verdict.struck, verdict.victim) = (victim.is_some(), victim.map(|victim| victim.key.to_string()));
    let asked = spec.hash().is_multiple_of(STABLE_EACH) && example.end() != End::Gone && case.leads_alone();
    if verdict.violations.is_empty() && asked {
        verdict.violations.extend(is_stable(case).await?);
    }
    Ok(())
}

/// What was left, and what is wrong with it once Kubernetes had time to come to rest.
async fn judged(
    case: &mut Case<'_>,
    reference: &Outcome,
    setting: &Setting,
    patience: Duration,
) -> Result<(Outcome, Vec<Violation>)> {
    let end = Instant::now() + patience;
    loop {
        let outcome = case.outcome().await?;
        let found = judge(&outcome, reference, setting);
        if found.is_empty() || Instant::now() >= end {
            return Ok((outcome, found));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// O4: a restart, and a touch of the Stack.
async fn is_stable(case: &mut Case<'_>) -> Result<Vec<Violation>> {
    let audit = case.audit_from_now().await?;
    if let Err(error) = case.restart().await {
        return Ok(vec![Violation::new(Oracle::O4, "the operator", format!("{error:#}"))]);
    }
    case.touch().await?;
    case.settle().await?;
    tokio::time::sleep(STILL).await;
    Ok(stable(&audit.writes().await?))
}

/// What somebody does to an object of ours is undone where it is ours to undo, and left alone where it is not.
async fn drifted(
    case: &mut Case<'_>,
    drift: Drift,
    object: &str,
    reference: &Outcome,
    setting: &Setting,
    verdict: &mut Verdict,
) -> Result<()> {
    let before = case.outcome().await?;
    let audit = case.audit_from_now().await?;
    verdict.struck = case.drift(drift, object).await?;
    verdict.victim = Some(object.to_owned());
    let data = data_of([&before.objects]).contains(object);
    // Somebody's change and its correction are two generations, and mean nothing.
    let before = before.dump.without_history();
    let mut counts: Counts = reference.counts.clone();
    if drift == Drift::Delete && verdict.struck {
        counts.entry(object.to_owned()).or_default().0 += 1;
    }
    let dump = reference.dump.without_history();
    let reference = Outcome { counts, dump, ..reference.clone() };
    tokio::time::sleep(STILL).await;
    let end = Instant::now() + MENDED;
    loop {
        let mut outcome = case.outcome().await?;
        outcome.dump = outcome.dump.without_history();
        without_mark(&mut outcome.dump);
        let mut found = judge(&outcome, &reference, setting);
        if data && drift == Drift::Delete {
            // Data that somebody has taken is not made anew: that is a person's to decide. What must not happen is that
            // its secrets change, or that more goes.
            found.retain(|it| !matches!(it.oracle, Oracle::O1 | Oracle::O2 | Oracle::O3));
        } else {
            found.extend(rolled_back(&outcome.dump, &before));
        }
        if found.is_empty() || Instant::now() >= end {
            verdict.violations.extend(found);
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if drift == Drift::Foreign {
        verdict.violations.extend(stable(&audit.writes().await?));
    }
    Ok(())
}

/// A wrong declaration is refused, or what ran goes on running; taken back, it leaves no trace.
async fn wrong(case: &mut Case<'_>, name: &str, verdict: &mut Verdict) -> Result<()> {
    let (_, change) =
        wrongs().into_iter().find(|(it, _)| *it == name).with_context(|| format!("{name} is no mistake"))?;
    let before = case.dump().await?;
    let data = data_of([&case.outcome().await?.objects]);
    let spec = case.spec().await?;
    verdict.struck = case.declares(&change).await?;
    verdict.victim = Some(if verdict.struck { "accepted" } else { "refused" }.to_owned());
    if verdict.struck {
        case.ends(End::Observed);
        case.settle().await?;
        let standing = case.standing().await?;
        if !standing.ready {
            let runs = case.dump().await?.of_others();
            verdict.violations.extend(rolled_back(&runs, &before.of_others()));
        }
        case.replace_spec(spec).await?;
        case.ends(End::Ready);
        if let Err(error) = case.settle().await {
            verdict.violations.push(Violation::new(Oracle::O1, "Stack", format!("{error:#}")));
        }
    }
    let end = Instant::now() + PATIENCE;
    loop {
        let outcome = case.outcome().await?;
        let mut found = rolled_back(&outcome.dump.without_history(), &before.without_history());
        found.extend(data_safe(&outcome.requests, &data, false));
        found.extend(unchanged(&outcome.changed_values));
        found.extend(no_leaks(&outcome.objects, &outcome.texts));
        found.extend(no_orphans(&outcome.objects));
        found.extend(isolated(&outcome.beside, false));
        if found.is_empty() || Instant::now() >= end {
            verdict.violations.extend(found);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Keeps the log and the history of a case: the control plane's folder goes with it.
fn keep(log: &Path, logs: &Path, spec: &Spec) -> Option<PathBuf> {
    let kept = logs.join(format!("{:016x}.log", spec.hash()));
    std::fs::create_dir_all(logs).ok()?;
    std::fs::copy(log, &kept).ok()?;
    let _ = std::fs::copy(log.with_extension("jsonl"), kept.with_extension("jsonl"));
    Some(kept)
}
