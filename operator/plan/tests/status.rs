//! What people read: conditions, summaries, messages, and that nothing moves when nothing happened.

mod common;

use std::collections::BTreeMap;

use common::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use plinth_api::condition::{self, Reason, State};
use plinth_api::v1alpha1::block::BuildingBlockStatus;
use plinth_api::v1alpha1::stack::Stack;
use plinth_plan::decide::{Gate, decide, teardown};
use plinth_plan::model::*;
use plinth_plan::status::{ApprovalState, Outcome, Report, report};
use serde_json::json;

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("in range"))
}

fn stack() -> Stack {
    let mut stack = Stack::default();
    stack.metadata.name = Some("demo".into());
    stack.metadata.namespace = Some("gov".into());
    stack.metadata.generation = Some(4);
    stack
}

fn shop(version: &str) -> Plan {
    plan(vec![
        block("identity").secret("db").database("postgres", "db", "1").deployment(
            "api",
            version,
            &["postgres"],
        ),
        block("payments").deployment("hub", version, &["identity!api"]),
    ])
}

fn told(plan: &Plan, cluster: &Cluster, gate: Gate) -> Report {
    let decisions = decide(plan, &cluster.observed, &gate);
    let approved = if gate.approved {
        ApprovalState::NotRequired
    } else {
        ApprovalState::Awaiting { hash: plan.hash.clone() }
    };
    let outcome = Outcome::Planned { plan, decisions: &decisions, observed: &cluster.observed, approved };
    report(&stack(), outcome, &BTreeMap::new(), time(100))
}

fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}

fn says(report: &Report, kind: &str) -> (String, String, String) {
    let c = condition(&report.stack.conditions, kind).unwrap_or_else(|| panic!("no {kind}"));
    assert_eq!(c.observed_generation, Some(4), "{kind}");
    (c.status.clone(), c.reason.clone(), c.message.clone())
}

fn short(report: &Report, kind: &str) -> String {
    let (status, reason, _) = says(report, kind);
    format!("{status} {reason}")
}

#[test]
fn a_running_stack_is_ready_and_says_no_more_than_that() {
    let plan = shop("1");
    let report = told(&plan, &Cluster::running(&plan), Gate::OPEN);
    assert_eq!(short(&report, condition::READY), "True AllReady");
    assert_eq!(short(&report, condition::RECONCILING), "False InSync");
    assert_eq!(short(&report, condition::STALLED), "False InSync");
    assert_eq!(short(&report, condition::PLANNED), "True Planned");
    assert_eq!(short(&report, condition::APPROVED), "True NotRequired");
    assert_eq!(short(&report, condition::SECRETS_INTACT), "True NothingMissing");
    for absent in [condition::CONFLICT, condition::DRIFTED, condition::SIMULATED] {
        assert!(condition(&report.stack.conditions, absent).is_none(), "{absent}");
    }
    assert_eq!(report.stack.summary.as_deref(), Some("2/2"));
    assert_eq!(report.stack.observed_generation, Some(4));
    assert_eq!(report.stack.plan_hash.as_deref(), Some("sha256:p"));
    let identity = &report.blocks["identity"];
    assert_eq!((identity.state, identity.summary.as_deref()), (State::Ready, Some("2/2")));
    assert_eq!((identity.message.as_ref(), identity.objects.len(), identity.more_objects), (None, 0, None));
    assert!(condition(&report.blocks["payments"].conditions, condition::SECRETS_INTACT).is_none());
}

