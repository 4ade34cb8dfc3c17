//! `exchange` as catalogue entries see it: what a product that is the exchange has to be told. Lists are in the order of their
//! identifiers, and every `key` is a DNS label that stands for one: what `forEach` uses.

use serde_json::{Map, Value, json};

use super::compile::{Compiled, Consumer, Grant, Offer, Organisation, Where, hosts};
use super::federation::{Anchor, Federated};
use super::id::{MemberId, ServiceId, exchange_spiffe, instance_key, trust_domain};
use super::texts::named;
use crate::render::short_digest;

/// Where a service's requests go, as the exchange's servers reach it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Address {
    /// Host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// It speaks TLS.
    pub tls: bool,
    /// What the service's paths are put behind.
    pub base_path: String,
}

/// `exchange`. `address` knows where a service answers; `languages` are the Stack's, the first is preferred; `cluster_domain` tells
/// peers of the same cluster from others.
pub fn vars(
    compiled: &Compiled,
    languages: &[String],
    cluster_domain: &str,
    address: impl Fn(&Where) -> Option<Address>,
) -> Value {
    let active = || compiled.members.iter().filter(|(_, member)| !member.spec.disabled);
    let subsystems: Vec<Value> = active()
        .flat_map(|(id, member)| {
            member.spec.subsystems.iter().map(move |s| (id.subsystem(&s.code), member, s))
        })
        .map(|(id, member, subsystem)| {
            json!({
                "id": id,
                "key": id.key(),
                "class": id.member.class,
                "code": id.member.code,
                "subsystem": id.subsystem,
                "name": named(&subsystem.names, languages, &id.subsystem),
                "namespace": member.namespace,
                "servers": servers(compiled, &id.member),
                "spiffe": id.spiffe(),
            })
        })
        .collect();
    let services: Vec<Value> = compiled
        .services
        .iter()
        .filter_map(|(id, offer)| {
            let mut service = service(id, offer, &address(&offer.backend)?, languages);
            service["servers"] = json!(servers(compiled, &id.subsystem.member));
            Some(service)
        })
        .collect();
    let member = |(id, organisation)| {
        let mut member = member(id, organisation, languages);
        member["servers"] = json!(servers(compiled, id));
        member
    };
    json!({
        "instance": compiled.instance,
        "domain": trust_domain(&compiled.instance),
        "spiffe": exchange_spiffe(&compiled.instance),
        "inUse": compiled.in_use,
        "members": active().map(member).collect::<Vec<_>>(),
        "subsystems": subsystems,
        "services": services,
        "rights": compiled.grants.iter().map(right).collect::<Vec<_>>(),
        "participants": active().filter_map(|(id, m)| participant(id, m)).collect::<Vec<_>>(),
        "programmes": compiled.consumers.iter().filter_map(programme).collect::<Vec<_>>(),
        "peers": compiled.peers().map(|(federated, anchor)| peer(federated, anchor, cluster_domain)).collect::<Vec<_>>(),
        "rightsJson": serde_json::to_string(&compiled.rights()).unwrap_or_default(),
    })
}

fn member(id: &MemberId, member: &Organisation, languages: &[String]) -> Value {
    json!({
        "id": id,
        "key": id.key(),
        "class": id.class,
        "code": id.code,
        "name": named(&member.spec.names, languages, &id.code),
        "namespace": member.namespace,
    })
}

/// Identifiers of the servers that serve a member, `<instance>/<class>/<code>/<server>`: its own, and those of others whose owner
/// says so too.
fn servers(compiled: &Compiled, id: &MemberId) -> Vec<String> {
    let own = id.short();
    let declared = compiled.members.get(id).map(|member| member.spec.security_servers.as_slice());
    let specs = |host: &str| {
        let mut members = compiled.members.iter();
        members.find(|(id, _)| id.short() == host).map(|(_, member)| &member.spec)
    };
    let granted = |host: &str, code: &str| specs(host).is_some_and(|host| hosts(host, code, &own));
    declared
        .unwrap_or_default()
        .iter()
        .filter(|server| server.hosted_by.as_ref().is_none_or(|host| granted(host, &server.code)))
        .map(|server| {
            let owner = server.hosted_by.as_ref().unwrap_or(&own);
            format!("{}/{owner}/{}", compiled.instance, server.code)
        })
        .collect()
}

fn service(id: &ServiceId, offer: &Offer, address: &Address, languages: &[String]) -> Value {
    let Address { host, port, tls, base_path } = address;
    let scheme = if *tls { "https" } else { "http" };
    json!({
        "id": id,
        "key": id.key(),
        "class": id.subsystem.member.class,
        "code": id.subsystem.member.code,
        "subsystem": id.subsystem.subsystem,
        "service": id.service,
        "name": named(&offer.names, languages, &id.service),
        "host": host,
        "port": port,
        "tls": tls,
        "basePath": base_path,
        "url": format!("{scheme}://{host}:{port}{base_path}"),
        "endpoints": offer.endpoints,
    })
}

fn right(grant: &Grant) -> Value {
    let mut right = match serde_json::to_value(&grant.right) {
        Ok(Value::Object(right)) => right,
        _ => Map::new(),
    };
    right.insert("key".to_owned(), json!(agreement_key(&grant.right.agreement)));
    right.insert("inForce".to_owned(), json!(grant.in_force));
    right.entry("endpoints").or_insert_with(|| json!([]));
    Value::Object(right)
}

/// A DNS label that stands for an agreement `<namespace>/<name>`.
pub fn agreement_key(agreement: &str) -> String {
    let name = agreement.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let mut words: String = name.chars().map(plain).take(23).collect();
    words.truncate(words.trim_end_matches('-').len());
    format!("{words}-{}", short_digest(agreement))
}

fn peer(federated: &Federated, anchor: &Anchor, cluster_domain: &str) -> Value {
    json!({
        "instance": anchor.instance,
        "key": instance_key(&anchor.instance),
        "domain": trust_domain(&anchor.instance),
        "spiffe": anchor.spiffe(),
        "host": anchor.host,
        "port": anchor.port,
        "authorities": anchor.authorities,
        "inCluster": anchor.namespace(cluster_domain).is_some(),
        "cidrs": federated.cidrs,
    })
}

fn participant(id: &MemberId, member: &Organisation) -> Option<Value> {
    let participant = member.participant.as_ref()?;
    let caps: Vec<Value> = participant
        .net_debit_cap
        .iter()
        .map(|(currency, amount)| json!({ "currency": currency, "amount": amount }))
        .collect();
    let mut value = json!({
        "id": participant.id,
        "key": participant_key(&participant.id),
        "member": id,
        "namespace": member.namespace,
        "currencies": participant.currencies,
        "caps": caps,
    });
    if let Some(url) = &participant.callbacks {
        value["callbacks"] = json!(url);
    }
    Some(value)
}

/// What a payments block has to know of a programme that pays.
fn programme(consumer: &Consumer) -> Option<Value> {
    let programme = consumer.spec.uses.programme.as_ref()?;
    Some(json!({
        "institution": programme.institution,
        "name": programme.code,
        "account": programme.account,
    }))
}

/// A DNS label that stands for a participant.
pub fn participant_key(id: &str) -> String {
    format!("{}-{}", label(id), short_digest(id))
}

fn label(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(plain).take(20).collect::<String>().trim_end_matches('-').to_owned()
}
