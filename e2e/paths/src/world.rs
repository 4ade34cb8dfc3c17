//! Who could talk to whom: every pod of a plan, those that agencies run themselves, and bystanders that nobody declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use plinth_api::names;
use plinth_plan::model::{Desired, Plan};
use serde::Serialize;
use serde_json::Value;

use crate::declared::{Declared, Labels};
use crate::range::Range;

/// Label that the API server gives every namespace.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Namespace of the cluster's name servers.
pub const SYSTEM: &str = "kube-system";
/// Nobody listens here and no policy names it: open only where every port is.
const UNUSED: Port = Port { port: 1, protocol: Protocol::Tcp };
/// Namespace that no Stack and no agency has to do with.
const ELSEWHERE: &str = "elsewhere";
/// Addresses outside the cluster that no range names but that of all addresses: RFC 2544, RFC 9637.
const OUTSIDE: [&str; 2] = ["198.18.0.1", "3fff::1"];
/// First address of pods.
const PODS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 0);

/// Every pod and every NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct World {
    /// The policies, as the plan has them.
    pub policies: Vec<Value>,
    /// The pods. Replicas of a template are one and the same to a policy: one stands for all, and is its own neighbour.
    pub pods: Vec<Pod>,
}

/// A pod, or an address outside the cluster when it has no namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Name, for people.
    pub name: String,
    /// Namespace; empty outside the cluster.
    pub namespace: String,
    /// Labels of the namespace.
    pub namespace_labels: Labels,
    /// Labels of the pod.
    pub labels: Labels,
    /// Address.
    pub ip: IpAddr,
    /// What is tried out on it.
    pub ports: Vec<Probe>,
}

