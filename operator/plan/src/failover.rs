//! Taking a block over to its standby and back, as Operations of type Failover and Switchback ask. How far it is stands on the
//! block's namespace on both sides, first on the one that takes over: the other may be gone. A restarted operator and a rebuilt
//! hub go on from there. Pure.
//!
//! ```text
//! Fencing -> Filling -> Serving -> Done    the old side has no pods, or does not answer and its lease has run out and the loss
//!                                          is accepted; then backups are restored on the new side; then it serves
//!            Filling -> Failed             a restore gave up: neither side serves
//! ```

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use plinth_api::v1alpha1::continuity::Recovery;
use plinth_api::v1alpha1::operation::{FailoverTarget, RestoreInto, RestorePart};
use plinth_api::{Stack, names};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backing::annotated;
use crate::expr::listed;
use crate::model::{BlockPlan, Decisions, Desired, Observed, Plan, StackId, UnitDecision};
use crate::placement::{HUB, shown};
use crate::resolve::Inputs;
use crate::restoring::{self, Restore, Restores};
use crate::{moving, placement};
use plinth_api::condition::State;

/// By block, how its last takeover stands.
pub type Failovers = BTreeMap<String, Failover>;

/// One takeover, as it stands on the namespaces of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// Name of the Operation.
    pub operation: String,
    /// Its uid: another Operation of that name is another takeover.
    pub uid: String,
    /// Counts the takeovers of the block: of two sides that say different things, the higher is right.
    pub term: u64,
    /// Cluster that served, `hub` among them.
    pub from: String,
    /// Cluster that takes over.
    pub to: String,
    /// Cluster that served before the first takeover.
    pub home: String,
    /// Whoever asked takes it that something is lost.
    pub accepts_loss: bool,
    /// Backups that the new side starts from, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore: Vec<Part>,
    /// Secret in the Stack's namespace with the private key of the backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_secret: Option<String>,
    /// How far it is.
    pub phase: Phase,
    /// When it was asked for, in seconds since the Unix epoch.
    pub begun: i64,
    /// How it is known that the old side does not serve, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
    /// When the new side was ready, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A backup that the new side starts from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Requirement of the block.
    pub requirement: String,
    /// The backup.
    pub from: String,
}

/// How it is known that the old side does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fence {
    /// By what.
    pub by: FencedBy,
    /// Seconds since the Unix epoch.
    pub at: i64,
}

/// What tells that the old side does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FencedBy {
    /// It has been told to stop, and none of its pods is left.
    Acknowledgement,
    /// It does not answer, and its lease has run out. Nobody knows what it does.
    ExpiredLease,
}

/// How far a takeover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The old side is being stopped.
    Fencing,
    /// It does not serve any more; the new side is given its data.
    Filling,
    /// A restore gave up; neither side serves.
    Failed,
    /// The new side serves, and is not ready yet.
    Serving,
    /// It is ready.
    Done,
}

impl Failover {
    /// The cluster that the block is planned on.
    pub fn side(&self) -> &str {
        if self.phase == Phase::Fencing { &self.from } else { &self.to }
    }

    /// The cluster that must not serve, and stands by for it.
    pub fn other_side(&self) -> &str {
        if self.phase == Phase::Fencing { &self.to } else { &self.from }
    }

    /// It is under way: the block does not serve, or not yet.
    pub fn is_under_way(&self) -> bool {
        self.phase != Phase::Done
    }

    fn in_phase(&self, phase: Phase) -> Self {
        Failover { phase, ..self.clone() }
    }

    /// Seconds between the oldest backup that it starts from and the fence: what was written in between is lost. `None` where it
    /// starts from no backup.
    pub fn lost(&self) -> Option<i64> {
        let until = self.fence.as_ref().map_or(self.begun, |fence| fence.at);
        oldest(&self.restore).map(|taken| (until - taken).max(0))
    }

