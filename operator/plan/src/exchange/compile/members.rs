//! Organisations: who they are, what they serve, what they are to the payments block.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::exchange::Endpoint;
use plinth_api::v1alpha1::member::{MemberSpec, Participant, Service};

use super::registries::Registries;
use super::{Compiled, Found, Offer, Organisation, Standing, What, World};
use crate::exchange::declared::MEMBER;
use crate::exchange::endpoint::contains;
use crate::exchange::id::{MemberId, ServiceId};
use crate::exchange::openapi;
use crate::exchange::tenancy::binds;
use crate::expr::listed;
use crate::resolve::finding;

impl<'a> World<'a> {
    /// Every Member: those whose code is theirs take part, with the services and the participant that are right.
    pub(super) fn members(&self, registries: &mut Registries<'a>, out: &mut Compiled) {
        let mut found = self.admitted(MEMBER, &self.declared.members, |m| (&m.spec, &m.spec.stack_ref), out);
        for one in &mut found {
            self.codes(one);
        }
        self.unique(&mut found, "spec.code", |spec| Some(format!("{}/{}", spec.class, spec.code)));
        let participants = self.participants(&mut found);
        let known: BTreeMap<String, &MemberSpec> = found
            .iter()
            .filter(|one| one.findings.is_empty())
            .map(|one| (format!("{}/{}", one.spec.class, one.spec.code), one.spec))
            .collect();
        let hosted: Vec<Vec<(String, String)>> = found.iter().map(|one| hosting(one.spec, &known)).collect();
        for (mut one, hosting) in found.into_iter().zip(hosted) {
            let id = MemberId::of(&self.instance, one.spec);
            let kept_out = !one.findings.is_empty();
            one.findings.append(&mut one.aside);
            for (path, message) in hosting {
                one.wrong(path, message);
            }
            if kept_out {
                let what = What::Member { id, services: 0, disabled: one.spec.disabled };
                out.standing
                    .insert(one.subject, Standing { findings: one.findings, waits: Vec::new(), what });
                continue;
            }
            let mut services = BTreeMap::new();
            for subsystem in &one.spec.subsystems {
                for service in &subsystem.services {
                    let at = format!("spec.subsystems[{}].services[{}]", subsystem.code, service.code);
                    let service_id = id.subsystem(&subsystem.code).service(&service.code);
                    match self.offer(service, &service_id, &one.subject.namespace, &at, registries) {
                        Ok(offer) => drop(services.insert(service_id, offer)),
                        Err(wrong) => wrong.into_iter().for_each(|(path, message)| one.wrong(path, message)),
                    }
                }
            }
            let what = What::Member { id: id.clone(), services: services.len(), disabled: one.spec.disabled };
            let organisation = Organisation {
                namespace: one.subject.namespace.clone(),
                object: one.subject.name.clone(),
                spec: one.spec.clone(),
                participant: one.spec.participant.clone().filter(|p| participants.contains(&p.id)),
            };
            // Who takes part in nothing for the time being serves nothing either.
            if !one.spec.disabled {
                out.services.append(&mut services);
            }
            out.members.insert(id, organisation);
            out.standing.insert(one.subject, Standing { findings: one.findings, waits: Vec::new(), what });
        }
    }

    fn codes(&self, one: &mut Found<'a, MemberSpec>) {
        let code = format!("{}/{}", one.spec.class, one.spec.code);
        if !binds(self.stack, &one.subject.namespace, |binding| &binding.members, &code) {
            let message = format!(
                "the Stack does not bind `{code}` to namespace `{}`; its team does so in spec.exchange.bindings",
                one.subject.namespace
            );
            one.wrong("spec.code", message);
        }
    }

