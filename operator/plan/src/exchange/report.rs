//! From what holds in the exchange to the status of each object that agencies have declared: where it stands, what is at
//! fault, whose turn it is. Deterministic to the byte: the same picture over the same previous status gives the same status.
//! Pure; `now` is handed in and used for transitions alone.

mod enforcement;
mod objects;
mod servers;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use plinth_api::condition::{self, Reason, Verdict};
use plinth_api::{ExchangeAgreementStatus, MemberStatus, PublicServiceStatus, RegistryStatus};
use serde::Serialize;

use self::enforcement::Closed;
use self::objects::{Index, Said, not_run};
use self::servers::{Obstacle, Servers};
use super::compile::{Compiled, Standing, What};
use super::declared::{AGREEMENT, PUBLIC_SERVICE, REGISTRY, Subject};
use super::tenancy::outside;
use crate::model::{Decisions, Observed, Plan, StackId};
use crate::status::{NOBODY_NEEDED, listed, merged, verdict};

/// Status of an object of the exchange.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// Of an organisation.
    Member(MemberStatus),
    /// Of a grant.
    Agreement(ExchangeAgreementStatus),
    /// Of a registry.
    Registry(RegistryStatus),
    /// Of a consumer.
    PublicService(PublicServiceStatus),
}

impl Status {
    /// The status of an object of that kind of which nothing was said yet.
    pub fn of(kind: &str) -> Self {
        match kind {
            AGREEMENT => Self::Agreement(ExchangeAgreementStatus::default()),
            REGISTRY => Self::Registry(RegistryStatus::default()),
            PUBLIC_SERVICE => Self::PublicService(PublicServiceStatus::default()),
            _ => Self::Member(MemberStatus::default()),
        }
    }

    /// Its conditions.
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::Member(status) => &status.conditions,
            Self::Agreement(status) => &status.conditions,
            Self::Registry(status) => &status.conditions,
            Self::PublicService(status) => &status.conditions,
        }
    }

    /// Generation that it was said of.
    pub fn observed_generation(&self) -> Option<i64> {
        match self {
            Self::Member(status) => status.observed_generation,
            Self::Agreement(status) => status.observed_generation,
            Self::Registry(status) => status.observed_generation,
            Self::PublicService(status) => status.observed_generation,
        }
    }

    /// The same facts with these conditions, said of that generation.
    fn saying(mut self, conditions: Vec<Condition>, generation: Option<i64>) -> Self {
        let (said, observed) = match &mut self {
            Self::Member(status) => (&mut status.conditions, &mut status.observed_generation),
            Self::Agreement(status) => (&mut status.conditions, &mut status.observed_generation),
            Self::Registry(status) => (&mut status.conditions, &mut status.observed_generation),
            Self::PublicService(status) => (&mut status.conditions, &mut status.observed_generation),
        };
        (*said, *observed) = (conditions, generation);
        self
    }

    /// What it says beside its conditions.
    fn facts(&self) -> Self {
        self.clone().saying(Vec::new(), None)
    }
}

/// An object as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Generation of its spec.
    pub generation: i64,
    /// What its status said.
    pub status: Status,
}

impl Seen {
    /// It was ready as it is now, and these facts were said of it: what was made of it then is what is wanted now.
    fn was_ready(&self, facts: &Status) -> bool {
        let said =
            |c: &&Condition| c.type_ == condition::READY && c.observed_generation == Some(self.generation);
        self.status.conditions().iter().find(said).is_some_and(|ready| ready.status == "True")
            && self.status.facts() == *facts
    }
}

/// What a report stands on.
#[derive(Clone, Copy, Debug)]
pub enum Ground<'a> {
    /// There is a plan, and decisions about it.
    Planned {
        /// What should be, and with it what holds.
        plan: &'a Plan,
        /// What is done about it.
        decisions: &'a Decisions,
        /// What is.
        observed: &'a Observed,
    },
    /// The Stack's spec is refused: what runs is left alone.
    Refused {
        /// What would hold.
        compiled: &'a Compiled,
        /// The Stack.
        stack: &'a StackId,
    },
    /// The Stack is being deleted, and everything with it.
    Deleting {
        /// What held.
        compiled: &'a Compiled,
        /// The Stack.
        stack: &'a StackId,
    },
}

