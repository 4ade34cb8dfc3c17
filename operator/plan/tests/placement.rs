//! Where blocks run: each predicate says why not, the first that may is chosen, and nothing that runs is moved.

use std::collections::BTreeMap;

use plinth_api::{Stack, WorkloadCluster};
use plinth_plan::Inputs;
use plinth_plan::placement::residency::{Place, refusals};
use plinth_plan::placement::{Choice, ClusterFacts, Standing, choose};
use serde_json::{Value, json};

/// A Stack of two blocks and an external one.
fn stack(placement: Value) -> Stack {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "land", "namespace": "dpi" },
        "spec": {
            "country": { "code": "ZZ" },
            "blocks": [
                { "name": "identity", "product": "keycloak" },
                { "name": "payments", "product": "mojaloop" },
                { "name": "messaging", "external": { "provides": [{ "capability": "sms" }] } },
            ],
            "placement": placement,
        },
    }))
    .expect("the test's Stack is well-formed")
}

/// A cluster as its object and status say.
fn cluster(labels: Value, spec: Value, status: Value) -> ClusterFacts {
    let mut whole = json!({ "kubeconfigSecret": { "name": "k" }, "jurisdiction": "ZZ", "location": "ZZ" });
    whole.as_object_mut().expect("an object").extend(spec.as_object().expect("an object").clone());
    let cluster: WorkloadCluster = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "WorkloadCluster",
        "metadata": { "name": "c", "namespace": "dpi", "labels": labels }, "spec": whole, "status": status,
    }))
    .expect("the test's cluster is well-formed");
    ClusterFacts::of(&cluster, "land")
}

fn reachable(status: &str) -> Value {
    json!([{
        "type": "Reachable", "status": status, "reason": "Answers", "message": "",
        "lastTransitionTime": "2026-11-30T00:00:00Z",
    }])
}

/// `north` and `south` at home, `embassy` abroad.
fn clusters() -> BTreeMap<String, ClusterFacts> {
    let seen = json!({
        "conditions": reachable("True"), "lastSeen": "2026-11-30T00:00:00Z",
        "capabilities": ["gateway-api", "mcs-api"], "capacity": { "cpu": "8", "memory": "16Gi" },
    });
    let north = cluster(json!({ "tier": "site" }), json!({ "site": "n" }), seen.clone());
    let south = cluster(json!({ "tier": "site" }), json!({ "site": "s", "location": "ZZ-S" }), seen.clone());
    let abroad = json!({ "site": "e", "location": "LU", "expectedOffline": true });
    let embassy = cluster(json!({ "tier": "embassy" }), abroad, seen);
    [("north", north), ("south", south), ("embassy", embassy)].map(|(name, c)| (name.to_owned(), c)).into()
}

fn inputs(change: impl FnOnce(&mut Inputs)) -> Inputs {
    let mut inputs = Inputs { clusters: clusters(), ..Inputs::default() };
    change(&mut inputs);
    inputs
}

fn of(stack: &Stack, inputs: &Inputs, block: &str) -> Choice {
    let choices = choose(stack, inputs).unwrap_or_else(|findings| panic!("{findings:?}"));
    choices.into_iter().find(|choice| choice.block == block).expect("the block is placed")
}

fn identity(rule: Value, change: impl FnOnce(&mut Inputs)) -> Choice {
    let mut rule = rule;
    rule["block"] = json!("identity");
    of(&stack(json!({ "blocks": [rule] })), &inputs(change), "identity")
}

/// What is said of a cluster.
fn said(choice: &Choice, cluster: &str) -> String {
    let considered = choice.considered.iter().find(|c| c.cluster == cluster).expect("it is considered");
    let reasons = considered.reasons.iter().map(|(predicate, why)| format!("{predicate}: {why}"));
    reasons.collect::<Vec<_>>().join("; ")
}

