//! From what should be and what is to what to do: every object and unit in exactly one state, with a reason, and at most
//! one write each. Total: it has an answer for everything and never fails. Pure.

mod object;
mod prune;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::condition::{Reason, State};
use plinth_api::mutant::Mutant;
use plinth_api::names;
use serde_json::Value;

use self::object::{Judged, Stop, Write, judge, stopped};
use self::prune::{Removal, claims, missing, note_orphans, prune};
pub use self::prune::{Teardown, teardown};
pub(crate) use self::secrets::mentions;
use crate::model::{
    Action, BlockPlan, Decisions, Desired, Inventory, InventoryEntry, ObjectDecision, ObjectKey, Observed,
    Plan, StackId, Unit, UnitDecision, UnitId,
};

/// Whether anything may be written at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The Stack is paused.
    pub paused: bool,
    /// The plan was approved, or needs no approval.
    pub approved: bool,
}

impl Gate {
    /// Nothing holds back.
    pub const OPEN: Gate = Gate { paused: false, approved: true };

    /// Why a block is written to by nobody; the words end a sentence.
    fn hold(self, paused: bool) -> Option<(Reason, &'static str)> {
        if self.paused || paused {
            Some((Reason::Paused, "paused, nothing is written"))
        } else if !self.approved {
            Some((Reason::AwaitingApproval, "held until the plan is approved"))
        } else {
            None
        }
    }
}

/// What to do about `plan`, given what is. A cluster that does not answer holds up what is on it, and what starts only
/// after that; nothing else.
pub fn decide(plan: &Plan, observed: &Observed, gate: &Gate) -> Decisions {
    let house = House::of(plan, observed);
    let mut decisions = Decisions::default();
    for block in &plan.blocks {
        match house.on(block).silence(block.cluster.as_deref()) {
            Some(silence) => decisions.units.extend(block.units.iter().map(|u| unreachable(u, &silence))),
            None => house.block(block, gate.hold(block.paused), &mut decisions),
        }
    }
    house.removed_blocks(gate.hold(false), &mut decisions);
    standbys(plan, observed, gate, &mut decisions);
    decisions
}

/// Standbys are decided one cluster at a time: there each is a block like others, and needs nothing of any other.
fn standbys(plan: &Plan, observed: &Observed, gate: &Gate, decisions: &mut Decisions) {
    let clusters: BTreeSet<Option<&str>> =
        plan.standby.iter().map(|block| block.cluster.as_deref()).collect();
    for cluster in clusters {
        let own = plan.standby.iter().filter(|block| block.cluster.as_deref() == cluster);
        let part = Plan { stack: plan.stack.clone(), blocks: own.cloned().collect(), ..Plan::default() };
        let house = House::of(&part, observed);
        for block in &part.blocks {
            let mut of_block = Decisions::default();
            match house.on(block).silence(cluster) {
                Some(silence) => of_block.units.extend(block.units.iter().map(|u| unreachable(u, &silence))),
                None => house.block(block, gate.hold(block.paused), &mut of_block),
            }
            decisions.look_again = decisions.look_again.into_iter().chain(of_block.look_again).min();
            let mut writes: Vec<Action> = of_block.all_actions().cloned().collect();
            if !writes.is_empty() {
                decisions.on(cluster).append(&mut writes);
            }
            let place = (block.name.clone(), cluster.map(str::to_owned));
            decisions.standby.insert(place, of_block.units);
        }
    }
}

fn unreachable(unit: &Unit, silence: &str) -> UnitDecision {
    let (state, reason) = (State::Unreachable, Reason::Unreachable);
    let object =
        |o: &Desired| ObjectDecision { key: o.key.clone(), state, reason, message: silence.to_owned() };
    UnitDecision {
        id: unit.id.clone(),
        state,
        reason,
        message: silence.to_owned(),
        objects: unit.objects.iter().map(object).collect(),
    }
}