impl<'a> Ground<'a> {
    fn compiled(&self) -> &'a Compiled {
        match self {
            Self::Planned { plan, .. } => &plan.exchange,
            Self::Refused { compiled, .. } | Self::Deleting { compiled, .. } => compiled,
        }
    }

    /// Whether the nodes are simulated; `None` when nobody looked.
    fn simulated(&self) -> Option<bool> {
        match self {
            Self::Planned { observed, .. } => Some(observed.simulated),
            Self::Refused { .. } | Self::Deleting { .. } => None,
        }
    }

    fn plan(&self) -> Option<&'a Plan> {
        match self {
            Self::Planned { plan, .. } => Some(plan),
            Self::Refused { .. } | Self::Deleting { .. } => None,
        }
    }
}

/// Status of every object of the Stack's exchange. `seen` holds each object as it was read, a new one has generation 1.
pub fn report(ground: Ground<'_>, seen: &BTreeMap<Subject, Seen>, now: &Time) -> BTreeMap<Subject, Status> {
    let compiled = ground.compiled();
    let report = Report {
        compiled,
        servers: Servers::of(&ground),
        index: Index::of(compiled),
        closed: ground.plan().map(Closed::of),
        simulated: ground.simulated(),
    };
    let told = compiled.standing.iter().map(|(subject, standing)| {
        let new = || Seen { generation: 1, status: Status::of(subject.kind) };
        let seen = seen.get(subject).cloned().unwrap_or_else(new);
        (subject.clone(), report.status(subject, standing, &seen, now))
    });
    told.collect()
}

/// Status of an object whose Stack is not there, or does not admit it: the same in both cases.
pub fn not_admitted(subject: &Subject, stack: &StackId, seen: &Seen, now: &Time) -> Status {
    let said = format!("spec.stackRef: {}", outside(stack, &subject.namespace));
    refused(subject, Reason::NotAdmitted, said, seen, now)
}

/// Status of an object that this version of Plinth cannot read.
pub fn not_understood(subject: &Subject, why: &str, seen: &Seen, now: &Time) -> Status {
    refused(subject, Reason::Invalid, format!("spec: is not understood: {why}"), seen, now)
}

/// Status of an object whose Stack this version of Plinth cannot read, where it has changed since it was told; what was told
/// before stands, for what runs is left alone.
pub fn stack_not_understood(stack: &StackId, seen: &Seen, now: &Time) -> Option<Status> {
    if seen.status.observed_generation() == Some(seen.generation) {
        return None;
    }
    let message =
        format!("Stack {stack} is not understood: its own status says why, and what was told before stands");
    let verdicts = Word::Waits { reason: Reason::Waiting, message }.verdicts();
    let conditions = merged(verdicts, seen.status.conditions(), seen.generation, now);
    Some(seen.status.clone().saying(conditions, Some(seen.generation)))
}

/// Status of an object of which nothing more can be said than what is wrong with it.
fn refused(subject: &Subject, reason: Reason, message: String, seen: &Seen, now: &Time) -> Status {
    let verdicts = Word::Wrong { reason, message }.verdicts();
    let conditions = merged(verdicts, seen.status.conditions(), seen.generation, now);
    Status::of(subject.kind).saying(conditions, Some(seen.generation))
}

/// What is said about an object, before it is spread over its conditions.
enum Word {
    /// It has to be corrected.
    Wrong { reason: Reason, message: String },
    /// Nothing is wrong, and it is not complete: another person's turn, or time's.
    Waits { reason: Reason, message: String },
    /// Right, and not there yet.
    Kept(Obstacle),
    /// There.
    Ready(String),
}

