//! The checks: each a small named function of what is asked and what there is. Pure.

use std::collections::BTreeMap;

use plinth_api::names;
use serde::Serialize;

use super::demand::{Amount, Demand, bytes, quantity};
use super::facts::{Facts, Known};

/// Certificates and leases begin to fail somewhere beyond this.
const SKEW: i64 = 5;

/// A check.
pub type Check = fn(&Demand, &Facts) -> Vec<Line>;

/// All of them, in the order in which they are printed.
pub const CHECKS: &[Check] =
    &[definitions, namespaces, storage, gateway, capacity, largest_pod, quota, dns, clock, images];

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Enough.
    Fits,
    /// Not enough.
    Short,
    /// Cannot be known from here.
    Unknown,
}

impl Verdict {
    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Fits => "✔",
            Self::Short => "✖",
            Self::Unknown => "?",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Name of the check.
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// In a sentence; for a shortfall, what to do.
    pub message: String,
}

fn line(check: &'static str, verdict: Verdict, message: impl Into<String>) -> Line {
    Line { check, verdict, message: message.into() }
}

fn fits(check: &'static str, message: impl Into<String>) -> Vec<Line> {
    vec![line(check, Verdict::Fits, message)]
}

/// Shortfalls, or one line that says that there is none.
fn or_fits(check: &'static str, short: Vec<String>, message: impl Into<String>) -> Vec<Line> {
    if short.is_empty() {
        return fits(check, message);
    }
    short.into_iter().map(|message| line(check, Verdict::Short, message)).collect()
}

/// Judges a fact, or says why it is not known.
fn with<T>(check: &'static str, fact: &Known<T>, judge: impl FnOnce(&T) -> Vec<Line>) -> Vec<Line> {
    match fact {
        Ok(fact) => judge(fact),
        Err(why) => vec![line(check, Verdict::Unknown, format!("cannot be known: {why}"))],
    }
}

fn definitions(demand: &Demand, facts: &Facts) -> Vec<Line> {
    let short = facts.missing_kinds.iter().map(|(version, kind)| {
        let advice = if version.starts_with(&format!("{}/", names::GROUP)) {
            "install it with `plinth crds | kubectl apply --server-side -f -`"
        } else {
            "install the software that brings it"
        };
        format!("the cluster does not serve {kind} ({version}): {advice}")
    });
    or_fits(
        "definitions",
        short.collect(),
        format!("all {} kinds of the plan, and Plinth's own", demand.kinds.len()),
    )
}

fn namespaces(demand: &Demand, facts: &Facts) -> Vec<Line> {
    with("namespaces", &facts.claimed, |claimed| {
        let taken = claimed.iter().filter(|(name, owner)| owner.as_ref() != demand.namespaces.get(*name));
        let short = taken.map(|(name, owner)| {
            let owner = owner.as_deref().unwrap_or("somebody who left no claim");
            format!("{name} exists and belongs to {owner}: set spec.namespacePrefix, or remove it")
        });
        or_fits(
            "namespaces",
            short.collect(),
            format!("{} namespaces are free or this Stack's", demand.namespaces.len()),
        )
    })
}

fn storage(demand: &Demand, facts: &Facts) -> Vec<Line> {
    if demand.storage_classes.is_empty() {
        return fits("storage", "no volumes are asked for");
    }
    with("storage", &facts.storage_classes, |classes| {
        let list = || classes.keys().cloned().collect::<Vec<_>>().join(", ");
        let have = || {
            if classes.is_empty() {
                "the cluster has none".to_owned()
            } else {
                format!("there are {}", list())
            }
        };
        let short = demand.storage_classes.iter().filter_map(|wanted| match wanted {
            Some(name) if classes.contains_key(name) => None,
            Some(name) => {
                Some(format!("StorageClass {name} does not exist, {}: set spec.site.storageClass", have()))
            }
            None if classes.values().any(|default| *default) => None,
            None => Some(format!("there is no default StorageClass, {}: set spec.site.storageClass", have())),
        });
        or_fits("storage", short.collect(), "the storage classes of every volume exist")
    })
}

fn gateway(demand: &Demand, facts: &Facts) -> Vec<Line> {
    let Some(wanted) = &demand.gateway_class else {
        return fits("gateway", "the Stack names no GatewayClass");
    };
    with("gateway", &facts.gateway_classes, |classes| match classes {
        None => {
            vec![line("gateway", Verdict::Short, "the cluster does not serve the Gateway API: install it")]
        }
        Some(classes) if classes.contains(wanted) => fits("gateway", format!("GatewayClass {wanted} exists")),
        // Envoy Gateway, for one, brings its class when the Stack installs it.
        Some(_) => vec![line(
            "gateway",
            Verdict::Unknown,
            format!("GatewayClass {wanted} does not exist yet; the Stack's api-gateway has to bring it"),
        )],
    })
}

