//! From an outcome to status: the only author of what people read. Deterministic to the byte: the same outcome over the
//! same previous status gives the same status. Pure; `now` is handed in and used for transitions alone.

mod block;
mod cluster;
mod standby;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use plinth_api::condition::{self, Reason, State, Verdict};
use plinth_api::mutant::Mutant;
use plinth_api::v1alpha1::block::BuildingBlockStatus;
use plinth_api::v1alpha1::continuity::Mode;
use plinth_api::v1alpha1::stack::{BlockSummary, Stack, StackStatus};

use self::block::Assessment;
pub use self::cluster::{ClusterSeen, Looked, workload_cluster};
use self::standby::{standbys, standing_by};
use crate::backup;
use crate::certificates;
use crate::decide::Teardown;
use crate::exchange::Subject;
use crate::exchange::federation::Trust;
use crate::exchange::{applied, federation};
use crate::model::{Decisions, Finding, Observed, Plan, SecretSource};
use crate::people;
use crate::surge::Rush;

/// Findings and objects written out; the rest is counted.
pub const MAX_LISTED: usize = 20;

/// Status of a Stack and of each of its blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The Stack's.
    pub stack: StackStatus,
    /// The BuildingBlocks', by block name.
    pub blocks: BTreeMap<String, BuildingBlockStatus>,
}

/// How a part of the plan in an agency's namespace is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantState {
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// One line naming the object at fault; empty when Ready.
    pub message: String,
}

/// Where approval of the plan stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// The change policy asks for none.
    NotRequired,
    /// Nobody has approved the plan of the newest spec.
    Awaiting {
        /// Its hash. Where another plan is shown, that one was approved before and goes on.
        hash: String,
    },
    /// An Operation names its hash.
    Approved {
        /// Who approved, as admission stamped it.
        by: Option<String>,
    },
}

impl ApprovalState {
    /// The plan of the newest spec may run.
    pub fn is_open(&self) -> bool {
        !matches!(self, ApprovalState::Awaiting { .. })
    }

    /// Hash of the plan that waits although `running` was approved before.
    fn held_beside<'a>(&'a self, running: &Plan) -> Option<&'a str> {
        match self {
            Self::Awaiting { hash } if *hash != running.hash => Some(hash),
            _ => None,
        }
    }
}

/// How a reconcile ended.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// The spec was refused. What runs is left alone.
    Invalid {
        /// Everything that is wrong with it.
        findings: &'a [Finding],
    },
    /// It ended before there was a plan, for a reason that may pass.
    Failed {
        /// Why.
        reason: Reason,
        /// One line: what happened and what to do.
        message: String,
    },
    /// There is a plan, and decisions about it.
    Planned {
        /// What should be.
        plan: &'a Plan,
        /// What is done about it.
        decisions: &'a Decisions,
        /// What is.
        observed: &'a Observed,
        /// Where approval stands.
        approved: ApprovalState,
    },
    /// The Stack is being deleted.
    Deleting {
        /// What is still to be done.
        teardown: &'a Teardown,
    },
}

/// Status of `stack` and its blocks. `previous_blocks` holds the last status of each BuildingBlock, with
/// `observed_generation` set to the generation of the live object (a new one has 1).
pub fn report(
    stack: &Stack,
    outcome: Outcome<'_>,
    previous_blocks: &BTreeMap<String, BuildingBlockStatus>,
    now: Time,
) -> Report {
    let previous = stack.status.clone().unwrap_or_default();
    let generation = stack.metadata.generation.unwrap_or_default();
    // Without a plan the last good picture stays: what runs is still running.
    let kept = Report { stack: previous.clone(), blocks: previous_blocks.clone() };
    let mut report = match outcome {
        Outcome::Invalid { findings } => amended(kept, invalid(findings), generation, &now, true),
        Outcome::Failed { reason, message } => {
            let mut report = amended(kept, failed(reason, &message), generation, &now, true);
            // The generation was not looked at, so it was not observed.
            report.stack.observed_generation = previous.observed_generation;
            report
        }
        Outcome::Deleting { teardown } => amended(kept, deleting(teardown), generation, &now, false),
        Outcome::Planned { plan, decisions, observed, approved } => {
            let mut assessments = block::assess(plan, decisions, observed);
            assessments.retain(|assessment| !assessment.is_tenant());
            let mut report =
                planned(plan, &assessments, observed, &approved, &previous, previous_blocks, &now);
            for block in &mut report.stack.blocks {
                block.standby = standbys(plan, decisions, &block.name);
            }
            let mut verdicts = stack_verdicts(plan, &assessments, observed, &approved);
            verdicts.extend(backup::verdict(stack.spec.backup.as_ref(), plan, observed));
            verdicts.extend(standing_by(plan, decisions));
            verdicts.extend(surging(stack, plan));
            report.stack.conditions = merged(verdicts, &previous.conditions, generation, &now);
            let first = previous.observed_generation.filter(|_| Mutant::StaleGeneration.lives());
            report.stack.observed_generation = Some(first.unwrap_or(generation));
            report.stack.people = people::progress(stack, plan, observed);
            let certificates = certificates::known(stack, plan, observed, &previous.certificates);
            report.stack.more_certificates =
                certificates.len().checked_sub(MAX_LISTED).filter(|more| *more > 0);
            report.stack.certificates = certificates.into_iter().take(MAX_LISTED).collect();
            report
        }
    };
    report.stack.conditions.sort_by_key(|c| rank(&c.type_));
    report
}

