//! Who may talk to whom: deny by default, one policy a component, only declared paths open.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::names;
use plinth_api::v1alpha1::product::Egress;
use serde_json::{Value, json};

use super::meta::{Belongs, Draft};
use crate::expr::Scope;
use crate::placement::links::{Borders, Crossings};

/// Pods of one component, or such as somebody else runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Namespace.
    pub namespace: String,
    /// Component label; `None` means every pod of the namespace that carries the labels.
    pub component: Option<String>,
    /// Labels of pods that Plinth does not render.
    pub labels: BTreeMap<String, String>,
}

impl Peer {
    /// Pods of a component.
    pub fn component(namespace: &str, component: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            component: Some(component.to_owned()),
            labels: BTreeMap::new(),
        }
    }

    /// Every pod of a namespace.
    pub fn all(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// Pods with these labels.
    pub fn labelled(namespace: &str, labels: &BTreeMap<String, String>) -> Self {
        Self { namespace: namespace.to_owned(), component: None, labels: labels.clone() }
    }
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
    /// Between which namespaces the border of a cluster lies.
    borders: Borders,
    /// What is used across them.
    pub crossings: Crossings,
}

impl Paths {
    /// None yet, between namespaces with these borders.
    pub fn across(borders: Borders) -> Self {
        Self { borders, ..Self::default() }
    }

    /// Open a path.
    pub fn open(&mut self, from: Peer, to: Target, port: u16) {
        self.links.insert((from, to, port));
    }

    /// The policy of one component.
    pub fn policy(&self, peer: &Peer, name: &str, belongs: Belongs<'_>) -> Draft {
        let (ingress, egress) = self.rules(peer);
        let mut spec = json!({
            "podSelector": { "matchLabels": belongs.selector() },
            "policyTypes": ["Ingress", "Egress"],
        });
        for (field, rules) in [("ingress", ingress), ("egress", egress)] {
            if !rules.is_empty() {
                spec[field] = json!(rules);
            }
        }
        policy(&peer.namespace, name, belongs, spec)
    }

    /// Where borders lie.
    pub fn borders(&self) -> &Borders {
        &self.borders
    }

    /// A block uses Services of a namespace, which are exported where that is on another cluster.
    pub fn cross(&mut self, block: &str, from: &str, to: &str, services: BTreeSet<String>) {
        if self.borders.lies_between(from, to) {
            self.crossings.note(block, self.borders.cluster(from), to, services);
        }
    }

    /// Rules for what comes in, and for what goes out.
    pub fn rules(&self, peer: &Peer) -> (Vec<Value>, Vec<Value>) {
        let mut ingress: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
        let mut egress: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
        for (from, to, port) in &self.links {
            if matches!(to, Target::Component(to) if to == peer) {
                self.admit(ingress.entry(*port).or_default(), from, peer);
            }
            if from == peer {
                let peers = egress.entry(*port).or_default();
                match to {
                    Target::Component(to) => self.admit(peers, to, peer),
                    Target::External(ranges) if ranges.is_empty() => {
                        peers.extend(["0.0.0.0/0", "::/0"].map(range));
                    }
                    Target::External(ranges) => peers.extend(ranges.iter().map(|cidr| range(cidr))),
                }
            }
        }
        // A rule without peers would let everybody through.
        ingress.retain(|_, peers| !peers.is_empty());
        egress.retain(|_, peers| !peers.is_empty());
        let rules = |side: &str, rules: BTreeMap<u16, Vec<Value>>| -> Vec<Value> {
            let rule = |(port, peers)| json!({ side: peers, "ports": [{ "port": port, "protocol": "TCP" }] });
            rules.into_iter().map(rule).collect()
        };
        (rules("from", ingress), rules("to", egress))
    }

    /// Lets pods through in the rules of `of`: by their labels, and by the ranges of their cluster where that is another one.
    fn admit(&self, peers: &mut Vec<Value>, other: &Peer, of: &Peer) {
        if !self.borders.lies_between(&other.namespace, &of.namespace) {
            peers.push(selector(other));
            return;
        }
        for cidr in self.borders.ranges(&other.namespace) {
            let range = range(cidr);
            if !peers.contains(&range) {
                peers.push(range);
            }
        }
    }
}

fn range(cidr: &str) -> Value {
    json!({ "ipBlock": { "cidr": cidr } })
}

/// A NetworkPolicy.
pub fn policy(namespace: &str, name: &str, belongs: Belongs<'_>, spec: Value) -> Draft {
    let body = json!({ "spec": spec });
    Draft::new("networking.k8s.io/v1", "NetworkPolicy", Some(namespace), name, belongs, body)
}

/// The way to name resolution.
pub fn to_names() -> Value {
    json!({
        "to": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } }],
        "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }],
    })
}

/// Network ranges of a path out of the cluster; none stands for anywhere.
pub fn ranges(egress: &Egress, scope: &Scope<'_>) -> Result<Vec<String>, String> {
    let Some(source) = &egress.to else { return Ok(Vec::new()) };
    let Value::Array(items) = scope.cel(source)? else { return Err(format!("`{source}`: is no list")) };
    items
        .iter()
        .map(|item| match item.as_str().filter(|text| network_range(text)) {
            Some(range) => Ok(range.to_owned()),
            None => Err(format!("{item} is no network range of the form 192.0.2.0/24 or 2001:db8::/32")),
        })
        .collect()
}

/// Whether the text is a network range, CIDR.
pub fn network_range(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let longest = match address.parse::<core::net::IpAddr>() {
            Ok(core::net::IpAddr::V4(_)) => 32,
            Ok(core::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= longest)
    })
}

fn selector(peer: &Peer) -> Value {
    let mut selector = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": peer.namespace } },
    });
    if let Some(component) = &peer.component {
        selector["podSelector"] = json!({ "matchLabels": { names::LABEL_COMPONENT: component } });
    } else if !peer.labels.is_empty() {
        selector["podSelector"] = json!({ "matchLabels": peer.labels });
    }
    selector
}

/// Nothing in, nothing out but name resolution.
pub fn default_deny(namespace: &str, belongs: Belongs<'_>) -> Draft {
    let spec = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [to_names()] });
    policy(namespace, "default-deny", belongs, spec)
}