/// Kinds that run something. They are what `after` holds back.
fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob" | "Pod")
}

fn label<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// A unit with the judgement on each of its objects, before any ordering.
struct View<'a> {
    unit: &'a Unit,
    judged: Vec<Judged>,
    role: Role,
    /// What was seen last of the cluster that it is on.
    observed: &'a Observed,
    /// That the cluster does not answer.
    silence: Option<String>,
}

/// What a unit is to a block whose data is brought to another backing service, or back from a backup.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing; or no data is brought.
    Bystander,
    /// It could write, and has no pods meanwhile.
    Stopped,
    /// Its side does not serve, or not yet: it has no pods either.
    Fenced,
    /// The mode of the Stack does without it: it has no pods either.
    Shed,
    /// The Stack sleeps: it has no pods either.
    Asleep,
    /// It brings the data.
    Mover,
}

impl Role {
    fn of(unit: &Unit, block: &BlockPlan) -> Self {
        match block.standstill() {
            Some((stopped, _)) if stopped.contains(&unit.id) => Role::Stopped,
            Some((_, jobs)) if jobs.contains(&unit.id) => Role::Mover,
            _ if block.fenced.contains(&unit.id) => Role::Fenced,
            _ if block.asleep.contains(&unit.id) => Role::Asleep,
            _ if block.shed.as_ref().is_some_and(|shed| shed.stopped.contains(&unit.id)) => Role::Shed,
            _ => Role::Bystander,
        }
    }

    /// Why it has no pods, where it has none.
    fn stop(self) -> Option<Stop> {
        match self {
            Role::Stopped => Some(Stop::MOVING),
            Role::Fenced => Some(Stop::FENCED),
            Role::Shed => Some(Stop::SHED),
            Role::Asleep => Some(Stop::ASLEEP),
            Role::Bystander | Role::Mover => None,
        }
    }
}

impl View<'_> {
    /// Some workload (any object, where it has none) is not on the cluster: the unit has yet to start.
    fn is_first_start(&self) -> bool {
        let has_workload = self.unit.objects.iter().any(|o| is_workload(&o.key.kind));
        let mut anchors = self.unit.objects.iter().filter(|o| !has_workload || is_workload(&o.key.kind));
        anchors.any(|o| !self.observed.live.contains_key(&o.key))
    }

    /// What a person has to say yes to before the unit's Job runs. One that is there had its yes.
    fn held(&self, stack: &StackId) -> Option<String> {
        let words = self.unit.step.as_ref()?.held.as_ref()?;
        let (job, id) = (self.unit.job()?, self.unit.step_id()?);
        let open = self.observed.approved_steps.contains(&id) || self.observed.live.contains_key(&job.key);
        let StackId { namespace, name } = stack;
        (!open).then(|| {
            format!(
                "{}: waits for a person to approve: {words} (plinth approve {name} -n {namespace} --reason … --step {id})",
                self.unit.id
            )
        })
    }

    /// The first object that is not yet as its dependents need it to start.
    fn unsettled(&self) -> Option<&Judged> {
        self.judged.iter().find(|j| !j.settled)
    }

    /// The first object that is still to be written, or a Job that has not finished: what comes after keeps its present
    /// version until then, so that a migration runs before the roll. A unit that merely fell ill holds no update back, nor
    /// does one of which nothing is known.
    fn unwritten(&self) -> Option<&Judged> {
        if self.observed.is_blind() {
            return None;
        }
        let mut pairs = self.unit.objects.iter().zip(&self.judged);
        pairs.find(|(o, j)| !j.clean || (o.key.kind == "Job" && !j.settled)).map(|(_, j)| j)
    }
}

/// Why a whole block is not written to yet.
enum Barrier {
    /// Its namespace belongs to somebody else, or is going away.
    Shut,
    /// Its namespace comes first.
    Namespace(ObjectKey),
    /// What it is about to own has to be recorded first.
    Record(Inventory),
}

