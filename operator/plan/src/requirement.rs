//! What a product requires of others: one claim for each requirement, or for each element where it is one for each.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::product::Requirement;
use plinth_api::v1alpha1::stack::{Block, BlockUse};
use serde_json::{Map, Value};

use crate::catalogue::Entry;
use crate::claim::Claim;
use crate::expr::Scope;
use crate::model::Finding;
use crate::naming::claimed;
use crate::resolve::{Binding, Inputs, Instance, Resolved, block_path, finding};

/// What is asked, and by which requirement.
pub(crate) struct Need<'a> {
    pub requirement: &'a Requirement,
    pub claim: Claim,
}

/// Everything that a product of a block asks for. What cannot be told is a finding.
pub(crate) fn needs<'a>(
    entry: &'a Entry,
    block: &str,
    scope: &Scope<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<Need<'a>> {
    let mut needs = Vec::new();
    let mut names = BTreeSet::new();
    for requirement in &entry.spec.requires {
        let at = format!("Product/{}: spec.requires[{}]", entry.name, requirement.name);
        let found = match asked(requirement, block, scope) {
            Ok(found) => found,
            Err(message) => {
                findings.push(finding(&at, message));
                continue;
            }
        };
        for claim in found {
            if !names.insert(claim.name.clone()) {
                let message = format!("two requirements would be called `{}`; rename one", claim.name);
                findings.push(finding(&at, message));
            }
            needs.push(Need { requirement, claim });
        }
    }
    needs
}

/// The claims of one requirement.
fn asked(requirement: &Requirement, block: &str, scope: &Scope<'_>) -> Result<Vec<Claim>, String> {
    let claim = |key: Option<&str>, scope: &Scope<'_>| -> Result<Option<Claim>, String> {
        if !scope.when(requirement.when.as_deref())? {
            return Ok(None);
        }
        Ok(Some(Claim {
            name: claimed(&requirement.name, key),
            requirement: requirement.name.clone(),
            block: block.to_owned(),
            parameters: scope.embedded_map(&requirement.parameters, "parameters")?,
            copies: BTreeMap::new(),
        }))
    };
    let Some(for_each) = &requirement.for_each else {
        return Ok(claim(None, scope)?.into_iter().collect());
    };
    let mut claims = Vec::new();
    for (key, item) in scope.instances(&for_each.list, &for_each.key)? {
        let scope = scope.with(Map::from_iter([("item".to_owned(), item)]));
        claims.extend(claim(Some(&key), &scope)?);
    }
    Ok(claims)
}

impl Instance<'_> {
    /// Who satisfies the requirements of that name: one, or one for each element.
    pub fn bindings_of(&self, requirement: &str) -> impl Iterator<Item = &Binding> {
        self.bindings.values().filter(move |binding| binding.claim().requirement == requirement)
    }

    /// What the requirement is called that an instance of that key means by its name.
    ///
    /// # Errors
    /// There is no such requirement, or it is one for each and who asks has no key.
    pub fn meant(&self, requirement: &str, key: Option<&str>) -> Result<String, String> {
        let requires = &self.entry.spec.requires;
        let Some(found) = requires.iter().find(|r| r.name == requirement) else {
            let known: Vec<&str> = requires.iter().map(|r| r.name.as_str()).collect();
            return Err(format!(
                "`requires.{requirement}` is no requirement; the entry has {}",
                crate::expr::listed(&known)
            ));
        };
        match (&found.for_each, key) {
            (None, _) => Ok(found.name.clone()),
            (Some(_), Some(key)) => Ok(claimed(&found.name, Some(key))),
            (Some(for_each), None) => Err(format!(
                "`requires.{requirement}` is one for each of `{}`: only what is one for each as well can refer to it",
                for_each.list
            )),
        }
    }

    /// The names of requirements that are one for each, as an instance of that key sees them.
    pub fn own_claims(&self, key: &str) -> impl Iterator<Item = (&str, String)> {
        let each = self.entry.spec.requires.iter().filter(|r| r.for_each.is_some());
        each.map(move |r| (r.name.as_str(), claimed(&r.name, Some(key))))
    }
}

/// What a block asks of other blocks of its Stack, those that run elsewhere among them.
pub(crate) fn uses(resolved: &Resolved<'_>) -> BTreeSet<BlockUse> {
    let instances = resolved.installed.iter().flat_map(|installed| &installed.instances);
    let bound =
        instances.flat_map(|i| i.bindings.values().map(move |binding| (&i.entry.spec.requires, binding)));
    let of_block = |(requires, binding): (&Vec<Requirement>, &Binding)| {
        let block = match binding {
            Binding::Block { name, .. } => Some(name),
            Binding::External { block, .. } => block.as_ref(),
            Binding::Embedded { .. } => None,
        }?;
        let requirement = requires.iter().find(|r| r.name == binding.claim().requirement)?;
        Some(BlockUse { block: block.clone(), capability: requirement.capability.clone() })
    };
    bound.filter_map(of_block).collect()
}

/// `requires` as an instance of that key sees it: what everybody sees, and its own.
pub(crate) fn requires_of<'m>(
    instance: &Instance<'_>,
    key: &str,
    all: &Map<String, Value>,
    outputs: impl Fn(&str) -> Option<&'m Map<String, Value>>,
) -> Option<Map<String, Value>> {
    let own = instance.own_claims(key);
    let own: Vec<(String, Value)> = own
        .filter_map(|(name, claim)| Some((name.to_owned(), Value::Object(outputs(&claim)?.clone()))))
        .collect();
    (!own.is_empty()).then(|| all.clone().into_iter().chain(own).collect())
}

/// That nobody meets a requirement of a block, and who would.
pub(crate) fn unmet(block: &Block, entry: &Entry, capability: &str, inputs: &Inputs) -> Finding {
    let providers: Vec<String> = inputs
        .catalogue
        .providers(capability)
        .iter()
        .map(|e| format!("{} ({})", e.name, e.spec.block.as_deref().unwrap_or("any block")))
        .collect();
    let offer = if providers.is_empty() {
        String::new()
    } else {
        format!(" Products that provide it: {}.", providers.join(", "))
    };
    finding(
        &block_path(block, "product"),
        format!(
            "`{}` requires `{capability}` and no block of the Stack provides it: add a block that does, or one \
             with external.provides[{capability}].{offer}",
            entry.name
        ),
    )
}
