//! What is said about an object, kind by kind.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Registry;
use plinth_api::condition::Reason;
use plinth_api::v1alpha1::agreement::{AgreementPhase, Enforcement, ExchangeAgreementStatus};
use plinth_api::v1alpha1::member::{MemberStatus, MembershipState};
use plinth_api::v1alpha1::registry::RegistryStatus;
use plinth_api::v1alpha1::service::{BindingStatus, PublicServiceStatus, UseStatus};

use super::enforcement::enforcement;
use super::servers::{Obstacle, keys_of};
use super::{Report, Seen, Status, Word, wrong};
use crate::exchange::compile::{Compiled, Consumer, Grant, Standing};
use crate::exchange::declared::Subject;
use crate::exchange::id::{MemberId, ServiceId, SubsystemId};
use crate::exchange::vars::agreement_key;
use crate::status::{MAX_LISTED, listed};

/// What is said about one object.
pub(super) struct Said {
    pub facts: Status,
    pub word: Word,
    /// Its steps of onboarding that were not really run.
    pub unrun: usize,
}

/// What of a Stack's exchange is looked up by name.
pub(super) struct Index<'a> {
    grants: BTreeMap<&'a str, &'a Grant>,
    registries: BTreeMap<(&'a str, &'a str), &'a Registry>,
    consumers: BTreeMap<(&'a str, &'a str), &'a Consumer>,
    /// Codes of the registries that each block runs.
    codes: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Keys of the services of each organisation.
    services: BTreeMap<&'a MemberId, Vec<String>>,
}

impl<'a> Index<'a> {
    pub fn of(compiled: &'a Compiled) -> Self {
        let mut index = Self {
            grants: compiled.grants.iter().map(|grant| (grant.right.agreement.as_str(), grant)).collect(),
            registries: BTreeMap::new(),
            consumers: compiled
                .consumers
                .iter()
                .map(|c| ((c.namespace.as_str(), c.name.as_str()), c))
                .collect(),
            codes: BTreeMap::new(),
            services: BTreeMap::new(),
        };
        for registry in &compiled.registries {
            let namespace = registry.metadata.namespace.as_deref().unwrap_or_default();
            let name = registry.metadata.name.as_deref().unwrap_or_default();
            index.registries.insert((namespace, name), registry);
            if let Some(block) = &registry.spec.block {
                index.codes.entry(block).or_default().insert(&registry.spec.code);
            }
        }
        for id in compiled.services.keys() {
            index.services.entry(&id.subsystem.member).or_default().push(id.key());
        }
        index
    }

    /// Secrets with what a public service uses.
    fn bindings(&self, subject: &Subject, compiled: &Compiled) -> Vec<BindingStatus> {
        let consumer = self.consumers.get(&(subject.namespace.as_str(), subject.name.as_str()));
        consumer.map(|consumer| consumer.bindings(compiled)).unwrap_or_default()
    }
}

