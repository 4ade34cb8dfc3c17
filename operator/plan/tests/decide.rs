//! What is done about a plan: order, first contact, drift, failures, gates.

mod common;

use common::*;
use plinth_api::condition::{Reason, State};
use plinth_api::names;
use plinth_api::v1alpha1::stack::DriftPolicy;
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::*;
use serde_json::json;

fn identity() -> Builder {
    block("identity").secret("db").database("postgres", "db", "1")
}

fn shop(version: &str) -> Plan {
    plan(vec![identity().job("migrate", version, &["postgres"]).deployment("api", version, &["migrate"])])
}

fn failure(reason: Reason, hash: &str, retry_at: i64) -> Failure {
    Failure { reason, message: "the words of the server".into(), hash: hash.into(), retry_at }
}

#[test]
fn a_block_begins_with_its_namespace_then_its_inventory_then_what_waits_for_nothing() {
    let plan = shop("1");
    let mut cluster = Cluster::default();
    let mut rounds = Vec::new();
    for _ in 0..6 {
        let actions = cluster.decide(&plan).actions;
        rounds.push(words(&actions));
        actions.iter().for_each(|a| cluster.execute(&plan, a));
        cluster.settle();
    }
    let all: Vec<Vec<&str>> = rounds.iter().map(|r| r.iter().map(String::as_str).collect()).collect();
    assert_eq!(
        all,
        [
            vec!["create Namespace/demo-identity"],
            vec!["record identity 7"],
            vec!["create ServiceAccount/demo-identity/default"],
            vec!["create Secret/demo-identity/db"],
            vec!["create Service/demo-identity/postgres", "create StatefulSet/demo-identity/postgres"],
            vec!["create Job/demo-identity/migrate-1"],
        ]
    );
}

#[test]
fn a_cluster_that_equals_the_plan_gives_no_action_and_all_is_ready() {
    let plan = shop("1");
    let decisions = Cluster::running(&plan).decide(&plan);
    assert_eq!(decisions.actions, []);
    assert!(decisions.orphans.is_empty());
    assert_eq!(decisions.look_again, None);
    for unit in &decisions.units {
        assert_eq!((unit.state, unit.reason, unit.message.as_str()), (State::Ready, Reason::AllReady, ""));
        assert_eq!(unit.objects, []);
    }
    assert_eq!(decisions.units.len(), plan.units().count());
}

#[test]
fn a_unit_waits_and_names_unit_and_object() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    cluster.delete(&find(&plan, "Deployment", "api").key);
    cluster.delete(&find(&plan, "Job", "migrate-1").key);
    let decisions = cluster.decide(&plan);
    assert_eq!(words(&decisions.actions), ["create Job/demo-identity/migrate-1"]);
    let api = unit(&decisions, "api");
    assert_eq!((api.state, api.reason), (State::Waiting, Reason::Waiting));
    assert_eq!(
        api.message,
        "Deployment/demo-identity/api: waits for identity/migrate: Job/demo-identity/migrate-1: is not on the cluster yet"
    );
}

#[test]
fn an_upgrade_runs_the_migration_before_the_roll_and_removes_the_old_job_after_it() {
    let (old, new) = (shop("1"), shop("2"));
    let mut cluster = Cluster::running(&old);
    let first = cluster.decide(&new);
    // The new Job is not in the inventory yet.
    assert_eq!(words(&first.actions), ["record identity 8"]);
    first.actions.iter().for_each(|a| cluster.execute(&new, a));

    let second = cluster.decide(&new);
    assert_eq!(words(&second.actions), ["create Job/demo-identity/migrate-2"]);
    let api = unit(&second, "api");
    assert_eq!((api.state, api.reason), (State::OutOfDate, Reason::Waiting));
    assert!(api.message.contains("waits for identity/migrate"), "{}", api.message);
    second.actions.iter().for_each(|a| cluster.execute(&new, a));

    // Applied and not finished: the roll still waits.
    assert_eq!(cluster.decide(&new).actions, []);
    cluster.settle();
    assert_eq!(words(&cluster.decide(&new).actions), ["update Deployment/demo-identity/api"]);
    cluster.converge(&new);
    assert!(!cluster.observed.live.contains_key(&find(&old, "Job", "migrate-1").key));
    assert_eq!(cluster.observed.inventory["identity"].entries.len(), 7);
}