struct House<'a> {
    plan: &'a Plan,
    observed: &'a Observed,
    views: BTreeMap<&'a UnitId, View<'a>>,
}

impl<'a> House<'a> {
    fn of(plan: &'a Plan, observed: &'a Observed) -> Self {
        let views = plan.blocks.iter().flat_map(|block| {
            let cluster = block.cluster.as_deref();
            let observed = observed.on(cluster);
            block.units.iter().map(move |unit| {
                let role = Role::of(unit, block);
                let judged = unit.objects.iter().map(|o| {
                    let judged = judge(unit, &block.units, o, block.drift, observed);
                    match role.stop() {
                        Some(stop) => stopped(stop, judged, unit, o, observed),
                        None => judged,
                    }
                });
                let (judged, silence) = (judged.collect(), observed.silence(cluster));
                (&unit.id, View { unit, judged, role, observed, silence })
            })
        });
        House { plan, observed, views: views.collect() }
    }

    /// What is on the cluster of a block.
    fn on(&self, block: &BlockPlan) -> &'a Observed {
        self.observed.on(block.cluster.as_deref())
    }

    fn block(&self, block: &BlockPlan, hold: Option<(Reason, &'static str)>, decisions: &mut Decisions) {
        let planned = planned_entries(block);
        let barrier = self.barrier(block, &planned);
        let mut writes = Vec::new();
        for unit in &block.units {
            decisions.units.push(self.unit(unit, hold, barrier.as_ref(), &mut writes));
        }
        let judged = self.views_of(block).flat_map(|v| &v.judged);
        self.look_again(judged.filter_map(|j| j.recheck), decisions);
        let opens = block.upgrade.as_ref().and_then(|upgrade| upgrade.next_change(self.observed.now));
        self.look_again(opens.into_iter(), decisions);

        let inventory = self.on(block).inventory.get(&block.name);
        let removal = self.orphans(block, inventory, &planned);
        if let Some(removal) = &removal {
            note_orphans(&block.name, removal, hold, decisions);
            self.look_again(removal.going.iter().filter_map(|g| g.recheck), decisions);
        }
        if hold.is_some() {
            return;
        }
        let mut actions = match barrier {
            Some(Barrier::Shut) => Vec::new(),
            Some(Barrier::Namespace(home)) => {
                writes.retain(|a| matches!(a, Action::Apply { key, .. } if *key == home));
                writes
            }
            Some(Barrier::Record(inventory)) => {
                vec![Action::RecordInventory { block: block.name.clone(), inventory }]
            }
            None => {
                // Prune only when everything of the scope is written: what goes may still serve until then.
                if let (Some(inventory), Some(removal)) = (inventory, removal)
                    && self.is_written(block)
                {
                    writes.extend(prune(&block.name, inventory, &planned, removal, self.on(block)));
                }
                writes
            }
        };
        if !actions.is_empty() {
            decisions.on(block.cluster.as_deref()).append(&mut actions);
        }
    }

    fn views_of<'s>(&'s self, block: &'s BlockPlan) -> impl Iterator<Item = &'s View<'a>> {
        block.units.iter().filter_map(|u| self.views.get(&u.id))
    }

    fn is_written(&self, block: &BlockPlan) -> bool {
        self.views_of(block).all(|v| v.judged.iter().all(|j| j.clean))
    }

    /// What the block owns and no longer plans. A block that cannot be deployed at all keeps what it has; so does one
    /// whose plan is empty although it has a product, for no product renders to nothing.
    fn orphans(
        &self,
        block: &BlockPlan,
        inventory: Option<&Inventory>,
        planned: &[InventoryEntry],
    ) -> Option<Removal> {
        if !block.blocked.is_empty() || (block.product.is_some() && block.units.is_empty()) {
            return None;
        }
        let wanted: BTreeSet<&ObjectKey> = planned.iter().map(|e| &e.key).collect();
        let orphans = inventory?.entries.iter().filter(|e| !wanted.contains(&e.key)).cloned();
        // A claim outlives the component that made it, and nobody else would say that it is still there.
        let planned: BTreeSet<&str> = block.units.iter().map(|unit| unit.id.name.as_str()).collect();
        let observed = self.on(block);
        let is_left = |entry: &InventoryEntry| {
            let live = observed.live.get(&entry.key);
            let component = live.and_then(|live| label(&live.body, names::LABEL_COMPONENT));
            block.units.is_empty() || component.is_some_and(|name| !planned.contains(name))
        };
        let claims =
            claims(&self.plan.stack, &block.name, observed).into_iter().filter(is_left).collect::<Vec<_>>();
        let orphans: Vec<InventoryEntry> = claims.into_iter().chain(orphans).collect();
        Some(Removal::of(&orphans, &self.plan.stack, observed, false))
    }

    /// What stands on a cluster without being planned there: blocks that the plan no longer names, or places elsewhere.
    fn removed_blocks(&self, hold: Option<(Reason, &'static str)>, decisions: &mut Decisions) {
        let in_use = self.still_in_use();
        let places: BTreeMap<&str, Option<&str>> =
            self.plan.blocks.iter().map(|b| (b.name.as_str(), b.cluster.as_deref())).collect();
        for (cluster, observed) in self.observed.clusters() {
            for (name, inventory) in &observed.inventory {
                if self.plan.standby.iter().any(|s| s.name == *name && s.cluster.as_deref() == cluster) {
                    continue;
                }
                let wait = match places.get(name.as_str()) {
                    Some(place) if *place == cluster => continue,
                    Some(place) => Some(left_behind(name, *place)),
                    None => in_use.clone(),
                };
                match observed.silence(cluster) {
                    Some(silence) => note_unreachable(name, inventory, &silence, decisions),
                    None => self.removed(name, inventory, (cluster, observed), hold, wait, decisions),
                }
            }
        }
    }

    fn removed(
        &self,
        name: &str,
        inventory: &Inventory,
        (cluster, observed): (Option<&str>, &Observed),
        hold: Option<(Reason, &'static str)>,
        wait: Option<String>,
        decisions: &mut Decisions,
    ) {
        let claims = claims(&self.plan.stack, name, observed);
        let entries: Vec<InventoryEntry> =
            claims.into_iter().chain(inventory.entries.iter().cloned()).collect();
        let removal = Removal::of(&entries, &self.plan.stack, observed, false);
        let wait = wait.as_ref().map(|words| (Reason::Waiting, words.as_str()));
        note_orphans(name, &removal, hold.or(wait), decisions);
        self.look_again(removal.going.iter().filter_map(|g| g.recheck), decisions);
        if hold.is_none() && wait.is_none() && !Mutant::RemovedBlockKept.lives() {
            let mut actions = prune(name, inventory, &[], removal, observed);
            if !actions.is_empty() {
                decisions.on(cluster).append(&mut actions);
            }
        }
    }

    /// Why blocks that the plan dropped must stay for now: something still runs in a version that may call them.
    fn still_in_use(&self) -> Option<String> {
        for block in &self.plan.blocks {
            if let Some(silence) =
                self.on(block).silence(block.cluster.as_deref()).filter(|_| !block.units.is_empty())
            {
                return Some(format!("kept while block {} may still call it: {silence}", block.name));
            }
            if let Some(finding) = block.blocked.first() {
                return Some(format!(
                    "kept while block {} is blocked and may still call it: {finding}",
                    block.name
                ));
            }
            let objects = block.units.iter().flat_map(|u| &u.objects);
            let runs_older = |o: &&Desired| {
                let applied = self.on(block).live.get(&o.key).and_then(|live| live.applied_hash());
                applied.is_some_and(|hash| hash != o.hash)
            };
            if let Some(older) = objects.into_iter().find(runs_older) {
                return Some(format!(
                    "kept until {}, which may still call it, is brought up to date",
                    older.key
                ));
            }
        }
        None
    }

    fn barrier(&self, block: &BlockPlan, planned: &[InventoryEntry]) -> Option<Barrier> {
        // With a write the refusal lies back and is due for another try.
        let is_taken = |j: &&Judged| j.reason == Reason::NamespaceTaken && j.write.is_none();
        if self.views_of(block).flat_map(|v| &v.judged).any(|j| is_taken(&j)) {
            return Some(Barrier::Shut);
        }
        let is_home =
            |e: &&InventoryEntry| e.key.kind == "Namespace" && Some(&e.key.name) == block.namespace.as_ref();
        if let Some(home) = planned.iter().find(is_home) {
            match self.on(block).live.get(&home.key) {
                None => return Some(Barrier::Namespace(home.key.clone())),
                Some(live) if live.deleting => return Some(Barrier::Shut),
                Some(_) => {}
            }
        }
        let missing = missing(self.on(block).inventory.get(&block.name), planned);
        missing.filter(|_| !Mutant::InventoryNotWritten.lives()).map(Barrier::Record)
    }

    fn unit(
        &self,
        unit: &Unit,
        hold: Option<(Reason, &'static str)>,
        barrier: Option<&Barrier>,
        writes: &mut Vec<Action>,
    ) -> UnitDecision {
        let Some(view) = self.views.get(&unit.id) else { return settled(unit, Vec::new()) };
        let first_start = view.is_first_start();
        let waits = match (view.role, first_start) {
            // Without pods it needs nobody, and nobody may keep it from stopping.
            (Role::Stopped | Role::Fenced | Role::Shed | Role::Asleep, _) => None,
            (role, true) => self.waits_to_start(unit, role),
            (_, false) => self.waits_to_update(unit),
        };
        let held = view.held(&self.plan.stack);
        let mut objects = Vec::new();
        for (desired, judged) in unit.objects.iter().zip(&view.judged) {
            let mut decision = ObjectDecision {
                key: desired.key.clone(),
                state: judged.state,
                reason: judged.reason,
                message: judged.message.clone(),
            };
            if let Some(words) = held.as_ref().filter(|_| desired.key.kind == "Job") {
                (decision.state, decision.reason) = (State::Blocked, Reason::AwaitingApproval);
                decision.message.clone_from(words);
            } else if let Some(write) = judged.write {
                let wait = waits.as_ref().filter(|_| first_start || !write.correction);
                match (barrier, wait) {
                    (Some(Barrier::Shut), _) => {
                        // The namespace says why; twenty objects repeating it would hide it.
                        wait_for(&mut decision, write, first_start, "waits for the block's namespace");
                    }
                    (_, Some(why)) => wait_for(&mut decision, write, first_start, why),
                    _ => writes.push(Action::Apply {
                        unit: unit.id.clone(),
                        key: desired.key.clone(),
                        exists: write.exists,
                        force: write.force,
                    }),
                }
                if let Some((reason, words)) = hold {
                    decision.reason = reason;
                    decision.message = format!("{}; {words}", judged.message);
                }
            }
            if decision.state != State::Ready {
                objects.push(decision);
            }
        }
        let needs_write = view.judged.iter().any(|j| j.write.is_some());
        let mut decision = settled(unit, objects);
        if let Some(words) = held {
            (decision.state, decision.reason, decision.message) =
                (State::Blocked, Reason::AwaitingApproval, words);
        }
        if needs_write
            && matches!(hold, Some((Reason::Paused, _)))
            && decision.state.severity() < State::Unhealthy.severity()
        {
            decision.state = State::Suspended;
            decision.reason = Reason::Paused;
        }
        decision
    }

    /// What a unit that has yet to start waits for: the first of its `after` that is not ready.
    fn waits_to_start(&self, unit: &Unit, role: Role) -> Option<String> {
        unit.after.iter().find_map(|id| match self.views.get(id) {
            Some(View { role: other, .. }) if other.stop().is_some() && role != Role::Mover => {
                other.stop().map(|stop| format!("waits for {id}, which {}", stop.words))
            }
            Some(view) => {
                let unsettled =
                    || view.unsettled().map(|j| view.silence.as_ref().unwrap_or(&j.message).clone());
                let why = view.held(&self.plan.stack).or_else(unsettled);
                why.map(|why| format!("waits for {id}: {why}"))
            }
            None => Some(self.waits_for_stranger(id)),
        })
    }

    /// What the new version of a running unit waits for.
    fn waits_to_update(&self, unit: &Unit) -> Option<String> {
        let mut views = unit.after.iter().filter_map(|id| self.views.get(id));
        views.find_map(|view| view.unwritten().map(|j| format!("waits for {}: {}", view.unit.id, j.message)))
    }

    fn waits_for_stranger(&self, id: &UnitId) -> String {
        let block = self.plan.blocks.iter().find(|b| b.name == id.block);
        match block.and_then(|b| b.blocked.first()) {
            Some(finding) => format!("waits for {id}: block {} is blocked: {finding}", id.block),
            None => format!("waits for {id}: the plan has no such unit"),
        }
    }

    fn look_again(&self, times: impl Iterator<Item = i64>, decisions: &mut Decisions) {
        let soonest = times.filter(|t| *t > self.observed.now).chain(decisions.look_again).min();
        decisions.look_again = soonest;
    }
}

/// A write that has to wait. What is not there yet waits; what runs keeps its state, for that is what it is in.
fn wait_for(decision: &mut ObjectDecision, write: Write, first_start: bool, why: &str) {
    let failed = matches!(decision.state, State::Conflicted | State::Blocked | State::Unhealthy);
    if failed {
        return;
    }
    if first_start || !write.exists {
        decision.state = State::Waiting;
    }
    decision.reason = Reason::Waiting;
    decision.message = format!("{}: {why}", decision.key);
}

/// The unit is in the worst state of its objects; the first of equals speaks.
fn settled(unit: &Unit, mut objects: Vec<ObjectDecision>) -> UnitDecision {
    objects.retain(|_| !Mutant::ReadyBeforeObjects.lives());
    let worst = objects.iter().rev().max_by_key(|o| o.state.severity());
    UnitDecision {
        id: unit.id.clone(),
        state: worst.map_or(State::Ready, |o| o.state),
        reason: worst.map_or(Reason::AllReady, |o| o.reason),
        message: worst.map(|o| o.message.clone()).unwrap_or_default(),
        objects,
    }
}

/// A block that runs is not moved by a plan that places it elsewhere: what it left behind may be all there is of its data.
fn left_behind(block: &str, place: Option<&str>) -> String {
    let place = place.map_or_else(|| "the hub".to_owned(), |cluster| format!("WorkloadCluster {cluster}"));
    format!(
        "kept although {block} is placed on {place} now: place it back, or delete this by hand when it may go"
    )
}

/// What is left of a removed block on a cluster that does not answer.
fn note_unreachable(block: &str, inventory: &Inventory, silence: &str, decisions: &mut Decisions) {
    let unknown = inventory.entries.iter().map(|entry| ObjectDecision {
        key: entry.key.clone(),
        state: State::Unreachable,
        reason: Reason::Unreachable,
        message: silence.to_owned(),
    });
    decisions.orphans.entry(block.to_owned()).or_default().extend(unknown);
}

/// What the block is about to own, in apply order.
fn planned_entries(block: &BlockPlan) -> Vec<InventoryEntry> {
    let objects = block.units.iter().flat_map(|u| &u.objects);
    objects.map(|o| InventoryEntry { key: o.key.clone(), data: o.data }).collect()
}