impl Report<'_> {
    /// A Member, and how far the exchange is with it.
    pub(super) fn member(
        &self,
        subject: &Subject,
        standing: &Standing,
        (id, services, disabled): (&MemberId, usize, bool),
        seen: &Seen,
    ) -> Said {
        let facts = |state| {
            let id = Some(id.to_string());
            Status::Member(MemberStatus { id, state, services, ..MemberStatus::default() })
        };
        let organisation = self.compiled.members.get(id);
        let takes_part =
            organisation.is_some_and(|o| o.namespace == subject.namespace && o.object == subject.name);
        let own = if takes_part { self.keys_of(id) } else { Vec::new() };
        let (asks, steps) = self.servers.steps(&own);
        // A Job that simulated nodes complete has told nobody anything.
        let unrun = if self.simulated == Some(true) { steps } else { 0 };
        let at_best = if disabled { MembershipState::Disabled } else { MembershipState::Registered };
        let kept = self.kept(subject, &own, seen, &facts(at_best));
        let state = match &kept {
            _ if !takes_part => MembershipState::Saved,
            _ if disabled => MembershipState::Disabled,
            _ if asks => MembershipState::RequiresApproval,
            Some(Obstacle { reason: Reason::Deleting, .. }) => MembershipState::Deleted,
            Some(Obstacle { held: true, .. } | Obstacle { reason: Reason::Blocked, .. }) => {
                MembershipState::Saved
            }
            None if unrun == 0 => MembershipState::Registered,
            _ => MembershipState::RegistrationInProgress,
        };
        let word = match (wrong(standing), self.servers.waits_for_a_yes(&own), kept) {
            (Some(wrong), ..) => self.behind(wrong),
            (_, Some(obstacle), _) | (.., Some(obstacle)) => Word::Kept(obstacle),
            _ if disabled => {
                Word::Ready(format!("{id} is disabled, as declared: it neither calls nor serves"))
            }
            _ if unrun > 0 => {
                Word::Waits { reason: Reason::Simulated, message: format!("{id}: {}", not_run(unrun)) }
            }
            _ => Word::Ready(format!("{id} takes part")),
        };
        Said { facts: facts(state), word, unrun }
    }

    /// An agreement: where it stands in time, and who enforces it.
    pub(super) fn agreement(
        &self,
        subject: &Subject,
        standing: &Standing,
        (phase, service, consumers): (AgreementPhase, Option<&ServiceId>, &[SubsystemId]),
        seen: &Seen,
    ) -> Said {
        let name = format!("{}/{}", subject.namespace, subject.name);
        let grant = self.index.grants.get(name.as_str()).copied();
        let more = consumers.len().saturating_sub(MAX_LISTED);
        let facts = Status::Agreement(ExchangeAgreementStatus {
            phase,
            service: service.map(ToString::to_string),
            consumers: consumers.iter().take(MAX_LISTED).map(ToString::to_string).collect(),
            more_consumers: (more > 0).then_some(more),
            enforcement: grant.map(|grant| self.enforcement(grant, seen)).unwrap_or_default(),
            ..ExchangeAgreementStatus::default()
        });
        let waits = |reason, message: String| Word::Waits { reason, message };
        let word = match (wrong(standing), phase) {
            (Some(wrong), _) => self.behind(wrong),
            (None, AgreementPhase::Refused) => self.behind(Word::Wrong {
                reason: Reason::Invalid,
                message: "spec.consumers: nobody is in the groups that it names".to_owned(),
            }),
            (None, AgreementPhase::Expired) => {
                let message = "its time is over: spec.validity.until has passed";
                self.behind(waits(Reason::Expired, message.to_owned()))
            }
            (None, AgreementPhase::Scheduled) => {
                let from = grant.and_then(|grant| grant.right.from);
                let from = from.map_or_else(|| "spec.validity.from".to_owned(), |from| from.to_string());
                waits(Reason::Scheduled, format!("grants nothing before {from}"))
            }
            (None, AgreementPhase::Active) => {
                let own = keys_of_agreement(&name, service, consumers);
                match self.kept(subject, &own, seen, &facts) {
                    Some(obstacle) => Word::Kept(obstacle),
                    None => Word::Ready(in_force(consumers, service)),
                }
            }
        };
        Said { facts, word, unrun: 0 }
    }

    fn enforcement(&self, grant: &Grant, seen: &Seen) -> Vec<Enforcement> {
        match (&self.closed, &seen.status) {
            (Some(closed), _) => enforcement(grant, self.compiled, closed),
            // Nobody looks at what runs: what was said of it stands.
            (None, Status::Agreement(status)) => status.enforcement.clone(),
            (None, _) => Vec::new(),
        }
    }

    /// A registry: one that runs elsewhere is wired; one of a block's is ready when what is its own there is.
    pub(super) fn registry(
        &self,
        subject: &Subject,
        standing: &Standing,
        (block, services): (Option<&str>, &[ServiceId]),
        seen: &Seen,
    ) -> Said {
        let facts = Status::Registry(RegistryStatus {
            runs: Some(self.runs(block, seen)),
            services: services.iter().map(ToString::to_string).collect(),
            ..RegistryStatus::default()
        });
        let settled = self.index.registries.get(&(subject.namespace.as_str(), subject.name.as_str()));
        let word = match (wrong(standing), block, settled) {
            (Some(Word::Wrong { message, .. }), Some(block), Some(registry))
                if self.narrows(block, &registry.spec.code) =>
            {
                Word::Wrong { reason: Reason::AwaitingApproval, message }
            }
            (Some(wrong), ..) => wrong,
            (None, Some(block), Some(registry)) => {
                let none = BTreeSet::new();
                let codes = self.index.codes.get(block).unwrap_or(&none);
                let obstacle = self.servers.registry(block, &registry.spec.code, codes);
                match obstacle.filter(|obstacle| !(obstacle.passing && seen.was_ready(&facts))) {
                    Some(obstacle) => Word::Kept(obstacle),
                    None => Word::Ready(format!("block {block} runs it")),
                }
            }
            (None, ..) => Word::Ready("external: wired as declared, not probed".to_owned()),
        };
        Said { facts, word, unrun: 0 }
    }

    /// Whether a change of a registry's schema waits for a person's yes.
    fn narrows(&self, block: &str, code: &str) -> bool {
        let mut held = self.compiled.narrowing.iter().filter(|narrows| !narrows.approved);
        held.any(|narrows| narrows.block == block && narrows.code == code)
    }

    /// Where a registry runs.
    fn runs(&self, block: Option<&str>, seen: &Seen) -> String {
        let Some(block) = block else { return "external".to_owned() };
        match (self.servers.product(block), &seen.status) {
            (Some(product), _) => format!("{block} ({product})"),
            (None, Status::Registry(RegistryStatus { runs: Some(runs), .. })) if self.closed.is_none() => {
                runs.clone()
            }
            (None, _) => block.to_owned(),
        }
    }

    /// A public service: what it asked for, and what came of it.
    pub(super) fn public_service(
        &self,
        subject: &Subject,
        standing: &Standing,
        (client, uses, known): (Option<&SubsystemId>, &[UseStatus], PublicServiceStatus),
        seen: &Seen,
    ) -> Said {
        let granted = uses.iter().filter(|wanted| wanted.granted).count();
        let facts = Status::PublicService(PublicServiceStatus {
            client: client.map(ToString::to_string),
            granted: (!uses.is_empty()).then(|| format!("{granted}/{}", uses.len())),
            uses: uses.to_vec(),
            bindings: self.index.bindings(subject, self.compiled),
            ..known
        });
        let own: Vec<String> = client.iter().flat_map(|id| [id.key(), id.member.key()]).collect();
        let word = match wrong(standing) {
            Some(wrong) => wrong,
            None if !standing.waits.is_empty() => {
                Word::Waits { reason: Reason::NotGranted, message: listed(&standing.waits) }
            }
            None => {
                let part =
                    || self.servers.part(subject).filter(|part| !(part.passing && seen.was_ready(&facts)));
                let kept = if uses.is_empty() { part() } else { self.kept(subject, &own, seen, &facts) };
                match kept {
                    Some(obstacle) => Word::Kept(obstacle),
                    None if uses.is_empty() => Word::Ready("it uses no service of the exchange".to_owned()),
                    None => {
                        let decide: BTreeSet<&str> =
                            uses.iter().filter_map(|used| used.decided_by.as_deref()).collect();
                        let own = format!("{granted} of {} services are granted", uses.len());
                        let abroad = decide.into_iter().collect::<Vec<_>>().join(", ");
                        Word::Ready(match abroad.as_str() {
                            "" => own,
                            abroad => format!(
                                "{own}; of the others {abroad} decides, whose agreements are not known here"
                            ),
                        })
                    }
                }
            }
        };
        Said { facts, word, unrun: 0 }
    }

    /// What keeps an object that is right from being there; nothing, while what was made of it before stands.
    fn kept(&self, subject: &Subject, own: &[String], seen: &Seen, facts: &Status) -> Option<Obstacle> {
        let obstacles = [self.servers.obstacle(own), self.servers.part(subject)];
        let counts = |obstacle: &Obstacle| !(obstacle.passing && seen.was_ready(facts));
        obstacles.into_iter().flatten().find(counts)
    }

    /// What is said of an object that grants nothing, or nothing any more, while its exchange is not told so.
    fn behind(&self, word: Word) -> Word {
        let Some(held) = self.servers.held() else { return word };
        let and = |message: String| {
            format!("{message}; meanwhile the exchange keeps to what it was told before: {held}")
        };
        match word {
            Word::Wrong { reason, message } => Word::Wrong { reason, message: and(message) },
            Word::Waits { reason, message } => Word::Waits { reason, message: and(message) },
            other => other,
        }
    }

    /// Keys of what an organisation has, its services too.
    fn keys_of(&self, id: &MemberId) -> Vec<String> {
        let organisation = self.compiled.members.get(id);
        let own = organisation.into_iter().flat_map(|organisation| keys_of(id, &organisation.spec));
        own.chain(self.index.services.get(id).into_iter().flatten().cloned()).collect()
    }
}

/// Keys of what an agreement needs: itself, the service, and whoever is at both ends.
fn keys_of_agreement(name: &str, service: Option<&ServiceId>, consumers: &[SubsystemId]) -> Vec<String> {
    let ends = service.map(|service| &service.subsystem).into_iter().chain(consumers);
    let ends = ends.flat_map(|id| [id.key(), id.member.key()]);
    ends.chain(service.map(ServiceId::key)).chain([agreement_key(name)]).collect()
}

fn in_force(consumers: &[SubsystemId], service: Option<&ServiceId>) -> String {
    let service = service.map(ToString::to_string).unwrap_or_default();
    match consumers {
        [one] => format!("in force: {one} may call {service}"),
        all => format!("in force: {} subsystems may call {service}", all.len()),
    }
}

/// So many steps of onboarding, which have told nobody anything.
pub(super) fn not_run(steps: usize) -> String {
    let count = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
    format!("{count} of its onboarding not run: the nodes are simulated")
}
