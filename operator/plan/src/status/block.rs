//! One block's part of a report, and the conditions that a block and its Stack have in common. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::condition::{self, Reason, State, Verdict};
use plinth_api::names;
use plinth_api::v1alpha1::block::{BuildingBlockStatus, ComponentStatus, ObjectStatus};
use plinth_api::v1alpha1::stack::UpgradeSummary;

use super::TenantState;
use super::{MAX_LISTED, NOBODY_NEEDED, listed, merged, verdict};
use crate::conformance::Sight;
use crate::exchange::Subject;
use crate::failover::{self, Failover};
use crate::model::{
    Action, BlockPlan, Decisions, Live, Moving, ObjectDecision, Observed, Plan, Restoring, SecretSource,
    Step, Unit, UnitDecision,
};
use crate::moving::{Move, Phase, after_failure};
use crate::restoring::{self, Restore};
use crate::upgrade::Upgrading;

/// What can be said about one block.
pub(super) struct Assessment<'a> {
    pub name: &'a str,
    /// `None` for a block that the plan no longer names.
    pub plan: Option<&'a BlockPlan>,
    pub state: State,
    pub reason: Reason,
    /// One line naming the object at fault.
    pub message: String,
    units: Vec<(&'a Unit, &'a UnitDecision)>,
    orphans: &'a [ObjectDecision],
    /// Something of it is being written now.
    acts: bool,
    /// What is on its cluster.
    observed: &'a Observed,
}

/// Every planned block in the order of the spec, then those that the plan dropped and that are not gone yet.
pub(super) fn assess<'a>(
    plan: &'a Plan,
    decisions: &'a Decisions,
    observed: &'a Observed,
) -> Vec<Assessment<'a>> {
    let by_id: BTreeMap<_, _> = decisions.units.iter().map(|u| (&u.id, u)).collect();
    let orphans_of = |name: &str| decisions.orphans.get(name).map_or(&[][..], Vec::as_slice);
    let acts = |name: &str| {
        decisions.all_actions().any(|action| match action {
            Action::RecordInventory { block, .. } => block == name,
            Action::Apply { unit, .. } => unit.block == name,
            Action::Delete { .. } => false,
        })
    };
    let planned = plan.blocks.iter().map(|block| {
        let units = block.units.iter().filter_map(|u| Some((u, *by_id.get(&u.id)?)));
        Assessment::of(
            &block.name,
            Some(block),
            units.collect(),
            orphans_of(&block.name),
            acts(&block.name),
            observed.on(block.cluster.as_deref()),
        )
    });
    let is_planned = |name: &&String| plan.blocks.iter().any(|b| b.name == **name);
    let dropped = decisions
        .orphans
        .keys()
        .filter(|name| !is_planned(name))
        .map(|name| Assessment::of(name, None, Vec::new(), orphans_of(name), acts(name), observed));
    planned.chain(dropped).collect()
}

/// In one line: what is brought where, who asked for it, and what it waits for.
fn being_moved(moving: &Moving, worst: Option<&UnitDecision>) -> (State, Reason, String) {
    let Move { operation, capability, from, to, .. } = &moving.record;
    let claims = moving.claims.join(", ");
    let what = format!(
        "its {capability} ({claims}) is being brought from `{from}` to `{to}` by Operation {operation}"
    );
    if let Some(why) = moving.record.message.as_ref().filter(|_| moving.record.phase == Phase::Failed) {
        let advice = after_failure(&moving.record);
        return (State::Unhealthy, Reason::MoveFailed, format!("{what}, which failed: {why}; {advice}"));
    }
    match worst.filter(|worst| worst.state.severity() > 0) {
        None => (State::Progressing, Reason::Moving, format!("{what}: it is there, the block follows")),
        // What keeps it from going on has a reason of its own: a missing kind, a conflict, a pause.
        Some(worst) => {
            let own = worst.state.severity() >= State::Unhealthy.severity();
            let reason = if own { worst.reason } else { Reason::Moving };
            (worst.state, reason, format!("{what}: {}", worst.message))
        }
    }
}