    /// Seconds from the question until the new side was ready.
    pub fn took(&self) -> Option<i64> {
        self.ready.map(|ready| (ready - self.begun).max(0))
    }
}

/// When a backup was taken, by its name.
fn taken(backup: &str) -> Option<i64> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", backup).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp().as_second())
}

fn oldest(parts: &[Part]) -> Option<i64> {
    parts.iter().filter_map(|part| taken(&part.from)).min()
}

/// What namespaces of a Stack's blocks say, on whichever side: the newest of each block.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Failovers {
    let mut newest = Failovers::new();
    for namespace in namespaces {
        let said: Failovers = annotated(stack, [namespace], names::ANNOTATION_FAILOVER);
        for (block, record) in said {
            let rank = |record: &Failover| (record.term, record.phase);
            if newest.get(&block).is_none_or(|known| rank(known) < rank(&record)) {
                newest.insert(block, record);
            }
        }
    }
    newest
}

/// A takeover that somebody asks for.
pub struct Asked<'a> {
    /// The Stack.
    pub stack: &'a Stack,
    /// What runs.
    pub plan: &'a Plan,
    /// What it was made from.
    pub inputs: &'a Inputs,
    /// Name and uid of the Operation.
    pub operation: (&'a str, &'a str),
    /// Seconds since the Unix epoch.
    pub now: i64,
}