#[test]
fn each_standby_of_a_block_is_named_with_what_it_lacks() {
    let mut plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    let waiting = Plan { blocks: vec![plan.blocks[0].clone()], ..plan.clone() };
    let mut south = Cluster::running(&waiting);
    plan.standby = vec![BlockPlan { cluster: Some("south".into()), ..plan.blocks[0].clone() }];
    let mut standby = |south: &Cluster| {
        cluster.observed.elsewhere.insert("south".into(), south.observed.clone());
        let report = told(&plan, &cluster, Gate::OPEN);
        assert!(report.stack.blocks[1].standby.is_empty());
        let [only] = report.stack.blocks[0].standby.as_slice() else { panic!("{:?}", report.stack.blocks) };
        assert_eq!(only.cluster, "south");
        (only.state, only.message.clone().unwrap_or_default())
    };
    assert_eq!(standby(&south), (State::Ready, String::new()));
    south.delete(&key("apps/v1", "Deployment", Some("demo-identity"), "api"));
    let (state, message) = standby(&south);
    assert_eq!(state, State::Absent);
    assert!(message.contains("Deployment/demo-identity/api"), "{message}");
    south.observed.unreachable = Some("connection refused".to_owned());
    assert_eq!(standby(&south).0, State::Unreachable);
}

#[test]
fn the_status_is_the_same_to_the_byte_when_nothing_happened() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    cluster.fell_ill(&find(&plan, "Deployment", "hub").key);
    let first = told(&plan, &cluster, Gate::OPEN);
    let mut stack = stack();
    stack.status = Some(first.stack.clone());
    let decisions = cluster.decide(&plan);
    let approved = ApprovalState::NotRequired;
    let outcome =
        Outcome::Planned { plan: &plan, decisions: &decisions, observed: &cluster.observed, approved };
    let second = report(&stack, outcome, &first.blocks, time(999));
    let bytes = |r: &Report| serde_json::to_string(&(&r.stack, &r.blocks)).expect("serialises");
    assert_eq!(bytes(&first), bytes(&second));
}

#[test]
fn the_worst_is_named_first() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    cluster.fell_ill(&find(&plan, "StatefulSet", "postgres").key);
    let report = told(&plan, &cluster, Gate::OPEN);
    assert_eq!(short(&report, condition::READY), "False Progressing");
    assert_eq!(short(&report, condition::RECONCILING), "True Progressing");

    let hub = find(&plan, "Deployment", "hub").key.clone();
    cluster.delete(&hub);
    let failure = Failure {
        reason: Reason::Conflict,
        message: "manager argocd owns .spec.replicas; hand the field over".into(),
        hash: "1".into(),
        retry_at: i64::MAX,
    };
    cluster.observed.failures.insert(hub, failure);
    let report = told(&plan, &cluster, Gate::OPEN);
    let (_, reason, message) = says(&report, condition::READY);
    assert_eq!(reason, "Conflict");
    assert_eq!(
        message,
        "block payments: Deployment/demo-payments/hub: manager argocd owns .spec.replicas; hand the field over"
    );
    assert_eq!(short(&report, condition::STALLED), "True Conflict");
    assert_eq!(short(&report, condition::RECONCILING), "False Conflict");
    assert_eq!(short(&report, condition::CONFLICT), "True Conflict");
    assert_eq!(report.stack.summary.as_deref(), Some("0/2"));
    let payments = &report.blocks["payments"];
    assert_eq!((payments.state, payments.summary.as_deref()), (State::Conflicted, Some("0/1")));
    assert_eq!(payments.components[0].state, State::Conflicted);
    assert_eq!(payments.objects[0].object, "Deployment/demo-payments/hub");
}

