//! Whether a cluster may hold a block. Each predicate is a function that says why not; adding one is adding a line to
//! [`PREDICATES`].

use plinth_api::Stack;
use plinth_api::v1alpha1::placement::{Bound, PlacementRule};

use super::residency::refusals;
use super::{ClusterFacts, HUB, phrase};
use crate::exchange::tenancy::selects;
use crate::expr::listed;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The Stack.
    pub stack: &'a Stack,
    /// The block.
    pub block: &'a str,
    /// Its rule, or the default; `None` where there is neither.
    pub rule: Option<&'a PlacementRule>,
    /// Cluster of the block that it shares it with; `None` where it shares none, or that one has no place.
    pub beside: Option<&'a str>,
    /// What of the block will be there.
    pub bound: &'a [Bound],
    /// It is there already: that the cluster does not answer just now moves nothing.
    pub runs: bool,
}

/// A cluster that is asked about.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    /// Its name, or [`HUB`].
    pub name: &'a str,
    /// What is known of it.
    pub facts: &'a ClusterFacts,
}

/// Says why a cluster may not hold a block; nothing where it may.
type Predicate = fn(&Asked<'_>, &Candidate<'_>) -> Option<String>;

/// Every predicate, by the word that people read. What a rule says comes before what is true just now.
pub(super) const PREDICATES: &[(&str, Predicate)] = &[
    ("rule", unless_on_hub),
    ("clusters", named),
    ("selector", selected),
    ("with", together),
    ("residency", resides),
    ("capabilities", equipped),
    ("reachable", answers),
];

/// Why a cluster may not hold a block, by predicate. Empty where it may.
pub(super) fn reasons(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Vec<(&'static str, String)> {
    let said = PREDICATES.iter().filter_map(|(name, says)| Some((*name, says(asked, candidate)?)));
    said.collect()
}

/// Without a rule a block runs on the hub.
fn unless_on_hub(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    (asked.rule.is_none() && candidate.name != HUB)
        .then(|| "no rule of spec.placement says that the block may leave the hub".to_owned())
}

fn named(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let clusters = &asked.rule?.clusters;
    let is_named = clusters.is_empty() || clusters.iter().any(|name| name == candidate.name);
    (!is_named).then(|| format!("is not one of {}", listed(clusters)))
}

fn selected(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let selector = asked.rule?.selector.as_ref()?;
    (!selects(selector, &candidate.facts.labels)).then(|| {
        let labels: Vec<String> = candidate.facts.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        match labels.as_slice() {
            [] => "has no labels, and the selector does not match".to_owned(),
            labels => format!("has the labels {}, and the selector does not match", listed(labels)),
        }
    })
}

fn together(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let (with, beside) = (asked.rule?.with.as_ref()?, asked.beside?);
    (beside != candidate.name).then(|| format!("block `{with}` is on `{beside}`"))
}

fn resides(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let what = phrase(candidate.name);
    let broken = refusals(asked.stack, asked.block, asked.bound, &what, candidate.facts.into());
    let said: Vec<String> = broken.iter().map(ToString::to_string).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn equipped(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let lacking: Vec<&str> = asked
        .rule?
        .capabilities
        .iter()
        .map(String::as_str)
        .filter(|capability| !candidate.facts.has(capability))
        .collect();
    (!lacking.is_empty()).then(|| format!("has no {}; install it there", listed(&lacking)))
}

fn answers(asked: &Asked<'_>, candidate: &Candidate<'_>) -> Option<String> {
    let silent = candidate.facts.reachable == Some(false) && !candidate.facts.expected_offline;
    (silent && !asked.runs).then(|| "does not answer".to_owned())
}
