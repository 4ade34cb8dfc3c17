//! The judgement on one object, before any ordering: its state, and the write that would put it right. Pure.

use plinth_api::condition::{Reason, State};
use plinth_api::mutant::Mutant;
use plinth_api::names;
use plinth_api::v1alpha1::stack::DriftPolicy;
use serde_json::Value;

use super::secrets;
use crate::diff;
use crate::model::{Desired, Failure, Live, Observed, PodBrief, StackId, Unit};
use crate::ready;

/// What is known about an object when nothing but itself is looked at.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub state: State,
    pub reason: Reason,
    pub message: String,
    /// What would put it right.
    pub write: Option<Write>,
    /// Nothing is left to write and no write failed.
    pub clean: bool,
    /// It runs as planned: what waits for it may start. Drift that is only reported does not hold others back.
    pub settled: bool,
    /// When time alone may change the judgement.
    pub recheck: Option<i64>,
}

/// A write that an object needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub exists: bool,
    pub force: bool,
    /// Puts back what was applied before: no order to keep, no new version to introduce.
    pub correction: bool,
}

const CREATE: Write = Write { exists: false, force: false, correction: false };
/// Somebody else made it: a conflict must surface, not be overrun.
const ADOPT: Write = Write { exists: true, force: false, correction: false };
const UPDATE: Write = Write { exists: true, force: true, correction: false };
const CORRECT: Write = Write { exists: true, force: true, correction: true };

impl Judged {
    fn held(state: State, reason: Reason, message: String) -> Self {
        Judged { state, reason, message, write: None, clean: false, settled: false, recheck: None }
    }

    fn needs(write: Write, state: State, message: String) -> Self {
        let reason = if write.correction { Reason::Drifted } else { Reason::Progressing };
        Judged { state, reason, message, write: Some(write), clean: false, settled: false, recheck: None }
    }
}

/// The judgement on `desired`, an object of `unit`.
pub(super) fn judge(
    unit: &Unit,
    block_units: &[Unit],
    desired: &Desired,
    drift: DriftPolicy,
    observed: &Observed,
) -> Judged {
    let key = &desired.key;
    if observed.missing_kinds.contains(&(key.api_version.clone(), key.kind.clone())) {
        let message = format!(
            "{key}: the cluster does not serve {} of {}: install its CustomResourceDefinition",
            key.kind, key.api_version
        );
        return Judged::held(State::Blocked, Reason::KindMissing, message);
    }
    let judged = match observed.live.get(key) {
        None => absent(unit, block_units, desired, observed),
        Some(live) => present(unit, block_units, desired, live, drift, observed),
    };
    match observed.failures.get(key) {
        // A failure tells only about a write that is still due; a lost response may hide a success.
        Some(failure) if judged.write.is_some() && failure.hash == desired.hash => {
            after_failure(desired, judged, failure, observed.now)
        }
        _ => judged,
    }
}

fn absent(unit: &Unit, block_units: &[Unit], desired: &Desired, observed: &Observed) -> Judged {
    let alarm = secrets::vanished(unit, block_units, desired, observed);
    if let Some(alarm) = alarm.filter(|_| !Mutant::VanishedSecretMadeAnew.lives()) {
        return Judged::held(State::Blocked, Reason::SecretMissing, alarm);
    }
    Judged::needs(CREATE, State::Absent, format!("{}: is not on the cluster yet", desired.key))
}

fn present(
    unit: &Unit,
    block_units: &[Unit],
    desired: &Desired,
    live: &Live,
    drift: DriftPolicy,
    observed: &Observed,
) -> Judged {
    let key = &desired.key;
    if live.deleting {
        return Judged::held(State::Progressing, Reason::Deleting, format!("{key}: {}", deletion(live)));
    }
    if let Some(message) = taken(desired, live).filter(|_| !Mutant::ForeignNamespaceTaken.lives()) {
        return Judged::held(State::Blocked, Reason::NamespaceTaken, message);
    }
    if !was_applied_by_us(desired, live) {
        let message = format!("{key}: exists already and is being adopted without taking fields from anyone");
        let adopt = Write { force: Mutant::ForceOnFirstContact.lives(), ..ADOPT };
        return Judged::needs(adopt, State::OutOfDate, message);
    }
    let same_hash = live.applied_hash() == Some(desired.hash.as_str());
    if let Some(alarm) = secrets::lost_key(unit, block_units, desired, live, same_hash, observed) {
        return Judged::held(State::Blocked, Reason::SecretMissing, alarm);
    }
    if !same_hash || Mutant::WritesAgain.lives() {
        let message = format!("{key}: an older version of it is on the cluster");
        return Judged::needs(UPDATE, State::OutOfDate, message);
    }
    let due = secrets::renewal(desired, live);
    if due.is_some_and(|at| at <= observed.now) {
        let message = format!("{key}: a certificate in it is near its end and is made anew");
        return Judged::needs(UPDATE, State::OutOfDate, message);
    }
    let mut ready = readiness(unit, desired, live, observed);
    ready.recheck = ready.recheck.into_iter().chain(due).min();
    match first_drift(desired, live) {
        None => ready,
        Some(what) => match drift {
            DriftPolicy::Correct => {
                Judged::needs(CORRECT, State::Drifted, format!("{key}: {what}; it is being put back"))
            }
            DriftPolicy::Report => {
                let advice = "; drift is only reported here: set it back, or change the Stack";
                Judged {
                    state: State::Drifted,
                    reason: Reason::Drifted,
                    message: format!("{key}: {what}{advice}"),
                    ..ready
                }
            }
        },
    }
}