fn being_taken_over(record: &Failover, worst: Option<&UnitDecision>) -> (State, Reason, String) {
    let Failover { operation, from, to, phase, .. } = record;
    let how = match phase {
        failover::Phase::Fencing => "the old side is being stopped",
        failover::Phase::Filling => "the old side does not serve any more, and the new one is given its data",
        failover::Phase::Serving | failover::Phase::Done => "the new side starts",
        failover::Phase::Failed => {
            let why = record.message.as_deref().unwrap_or("a restore gave up");
            let message = format!(
                "Operation {operation} could not take it over from `{from}` to `{to}`: {why}. Neither side serves: ask for another \
                 Failover or Switchback"
            );
            return (State::Unhealthy, Reason::MoveFailed, message);
        }
    };
    let what = format!("is being taken over from `{from}` to `{to}` by Operation {operation}: {how}");
    under_way(what, worst)
}

/// Something is done with the block's data, and the worst of its units says how that goes.
fn under_way(what: String, worst: Option<&UnitDecision>) -> (State, Reason, String) {
    match worst.filter(|worst| worst.state.severity() > 0) {
        None => (State::Progressing, Reason::Moving, what),
        Some(worst) => {
            let own = worst.state.severity() >= State::Unhealthy.severity();
            let reason = if own { worst.reason } else { Reason::Moving };
            (worst.state, reason, format!("{what}: {}", worst.message))
        }
    }
}

fn being_restored(restoring: &Restoring, worst: Option<&UnitDecision>) -> (State, Reason, String) {
    let Restore { operation, requirement, from, phase, .. } = &restoring.record;
    let how = match phase {
        restoring::Phase::Switching => "is put in the place of what served, and nobody writes meanwhile",
        _ => "is brought beside what serves",
    };
    let what = format!("backup {from} of `{requirement}` {how}, by Operation {operation}");
    under_way(what, worst)
}

fn being_upgraded(upgrade: &Upgrading, worst: Option<&UnitDecision>) -> (State, Reason, String) {
    let what = upgrade.what();
    let worst = worst.filter(|worst| worst.state.severity() > 0);
    if let Some(why) = &upgrade.message {
        let (state, reason) = match upgrade.has_failed() {
            true => (State::Unhealthy, Reason::UpgradeFailed),
            false => (State::OutOfDate, Reason::UpgradeHeld),
        };
        return match worst.filter(|worst| worst.state.severity() > state.severity()) {
            Some(worst) => (worst.state, worst.reason, format!("{what}: {}; {why}", worst.message)),
            None => (state, reason, format!("{what}: {why}")),
        };
    }
    match worst {
        None => (State::Progressing, Reason::Upgrading, what),
        Some(worst) => {
            let own = worst.state.severity() >= State::Unhealthy.severity();
            let reason = if own { worst.reason } else { Reason::Upgrading };
            (worst.state, reason, format!("{what}: {}", worst.message))
        }
    }
}

/// Higher is worse. Ready alone is zero: Suspended is not urgent and still not Ready.
fn urgency(state: State) -> (u8, bool) {
    (state.severity(), state != State::Ready)
}

impl<'a> Assessment<'a> {
    fn of(
        name: &'a str,
        plan: Option<&'a BlockPlan>,
        units: Vec<(&'a Unit, &'a UnitDecision)>,
        orphans: &'a [ObjectDecision],
        acts: bool,
        observed: &'a Observed,
    ) -> Self {
        let (state, reason, message) = Self::verdict(plan, &units, orphans, acts, observed);
        Assessment { name, plan, state, reason, message, units, orphans, acts, observed }
    }

