//! A standby and a takeover: who runs what at each step, what is refused, and that the way back ends in the plan that was.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::operation::FailoverTarget;
use plinth_api::{Stack, WorkloadCluster, names};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::failover::{Asked, Failover, Fence, FencedBy, Part, Phase, recorded};
use plinth_plan::model::{BlockPlan, Plan, SecretSource, StackId};
use plinth_plan::placement::ClusterFacts;
use plinth_plan::restoring::{self, Restore};
use serde_json::{Value, json};

const UID: &str = "0a1b2c3d-0000-4000-8000-000000000000";
/// 30 November 2026, 03:00 UTC.
const NOW: i64 = 1_796_007_600;

/// Identity on `north`, with `south` standing by.
fn stack(change: impl FnOnce(&mut Value)) -> Stack {
    let mut stack = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "land", "namespace": "dpi" },
        "spec": {
            "country": { "code": "ZZ" },
            "profile": "sandbox",
            "blocks": [{ "name": "identity", "product": "keycloak" }],
            "placement": { "blocks": [
                { "block": "identity", "clusters": ["north", "south"], "standby": { "count": 1 } },
            ] },
            "backup": {
                "schedule": "0 2 * * *",
                "target": { "endpoint": "https://s3.backup.example", "bucket": "dpi", "credentialsSecret": "account" },
                "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
            },
            "continuity": { "recovery": [{ "block": "identity", "point": "PT4H", "time": "PT1H" }] },
        },
    });
    change(&mut stack["spec"]);
    serde_json::from_value(stack).expect("the test's Stack is well-formed")
}

fn inputs(failover: Option<Failover>) -> Inputs {
    let site = |name: &str| {
        let cluster: WorkloadCluster = serde_json::from_value(json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "WorkloadCluster",
            "metadata": { "name": name, "namespace": "dpi" },
            "spec": { "kubeconfigSecret": { "name": "k" }, "jurisdiction": "ZZ", "location": "ZZ", "site": name },
        }))
        .expect("the test's cluster is well-formed");
        (
            name.to_owned(),
            ClusterFacts { seen: true, reachable: Some(true), ..ClusterFacts::of(&cluster, "land") },
        )
    };
    let mut clusters: BTreeMap<String, ClusterFacts> = ["north", "south"].map(site).into();
    if let Some(north) = clusters.get_mut("north") {
        north.holds = BTreeSet::from(["identity".to_owned()]);
    }
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    let failovers = failover.into_iter().map(|record| ("identity".to_owned(), record)).collect();
    Inputs { catalogue, clusters, failovers, ..Inputs::default() }
}

fn record(phase: Phase) -> Failover {
    let part = Part { requirement: "db".to_owned(), from: "20261130T020000Z".to_owned() };
    Failover {
        operation: "flood".to_owned(),
        uid: UID.to_owned(),
        term: 1,
        from: "north".to_owned(),
        to: "south".to_owned(),
        home: "north".to_owned(),
        accepts_loss: false,
        restore: vec![part],
        identity_secret: Some("escrow".to_owned()),
        phase,
        begun: NOW,
        fence: None,
        ready: None,
        message: None,
    }
}