fn first_drift(desired: &Desired, live: &Live) -> Option<String> {
    if Mutant::DriftIgnored.lives() {
        return None;
    }
    let missing = desired.secret.keys().find(|k| !secrets::has_key(live, k));
    if let Some(missing) = missing {
        return Some(format!("data[{missing}]: is missing"));
    }
    let differences = diff::covers(&desired.body, &live.body);
    let first = differences.first()?;
    Some(match differences.len() {
        1 => first.to_string(),
        n => format!("{first} (and {} more)", n - 1),
    })
}

fn readiness(unit: &Unit, desired: &Desired, live: &Live, observed: &Observed) -> Judged {
    let since = live.applied.unwrap_or(live.created).max(live.created);
    let pods = pods_of(unit, desired, observed);
    let age = observed.now - since;
    let found = ready::readiness(live, desired.ready_when.as_deref(), &pods, age, desired.startup_budget);
    Judged {
        settled: found.state == State::Ready,
        state: found.state,
        reason: found.reason,
        message: found.message,
        write: None,
        clean: true,
        recheck: found.patience.map(|patience| since + patience),
    }
}

/// Why a component has no pods.
#[derive(Clone, Copy)]
pub(super) struct Stop {
    /// In a word.
    pub reason: Reason,
    /// After the name of what is stopped.
    pub words: &'static str,
}

impl Stop {
    /// Its data is brought elsewhere, or back.
    pub const MOVING: Self = Self { reason: Reason::Moving, words: "is stopped while its data is brought" };
    /// Its side does not serve, or not yet.
    pub const FENCED: Self = Self { reason: Reason::Fenced, words: "is stopped: this side does not serve" };
    /// The mode of the Stack does without it.
    pub const SHED: Self = Self { reason: Reason::Shed, words: "is stopped by the Stack's mode" };
    /// The Stack sleeps.
    pub const ASLEEP: Self = Self { reason: Reason::Asleep, words: "is asleep" };
}

/// The judgement on an object of a component that must have no pods: it is settled when the last one is gone, not when the
/// controllers have promised so.
pub(super) fn stopped(
    stop: Stop,
    judged: Judged,
    unit: &Unit,
    desired: &Desired,
    observed: &Observed,
) -> Judged {
    let Some(live) =
        observed.live.get(&desired.key).filter(|_| judged.clean && ready::runs_pods(&desired.key.kind))
    else {
        return judged;
    };
    let number = |path: &str| live.body.pointer(path).and_then(Value::as_i64).unwrap_or_default();
    let is_true = |kind: &str| {
        let conditions = live.body.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
    };
    let heard = match desired.key.kind.as_str() {
        "Job" => ["Suspended", "Complete", "Failed"].into_iter().any(is_true),
        // Its controller starts no more Jobs from the moment on that it is suspended, and says nothing of it.
        "CronJob" => true,
        _ => number("/status/observedGeneration") >= number("/metadata/generation"),
    };
    let pods = observed.pods.get(&unit.id).map_or(0, |pods| pods.iter().filter(|pod| !pod.finished).count());
    let counted = number("/status/replicas").max(number("/status/active"));
    let left = i64::try_from(pods).unwrap_or(i64::MAX).max(counted);
    let settled = heard && left == 0;
    let (state, message) = match (settled, left) {
        (true, _) => (State::Suspended, stop.words.to_owned()),
        (false, 0) => (State::Progressing, "is being stopped".to_owned()),
        (false, 1) => (State::Progressing, "is being stopped: 1 pod is not gone yet".to_owned()),
        (false, n) => (State::Progressing, format!("is being stopped: {n} pods are not gone yet")),
    };
    Judged {
        state,
        reason: stop.reason,
        message: format!("{}: {message}", desired.key),
        settled,
        recheck: None,
        ..judged
    }
}