    fn verdict(
        plan: Option<&BlockPlan>,
        units: &[(&Unit, &UnitDecision)],
        orphans: &[ObjectDecision],
        acts: bool,
        observed: &Observed,
    ) -> (State, Reason, String) {
        let installed = plan.is_none_or(|p| p.namespace.is_some());
        let cluster = plan.and_then(|p| p.cluster.as_deref());
        if let Some(silence) = observed.silence(cluster).filter(|_| installed) {
            return (State::Unreachable, Reason::Unreachable, silence);
        }
        if let Some(finding) = plan.and_then(|p| p.blocked.first()) {
            let more = plan.map_or(0, |p| p.blocked.len() - 1);
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            return (State::Blocked, Reason::Blocked, format!("{finding}{more}"));
        }
        let worst = units.iter().rev().map(|(_, u)| *u).max_by_key(|u| urgency(u.state));
        if let Some(upgrade) = plan.and_then(|p| p.upgrade.as_ref()) {
            return being_upgraded(&upgrade.at(observed.now), worst);
        }
        if let Some(moving) = plan.and_then(|p| p.moving.as_ref())
            && moving.record.phase != Phase::Moved
        {
            return being_moved(moving, worst);
        }
        if let Some(record) = plan.and_then(|p| p.failover.as_ref()) {
            return being_taken_over(record, worst);
        }
        if let Some(restoring) = plan.and_then(|p| p.restoring.as_ref()) {
            return being_restored(restoring, worst);
        }
        if let Some(shed) = plan.and_then(|p| p.shed.as_ref())
            && worst.is_none_or(|worst| worst.state.severity() == 0)
        {
            return (State::Suspended, Reason::Shed, shed.why.clone());
        }
        if let Some(worst) = worst.filter(|u| u.state != State::Ready) {
            return (worst.state, worst.reason, worst.message.clone());
        }
        if let Some(going) = orphans.iter().find(|o| o.reason != Reason::DataRetained) {
            return (State::Orphaned, going.reason, going.message.clone());
        }
        if acts {
            return (State::Progressing, Reason::Progressing, "what it owns is being recorded".to_owned());
        }
        match (plan, orphans.first()) {
            (None, Some(kept)) => (State::Orphaned, Reason::DataRetained, kept.message.clone()),
            // Truth costs a word: nobody has asked an external system how it is.
            (Some(p), _) if p.product.is_none() => {
                (State::Ready, Reason::AllReady, "external: wired as declared, not probed".to_owned())
            }
            _ => (State::Ready, Reason::AllReady, String::new()),
        }
    }

    /// The WorkloadCluster that it is on; `None` is the hub.
    fn cluster(&self) -> Option<&str> {
        self.plan.and_then(|plan| plan.cluster.as_deref())
    }

    /// How it is cannot be known: its cluster does not answer.
    pub fn is_unknown(&self) -> bool {
        self.reason == Reason::Unreachable
    }

    /// Its upgrade, where one is under way or waits.
    pub fn upgrade(&self) -> Option<UpgradeSummary> {
        let waits = Some(self.message.as_str()).filter(|message| !message.is_empty());
        let upgrade = self.plan.and_then(|plan| plan.upgrade.as_ref())?;
        Some(upgrade.at(self.observed.now).summary(waits))
    }

    /// When the first of its certificates is due to be made anew.
    pub fn renewal(&self) -> Option<Time> {
        let secrets =
            self.units.iter().flat_map(|(unit, _)| &unit.objects).filter(|o| o.key.kind == "Secret");
        let live = secrets.filter_map(|secret| self.observed.live.get(&secret.key));
        live.filter_map(Live::renew_at).min().map(Time)
    }

    /// It is in an agency's namespace: what keeps it back is that agency's matter, not the Stack's.
    pub fn is_tenant(&self) -> bool {
        self.name.starts_with(names::TENANT_PREFIX)
    }

    /// How it is, with the object that it is for.
    pub fn tenant(&self) -> Option<(Subject, TenantState)> {
        let subject = self.plan?.tenant.clone()?;
        let Self { state, reason, .. } = *self;
        Some((subject, TenantState { state, reason, message: self.message.clone() }))
    }