impl Asked<'_> {
    /// The record of a failover that may begin. `is_there` tells whether a Secret of the standby is on it with all of its keys.
    ///
    /// # Errors
    /// Why it may not, and what to do.
    pub fn failover(
        &self,
        target: &FailoverTarget,
        is_there: impl Fn(&str, &Desired) -> bool,
    ) -> Result<Failover, String> {
        let block = self.block(&target.block)?;
        let from = shown(block.cluster.as_deref()).to_owned();
        let to = match (&target.to, block.standby.as_slice()) {
            (Some(to), standby) if standby.contains(to) => to.clone(),
            (None, [only]) => only.clone(),
            (Some(to), standby) => {
                return Err(format!(
                    "failover.to: `{to}` does not stand by for block `{}`; those that do are {}",
                    target.block,
                    listed(standby)
                ));
            }
            (None, []) => {
                return Err(format!(
                    "nothing stands by for block `{}`: give it a standby in spec.placement, and wait until that is complete",
                    target.block
                ));
            }
            (None, standby) => {
                return Err(format!("failover.to: is missing; it is one of {}", listed(standby)));
            }
        };
        let home = self.inputs.failovers.get(&target.block).map_or(&from, |before| &before.home).clone();
        self.record(block, target, (from, to, home), is_there)
    }

    /// The record of a switchback that may begin: the same, to where the block was before.
    ///
    /// # Errors
    /// Why it may not, and what to do.
    pub fn switchback(
        &self,
        target: &FailoverTarget,
        is_there: impl Fn(&str, &Desired) -> bool,
    ) -> Result<Failover, String> {
        let block = self.block(&target.block)?;
        let before = self.inputs.failovers.get(&target.block);
        let from = shown(block.cluster.as_deref()).to_owned();
        let home = before.map(|before| before.home.clone()).filter(|home| *home != from);
        let Some(home) = home else {
            return Err(format!(
                "block `{}` is at home, on `{from}`: there is nothing to switch back",
                target.block
            ));
        };
        if !block.standby.contains(&home) {
            return Err(format!(
                "`{home}`, where block `{}` was before, does not stand by for it; those that do are {}",
                target.block,
                listed(&block.standby)
            ));
        }
        self.record(block, target, (from, home.clone(), home), is_there)
    }

    fn block(&self, name: &str) -> Result<&BlockPlan, String> {
        let found = self.plan.blocks.iter().find(|block| block.name == name && block.tenant.is_none());
        let block = found.ok_or_else(|| format!("the Stack has no block `{name}`"))?;
        if let Some(first) = block.blocked.first() {
            return Err(format!("block `{name}` is blocked for another reason, which comes first: {first}"));
        }
        let at_work = moving::in_force(self.stack, name, self.inputs).map(|found| &found.operation);
        let at_work = at_work.or(restoring::in_force(name, self.inputs).map(|found| &found.operation));
        if let Some(other) = at_work {
            return Err(format!("Operation {other} works on data of block `{name}`: wait for it"));
        }
        match self.inputs.failovers.get(name) {
            // One that does not come to an end by itself may be taken over by another.
            Some(other) if matches!(other.phase, Phase::Filling | Phase::Serving) => {
                Err(format!("Operation {} takes block `{name}` over: wait for it", other.operation))
            }
            _ => Ok(block),
        }
    }

    fn record(
        &self,
        block: &BlockPlan,
        target: &FailoverTarget,
        (from, to, home): (String, String, String),
        is_there: impl Fn(&str, &Desired) -> bool,
    ) -> Result<Failover, String> {
        let name = &block.name;
        if self.silence(&to).is_some() {
            return Err(format!("{} does not answer: it cannot take over", placement::phrase(&to)));
        }
        let standby = self.plan.standby.iter().find(|s| s.name == *name && shown(s.cluster.as_deref()) == to);
        let standby =
            standby.ok_or_else(|| format!("nothing is prepared for block `{name}` on `{to}` yet"))?;
        let secrets = standby.units.iter().flat_map(|unit| &unit.objects).filter(|o| o.key.kind == "Secret");
        if let Some(missing) = secrets.into_iter().find(|secret| !is_there(&to, secret)) {
            return Err(format!(
                "the standby on `{to}` is not complete: {} is not there yet, and a new one would not open the data",
                missing.key
            ));
        }
        let restore: Vec<Part> = target.restore.iter().map(Part::of).collect();
        let returns = to == home;
        self.data(block, target, &restore, returns)?;
        if let Some(silent) = self.silence(&from).filter(|_| !target.accept_data_loss) {
            return Err(format!(
                "{} {silent}: whether it has stopped cannot be known, and what it has taken since is not on `{to}`. Wait until \
                 it answers, or ask again with acceptDataLoss: true; then it is waited for until its lease of {} s has run out",
                placement::phrase(&from),
                lease(self.stack)
            ));
        }
        let term = self.inputs.failovers.get(name).map_or(0, |before| before.term) + 1;
        let (operation, uid) = self.operation;
        Ok(Failover {
            operation: operation.to_owned(),
            uid: uid.to_owned(),
            term,
            from,
            to,
            home,
            accepts_loss: target.accept_data_loss,
            restore,
            identity_secret: target.identity_secret.clone(),
            phase: Phase::Fencing,
            begun: self.now,
            fence: None,
            ready: None,
            message: None,
        })
    }

    /// That the new side gets the data, and how old that is.
    fn data(
        &self,
        block: &BlockPlan,
        target: &FailoverTarget,
        restore: &[Part],
        returns: bool,
    ) -> Result<(), String> {
        let name = &block.name;
        let known: BTreeSet<&str> = block.backups.databases.iter().map(|d| d.requirement.as_str()).collect();
        let named: BTreeSet<&str> = restore.iter().map(|part| part.requirement.as_str()).collect();
        if let Some(unknown) = named.iter().find(|name| !known.contains(*name)) {
            let known: Vec<&str> = known.into_iter().collect();
            return Err(format!(
                "restore: `{unknown}` of block `{name}` is not backed up; what is, is {}",
                listed(&known)
            ));
        }
        // At home its data is still there, as old as it is; elsewhere it would start empty.
        let missing: Vec<&str> = known.difference(&named).copied().collect();
        if !(missing.is_empty() || returns && target.accept_data_loss) {
            return Err(format!(
                "restore: name a backup of {} of block `{name}` (plinth backup list)",
                listed(&missing)
            ));
        }
        let left = match (&block.backups.uncovered, holds_data(block) && known.is_empty()) {
            (uncovered, _) if !uncovered.is_empty() => Some(listed(uncovered)),
            (_, true) => {
                Some("its volumes, for the Stack says in no spec.backup where backups are".to_owned())
            }
            _ => None,
        };
        if let Some(left) = left.filter(|_| !target.accept_data_loss) {
            return Err(format!(
                "not everything that block `{name}` holds is backed up, and it would be left behind: {left}; ask with \
                 acceptDataLoss: true if that may be"
            ));
        }
        let age = oldest(restore).map(|taken| (self.now - taken).max(0));
        match (age, objective(self.stack, name).and_then(|objective| seconds(&objective.point))) {
            _ if target.accept_data_loss => Ok(()),
            (Some(age), Some(most)) if age > most => Err(format!(
                "the oldest of the backups is {age} s old, and spec.continuity.recovery[{name}].point allows for {most} s; back up \
                 first, or ask with acceptDataLoss: true"
            )),
            (Some(age), None) => Err(format!(
                "what was written in the last {age} s would be lost, and spec.continuity.recovery[{name}] allows for none; declare \
                 a point, or ask with acceptDataLoss: true"
            )),
            _ => Ok(()),
        }
    }

    /// That a cluster does not answer, in words that follow its name.
    fn silence(&self, cluster: &str) -> Option<&'static str> {
        let facts = self.inputs.clusters.get(cluster).filter(|_| cluster != HUB)?;
        (facts.reachable == Some(false)).then_some("does not answer")
    }
}