#[test]
fn a_dependency_that_falls_ill_holds_no_running_unit_back() {
    let with_api = |version| plan(vec![identity().deployment("api", version, &["postgres"])]);
    let mut cluster = Cluster::running(&with_api("1"));
    cluster.fell_ill(&find(&with_api("1"), "StatefulSet", "postgres").key);
    let same = cluster.decide(&with_api("1"));
    assert_eq!(unit(&same, "postgres").state, State::Progressing);
    assert_eq!(unit(&same, "api").state, State::Ready);
    assert_eq!(words(&cluster.decide(&with_api("2")).actions), ["update Deployment/demo-identity/api"]);
}

#[test]
fn units_wait_across_blocks() {
    let both = |identity: Builder| {
        plan(vec![identity, block("payments").deployment("hub", "1", &["identity!postgres"])])
    };
    let mut cluster = Cluster::running(&both(identity()));
    cluster.delete(&find(&both(identity()), "Deployment", "hub").key);
    cluster.fell_ill(&find(&both(identity()), "StatefulSet", "postgres").key);
    let decisions = cluster.decide(&both(identity()));
    assert_eq!(decisions.actions, []);
    assert!(
        unit(&decisions, "hub")
            .message
            .contains("waits for identity/postgres: StatefulSet/demo-identity/postgres")
    );

    let finding = Finding { path: "spec.blocks[identity]".into(), message: "needs kafka".into() };
    let blocked = both(block("identity").with(|b| {
        b.units.clear();
        b.blocked.push(finding);
    }));
    let decisions = cluster.decide(&blocked);
    assert_eq!(decisions.actions, [], "what a blocked block runs stays untouched");
    assert!(decisions.orphans.is_empty());
    assert!(unit(&decisions, "hub").message.contains("block identity is blocked"));
}

#[test]
fn first_contact_never_forces() {
    let plan = shop("1");
    let api = find(&plan, "Deployment", "api").clone();
    for strip in [names::ANNOTATION_HASH, names::LABEL_STACK] {
        let mut cluster = Cluster::running(&plan);
        cluster.edit(&api.key, |body| {
            body["metadata"]["annotations"].as_object_mut().expect("a map").remove(strip);
            body["metadata"]["labels"].as_object_mut().expect("a map").remove(strip);
        });
        assert_eq!(words(&cluster.decide(&plan).actions), ["adopt Deployment/demo-identity/api"], "{strip}");
    }
}

#[test]
fn drift_is_corrected_or_only_reported() {
    let plan =
        |policy| plan(vec![identity().deployment("api", "1", &["postgres"]).with(|b| b.drift = policy)]);
    let correct = plan(DriftPolicy::Correct);
    let mut cluster = Cluster::running(&correct);
    let key = find(&correct, "Deployment", "api").key.clone();
    cluster.edit(&key, |body| body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil"));
    // Corrections keep no order: nothing new is introduced.
    cluster.fell_ill(&find(&correct, "StatefulSet", "postgres").key);

    let decisions = cluster.decide(&correct);
    assert_eq!(words(&decisions.actions), ["update Deployment/demo-identity/api"]);
    assert_eq!(unit(&decisions, "api").state, State::Drifted);
    assert!(unit(&decisions, "api").message.contains("containers[api].image: is evil, should be app:1"));

    let decisions = cluster.decide(&plan(DriftPolicy::Report));
    assert_eq!(decisions.actions, []);
    let api = unit(&decisions, "api");
    assert_eq!((api.state, api.reason), (State::Drifted, Reason::Drifted));
    assert!(api.message.contains("containers[api].image: is evil, should be app:1"), "{}", api.message);
}

#[test]
fn reported_drift_does_not_hold_others_back() {
    let at = |hub: bool| {
        let block = identity().with(|b| b.drift = DriftPolicy::Report);
        plan(vec![if hub { block.deployment("hub", "1", &["postgres"]) } else { block }])
    };
    let mut cluster = Cluster::running(&at(false));
    cluster
        .edit(&find(&at(false), "StatefulSet", "postgres").key, |body| body["spec"]["replicas"] = json!(1.0));
    cluster.edit(&find(&at(false), "StatefulSet", "postgres").key, |body| {
        body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("db:1-hotfix");
    });
    cluster.converge(&at(true));
    let decisions = cluster.decide(&at(true));
    assert_eq!(unit(&decisions, "hub").state, State::Ready);
    assert_eq!(unit(&decisions, "postgres").state, State::Drifted);
}

#[test]
fn a_namespace_of_somebody_else_is_refused_with_its_owner_named_and_nothing_is_written() {
    let plan = shop("1");
    for (owner, words) in [
        (Some("inst/other/stack/identity"), "belongs to inst/other/stack/identity"),
        (None, "was not made by Plinth"),
    ] {
        let mut cluster = Cluster::default();
        cluster.apply(find(&plan, "Namespace", "demo-identity"));
        cluster.edit(&find(&plan, "Namespace", "demo-identity").key, |body| {
            body["metadata"]["annotations"] = match owner {
                Some(owner) => json!({names::ANNOTATION_OWNER: owner}),
                None => json!({}),
            };
        });
        let decisions = cluster.decide(&plan);
        assert_eq!(decisions.actions, []);
        let foundation = unit(&decisions, FOUNDATION);
        assert_eq!((foundation.state, foundation.reason), (State::Blocked, Reason::NamespaceTaken));
        assert!(foundation.message.contains(words), "{}", foundation.message);
        assert_eq!(unit(&decisions, "postgres").state, State::Waiting);
    }
}

#[test]
fn what_is_being_deleted_is_waited_for() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    let key = find(&plan, "Deployment", "api").key.clone();
    cluster.edit(&key, |body| body["metadata"]["finalizers"] = json!(["x.io/guard"]));
    cluster.observed.live.get_mut(&key).expect("live").deleting = true;
    let decisions = cluster.decide(&plan);
    assert_eq!(decisions.actions, []);
    assert_eq!(unit(&decisions, "api").state, State::Progressing);
    assert_eq!(
        unit(&decisions, "api").message,
        "Deployment/demo-identity/api: is being deleted and waits for x.io/guard"
    );

    // In a namespace that goes, nothing can be made.
    cluster.delete(&key);
    cluster.observed.live.get_mut(&find(&plan, "Namespace", "demo-identity").key).expect("live").deleting =
        true;
    let decisions = cluster.decide(&plan);
    assert_eq!(decisions.actions, []);
    assert!(unit(&decisions, "api").message.contains("waits for the block's namespace"));
    assert!(unit(&decisions, "foundation").message.contains("Namespace/demo-identity: is being deleted"));
}

