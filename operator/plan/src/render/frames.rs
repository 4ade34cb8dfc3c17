//! The frames of every product of every block. Those that are told of the exchange come last: it says where the others answer.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::product::Route;
use plinth_api::{ProductSpec, Stack};
use serde_json::{Map, Value, json};

use super::frame::{Frame, host};
use crate::claim::Claim;
use crate::exchange::Compiled;
use crate::exchange::compile::Where;
use crate::exchange::vars::{Address, vars};
use crate::expr::as_text;
use crate::model::Finding;
use crate::placement::links::Borders;
use crate::resolve::{Instance, Resolved};

/// Frames by block, the block's own product first.
pub(crate) fn frames<'a>(
    stack: &Stack,
    exchange: &Compiled,
    resolved: &'a [Resolved<'a>],
    findings: &mut Vec<Finding>,
) -> BTreeMap<&'a str, Vec<Frame<'a>>> {
    let installed = || resolved.iter().filter_map(|r| r.installed.as_ref().map(|installed| (r, installed)));
    let mut made: BTreeMap<&str, Vec<Option<Frame<'_>>>> = BTreeMap::new();
    let published = published(exchange, &stack.spec.site.domain);
    let of_all = |block: &str| Map::from_iter([registries(exchange, block), published.clone()]);
    for (r, installed) in installed() {
        let names = of_all(&r.block.name);
        let frame = |i: &'a Instance<'a>| {
            (!mentions_exchange(&i.entry.spec)).then(|| Frame::new(stack, &names, r, i, findings))
        };
        made.insert(&r.block.name, installed.instances.iter().map(frame).collect());
    }
    let domain = &stack.spec.site.cluster_domain;
    let borders = Borders::of(resolved);
    let server = exchange.server.as_ref().map(|server| server.namespace.as_str()).unwrap_or_default();
    let address = |at: &Where| {
        let address = address(at, &made, domain)?;
        Some(heard(address, &borders, server, at, resolved, domain))
    };
    let told = vars(exchange, &stack.spec.country.languages, domain, address);
    for (r, installed) in installed() {
        let mut names = of_all(&r.block.name);
        names.insert("exchange".to_owned(), told.clone());
        let places = made.get_mut(r.block.name.as_str()).into_iter().flatten();
        for (place, instance) in places.zip(&installed.instances) {
            if place.is_none() {
                *place = Some(Frame::new(stack, &names, r, instance, findings));
            }
        }
    }
    made.into_iter().map(|(block, frames)| (block, frames.into_iter().flatten().collect())).collect()
}

fn registries(exchange: &Compiled, block: &str) -> (String, Value) {
    ("registries".to_owned(), Value::Array(exchange.registries_of(block)))
}

/// Hosts that agencies' services are published under, each with the namespace that its route comes from.
fn published(exchange: &Compiled, domain: &str) -> (String, Value) {
    let routes = exchange.tenants.iter().flat_map(|tenant| {
        let namespace = &tenant.subject.namespace;
        let host = move |route: &Route| json!({ "host": format!("{}.{domain}", route.host), "namespace": namespace });
        tenant.entry.spec.routes.iter().map(host)
    });
    ("published".to_owned(), routes.collect())
}

/// Whether an entry reads the exchange: it is large, and most entries do not.
pub(crate) fn mentions_exchange(spec: &ProductSpec) -> bool {
    serde_json::to_string(spec).is_ok_and(|text| text.contains("exchange."))
}

/// Where the exchange's servers reach what answers a service; `None` while its block is not there.
fn address(at: &Where, frames: &BTreeMap<&str, Vec<Option<Frame<'_>>>>, domain: &str) -> Option<Address> {
    match at {
        Where::Service { namespace, name, port, tls, base_path, .. } => Some(Address {
            host: host(name, namespace, domain),
            port: *port,
            tls: *tls,
            base_path: base_path.clone(),
        }),
        Where::Host { host, port, tls, base_path, .. } => {
            Some(Address { host: host.clone(), port: *port, tls: *tls, base_path: base_path.clone() })
        }
        Where::Registry { block, code } => {
            let outputs = registry_outputs(frames.get(block.as_str())?.iter().flatten(), code, domain)?;
            let text = |name: &str| outputs.get(name).map(as_text).unwrap_or_default();
            Some(Address {
                host: text("host"),
                port: text("port").parse().ok()?,
                tls: outputs.get("tls") == Some(&json!(true)),
                base_path: text("basePath"),
            })
        }
    }
}

/// An address as the exchange's servers know it, who may be on another cluster.
fn heard(
    address: Address,
    borders: &Borders,
    server: &str,
    at: &Where,
    resolved: &[Resolved<'_>],
    domain: &str,
) -> Address {
    let Some(namespace) = namespace_of(at, resolved).filter(|_| !borders.are_none()) else { return address };
    let mut said = Map::from_iter([("host".to_owned(), json!(address.host))]);
    borders.heard(server, namespace, domain, &mut said);
    Address { host: as_text(&said["host"]), ..address }
}

/// Namespace of what answers a service; `None` outside the clusters.
fn namespace_of<'r>(at: &'r Where, resolved: &'r [Resolved<'_>]) -> Option<&'r str> {
    match at {
        Where::Service { namespace, .. } => Some(namespace),
        Where::Registry { block, .. } => {
            resolved.iter().find(|r| r.block.name == *block).map(|r| r.namespace.as_str())
        }
        Where::Host { .. } => None,
    }
}

/// What the product that runs a registry says about it.
pub(super) fn registry_outputs<'f, 'a: 'f>(
    mut frames: impl Iterator<Item = &'f Frame<'a>>,
    code: &str,
    domain: &str,
) -> Option<Map<String, Value>> {
    let claim = Claim {
        name: code.to_owned(),
        requirement: String::new(),
        block: String::new(),
        parameters: Map::new(),
        copies: BTreeMap::new(),
    };
    frames.find_map(|frame| {
        let provides = &frame.instance.entry.spec.provides;
        let provision = provides.iter().find(|p| p.capability == RUNS_REGISTRIES)?;
        frame.outputs(provision, Some(&claim), domain).ok()
    })
}

/// Capability of a product that runs registries.
pub(crate) const RUNS_REGISTRIES: &str = "registries";
