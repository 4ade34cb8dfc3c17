//! From what agencies have declared to what holds: members, services, rights, and a word on each object. Total: an object
//! that is wrong grants nothing, says why, and stops nobody else.

mod agreements;
mod backends;
mod federation;
mod members;
mod off;
mod registries;
mod services;
mod tenants;

pub(super) use self::members::hosts;

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::v1alpha1::agreement::AgreementPhase;
use plinth_api::v1alpha1::exchange::Endpoint;
use plinth_api::v1alpha1::member::{MemberSpec, Participant};
use plinth_api::v1alpha1::service::{PublicServiceSpec, UseStatus};
use plinth_api::{ExchangeAgreement, Registry, RegistrySpec};

pub use self::backends::Where;
pub use self::services::blocks_used;
pub(crate) use self::tenants::called;
pub use self::tenants::{EXCHANGE, OwnPods, Server, Tenant};
use serde_json::{Value, json};

use super::applied::Narrows;
use super::declared::{Declared, Subject};
use super::federation::Federated;
use super::id::{MemberId, ServiceId, SubsystemId};
use super::rights::{Right, Rights, Served};
use super::tenancy::{outside, target};
use crate::catalogue::Catalogue;
use crate::model::Finding;
use crate::resolve::{finding, stack_id};

/// The exchange of a Stack, as far as its parts are right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Instance.
    pub instance: String,
    /// The Stack has an exchange, whether or not anybody takes part: what nobody declares is closed.
    pub in_use: bool,
    /// Organisations that take part, or are kept out for the time being.
    pub members: BTreeMap<MemberId, Organisation>,
    /// What they serve.
    pub services: BTreeMap<ServiceId, Offer>,
    /// What is granted, in the order of the agreements' names: in force, or scheduled.
    pub grants: Vec<Grant>,
    /// Registries, with the schema and the indexes that they run with.
    pub registries: Vec<Registry>,
    /// Changes of schemas that may refuse records that stand: held, or approved and on their way.
    pub narrowing: Vec<Narrows>,
    /// Consumers.
    pub consumers: Vec<Consumer>,
    /// The product that is the exchange.
    pub server: Option<Server>,
    /// Other instances that the Stack names, and how it stands with each.
    pub federation: Vec<Federated>,
    /// What is rendered into agencies' namespaces.
    pub tenants: Vec<Tenant>,
    /// What is to be said about each object.
    pub standing: BTreeMap<Subject, Standing>,
    /// Seconds since the Unix epoch at which time alone changes something.
    pub next: Option<i64>,
}

/// An organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Organisation {
    /// Namespace of its Member.
    pub namespace: String,
    /// Name of its Member.
    pub object: String,
    /// As declared.
    pub spec: MemberSpec,
    /// What it is to the payments block, where that is right.
    pub participant: Option<Participant>,
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Namespace of the Member that has it.
    pub namespace: String,
    /// What answers.
    pub backend: Where,
    /// What it has; everything where empty.
    pub endpoints: Vec<Endpoint>,
    /// An OpenAPI document describes it.
    pub described: bool,
    /// Its name for people, by language.
    pub names: BTreeMap<String, String>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// What servers enforce.
    pub right: Right,
    /// It is in force now.
    pub in_force: bool,
    /// As declared: purpose, legal basis.
    pub agreement: ExchangeAgreement,
}

/// A public service.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// As declared.
    pub spec: PublicServiceSpec,
    /// As whom it calls.
    pub client: Option<SubsystemId>,
    /// What came of what it asks for.
    pub uses: Vec<UseStatus>,
    /// The identity provider's values for the assurance that it needs, the preferred first.
    pub acr_values: Vec<String>,
}

/// What is to be said about an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Whom it waits for: nothing is wrong, and it is not complete.
    pub waits: Vec<String>,
    /// What it is.
    pub what: What,
}

/// What an object is in the exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum What {
    /// Not of this exchange: the Stack does not admit it.
    #[default]
    Outside,
    /// An organisation.
    Member {
        /// Its identifier.
        id: MemberId,
        /// How many services it has.
        services: usize,
        /// It takes part in nothing for the time being.
        disabled: bool,
    },
    /// A grant.
    Agreement {
        /// Where it stands.
        phase: AgreementPhase,
        /// What it grants.
        service: Option<ServiceId>,
        /// To whom, groups resolved.
        consumers: Vec<SubsystemId>,
    },
    /// A registry.
    Registry {
        /// Block that runs it; `None` for one that already runs elsewhere.
        block: Option<String>,
        /// Services that it answers.
        services: Vec<ServiceId>,
    },
    /// A public service.
    PublicService {
        /// As whom it calls.
        client: Option<SubsystemId>,
        /// What came of what it asks for.
        uses: Vec<UseStatus>,
        /// What the block that signs people in knows of it.
        identity: Option<String>,
        /// What the payments block knows of its programme.
        programme: Option<String>,
    },
}