#[test]
fn never_ready_while_anything_differs() {
    let (old, new) = (shop("1"), shop("2"));
    let mut cluster = Cluster::running(&old);
    for _ in 0..20 {
        let decisions = cluster.decide(&new);
        let report = told(&new, &cluster, Gate::OPEN);
        let ready = condition(&report.stack.conditions, condition::READY).expect("Ready").status == "True";
        let same = new.objects().all(|o| {
            cluster.observed.live.get(&o.key).is_some_and(|l| l.applied_hash() == Some(o.hash.as_str()))
        });
        assert!(!ready || (same && decisions.actions.is_empty()));
        for gate in [Gate { paused: true, approved: true }, Gate { paused: false, approved: false }] {
            let held = told(&new, &cluster, gate);
            assert_eq!(
                condition(&held.stack.conditions, condition::READY).expect("Ready").status == "True",
                same && ready
            );
        }
        decisions.actions.iter().for_each(|a| cluster.execute(&new, a));
        cluster.settle();
    }
    assert_eq!(short(&told(&new, &cluster, Gate::OPEN), condition::READY), "True AllReady");
    // Even a lost list of what is owned.
    cluster.observed.inventory.remove("payments");
    assert_eq!(short(&told(&new, &cluster, Gate::OPEN), condition::READY), "False Progressing");
}

#[test]
fn held_changes_say_what_holds_them() {
    let cluster = Cluster::running(&shop("1"));
    let waits = told(&shop("2"), &cluster, Gate { paused: false, approved: false });
    assert_eq!(short(&waits, condition::READY), "False AwaitingApproval");
    assert_eq!(short(&waits, condition::APPROVED), "False AwaitingApproval");
    assert!(says(&waits, condition::APPROVED).2.contains("sha256:p"));
    assert_eq!(short(&waits, condition::RECONCILING), "False AwaitingApproval");
    let paused = told(&shop("2"), &cluster, Gate { paused: true, approved: true });
    assert_eq!(short(&paused, condition::READY), "False Paused");
    assert_eq!(paused.blocks["identity"].state, State::Suspended);
}

#[test]
fn an_unreachable_cluster_is_unknown() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    cluster.observed.unreachable = Some("timeout".into());
    let report = told(&plan, &cluster, Gate::OPEN);
    assert_eq!(short(&report, condition::READY), "Unknown Unreachable");
    assert_eq!(short(&report, condition::SECRETS_INTACT), "Unknown Unreachable");
    assert_eq!(report.stack.blocks[0].state, State::Unreachable);
    assert_eq!(report.stack.summary.as_deref(), Some("0/2"));
}

#[test]
fn drift_a_missing_secret_and_simulation_have_conditions_of_their_own() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    cluster.observed.simulated = true;
    cluster.edit(&find(&plan, "Deployment", "hub").key, |body| body["spec"]["replicas"] = json!(9));
    cluster.delete(&find(&plan, "Secret", "db").key);
    let report = told(&plan, &cluster, Gate::OPEN);
    assert_eq!(short(&report, condition::SIMULATED), "True SimulatedNodes");
    assert_eq!(short(&report, condition::DRIFTED), "True Drifted");
    assert_eq!(short(&report, condition::SECRETS_INTACT), "False SecretMissing");
    assert_eq!(short(&report, condition::STALLED), "True SecretMissing");
    assert!(condition(&report.blocks["payments"].conditions, condition::SECRETS_INTACT).is_none());
    assert_eq!(
        condition(&report.blocks["identity"].conditions, condition::SECRETS_INTACT)
            .map(|c| c.status.as_str()),
        Some("False")
    );
}

