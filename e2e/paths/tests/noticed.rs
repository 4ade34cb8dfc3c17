//! Policies of an example are broken, one in one way at a time, and each time the analysis shows it. What could not fail
//! would prove nothing.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use plinth_cluster::Lines;
use plinth_paths::example::{Example, Planned};
use plinth_paths::{Analysis, World, differences};
use serde_json::{Value, json};

/// Every so many-th mutant is tried: all of them take minutes, and there are twenty of each kind.
const EVERY: usize = 3;
/// So many are evaluated at a time.
const AT_ONCE: usize = 2;

/// What is done to a policy.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The value at the path is gone.
    Remove,
    /// The value at the path matches everything.
    Empty,
}

/// One change of one policy.
struct Mutant {
    policy: usize,
    path: String,
    change: Change,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.change, self.path)
    }
}

impl Mutant {
    fn applied(&self, world: &World) -> World {
        let mut world = world.clone();
        if self.path.is_empty() {
            world.policies.remove(self.policy);
            return world;
        }
        let policy = &mut world.policies[self.policy];
        let (parent, last) = self.path.rsplit_once('/').expect("paths begin with a slash");
        match (self.change, policy.pointer_mut(parent).expect("the policy has it")) {
            (Change::Empty, parent) => parent[last] = json!({}),
            (Change::Remove, Value::Object(parent)) => drop(parent.remove(last)),
            (Change::Remove, Value::Array(parent)) => drop(parent.remove(last.parse().expect("a position"))),
            (Change::Remove, _) => unreachable!("paths lead through objects and lists"),
        }
        world
    }
}

/// Every way to break a policy: it, each of its rules and each of their peers gone; each selector and each list of ports
/// without limits.
fn mutants(policies: &[Value], policy: usize) -> Vec<Mutant> {
    let body = &policies[policy];
    let mut mutants = Vec::new();
    let mut add = |path: String, change| mutants.push(Mutant { policy, path, change });
    if !is_spare(policies, policy) {
        add(String::new(), Change::Remove);
    }
    if body["spec"]["podSelector"] != json!({}) {
        add("/spec/podSelector".to_owned(), Change::Empty);
    }
    for (field, side) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in body["spec"][field].as_array().into_iter().flatten().enumerate() {
            let at = format!("/spec/{field}/{i}");
            if !is_repeated(policies, policy, rule, field) {
                add(at.clone(), Change::Remove);
            }
            if rule.get("ports").is_some() {
                add(format!("{at}/ports"), Change::Remove);
            }
            let peers = rule[side].as_array().map(Vec::as_slice).unwrap_or_default();
            for (j, peer) in peers.iter().enumerate() {
                // Without its last peer a rule is open to everybody.
                add(format!("{at}/{side}/{j}"), Change::Remove);
                for selector in ["podSelector", "namespaceSelector"] {
                    if peer.get(selector).is_some_and(|selector| *selector != json!({})) {
                        add(format!("{at}/{side}/{j}/{selector}"), Change::Empty);
                    }
                }
            }
        }
    }
    mutants
}

/// Other policies of the same pods: an agency's service may be run by the pods of its subsystem, and each has its policy.
fn twins(policies: &[Value], policy: usize) -> impl Iterator<Item = &Value> {
    let of = |body: &Value| (body["metadata"]["namespace"].clone(), body["spec"]["podSelector"].clone());
    let others = policies.iter().enumerate().filter(move |(other, _)| *other != policy);
    others.map(|(_, body)| body).filter(move |body| of(body) == of(&policies[policy]))
}

/// Whether one of them has the same rule.
fn is_repeated(policies: &[Value], policy: usize, rule: &Value, field: &str) -> bool {
    twins(policies, policy)
        .flat_map(|body| body["spec"][field].as_array())
        .flatten()
        .any(|other| other == rule)
}

/// Whether they shut the same side and have every rule of it: nothing is different without it.
fn is_spare(policies: &[Value], policy: usize) -> bool {
    let spec = &policies[policy]["spec"];
    let rules =
        |field: &'static str| spec[field].as_array().into_iter().flatten().map(move |rule| (field, rule));
    let is_shut = twins(policies, policy).any(|twin| twin["spec"]["policyTypes"] == spec["policyTypes"]);
    let mut rules = rules("ingress").chain(rules("egress"));
    is_shut && rules.all(|(field, rule)| is_repeated(policies, policy, rule, field))
}

async fn every_mutant_is_noticed(example: Example, at_least: usize) -> Result<()> {
    let Planned { world, declared, .. } = example.planned()?;
    let expected = declared.over(&world);
    let all = (0..world.policies.len()).flat_map(|policy| mutants(&world.policies, policy));
    let tried: Vec<Mutant> = all.step_by(EVERY).collect();
    assert!(tried.len() > at_least, "{} mutants", tried.len());
    let noticed = stream::iter(&tried).map(async |mutant| {
        let broken = mutant.applied(&world);
        let analysis = Analysis::of(&broken, &Lines::default()).await?;
        anyhow::Ok((!differences(&broken, &expected, &analysis).is_empty(), mutant))
    });
    let outcomes: Vec<(bool, &Mutant)> = noticed.buffer_unordered(AT_ONCE).try_collect().await?;
    let missed = outcomes.iter().filter(|(noticed, _)| !noticed);
    let missed: Vec<String> = missed
        .map(|(_, mutant)| format!("{}: {mutant}", world.policies[mutant.policy]["metadata"]["name"]))
        .collect();
    println!("{} of {} mutants are noticed", tried.len() - missed.len(), tried.len());
    assert!(missed.is_empty(), "{} are not:\n{}", missed.len(), missed.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_policy_of_a_block_that_opens_more_or_less_is_noticed() -> Result<()> {
    every_mutant_is_noticed(Example::read("country.yaml")?, 200).await
}

#[tokio::test]
async fn a_policy_between_agencies_that_opens_more_or_less_is_noticed() -> Result<()> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agencies"));
    every_mutant_is_noticed(Example::at(folder)?, 50).await
}
