//! How far the servers are that enforce what is agreed: the units of the exchange's block, and the steps of onboarding that
//! are about one organisation, one service or one agreement alone.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::condition::{Reason, State};
use plinth_api::v1alpha1::member::MemberSpec;

use super::Ground;
use crate::exchange::compile::Compiled;
use crate::exchange::declared::Subject;
use crate::exchange::id::MemberId;
use crate::exchange::vars::{agreement_key, participant_key};
use crate::model::{BlockPlan, Decisions, Inventory, Observed, Plan, Unit, UnitDecision, UnitId};
use crate::status::{TenantState, tenants};

/// What keeps an object that is right from being there.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    pub reason: Reason,
    /// One line naming the object at fault.
    pub message: String,
    /// It goes on by itself.
    pub moves: bool,
    /// It does not go on without a person.
    pub stuck: bool,
    /// Nothing is written: the Stack is paused, its plan is not approved or its spec refused.
    pub held: bool,
    /// What was enforced before it is enforced all the same.
    pub passing: bool,
}

/// A unit with its decision.
#[derive(Clone, Copy)]
struct Told<'a> {
    unit: &'a Unit,
    decision: &'a UnitDecision,
    /// Something of it was there and is not.
    vanished: bool,
}

impl Told<'_> {
    fn is_ready(&self) -> bool {
        self.decision.state == State::Ready
    }

    fn obstacle(&self) -> Option<Obstacle> {
        let UnitDecision { id, state, reason, message, .. } = self.decision;
        let halted = matches!(state, State::Blocked | State::Conflicted | State::Unhealthy);
        (!self.is_ready()).then(|| Obstacle {
            reason: *reason,
            message: format!("block {}: {message}", id.block),
            moves: !halted && !self.is_held(),
            stuck: self.waits_for_a_yes(),
            held: self.is_held(),
            passing: self.is_passing(),
        })
    }

    /// A step that a person has to say yes to.
    fn waits_for_a_yes(&self) -> bool {
        self.decision.state == State::Blocked && self.decision.reason == Reason::AwaitingApproval
    }

    fn is_held(&self) -> bool {
        let held = matches!(self.decision.reason, Reason::Paused | Reason::AwaitingApproval);
        held && !self.is_ready() && !self.waits_for_a_yes()
    }

    /// While it is like this, what was told to a server before stands: a roll, a new part, a plan that is held. What fell ill
    /// or is gone enforces nothing.
    fn is_passing(&self) -> bool {
        let passing = match self.decision.state {
            State::Ready
            | State::Absent
            | State::Waiting
            | State::OutOfDate
            | State::Progressing
            | State::Suspended => true,
            State::Blocked => self.waits_for_a_yes(),
            _ => false,
        };
        passing && !self.vanished
    }

    fn severity(&self) -> (u8, bool) {
        (self.decision.state.severity(), !self.is_ready())
    }
}

/// The servers of an exchange, as far as they are; and what the Stack's other blocks do for agencies.
pub(super) struct Servers<'a> {
    /// What keeps every object waiting; nothing is known beyond it.
    shut: Option<Obstacle>,
    /// Units of the exchange's block that are about nobody in particular.
    common: Vec<Told<'a>>,
    /// Units of any block that are about one thing of the exchange, by its key.
    keyed: BTreeMap<&'a str, Vec<Told<'a>>>,
    /// Units of each block.
    blocks: BTreeMap<&'a str, (&'a BlockPlan, Vec<Told<'a>>)>,
    /// What is rendered into agencies' namespaces.
    parts: BTreeMap<Subject, TenantState>,
    exchange: Option<&'a str>,
}

