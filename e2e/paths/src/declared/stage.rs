//! What the parts of a plan are made of: entries, the instances of their components that have pods, and who meets whose
//! requirement.

use anyhow::{Context as _, Result, anyhow, ensure};
use plinth_api::Stack;
use plinth_api::names;
use plinth_api::v1alpha1::product::{Component, Provision};
use plinth_plan::catalogue::Entry;
use plinth_plan::exchange;
use plinth_plan::expr::Scope;
use plinth_plan::model::Plan;
use plinth_plan::resolve::{Binding, Installed, Instance, Resolved, namespace_of, route_vars, stack_vars};
use serde_json::{Map, Value, json};

use super::{Labels, Peer, Sides, Who};
use crate::range::Range;

/// What may be called: where, on which port, and whose policies say so.
pub(super) type Target = (Peer, u16, Sides);

/// A Stack, taken apart.
pub(super) struct Stage<'a> {
    pub(super) stack: &'a Stack,
    pub(super) plan: &'a Plan,
    pub(super) resolved: &'a [Resolved<'a>],
    /// What agencies have written.
    pub(super) agencies: &'a exchange::Declared,
}

/// One running instance of a component.
pub(super) struct Running {
    /// Value of the label that its pods carry.
    pub(super) label: String,
    /// Its key, where the component has `forEach`.
    pub(super) key: Option<String>,
}

/// A product of a block, with what stands beside it.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) block: &'a Resolved<'a>,
    pub(super) installed: &'a Installed<'a>,
    pub(super) instance: &'a Instance<'a>,
}

