//! The rules of `spec.placement`: which one a block has, what is wrong with them, and which block is placed before which.

use plinth_api::Stack;
use plinth_api::v1alpha1::cluster::CAPABILITIES;
use plinth_api::v1alpha1::placement::PlacementRule;
use plinth_api::v1alpha1::stack::Block;

use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::finding;

/// Blocks that Plinth installs, and so places.
pub(super) fn installed(stack: &Stack) -> impl Iterator<Item = &Block> {
    stack.spec.blocks.iter().filter(|block| block.external.is_none())
}

/// The rule of a block with the path at which it stands.
pub(super) fn rule_of<'a>(stack: &'a Stack, block: &str) -> (Option<&'a PlacementRule>, String) {
    let Some(placement) = &stack.spec.placement else { return (None, "spec.placement".to_owned()) };
    if let Some(own) = placement.blocks.iter().find(|own| own.block == block) {
        return (Some(&own.rule), format!("spec.placement.blocks[{block}]"));
    }
    let default = placement.default.as_ref();
    (default, if default.is_some() { "spec.placement.default" } else { "spec.placement" }.to_owned())
}

/// Block whose cluster another shares; nobody shares their own.
pub(super) fn with<'a>(stack: &'a Stack, block: &str) -> Option<&'a str> {
    rule_of(stack, block).0?.with.as_deref().filter(|with| *with != block)
}

/// Names of blocks and of capabilities that there are none of.
pub(super) fn wrong_names(stack: &Stack) -> Vec<Finding> {
    let Some(placement) = &stack.spec.placement else { return Vec::new() };
    let all: Vec<&str> = stack.spec.blocks.iter().map(|block| block.name.as_str()).collect();
    let own: Vec<&str> = installed(stack).map(|block| block.name.as_str()).collect();
    let mut findings = Vec::new();
    let mut block = |path: String, name: &str, among: &[&str]| {
        if among.contains(&name) {
            return;
        }
        let why = if all.contains(&name) { "is external: Plinth does not place it" } else { "is no block" };
        findings.push(finding(&path, format!("`{name}` {why}; allowed are {}", listed(among))));
    };
    for rule in &placement.blocks {
        block(format!("spec.placement.blocks[{}].block", rule.block), &rule.block, &own);
    }
    for residency in &placement.residency {
        for name in &residency.blocks {
            block(format!("spec.placement.residency[{}].blocks", residency.name), name, &all);
        }
    }
    let own_rules = placement.blocks.iter().map(|own| (format!("blocks[{}]", own.block), &own.rule));
    let rules = placement.default.iter().map(|rule| ("default".to_owned(), rule)).chain(own_rules);
    let known: Vec<&str> = CAPABILITIES.iter().map(|(name, ..)| *name).collect();
    let mut unknown = Vec::new();
    for (at, rule) in rules {
        if let Some(with) = &rule.with {
            block(format!("spec.placement.{at}.with"), with, &own);
        }
        for name in rule.capabilities.iter().filter(|name| !known.contains(&name.as_str())) {
            let message = format!("`{name}` is no capability of a cluster; allowed are {}", listed(&known));
            unknown.push(finding(&format!("spec.placement.{at}.capabilities"), message));
        }
    }
    findings.extend(unknown);
    findings
}

/// Blocks with those before them whose cluster they share.
pub(super) fn in_order(stack: &Stack) -> Result<Vec<&str>, Finding> {
    let mut order: Vec<&str> = Vec::new();
    for block in installed(stack) {
        let mut chain = vec![block.name.as_str()];
        while let Some(next) = chain.last().and_then(|last| with(stack, last)) {
            if chain.contains(&next) {
                chain.push(next);
                let path = format!("spec.placement.blocks[{next}].with");
                return Err(finding(&path, format!("goes round in a circle: {}", chain.join(" -> "))));
            }
            chain.push(next);
        }
        for name in chain.into_iter().rev() {
            if !order.contains(&name) && installed(stack).any(|block| block.name == name) {
                order.push(name);
            }
        }
    }
    Ok(order)
}
