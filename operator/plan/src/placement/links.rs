//! What crosses the border of a cluster. A Service that is used from another cluster is exported by Multicluster Services
//! (`sigs.k8s.io/mcs-api`) and answers in every cluster of the set under one name, wherever its namespace exists. Network
//! policies know pods of their own cluster alone: across a border they let the other cluster's ranges through.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::v1alpha1::cluster::MCS_API;
use serde_json::{Map, Value};

use super::facts::sites;
use super::{ClusterFacts, shown};
use crate::exchange::Compiled;
use crate::exchange::compile::{Where, called};
use crate::expr::listed;
use crate::model::Finding;
use crate::render::RUNS_REGISTRIES;
use crate::resolve::{Binding, Inputs, Instance, Resolved, finding};

/// DNS domain of what is exported.
pub(crate) const CLUSTERSET: &str = "clusterset.local";

/// Which namespaces of a plan are on which cluster. Any other, `kube-system` say, is taken to be beside whoever names it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Borders {
    clusters: BTreeMap<String, Option<String>>,
    ranges: BTreeMap<String, Vec<String>>,
}

impl Borders {
    /// Around resolved blocks.
    pub fn of(resolved: &[Resolved<'_>]) -> Self {
        let clusters = resolved.iter().map(|r| (r.namespace.clone(), r.cluster.clone()));
        Self { clusters: clusters.collect(), ranges: BTreeMap::new() }
    }

    /// With the network ranges of each cluster.
    pub fn with_ranges(self, stack: &Stack, inputs: &Inputs) -> Self {
        let ranges = sites(stack, inputs).into_iter().map(|(name, facts)| (name, facts.cidrs));
        Self { ranges: ranges.collect(), ..self }
    }

    /// Whether everything is on the hub.
    pub fn are_none(&self) -> bool {
        self.clusters.values().all(Option::is_none)
    }

    /// The WorkloadCluster of a namespace; `None` for the hub.
    pub fn cluster(&self, namespace: &str) -> Option<&str> {
        self.clusters.get(namespace)?.as_deref()
    }

    /// Whether a border lies between two namespaces.
    pub fn lies_between(&self, one: &str, other: &str) -> bool {
        let of = |namespace: &str| self.clusters.get(namespace);
        matches!((of(one), of(other)), (Some(one), Some(other)) if one != other)
    }

    /// Network ranges by which a namespace's pods are known in other clusters.
    pub fn ranges(&self, namespace: &str) -> &[String] {
        let ranges = self.ranges.get(shown(self.cluster(namespace)));
        ranges.map(Vec::as_slice).unwrap_or_default()
    }

    /// What a provider says, as it is heard in a namespace: across a border its Services have the names that they are exported
    /// by. Those Services come back.
    pub fn heard(
        &self,
        listener: &str,
        provider: &str,
        domain: &str,
        outputs: &mut Map<String, Value>,
    ) -> BTreeSet<String> {
        let mut services = BTreeSet::new();
        if self.lies_between(listener, provider) {
            outputs.values_mut().for_each(|value| rename(value, provider, domain, &mut services));
        }
        services
    }
}

fn rename(value: &mut Value, namespace: &str, domain: &str, services: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => *text = renamed(text, namespace, domain, services),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, namespace, domain, services)),
        Value::Object(map) => map.values_mut().for_each(|value| rename(value, namespace, domain, services)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with each `<service>.<namespace>.svc.<domain>` under the name that it is exported by.
fn renamed(text: &str, namespace: &str, domain: &str, services: &mut BTreeSet<String>) -> String {
    let inside = format!(".{namespace}.svc.{domain}");
    let outside = format!(".{namespace}.svc.{CLUSTERSET}");
    let mut parts = text.split(&inside).peekable();
    let mut renamed = String::with_capacity(text.len());
    while let Some(part) = parts.next() {
        renamed.push_str(part);
        if parts.peek().is_some() {
            let label = part.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
            services.extend(label.filter(|label| !label.is_empty()).map(str::to_owned));
            renamed.push_str(&outside);
        }
    }
    renamed
}

/// What a plan needs so that its parts find one another across borders.
#[derive(Debug, Default)]
pub(crate) struct Crossings {
    /// Services that are used from other clusters, by namespace.
    pub exports: BTreeMap<String, BTreeSet<String>>,
    /// Namespaces whose Services are used on another cluster, and the first block there that uses them.
    pub imports: BTreeMap<(String, String), String>,
    /// Blocks that publish a host and have no gateway on their cluster, while there is one on another.
    pub unpublished: BTreeSet<String>,
}

impl Crossings {
    /// A block on a cluster uses Services of a namespace on another.
    pub fn note(&mut self, block: &str, cluster: Option<&str>, namespace: &str, services: BTreeSet<String>) {
        if services.is_empty() {
            return;
        }
        self.exports.entry(namespace.to_owned()).or_default().extend(services);
        let import = (shown(cluster).to_owned(), namespace.to_owned());
        self.imports.entry(import).or_insert_with(|| block.to_owned());
    }
}

/// Why parts of a plan cannot reach one another where they are: said of the one that calls, and of what the exchange cannot call.
pub(crate) fn check(stack: &Stack, inputs: &Inputs, exchange: &Compiled, resolved: &mut [Resolved<'_>]) {
    if resolved.iter().all(|r| r.cluster.is_none()) {
        return;
    }
    let sites = sites(stack, inputs);
    let of_block = |name: &str| resolved.iter().position(|r| r.block.name == name);
    let mut wrong: Vec<(usize, Finding)> = Vec::new();
    let mut look = |at: usize, caller: usize, called: usize, capability: Option<&str>| {
        let (caller, called) = (&resolved[caller], &resolved[called]);
        wrong.extend(lacking(&sites, caller, called, capability).map(|finding| (at, finding)));
    };
    for (i, r) in resolved.iter().enumerate() {
        let Some(main) = main(r) else { continue };
        for binding in main.bindings.values() {
            if let Binding::Block { name, claim } = binding
                && let Some(provider) = of_block(name)
            {
                let required = main.entry.spec.requires.iter().find(|r| r.name == claim.requirement);
                look(i, i, provider, required.map(|required| required.capability.as_str()));
            }
        }
    }
    if let Some(server) = exchange.server.as_ref().and_then(|server| of_block(&server.block)) {
        for place in called(exchange) {
            let (answers, capability) = match place {
                Where::Registry { block, .. } => (of_block(block), Some(RUNS_REGISTRIES)),
                Where::Service { namespace, .. } => {
                    (resolved.iter().position(|r| r.namespace == *namespace), None)
                }
                Where::Host { .. } => continue,
            };
            if let Some(answers) = answers {
                look(answers, server, answers, capability);
            }
        }
    }
    for (at, finding) in wrong {
        if !resolved[at].blocked.contains(&finding) {
            resolved[at].blocked.push(finding);
        }
    }
}

fn main<'r, 'a>(resolved: &'r Resolved<'a>) -> Option<&'r Instance<'a>> {
    resolved.installed.as_ref()?.instances.first()
}

/// What is in the way between a caller and what it calls on another cluster. `capability` is what is called; an agency's own
/// Service is none, and takes the exchange's word as every system behind it does.
fn lacking(
    sites: &BTreeMap<String, ClusterFacts>,
    caller: &Resolved<'_>,
    called: &Resolved<'_>,
    capability: Option<&str>,
) -> Option<Finding> {
    if caller.cluster == called.cluster {
        return None;
    }
    let (from, to) = (shown(caller.cluster.as_deref()), shown(called.cluster.as_deref()));
    let both = || [from, to].into_iter().filter_map(|name| Some((name, sites.get(name)?)));
    let names = |of: &dyn Fn(&ClusterFacts) -> bool| -> Vec<&str> {
        both().filter(|(_, facts)| of(facts)).map(|(name, _)| name).collect()
    };
    let (deaf, closed) = (names(&|facts| !facts.has(MCS_API)), names(&|facts| facts.cidrs.is_empty()));
    let mut lacks = Vec::new();
    if !callers_prove(called, capability) {
        let what = capability.map_or_else(|| "it".to_owned(), |capability| format!("its `{capability}`"));
        lacks.push(format!("{what} believes whoever reaches it (no callersProve)"));
    }
    if !deaf.is_empty() {
        lacks.push(format!("{} has no {MCS_API} (Multicluster Services); install it there", listed(&deaf)));
    }
    if !closed.is_empty() {
        lacks.push(format!("{} names no cidrs, which network policies would let through", listed(&closed)));
    }
    let (caller, called) = (&caller.block.name, &called.block.name);
    let message = format!(
        "block `{caller}` on `{from}` calls block `{called}` on `{to}`, and {}. Or place the two together \
         (spec.placement.blocks[…].with)",
        lacks.join("; ")
    );
    (!lacks.is_empty()).then(|| finding("spec.placement", message))
}

/// Whether who calls a capability has to prove who it is. A block that is itself blocked is asked when it is there.
fn callers_prove(called: &Resolved<'_>, capability: Option<&str>) -> bool {
    let Some(capability) = capability else { return false };
    let provides = main(called).map(|main| &main.entry.spec.provides);
    provides.is_none_or(|all| all.iter().any(|p| p.capability == capability && p.callers_prove))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_provider_says_is_renamed_across_a_border_alone() {
        let clusters = [("s-a".to_owned(), Some("north".to_owned())), ("s-b".to_owned(), None)];
        let borders = Borders { clusters: clusters.into(), ..Borders::default() };
        let said = || {
            let text = "https://api.s-a.svc.cluster.local:8443/x, db-0.db.s-a.svc.cluster.local; other.s-ab.svc.cluster.local";
            Map::from_iter([("url".to_owned(), json!([text])), ("port".to_owned(), json!(1))])
        };
        let mut near = said();
        assert!(borders.heard("s-a", "s-a", "cluster.local", &mut near).is_empty());
        assert_eq!(near, said());
        let mut far = said();
        let services = borders.heard("s-b", "s-a", "cluster.local", &mut far);
        assert_eq!(services.into_iter().collect::<Vec<_>>(), ["api", "db"]);
        assert_eq!(
            far["url"][0],
            "https://api.s-a.svc.clusterset.local:8443/x, db-0.db.s-a.svc.clusterset.local; other.s-ab.svc.cluster.local"
        );
    }
}