impl Part {
    fn of(part: &RestorePart) -> Self {
        Part { requirement: part.requirement.clone(), from: part.from.clone() }
    }
}

fn holds_data(block: &BlockPlan) -> bool {
    let mut objects = block.units.iter().flat_map(|unit| &unit.objects);
    objects.any(|object| object.body.pointer("/spec/volumeClaimTemplates").is_some())
}

fn objective<'s>(stack: &'s Stack, block: &str) -> Option<&'s Recovery> {
    let continuity = stack.spec.continuity.as_ref()?;
    continuity.recovery.iter().find(|objective| objective.block == block)
}

fn seconds(duration: &str) -> Option<i64> {
    duration.parse::<SignedDuration>().ok().map(|duration| duration.as_secs())
}

/// Seconds after its last answer from which a side that does not answer no longer has the right to serve.
pub fn lease(stack: &Stack) -> i64 {
    i64::from(stack.spec.continuity.clone().unwrap_or_default().lease_seconds)
}

/// How the measured times stand to the declared ones, for the status of the Operation.
pub fn measured(stack: &Stack, block: &str, record: &Failover) -> Vec<String> {
    let objective = objective(stack, block);
    let against = |what: &str, measured: Option<i64>, declared: Option<&String>| {
        let measured = measured?;
        Some(match declared.and_then(|text| Some((text, seconds(text)?))) {
            None => format!("{what} {measured} s; none is declared"),
            Some((text, most)) if measured <= most => {
                format!("{what} {measured} s, within the declared {text}")
            }
            Some((text, _)) => format!("{what} {measured} s, beyond the declared {text}"),
        })
    };
    let lost = against("recovery point: data of the last", record.lost(), objective.map(|o| &o.point));
    let took = against("recovery time:", record.took(), objective.map(|o| &o.time));
    lost.into_iter().chain(took).collect()
}

/// What follows for takeovers, and for the restores that they are made of.
pub struct Advance {
    /// Records that change.
    pub failovers: Failovers,
    /// Restores that begin.
    pub restores: Restores,
}

