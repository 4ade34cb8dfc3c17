//! Whether a version works with those of the blocks around it. Pure.

use plinth_api::Stack;
use plinth_api::v1alpha1::product::Version;
use plinth_api::v1alpha1::stack::Block;

use crate::catalogue::Entry;
use crate::expr::listed;
use crate::resolve::{Inputs, entry_named};

/// Why a block must not be brought to a version yet: another block's does not work with it.
pub fn skew(stack: &Stack, block: &Block, entry: &Entry, to: &Version, inputs: &Inputs) -> Option<String> {
    let others = stack.spec.blocks.iter().filter(|other| other.name != block.name);
    others.filter_map(|other| Some((other, other.product.as_deref()?))).find_map(|(other, product)| {
        let runs = version_of(stack, other, product, inputs)?;
        let wants = |version: &Version, product: &str| {
            version.works_with.iter().find(|companion| companion.product == product).map(|c| c.versions.clone())
        };
        let theirs = entry_named(stack, product, inputs)?;
        let theirs = theirs.spec.versions.iter().find(|version| version.version == runs);
        if let Some(allowed) = wants(to, product).filter(|allowed| !allowed.contains(&runs)) {
            return Some(format!(
                "version {} of `{}` works with {} of `{product}`, and block {} runs {runs}: bring that one there first",
                to.version,
                entry.name,
                listed(&allowed),
                other.name
            ));
        }
        let allowed = wants(theirs?, &entry.name).filter(|allowed| !allowed.contains(&to.version))?;
        Some(format!(
            "block {} runs {runs} of `{product}`, which works with {} of `{}`: bring that one further first",
            other.name,
            listed(&allowed),
            entry.name
        ))
    })
}

/// The version that a block runs; the one that it is installed in, where it does not run yet.
fn version_of(stack: &Stack, block: &Block, product: &str, inputs: &Inputs) -> Option<String> {
    let runs = inputs.installed.get(&block.name).filter(|installed| installed.product == product);
    if let Some(runs) = runs {
        return Some(runs.version.clone());
    }
    let newest = || entry_named(stack, product, inputs)?.spec.versions.first().map(|v| v.version.clone());
    block.version.clone().or_else(newest)
}
