//! NetworkPolicies that an entry writes out itself, for pods that a chart or an operator renders: the entry is where they
//! are declared, and they are taken by their word.

use anyhow::{Context as _, Result, ensure};
use plinth_api::names;
use plinth_plan::model::Plan;
use serde_json::Value;

use super::{Declared, Labels, Path, Peer, Sides, Who};
use crate::range::Range;
use crate::world::{Port, port_of};

/// What the component label of an entry's object begins with.
const OBJECT: &str = "object-";

/// Everything that policies of entries open.
pub(super) fn declare(plan: &Plan, declared: &mut Declared) -> Result<()> {
    for object in plan.objects().filter(|object| object.key.kind == "NetworkPolicy") {
        let component =
            object.body["metadata"]["labels"][names::LABEL_COMPONENT].as_str().unwrap_or_default();
        if component.starts_with(OBJECT) {
            policy(&object.body, declared).with_context(|| object.key.to_string())?;
        }
    }
    Ok(())
}

fn policy(body: &Value, declared: &mut Declared) -> Result<()> {
    let namespace = body["metadata"]["namespace"].as_str().context("has no namespace")?;
    let name = body["metadata"]["name"].as_str().context("has no name")?;
    let own = Peer::Pods(Who::of(namespace, labels(&body["spec"]["podSelector"])?));
    for (field, peers, sides) in [("ingress", "from", Sides::In), ("egress", "to", Sides::Out)] {
        for (i, rule) in body["spec"][field].as_array().into_iter().flatten().enumerate() {
            let why = format!("NetworkPolicy/{namespace}/{name} of the entry: {field}[{i}]");
            for peer in peers_of(&rule[peers], namespace)? {
                for port in ports_of(&rule["ports"])? {
                    let (from, to) = match sides {
                        Sides::In => (peer.clone(), own.clone()),
                        _ => (own.clone(), peer.clone()),
                    };
                    declared.paths.push(Path { from, to, port, sides, why: why.clone() });
                }
            }
        }
    }
    Ok(())
}

/// Peers of a rule; everybody where none are named.
fn peers_of(peers: &Value, namespace: &str) -> Result<Vec<Peer>> {
    let peers = peers.as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(!peers.is_empty(), "a rule for everybody is not understood here");
    let peer = |peer: &Value| -> Result<Peer> {
        if let Some(range) = peer.pointer("/ipBlock/cidr").and_then(Value::as_str) {
            ensure!(peer["ipBlock"].get("except").is_none(), "`except` is not understood here");
            return Ok(Peer::Addresses(vec![Range::parse(range)?]));
        }
        let pods = labels(&peer["podSelector"])?;
        Ok(Peer::Pods(match peer.get("namespaceSelector") {
            None => Who::of(namespace, pods),
            Some(selector) => Who { namespaces: labels(selector)?, pods },
        }))
    };
    peers.iter().map(peer).collect()
}

/// Ports of a rule; every one where none are named.
fn ports_of(ports: &Value) -> Result<Vec<Option<Port>>> {
    let ports = ports.as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() {
        return Ok(vec![None]);
    }
    ports.iter().map(|port| port_of(&port["port"], &port["protocol"]).map(Some)).collect()
}

fn labels(selector: &Value) -> Result<Labels> {
    ensure!(selector.get("matchExpressions").is_none(), "`matchExpressions` is not understood here");
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    labels
        .map(|(key, value)| {
            Ok((key.clone(), value.as_str().with_context(|| format!("label {key}"))?.to_owned()))
        })
        .collect()
}