    /// It stands in the way of a Ready Stack. Data that was kept on purpose does not, nor does what the Stack's mode does without.
    fn differs(&self) -> bool {
        self.state != State::Ready && !matches!(self.reason, Reason::DataRetained | Reason::Shed)
    }

    /// Its steps of onboarding.
    fn steps(&self) -> impl Iterator<Item = (&'a Step, &'a UnitDecision)> {
        self.units.iter().filter_map(|(unit, decision)| Some((unit.step.as_ref()?, *decision)))
    }

    fn objects(&self) -> impl Iterator<Item = &'a ObjectDecision> {
        self.units.iter().flat_map(|(_, u)| &u.objects)
    }

    /// The status of the BuildingBlock.
    pub fn status(
        &self,
        plan: &Plan,
        previous: Option<&BuildingBlockStatus>,
        now: &Time,
    ) -> BuildingBlockStatus {
        let generation = previous.and_then(|p| p.observed_generation).unwrap_or(1);
        let makes_secrets = self
            .units
            .iter()
            .flat_map(|(u, _)| &u.objects)
            .any(|o| o.data && o.secret.values().any(SecretSource::is_born));
        let own = std::slice::from_ref(self);
        let mut verdicts = trio(own, self.observed.silence(self.cluster()));
        verdicts.extend(areas(own, self.observed, makes_secrets));

        let components: Vec<ComponentStatus> =
            self.units.iter().filter(|(unit, _)| unit.component).map(|(_, u)| component(u)).collect();
        let ready = components.iter().filter(|c| c.state == State::Ready).count();
        let mut objects: Vec<&ObjectDecision> = self.objects().chain(self.orphans).collect();
        objects.sort_by_key(|o| std::cmp::Reverse(urgency(o.state)));
        let more = objects.len().saturating_sub(MAX_LISTED);
        let seen = self.plan.and_then(|block| Sight::running(plan, block, self.observed));
        let seen = seen.map(|block| block.conformance());
        BuildingBlockStatus {
            observed_generation: Some(generation),
            state: self.state,
            summary: (!components.is_empty()).then(|| format!("{ready}/{}", components.len())),
            message: Some(self.message.clone()).filter(|m| !m.is_empty()),
            conditions: merged(verdicts, previous.map_or(&[], |p| &p.conditions), generation, now),
            components,
            endpoints: self.plan.map(|p| p.endpoints.clone()).unwrap_or_default(),
            conformance: seen.or_else(|| previous.and_then(|p| p.conformance.clone())),
            objects: objects.into_iter().take(MAX_LISTED).map(object).collect(),
            more_objects: (more > 0).then_some(more),
        }
    }
}

fn component(unit: &UnitDecision) -> ComponentStatus {
    let message = Some(unit.message.clone()).filter(|m| !m.is_empty());
    ComponentStatus { name: unit.id.name.clone(), state: unit.state, message }
}

fn object(o: &ObjectDecision) -> ObjectStatus {
    ObjectStatus { object: o.key.to_string(), state: o.state, reason: o.reason, message: o.message.clone() }
}