/// An object that is looked at: where it stands, and what was found.
struct Found<'a, S> {
    subject: Subject,
    spec: &'a S,
    /// What keeps it out.
    findings: Vec<Finding>,
    /// What is wrong with a part of it.
    aside: Vec<Finding>,
}

impl<S> Found<'_, S> {
    fn wrong(&mut self, path: impl AsRef<str>, message: impl Into<String>) {
        self.findings.push(finding(path.as_ref(), message));
    }
}

/// What rooms of this folder look up in one another's results.
struct World<'a> {
    stack: &'a Stack,
    catalogue: &'a Catalogue,
    declared: &'a Declared,
    instance: String,
}

/// Everything that holds in a Stack's exchange.
pub fn compile(stack: &Stack, catalogue: &Catalogue, declared: &Declared) -> Compiled {
    let exchange = stack.spec.exchange.as_ref();
    let instance =
        exchange.and_then(|e| e.instance.clone()).unwrap_or_else(|| stack.spec.country.code.clone());
    let world = World { stack, catalogue, declared, instance };
    let mut out =
        Compiled { instance: world.instance.clone(), in_use: exchange.is_some(), ..Compiled::default() };
    out.server = world.server();
    out.federation = world.federation(out.server.as_ref());
    let mut registries = world.registries(&mut out);
    world.members(&mut registries, &mut out);
    world.settle_registries(registries, &mut out);
    world.agreements(&mut out);
    world.public_services(&mut out);
    world.tenants(&mut out);
    out
}

impl<'a> World<'a> {
    /// The objects of one kind that the Stack admits; a word on the others.
    fn admitted<K, S>(
        &self,
        kind: &'static str,
        objects: &'a [K],
        parts: impl Fn(&'a K) -> (&'a S, &'a plinth_api::v1alpha1::exchange::StackRef),
        out: &mut Compiled,
    ) -> Vec<Found<'a, S>>
    where
        K: kube::Resource,
    {
        let own = stack_id(self.stack);
        let mut found: Vec<Found<'a, S>> = Vec::new();
        for object in objects {
            let meta = object.meta();
            let namespace = meta.namespace.clone().unwrap_or_else(|| own.namespace.clone());
            let name = meta.name.clone().unwrap_or_default();
            let (spec, reference) = parts(object);
            if target(reference, &namespace) != own || meta.deletion_timestamp.is_some() {
                continue;
            }
            let subject = Subject { kind, namespace, name };
            if self.declared.admits(self.stack, &subject.namespace) {
                found.push(Found { subject, spec, findings: Vec::new(), aside: Vec::new() });
            } else {
                let message = outside(&own, &subject.namespace);
                let findings = vec![finding("spec.stackRef", message)];
                out.standing.insert(subject, Standing { findings, ..Standing::default() });
            }
        }
        found.sort_by(|one, other| one.subject.cmp(&other.subject));
        found
    }

    /// Says of everything that is claimed more than once that it is nobody's. Whoever is refused already claims nothing: or
    /// anybody could take a code from whom it is bound to.
    fn unique<S>(&self, found: &mut [Found<'a, S>], path: &str, code: impl Fn(&S) -> Option<String>) {
        let mut claims: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, one) in found.iter().enumerate().filter(|(_, one)| one.findings.is_empty()) {
            if let Some(code) = code(one.spec) {
                claims.entry(code).or_default().push(i);
            }
        }
        for (code, claimants) in claims.into_iter().filter(|(_, claimants)| claimants.len() > 1) {
            for i in &claimants {
                // Who is in another namespace is not named: only that there is somebody.
                let own = &found[*i].subject;
                let near = claimants.iter().filter(|j| *j != i).map(|j| &found[*j].subject);
                let others: Vec<String> = near
                    .map(|other| match other.namespace == own.namespace {
                        true => other.name.clone(),
                        false => "one of another namespace".to_owned(),
                    })
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
                let message = format!(
                    "`{code}` is claimed by {} too; it is nobody's until one of them is deleted or changed",
                    others.join(", ")
                );
                found[*i].wrong(path, message);
            }
        }
    }

    /// Blocks of the Stack.
    fn has_block(&self, name: &str) -> bool {
        self.stack.spec.blocks.iter().any(|block| block.name == name)
    }
}

impl Compiled {
    /// The registries that a block runs, as its product's expressions see them.
    pub fn registries_of(&self, block: &str) -> Vec<Value> {
        let own = self.registries.iter().filter(|r| r.spec.block.as_deref() == Some(block));
        own.map(|registry| self.registry_vars(registry)).collect()
    }