/// Takeovers whose step is done. `decisions` are about `plan`.
pub fn advance(
    stack: &Stack,
    plan: &Plan,
    inputs: &Inputs,
    decisions: &Decisions,
    observed: &Observed,
) -> Advance {
    let mut advance = Advance { failovers: Failovers::new(), restores: Restores::new() };
    for block in plan.blocks.iter().filter(|block| block.blocked.is_empty() && !block.paused) {
        let Some(record) = inputs.failovers.get(&block.name) else { continue };
        let units: Vec<&UnitDecision> = decisions.units.iter().filter(|u| u.id.block == block.name).collect();
        let there = observed.on(block.cluster.as_deref());
        let silent = there.unreachable.is_some();
        let next = match record.phase {
            Phase::Fencing => fenced(stack, block, record, inputs, &units, there),
            Phase::Filling if !silent => match filled(record, inputs.restores.get(&block.name)) {
                Filled::Begin(restore) => {
                    advance.restores.insert(block.name.clone(), restore);
                    None
                }
                Filled::UnderWay => None,
                Filled::Whole => Some(record.in_phase(Phase::Serving)),
                Filled::Failed(why) => {
                    Some(Failover { message: Some(why), ..record.in_phase(Phase::Failed) })
                }
            },
            Phase::Serving
                if !silent
                    && units.iter().all(|unit| matches!(unit.state, State::Ready | State::Suspended)) =>
            {
                Some(Failover { ready: Some(observed.now), ..record.in_phase(Phase::Done) })
            }
            Phase::Filling | Phase::Serving | Phase::Failed | Phase::Done => None,
        };
        advance.failovers.extend(next.map(|next| (block.name.clone(), next)));
    }
    advance
}

/// The old side does not serve: it says so itself, or has not answered for as long as its lease.
fn fenced(
    stack: &Stack,
    block: &BlockPlan,
    record: &Failover,
    inputs: &Inputs,
    units: &[&UnitDecision],
    there: &Observed,
) -> Option<Failover> {
    let fence = |by| Failover { fence: Some(Fence { by, at: there.now }), ..record.in_phase(Phase::Filling) };
    if there.unreachable.is_some() {
        let last =
            inputs.clusters.get(&record.from).filter(|facts| facts.reachable == Some(false))?.last_seen?;
        let is_over = there.now >= last.saturating_add(lease(stack));
        return (record.accepts_loss && is_over).then(|| fence(FencedBy::ExpiredLease));
    }
    let mut stopped = units.iter().filter(|unit| block.fenced.contains(&unit.id));
    // The plan follows the record: without it, nothing has been told to stop.
    block.failover.as_ref().filter(|planned| *planned == record)?;
    stopped.all(|unit| unit.state == State::Suspended).then(|| fence(FencedBy::Acknowledgement))
}

enum Filled {
    Begin(Restore),
    UnderWay,
    Whole,
    Failed(String),
}

/// How far the new side has its data: one backup after the other.
fn filled(record: &Failover, restore: Option<&Restore>) -> Filled {
    let own = restore.filter(|restore| restore.uid == record.uid);
    let done = match own {
        None => 0,
        Some(restore) => match restore.phase {
            restoring::Phase::Filling | restoring::Phase::Switching => return Filled::UnderWay,
            restoring::Phase::Failed => {
                return Filled::Failed(
                    restore.message.clone().unwrap_or_else(|| "a restore gave up".to_owned()),
                );
            }
            restoring::Phase::Done => {
                let mut parts = record.restore.iter();
                parts.position(|part| part.requirement == restore.requirement).map_or(0, |nth| nth + 1)
            }
        },
    };
    match record.restore.get(done) {
        None => Filled::Whole,
        Some(part) => Filled::Begin(Restore {
            operation: record.operation.clone(),
            uid: record.uid.clone(),
            requirement: part.requirement.clone(),
            from: part.from.clone(),
            into: RestoreInto::Same,
            identity_secret: record.identity_secret.clone().unwrap_or_default(),
            phase: restoring::Phase::Filling,
            message: None,
        }),
    }
}
