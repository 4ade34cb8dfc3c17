//! The cluster of each block, its standbys, and why the others are not it.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_api::v1alpha1::placement::{Bound, PlacementRule, Spread, Standby};

use super::facts::sites;
use super::predicates::{Asked, Candidate, reasons};
use super::rules::{in_order, installed, rule_of, with, wrong_names};
use super::{ClusterFacts, HUB};
use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::{Inputs, finding};

/// Where a block runs, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// The block.
    pub block: String,
    /// Its cluster, [`HUB`] among them; `None` where none may hold it.
    pub cluster: Option<String>,
    /// It is there already.
    pub runs: bool,
    /// Clusters that are to take it over.
    pub standby: Vec<String>,
    /// Every cluster, the preferred first, the hub last.
    pub considered: Vec<Considered>,
    /// Why it has no place, or must not be where it is.
    pub refused: Vec<Finding>,
    /// What its standbys lack: it stops nothing.
    pub lacking: Vec<Finding>,
}

impl Choice {
    /// Its cluster as a plan has it: `None` for the hub, and where it has no place.
    pub fn planned(&self) -> Option<String> {
        self.cluster.clone().filter(|cluster| cluster != HUB)
    }
}

/// What was found about one cluster for one block.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// Its name, or [`HUB`].
    pub cluster: String,
    /// How it stands.
    pub standing: Standing,
    /// Why it is not chosen, each with the predicate that says so.
    pub reasons: Vec<(&'static str, String)>,
}

/// How a cluster stands to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds the block.
    Chosen,
    /// It is to take it over.
    Standby,
    /// It could hold it.
    Possible,
    /// It must not.
    Refused,
}

impl Standing {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Standby => "standby",
            Self::Possible => "possible",
            Self::Refused => "refused",
        }
    }
}

/// The choice for each block of the Stack that Plinth installs, in the order of the spec.
///
/// # Errors
/// What `spec.placement` itself gets wrong.
pub fn choose(stack: &Stack, inputs: &Inputs) -> Result<Vec<Choice>, Vec<Finding>> {
    let mut findings = wrong_names(stack);
    let clusters = sites(stack, inputs);
    let mut made: BTreeMap<&str, Choice> = BTreeMap::new();
    match in_order(stack) {
        Err(cycle) => findings.push(cycle),
        Ok(order) => {
            for block in order {
                let choice = one(stack, block, &clusters, inputs, &made);
                made.insert(block, choice);
            }
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(installed(stack).filter_map(|block| made.remove(block.name.as_str())).collect())
}

/// What of a block is where it runs.
const AT_HOME: [Bound; 3] = [Bound::Primary, Bound::Logs, Bound::Keys];
/// What of a block is where it stands by.
const AT_STANDBY: [Bound; 4] = [Bound::Replicas, Bound::Logs, Bound::Keys, Bound::SecretCopies];

fn one(
    stack: &Stack,
    block: &str,
    clusters: &BTreeMap<String, ClusterFacts>,
    inputs: &Inputs,
    made: &BTreeMap<&str, Choice>,
) -> Choice {
    let (rule, path) = rule_of(stack, block);
    let other = with(stack, block);
    let beside = other.and_then(|other| made.get(other)?.cluster.as_deref());
    let holders = holders(block, clusters, inputs);
    let asked = Asked { stack, block, rule, beside, bound: &AT_HOME, runs: false };
    let mut considered: Vec<Considered> = in_preference(clusters, rule)
        .map(|name| {
            let candidate = Candidate { name, facts: &clusters[name] };
            let asked = Asked { runs: holders.contains(name), ..asked };
            let reasons = reasons(&asked, &candidate);
            let standing = if reasons.is_empty() { Standing::Possible } else { Standing::Refused };
            Considered { cluster: name.to_owned(), standing, reasons }
        })
        .collect();
    let mut choice = Choice { block: block.to_owned(), runs: !holders.is_empty(), ..Choice::default() };
    match settle(&path, block, rule, &holders, &considered, clusters) {
        Ok(cluster) => choice.cluster = Some(cluster),
        Err((cluster, refused)) => (choice.cluster, choice.refused) = (cluster, refused),
    }
    let alone = other.filter(|_| beside.is_none() && !choice.runs && choice.refused.is_empty());
    if let Some(other) = alone {
        choice.cluster = None;
        choice.refused.push(finding(&format!("{path}.with"), format!("block `{other}` has no place yet")));
    }
    mark(&mut considered, choice.cluster.as_deref(), choice.runs, choice.refused.is_empty());
    choice.considered = considered;
    if let Some(standby) = rule.and_then(|rule| rule.standby.as_ref()).filter(|_| choice.refused.is_empty()) {
        let asked = Asked { beside: None, bound: &AT_STANDBY, ..asked };
        let other_side = inputs.failovers.get(block).map(|record| record.other_side());
        stand_by(&mut choice, standby, &asked, &path, (clusters, other_side));
    }
    choice
}

/// Names of the clusters, the preferred first: as the rule names them, then by name, the hub last.
fn in_preference<'a>(
    clusters: &'a BTreeMap<String, ClusterFacts>,
    rule: Option<&PlacementRule>,
) -> impl Iterator<Item = &'a str> {
    let named = rule.map(|rule| rule.clusters.clone()).unwrap_or_default();
    let rank = move |name: &&str| {
        let nth = named.iter().position(|own| own == name).unwrap_or(named.len());
        (nth, *name == HUB, (*name).to_owned())
    };
    let mut names: Vec<&str> = clusters.keys().map(String::as_str).collect();
    names.sort_by_key(rank);
    names.into_iter()
}