/// A port that is tried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// The port.
    #[serde(flatten)]
    pub port: Port,
    /// Its name in the container, for policies that name it.
    pub name: String,
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Port {
    /// Number.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Port {
    /// A TCP port.
    pub fn tcp(port: u16) -> Self {
        Self { port, protocol: Protocol::Tcp }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        write!(f, "{protocol} {}", self.port)
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}", self.ip)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl World {
    /// The world of a plan.
    ///
    /// # Errors
    /// A workload or a policy of the plan has a form that is not understood here.
    pub fn of(plan: &Plan, declared: &Declared) -> Result<Self> {
        let policies: Vec<Value> =
            plan.objects().filter(|o| o.key.kind == "NetworkPolicy").map(|o| o.body.clone()).collect();
        let mut namespaces = Namespaces::of(plan, declared);
        let mut pods = Vec::new();
        for object in plan.objects().filter(|o| o.pod_template().is_some()) {
            pods.push(namespaces.workload(object)?);
        }
        let mut world = Self { policies, pods };
        world.add_agencies_and_impostors(&namespaces, declared);
        world.try_ports(declared)?;
        world.add_addresses(declared)?;
        world.number();
        Ok(world)
    }

    /// Pods that agencies run, twins of everything in a namespace where they do not belong, and a pod without labels in
    /// every namespace.
    fn add_agencies_and_impostors(&mut self, namespaces: &Namespaces, declared: &Declared) {
        self.pods.extend(declared.agencies.iter().map(|agency| {
            namespaces.pod(&agency.namespace, &agency.name, agency.labels.clone(), agency.ports.clone())
        }));
        let impostor = |pod: &Pod| {
            namespaces.pod(
                ELSEWHERE,
                &format!("{}-impostor", pod.name),
                pod.labels.clone(),
                pod.ports.clone(),
            )
        };
        let impostors: Vec<Pod> = self.pods.iter().map(impostor).collect();
        self.pods.extend(impostors);
        let bystander = |name: &String| namespaces.pod(name, "bystander", Labels::new(), Vec::new());
        self.pods.extend(namespaces.labels.keys().map(bystander));
    }

    /// What is tried out beside the ports that a pod listens on: one that nobody names; on pods of the plan those that
    /// policies of their namespace name; on pods that somebody else runs every one there is.
    fn try_ports(&mut self, declared: &Declared) -> Result<()> {
        let mut named: BTreeMap<String, BTreeSet<Port>> = BTreeMap::new();
        for policy in &self.policies {
            let namespace = policy["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            named.entry(namespace).or_default().extend(ports_of(policy)?);
        }
        let own = self.pods.iter().flat_map(|pod| &pod.ports).map(|probe| probe.port);
        let every: BTreeSet<Port> =
            named.values().flatten().copied().chain(own).chain(declared.ports()).chain([UNUSED]).collect();
        let none = BTreeSet::new();
        for pod in &mut self.pods {
            let planned = pod.labels.get(names::LABEL_MANAGED_BY).is_some_and(|by| by == names::MANAGED_BY);
            let more = match pod.namespace.as_str() {
                ELSEWHERE if planned => &none,
                namespace if planned => named.get(namespace).unwrap_or(&none),
                _ => &every,
            };
            let own: BTreeSet<Port> = pod.ports.iter().map(|probe| probe.port).collect();
            let more = more.iter().chain([&UNUSED]).copied().collect::<BTreeSet<Port>>();
            pod.ports.extend(more.difference(&own).map(|port| Probe::from(*port)));
        }
        Ok(())
    }

    /// Addresses outside the cluster: they answer on every port there is.
    fn add_addresses(&mut self, declared: &Declared) -> Result<()> {
        let every: BTreeSet<Port> =
            self.pods.iter().flat_map(|pod| &pod.ports).map(|probe| probe.port).collect();
        let mut ranges = declared.ranges();
        for policy in &self.policies {
            ranges.extend(ranges_of(policy)?);
        }
        let mut addresses: BTreeSet<IpAddr> = ranges.into_iter().flat_map(Range::samples).collect();
        for outside in OUTSIDE {
            addresses.insert(outside.parse().context("an address outside")?);
        }
        self.pods.extend(addresses.into_iter().map(|ip| Pod {
            name: "outside".to_owned(),
            namespace: String::new(),
            namespace_labels: Labels::new(),
            labels: Labels::new(),
            ip,
            ports: every.iter().map(|port| Probe::from(*port)).collect(),
        }));
        Ok(())
    }

    fn number(&mut self) {
        let inside = self.pods.iter_mut().filter(|pod| !pod.namespace.is_empty());
        for (address, pod) in (PODS.to_bits() + 1..).zip(inside) {
            pod.ip = Ipv4Addr::from_bits(address).into();
        }
    }

    /// Every pair with every port that is tried out, as positions of the two pods, in the order of an analysis.
    pub fn tries(&self) -> impl Iterator<Item = (usize, usize, Port)> + Clone {
        (0..self.pods.len()).flat_map(move |from| {
            let targets = self.pods.iter().enumerate();
            targets.flat_map(move |(to, pod)| pod.ports.iter().map(move |probe| (from, to, probe.port)))
        })
    }

    /// Names of the policies that select a pod.
    pub fn policies_of(&self, pod: &Pod) -> Vec<String> {
        let selects = |policy: &&Value| {
            let labels = policy.pointer("/spec/podSelector/matchLabels").and_then(Value::as_object);
            policy["metadata"]["namespace"] == pod.namespace.as_str()
                && labels
                    .into_iter()
                    .flatten()
                    .all(|(key, value)| pod.labels.get(key).is_some_and(|own| value == own.as_str()))
        };
        let name = |policy: &Value| policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.policies.iter().filter(selects).map(name).collect()
    }
}

impl From<Port> for Probe {
    fn from(port: Port) -> Self {
        Self { port, name: String::new() }
    }
}

/// Labels of every namespace.
struct Namespaces {
    labels: BTreeMap<String, Labels>,
}

impl Namespaces {
    fn of(plan: &Plan, declared: &Declared) -> Self {
        let mut labels: BTreeMap<String, Labels> = BTreeMap::new();
        for object in plan.objects().filter(|o| o.key.kind == "Namespace") {
            labels.insert(object.key.name.clone(), texts(&object.body["metadata"]["labels"]));
        }
        let others = declared.namespaces().into_iter().chain([SYSTEM.to_owned(), ELSEWHERE.to_owned()]);
        for name in others {
            labels.entry(name).or_default();
        }
        for (name, labels) in &mut labels {
            labels.extend(declared.namespace_labels.get(name).cloned().unwrap_or_default());
            labels.insert(NAMESPACE_NAME.to_owned(), name.clone());
        }
        Self { labels }
    }

    fn pod(&self, namespace: &str, name: &str, labels: Labels, ports: Vec<Probe>) -> Pod {
        Pod {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            namespace_labels: self.labels.get(namespace).cloned().unwrap_or_default(),
            labels,
            ip: PODS.into(),
            ports,
        }
    }

    /// The pod of a workload's template.
    fn workload(&mut self, object: &Desired) -> Result<Pod> {
        let template = object.pod_template().with_context(|| format!("{} has no pods", object.key))?;
        let namespace =
            object.key.namespace.as_deref().with_context(|| format!("{} has no namespace", object.key))?;
        ensure!(self.labels.contains_key(namespace), "{} is in a namespace that is not planned", object.key);
        let mut ports = Vec::new();
        for container in template["spec"]["containers"].as_array().into_iter().flatten() {
            for port in container["ports"].as_array().into_iter().flatten() {
                let probe = Probe {
                    port: port_of(&port["containerPort"], &port["protocol"])
                        .with_context(|| object.key.to_string())?,
                    name: port["name"].as_str().unwrap_or_default().to_owned(),
                };
                ports.push(probe);
            }
        }
        let labels = texts(&template["metadata"]["labels"]);
        // The name of a Job ends in a digest of what it does.
        let name = labels.get(names::LABEL_COMPONENT).unwrap_or(&object.key.name).clone();
        Ok(self.pod(namespace, &name, labels, ports))
    }
}

fn texts(value: &Value) -> Labels {
    let labels = value.as_object().into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// A numbered port of an object.
pub(crate) fn port_of(number: &Value, protocol: &Value) -> Result<Port> {
    let port = number
        .as_u64()
        .and_then(|port| u16::try_from(port).ok())
        .with_context(|| format!("{number} is no port"))?;
    let protocol = match protocol.as_str() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some(other) => anyhow::bail!("{other} is neither TCP nor UDP"),
    };
    Ok(Port { port, protocol })
}

/// Every rule of a policy.
fn rules(policy: &Value) -> impl Iterator<Item = &Value> {
    let sides = ["/spec/ingress", "/spec/egress"];
    sides.into_iter().filter_map(|side| policy.pointer(side)?.as_array()).flatten()
}

/// Every port that a policy names by its number.
fn ports_of(policy: &Value) -> Result<Vec<Port>> {
    let ports = rules(policy).filter_map(|rule| rule["ports"].as_array()).flatten();
    ports.filter(|port| port["port"].is_u64()).map(|port| port_of(&port["port"], &port["protocol"])).collect()
}

/// Every range that a policy names.
fn ranges_of(policy: &Value) -> Result<Vec<Range>> {
    let peers =
        rules(policy).flat_map(|rule| ["from", "to"].map(|side| &rule[side])).filter_map(Value::as_array);
    let blocks = peers.flatten().filter_map(|peer| peer.pointer("/ipBlock/cidr")?.as_str());
    blocks.map(Range::parse).collect()
}