fn capacity(demand: &Demand, facts: &Facts) -> Vec<Line> {
    with("capacity", &facts.nodes, |rooms| {
        let total = demand.total();
        let sum = |of: fn(&super::facts::Room) -> Amount| {
            rooms.iter().map(of).fold(Amount::default(), Amount::plus)
        };
        let (all, used) = (sum(|room| room.all), sum(|room| room.used));
        let free = Amount { cpu: all.cpu - used.cpu, memory: all.memory - used.memory };
        let other = match facts.other_nodes {
            0 => String::new(),
            n => format!("; {n} nodes are closed, tainted or not selected"),
        };
        let mut short = Vec::new();
        if total.cpu > free.cpu {
            short.push(format!(
                "{:.1} cores are asked for, {:.1} are free{other}: add nodes",
                total.cpu, free.cpu
            ));
        }
        if total.memory > free.memory {
            let (wanted, free) = (bytes(total.memory), bytes(free.memory));
            short.push(format!("{wanted} of memory are asked for, {free} are free{other}: add nodes"));
        }
        let simulated = if rooms.iter().any(|room| room.simulated) { " (simulated nodes)" } else { "" };
        or_fits(
            "capacity",
            short,
            format!(
                "{:.1} cores and {} are asked for, {:.1} and {} are free on {} nodes{simulated}",
                total.cpu,
                bytes(total.memory),
                free.cpu,
                bytes(free.memory),
                rooms.len()
            ),
        )
    })
}

fn largest_pod(demand: &Demand, facts: &Facts) -> Vec<Line> {
    with("largest pod", &facts.nodes, |rooms| {
        let room = |each: Amount| {
            rooms
                .iter()
                .any(|r| r.all.cpu - r.used.cpu >= each.cpu && r.all.memory - r.used.memory >= each.memory)
        };
        let short = demand.workloads.iter().filter(|w| w.pods > 0.0 && !room(w.each)).map(|w| {
            let memory = bytes(w.each.memory);
            format!("no node has room for a pod of {} ({:.2} cores, {memory})", w.object, w.each.cpu)
        });
        or_fits("largest pod", short.collect(), "every pod fits on a node")
    })
}

fn quota(demand: &Demand, facts: &Facts) -> Vec<Line> {
    with("quota", &facts.quotas, |limits| {
        let mut wanted: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
        for w in &demand.workloads {
            let of = wanted.entry(w.namespace.as_str()).or_default();
            for (resource, amount) in [
                ("requests.cpu", w.each.cpu * w.pods),
                ("cpu", w.each.cpu * w.pods),
                ("requests.memory", w.each.memory * w.pods),
                ("memory", w.each.memory * w.pods),
                ("pods", w.pods),
                ("persistentvolumeclaims", w.claims * w.pods),
            ] {
                *of.entry(resource).or_default() += amount;
            }
        }
        let short = limits.iter().filter_map(|limit| {
            let wanted = wanted.get(limit.namespace.as_str())?.get(limit.resource.as_str())?;
            // What is used may be this Stack's own, so that the whole limit is what it may reach.
            let hard = quantity(&limit.hard)?;
            (*wanted > hard).then(|| {
                let amount =
                    if limit.resource.contains("memory") { bytes(*wanted) } else { format!("{wanted:.2}") };
                format!(
                    "ResourceQuota {} allows {} {} ({} are used), {amount} are asked for: raise it",
                    limit.name, limit.hard, limit.resource, limit.used
                )
            })
        });
        or_fits("quota", short.collect(), format!("{} limits apply in the Stack's namespaces", limits.len()))
    })
}

fn dns(_: &Demand, facts: &Facts) -> Vec<Line> {
    let simulated =
        facts.nodes.as_ref().is_ok_and(|rooms| !rooms.is_empty() && rooms.iter().all(|room| room.simulated));
    with("dns", &facts.dns, |services| match services.as_slice() {
        [] if simulated => {
            vec![line("dns", Verdict::Unknown, "there is no DNS Service; on simulated nodes nobody asks it")]
        }
        [] => vec![line(
            "dns",
            Verdict::Short,
            "there is no Service with the label k8s-app=kube-dns: install CoreDNS, or pods find nothing by name",
        )],
        found => fits("dns", format!("Service {}", found.join(", "))),
    })
}