/// How what is rendered into agencies' namespaces is, by the object that it is for.
pub fn tenants(plan: &Plan, decisions: &Decisions, observed: &Observed) -> BTreeMap<Subject, TenantState> {
    block::assess(plan, decisions, observed).iter().filter_map(Assessment::tenant).collect()
}

/// Conditions stand in the order in which a person asks.
fn rank(kind: &str) -> usize {
    const ORDER: &[&str] = &[
        condition::READY,
        condition::RECONCILING,
        condition::STALLED,
        condition::PLANNED,
        condition::APPROVED,
        condition::CONFLICT,
        condition::DRIFTED,
        condition::SECRETS_INTACT,
        condition::ONBOARDED,
        condition::FEDERATED,
        condition::BACKED_UP,
        condition::UPGRADING,
        condition::STANDING_BY,
        condition::DEGRADED,
        condition::SURGING,
        condition::SIMULATED,
    ];
    ORDER.iter().position(|k| *k == kind).unwrap_or(ORDER.len())
}

pub(crate) fn merged(
    verdicts: Vec<Verdict>,
    previous: &[Condition],
    generation: i64,
    now: &Time,
) -> Vec<Condition> {
    verdicts.into_iter().map(|v| v.merge(previous, generation, now.clone())).collect()
}

/// The previous status with some conditions renewed; with `keep` the others stay as the last good plan left them.
fn amended(mut report: Report, verdicts: Vec<Verdict>, generation: i64, now: &Time, keep: bool) -> Report {
    let previous = std::mem::take(&mut report.stack.conditions);
    let mut conditions = merged(verdicts, &previous, generation, now);
    let others = previous.into_iter().filter(|c| keep && !conditions.iter().any(|n| n.type_ == c.type_));
    let others: Vec<Condition> = others.collect();
    conditions.extend(others);
    report.stack.conditions = conditions;
    report.stack.observed_generation = Some(generation);
    report
}

pub(crate) fn verdict(
    kind: &'static str,
    status: Option<bool>,
    reason: Reason,
    message: impl Into<String>,
) -> Verdict {
    Verdict { kind, status, reason, message: message.into() }
}

fn invalid(findings: &[Finding]) -> Vec<Verdict> {
    let message = match findings.len() {
        1 => findings[0].to_string(),
        n => format!("{n} findings: {}", listed(findings)),
    };
    vec![
        verdict(condition::READY, Some(false), Reason::Invalid, message.clone()),
        verdict(
            condition::RECONCILING,
            Some(false),
            Reason::Invalid,
            "the spec is refused; what runs is left alone",
        ),
        verdict(condition::STALLED, Some(true), Reason::Invalid, "the spec has to be corrected; see Ready"),
        verdict(condition::PLANNED, Some(false), Reason::Invalid, message),
    ]
}

fn failed(reason: Reason, message: &str) -> Vec<Verdict> {
    let status = if reason == Reason::Unreachable { None } else { Some(false) };
    vec![
        verdict(condition::READY, status, reason, message),
        verdict(condition::RECONCILING, Some(true), reason, "will be tried again"),
        verdict(condition::STALLED, Some(false), reason, NOBODY_NEEDED),
    ]
}

