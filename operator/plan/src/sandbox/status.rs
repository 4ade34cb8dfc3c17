//! What is said of a Sandbox: the only author of its status. The same outcome over the same previous status gives the same status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use plinth_api::condition::{self, Reason, Verdict};
use plinth_api::v1alpha1::people::PeopleStatus;
use plinth_api::v1alpha1::sandbox::{SandboxCost, SandboxPhase, SandboxReport};
use plinth_api::{Sandbox, SandboxStatus, Stack, names};

use super::life::{Life, Why};
use super::place;
use crate::model::Finding;
use crate::status::{NOBODY_NEEDED, listed, merged, verdict};

/// How a look at a Sandbox ended.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// It is not allowed, or not possible. What is there already stays.
    Refused(&'a [Finding]),
    /// It ended before anything was known, for a reason that may pass.
    Failed {
        /// Why.
        reason: Reason,
        /// One line: what happened.
        message: String,
    },
    /// It lives.
    Living {
        /// Where it is in its life.
        life: &'a Life,
        /// Its Stack as it was seen last.
        stack: Option<&'a Stack>,
        /// What it costs, as far as that is to be said now.
        cost: Option<SandboxCost>,
        /// The Secret that people sign in with is there.
        credentials: bool,
        /// Why it is there although its time is over.
        doubt: Option<String>,
    },
    /// Its time is over beyond doubt.
    Ending {
        /// What it was.
        report: SandboxReport,
        /// What is left of it; nothing once all is gone.
        left: Option<String>,
    },
    /// It was deleted by somebody.
    Deleting {
        /// What is left of it.
        left: String,
    },
}

/// The status of a Sandbox. What persons asked for (`extensions`, `asked`) is theirs and is passed on as it is.
pub fn status(sandbox: &Sandbox, outcome: Outcome<'_>, now: Timestamp) -> SandboxStatus {
    let before = sandbox.status.clone().unwrap_or_default();
    let generation = sandbox.metadata.generation.unwrap_or_default();
    let at = Time(now);
    let mut status = SandboxStatus { observed_generation: Some(generation), ..before.clone() };
    let verdicts = match outcome {
        Outcome::Refused(findings) => {
            if before.stack.is_none() {
                status.phase = SandboxPhase::Refused;
            }
            refused(findings)
        }
        Outcome::Failed { reason, message } => {
            status.observed_generation = before.observed_generation;
            trio((Some(false), reason, message), Some(true), None)
        }
        Outcome::Living { life, stack, cost, credentials, doubt } => {
            status.stack = Some(place(sandbox));
            status.expires_at = Some(Time(life.expires));
            status.warned_at = life.warned.then(|| before.warned_at.clone().unwrap_or_else(|| at.clone()));
            status.url = stack.and_then(url).or(status.url);
            status.credentials_secret = credentials.then(|| names::SANDBOX_CREDENTIALS.to_owned());
            status.cost = cost.or(status.cost);
            status.people = people(sandbox, stack, before.people);
            status.phase = phase(life, stack);
            let mut verdicts = living(status.phase, life, stack);
            verdicts.push(expiring(life, doubt));
            verdicts
        }
        Outcome::Ending { report, left } => {
            status.phase = if left.is_some() { SandboxPhase::Expiring } else { SandboxPhase::Expired };
            status.report = Some(report);
            if left.is_none() {
                (status.stack, status.url, status.credentials_secret) = (None, None, None);
            }
            ended(left)
        }
        Outcome::Deleting { left } => {
            status.phase = SandboxPhase::Deleting;
            trio((Some(false), Reason::Deleting, left), Some(true), None)
        }
    };
    let kept = before.conditions.iter().filter(|old| verdicts.iter().all(|new| new.kind != old.type_));
    let kept: Vec<Condition> = kept.cloned().collect();
    status.conditions = merged(verdicts, &before.conditions, generation, &at);
    status.conditions.extend(kept);
    status
}

/// How many of the people that it asks for are loaded, as its Stack says of them: nobody, where that is about other people still.
fn people(sandbox: &Sandbox, stack: Option<&Stack>, before: Option<PeopleStatus>) -> Option<PeopleStatus> {
    let asked = sandbox.spec.people.as_ref()?;
    let is_observed = |stack: &Stack| {
        let observed = stack.status.as_ref().and_then(|status| status.observed_generation);
        observed == stack.metadata.generation
    };
    let known = match stack {
        Some(stack) if stack.spec.people.as_ref() != Some(asked) => None,
        Some(stack) if is_observed(stack) => stack.status.as_ref().and_then(|status| status.people.clone()),
        _ => before,
    };
    let nobody = PeopleStatus { amount: asked.amount, ..PeopleStatus::default() };
    Some(known.filter(|known| known.amount == asked.amount).unwrap_or(nobody))
}