    /// Identifiers of the participants that are right. What is wrong with one leaves the member as it is.
    fn participants(&self, found: &mut [Found<'a, MemberSpec>]) -> BTreeSet<String> {
        let mut claims: BTreeMap<String, usize> = BTreeMap::new();
        let mut known: BTreeMap<String, &Participant> = BTreeMap::new();
        let good = |one: &Found<'a, MemberSpec>| one.findings.is_empty();
        for participant in
            found.iter().filter(|one| good(one)).filter_map(|one| one.spec.participant.as_ref())
        {
            *claims.entry(participant.id.clone()).or_default() += 1;
            known.insert(participant.id.clone(), participant);
        }
        let mut right = BTreeSet::new();
        let mut wrong: Vec<(usize, &str, String)> = Vec::new();
        for (i, one) in found.iter().enumerate().filter(|(_, one)| good(one)) {
            let Some(participant) = &one.spec.participant else { continue };
            let id = &participant.id;
            let before = wrong.len();
            if !binds(self.stack, &one.subject.namespace, |binding| &binding.participants, id) {
                let message = format!(
                    "the Stack does not bind `{id}` to namespace `{}`; its team does so in \
                     spec.exchange.bindings[].participants",
                    one.subject.namespace
                );
                wrong.push((i, "spec.participant.id", message));
            }
            if claims[id] > 1 {
                let message = format!(
                    "`{id}` is claimed by another Member too; it is nobody's until one of them is changed"
                );
                wrong.push((i, "spec.participant.id", message));
            }
            if !self.has_block("payments") {
                wrong.push((i, "spec.participant", "the Stack has no block `payments`".to_owned()));
            }
            let currencies: BTreeSet<&String> = participant.currencies.iter().collect();
            for currency in participant.net_debit_cap.keys().filter(|c| !currencies.contains(c)) {
                let message = format!("has a cap in {currency}, which is not in spec.participant.currencies");
                wrong.push((i, "spec.participant.netDebitCap", message));
            }
            for (currency, cap) in participant.net_debit_cap.iter().filter(|(_, cap)| !is_amount(cap)) {
                let message = format!("{currency}: `{cap}` is no amount of the form 1000000 or 2500.50");
                wrong.push((i, "spec.participant.netDebitCap", message));
            }
            if let Some(sponsor) = &participant.sponsor
                && !known.get(sponsor).is_some_and(|other| other.sponsors.contains(id))
            {
                let message = format!(
                    "participant `{sponsor}` does not exist or does not settle for `{id}`; its Member says so in \
                     spec.participant.sponsors"
                );
                wrong.push((i, "spec.participant.sponsor", message));
            }
            if let (Some(name), Some(secrets)) = (&participant.certificates, &self.declared.secrets)
                && !secrets.contains_key(&(one.subject.namespace.clone(), name.clone()))
            {
                let message = format!("Secret `{name}` does not exist in this namespace");
                wrong.push((i, "spec.participant.certificates", message));
            }
            if wrong.len() == before {
                right.insert(id.clone());
            }
        }
        // Said of the Member, and still it takes part in the exchange: one object declares two things.
        for (i, path, message) in wrong {
            found[i].aside.push(finding(path, message));
        }
        right
    }

    fn offer(
        &self,
        service: &Service,
        id: &ServiceId,
        namespace: &str,
        at: &str,
        registries: &mut Registries<'a>,
    ) -> Result<Offer, Vec<(String, String)>> {
        let mut wrong = Vec::new();
        let backend = match (&service.registry, &service.backend) {
            (Some(name), None) => registries.answer(namespace, name, id).ok_or_else(|| {
                let message =
                    format!("there is no Registry `{name}` in this namespace, or it is not right itself");
                vec![(format!("{at}.registry"), message)]
            }),
            (None, Some(backend)) => self.backend(backend, namespace, &format!("{at}.backend")),
            _ => Err(vec![(at.to_owned(), "give either registry or backend".to_owned())]),
        };
        let backend = backend.map_err(|more| wrong.extend(more)).ok();
        let mut endpoints = service.endpoints.clone();
        if let Some(reference) = &service.open_api {
            match self.operations(namespace, &reference.config_map, &reference.key) {
                Err(message) => wrong.push((format!("{at}.openApi"), message)),
                Ok(None) => {}
                Ok(Some(operations)) => {
                    wrong.extend(lacking(&endpoints, &operations, at));
                    if endpoints.is_empty() {
                        endpoints = operations;
                    }
                }
            }
        }
        match backend {
            Some(backend) if wrong.is_empty() => Ok(Offer {
                namespace: namespace.to_owned(),
                backend,
                endpoints,
                described: service.open_api.is_some(),
                names: service.names.clone(),
            }),
            _ => Err(wrong),
        }
    }

    /// Operations of an OpenAPI document; `None` when nobody looked.
    fn operations(&self, namespace: &str, name: &str, key: &str) -> Result<Option<Vec<Endpoint>>, String> {
        let Some(documents) = &self.declared.documents else { return Ok(None) };
        let found = documents.get(&(namespace.to_owned(), name.to_owned()));
        let data = found.ok_or_else(|| format!("ConfigMap `{name}` does not exist in this namespace"))?;
        let text = data.get(key).ok_or_else(|| {
            let keys: Vec<&str> = data.keys().map(String::as_str).collect();
            format!("ConfigMap `{name}` has no key `{key}`; it has {}", listed(&keys))
        })?;
        let operations =
            openapi::operations(text).map_err(|why| format!("key `{key}` of ConfigMap `{name}` {why}"))?;
        Ok(Some(operations))
    }
}

/// Endpoints that the OpenAPI document lacks.
fn lacking(endpoints: &[Endpoint], operations: &[Endpoint], at: &str) -> Vec<(String, String)> {
    let lacks = |endpoint: &&Endpoint| !operations.iter().any(|has| contains(has, endpoint));
    endpoints
        .iter()
        .filter(lacks)
        .map(|Endpoint { method, path }| {
            (format!("{at}.endpoints"), format!("`{method} {path}` is not in the service's OpenAPI document"))
        })
        .collect()
}

/// Whether a member says that its server `code` serves another, `<class>/<code>`.
pub(in crate::exchange) fn hosts(host: &MemberSpec, code: &str, other: &str) -> bool {
    host.security_servers
        .iter()
        .any(|server| server.code == code && server.hosts.iter().any(|one| one == other))
}

/// Hosting that the host has not granted.
fn hosting(spec: &MemberSpec, known: &BTreeMap<String, &MemberSpec>) -> Vec<(String, String)> {
    let own = format!("{}/{}", spec.class, spec.code);
    let mut wrong = Vec::new();
    for server in &spec.security_servers {
        let Some(host) = &server.hosted_by else { continue };
        if !known.get(host).is_some_and(|host| hosts(host, &server.code, &own)) {
            let message = format!(
                "member `{host}` does not exist or does not host `{own}` on its server `{}`; it says so in \
                 spec.securityServers[].hosts",
                server.code
            );
            wrong.push((format!("spec.securityServers[{}].hostedBy", server.code), message));
        }
    }
    wrong
}

/// A decimal number without sign and exponent, with at most four places: what Mojaloop's amounts are.
fn is_amount(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        None => digits(text) && text.len() <= 18,
        Some((whole, places)) => digits(whole) && digits(places) && whole.len() <= 14 && places.len() <= 4,
    }
}