impl Stage<'_> {
    /// The names that `egress` and `routes` refer to.
    pub(super) fn scope(&self, block: &Resolved<'_>, instance: &Instance<'_>) -> Scope<'static> {
        Scope::new(Map::from_iter([
            ("params".to_owned(), Value::Object(instance.params.clone())),
            ("stack".to_owned(), stack_vars(self.stack)),
            ("block".to_owned(), json!({ "name": block.block.name, "namespace": block.namespace })),
            ("routes".to_owned(), route_vars(&instance.entry, self.stack)),
        ]))
    }

    /// Instances of a component that have pods.
    pub(super) fn running(&self, namespace: &str, entry: &Entry, component: &Component) -> Vec<Running> {
        let templates =
            self.plan.objects().filter(|object| object.key.namespace.as_deref() == Some(namespace));
        let labels = templates.filter_map(|object| object.body.pointer("/spec/template/metadata/labels"));
        let own = labels.filter(|labels| labels[names::LABEL_PART_OF] == entry.name.as_str());
        let names = own.filter_map(|labels| labels[names::LABEL_COMPONENT].as_str());
        names
            .filter_map(|label| instance_of(entry, label).filter(|(name, _)| name == &component.name))
            .map(|(name, key)| Running {
                label: key.as_ref().map_or(name.clone(), |key| format!("{name}-{key}")),
                key,
            })
            .collect()
    }

    /// What an entry of `connects` leads to.
    pub(super) fn targets(&self, part: Part<'_>, target: &str, key: Option<&str>) -> Result<Vec<Target>> {
        let Part { block, installed, instance } = part;
        if let Some(capability) = target.strip_prefix("provides.") {
            let provision = provision(&instance.entry, capability)?;
            return self.provided(&block.namespace, &instance.entry, provision, None);
        }
        let Some(requirement) = target.strip_prefix("requires.") else {
            let (component, port) =
                target.split_once(':').context("is neither a component's port nor a requirement")?;
            return self.ports(&block.namespace, &instance.entry, component, port, key);
        };
        // A requirement that nobody has to meet opens nothing.
        let Some(binding) = met(instance, requirement, key)? else { return Ok(Vec::new()) };
        let required = instance.entry.spec.requires.iter().find(|r| r.name == requirement);
        let capability = &required.context("is no requirement")?.capability;
        let offers = |candidate: &&Instance<'_>| provision(&candidate.entry, capability).is_ok();
        let (namespace, provider) = match binding {
            Binding::External { system, .. } => return external(system.port, &system.cidrs),
            Binding::Embedded { product, .. } => {
                let own = installed.instances.iter().find(|candidate| &candidate.entry.name == product);
                (&block.namespace, own)
            }
            Binding::Block { name, .. } => {
                let other = self.resolved.iter().find(|other| &other.block.name == name);
                let other = other.context("is bound to a block that does not exist")?;
                let instances = other.installed.iter().flat_map(|installed| &installed.instances);
                (&other.namespace, instances.into_iter().find(offers))
            }
        };
        let provider = provider.with_context(|| format!("nobody provides {capability}"))?;
        let provision = provision(&provider.entry, capability)?;
        self.provided(namespace, &provider.entry, provision, Some(&binding.claim().name))
    }

    /// Where what an entry provides is reached.
    pub(super) fn provided(
        &self,
        namespace: &str,
        entry: &Entry,
        provision: &Provision,
        key: Option<&str>,
    ) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        if let Some(service) = &provision.service {
            // Who renders the Service renders the pods behind it, and lets callers in to them.
            targets.push((Peer::Pods(Who::all_of(namespace)), service.port, Sides::Out));
        }
        if let (Some(component), Some(port)) = (&provision.component, &provision.port) {
            targets.extend(self.ports(namespace, entry, component, port, key)?);
        }
        Ok(targets)
    }

    /// A port of the instances of a component: of the one with the caller's key, where there is such a one.
    pub(super) fn ports(
        &self,
        namespace: &str,
        entry: &Entry,
        component: &str,
        port: &str,
        key: Option<&str>,
    ) -> Result<Vec<Target>> {
        let component = entry.spec.components.iter().find(|c| c.name == component);
        let component = component.with_context(|| format!("{} has no such component", entry.name))?;
        let port =
            component.ports.iter().find(|p| p.name == port).context("the component has no such port")?;
        let mut running = self.running(namespace, entry, component);
        if running.iter().any(|r| r.key.is_some() && r.key.as_deref() == key) {
            running.retain(|r| r.key.as_deref() == key);
        }
        let target = |r: Running| (Peer::Pods(component_of(namespace, &r.label)), port.port, Sides::Both);
        Ok(running.into_iter().map(target).collect())
    }

    /// The product of a block.
    pub(super) fn product(&self, block: &str) -> Option<&Entry> {
        let block = self.resolved.iter().find(|candidate| candidate.block.name == block)?;
        block.installed.as_ref()?.instances.first().map(|instance| &*instance.entry)
    }

    /// The product of a block that provides a capability, and what it says of it.
    pub(super) fn provider(&self, block: &str, capability: &str) -> Option<(&Entry, &Provision)> {
        let block = self.resolved.iter().find(|candidate| candidate.block.name == block)?;
        let entries = block.installed.iter().flat_map(|installed| &installed.instances).map(|i| &*i.entry);
        entries.into_iter().find_map(|entry| Some((entry, provision(entry, capability).ok()?)))
    }

    /// Blocks that provide a capability, in the Stack's order.
    pub(super) fn blocks_with(&self, capability: &str) -> impl Iterator<Item = &str> {
        let blocks = self.stack.spec.blocks.iter().filter(move |block| {
            let elsewhere = block.external.iter().flat_map(|external| &external.provides);
            elsewhere.into_iter().any(|system| system.capability == capability)
                || self.provider(&block.name, capability).is_some()
        });
        blocks.map(|block| block.name.as_str())
    }

    /// Where a capability of a block is reached: the first that it provides, where none is named.
    pub(super) fn reached(&self, block: &str, capability: Option<&str>) -> Result<Vec<Target>> {
        let is_meant = |offered: &str| capability.is_none_or(|wanted| wanted == offered);
        let declared = self.stack.spec.blocks.iter().find(|candidate| candidate.name == block);
        if let Some(elsewhere) = declared.and_then(|block| block.external.as_ref()) {
            let system = elsewhere.provides.iter().find(|system| is_meant(&system.capability));
            let system = system.with_context(|| format!("{block} provides nothing that is meant"))?;
            return external(system.port, &system.cidrs);
        }
        let entry = self.product(block).with_context(|| format!("{block} is not installed"))?;
        let provision = entry.spec.provides.iter().find(|provision| is_meant(&provision.capability));
        let provision = provision.with_context(|| format!("{block} provides nothing that is meant"))?;
        self.provided(&namespace_of(self.stack, block), entry, provision, None)
    }

    /// Namespace of the gateway's proxies.
    pub(super) fn proxies(&self) -> Result<Option<String>> {
        for block in self.resolved {
            for instance in block.installed.iter().flat_map(|installed| &installed.instances) {
                let Ok(provision) = provision(&instance.entry, "gateway") else { continue };
                let output = provision.outputs.iter().find(|output| output.name == "proxyNamespace");
                let Some(output) = output else { return Ok(Some(block.namespace.clone())) };
                let cel = output.cel.as_deref().context("proxyNamespace of a gateway is an expression")?;
                let name = self.scope(block, instance).cel(cel).map_err(|message| anyhow!(message))?;
                return Ok(Some(name.as_str().context("proxyNamespace of a gateway is a text")?.to_owned()));
            }
        }
        Ok(None)
    }
}