/// Where people reach a Stack: the first public address in the order of its blocks, else the first at all.
fn url(stack: &Stack) -> Option<String> {
    let blocks = stack.status.iter().flat_map(|status| &status.blocks);
    let all: Vec<&String> = blocks.flat_map(|block| &block.endpoints).collect();
    let public = all.iter().find(|endpoint| endpoint.starts_with("https://"));
    public.or(all.first()).map(|endpoint| (*endpoint).clone())
}

fn phase(life: &Life, stack: Option<&Stack>) -> SandboxPhase {
    let ready = stack.and_then(readiness);
    match (life.asleep, ready) {
        (false, Some(("True", _, _))) => SandboxPhase::Awake,
        (false, _) => SandboxPhase::Starting,
        (true, Some((_, reason, _))) if reason == Reason::Asleep.as_str() => SandboxPhase::Asleep,
        (true, _) => SandboxPhase::FallingAsleep,
    }
}

/// What a Stack says of itself, if it is about its newest spec.
fn readiness(stack: &Stack) -> Option<(&str, &str, &str)> {
    let status = stack.status.as_ref()?;
    let is_new = status.observed_generation == stack.metadata.generation;
    let ready = status.conditions.iter().find(|c| c.type_ == condition::READY).filter(|_| is_new)?;
    Some((&ready.status, &ready.reason, &ready.message))
}

/// Ready, Reconciling, Stalled.
fn trio(
    (ready, reason, message): (Option<bool>, Reason, String),
    reconciling: Option<bool>,
    stalled: Option<String>,
) -> Vec<Verdict> {
    let works = if reconciling == Some(true) { Reason::Progressing } else { Reason::InSync };
    let moves =
        if reconciling == Some(true) { message.clone() } else { "nothing is being changed".to_owned() };
    let stuck = match stalled {
        Some(why) => verdict(condition::STALLED, Some(true), reason, why),
        None => verdict(condition::STALLED, Some(false), Reason::InSync, NOBODY_NEEDED),
    };
    vec![
        verdict(condition::READY, ready, reason, message),
        verdict(condition::RECONCILING, reconciling, works, moves),
        stuck,
    ]
}

fn refused(findings: &[Finding]) -> Vec<Verdict> {
    let message = listed(findings);
    let stuck = "what it asks for has to be corrected; see Ready".to_owned();
    trio((Some(false), Reason::Invalid, message), Some(false), Some(stuck))
}

fn living(phase: SandboxPhase, life: &Life, stack: Option<&Stack>) -> Vec<Verdict> {
    let place = stack.map(|stack| format!("{}/{}", stack.namespace().unwrap_or_default(), stack.name_any()));
    let said = stack.and_then(readiness);
    let stuck = stack.and_then(|stack| {
        let conditions = &stack.status.as_ref()?.conditions;
        let stalled = conditions.iter().find(|c| c.type_ == condition::STALLED && c.status == "True")?;
        Some(format!("Stack {}: {}", place.as_deref().unwrap_or_default(), stalled.message))
    });
    let waits = match (&place, said) {
        (None, _) => "its Stack is being made".to_owned(),
        (Some(place), None) => format!("Stack {place} has not been looked at yet"),
        (Some(place), Some((_, _, message))) => format!("Stack {place}: {message}"),
    };
    match phase {
        SandboxPhase::Awake => {
            trio((Some(true), Reason::AllReady, "it is awake".to_owned()), Some(false), None)
        }
        SandboxPhase::Asleep => {
            let (reason, why) = match life.why {
                Why::Budget => (
                    Reason::BudgetSpent,
                    "asleep until the month is over: its budget is spent. Its data is kept; a larger budget wakes it",
                ),
                Why::Asked => (Reason::Asleep, "asleep, because somebody asked; its data is kept"),
                Why::Schedule => (Reason::Asleep, "asleep, by its schedule; its data is kept"),
            };
            trio((Some(false), reason, why.to_owned()), Some(false), None)
        }
        _ => trio((Some(false), Reason::Progressing, waits), Some(stuck.is_none()), stuck),
    }
}

fn expiring(life: &Life, doubt: Option<String>) -> Verdict {
    let until = life.expires;
    match (doubt, life.warned) {
        (Some(doubt), _) => verdict(condition::EXPIRING, Some(true), Reason::Expired, doubt),
        (None, true) => {
            let message = format!(
                "its time is over on {until}: everything in it is deleted then. `plinth sandbox extend` asks for more, \
                 `plinth sandbox export` takes the Stack home"
            );
            verdict(condition::EXPIRING, Some(true), Reason::ExpiresSoon, message)
        }
        (None, false) => {
            verdict(condition::EXPIRING, Some(false), Reason::Scheduled, format!("it is there until {until}"))
        }
    }
}

fn ended(left: Option<String>) -> Vec<Verdict> {
    let (moves, message) = match left {
        Some(left) => (true, format!("its time is over; {left}")),
        None => {
            (false, "its time is over and nothing of it is left; status.report says what it was".to_owned())
        }
    };
    let mut verdicts = trio((Some(false), Reason::Expired, message.clone()), Some(moves), None);
    verdicts.push(verdict(condition::EXPIRING, Some(true), Reason::Expired, message));
    verdicts
}
