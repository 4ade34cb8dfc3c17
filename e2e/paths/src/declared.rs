//! What should be open, as people declare it: in catalogue entries, in the Stack, and in what agencies write.

mod blocks;
mod exchange;
mod own;
mod services;
mod stage;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, anyhow};
use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::model::Plan;
use plinth_plan::resolve::resolve;

use self::stage::Stage;
use crate::range::Range;
use crate::world::{NAMESPACE_NAME, Pod, Port, Probe, Protocol, SYSTEM, World};

/// Labels.
pub type Labels = BTreeMap<String, String>;

/// Everything that is declared to be open. Nothing else is.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The paths.
    pub paths: Vec<Path>,
    /// Whose traffic Plinth answers for: nothing leaves these pods, or gets in to them, but by the paths.
    pub guarded: Vec<(Who, Sides)>,
    /// Pods that agencies run themselves.
    pub agencies: Vec<Agency>,
    /// What is known of the labels of namespaces that Plinth does not make.
    pub namespace_labels: BTreeMap<String, Labels>,
}

/// A pod that an agency runs itself.
#[derive(Clone, Debug)]
pub struct Agency {
    /// Namespace.
    pub namespace: String,
    /// What it is, for people.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// What it listens on.
    pub ports: Vec<Probe>,
}

/// A declared path.
#[derive(Clone, Debug)]
pub struct Path {
    /// Who calls.
    pub from: Peer,
    /// Who is called.
    pub to: Peer,
    /// On which port; on every port where `None`.
    pub port: Option<Port>,
    /// Which side's policies open it.
    pub sides: Sides,
    /// Where it is declared.
    pub why: String,
}

/// Pods, by labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Labels that the namespace has; every namespace where empty.
    pub namespaces: Labels,
    /// Labels that the pod has; every pod where empty.
    pub pods: Labels,
}

/// An end of a path.
#[derive(Clone, Debug)]
pub enum Peer {
    /// Pods.
    Pods(Who),
    /// Addresses, whoever has them.
    Addresses(Vec<Range>),
}

impl Peer {
    fn is(&self, pod: &Pod) -> bool {
        match self {
            Self::Pods(who) => who.is(pod),
            Self::Addresses(ranges) => ranges.iter().any(|range| range.contains(pod.ip)),
        }
    }

    fn ranges(&self) -> &[Range] {
        match self {
            Self::Pods(_) => &[],
            Self::Addresses(ranges) => ranges,
        }
    }

    fn namespace(&self) -> Option<&String> {
        match self {
            Self::Pods(who) => who.namespaces.get(NAMESPACE_NAME),
            Self::Addresses(_) => None,
        }
    }
}

/// Which side's policies are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Those of the source and those of the target.
    Both,
    /// Those of the source: what is called is for someone else to guard.
    Out,
    /// Those of the target.
    In,
}

impl Who {
    /// Pods of a namespace.
    pub fn of(namespace: &str, pods: Labels) -> Self {
        Self { namespaces: [(NAMESPACE_NAME.to_owned(), namespace.to_owned())].into(), pods }
    }

    /// Every pod of a namespace.
    pub fn all_of(namespace: &str) -> Self {
        Self::of(namespace, Labels::new())
    }

    fn is(&self, pod: &Pod) -> bool {
        let has = |wanted: &Labels, labels: &Labels| {
            wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        !pod.namespace.is_empty()
            && has(&self.namespaces, &pod.namespace_labels)
            && has(&self.pods, &pod.labels)
    }
}

impl Declared {
    /// What a Stack declares.
    ///
    /// # Errors
    /// The Stack has findings, or an entry says something that is not understood here.
    pub fn of(stack: &Stack, inputs: &Inputs, plan: &Plan) -> Result<Self> {
        let known = inputs.declared.namespaces.clone().unwrap_or_default();
        let mut declared = Self { namespace_labels: known, ..Self::default() };
        let resolved = resolve(stack, inputs, &plan.exchange).map_err(|findings| anyhow!("{findings:?}"))?;
        let stage = Stage { stack, plan, resolved: &resolved, agencies: &inputs.declared };
        blocks::declare(&stage, &mut declared)?;
        exchange::declare(&stage, &mut declared)?;
        services::declare(&stage, &mut declared)?;
        own::declare(plan, &mut declared)?;
        Ok(declared)
    }