impl Word {
    fn verdicts(self) -> Vec<Verdict> {
        let trio =
            |ready: Option<bool>, moves: Option<bool>, stuck: Option<bool>, reason, message: String| {
                let moving = match moves {
                    Some(true) => message.clone(),
                    Some(false) => "nothing is being changed; see Ready".to_owned(),
                    None => "will be tried again".to_owned(),
                };
                let person = match stuck {
                    Some(true) => "it cannot go on without a person; see Ready",
                    Some(false) => NOBODY_NEEDED,
                    None => "unknown while the cluster does not answer",
                };
                vec![
                    verdict(condition::READY, ready, reason, message),
                    verdict(condition::RECONCILING, moves, reason, moving),
                    verdict(condition::STALLED, stuck, reason, person),
                ]
            };
        match self {
            Self::Wrong { reason, message } => trio(Some(false), Some(false), Some(true), reason, message),
            Self::Waits { reason, message } => trio(Some(false), Some(false), Some(false), reason, message),
            Self::Kept(Obstacle { reason: Reason::Unreachable, message, .. }) => {
                trio(None, None, None, Reason::Unreachable, message)
            }
            Self::Kept(Obstacle { reason, message, moves, stuck, .. }) => {
                trio(Some(false), Some(moves), Some(stuck), reason, message)
            }
            Self::Ready(message) => vec![
                verdict(condition::READY, Some(true), Reason::AllReady, message),
                verdict(condition::RECONCILING, Some(false), Reason::InSync, "everything is as declared"),
                verdict(condition::STALLED, Some(false), Reason::InSync, NOBODY_NEEDED),
            ],
        }
    }
}

/// What one report looks things up in.
struct Report<'a> {
    compiled: &'a Compiled,
    servers: Servers<'a>,
    index: Index<'a>,
    /// `None` without a plan.
    closed: Option<Closed<'a>>,
    /// The nodes are; unknown without a plan.
    simulated: Option<bool>,
}

impl Report<'_> {
    fn status(&self, subject: &Subject, standing: &Standing, seen: &Seen, now: &Time) -> Status {
        let told = match &standing.what {
            What::Outside => {
                let message = listed(&standing.findings);
                return refused(subject, Reason::NotAdmitted, message, seen, now);
            }
            What::Member { id, services, disabled } => {
                self.member(subject, standing, (id, *services, *disabled), seen)
            }
            What::Agreement { phase, service, consumers } => {
                self.agreement(subject, standing, (*phase, service.as_ref(), consumers), seen)
            }
            What::Registry { block, services } => {
                self.registry(subject, standing, (block.as_deref(), services), seen)
            }
            What::PublicService { client, uses, identity, programme } => {
                let (identity, programme) = (identity.clone(), programme.clone());
                let known = PublicServiceStatus { identity, programme, ..PublicServiceStatus::default() };
                self.public_service(subject, standing, (client.as_ref(), uses, known), seen)
            }
        };
        let Said { facts, word, unrun } = told;
        let mut verdicts = word.verdicts();
        if self.simulated == Some(true) {
            let steps = if unrun > 0 { format!("; {}", not_run(unrun)) } else { String::new() };
            let message = format!("the nodes are simulated: readiness proves order, never content{steps}");
            verdicts.push(verdict(condition::SIMULATED, Some(true), Reason::SimulatedNodes, message));
        }
        let mut conditions = merged(verdicts, seen.status.conditions(), seen.generation, now);
        if self.simulated.is_none() {
            // Nobody has looked at the nodes; what was said of them stands.
            let old = seen.status.conditions().iter().filter(|c| c.type_ == condition::SIMULATED);
            conditions.extend(old.cloned());
        }
        facts.saying(conditions, Some(seen.generation))
    }
}

/// What is wrong, at most 20 findings of it.
fn wrong(standing: &Standing) -> Option<Word> {
    let message = match standing.findings.as_slice() {
        [] => return None,
        [one] => one.to_string(),
        all => format!("{} findings: {}", all.len(), listed(all)),
    };
    Some(Word::Wrong { reason: Reason::Invalid, message })
}