fn deleting(teardown: &Teardown) -> Vec<Verdict> {
    let kept: Vec<String> =
        teardown.retained.iter().map(|key| format!("{key} is kept for its data")).collect();
    let (reason, message) = match (teardown.done, teardown.waiting_for.is_empty()) {
        (true, _) if kept.is_empty() => {
            (Reason::Deleting, "everything that the Stack deployed is gone".to_owned())
        }
        (true, _) => (Reason::DataRetained, listed(&kept)),
        (false, false) => (Reason::Deleting, listed(&teardown.waiting_for)),
        (false, true) => (Reason::Deleting, "what the Stack deployed is being deleted".to_owned()),
    };
    vec![
        verdict(condition::READY, Some(false), reason, message.clone()),
        verdict(condition::RECONCILING, Some(!teardown.done), reason, message),
        verdict(condition::STALLED, Some(false), reason, NOBODY_NEEDED),
    ]
}

pub(crate) const NOBODY_NEEDED: &str = "nothing waits for a person";

/// The first few, the rest counted.
pub(crate) fn listed<T: ToString>(items: &[T]) -> String {
    let mut text = items.iter().take(MAX_LISTED).map(T::to_string).collect::<Vec<_>>().join("; ");
    if items.len() > MAX_LISTED {
        text.push_str(&format!("; and {} more", items.len() - MAX_LISTED));
    }
    text
}

fn planned(
    plan: &Plan,
    assessments: &[Assessment<'_>],
    observed: &Observed,
    approved: &ApprovalState,
    previous: &StackStatus,
    previous_blocks: &BTreeMap<String, BuildingBlockStatus>,
    now: &Time,
) -> Report {
    let ready = assessments.iter().filter(|a| a.plan.is_some() && a.state == State::Ready).count();
    let summary_of = |a: &Assessment<'_>| {
        let before = previous.blocks.iter().find(|b| b.name == a.name).cloned().unwrap_or_default();
        let (product, version, namespace, endpoints) = match a.plan {
            Some(plan) => {
                (plan.product.clone(), plan.version.clone(), plan.namespace.clone(), plan.endpoints.clone())
            }
            None => (before.product, before.version, before.namespace, Vec::new()),
        };
        let cluster = a.plan.map_or(before.cluster, |plan| plan.cluster.clone());
        let message = Some(a.message.clone()).filter(|m| !m.is_empty());
        let renewal = a.renewal().or(before.renewal.filter(|_| a.is_unknown()));
        BlockSummary {
            name: a.name.to_owned(),
            product,
            version,
            cluster,
            namespace,
            state: a.state,
            upgrade: a.upgrade(),
            message,
            endpoints,
            uses: a.plan.map(|plan| plan.uses.iter().cloned().collect()).unwrap_or_default(),
            // What stands by is decided apart from what serves.
            standby: Vec::new(),
            renewal,
        }
    };
    let approved_hash = match approved {
        ApprovalState::Approved { .. } => Some(plan.hash.clone()),
        ApprovalState::NotRequired | ApprovalState::Awaiting { .. } => previous.approved_hash.clone(),
    };
    let blocks = assessments.iter().map(|a| {
        let before = previous_blocks.get(a.name);
        (a.name.to_owned(), a.status(plan, before, now))
    });
    Report {
        stack: StackStatus {
            observed_generation: None,
            summary: Some(format!("{ready}/{}", plan.blocks.iter().filter(|b| b.tenant.is_none()).count())),
            conditions: Vec::new(),
            catalogue_revision: Some(plan.catalogue_revision.clone()),
            plan_hash: Some(approved.held_beside(plan).unwrap_or(&plan.hash).to_owned()),
            approved_hash,
            people: None,
            certificates: Vec::new(),
            more_certificates: None,
            approved_steps: approved_steps(plan, previous),
            backups: backup::known(plan, observed),
            blocks: assessments.iter().map(summary_of).collect(),
        },
        blocks: blocks.collect(),
    }
}

/// A yes to a change of a schema is used up by it, one to an anchor by its withdrawal: were it undone and made again, it would be
/// asked again.
pub fn approved_steps(plan: &Plan, previous: &StackStatus) -> Vec<String> {
    let exchange = &plan.exchange;
    let pending = |step: &&String| match step.as_str() {
        step if applied::is_step(step) => exchange.narrowing.iter().any(|narrows| narrows.step == step),
        step if federation::is_step(step) => exchange.federation.iter().any(|f| f.step() == Some(step)),
        _ => true,
    };
    previous.approved_steps.iter().filter(pending).cloned().collect()
}