    /// Shuts pods. Whoever is not let out resolves names nevertheless.
    fn guard(&mut self, who: &Who, sides: Sides) {
        for protocol in [Protocol::Tcp, Protocol::Udp].into_iter().filter(|_| sides != Sides::In) {
            self.paths.push(Path {
                from: Peer::Pods(who.clone()),
                to: Peer::Pods(Who::all_of(SYSTEM)),
                port: Some(Port { port: 53, protocol }),
                sides: Sides::Out,
                why: "everybody resolves names".to_owned(),
            });
        }
        self.guarded.push((who.clone(), sides));
    }

    /// Namespaces that something is declared about.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        let named = self.paths.iter().flat_map(|path| [&path.from, &path.to]).filter_map(Peer::namespace);
        named.chain(self.agencies.iter().map(|agency| &agency.namespace)).cloned().collect()
    }

    /// Ranges that something is declared about.
    pub(crate) fn ranges(&self) -> BTreeSet<Range> {
        let ends = self.paths.iter().flat_map(|path| [&path.from, &path.to]);
        ends.flat_map(Peer::ranges).copied().collect()
    }

    /// Ports that something is declared about.
    pub(crate) fn ports(&self) -> impl Iterator<Item = Port> {
        self.paths.iter().filter_map(|path| path.port)
    }

    /// What is declared of each try of a world, in its order.
    pub fn over<'d>(&'d self, world: &World) -> Expected<'d> {
        let positions = |peer: &Peer| -> Vec<usize> {
            world.pods.iter().enumerate().filter(|(_, pod)| peer.is(pod)).map(|(i, _)| i).collect()
        };
        let mut paths: HashMap<(usize, usize), Vec<&Path>> = HashMap::new();
        for path in &self.paths {
            let (sources, targets) = (positions(&path.from), positions(&path.to));
            for from in &sources {
                for to in &targets {
                    paths.entry((*from, *to)).or_default().push(path);
                }
            }
        }
        let is_guarded =
            |pod: &Pod, but: Sides| self.guarded.iter().any(|(who, sides)| *sides != but && who.is(pod));
        let guarded: Vec<(bool, bool)> =
            world.pods.iter().map(|pod| (is_guarded(pod, Sides::In), is_guarded(pod, Sides::Out))).collect();
        let mut verdicts = Vec::new();
        for from in 0..world.pods.len() {
            for (to, pod) in world.pods.iter().enumerate() {
                let paths = paths.get(&(from, to)).map(Vec::as_slice).unwrap_or_default();
                verdicts.extend(pod.ports.iter().map(|probe| {
                    let open =
                        |shut: Sides| paths.iter().any(|path| path.sides != shut && path.is_on(probe.port));
                    (!guarded[from].0 || open(Sides::In), !guarded[to].1 || open(Sides::Out))
                }));
            }
        }
        Expected { paths, guarded, verdicts }
    }
}

impl Path {
    fn is_on(&self, port: Port) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

/// What is declared of a world.
pub struct Expected<'d> {
    /// Paths by the positions of source and target.
    paths: HashMap<(usize, usize), Vec<&'d Path>>,
    /// Who is shut, by position: nothing leaves, nothing gets in.
    guarded: Vec<(bool, bool)>,
    /// For each of [`World::tries`]: whether the source is let out, and whether the target lets it in.
    pub verdicts: Vec<(bool, bool)>,
}

impl Expected<'_> {
    /// Whether Plinth answers for an end of a pair. What others leave open among themselves is theirs.
    pub fn concerns(&self, from: usize, to: usize) -> bool {
        self.guarded[from].0 || self.guarded[to].1
    }

    /// What there is, in a line: pods, policies, paths, and what of all that Plinth answers for should pass.
    pub fn summary(&self, world: &World) -> String {
        let ours = world.tries().zip(&self.verdicts).filter(|((from, to, _), _)| self.concerns(*from, *to));
        let pass = ours.clone().filter(|(_, verdict)| **verdict == (true, true)).count();
        let (pods, policies) = (world.pods.len(), world.policies.len());
        format!("{pods} pods, {policies} policies: {pass} of {} tries pass", ours.count())
    }

    /// Where a path is declared.
    pub fn why(&self, from: usize, to: usize, port: Port) -> Vec<&str> {
        let paths = self.paths.get(&(from, to)).into_iter().flatten();
        paths.filter(|path| path.is_on(port)).map(|path| path.why.as_str()).collect()
    }
}
