//! What agencies have declared about a Stack's exchange, fetched before it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use kube::Resource;
use kube::core::ObjectMeta;
use kube::core::object::HasStatus;
use plinth_api::v1alpha1::stack::TenantsFrom;
use plinth_api::{ExchangeAgreement, Member, PublicService, Registry, Stack};
use serde::Serialize;

use super::applied::{self, Applied};
use super::report::Status;
use super::{federation, tenancy};
use crate::resolve::stack_id;

/// Kind of an organisation.
pub const MEMBER: &str = "Member";
/// Kind of a grant.
pub const AGREEMENT: &str = "ExchangeAgreement";
/// Kind of a registry.
pub const REGISTRY: &str = "Registry";
/// Kind of a consumer.
pub const PUBLIC_SERVICE: &str = "PublicService";

/// Every object of the exchange that names the Stack, from any namespace: whether a namespace is admitted at all is decided
/// on, not fetched.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Labels of the namespaces that the objects are in; `None` when nobody looked (offline plan): a selector then admits
    /// every namespace.
    pub namespaces: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Organisations.
    pub members: Vec<Member>,
    /// Grants.
    pub agreements: Vec<ExchangeAgreement>,
    /// Registries.
    pub registries: Vec<Registry>,
    /// Consumers.
    pub services: Vec<PublicService>,
    /// Contents of the ConfigMaps that Members and the Stack's federation name, by namespace and name; `None` when nobody
    /// looked.
    pub documents: Option<BTreeMap<(String, String), BTreeMap<String, String>>>,
    /// Keys of the Secrets that Members name, by namespace and name; `None` when nobody looked.
    pub secrets: Option<BTreeMap<(String, String), Vec<String>>>,
    /// What the records of registries were made of last; nothing when nobody looked.
    pub applied: Applied,
    /// Steps about registries and anchors that a person has said yes to, as [`super::applied::Narrows`] and
    /// [`super::federation::Trust`] name them.
    pub approved: BTreeSet<String>,
    /// Seconds since the Unix epoch, from the injected clock: what is in force now.
    pub now: i64,
}

impl Declared {
    /// Whether the Stack admits objects of a namespace. Offline, who is admitted by labels is taken on trust; who is not
    /// admitted at all is not.
    pub fn admits(&self, stack: &Stack, namespace: &str) -> bool {
        match &self.namespaces {
            None => stack_id(stack).namespace == namespace || stack.spec.tenants.from != TenantsFrom::Same,
            Some(namespaces) => tenancy::admits(stack, namespace, namespaces.get(namespace)),
        }
    }

    /// Namespaces that something is declared in.
    pub fn inhabited(&self) -> BTreeSet<String> {
        fn of<K: Resource>(objects: &[K]) -> impl Iterator<Item = String> {
            objects.iter().filter_map(|object| object.meta().namespace.clone())
        }
        let all = of(&self.members).chain(of(&self.agreements));
        all.chain(of(&self.registries)).chain(of(&self.services)).collect()
    }

    /// Every object, with what its status says.
    pub fn objects(&self) -> Vec<(Subject, &ObjectMeta, Status)> {
        fn all<'a, K: Resource + HasStatus<Status: Clone + Default>>(
            kind: &'static str,
            objects: &'a [K],
            wrap: fn(K::Status) -> Status,
        ) -> impl Iterator<Item = (Subject, &'a ObjectMeta, Status)> {
            objects.iter().map(move |object| {
                let meta = object.meta();
                let (namespace, name) = (meta.namespace.clone(), meta.name.clone());
                let subject = Subject {
                    kind,
                    namespace: namespace.unwrap_or_default(),
                    name: name.unwrap_or_default(),
                };
                (subject, meta, wrap(object.status().cloned().unwrap_or_default()))
            })
        }
        all(MEMBER, &self.members, Status::Member)
            .chain(all(AGREEMENT, &self.agreements, Status::Agreement))
            .chain(all(REGISTRY, &self.registries, Status::Registry))
            .chain(all(PUBLIC_SERVICE, &self.services, Status::PublicService))
            .collect()
    }
}

/// Of the steps that a Stack's status says yes to, those that are about registries and anchors.
pub fn approved(stack: &Stack) -> BTreeSet<String> {
    let steps = stack.status.iter().flat_map(|status| &status.approved_steps);
    steps.filter(|step| applied::is_step(step) || federation::is_step(step)).cloned().collect()
}

/// Where an object of the exchange stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Subject {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}