fn clock(_: &Demand, facts: &Facts) -> Vec<Line> {
    with("clock", &facts.clock, |ahead| {
        let text = match *ahead {
            0 => "the API server's clock agrees with this machine's".to_owned(),
            n if n > 0 => format!("the API server's clock is {n} s ahead of this machine's"),
            n => format!("the API server's clock is {} s behind this machine's", -n),
        };
        if ahead.abs() > SKEW {
            return vec![line("clock", Verdict::Short, format!("{text}: let both follow one time source"))];
        }
        fits("clock", text)
    })
}

fn images(demand: &Demand, _: &Facts) -> Vec<Line> {
    let images: Vec<&str> = demand.images.iter().map(String::as_str).collect();
    let message = format!(
        "{} images; whether the nodes can pull them cannot be known from here: {}",
        images.len(),
        images.join(", ")
    );
    vec![line("images", Verdict::Unknown, message)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::demand::Workload;
    use super::super::facts::{Quota, Room};
    use super::*;

    const GI: f64 = 1024.0 * 1024.0 * 1024.0;

    fn facts() -> Facts {
        let room = Room {
            simulated: false,
            all: Amount { cpu: 4.0, memory: 8.0 * GI },
            used: Amount { cpu: 1.0, memory: GI },
        };
        Facts {
            missing_kinds: BTreeSet::new(),
            storage_classes: Ok(BTreeMap::from([("fast".into(), true)])),
            gateway_classes: Ok(None),
            nodes: Ok(vec![room]),
            other_nodes: 0,
            quotas: Ok(Vec::new()),
            claimed: Ok(BTreeMap::new()),
            dns: Ok(vec!["kube-system/kube-dns".into()]),
            clock: Ok(0),
        }
    }

    fn demand() -> Demand {
        let workload = Workload {
            object: "StatefulSet/ns/db".into(),
            namespace: "ns".into(),
            pods: 2.0,
            each: Amount { cpu: 1.0, memory: GI },
            claims: 1.0,
        };
        Demand { workloads: vec![workload], storage_classes: BTreeSet::from([None]), ..Demand::default() }
    }

    fn short(demand: &Demand, facts: &Facts) -> Vec<String> {
        let lines = CHECKS.iter().flat_map(|check| check(demand, facts));
        let short = lines.filter(|line| line.verdict == Verdict::Short);
        short.map(|line| format!("{}: {}", line.check, line.message)).collect()
    }

    #[test]
    fn a_cluster_with_enough_of_everything_has_no_shortfall() {
        assert_eq!(short(&demand(), &facts()), Vec::<String>::new());
    }

    #[test]
    fn every_shortfall_is_named() {
        let mut demand = demand();
        demand.workloads[0].each = Amount { cpu: 3.5, memory: 16.0 * GI };
        demand.gateway_class = Some("eg".into());
        demand.storage_classes = BTreeSet::from([None, Some("slow".into())]);
        let quota = Quota {
            name: "ns/q".into(),
            namespace: "ns".into(),
            resource: "persistentvolumeclaims".into(),
            hard: "1".into(),
            used: "0".into(),
        };
        let facts = Facts {
            missing_kinds: BTreeSet::from([("plinth.dev/v1alpha1".into(), "Stack".into())]),
            storage_classes: Ok(BTreeMap::from([("fast".into(), false)])),
            quotas: Ok(vec![quota]),
            claimed: Ok(BTreeMap::from([("ns".into(), Some("other/stack/identity".into()))])),
            dns: Ok(Vec::new()),
            clock: Ok(-90),
            ..facts()
        };
        let found = short(&demand, &facts);
        for expected in [
            "definitions: the cluster does not serve Stack (plinth.dev/v1alpha1): install it with `plinth crds",
            "namespaces: ns exists and belongs to other/stack/identity",
            "storage: there is no default StorageClass, there are fast",
            "storage: StorageClass slow does not exist",
            "gateway: the cluster does not serve the Gateway API",
            "capacity: 7.0 cores are asked for, 3.0 are free",
            "capacity: 32.0 Gi of memory are asked for, 7.0 Gi are free",
            "largest pod: no node has room for a pod of StatefulSet/ns/db",
            "quota: ResourceQuota ns/q allows 1 persistentvolumeclaims (0 are used), 2.00 are asked for",
            "dns: there is no Service",
            "clock: the API server's clock is 90 s behind",
        ] {
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}\n{found:#?}");
        }
    }

    #[test]
    fn what_may_not_be_read_is_unknown_and_no_shortfall() {
        let facts = Facts { nodes: Err("forbidden".into()), ..facts() };
        assert_eq!(short(&demand(), &facts), Vec::<String>::new());
        assert_eq!(capacity(&demand(), &facts)[0].verdict, Verdict::Unknown);
    }
}