/// The pods of one workload. Pods are known by component; where a component has several workloads, the longest name
/// that a pod's name begins with is its owner.
fn pods_of(unit: &Unit, desired: &Desired, observed: &Observed) -> Vec<PodBrief> {
    let Some(pods) = observed.pods.get(&unit.id).filter(|_| ready::runs_pods(&desired.key.kind)) else {
        return Vec::new();
    };
    let names: Vec<&str> = unit
        .objects
        .iter()
        .filter(|o| ready::runs_pods(&o.key.kind) && o.key.namespace == desired.key.namespace)
        .map(|o| o.key.name.as_str())
        .collect();
    let owner = |pod: &PodBrief| {
        let begins = |name: &&&str| pod.name.strip_prefix(**name).is_some_and(|rest| rest.starts_with('-'));
        names.iter().filter(begins).max_by_key(|name| name.len()).copied()
    };
    pods.iter().filter(|p| owner(p).is_none_or(|name| name == desired.key.name)).cloned().collect()
}

fn after_failure(desired: &Desired, judged: Judged, failure: &Failure, now: i64) -> Judged {
    let state = match failure.reason {
        Reason::Conflict => State::Conflicted,
        Reason::Waiting => State::Waiting,
        Reason::NamespaceTaken
        | Reason::KindMissing
        | Reason::Denied
        | Reason::Invalid
        | Reason::SecretMissing => State::Blocked,
        _ => State::Unhealthy,
    };
    let due = failure.retry_at <= now;
    Judged {
        state,
        reason: failure.reason,
        message: format!("{}: {}", desired.key, failure.message),
        // While a retry is under way the state stays as it was: it changes with the outcome, not with the attempt.
        write: judged.write.filter(|_| due),
        clean: false,
        settled: false,
        recheck: (!due).then_some(failure.retry_at),
    }
}

/// A cluster-scoped object that carries somebody else's claim, or none.
fn taken(desired: &Desired, live: &Live) -> Option<String> {
    let key = &desired.key;
    if key.namespace.is_some() {
        return None;
    }
    let wanted = owner(&desired.body)?;
    let advice = format!(
        "choose another prefix, or hand it over with the annotation {}={wanted}",
        names::ANNOTATION_OWNER
    );
    match owner(&live.body) {
        Some(found) if found == wanted => None,
        Some(found) => Some(format!("{key}: belongs to {found}; {advice}")),
        None => Some(format!("{key}: exists and was not made by Plinth; {advice}")),
    }
}

fn was_applied_by_us(desired: &Desired, live: &Live) -> bool {
    let same = |label: &&str| super::label(&desired.body, label) == super::label(&live.body, label);
    live.applied_hash().is_some()
        && [names::LABEL_MANAGED_BY, names::LABEL_STACK_NAMESPACE, names::LABEL_STACK].iter().all(same)
}

/// Whether a live object may be deleted in the name of `stack`: it carries the Stack's labels, or at least Plinth's
/// digest, and nobody else's claim. What was listed before its first apply and never became ours stays.
pub(super) fn is_ours(live: &Live, stack: &StackId) -> bool {
    if let Some(owner) = owner(&live.body) {
        // …/<namespace>/<stack>/<block>
        let mut parts = owner.rsplit('/').skip(1);
        return parts.next() == Some(stack.name.as_str()) && parts.next() == Some(stack.namespace.as_str());
    }
    match (
        super::label(&live.body, names::LABEL_STACK_NAMESPACE),
        super::label(&live.body, names::LABEL_STACK),
    ) {
        (Some(namespace), Some(name)) => namespace == stack.namespace && name == stack.name,
        _ => live.applied_hash().is_some(),
    }
}

/// The claim on an object.
fn owner(body: &Value) -> Option<&str> {
    body.pointer("/metadata/annotations")?.get(names::ANNOTATION_OWNER)?.as_str()
}

/// What a deletion under way waits for.
pub(super) fn deletion(live: &Live) -> String {
    let finalizers = live.body.pointer("/metadata/finalizers").and_then(Value::as_array);
    let finalizers: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
    match finalizers.is_empty() {
        true => "is being deleted".to_owned(),
        false => format!("is being deleted and waits for {}", finalizers.join(", ")),
    }
}