/// Clusters that the block is on. Where it was shown last counts as long as that cluster does not say otherwise.
fn holders(block: &str, clusters: &BTreeMap<String, ClusterFacts>, inputs: &Inputs) -> BTreeSet<String> {
    // Of two sides that hold it, somebody has said which one serves.
    if let Some(record) = inputs.failovers.get(block) {
        return [record.side().to_owned()].into();
    }
    let holding = clusters.iter().filter(|(_, facts)| facts.holds.contains(block));
    let mut holders: BTreeSet<String> = holding.map(|(name, _)| name.clone()).collect();
    if let Some(last) = inputs.placed.get(block) {
        let speaks = clusters.get(last).is_some_and(|facts| facts.reachable == Some(true));
        if !speaks {
            holders.insert(last.clone());
        }
    }
    holders
}

/// The cluster of a block, or where it is and why it must not be there.
fn settle(
    path: &str,
    block: &str,
    rule: Option<&PlacementRule>,
    holders: &BTreeSet<String>,
    considered: &[Considered],
    clusters: &BTreeMap<String, ClusterFacts>,
) -> Result<String, (Option<String>, Vec<Finding>)> {
    let found = |name: &str| considered.iter().find(|considered| considered.cluster == name);
    match holders.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => new_place(path, rule, considered, clusters).map_err(|refused| (None, vec![refused])),
        [name] => match found(name) {
            Some(considered) if considered.reasons.is_empty() => Ok((*name).to_owned()),
            Some(considered) => {
                let why = because(&considered.reasons);
                let message = format!(
                    "block `{block}` runs on `{name}`, which must not hold it: {why}. It is not moved by itself, its data \
                     would stay behind; allow `{name}` again, or bring the data over and delete what is there"
                );
                Err((Some((*name).to_owned()), vec![finding(path, message)]))
            }
            None => {
                let message = format!(
                    "block `{block}` runs on `{name}`, and there is no WorkloadCluster of that name any more; apply it again"
                );
                Err((Some((*name).to_owned()), vec![finding(path, message)]))
            }
        },
        several => {
            let message = format!(
                "block `{block}` is on several clusters at once, {}; which of them has its data has to be decided by a person, \
                 who deletes its namespace on the others",
                listed(several)
            );
            Err((several.first().map(|name| (*name).to_owned()), vec![finding(path, message)]))
        }
    }
}

