//! Whose law and what place data may be under. A rule is never relaxed: what is not declared does not fit it.

use plinth_api::Stack;
use plinth_api::v1alpha1::placement::{Bound, Residency};
use plinth_api::v1alpha1::stack::ExternalCapability;

use super::ClusterFacts;
use crate::catalogue::Catalogue;
use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::{Binding, Resolved, finding};

/// Whose law holds at a place, and where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// ISO 3166-1 alpha-2.
    pub jurisdiction: Option<&'a str>,
    /// ISO 3166-1 alpha-2 or ISO 3166-2.
    pub location: Option<&'a str>,
}

impl<'a> From<&'a ClusterFacts> for Place<'a> {
    fn from(facts: &'a ClusterFacts) -> Self {
        Self { jurisdiction: facts.jurisdiction.as_deref(), location: facts.location.as_deref() }
    }
}

impl<'a> From<&'a ExternalCapability> for Place<'a> {
    fn from(system: &'a ExternalCapability) -> Self {
        Self { jurisdiction: system.jurisdiction.as_deref(), location: system.location.as_deref() }
    }
}

/// Holds the rules against what runs elsewhere and keeps data: external blocks, and external backing services of others.
pub(crate) fn check_external(stack: &Stack, catalogue: &Catalogue, resolved: &mut [Resolved<'_>]) {
    let forbidden = |block: &str, system: &ExternalCapability| {
        let what = format!("the external `{}`", system.capability);
        refusals(stack, block, &[Bound::Primary], &what, system.into())
    };
    for r in resolved.iter_mut().filter(|r| r.tenant.is_none()) {
        let own = r.block.external.iter().flat_map(|external| &external.provides);
        let mut found: Vec<Finding> = own.flat_map(|system| forbidden(&r.block.name, system)).collect();
        let main = r.installed.iter().filter_map(|installed| installed.instances.first());
        for binding in main.flat_map(|main| main.bindings.values()) {
            if let Binding::External { system, .. } = binding
                && catalogue.is_backing(&system.capability)
            {
                found.extend(forbidden(&r.block.name, system));
            }
        }
        found.sort();
        found.dedup();
        r.blocked.append(&mut found);
    }
}

/// Why that of a block must not be at a place: one finding for each field of each rule that forbids it. `what` names the place
/// in a sentence, for example "cluster `north`".
pub fn refusals(stack: &Stack, block: &str, bound: &[Bound], what: &str, place: Place<'_>) -> Vec<Finding> {
    let rules = stack.spec.placement.iter().flat_map(|placement| &placement.residency);
    let of_rule = |rule: &Residency| {
        let covered = bound.iter().filter(|bound| rule.covers(block, **bound));
        let covered: Vec<&str> = covered.map(|bound| bound.as_str()).collect();
        if covered.is_empty() { Vec::new() } else { broken(rule, block, &covered, what, place) }
    };
    rules.flat_map(of_rule).collect()
}

fn broken(rule: &Residency, block: &str, bound: &[&str], what: &str, place: Place<'_>) -> Vec<Finding> {
    let fields = [
        ("jurisdiction", "is under the law of", &rule.jurisdiction, place.jurisdiction),
        ("location", "stands in", &rule.location, place.location),
    ];
    let wrong = |(field, verb, allowed, is): (&str, &str, &Vec<String>, Option<&str>)| {
        if allowed.is_empty() || is.is_some_and(|is| allowed.iter().any(|place| lies_in(is, place))) {
            return None;
        }
        let says = match is {
            Some(is) => format!("{verb} {is}"),
            None => format!("does not say its {field}"),
        };
        let path = format!("spec.placement.residency[{}].{field}", rule.name);
        let of = format!("{} of block `{block}`", listed(bound));
        Some(finding(&path, format!("{what} {says}; allowed for {of} is {}", listed(allowed))))
    };
    fields.into_iter().filter_map(wrong).collect()
}

/// Whether a place is the other, or a part of it: `EE-37` lies in `EE`.
fn lies_in(place: &str, other: &str) -> bool {
    place.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::lies_in;

    #[test]
    fn a_part_of_a_country_lies_in_it_and_not_the_other_way_round() {
        for (place, other, inside) in [
            ("EE", "EE", true),
            ("EE-37", "EE", true),
            ("EE-37", "EE-37", true),
            ("EE", "EE-37", false),
            ("EE-3", "EE-37", false),
            ("EE-37", "EE-3", false),
            ("LU", "EE", false),
        ] {
            assert_eq!(lies_in(place, other), inside, "{place} in {other}");
        }
    }
}