#[test]
fn a_job_that_gave_up_stalls() {
    let plan = plan(vec![block("identity").job("migrate", "1", &[])]);
    let mut cluster = Cluster::running(&plan);
    cluster.edit(&find(&plan, "Job", "migrate-1").key, |body| {
        body["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    });
    assert_eq!(short(&told(&plan, &cluster, Gate::OPEN), condition::STALLED), "True Unhealthy");
}

#[test]
fn an_invalid_spec_tells_every_finding_and_keeps_the_picture_of_what_runs() {
    let plan = shop("1");
    let good = told(&plan, &Cluster::running(&plan), Gate::OPEN);
    let mut stack = stack();
    stack.status = Some(good.stack.clone());
    stack.metadata.generation = Some(5);
    let findings: Vec<Finding> =
        (0..23).map(|i| Finding { path: format!("spec.blocks[{i}]"), message: "is wrong".into() }).collect();
    let bad = report(&stack, Outcome::Invalid { findings: &findings }, &good.blocks, time(200));
    let ready = condition(&bad.stack.conditions, condition::READY).expect("Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Invalid"));
    assert!(ready.message.starts_with("23 findings: spec.blocks[0]: is wrong; "), "{}", ready.message);
    assert!(ready.message.ends_with("spec.blocks[19]: is wrong; and 3 more"), "{}", ready.message);
    assert_eq!((ready.observed_generation, &ready.last_transition_time), (Some(5), &time(200)));
    assert_eq!(condition(&bad.stack.conditions, condition::STALLED).map(|c| c.status.as_str()), Some("True"));
    assert_eq!((bad.stack.summary, bad.stack.blocks), (good.stack.summary, good.stack.blocks));
    assert_eq!(bad.blocks, good.blocks);
}

#[test]
fn a_failure_before_the_plan_keeps_the_observed_generation() {
    let mut stack = stack();
    let outcome = |reason| Outcome::Failed { reason, message: "Secret/gov/tls: is missing".into() };
    let failed = report(&stack, outcome(Reason::SecretMissing), &BTreeMap::new(), time(1));
    assert_eq!(failed.stack.observed_generation, None);
    assert_eq!(short(&failed, condition::READY), "False SecretMissing");
    assert_eq!(short(&failed, condition::RECONCILING), "True SecretMissing");
    stack.status = Some(failed.stack);
    let lost = report(&stack, outcome(Reason::Unreachable), &BTreeMap::new(), time(2));
    assert_eq!(short(&lost, condition::READY), "Unknown Unreachable");
}

#[test]
fn a_deletion_says_what_it_waits_for_and_what_it_leaves() {
    let plan = shop("1");
    let mut cluster = Cluster::running(&plan);
    let hub = find(&plan, "Deployment", "hub").key.clone();
    cluster.observed.live.get_mut(&hub).expect("live").deleting = true;
    let step = teardown(&stack_id(), &cluster.observed, false);
    let told = |step| report(&stack(), Outcome::Deleting { teardown: step }, &BTreeMap::new(), time(1));
    let going = told(&step);
    assert_eq!(short(&going, condition::READY), "False Deleting");
    assert!(says(&going, condition::READY).2.contains("Deployment/demo-payments/hub: is being deleted"));
    cluster.observed.live.retain(|k, _| {
        ["Namespace", "Secret", "PersistentVolumeClaim"].contains(&k.kind.as_str())
            && !k.name.contains("payments")
    });
    let done = told(&teardown(&stack_id(), &cluster.observed, false));
    assert_eq!(short(&done, condition::READY), "False DataRetained");
    assert_eq!(short(&done, condition::RECONCILING), "False DataRetained");
    assert!(
        says(&done, condition::READY)
            .2
            .contains("PersistentVolumeClaim/demo-identity/data-postgres-0 is kept")
    );
}

#[test]
fn at_most_twenty_objects_are_listed_the_worst_first() {
    let mut many = block("identity");
    for i in 0..30 {
        many = many.deployment(&format!("d{i:02}"), "1", &[]);
    }
    let plan = plan(vec![many]);
    let mut cluster = Cluster::running(&plan);
    let all: Vec<ObjectKey> =
        plan.objects().map(|o| o.key.clone()).filter(|k| k.kind == "Deployment").collect();
    all.iter().for_each(|key| cluster.fell_ill(key));
    cluster.edit(&all[29], |body| body["spec"]["replicas"] = json!(9));
    let identity = told(&plan, &cluster, Gate::OPEN).blocks.remove("identity").expect("reported");
    assert_eq!((identity.objects.len(), identity.more_objects), (20, Some(10)));
    assert_eq!(identity.objects[0].object, "Deployment/demo-identity/d29");
    assert_eq!(identity.objects[1].object, "Deployment/demo-identity/d00");
    assert_eq!(identity.summary.as_deref(), Some("0/30"));
}

#[test]
fn blocked_external_and_dropped_blocks_have_their_line() {
    let before = shop("1");
    let mut cluster = Cluster::running(&before);
    let finding = Finding { path: "spec.blocks[payments]".into(), message: "nobody provides kafka".into() };
    let external = Builder(BlockPlan { name: "consent".into(), ..BlockPlan::default() });
    let after = plan(vec![
        block("payments").with(|b| {
            b.units.clear();
            b.blocked.push(finding);
        }),
        external,
    ]);
    let told_after = told(&after, &cluster, Gate::OPEN);
    let lines: Vec<(&str, State)> =
        told_after.stack.blocks.iter().map(|b| (b.name.as_str(), b.state)).collect();
    assert_eq!(
        lines,
        [("payments", State::Blocked), ("consent", State::Ready), ("identity", State::Orphaned)]
    );
    assert_eq!(
        says(&told_after, condition::READY).2,
        "block payments: spec.blocks[payments]: nobody provides kafka"
    );
    assert_eq!(short(&told_after, condition::STALLED), "True Blocked");
    assert_eq!(told_after.stack.summary.as_deref(), Some("1/2"));

    // Data that was kept on purpose keeps nobody from being ready.
    let without = plan(vec![block("payments").deployment("hub", "1", &[])]);
    cluster.converge(&without);
    let report = told(&without, &cluster, Gate::OPEN);
    assert_eq!(short(&report, condition::READY), "True AllReady");
    assert_eq!(report.blocks["identity"].state, State::Orphaned);
    assert!(report.blocks["identity"].message.as_ref().is_some_and(|m| m.contains("kept for its data")));
}

#[test]
fn a_blocks_conditions_carry_the_generation_that_the_caller_read() {
    let plan = shop("1");
    let cluster = Cluster::running(&plan);
    let decisions = cluster.decide(&plan);
    let before = BTreeMap::from([(
        "identity".to_owned(),
        BuildingBlockStatus { observed_generation: Some(3), ..BuildingBlockStatus::default() },
    )]);
    let approved = ApprovalState::Approved { by: Some("amina".into()) };
    let outcome =
        Outcome::Planned { plan: &plan, decisions: &decisions, observed: &cluster.observed, approved };
    let report = report(&stack(), outcome, &before, time(1));
    let generations = |name: &str| -> Vec<Option<i64>> {
        report.blocks[name].conditions.iter().map(|c| c.observed_generation).collect()
    };
    assert!(generations("identity").iter().all(|g| *g == Some(3)));
    assert!(generations("payments").iter().all(|g| *g == Some(1)));
    assert_eq!(report.stack.approved_hash.as_deref(), Some("sha256:p"));
    assert!(says(&report, condition::APPROVED).2.contains("amina"));
}

#[test]
fn what_was_approved_before_runs_on_and_is_not_called_ready_while_something_newer_waits() {
    let plan = shop("1");
    let cluster = Cluster::running(&plan);
    let decisions = cluster.decide(&plan);
    let approved = ApprovalState::Awaiting { hash: "sha256:newer".into() };
    let outcome =
        Outcome::Planned { plan: &plan, decisions: &decisions, observed: &cluster.observed, approved };
    let report = report(&stack(), outcome, &BTreeMap::new(), time(1));
    let (status, reason, message) = says(&report, condition::READY);
    assert_eq!((&*status, &*reason), ("False", "AwaitingApproval"));
    assert!(message.starts_with("plan sha256:newer waits for a yes; "), "{message}");
    assert_eq!(short(&report, condition::APPROVED), "False AwaitingApproval");
    assert!(says(&report, condition::APPROVED).2.ends_with("what was approved before goes on"));
    assert_eq!(report.stack.plan_hash.as_deref(), Some("sha256:newer"));
}
