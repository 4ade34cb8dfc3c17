//! What maps for people say of the parts of a country: an organisation, its systems, the registry behind a service.

use std::collections::BTreeMap;

use plinth_api::Registry;
use plinth_api::v1alpha1::exchange::{Endpoint, Texts};
use plinth_plan::exchange::Compiled;
use plinth_plan::exchange::compile::What;
use plinth_plan::exchange::id::{MemberId, ServiceId, SubsystemId};
use serde::Serialize;

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Party {
    /// `<instance>/<class>/<code>`.
    pub id: MemberId,
    /// Its name, by language.
    pub names: Texts,
}

/// A registry, by name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Register {
    /// Its code.
    pub code: String,
    /// Its name, by language.
    pub names: Texts,
}

/// An organisation with the name that it goes by; the identifier alone where it is of another instance.
pub fn party(compiled: &Compiled, id: &MemberId) -> Party {
    let names = compiled.members.get(id).map(|member| member.spec.names.clone());
    Party { id: id.clone(), names: names.unwrap_or_default() }
}

/// The organisation whose Member this is.
pub fn party_of(compiled: &Compiled, namespace: &str, member: &str) -> Option<Party> {
    compiled.member_of(namespace, member).map(|(id, _)| party(compiled, id))
}

/// Name of a system, by language.
pub fn system_names(compiled: &Compiled, id: &SubsystemId) -> Texts {
    compiled.subsystem(id).map(|(_, subsystem)| subsystem.names.clone()).unwrap_or_default()
}

/// Registries by the services that they answer.
pub type Registers<'c> = BTreeMap<&'c ServiceId, &'c Registry>;

/// The registry behind each service that has one. It looks at every object: a map asks once.
pub fn registries_by_service(compiled: &Compiled) -> Registers<'_> {
    let mut found = BTreeMap::new();
    for registry in &compiled.registries {
        let own = compiled.standing.iter().find(|(subject, _)| {
            subject.kind == "Registry"
                && Some(&subject.namespace) == registry.metadata.namespace.as_ref()
                && Some(&subject.name) == registry.metadata.name.as_ref()
        });
        if let Some(What::Registry { services, .. }) = own.map(|(_, standing)| &standing.what) {
            found.extend(services.iter().map(|service| (service, registry)));
        }
    }
    found
}

/// Endpoints as people list them.
pub fn endpoints(endpoints: &[Endpoint]) -> String {
    let all: Vec<String> = endpoints.iter().map(|e| format!("{} {}", e.method, e.path)).collect();
    if all.is_empty() { "all".to_owned() } else { all.join(", ") }
}