/// Who meets what an instance of that key means by a requirement: where there is one for each element, that of its own.
fn met<'i>(instance: &'i Instance<'_>, requirement: &str, key: Option<&str>) -> Result<Option<&'i Binding>> {
    let name = instance.meant(requirement, key).map_err(|message| anyhow!(message))?;
    let own = instance.bindings.get(&name);
    let is_missing = own.is_none() && instance.bindings_of(requirement).next().is_some();
    ensure!(!is_missing, "`{requirement}` is met for others, and not for {name}");
    Ok(own)
}

/// The component, and the key of its instance, that a pod's label stands for: the longest name that fits.
fn instance_of(entry: &Entry, label: &str) -> Option<(String, Option<String>)> {
    let fits = |component: &Component| match label.strip_prefix(&component.name)? {
        "" if component.for_each.is_none() => Some((component.name.clone(), None)),
        rest if component.for_each.is_some() => {
            rest.strip_prefix('-').map(|key| (component.name.clone(), Some(key.to_owned())))
        }
        _ => None,
    };
    entry.spec.components.iter().filter_map(fits).max_by_key(|(name, _)| name.len())
}

pub(super) fn provision<'e>(entry: &'e Entry, capability: &str) -> Result<&'e Provision> {
    let found = entry.spec.provides.iter().find(|provision| provision.capability == capability);
    found.with_context(|| format!("{} provides no {capability}", entry.name))
}

pub(super) fn component_of(namespace: &str, label: &str) -> Who {
    Who::of(namespace, Labels::from([(names::LABEL_COMPONENT.to_owned(), label.to_owned())]))
}

fn external(port: Option<u16>, ranges: &[String]) -> Result<Vec<Target>> {
    let Some(port) = port else { return Ok(Vec::new()) };
    Ok(vec![(Peer::Addresses(ranges_or_all(ranges)?), port, Sides::Out)])
}

/// The ranges; all addresses where none are named.
pub(super) fn ranges_or_all<T: AsRef<str>>(ranges: &[T]) -> Result<Vec<Range>> {
    if ranges.is_empty() {
        return Ok(Range::everywhere());
    }
    ranges.iter().map(|range| Range::parse(range.as_ref())).collect()
}

/// `<namespace>/<name>` of an object.
pub(super) fn name_of(namespace: &Option<String>, name: &Option<String>) -> String {
    [namespace, name].map(|text| text.as_deref().unwrap_or_default()).join("/")
}