#[test]
fn a_failed_write_is_not_tried_again_before_its_time_and_gives_the_state() {
    let plan = shop("1");
    let key = find(&plan, "Deployment", "api").key.clone();
    let cases = [
        (Reason::Conflict, State::Conflicted),
        (Reason::NamespaceTaken, State::Blocked),
        (Reason::KindMissing, State::Blocked),
        (Reason::Denied, State::Blocked),
        (Reason::Invalid, State::Blocked),
        (Reason::SecretMissing, State::Blocked),
        (Reason::Waiting, State::Waiting),
        (Reason::ApplyFailed, State::Unhealthy),
    ];
    for (reason, state) in cases {
        let mut cluster = Cluster::running(&plan);
        let now = cluster.observed.now;
        cluster.delete(&key);
        cluster.observed.failures.insert(key.clone(), failure(reason, "1", now + 30));
        let decisions = cluster.decide(&plan);
        assert_eq!(decisions.actions, [], "{reason:?}");
        assert_eq!((unit(&decisions, "api").state, unit(&decisions, "api").reason), (state, reason));
        assert_eq!(unit(&decisions, "api").message, "Deployment/demo-identity/api: the words of the server");
        assert_eq!(decisions.look_again, Some(now + 30));

        // Due: tried again; the state changes with the outcome, not with the attempt.
        cluster.observed.now = now + 30;
        let decisions = cluster.decide(&plan);
        assert_eq!(words(&decisions.actions), ["create Deployment/demo-identity/api"], "{reason:?}");
        assert_eq!(unit(&decisions, "api").state, state);

        // Another version is another matter.
        cluster.observed.failures.insert(key.clone(), failure(reason, "0", now + 90));
        assert_eq!(
            words(&cluster.decide(&plan).actions),
            ["create Deployment/demo-identity/api"],
            "{reason:?}"
        );

        // A lost response: the write took effect after all.
        cluster.apply(find(&plan, "Deployment", "api"));
        cluster.observed.failures.insert(key.clone(), failure(reason, "1", now + 90));
        cluster.settle();
        assert_eq!(unit(&cluster.decide(&plan), "api").state, State::Ready, "{reason:?}");
    }
}

#[test]
fn a_refused_namespace_is_tried_again_when_due() {
    let plan = shop("1");
    let mut cluster = Cluster::default();
    cluster.observed.now = 100;
    let key = find(&plan, "Namespace", "demo-identity").key.clone();
    cluster.observed.failures.insert(key, failure(Reason::NamespaceTaken, "1", 130));
    assert_eq!(cluster.decide(&plan).actions, []);
    cluster.observed.now = 130;
    assert_eq!(words(&cluster.decide(&plan).actions), ["create Namespace/demo-identity"]);
}

