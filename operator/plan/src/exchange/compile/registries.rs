//! Registries: whose they are, and what runs them.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Registry;
use plinth_api::v1alpha1::registry::RegistrySpec;

use super::{Compiled, Found, Standing, What, Where, World};
use crate::exchange::applied::{Settled, Shape, settle};
use crate::exchange::declared::REGISTRY;
use crate::exchange::id::ServiceId;
use crate::exchange::registry;
use crate::exchange::tenancy::binds;
use crate::expr::listed;
use crate::render::RUNS_REGISTRIES;

/// Registries that are looked at, and the services that they answer.
pub(super) struct Registries<'a> {
    found: Vec<Found<'a, RegistrySpec>>,
    /// What becomes of those that a block runs, by namespace and name.
    settled: BTreeMap<(String, String), Settled>,
    /// What answers each, by namespace and name.
    answers: BTreeMap<(String, String), Where>,
    /// Services that each answers, by namespace and name.
    services: BTreeMap<(String, String), BTreeSet<ServiceId>>,
}

impl Registries<'_> {
    /// What answers a service of a registry; `None` when there is no such registry, or it is not right.
    pub(super) fn answer(&mut self, namespace: &str, name: &str, service: &ServiceId) -> Option<Where> {
        let key = (namespace.to_owned(), name.to_owned());
        let answers = self.answers.get(&key)?.clone();
        self.services.entry(key).or_default().insert(service.clone());
        Some(answers)
    }
}

impl<'a> World<'a> {
    /// Every Registry, with what answers it.
    pub(super) fn registries(&self, out: &mut Compiled) -> Registries<'a> {
        let mut found =
            self.admitted(REGISTRY, &self.declared.registries, |r| (&r.spec, &r.spec.stack_ref), out);
        for one in &mut found {
            self.bound(one);
        }
        self.unique(&mut found, "spec.code", |spec| Some(spec.code.clone()));
        let mut settled = BTreeMap::new();
        let mut answers = BTreeMap::new();
        for one in &mut found {
            settled.extend(self.settled(one));
            let code = &one.spec.code;
            let backend = match (&one.spec.block, &one.spec.external) {
                (Some(block), None) => {
                    self.engine(block).map(|()| Where::Registry { block: block.clone(), code: code.clone() })
                }
                (None, Some(external)) => self.backend(external, &one.subject.namespace, "spec.external"),
                _ => {
                    let message =
                        "give either block (a block of the Stack runs it) or external (it already runs)";
                    Err(vec![("spec.block".to_owned(), message.to_owned())])
                }
            };
            match backend {
                Ok(backend) if one.findings.is_empty() => {
                    answers.insert((one.subject.namespace.clone(), one.subject.name.clone()), backend);
                }
                Ok(_) => {}
                Err(wrong) => wrong.into_iter().for_each(|(path, message)| one.wrong(path, message)),
            }
        }
        Registries { found, settled, answers, services: BTreeMap::new() }
    }

    fn bound(&self, one: &mut Found<'a, RegistrySpec>) {
        let (code, namespace) = (&one.spec.code, &one.subject.namespace);
        if !binds(self.stack, namespace, |binding| &binding.registries, code) {
            let message = format!(
                "the Stack does not bind `{code}` to namespace `{namespace}`; its team does so in \
                 spec.exchange.bindings[].registries"
            );
            one.wrong("spec.code", message);
        }
    }

    /// What becomes of the records of a registry that a block runs. What is wrong keeps it out only where it has never run.
    fn settled(&self, one: &mut Found<'a, RegistrySpec>) -> Option<((String, String), Settled)> {
        let Some(block) = &one.spec.block else {
            one.aside.extend(registry::check(one.spec));
            return None;
        };
        let applied = self.declared.applied.get(&(block.clone(), one.spec.code.clone()));
        let mut settled = settle(block, one.spec, applied, &self.declared.approved);
        let findings = std::mem::take(&mut settled.findings);
        if settled.shape.is_some() {
            one.aside.extend(findings)
        } else {
            one.findings.extend(findings)
        }
        Some(((one.subject.namespace.clone(), one.subject.name.clone()), settled))
    }

    /// Whether a block can run registries.
    fn engine(&self, name: &str) -> Result<(), Vec<(String, String)>> {
        let runs = |product: &str| {
            let entry = self.catalogue.get(product);
            entry.is_some_and(|e| e.spec.provides.iter().any(|p| p.capability == RUNS_REGISTRIES))
        };
        let blocks = &self.stack.spec.blocks;
        let able = |block: &&plinth_api::v1alpha1::stack::Block| block.product.as_deref().is_some_and(runs);
        if blocks.iter().filter(able).any(|block| block.name == name) {
            return Ok(());
        }
        let known: Vec<&str> = blocks.iter().filter(able).map(|block| block.name.as_str()).collect();
        let message = format!(
            "`{name}` is no block of the Stack that runs registries; those that do: {}",
            listed(&known)
        );
        Err(vec![("spec.block".to_owned(), message)])
    }

    /// Registries whose owner takes part are in; the services of the others are not.
    pub(super) fn settle_registries(&self, mut registries: Registries<'a>, out: &mut Compiled) {
        let owners: BTreeSet<(&str, &str)> =
            out.members.values().map(|m| (m.namespace.as_str(), m.object.as_str())).collect();
        let mut gone = BTreeSet::new();
        let mut standing = Vec::new();
        let mut kept: Vec<Registry> = Vec::new();
        for mut one in registries.found {
            let key = (one.subject.namespace.clone(), one.subject.name.clone());
            let mut services = registries.services.get(&key).cloned().unwrap_or_default();
            if !owners.contains(&(one.subject.namespace.as_str(), one.spec.owner.as_str())) {
                let message = format!(
                    "there is no Member `{}` in this namespace that takes part in the exchange",
                    one.spec.owner
                );
                one.wrong("spec.owner", message);
            }
            if one.findings.is_empty() {
                let mut registry = Registry::new(&one.subject.name, one.spec.clone());
                registry.metadata.namespace = Some(one.subject.namespace.clone());
                if let Some(Settled { shape, narrows, .. }) = registries.settled.remove(&key) {
                    if let Some(Shape { schema, indexes }) = shape {
                        (registry.spec.schema, registry.spec.indexes) = (schema, indexes);
                    }
                    out.narrowing.extend(narrows);
                }
                kept.push(registry);
            } else {
                gone.append(&mut services);
            }
            one.findings.append(&mut one.aside);
            let what =
                What::Registry { block: one.spec.block.clone(), services: services.into_iter().collect() };
            standing.push((one.subject, Standing { findings: one.findings, waits: Vec::new(), what }));
        }
        out.services.retain(|id, _| !gone.contains(id));
        out.standing.extend(standing);
        kept.sort_by(|one, other| one.spec.code.cmp(&other.spec.code));
        out.registries = kept;
    }
}