/// Ready, Reconciling and Stalled, over one block or all of a Stack. `silence` says that nothing of it can be known.
pub(super) fn trio(blocks: &[Assessment<'_>], silence: Option<String>) -> Vec<Verdict> {
    if let Some(silence) = silence {
        return unknown(silence);
    }
    let worst = blocks.iter().rev().filter(|b| b.differs()).max_by_key(|b| urgency(b.state));
    let Some(worst) = worst else {
        let ready = match blocks {
            [one] if one.reason == Reason::Shed => return without(one),
            [one] => format!("block {} is ready", one.name),
            all => all_ready(all),
        };
        return vec![
            verdict(condition::READY, Some(true), Reason::AllReady, ready),
            verdict(condition::RECONCILING, Some(false), Reason::InSync, "everything is as planned"),
            verdict(condition::STALLED, Some(false), Reason::InSync, NOBODY_NEEDED),
        ];
    };
    let at_fault = format!("block {}: {}", worst.name, worst.message);
    let stuck = blocks.iter().find_map(stuck);
    let moves = stuck.is_none() && blocks.iter().any(moves);
    if worst.is_unknown() && stuck.is_none() && !moves {
        return unknown(at_fault);
    }
    let reconciling = match moves {
        true => verdict(condition::RECONCILING, Some(true), Reason::Progressing, at_fault.clone()),
        false => {
            verdict(condition::RECONCILING, Some(false), worst.reason, "nothing is being changed; see Ready")
        }
    };
    let stalled = match stuck {
        Some((reason, message)) => verdict(condition::STALLED, Some(true), reason, message),
        None => verdict(condition::STALLED, Some(false), worst.reason, NOBODY_NEEDED),
    };
    let ready = if worst.is_unknown() { None } else { Some(false) };
    vec![verdict(condition::READY, ready, worst.reason, at_fault), reconciling, stalled]
}

/// A block that the Stack's mode does without.
fn without(block: &Assessment<'_>) -> Vec<Verdict> {
    let message = format!("block {}: {}", block.name, block.message);
    vec![
        verdict(condition::READY, Some(false), Reason::Shed, message),
        verdict(condition::RECONCILING, Some(false), Reason::InSync, "everything is as planned"),
        verdict(condition::STALLED, Some(false), Reason::InSync, NOBODY_NEEDED),
    ]
}

fn all_ready(blocks: &[Assessment<'_>]) -> String {
    let planned = blocks.iter().filter(|b| b.plan.is_some()).count();
    match blocks.iter().filter(|b| b.reason == Reason::Shed).count() {
        0 => format!("all {planned} blocks are ready"),
        shed => {
            format!("all {} blocks that are to run are ready, and {shed} are done without", planned - shed)
        }
    }
}

fn unknown(message: String) -> Vec<Verdict> {
    let reason = Reason::Unreachable;
    vec![
        verdict(condition::READY, None, reason, message),
        verdict(condition::RECONCILING, None, reason, "will be tried again"),
        verdict(condition::STALLED, None, reason, "unknown while the cluster does not answer"),
    ]
}

/// What cannot go on without a person: a conflict, a missing part, a Job that gave up.
fn stuck(block: &Assessment<'_>) -> Option<(Reason, String)> {
    let named = |message: &str| format!("block {}: {message}", block.name);
    let is_held =
        |unit: &UnitDecision| unit.state == State::Blocked && unit.reason == Reason::AwaitingApproval;
    if block.plan.is_some_and(|p| !p.blocked.is_empty()) {
        return Some((block.reason, named(&block.message)));
    }
    if matches!(block.reason, Reason::UpgradeHeld | Reason::UpgradeFailed) {
        return Some((block.reason, named(&block.message)));
    }
    if let Some((_, held)) = block.steps().find(|(_, unit)| is_held(unit)) {
        return Some((held.reason, named(&held.message)));
    }
    let is_stuck = |o: &&ObjectDecision| {
        matches!(o.state, State::Blocked | State::Conflicted)
            || (o.state == State::Unhealthy && o.key.kind == "Job")
    };
    block.objects().find(is_stuck).map(|o| (o.reason, named(&o.message)))
}

/// Something of the block changes by itself.
fn moves(block: &Assessment<'_>) -> bool {
    let is_held = |o: &&ObjectDecision| matches!(o.reason, Reason::Paused | Reason::AwaitingApproval);
    let moves = |o: &ObjectDecision| {
        matches!(o.state, State::Progressing | State::Absent | State::OutOfDate | State::Waiting)
            || o.reason == Reason::Deleting
    };
    block.acts || block.objects().chain(block.orphans).filter(|o| !is_held(o)).any(moves)
}

/// One condition an area, each only where it says something.
pub(super) fn areas(blocks: &[Assessment<'_>], observed: &Observed, makes_secrets: bool) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let first = |holds: fn(&ObjectDecision) -> bool| {
        blocks.iter().find_map(|b| b.objects().find(|o| holds(o)).map(|o| (o.reason, o.message.clone())))
    };
    let conflict = first(|o| {
        o.state == State::Conflicted || (o.state == State::Blocked && o.reason == Reason::NamespaceTaken)
    });
    if let Some((reason, message)) = conflict {
        verdicts.push(verdict(condition::CONFLICT, Some(true), reason, message));
    }
    if let Some((_, message)) = first(|o| o.state == State::Drifted) {
        verdicts.push(verdict(condition::DRIFTED, Some(true), Reason::Drifted, message));
    }
    let missing = first(|o| o.reason == Reason::SecretMissing);
    if let Some((reason, message)) = missing {
        verdicts.push(verdict(condition::SECRETS_INTACT, Some(false), reason, message));
    } else if makes_secrets {
        let (status, reason, message) = match blocks.iter().any(Assessment::is_unknown) {
            true => (None, Reason::Unreachable, "unknown while the cluster does not answer"),
            false => (Some(true), Reason::NothingMissing, "no secret that opens data is missing"),
        };
        verdicts.push(verdict(condition::SECRETS_INTACT, status, reason, message));
    }
    let shed: Vec<String> =
        blocks.iter().filter_map(|b| Some(format!("{}: {}", b.name, b.plan?.shed.as_ref()?.why))).collect();
    if !shed.is_empty() {
        verdicts.push(verdict(condition::DEGRADED, Some(true), Reason::Shed, listed(&shed)));
    }
    verdicts.extend(onboarded(blocks));
    if observed.simulated || blocks.iter().any(|b| b.observed.simulated) {
        let message = "the nodes are simulated: readiness proves order, never content";
        verdicts.push(verdict(condition::SIMULATED, Some(true), Reason::SimulatedNodes, message));
    }
    verdicts
}

/// Which blocks are on their way to another version, or wait to be; nothing where none is.
pub(super) fn upgrading(blocks: &[Assessment<'_>]) -> Option<Verdict> {
    let under_way: Vec<&Assessment<'_>> =
        blocks.iter().filter(|b| b.plan.is_some_and(|plan| plan.upgrade.is_some())).collect();
    let first = under_way.first()?;
    let worst = under_way.iter().find(|b| b.reason == Reason::UpgradeFailed);
    let worst = worst.or_else(|| under_way.iter().find(|b| b.reason == Reason::UpgradeHeld)).unwrap_or(first);
    let reason = match worst.reason {
        reason @ (Reason::UpgradeFailed | Reason::UpgradeHeld) => reason,
        _ => Reason::Upgrading,
    };
    let lines: Vec<String> = under_way.iter().map(|b| format!("block {}: {}", b.name, b.message)).collect();
    Some(verdict(condition::UPGRADING, Some(true), reason, listed(&lines)))
}

/// Whether the products were told what they have to know. A Job that simulated nodes complete has told nobody anything.
fn onboarded(blocks: &[Assessment<'_>]) -> Option<Verdict> {
    let with_steps: Vec<&Assessment<'_>> = blocks.iter().filter(|b| b.steps().next().is_some()).collect();
    let steps: Vec<&UnitDecision> = with_steps.iter().flat_map(|b| b.steps().map(|(_, unit)| unit)).collect();
    let count = match steps.len() {
        0 => return None,
        1 => "1 step".to_owned(),
        n => format!("{n} steps"),
    };
    let (status, reason, message) = if with_steps.iter().any(|b| b.is_unknown()) {
        (None, Reason::Unreachable, "unknown while the cluster does not answer".to_owned())
    } else if with_steps.iter().any(|b| b.observed.simulated) {
        (None, Reason::Simulated, format!("{count} not run: the nodes are simulated"))
    } else if let Some(worst) =
        steps.iter().rev().filter(|u| u.state != State::Ready).max_by_key(|u| urgency(u.state))
    {
        (Some(false), worst.reason, worst.message.clone())
    } else {
        (Some(true), Reason::AllReady, format!("{count} done"))
    };
    Some(verdict(condition::ONBOARDED, status, reason, message))
}