impl<'a> Servers<'a> {
    pub fn of(ground: &Ground<'a>) -> Self {
        let mut servers = Self {
            shut: None,
            common: Vec::new(),
            keyed: BTreeMap::new(),
            blocks: BTreeMap::new(),
            parts: BTreeMap::new(),
            exchange: ground.compiled().server.as_ref().map(|server| server.block.as_str()),
        };
        match ground {
            Ground::Planned { plan, decisions, observed } => servers.look(plan, decisions, observed),
            Ground::Refused { stack, .. } => {
                let message = format!(
                    "Stack {stack} has no valid plan: what runs is left as it is until its team has corrected its spec"
                );
                let shut = Obstacle { held: true, passing: true, ..shut(Reason::Waiting, message) };
                servers.shut = Some(shut);
            }
            Ground::Deleting { stack, .. } => {
                let message = format!("Stack {stack} is being deleted, and its exchange with it");
                servers.shut = Some(Obstacle { moves: true, ..shut(Reason::Deleting, message) });
            }
        }
        servers
    }

    fn look(&mut self, plan: &'a Plan, decisions: &'a Decisions, observed: &Observed) {
        self.parts = tenants(plan, decisions, observed);
        let keys = keys(&plan.exchange);
        let decided: BTreeMap<&UnitId, &UnitDecision> = decisions.units.iter().map(|u| (&u.id, u)).collect();
        for block in &plan.blocks {
            let inventory = observed.inventory.get(&block.name);
            let told = block.units.iter().filter_map(|unit| {
                let decision = *decided.get(&unit.id)?;
                let vanished =
                    unit.step.is_none() && inventory.is_some_and(|old| has_vanished(decision, old));
                Some(Told { unit, decision, vanished })
            });
            let told: Vec<Told<'a>> = told.collect();
            for one in &told {
                match key_in(&one.unit.id.name, |key| keys.contains(key)) {
                    Some(key) => self.keyed.entry(key).or_default().push(*one),
                    None if Some(block.name.as_str()) == self.exchange => self.common.push(*one),
                    None => {}
                }
            }
            self.blocks.insert(&block.name, (block, told));
        }
        self.shut = match self.exchange.and_then(|exchange| self.blocks.get(exchange)) {
            None => {
                let message = "the Stack has no block that is an exchange: nothing enforces this".to_owned();
                Some(Obstacle { stuck: true, ..shut(Reason::Blocked, message) })
            }
            Some((block, _)) => blocked(block),
        };
    }

    /// What keeps the exchange from enforcing something. Of what is about one thing alone, that of `own` counts.
    pub fn obstacle(&self, own: &[String]) -> Option<Obstacle> {
        if let Some(shut) = &self.shut {
            return Some(shut.clone());
        }
        let all: Vec<Told<'_>> = self.common.iter().copied().chain(self.of_keys(own)).collect();
        let obstacle = worst(&all)?;
        let reason = if obstacle.reason == Reason::Unreachable { obstacle.reason } else { Reason::Waiting };
        Some(Obstacle { reason, stuck: false, ..obstacle })
    }

    /// A step that is about these things alone and waits for a person's yes.
    pub fn waits_for_a_yes(&self, own: &[String]) -> Option<Obstacle> {
        self.of_keys(own).find(Told::waits_for_a_yes).and_then(|told| told.obstacle())
    }

    /// Steps of the exchange's onboarding that are about these things alone: whether one waits for a person's yes, and how
    /// many there are.
    pub fn steps(&self, own: &[String]) -> (bool, usize) {
        let exchange = self.exchange;
        let steps = self.of_keys(own).filter(|told| told.unit.step.is_some());
        let steps: Vec<Told<'_>> =
            steps.filter(|told| Some(told.unit.id.block.as_str()) == exchange).collect();
        (steps.iter().any(Told::waits_for_a_yes), steps.len())
    }

    /// Why the exchange is not told what is compiled, where a person holds it back.
    pub fn held(&self) -> Option<String> {
        if let Some(shut) = &self.shut {
            return shut.held.then(|| shut.message.clone());
        }
        let units = self.exchange.and_then(|exchange| self.blocks.get(exchange)).map(|(_, told)| told);
        let held = units.into_iter().flatten().find(|told| told.is_held())?;
        held.obstacle().map(|obstacle| obstacle.message)
    }

