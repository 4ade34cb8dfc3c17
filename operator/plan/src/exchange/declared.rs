//! What agencies have declared about a Stack's exchange, fetched before it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::{ExchangeAgreement, Member, PublicService, Registry};
use serde::Serialize;

use super::applied::Applied;

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
    /// Contents of the ConfigMaps that Members name, by namespace and name; `None` when nobody looked.
    pub documents: Option<BTreeMap<(String, String), BTreeMap<String, String>>>,
    /// Keys of the Secrets that Members name, by namespace and name; `None` when nobody looked.
    pub secrets: Option<BTreeMap<(String, String), Vec<String>>>,
    /// What the records of registries were made of last; nothing when nobody looked.
    pub applied: Applied,
    /// Steps about registries that a person has said yes to, as [`super::applied::Narrows`] names them.
    pub approved: BTreeSet<String>,
    /// Seconds since the Unix epoch, from the injected clock: what is in force now.
    pub now: i64,
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