    fn registry_vars(&self, registry: &Registry) -> Value {
        let spec = &registry.spec;
        let owner = self.member_of(registry.metadata.namespace.as_deref().unwrap_or_default(), &spec.owner);
        json!({
            "code": spec.code,
            "names": spec.names,
            "title": spec.names.values().next().unwrap_or(&spec.code),
            "owner": owner.map(|(id, _)| id.to_string()).unwrap_or_default(),
            "systems": owner.map(|(id, member)| systems(id, member)).unwrap_or_default(),
            "schema": spec.schema,
            "indexes": spec.indexes,
            "people": spec.people,
            "properties": properties(spec),
            "classification": spec.classification,
            "priority": spec.priority,
            "retention": spec.retention,
        })
    }

    /// What the exchange's servers enforce.
    pub fn rights(&self) -> Rights {
        let active = self.members.iter().filter(|(_, member)| !member.spec.disabled);
        let subsystems = active.flat_map(|(id, m)| m.spec.subsystems.iter().map(|s| id.subsystem(&s.code)));
        let served = |offer: &Offer| Served { endpoints: offer.endpoints.clone() };
        Rights {
            instance: self.instance.clone(),
            subsystems: subsystems.collect(),
            services: self.services.iter().map(|(id, offer)| (id.clone(), served(offer))).collect(),
            rights: self.grants.iter().map(|grant| grant.right.clone()).collect(),
            peers: self.peers().map(|(peer, _)| peer.instance.clone()).collect(),
        }
    }

    /// Subsystems whose pods have a way to the exchange: those that an agreement grants something, now or later, and those
    /// that ask for what a peer serves, for that is the peer's to grant.
    pub fn consuming(&self) -> BTreeSet<SubsystemId> {
        let granted = self.grants.iter().flat_map(|grant| grant.right.consumers.iter().cloned());
        let abroad = |consumer: &&Consumer| consumer.uses.iter().any(|used| used.decided_by.is_some());
        let abroad = self.consumers.iter().filter(abroad).filter_map(|consumer| consumer.client.clone());
        granted.chain(abroad).collect()
    }

    /// The organisation that a Member is.
    pub fn member_of(&self, namespace: &str, object: &str) -> Option<(&MemberId, &Organisation)> {
        self.members.iter().find(|(_, member)| member.namespace == namespace && member.object == object)
    }

    /// Who offers a public service: the organisation that it calls as; where it calls nobody, the only one of its namespace.
    pub fn offered_by<'s>(&'s self, consumer: &'s Consumer) -> Option<&'s MemberId> {
        if let Some(client) = &consumer.client {
            return Some(&client.member);
        }
        let mut own = self.members.iter().filter(|(_, member)| member.namespace == consumer.namespace);
        let (id, _) = own.next()?;
        own.next().is_none().then_some(id)
    }

    /// Whether the subsystem is one of a member that takes part.
    pub fn has_subsystem(&self, id: &SubsystemId) -> bool {
        self.subsystem(id).is_some_and(|(member, _)| !member.spec.disabled)
    }

    /// A subsystem with its member.
    pub fn subsystem(
        &self,
        id: &SubsystemId,
    ) -> Option<(&Organisation, &plinth_api::v1alpha1::member::Subsystem)> {
        let member = self.members.get(&id.member)?;
        member.spec.subsystems.iter().find(|s| s.code == id.subsystem).map(|subsystem| (member, subsystem))
    }
}

/// Identifiers of a member's systems, as X-Road's header of who calls has them.
fn systems(id: &MemberId, member: &Organisation) -> Vec<String> {
    member.spec.subsystems.iter().map(|system| id.subsystem(&system.code).to_string()).collect()
}

/// Names of the properties that a registry's schema has, in the order of the alphabet: API servers keep no other.
fn properties(spec: &RegistrySpec) -> BTreeSet<&String> {
    let properties = spec.schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.keys()).collect()
}
