//! How much of each block runs, by `spec.mode` and `spec.continuity`. Pure: the same words give the same plan, so that setting them
//! back gives the plan that was.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::v1alpha1::continuity::{Continuity, Mode, SwitchedOff};
use plinth_api::v1alpha1::registry::Priority;

use crate::exchange::Compiled;
use crate::exchange::compile::blocks_used;
use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::{Binding, Resolved, finding};

/// How much of a block runs, where that is not what its profile says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Nothing of it; why.
    Nothing(String),
    /// So many times the pods of what scales, as far as so many pods.
    More { times: u32, most: u32 },
}

/// The blocks of which more or less runs than their profile says.
pub(crate) fn extents(
    stack: &Stack,
    exchange: &Compiled,
    resolved: &[Resolved<'_>],
) -> BTreeMap<String, Extent> {
    let Some(continuity) = words(stack) else { return BTreeMap::new() };
    let importance = importance(&continuity, exchange, resolved);
    let of_block = |r: &Resolved<'_>| {
        let priority = importance.get(r.block.name.as_str()).copied().unwrap_or_default();
        Some((r.block.name.clone(), extent(stack.spec.mode, &continuity, &r.block.name, priority)?))
    };
    resolved.iter().filter(|r| r.tenant.is_none()).filter_map(of_block).collect()
}

/// What is declared; mode Degraded alone keeps what is critical.
fn words(stack: &Stack) -> Option<Continuity> {
    let said = stack.spec.continuity.clone();
    said.or_else(|| (stack.spec.mode == Mode::Degraded).then(Continuity::default))
}

fn extent(mode: Mode, continuity: &Continuity, block: &str, priority: Priority) -> Option<Extent> {
    let of_block = |off: &&SwitchedOff| off.block.as_deref() == Some(block);
    if let Some(off) = continuity.off.iter().find(of_block) {
        return Some(Extent::Nothing(format!("switched off by spec.continuity.off: {}", off.reason)));
    }
    match (mode, &continuity.surge) {
        (Mode::Degraded, _) if !priority.reaches(continuity.keeps) => Some(Extent::Nothing(format!(
            "stopped by spec.mode Degraded, which keeps what is {}; this is {}, and nothing that is kept needs it",
            continuity.keeps.word(),
            priority.word()
        ))),
        (Mode::Surge, Some(surge)) if priority.reaches(surge.grows) => {
            Some(Extent::More { times: surge.load, most: surge.most_replicas })
        }
        _ => None,
    }
}

/// How much depends on each block: what it says itself, what the registries that it runs say, and what whoever needs it says.
fn importance<'a>(
    continuity: &Continuity,
    exchange: &Compiled,
    resolved: &'a [Resolved<'a>],
) -> BTreeMap<&'a str, Priority> {
    let mut found: BTreeMap<&str, Priority> =
        resolved.iter().map(|r| (r.block.name.as_str(), Priority::Standard)).collect();
    for (block, priority) in declared(continuity, exchange) {
        raise(&mut found, block, priority);
    }
    // Each pass raises something, or is the last.
    let mut changed = true;
    while changed {
        changed = false;
        for r in resolved {
            let own = found.get(r.block.name.as_str()).copied().unwrap_or_default();
            for needed in needs(r) {
                changed |= raise(&mut found, needed, own);
            }
        }
    }
    found
}

fn raise(found: &mut BTreeMap<&str, Priority>, block: &str, priority: Priority) -> bool {
    match found.get_mut(block) {
        Some(known) if !known.reaches(priority) => {
            *known = priority;
            true
        }
        _ => false,
    }
}

/// Blocks with a priority that somebody says. A registry is asked through the exchange, so that this matters as much.
fn declared<'a>(
    continuity: &'a Continuity,
    exchange: &'a Compiled,
) -> impl Iterator<Item = (&'a str, Priority)> {
    let server = exchange.server.as_ref().map(|server| server.block.as_str());
    let blocks =
        continuity.priorities.iter().filter_map(|said| Some((said.block.as_deref()?, said.priority)));
    let registries = exchange.registries.iter().flat_map(move |registry| {
        let priority = registry.spec.priority;
        [registry.spec.block.as_deref(), server].into_iter().flatten().map(move |block| (block, priority))
    });
    let services =
        continuity.priorities.iter().filter_map(|said| Some((said.public_service.as_deref()?, said)));
    let services = services.flat_map(move |(name, said)| {
        let named = exchange.consumers.iter().filter(move |c| format!("{}/{}", c.namespace, c.name) == name);
        named.flat_map(move |consumer| {
            let used = blocks_used(&consumer.spec.uses).map(|(_, block)| block);
            let asks = server.filter(|_| !consumer.spec.uses.services.is_empty());
            used.chain(asks).map(move |block| (block, said.priority)).collect::<Vec<_>>()
        })
    });
    blocks.chain(registries).chain(services)
}

/// Blocks that it cannot do without.
fn needs<'r>(resolved: &'r Resolved<'_>) -> impl Iterator<Item = &'r str> {
    let instances = resolved.installed.iter().flat_map(|installed| &installed.instances);
    instances.flat_map(|instance| instance.bindings.values()).filter_map(|binding| match binding {
        Binding::Block { name, .. } => Some(name.as_str()),
        Binding::Embedded { .. } | Binding::External { .. } => None,
    })
}

/// What `spec.mode` and `spec.continuity` get wrong.
pub(crate) fn findings(stack: &Stack) -> Vec<Finding> {
    let continuity = stack.spec.continuity.clone().unwrap_or_default();
    let blocks: BTreeSet<&str> = stack.spec.blocks.iter().map(|block| block.name.as_str()).collect();
    let mut findings = Vec::new();
    if stack.spec.mode == Mode::Surge && continuity.surge.is_none() {
        let message = "is Surge, and spec.continuity.surge does not say how large a surge; say its load";
        findings.push(finding("spec.mode", message));
    }
    let prioritised = continuity.priorities.iter().enumerate();
    let prioritised = prioritised.map(|(i, said)| (format!("priorities[{i}]"), said.block.as_deref()));
    let off = continuity.off.iter().enumerate();
    let off = off.map(|(i, said)| (format!("off[{i}]"), said.block.as_deref()));
    for (at, block) in prioritised.chain(off) {
        if let Some(block) = block.filter(|block| !blocks.contains(block)) {
            let known: Vec<&str> = blocks.iter().copied().collect();
            let message = format!("`{block}` is no block of the Stack; allowed are {}", listed(&known));
            findings.push(finding(&format!("spec.continuity.{at}.block"), message));
        }
    }
    findings
}