/// How the Stack stands with the instances that it names; nothing where it names none, or nobody looked.
fn federated(plan: &Plan) -> Option<Verdict> {
    let all = &plan.exchange.federation;
    let (mut reason, mut said) = (Reason::Approved, Vec::new());
    for other in all {
        let instance = &other.instance;
        let (worse, message) = match &other.trust {
            Trust::Unread => return None,
            Trust::Confirmed { .. } => continue,
            Trust::Awaiting { step } => (
                Reason::AwaitingApproval,
                format!(
                    "{instance}: its anchor waits for somebody who has compared the fingerprint with the other side (plinth \
                     approve {} -n {} --reason … --step {step})",
                    plan.stack.name, plan.stack.namespace
                ),
            ),
            Trust::Refused(findings) => (Reason::Invalid, listed(findings)),
        };
        if reason != Reason::Invalid {
            reason = worse;
        }
        said.push(message);
    }
    let peers: Vec<&str> = plan.exchange.peers().map(|(peer, _)| peer.instance.as_str()).collect();
    if !peers.is_empty() {
        said.push(format!("federated with {}", peers.join(", ")));
    }
    let message = said.join("; ");
    (!all.is_empty())
        .then(|| verdict(condition::FEDERATED, Some(reason == Reason::Approved), reason, message))
}

/// That more runs than the profile says, and what bends first all the same; nothing in other modes.
fn surging(stack: &Stack, plan: &Plan) -> Option<Verdict> {
    let surge = stack.spec.continuity.as_ref()?.surge.as_ref().filter(|_| stack.spec.mode == Mode::Surge)?;
    let grown = plan.blocks.iter().flat_map(|block| &block.grown).count();
    let rush = Rush { load: f64::from(surge.load), hours: f64::from(surge.hours) };
    let demands = crate::surge::surge(&plan.exchange, &plan.exchange.registries, rush).demands;
    let bends = demands.iter().find(|demand| demand.is_over()).map(|demand| {
        let bears = demand.capacity.unwrap_or_default();
        let what = format!("{:?} {}", demand.kind, demand.name);
        format!("; {what} bends first: {:.1} calls a second come, and it bears {bears:.1}", demand.per_second)
    });
    let message = format!(
        "{} times the planned day: more pods of {grown} components{}",
        surge.load,
        bends.unwrap_or_default()
    );
    Some(verdict(condition::SURGING, Some(true), Reason::Surge, message))
}

fn stack_verdicts(
    plan: &Plan,
    assessments: &[Assessment<'_>],
    observed: &Observed,
    approved: &ApprovalState,
) -> Vec<Verdict> {
    let mut verdicts = block::trio(assessments, observed.silence(None));
    if let Some(held) = approved.held_beside(plan) {
        not_as_declared(held, &mut verdicts);
    }
    let objects = plan.objects().count();
    verdicts.push(verdict(
        condition::PLANNED,
        Some(true),
        Reason::Planned,
        format!(
            "plan {}: {} blocks, {objects} objects, catalogue {}",
            plan.hash,
            plan.blocks.iter().filter(|b| b.tenant.is_none()).count(),
            plan.catalogue_revision
        ),
    ));
    verdicts.push(approval(plan, approved));
    let makes_secrets = plan.objects().any(|o| o.data && o.secret.values().any(SecretSource::is_born));
    verdicts.extend(block::areas(assessments, observed, makes_secrets));
    verdicts.extend(block::upgrading(assessments));
    verdicts.extend(federated(plan));
    verdicts
}

/// What runs is not what the newest spec says, however well it runs.
fn not_as_declared(held: &str, verdicts: &mut [Verdict]) {
    let ready = verdicts.iter_mut().find(|v| v.kind == condition::READY && v.status == Some(true));
    if let Some(ready) = ready {
        let message = format!("plan {held} waits for a yes; of what was approved before, {}", ready.message);
        (ready.status, ready.reason, ready.message) = (Some(false), Reason::AwaitingApproval, message);
    }
}

fn approval(plan: &Plan, approved: &ApprovalState) -> Verdict {
    let hash = &plan.hash;
    match approved {
        ApprovalState::NotRequired => verdict(
            condition::APPROVED,
            Some(true),
            Reason::NotRequired,
            "the change policy asks for no approval",
        ),
        ApprovalState::Approved { by } => {
            let by = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
            verdict(
                condition::APPROVED,
                Some(true),
                Reason::Approved,
                format!("plan {hash} was approved{by}"),
            )
        }
        ApprovalState::Awaiting { hash } => {
            let meanwhile = match approved.held_beside(plan) {
                Some(_) => "; what was approved before goes on",
                None => "",
            };
            verdict(
                condition::APPROVED,
                Some(false),
                Reason::AwaitingApproval,
                format!(
                    "plan {hash} waits: create an Operation of type Approve with this planHash, as somebody who did \
                     not author the change{meanwhile}"
                ),
            )
        }
    }
}