#[test]
fn a_kind_that_the_cluster_does_not_serve_blocks_its_unit_and_says_what_to_install() {
    let thing = object("x.io/v1", "Thing", Some("demo-identity"), "t", "identity", "t", json!({}), "1");
    let plan = plan(vec![identity().unit("object/t", false, &[], vec![thing])]);
    let mut cluster = Cluster::default();
    cluster.observed.missing_kinds.insert(("x.io/v1".into(), "Thing".into()));
    cluster.converge(&plan);
    let decisions = cluster.decide(&plan);
    let found = unit(&decisions, "object/t");
    assert_eq!((found.state, found.reason), (State::Blocked, Reason::KindMissing));
    assert!(found.message.contains("does not serve Thing of x.io/v1: install its CustomResourceDefinition"));
    assert_eq!(unit(&decisions, "postgres").state, State::Ready);
}

#[test]
fn an_unreachable_cluster_is_unreachable_throughout() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    cluster.observed.unreachable = Some("connection refused".into());
    let decisions = cluster.decide(&shop("2"));
    assert_eq!(decisions.actions, []);
    for unit in &decisions.units {
        assert_eq!((unit.state, unit.reason), (State::Unreachable, Reason::Unreachable));
        assert!(unit.message.contains("connection refused"));
        assert!(unit.objects.iter().all(|o| o.state == State::Unreachable));
    }
}

#[test]
fn paused_means_no_write_and_suspended_only_where_one_is_due() {
    let mut cluster = Cluster::running(&shop("1"));
    let by_block = |mut plan: Plan| {
        plan.blocks[0].paused = true;
        plan
    };
    let gates = [(shop("2"), Gate { paused: true, approved: true }), (by_block(shop("2")), Gate::OPEN)];
    for (plan, gate) in &gates {
        let decisions = decide(plan, &cluster.observed, gate);
        assert_eq!(decisions.actions, []);
        assert_eq!(
            (unit(&decisions, "api").state, unit(&decisions, "api").reason),
            (State::Suspended, Reason::Paused)
        );
        assert!(unit(&decisions, "api").message.contains("paused"), "{}", unit(&decisions, "api").message);
        assert_eq!(unit(&decisions, "postgres").state, State::Ready);
    }
    cluster.fell_ill(&find(&shop("1"), "StatefulSet", "postgres").key);
    let decisions = decide(&shop("1"), &cluster.observed, &Gate { paused: true, approved: true });
    assert_eq!(unit(&decisions, "postgres").state, State::Progressing, "illness is told in a pause too");
}

#[test]
fn without_approval_nothing_is_written_and_the_states_are_told() {
    let cluster = Cluster::running(&shop("1"));
    let gate = Gate { paused: false, approved: false };
    let decisions = decide(&shop("2"), &cluster.observed, &gate);
    assert_eq!(decisions.actions, []);
    assert_eq!(unit(&decisions, "api").state, State::OutOfDate);
    assert_eq!(unit(&decisions, "api").reason, Reason::AwaitingApproval);
    assert_eq!(decide(&shop("1"), &cluster.observed, &gate).units, cluster.decide(&shop("1")).units);
    assert_eq!(decide(&plan(vec![]), &cluster.observed, &gate).actions, [], "nor is anything deleted");
}

#[test]
fn a_workload_is_ill_only_after_its_start_up_budget_and_the_pod_is_named() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    let key = find(&plan, "Deployment", "api").key.clone();
    cluster.fell_ill(&key);
    let pod = |name: &str| PodBrief {
        name: name.into(),
        trouble: Some("CrashLoopBackOff".into()),
        restarts: 3,
        ..PodBrief::default()
    };
    let id = UnitId { block: "identity".into(), name: "api".into() };
    cluster.observed.pods.insert(id, vec![pod("api-5c-x")]);
    let early = cluster.decide(&plan);
    assert_eq!(unit(&early, "api").state, State::Progressing);
    let ends = cluster.observed.now + 60;
    assert_eq!(early.look_again, Some(ends));
    cluster.observed.now = ends;
    let late = cluster.decide(&plan);
    assert_eq!(unit(&late, "api").state, State::Unhealthy);
    assert!(unit(&late, "api").message.contains("pod api-5c-x CrashLoopBackOff (3 restarts)"));
    // Our own last change starts the budget again: a roll is no illness.
    cluster.observed.live.get_mut(&key).expect("live").applied = Some(ends - 5);
    assert_eq!(unit(&cluster.decide(&plan), "api").state, State::Progressing);
}