fn planned(failover: Option<Failover>) -> Plan {
    plinth_plan::plan(&stack(|_| {}), &inputs(failover)).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// Pods of each workload of a side.
fn pods(block: &BlockPlan) -> BTreeMap<&str, u64> {
    let objects = block.units.iter().flat_map(|unit| &unit.objects);
    let sets = objects.filter(|o| matches!(o.key.kind.as_str(), "Deployment" | "StatefulSet"));
    sets.map(|o| (o.key.name.as_str(), o.body["spec"]["replicas"].as_u64().unwrap_or(1))).collect()
}

/// A cluster, with the pods of each workload there.
type Side<'a> = (Option<&'a str>, BTreeMap<&'a str, u64>);

/// The side that is planned to serve, and the one that stands by.
fn sides(plan: &Plan) -> (Side<'_>, Side<'_>) {
    let ([serving], [waiting]) = (plan.blocks.as_slice(), plan.standby.as_slice()) else {
        panic!("{plan:#?}")
    };
    assert!(serving.blocked.is_empty(), "{:?}", serving.blocked);
    ((serving.cluster.as_deref(), pods(serving)), (waiting.cluster.as_deref(), pods(waiting)))
}

fn asked(
    of: impl FnOnce(&Asked<'_>) -> Result<Failover, String>,
    inputs: &Inputs,
    stack: &Stack,
) -> Result<Failover, String> {
    let plan = plinth_plan::plan(stack, inputs).unwrap_or_else(|findings| panic!("{findings:#?}"));
    of(&Asked { stack, plan: &plan, inputs, operation: ("flood", UID), now: NOW })
}

fn target(change: impl FnOnce(&mut FailoverTarget)) -> FailoverTarget {
    let mut target = serde_json::from_value(json!({
        "block": "identity", "identitySecret": "escrow",
        "restore": [{ "requirement": "db", "from": "20261130T020000Z" }],
    }))
    .expect("the test's target is well-formed");
    change(&mut target);
    target
}

#[test]
fn a_standby_is_the_whole_block_without_pods_and_makes_no_secret() {
    let plan = planned(None);
    let ((serving, running), (waiting, stopped)) = sides(&plan);
    assert_eq!((serving, waiting), (Some("north"), Some("south")));
    assert_eq!(running, [("keycloak", 1), ("postgresql", 1)].into());
    assert_eq!(stopped, [("keycloak", 0), ("postgresql", 0)].into());
    let keys = |block: &BlockPlan| {
        let objects = block.units.iter().flat_map(|unit| &unit.objects).map(|o| o.key.clone());
        objects.filter(|key| key.kind != "HTTPRoute").collect::<BTreeSet<_>>()
    };
    assert_eq!(keys(&plan.standby[0]), keys(&plan.blocks[0]));
    let objects = plan.standby[0].units.iter().flat_map(|unit| &unit.objects);
    let sources: Vec<&SecretSource> = objects.flat_map(|object| object.secret.values()).collect();
    assert!(sources.len() > 3, "{sources:?}");
    assert!(sources.iter().all(|source| matches!(source, SecretSource::Serving(_))), "{sources:?}");
    let home =
        plan.standby[0].units[0].objects.iter().find(|o| o.key.kind == "Namespace").expect("a namespace");
    assert_eq!(home.body["metadata"]["annotations"][names::ANNOTATION_STANDBY], "true");
}

#[test]
fn at_no_step_do_both_sides_have_pods_and_in_the_end_they_have_changed_places() {
    let none: BTreeMap<&str, u64> = [("keycloak", 0), ("postgresql", 0)].into();
    let all: BTreeMap<&str, u64> = [("keycloak", 1), ("postgresql", 1)].into();
    let data: BTreeMap<&str, u64> = [("keycloak", 0), ("postgresql", 1)].into();
    for (phase, serving, pods, waiting) in [
        (Phase::Fencing, "north", &none, "south"),
        (Phase::Filling, "south", &data, "north"),
        (Phase::Failed, "south", &data, "north"),
        (Phase::Serving, "south", &all, "north"),
        (Phase::Done, "south", &all, "north"),
    ] {
        let plan = planned(Some(record(phase)));
        assert_eq!(sides(&plan), ((Some(serving), pods.clone()), (Some(waiting), none.clone())), "{phase:?}");
    }
}

#[test]
fn what_restores_runs_on_the_new_side_alone_while_it_is_filled() {
    let mut inputs = inputs(Some(record(Phase::Filling)));
    let restore: Restore = serde_json::from_value(json!({
        "operation": "flood", "uid": UID, "requirement": "db", "from": "20261130T020000Z", "into": "Same",
        "identitySecret": "escrow", "phase": "Filling",
    }))
    .expect("a restore");
    assert_eq!(restore.phase, restoring::Phase::Filling);
    inputs.restores.insert("identity".to_owned(), restore);
    let plan = plinth_plan::plan(&stack(|_| {}), &inputs).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let named = |block: &BlockPlan, name: &str| block.units.iter().any(|unit| unit.id.name.contains(name));
    for unit in ["restore-db", "secret/restore-identity"] {
        assert!(named(&plan.blocks[0], unit) && !named(&plan.standby[0], unit), "{unit}");
    }
    let job =
        plan.blocks[0].units.iter().find(|unit| unit.id.name == "restore-db").and_then(|unit| unit.job());
    assert_eq!(job.expect("a Job").body["spec"]["suspend"], Value::Null);
}

#[test]
fn back_at_home_the_plan_is_the_one_that_was() {
    let home = Failover {
        term: 2,
        from: "south".to_owned(),
        to: "north".to_owned(),
        fence: Some(Fence { by: FencedBy::Acknowledgement, at: NOW }),
        ..record(Phase::Done)
    };
    assert_eq!(planned(Some(home)), planned(None));
}

#[test]
fn of_two_sides_that_say_different_things_the_higher_term_is_right() {
    let id = StackId { namespace: "dpi".to_owned(), name: "land".to_owned() };
    let said = |record: &Failover| {
        json!({ "metadata": { "annotations": {
            names::ANNOTATION_OWNER: "dpi/land/identity",
            names::ANNOTATION_FAILOVER: serde_json::to_string(record).expect("it serialises"),
        } } })
    };
    let (old, new) = (record(Phase::Done), Failover { term: 2, ..record(Phase::Fencing) });
    for sides in [[said(&old), said(&new)], [said(&new), said(&old)]] {
        assert_eq!(recorded(&id, &sides)["identity"], new);
    }
    let further = record(Phase::Filling);
    let sides = [said(&further), said(&record(Phase::Fencing))];
    assert_eq!(recorded(&id, &sides)["identity"], further, "the side that takes over is written first");
}

#[test]
fn a_takeover_begins_only_when_it_can_be_ended_and_loses_no_more_than_is_allowed() {
    let stack = stack(|_| {});
    let open = inputs(None);
    let begun =
        asked(|asked| asked.failover(&target(|_| {}), |_, _| true), &open, &stack).expect("it may begin");
    assert_eq!(begun, record(Phase::Fencing));
    assert_eq!(begun.lost(), Some(3600));

    type Change = fn(&mut FailoverTarget);
    let cases: &[(Change, &str)] = &[
        (|t| t.block = "wallet".to_owned(), "the Stack has no block `wallet`"),
        (
            |t| t.to = Some("embassy".to_owned()),
            "failover.to: `embassy` does not stand by for block `identity`",
        ),
        (|t| t.restore.clear(), "restore: name a backup of db of block `identity`"),
        (
            |t| t.restore[0].requirement = "other".to_owned(),
            "restore: `other` of block `identity` is not backed up",
        ),
        (|t| t.restore[0].from = "20261129T020000Z".to_owned(), "the oldest of the backups is 90000 s old"),
    ];
    for (change, part) in cases {
        let refused = asked(|asked| asked.failover(&target(change), |_, _| true), &open, &stack).unwrap_err();
        assert!(refused.contains(part), "{refused}");
    }
    let late = target(|t| {
        t.restore[0].from = "20261129T020000Z".to_owned();
        t.accept_data_loss = true;
    });
    assert!(asked(|asked| asked.failover(&late, |_, _| true), &open, &stack).is_ok());
    let incomplete = asked(|asked| asked.failover(&target(|_| {}), |_, _| false), &open, &stack).unwrap_err();
    assert!(incomplete.contains("the standby on `south` is not complete"), "{incomplete}");
    let at_home = asked(|asked| asked.switchback(&target(|_| {}), |_, _| true), &open, &stack).unwrap_err();
    assert!(at_home.contains("is at home, on `north`"), "{at_home}");
}

#[test]
fn a_side_that_does_not_answer_is_left_only_by_who_accepts_the_loss() {
    let stack = stack(|_| {});
    let mut dark = inputs(None);
    if let Some(north) = dark.clusters.get_mut("north") {
        (north.reachable, north.last_seen) = (Some(false), Some(NOW - 30));
    }
    let refused = asked(|asked| asked.failover(&target(|_| {}), |_, _| true), &dark, &stack).unwrap_err();
    assert!(
        refused.contains("cluster `north` does not answer: whether it has stopped cannot be known"),
        "{refused}"
    );
    let accepting = target(|t| t.accept_data_loss = true);
    assert!(asked(|asked| asked.failover(&accepting, |_, _| true), &dark, &stack).is_ok());
    if let Some(south) = dark.clusters.get_mut("south") {
        south.reachable = Some(false);
    }
    // What would take over does not answer either: then nothing helps.
    let refused = asked(|asked| asked.failover(&accepting, |_, _| true), &dark, &stack).unwrap_err();
    assert!(refused.contains("nothing stands by") || refused.contains("it cannot take over"), "{refused}");
}
