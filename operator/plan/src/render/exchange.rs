//! Paths around the exchange's servers, and the policies of pods that agencies run: consumers reach the exchange, the exchange
//! reaches what answers, and nobody reaches the other directly.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::names;
use serde_json::{Value, json};

use super::UnitDraft;
use super::frame::Frame;
use super::frames::registry_outputs;
use super::meta::{Belongs, Draft};
use super::network::{Paths, Peer, Target, policy, to_names};
use crate::exchange::compile::{Server, Tenant, Where, called};
use crate::exchange::declared::MEMBER;
use crate::exchange::{Compiled, Subject};
use crate::expr::as_text;
use crate::model::{FOUNDATION, StackId};
use crate::render::{RUNS_REGISTRIES, short_digest};

/// Opens the way from the exchange to what answers its services, and the ways between it and those of peers. The way from
/// consumers to it is a requirement of theirs.
pub(super) fn paths(
    exchange: &Compiled,
    frames: &BTreeMap<&str, Vec<Frame<'_>>>,
    cluster_domain: &str,
    paths: &mut Paths,
) {
    let Some((server, component)) = servers(exchange) else { return };
    let from = Peer::component(&server.namespace, component);
    for (federated, anchor) in exchange.peers() {
        match anchor.namespace(cluster_domain) {
            // The other Stack opens its side of both.
            Some(namespace) => {
                let other = Peer::component(namespace, component);
                paths.open(from.clone(), Target::Component(other.clone()), server.port);
                paths.open(other, Target::Component(from.clone()), server.port);
            }
            None => paths.open(from.clone(), Target::External(federated.cidrs.clone()), anchor.port),
        }
    }
    for at in called(exchange) {
        match at {
            Where::Service { namespace, name, port, pods, .. } => {
                let to = Peer::labelled(namespace, pods);
                paths.open(from.clone(), Target::Component(to), *port);
                paths.cross(&server.block, &server.namespace, namespace, [name.clone()].into());
            }
            Where::Host { port, cidrs, .. } => {
                paths.open(from.clone(), Target::External(cidrs.clone()), *port);
            }
            Where::Registry { block, code } => {
                for (to, port) in registry_pods(frames, block, code) {
                    paths.open(from.clone(), Target::Component(to), port);
                }
                let own = || frames.get(block.as_str()).into_iter().flatten();
                if let Some(frame) = own().next()
                    && let Some(mut says) = registry_outputs(own(), code, cluster_domain)
                {
                    let to = frame.namespace;
                    let services = paths.borders().heard(&server.namespace, to, cluster_domain, &mut says);
                    paths.cross(&server.block, &server.namespace, to, services);
                }
            }
        }
    }
}

fn servers(exchange: &Compiled) -> Option<(&Server, &str)> {
    let server = exchange.server.as_ref()?;
    Some((server, server.component.as_deref()?))
}

/// Pods that serve a registry.
fn registry_pods(frames: &BTreeMap<&str, Vec<Frame<'_>>>, block: &str, code: &str) -> Vec<(Peer, u16)> {
    let own = frames.get(block).into_iter().flatten();
    let found = own.filter_map(|frame| {
        let provides = &frame.instance.entry.spec.provides;
        let provision = provides.iter().find(|p| p.capability == RUNS_REGISTRIES)?;
        let component = frame.component(provision.component.as_deref()?)?;
        let port = component.ports.iter().find(|p| Some(&p.name) == provision.port.as_ref())?.port;
        let objects = frame.component_objects(component, Some(code));
        Some(
            objects
                .into_iter()
                .map(move |object| (Peer::component(frame.namespace, &object), port))
                .collect::<Vec<_>>(),
        )
    });
    found.flatten().collect()
}

/// Policies of the pods that an agency runs itself. Each closes what is not declared: out of consumers, and into what serves.
/// Pods of one namespace are that agency's own matter, so that they may talk to each other.
pub(super) fn policies(
    id: &StackId,
    exchange: &Compiled,
    tenant: &Tenant,
    units: &mut [UnitDraft],
    paths: &Paths,
) {
    let namespace = &tenant.subject.namespace;
    let runs = units.iter().any(|unit| unit.component);
    let Some(unit) = units.iter_mut().find(|unit| unit.id.name == FOUNDATION) else { return };
    let belongs =
        Belongs { stack: id, block: &tenant.block.name, product: Some(&tenant.entry.name), component: None };
    let near = json!([{ "podSelector": {} }]);
    if runs {
        // In a block's namespace that is part of the policy that denies by default.
        let own: BTreeMap<String, String> =
            belongs.selector().into_iter().map(|(name, value)| (name, as_text(&value))).collect();
        unit.drafts.push(closed(namespace, "names", &own, belongs, "Egress", vec![to_names()]));
    }
    for labels in tenant.pods.iter().map(|pods| &pods.labels) {
        let (_, mut egress) = paths.rules(&Peer::labelled(namespace, labels));
        egress.extend([to_names(), json!({ "to": near })]);
        unit.drafts.push(closed(namespace, "calls", labels, belongs, "Egress", egress));
    }
    for labels in serving(exchange, tenant) {
        let (mut ingress, _) = paths.rules(&Peer::labelled(namespace, labels));
        ingress.push(json!({ "from": near }));
        unit.drafts.push(closed(namespace, "serves", labels, belongs, "Ingress", ingress));
    }
}

/// Labels of the pods that answer a Member's services.
fn serving<'e>(exchange: &'e Compiled, tenant: &Tenant) -> BTreeSet<&'e BTreeMap<String, String>> {
    let Subject { kind, namespace, name } = &tenant.subject;
    let own = exchange.member_of(namespace, name).filter(|_| *kind == MEMBER);
    let Some((id, _)) = own else { return BTreeSet::new() };
    let services = exchange.services.iter().filter(|(service, _)| service.subsystem.member == *id);
    services
        .filter_map(|(_, offer)| match &offer.backend {
            Where::Service { pods, .. } => Some(pods),
            Where::Host { .. } | Where::Registry { .. } => None,
        })
        .collect()
}

fn closed(
    namespace: &str,
    what: &str,
    labels: &BTreeMap<String, String>,
    belongs: Belongs<'_>,
    way: &str,
    rules: Vec<Value>,
) -> Draft {
    let text: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let digest = short_digest(&format!("{}/{}", belongs.block, text.join(",")));
    let name = format!("{}-{what}-{digest}", names::MANAGED_BY);
    let field = way.to_lowercase();
    let spec = json!({ "podSelector": { "matchLabels": labels }, "policyTypes": [way], field: rules });
    policy(namespace, &name, belongs, spec)
}