/// The first that may hold the block. One that has never answered may hold it already.
fn new_place(
    path: &str,
    rule: Option<&PlacementRule>,
    considered: &[Considered],
    clusters: &BTreeMap<String, ClusterFacts>,
) -> Result<String, Finding> {
    let transient = |one: &&Considered| one.reasons.iter().all(|(predicate, _)| *predicate == "reachable");
    let unseen = considered.iter().filter(transient).find(|one| {
        let facts = &clusters[&one.cluster];
        facts.reachable == Some(false) && !facts.seen
    });
    if let Some(unseen) = unseen {
        let message = format!(
            "cluster `{}` has not answered yet and may hold the block already; mend its credentials or its link, or take it \
             out of the rule",
            unseen.cluster
        );
        return Err(finding(path, message));
    }
    if let Some(first) = considered.iter().find(|one| one.reasons.is_empty()) {
        return Ok(first.cluster.clone());
    }
    let named = rule.map(|rule| rule.clusters.as_slice()).unwrap_or_default();
    let missing = named.iter().filter(|name| !clusters.contains_key(*name));
    let missing = missing.map(|name| format!("`{name}`: there is no WorkloadCluster of that name"));
    let known = considered.iter().map(|one| format!("`{}`: {}", one.cluster, because(&one.reasons)));
    let each: Vec<String> = missing.chain(known).collect();
    Err(finding(path, format!("no cluster may hold the block. {}", each.join(". "))))
}

fn because(reasons: &[(&'static str, String)]) -> String {
    reasons.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ")
}

/// Says how each cluster stands, now that one is chosen.
fn mark(considered: &mut [Considered], chosen: Option<&str>, runs: bool, may: bool) {
    let Some(chosen) = chosen else { return };
    for one in considered {
        if one.cluster == chosen {
            one.standing = if may { Standing::Chosen } else { Standing::Refused };
        } else if one.standing == Standing::Possible {
            let why = match runs {
                true => format!("the block runs on `{chosen}`, and nothing is moved"),
                false => format!("`{chosen}` comes before it"),
            };
            one.reasons.push(("order", why));
        }
    }
}

/// Chooses the standbys of a block that has its place.
fn stand_by(
    choice: &mut Choice,
    wanted: &Standby,
    asked: &Asked<'_>,
    path: &str,
    (clusters, other_side): (&BTreeMap<String, ClusterFacts>, Option<&str>),
) {
    let Some(own) = choice.cluster.as_deref().and_then(|name| clusters.get(name)) else { return };
    let mut taken = vec![own];
    let mut considered: Vec<&mut Considered> =
        choice.considered.iter_mut().filter(|one| one.standing != Standing::Chosen).collect();
    // What was taken over stands by itself, so that it is stopped as soon as it answers.
    considered.sort_by_key(|one| other_side != Some(one.cluster.as_str()));
    for considered in considered {
        if choice.standby.len() == usize::from(wanted.count) {
            break;
        }
        let facts = &clusters[&considered.cluster];
        let asked = Asked { runs: other_side == Some(considered.cluster.as_str()), ..*asked };
        let why = reasons(&asked, &Candidate { name: &considered.cluster, facts });
        let apart = taken.iter().all(|other| is_apart(wanted.spread, facts, other));
        if why.is_empty() && apart {
            considered.standing = Standing::Standby;
            considered.reasons.clear();
            choice.standby.push(considered.cluster.clone());
            taken.push(facts);
        } else if why.is_empty() {
            let word = spread_word(wanted.spread);
            let message = format!("is no standby: it shares its {word} with the block or another standby");
            considered.reasons.push(("standby", message));
        }
    }
    let found = choice.standby.len();
    if found < usize::from(wanted.count) {
        let message = format!(
            "is {}, and {found} cluster(s) may stand by for block `{}`, each at another {}",
            wanted.count,
            choice.block,
            spread_word(wanted.spread)
        );
        choice.lacking.push(finding(&format!("{path}.standby.count"), message));
    }
}

/// Whether two clusters are not lost together. What does not say where it is may be anywhere.
fn is_apart(spread: Spread, one: &ClusterFacts, other: &ClusterFacts) -> bool {
    let differ =
        |one: Option<&str>, other: Option<&str>| matches!((one, other), (Some(a), Some(b)) if a != b);
    let sites = || differ(one.site.as_deref(), other.site.as_deref());
    match spread {
        Spread::Site => sites(),
        Spread::Zone => sites() || differ(one.zone.as_deref(), other.zone.as_deref()),
        Spread::Country => differ(country(one), country(other)),
    }
}

fn country(facts: &ClusterFacts) -> Option<&str> {
    facts.location.as_deref().and_then(|location| location.split('-').next())
}

fn spread_word(spread: Spread) -> &'static str {
    match spread {
        Spread::Site => "site",
        Spread::Zone => "zone",
        Spread::Country => "country",
    }
}
