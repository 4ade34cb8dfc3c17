//! Who may talk to whom: deny by default, one policy a component, only declared paths open.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::names;
use serde_json::{Value, json};

use super::meta::{Belongs, Draft};

/// Pods of one component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Namespace.
    pub namespace: String,
    /// Component label; `None` means every pod of the namespace.
    pub component: Option<String>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A component of the Stack.
    Component(Peer),
    /// Outside the cluster: ranges, any address when empty.
    External(Vec<String>),
}

/// Every open path of a plan.
#[derive(Default)]
pub struct Paths {
    /// From, to, container port.
    links: BTreeSet<(Peer, Target, u16)>,
}

impl Paths {
    /// Open a path.
    pub fn open(&mut self, from: Peer, to: Target, port: u16) {
        self.links.insert((from, to, port));
    }

    /// The policy of one component.
    pub fn policy(&self, peer: &Peer, name: &str, belongs: Belongs<'_>) -> Draft {
        let mut ingress: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
        let mut egress: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
        for (from, to, port) in &self.links {
            if matches!(to, Target::Component(to) if to == peer) {
                ingress.entry(*port).or_default().push(selector(from));
            }
            if from == peer {
                match to {
                    Target::Component(to) => egress.entry(*port).or_default().push(selector(to)),
                    Target::External(ranges) => {
                        let ranges: Vec<&str> = if ranges.is_empty() {
                            vec!["0.0.0.0/0", "::/0"]
                        } else {
                            ranges.iter().map(String::as_str).collect()
                        };
                        egress
                            .entry(*port)
                            .or_default()
                            .extend(ranges.iter().map(|cidr| json!({ "ipBlock": { "cidr": cidr } })));
                    }
                }
            }
        }
        let mut spec = json!({
            "podSelector": { "matchLabels": belongs.selector() },
            "policyTypes": ["Ingress", "Egress"],
        });
        for (field, side, rules) in [("ingress", "from", ingress), ("egress", "to", egress)] {
            if !rules.is_empty() {
                spec[field] = rules
                    .into_iter()
                    .map(|(port, peers)| json!({ side: peers, "ports": [{ "port": port, "protocol": "TCP" }] }))
                    .collect();
            }
        }
        Draft::new(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            Some(&peer.namespace),
            name,
            belongs,
            json!({ "spec": spec }),
        )
    }
}

fn selector(peer: &Peer) -> Value {
    let mut selector = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": peer.namespace } },
    });
    if let Some(component) = &peer.component {
        selector["podSelector"] = json!({ "matchLabels": { names::LABEL_COMPONENT: component } });
    }
    selector
}

/// Nothing in, nothing out but name resolution.
pub fn default_deny(namespace: &str, belongs: Belongs<'_>) -> Draft {
    Draft::new(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        Some(namespace),
        "default-deny",
        belongs,
        json!({
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{
                    "to": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } }],
                    "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }],
                }],
            },
        }),
    )
}