    /// What keeps a registry that a block runs from being there: of its units those that are the registry's own, all of them
    /// where none is.
    pub fn registry(&self, block: &str, code: &str, codes: &BTreeSet<&str>) -> Option<Obstacle> {
        if let Some(shut) = self.shut.as_ref().filter(|shut| shut.held || shut.reason == Reason::Deleting) {
            return Some(shut.clone());
        }
        let Some((plan, told)) = self.blocks.get(block) else {
            return Some(shut(Reason::Waiting, format!("block {block} is not in the plan")));
        };
        if let Some(blocked) = blocked(plan) {
            return Some(blocked);
        }
        let is_own = |told: &&Told<'_>| key_in(&told.unit.id.name, |end| codes.contains(end)) == Some(code);
        let own: Vec<Told<'_>> = told.iter().filter(is_own).copied().collect();
        let obstacle = worst(if own.is_empty() { told } else { &own })?;
        Some(Obstacle { passing: obstacle.held && obstacle.passing, ..obstacle })
    }

    /// What keeps what is rendered for an object into its own namespace from being there.
    pub fn part(&self, subject: &Subject) -> Option<Obstacle> {
        let TenantState { state, reason, message } = self.parts.get(subject)?;
        let halted = matches!(state, State::Blocked | State::Conflicted | State::Unhealthy);
        let held = matches!(reason, Reason::Paused | Reason::AwaitingApproval);
        (*state != State::Ready).then(|| Obstacle {
            reason: *reason,
            message: message.clone(),
            moves: !halted && !held,
            stuck: matches!(state, State::Blocked | State::Conflicted),
            held,
            passing: held && !halted,
        })
    }

    /// The product of a block.
    pub fn product(&self, block: &str) -> Option<&'a str> {
        self.blocks.get(block).and_then(|(plan, _)| plan.product.as_deref())
    }

    fn of_keys<'s>(&'s self, own: &'s [String]) -> impl Iterator<Item = Told<'a>> + 's {
        own.iter().filter_map(|key| self.keyed.get(key.as_str())).flatten().copied()
    }
}

/// Whether an object that was there before is not there.
fn has_vanished(decision: &UnitDecision, inventory: &Inventory) -> bool {
    let mut absent = decision.objects.iter().filter(|object| object.state == State::Absent);
    absent.any(|object| inventory.entries.iter().any(|entry| entry.key == object.key))
}

/// The worst of some units, the first of equals.
fn worst(told: &[Told<'_>]) -> Option<Obstacle> {
    let worst = told.iter().rev().max_by_key(|told| told.severity())?;
    let passing = told.iter().all(Told::is_passing);
    worst.obstacle().map(|obstacle| Obstacle { passing, ..obstacle })
}

/// A block that is not deployed at all.
fn blocked(block: &BlockPlan) -> Option<Obstacle> {
    let finding = block.blocked.first()?;
    Some(shut(Reason::Waiting, format!("block {}: {finding}", block.name)))
}

fn shut(reason: Reason, message: String) -> Obstacle {
    Obstacle { reason, message, moves: false, stuck: false, held: false, passing: false }
}

/// Keys of an organisation: of its subsystems, of it as a participant, its own.
pub(super) fn keys_of(id: &MemberId, spec: &MemberSpec) -> impl Iterator<Item = String> {
    let subsystems = spec.subsystems.iter().map(|subsystem| id.subsystem(&subsystem.code).key());
    let participant = spec.participant.as_ref().map(|participant| participant_key(&participant.id));
    subsystems.chain(participant).chain([id.key()])
}

/// Every key that stands for one thing of the exchange.
fn keys(compiled: &Compiled) -> BTreeSet<String> {
    let members = compiled.members.iter().flat_map(|(id, member)| keys_of(id, &member.spec));
    let services = compiled.services.keys().map(|id| id.key());
    let agreements = compiled.grants.iter().map(|grant| agreement_key(&grant.right.agreement));
    members.chain(services).chain(agreements).collect()
}

/// The key that a unit's name ends with: the longest, when one ends with another.
fn key_in(name: &str, known: impl Fn(&str) -> bool) -> Option<&str> {
    let mut ends = name.match_indices('-').map(|(at, _)| &name[at + 1..]);
    ends.find(|end| known(end))
}
