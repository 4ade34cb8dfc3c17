//! The plan as the checks look at it: Services, pods, policies, texts, order; and what the entries ask for.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::v1alpha1::product::Component;
use serde_json::Value;

use super::links::Link;
use super::read::all_mounts;
use super::text::{self, Host, Role};
use crate::model::{BlockPlan, Desired, Finding, Plan, SecretKeyRef, Unit, UnitId};
use crate::naming::keyed;
use crate::placement::links::Borders;
use crate::render::frame::Frame;
use crate::resolve::Inputs;

/// Every frame, by block.
pub type Frames<'a> = BTreeMap<&'a str, Vec<Frame<'a>>>;

/// A Service.
pub struct Service<'a> {
    /// Where it is.
    pub unit: &'a UnitId,
    /// The object.
    pub object: &'a Desired,
    /// Labels of the pods behind it.
    pub selector: &'a Value,
    /// Port and what it leads to on the pods.
    pub ports: Vec<(u16, &'a Value)>,
}

/// Where a text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An environment variable.
    Env(String),
    /// An element of command or args.
    Argument,
    /// A probe's command.
    Probe,
    /// A mounted file: its path.
    File(String),
}

/// A text that a container reads.
pub struct Text {
    /// Where.
    pub place: Place,
    /// Field of the object, for messages.
    pub field: String,
    /// Content; secret values are tokens.
    pub body: String,
}

/// A named value that a container reads.
pub struct Setting {
    /// Index of its text.
    pub text: usize,
    /// Name.
    pub key: String,
    /// Value; a secret is a token.
    pub value: String,
    /// What the end of its name says, and the prefix that its siblings share.
    role: Option<(Role, String)>,
}

impl Setting {
    pub(super) fn new(text: usize, key: String, value: String) -> Self {
        let role = text::role(&key);
        Setting { text, key, value, role }
    }

    /// Whether its name ends as one of that role does.
    pub fn is(&self, role: Role) -> bool {
        self.role.as_ref().is_some_and(|(r, _)| *r == role)
    }
}

/// A host name that a container reads.
pub struct Mention {
    /// Index of its text.
    pub text: usize,
    /// The host.
    pub host: Host,
}

/// A folder or file in a container.
pub struct Mount<'a> {
    /// `mountPath`.
    pub path: &'a str,
    /// `subPath`.
    pub file: Option<&'a str>,
    /// ConfigMap or Secret by name; `None` for scratch and persistent volumes.
    pub source: Option<Source<'a>>,
    /// The volume's name in the pod.
    pub volume: &'a str,
    /// The container has it; else only a step before it does.
    pub own: bool,
}

/// What a mount shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source<'a> {
    /// A ConfigMap.
    Config(&'a str),
    /// A Secret.
    Secret(&'a str),
}

/// Pods of one workload.
pub struct Run<'a> {
    /// Its unit.
    pub unit: &'a UnitId,
    /// The workload.
    pub object: &'a Desired,
    /// Namespace.
    pub namespace: &'a str,
    /// Labels of its pods.
    pub labels: &'a Value,
    /// Pod spec.
    pub spec: &'a Value,
    /// Its container.
    pub container: &'a Value,
    /// Runs to completion.
    pub job: bool,
    /// The entry's component and the frame it comes from.
    pub entry: Option<(&'a Frame<'a>, &'a Component)>,
    /// Texts.
    pub texts: Vec<Text>,
    /// Settings.
    pub settings: Vec<Setting>,
    /// Names of the form `name.namespace.svc…`, and plain ones that are Services beside it.
    pub mentions: Vec<Mention>,
    /// Mounts.
    pub mounts: Vec<Mount<'a>>,
    /// Secret keys that it reads.
    pub reads: BTreeSet<SecretKeyRef>,
    /// Requirements that it connects to.
    pub links: Vec<Link<'a>>,
}

impl Run<'_> {
    /// Number of the container port of that name.
    pub fn port(&self, name: &str) -> Option<u16> {
        self.ports().find(|(n, _)| *n == name).map(|(_, port)| port)
    }

    /// Container ports.
    pub fn ports(&self) -> impl Iterator<Item = (&str, u16)> {
        items(&self.container["ports"]).filter_map(|p| {
            Some((p["name"].as_str().unwrap_or_default(), u16::try_from(p["containerPort"].as_u64()?).ok()?))
        })
    }

    /// The setting beside another that has that role and the same prefix. Variables are beside each other, and the
    /// settings of one file.
    pub fn sibling(&self, setting: &Setting, wanted: Role) -> Option<&Setting> {
        let (_, prefix) = setting.role.as_ref()?;
        let env = |text: usize| matches!(self.texts[text].place, Place::Env(_));
        self.settings.iter().find(|other| {
            other.role.as_ref().is_some_and(|(role, p)| *role == wanted && p == prefix)
                && (other.text == setting.text || env(other.text) && env(setting.text))
        })
    }

    /// Whether any of its texts holds the word.
    pub fn says(&self, word: &str) -> bool {
        self.texts.iter().any(|t| text::has_word(&t.body, word))
    }

    /// Whether any of its texts holds the number.
    pub fn says_number(&self, number: u16) -> bool {
        self.texts.iter().any(|t| text::has_number(&t.body, number))
    }
}

