//! A surge on paper: the people who come to each public service, times the calls that each of them makes, against what
//! providers say they bear and what agreements let through. Whatever bends first is named first.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use plinth_api::Registry;
use plinth_api::v1alpha1::agreement::RateLimit;
use plinth_api::v1alpha1::member::Service;
use plinth_api::v1alpha1::service::Use;
use serde::Serialize;

use crate::exchange::Compiled;
use crate::exchange::compile::Consumer;
use crate::exchange::id::ServiceId;

/// How hard people come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rush {
    /// So many times the people of the day that is planned for (`load.peakDaily`, else `load.daily`).
    pub load: f64,
    /// Hours in which they all come.
    pub hours: f64,
}

/// What a surge does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surge {
    /// How hard people come.
    pub rush: Rush,
    /// What has to bear it, the first to bend first; what says no capacity last.
    pub demands: Vec<Demand>,
    /// Public services that say no load: what they add is not known.
    pub unknown: Vec<String>,
}

/// What has to bear calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// What it is.
    pub kind: Kind,
    /// Which one: `<class>/<code>/<subsystem>/<service>` with the instance, the code of a registry, an agreement as
    /// `<namespace>/<name>` with the system that it limits.
    pub name: String,
    /// Calls in a second.
    pub per_second: f64,
    /// What it bears in a second; nothing where nobody says.
    pub capacity: Option<f64>,
    /// The load at which it bears no more; nothing where nobody says what it bears.
    pub bends_at: Option<f64>,
    /// Public services that call it, as `<namespace>/<name>`, and how often in a second.
    pub by: BTreeMap<String, f64>,
}

impl Demand {
    /// Whether more calls come than it bears.
    pub fn is_over(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.per_second > capacity)
    }
}

/// What bears calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// A service of the exchange.
    Service,
    /// A registry, behind one service or several.
    Registry,
    /// An agreement that limits how often a system calls.
    Agreement,
}

/// What a rush does to a country. What is not granted is not called.
pub fn surge(compiled: &Compiled, registries: &[Registry], rush: Rush) -> Surge {
    let mut counted: BTreeMap<(Kind, String), Counted> = BTreeMap::new();
    let mut unknown = Vec::new();
    for consumer in &compiled.consumers {
        let name = format!("{}/{}", consumer.namespace, consumer.name);
        let Some(load) = &consumer.spec.load else {
            if !consumer.spec.uses.services.is_empty() {
                unknown.push(name);
            }
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "people of a day are far fewer than 2^52")]
        let people = load.peak_daily.unwrap_or(load.daily) as f64 * rush.load;
        for (wanted, service) in granted(consumer, compiled) {
            let calls = people * f64::from(wanted.calls_per_person.unwrap_or(1)) / (rush.hours * 3600.0);
            for (kind, of, capacity) in bears(consumer, &service, compiled, registries) {
                let entry = counted.entry((kind, of)).or_default();
                entry.capacity = capacity;
                *entry.by.entry(name.clone()).or_default() += calls;
            }
        }
    }
    let mut demands: Vec<Demand> =
        counted.into_iter().map(|((kind, name), counted)| counted.demand(kind, name, rush)).collect();
    let rank = |demand: &Demand| demand.bends_at.unwrap_or(f64::INFINITY);
    demands.sort_by(|one, other| rank(one).total_cmp(&rank(other)));
    Surge { rush, demands, unknown }
}

#[derive(Default)]
struct Counted {
    capacity: Option<f64>,
    by: BTreeMap<String, f64>,
}

impl Counted {
    fn demand(self, kind: Kind, name: String, rush: Rush) -> Demand {
        let Self { capacity, by } = self;
        let per_second: f64 = by.values().sum();
        let bends_at =
            capacity.filter(|_| per_second > 0.0).map(|capacity| rush.load * capacity / per_second);
        Demand { kind, name, per_second, capacity, bends_at, by }
    }
}

/// Services of this instance that a public service may call.
fn granted<'c>(consumer: &'c Consumer, compiled: &'c Compiled) -> impl Iterator<Item = (&'c Use, ServiceId)> {
    let allowed = |wanted: &&Use| consumer.uses.iter().any(|u| u.service == wanted.service && u.granted);
    consumer.spec.uses.services.iter().filter(allowed).filter_map(|wanted| {
        let id = ServiceId::asked(&compiled.instance, &wanted.service)?;
        compiled.services.contains_key(&id).then_some((wanted, id))
    })
}

/// Everything that a call goes through, with what it bears in a second.
fn bears(
    consumer: &Consumer,
    service: &ServiceId,
    compiled: &Compiled,
    registries: &[Registry],
) -> Vec<(Kind, String, Option<f64>)> {
    let declared = declared(service, compiled);
    let capacity = declared.and_then(|(_, declared)| declared.capacity.as_ref()).map(per_second);
    let mut through = vec![(Kind::Service, service.to_string(), capacity)];
    through.extend(declared.and_then(|(namespace, declared)| {
        let name = declared.registry.as_ref()?;
        let registry = registries.iter().find(|registry| {
            registry.metadata.name.as_ref() == Some(name)
                && registry.namespace().as_deref() == Some(namespace)
        })?;
        let capacity = registry.spec.capacity.as_ref().map(per_second);
        Some((Kind::Registry, registry.spec.code.clone(), capacity))
    }));
    for grant in compiled.grants.iter().filter(|grant| grant.in_force && grant.right.service == *service) {
        if let (Some(client), Some(limit)) = (&consumer.client, grant.right.limit)
            && grant.right.consumers.contains(client)
        {
            let name = format!("{} for {client}", grant.right.agreement);
            through.push((Kind::Agreement, name, Some(f64::from(limit.requests) / f64::from(limit.seconds))));
        }
    }
    through
}

/// A service as its Member declares it, and the Member's namespace.
fn declared<'c>(service: &ServiceId, compiled: &'c Compiled) -> Option<(&'c str, &'c Service)> {
    let member = compiled.members.get(&service.subsystem.member)?;
    let subsystem = member.spec.subsystems.iter().find(|s| s.code == service.subsystem.subsystem)?;
    let found = subsystem.services.iter().find(|declared| declared.code == service.service)?;
    Some((&member.namespace, found))
}

fn per_second(rate: &RateLimit) -> f64 {
    f64::from(rate.requests) / f64::from(rate.per.seconds())
}