fn texts(findings: &[plinth_plan::model::Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_predicate_says_why_a_cluster_may_not_hold_a_block() {
    let law = |location: &str| json!([{ "name": "law", "jurisdiction": ["ZZ"], "location": [location] }]);
    type Change = fn(&mut Inputs);
    let cases: &[(&str, Value, Change, &str, &str)] = &[
        (
            "no rule",
            json!({}),
            |_| {},
            "north",
            "rule: no rule of spec.placement says that the block may leave the hub",
        ),
        (
            "another name",
            json!({ "default": { "clusters": ["south", "embassy"] } }),
            |_| {},
            "north",
            "clusters: is not one of south, embassy",
        ),
        (
            "other labels",
            json!({ "default": { "selector": { "matchLabels": { "tier": "embassy" } } } }),
            |_| {},
            "north",
            "selector: has the labels tier=site, and the selector does not match",
        ),
        (
            "a hub without labels",
            json!({ "default": { "selector": { "matchLabels": { "tier": "site" } } } }),
            |_| {},
            "hub",
            "selector: has no labels, and the selector does not match",
        ),
        (
            "beside another",
            json!({ "default": { "clusters": ["south"] }, "blocks": [{ "block": "identity", "with": "payments" }] }),
            |_| {},
            "north",
            "with: block `payments` is on `south`",
        ),
        (
            "another place",
            json!({ "default": { "selector": {} }, "residency": law("ZZ") }),
            |_| {},
            "embassy",
            "residency: spec.placement.residency[law].location: cluster `embassy` stands in LU; allowed for Primary, Logs, \
             Keys of block `identity` is ZZ",
        ),
        (
            "another law",
            json!({ "default": { "selector": {} }, "residency": law("ZZ") }),
            |inputs| inputs.clusters.get_mut("north").expect("it is there").jurisdiction = Some("LU".into()),
            "north",
            "residency: spec.placement.residency[law].jurisdiction: cluster `north` is under the law of LU; allowed",
        ),
        (
            "a hub that nobody describes",
            json!({ "default": { "selector": {} }, "residency": law("ZZ") }),
            |_| {},
            "hub",
            "the hub does not say its jurisdiction",
        ),
        (
            "something is not installed",
            json!({ "default": { "selector": {}, "capabilities": ["gateway-api", "strimzi"] } }),
            |_| {},
            "north",
            "capabilities: has no strimzi; install it there",
        ),
        (
            "it does not answer",
            json!({ "default": { "selector": {} } }),
            |inputs| inputs.clusters.get_mut("north").expect("it is there").reachable = Some(false),
            "north",
            "reachable: does not answer",
        ),
    ];
    for (name, placement, change, cluster, expected) in cases {
        let choice = of(&stack(placement.clone()), &inputs(change), "identity");
        let said = said(&choice, cluster);
        assert!(said.contains(expected), "{name}:\n  expected: {expected}\n  said: {said}");
        assert_ne!(choice.cluster.as_deref(), Some(*cluster), "{name}");
    }
}

#[test]
fn the_first_that_may_is_chosen_as_named_or_by_name_and_the_hub_is_last() {
    let chosen = |rule: Value| identity(rule, |_| {}).cluster;
    assert_eq!(chosen(json!({ "clusters": ["south", "north"] })).as_deref(), Some("south"));
    assert_eq!(
        chosen(json!({ "selector": { "matchLabels": { "tier": "site" } } })).as_deref(),
        Some("north")
    );
    assert_eq!(chosen(json!({ "selector": {} })).as_deref(), Some("embassy"));
    assert_eq!(chosen(json!({ "clusters": ["hub", "north"] })).as_deref(), Some("hub"));
    let choice = identity(json!({ "clusters": ["south", "north"] }), |_| {});
    assert_eq!(said(&choice, "north"), "order: `south` comes before it");
    let last = choice.considered.last().map(|c| c.cluster.as_str());
    assert_eq!(last, Some("hub"));
}

#[test]
fn a_stack_without_rules_is_on_the_hub_whatever_clusters_there_are() {
    let mut plain = stack(json!({}));
    plain.spec.placement = None;
    for choice in choose(&plain, &inputs(|_| {})).expect("nothing is wrong") {
        assert_eq!((choice.cluster.as_deref(), choice.planned()), (Some("hub"), None), "{}", choice.block);
        assert!(choice.refused.is_empty());
    }
}

#[test]
fn a_new_cluster_that_comes_first_moves_nothing() {
    let rule = || json!({ "selector": { "matchLabels": { "tier": "site" } } });
    let south = |inputs: &mut Inputs| hold(inputs, "south", "identity");
    let choice = identity(rule(), south);
    assert_eq!((choice.cluster.as_deref(), choice.runs), (Some("south"), true));
    assert!(choice.refused.is_empty(), "{}", texts(&choice.refused));
    assert_eq!(said(&choice, "north"), "order: the block runs on `south`, and nothing is moved");
    // Nor does that its own does not answer.
    let choice = identity(rule(), |inputs| {
        south(inputs);
        inputs.clusters.get_mut("south").expect("it is there").reachable = Some(false);
    });
    assert_eq!(choice.cluster.as_deref(), Some("south"));
    assert!(choice.refused.is_empty(), "{}", texts(&choice.refused));
}

/// The block is on the cluster.
fn hold(inputs: &mut Inputs, cluster: &str, block: &str) {
    let cluster = inputs.clusters.get_mut(cluster).expect("it is there");
    assert!(cluster.holds.insert(block.to_owned()), "it was not there");
}

#[test]
fn a_block_that_must_not_be_where_it_runs_is_refused_and_stays_there() {
    type Change = fn(&mut Inputs);
    let cases: &[(&str, Value, Change, Option<&str>, &str)] = &[
        (
            "the rule names another cluster",
            json!({ "clusters": ["north"] }),
            |inputs| hold(inputs, "south", "identity"),
            Some("south"),
            "spec.placement.blocks[identity]: block `identity` runs on `south`, which must not hold it: is not one of north. \
             It is not moved by itself",
        ),
        (
            "it runs on the hub",
            json!({ "clusters": ["north"] }),
            |inputs| inputs.hub.holds = ["identity".to_owned()].into(),
            Some("hub"),
            "block `identity` runs on `hub`, which must not hold it",
        ),
        (
            "its cluster is gone",
            json!({ "clusters": ["north", "west"] }),
            |inputs| drop(inputs.placed.insert("identity".into(), "west".into())),
            Some("west"),
            "block `identity` runs on `west`, and there is no WorkloadCluster of that name any more; apply it again",
        ),
        (
            "it is on two",
            json!({ "selector": {} }),
            |inputs| {
                hold(inputs, "south", "identity");
                hold(inputs, "north", "identity");
            },
            Some("north"),
            "block `identity` is on several clusters at once, north, south",
        ),
    ];
    for (name, rule, change, cluster, expected) in cases {
        let choice = identity(rule.clone(), change);
        let said = texts(&choice.refused);
        assert!(said.contains(expected), "{name}:\n  expected: {expected}\n  said: {said}");
        assert_eq!(choice.cluster.as_deref(), *cluster, "{name}");
    }
}

#[test]
fn where_a_block_was_shown_last_counts_until_that_cluster_says_otherwise() {
    let placed = |inputs: &mut Inputs| drop(inputs.placed.insert("identity".into(), "south".into()));
    let rule = || json!({ "clusters": ["north", "south"] });
    let silent = identity(rule(), |inputs| {
        placed(inputs);
        inputs.clusters.get_mut("south").expect("it is there").reachable = Some(false);
    });
    assert_eq!((silent.cluster.as_deref(), silent.runs), (Some("south"), true));
    let answers = identity(rule(), placed);
    assert_eq!((answers.cluster.as_deref(), answers.runs), (Some("north"), false));
}

#[test]
fn a_cluster_that_has_never_answered_may_hold_the_block_already() {
    let unseen = |inputs: &mut Inputs| {
        let embassy = inputs.clusters.get_mut("embassy").expect("it is there");
        (embassy.reachable, embassy.seen) = (Some(false), false);
    };
    let choice = identity(json!({ "selector": {} }), unseen);
    assert_eq!(choice.cluster, None);
    assert!(
        texts(&choice.refused)
            .contains("cluster `embassy` has not answered yet and may hold the block already"),
        "{}",
        texts(&choice.refused)
    );
    // One that the rule leaves out is nobody's concern.
    let choice = identity(json!({ "clusters": ["north"] }), unseen);
    assert_eq!(choice.cluster.as_deref(), Some("north"));
}

#[test]
fn a_block_without_a_place_hears_of_every_cluster_why() {
    let choice = identity(json!({ "clusters": ["nroth"] }), |_| {});
    let said = texts(&choice.refused);
    for expected in [
        "spec.placement.blocks[identity]: no cluster may hold the block.",
        "`nroth`: there is no WorkloadCluster of that name",
        "`north`: is not one of nroth",
        "`hub`: is not one of nroth",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let lonely = stack(json!({ "blocks": [
        { "block": "payments", "clusters": ["nroth"] }, { "block": "identity", "with": "payments" },
    ] }));
    let said = texts(&of(&lonely, &inputs(|_| {}), "identity").refused);
    assert!(
        said.contains("spec.placement.blocks[identity].with: block `payments` has no place yet"),
        "{said}"
    );
}

#[test]
fn standbys_are_apart_from_the_block_and_from_one_another() {
    let choice = identity(
        json!({ "clusters": ["north", "south", "embassy"], "standby": { "count": 2, "spread": "Site" } }),
        |_| {},
    );
    assert_eq!(choice.standby, ["south", "embassy"]);
    assert!(choice.lacking.is_empty());
    let standing = |choice: &Choice, cluster: &str| {
        choice.considered.iter().find(|c| c.cluster == cluster).expect("it is considered").standing
    };
    assert_eq!(standing(&choice, "south"), Standing::Standby);
    let abroad =
        json!({ "clusters": ["north", "south", "embassy"], "standby": { "count": 2, "spread": "Country" } });
    let choice = identity(abroad, |_| {});
    assert_eq!(choice.standby, ["embassy"]);
    assert!(said(&choice, "south").contains("is no standby: it shares its country"));
    assert_eq!(
        texts(&choice.lacking),
        "spec.placement.blocks[identity].standby.count: is 2, and 1 cluster(s) may stand by for block `identity`, each at another \
         country"
    );
    assert!(choice.refused.is_empty(), "what lacks a standby runs all the same");
    // What does not say where it is may be anywhere.
    let nowhere = json!({ "clusters": ["north", "south"], "standby": { "count": 1 } });
    let choice = identity(nowhere, |inputs| {
        inputs.clusters.get_mut("south").expect("it is there").site = None;
    });
    assert!(choice.standby.is_empty());
}

#[test]
fn a_standby_is_bound_by_what_binds_replicas_and_not_by_what_binds_the_primary() {
    let with = |binds: &str| {
        let stack = stack(json!({
            "blocks": [{ "block": "identity", "clusters": ["north", "embassy"], "standby": { "count": 1 } }],
            "residency": [{ "name": "law", "binds": [binds], "location": ["ZZ"] }],
        }));
        of(&stack, &inputs(|_| {}), "identity").standby
    };
    assert_eq!(with("Primary"), ["embassy"]);
    assert_eq!(with("Backups"), ["embassy"]);
    for binds in ["Replicas", "Keys", "Logs"] {
        assert!(with(binds).is_empty(), "{binds}");
    }
}

#[test]
fn what_placement_gets_wrong_is_named_with_what_is_allowed() {
    let cases = [
        (
            json!({ "blocks": [{ "block": "idenity" }] }),
            "spec.placement.blocks[idenity].block: `idenity` is no block; allowed are identity, payments",
        ),
        (
            json!({ "blocks": [{ "block": "messaging" }] }),
            "spec.placement.blocks[messaging].block: `messaging` is external: Plinth does not place it; allowed are identity, \
             payments",
        ),
        (
            json!({ "default": { "with": "wallet" } }),
            "spec.placement.default.with: `wallet` is no block; allowed are identity, payments",
        ),
        (
            json!({ "default": { "capabilities": ["mcs"] } }),
            "spec.placement.default.capabilities: `mcs` is no capability of a cluster; allowed are cert-manager, cloudnative-pg, \
             gateway-api, mcs-api, strimzi",
        ),
        (
            json!({ "residency": [{ "name": "law", "blocks": ["wallet"], "jurisdiction": ["ZZ"] }] }),
            "spec.placement.residency[law].blocks: `wallet` is no block; allowed are identity, payments, messaging",
        ),
        (
            json!({ "blocks": [{ "block": "identity", "with": "payments" }, { "block": "payments", "with": "identity" }] }),
            "spec.placement.blocks[identity].with: goes round in a circle: identity -> payments -> identity",
        ),
    ];
    for (placement, expected) in cases {
        let findings = choose(&stack(placement), &inputs(|_| {})).expect_err(expected);
        assert_eq!(texts(&findings), expected);
    }
}

#[test]
fn a_residency_rule_binds_what_it_names_of_whom_it_names() {
    use plinth_api::v1alpha1::placement::Bound;
    let place = |jurisdiction, location| Place { jurisdiction, location };
    let stack = stack(json!({ "residency": [
        { "name": "home", "blocks": ["identity"], "binds": ["Primary", "Backups"], "location": ["ZZ"] },
        { "name": "law", "jurisdiction": ["ZZ"] },
    ] }));
    for (block, bound, place, broken) in [
        ("identity", Bound::Backups, place(Some("ZZ"), Some("ZZ-S")), vec![]),
        ("identity", Bound::Backups, place(Some("ZZ"), Some("LU")), vec!["home"]),
        ("identity", Bound::Logs, place(Some("ZZ"), Some("LU")), vec![]),
        ("payments", Bound::Backups, place(Some("ZZ"), Some("LU")), vec![]),
        ("payments", Bound::Keys, place(Some("LU"), Some("LU")), vec!["law"]),
        ("identity", Bound::Primary, place(None, None), vec!["home", "law"]),
    ] {
        let findings = refusals(&stack, block, &[bound], "the store", place);
        let rules: Vec<&str> = findings.iter().filter_map(|f| f.path.split(['[', ']']).nth(1)).collect();
        assert_eq!(rules, broken, "{block} {bound:?} {place:?}");
    }
}