/// Everything the checks look at.
pub struct World<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The Stack.
    pub stack: &'a Stack,
    /// What it refers to.
    pub inputs: &'a Inputs,
    /// What the entries say.
    pub frames: &'a Frames<'a>,
    /// Services by namespace and name.
    pub services: BTreeMap<&'a str, BTreeMap<&'a str, Service<'a>>>,
    /// Ports of Services that charts and operators render, by namespace and name.
    pub foreign: BTreeMap<(&'a str, &'a str), u16>,
    /// Secrets by namespace and name.
    pub secrets: BTreeMap<(&'a str, &'a str), (&'a UnitId, &'a Desired)>,
    /// ConfigMaps by namespace and name.
    pub configs: BTreeMap<(&'a str, &'a str), (&'a UnitId, &'a Desired)>,
    /// Pods.
    pub runs: Vec<Run<'a>>,
    beside: BTreeMap<&'a str, Vec<usize>>,
    policies: BTreeMap<&'a str, Vec<&'a Value>>,
    before: BTreeMap<&'a UnitId, BTreeSet<&'a UnitId>>,
    given: BTreeMap<&'a str, Vec<Value>>,
    /// Between which namespaces the border of a cluster lies.
    pub borders: Borders,
    /// Services that answer in other clusters, by namespace and name.
    pub exported: BTreeSet<(&'a str, &'a str)>,
}

/// Elements of a list; none when the value is no list.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What the products of each block give to whoever asks, without a claim.
fn given<'a>(frames: &'a Frames<'a>, domain: &str) -> BTreeMap<&'a str, Vec<Value>> {
    let of = |frame: &Frame<'_>| -> Vec<Value> {
        let provides = &frame.instance.entry.spec.provides;
        provides
            .iter()
            .filter_map(|p| frame.outputs(p, None, domain).ok())
            .flat_map(|o| o.into_values())
            .collect()
    };
    frames.iter().map(|(block, frames)| (*block, frames.iter().flat_map(of).collect())).collect()
}

fn name_of(object: &Desired) -> (&str, &str) {
    (object.key.namespace.as_deref().unwrap_or_default(), &object.key.name)
}

impl<'a> World<'a> {
    /// Index a plan.
    pub fn new(
        plan: &'a Plan,
        stack: &'a Stack,
        inputs: &'a Inputs,
        frames: &'a Frames<'a>,
        borders: Borders,
    ) -> Self {
        let mut world = World {
            plan,
            stack,
            inputs,
            frames,
            services: BTreeMap::new(),
            foreign: foreign(frames),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            runs: Vec::new(),
            beside: BTreeMap::new(),
            policies: BTreeMap::new(),
            before: before(plan),
            given: given(frames, &stack.spec.site.cluster_domain),
            borders,
            exported: BTreeSet::new(),
        };
        for unit in plan.units() {
            for object in &unit.objects {
                let key = name_of(object);
                match object.key.kind.as_str() {
                    "Service" => drop(
                        world.services.entry(key.0).or_default().insert(key.1, service(&unit.id, object)),
                    ),
                    "Secret" => drop(world.secrets.insert(key, (&unit.id, object))),
                    "ConfigMap" => drop(world.configs.insert(key, (&unit.id, object))),
                    "ServiceExport" => drop(world.exported.insert(key)),
                    "NetworkPolicy" => world.policies.entry(key.0).or_default().push(&object.body["spec"]),
                    _ => {}
                }
            }
        }
        let components = components(frames);
        for unit in plan.units() {
            for object in &unit.objects {
                if let Some(template) = object.pod_template()
                    && let Some(container) = template.pointer("/spec/containers/0")
                {
                    let run = world.run(unit, object, template, container, &components);
                    world.beside.entry(run.namespace).or_default().push(world.runs.len());
                    world.runs.push(run);
                }
            }
        }
        world
    }

    fn run(
        &self,
        unit: &'a Unit,
        object: &'a Desired,
        template: &'a Value,
        container: &'a Value,
        components: &Components<'a>,
    ) -> Run<'a> {
        let spec = &template["spec"];
        let namespace = object.key.namespace.as_deref().unwrap_or_default();
        let entry = components.get(&(unit.id.block.as_str(), unit.id.name.clone()));
        let links = |(frame, component, key): &(&'a Frame<'a>, &'a Component, Option<String>)| {
            self.links(frame, component, key.as_deref())
        };
        let mut run = Run {
            unit: &unit.id,
            object,
            namespace,
            labels: &template["metadata"]["labels"],
            spec,
            container,
            job: object.key.kind == "Job",
            entry: entry.map(|(frame, component, _)| (*frame, *component)),
            texts: Vec::new(),
            settings: Vec::new(),
            mentions: Vec::new(),
            mounts: all_mounts(spec, container),
            reads: BTreeSet::new(),
            links: entry.map(links).unwrap_or_default(),
        };
        self.read(&mut run);
        run
    }

    /// Whether a unit brings data from one backing service to another, or back from a backup.
    pub fn brings(&self, unit: &UnitId) -> bool {
        self.plan.blocks.iter().filter_map(BlockPlan::standstill).any(|(_, jobs)| jobs.contains(unit))
    }

    /// Whether the products of a block give this text, or one that contains it, to whoever asks them.
    pub fn gives(&self, block: &str, text: &str) -> bool {
        self.given
            .get(block)
            .into_iter()
            .flatten()
            .any(|value| value.as_str().is_some_and(|v| v.contains(text)))
    }

    /// Pods of a namespace whose labels match.
    pub fn selected(&self, namespace: &str, selector: &'a Value) -> impl Iterator<Item = &Run<'a>> {
        self.beside(namespace).filter(move |run| matches(selector, run.labels))
    }

    /// Pods of a namespace.
    pub fn beside(&self, namespace: &str) -> impl Iterator<Item = &Run<'a>> {
        self.beside.get(namespace).into_iter().flatten().map(|i| &self.runs[*i])
    }

    /// The Service that a mention means.
    pub fn meant(&self, host: &Host) -> Option<&Service<'a>> {
        self.service(host.namespace.as_deref()?, &host.service)
    }

    /// The Service of that name.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service<'a>> {
        self.services.get(namespace)?.get(name)
    }

    /// Pods behind a Service.
    pub fn behind<'w>(&'w self, service: &'w Service<'a>) -> impl Iterator<Item = &'w Run<'a>> {
        self.selected(service.object.key.namespace.as_deref().unwrap_or_default(), service.selector)
    }

    /// Whether `to` may be called by `from` on a container port: both sides must say so.
    pub fn allowed(&self, from: &Run<'_>, to: &Run<'_>, port: u16) -> bool {
        self.policy_allows(from, to, port, "egress", "to", "Egress")
            && self.policy_allows(to, from, port, "ingress", "from", "Ingress")
    }

    fn policy_allows(
        &self,
        of: &Run<'_>,
        peer: &Run<'_>,
        port: u16,
        rules: &str,
        side: &str,
        kind: &str,
    ) -> bool {
        let mut selected = false;
        for spec in self.policies_of(of).filter(|spec| items(&spec["policyTypes"]).any(|t| t == kind)) {
            selected = true;
            let open = items(&spec[rules]).any(|rule| {
                let to_port = rule["ports"].is_null() || items(&rule["ports"]).any(|p| p["port"] == port);
                to_port
                    && (rule[side].is_null() || items(&rule[side]).any(|p| self.lets_through(p, of, peer)))
            });
            if open {
                return true;
            }
        }
        !selected
    }

    /// Whether a policy's peer means pods: by their labels, or by the ranges of their cluster where that is another one.
    fn lets_through(&self, rule: &Value, of: &Run<'_>, peer: &Run<'_>) -> bool {
        if !self.borders.lies_between(of.namespace, peer.namespace) {
            return is_peer(rule, of.namespace, peer);
        }
        let cidr = rule.pointer("/ipBlock/cidr").and_then(Value::as_str);
        cidr.is_some_and(|cidr| self.borders.ranges(peer.namespace).iter().any(|range| range == cidr))
    }

    /// Policies that select these pods.
    pub fn policies_of(&self, run: &Run<'_>) -> impl Iterator<Item = &'a Value> {
        let selects = |spec: &&'a Value| matches(&spec["podSelector"]["matchLabels"], run.labels);
        self.policies
            .get(run.namespace)
            .into_iter()
            .flatten()
            .copied()
            .filter(selects)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Whether `unit` starts only after `other` is ready.
    pub fn waits(&self, unit: &UnitId, other: &UnitId) -> bool {
        self.before.get(unit).is_some_and(|before| before.contains(other))
    }

    /// A finding about a workload.
    pub fn at(&self, run: &Run<'_>, field: &str, message: String) -> Finding {
        Finding {
            path: format!("spec.blocks[{}]: {}: {}: {field}", run.unit.block, run.unit.name, run.object.key),
            message,
        }
    }

    /// A finding about any object.
    pub fn on(&self, unit: &UnitId, object: &Desired, field: &str, message: String) -> Finding {
        Finding {
            path: format!("spec.blocks[{}]: {}: {}: {field}", unit.block, unit.name, object.key),
            message,
        }
    }
}

/// Whether a policy's peer matches pods.
pub fn is_peer(peer: &Value, policy_namespace: &str, run: &Run<'_>) -> bool {
    if peer.get("ipBlock").is_some() {
        return false;
    }
    let namespace = match peer.get("namespaceSelector") {
        None => policy_namespace == run.namespace,
        Some(selector) => selector["matchLabels"].as_object().is_none_or(|labels| {
            labels.iter().all(|(k, v)| k == "kubernetes.io/metadata.name" && v == run.namespace)
        }),
    };
    namespace && matches(&peer["podSelector"]["matchLabels"], run.labels)
}

/// Whether labels hold everything that the selector asks for; an empty selector asks for nothing.
pub fn matches(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

fn foreign<'a>(frames: &'a Frames<'a>) -> BTreeMap<(&'a str, &'a str), u16> {
    let provisions = frames.values().flatten().flat_map(|frame| {
        let spec: &'a plinth_api::ProductSpec = &frame.instance.entry.spec;
        spec.provides.iter().map(|provision| (frame.namespace, provision))
    });
    provisions
        .filter_map(|(namespace, provision)| {
            provision.service.as_ref().map(|s| ((namespace, s.name.as_str()), s.port))
        })
        .collect()
}

fn service<'a>(unit: &'a UnitId, object: &'a Desired) -> Service<'a> {
    let ports = items(&object.body["spec"]["ports"])
        .filter_map(|p| {
            Some((u16::try_from(p["port"].as_u64()?).ok()?, p.get("targetPort").unwrap_or(&p["port"])))
        })
        .collect();
    Service { unit, object, selector: &object.body["spec"]["selector"], ports }
}

type Components<'a> = BTreeMap<(&'a str, String), (&'a Frame<'a>, &'a Component, Option<String>)>;

/// Components by block and object name, with the instance's key.
fn components<'a>(frames: &'a Frames<'a>) -> Components<'a> {
    let mut components = BTreeMap::new();
    for frame in frames.values().flatten() {
        let spec: &'a plinth_api::ProductSpec = &frame.instance.entry.spec;
        for component in &spec.components {
            for (key, _) in frame.instances(component.for_each.as_ref()) {
                let name = keyed(&component.name, key.as_deref());
                components.insert((frame.block, name), (frame, component, key));
            }
        }
    }
    components
}

/// Everything that each unit waits for, directly or not.
fn before(plan: &Plan) -> BTreeMap<&UnitId, BTreeSet<&UnitId>> {
    let after: BTreeMap<&UnitId, &Vec<UnitId>> = plan.units().map(|u| (&u.id, &u.after)).collect();
    let mut before = BTreeMap::new();
    for unit in plan.units() {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&UnitId> = unit.after.iter().collect();
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                next.extend(after.get(id).into_iter().flat_map(|a| a.iter()));
            }
        }
        before.insert(&unit.id, seen);
    }
    before
}
