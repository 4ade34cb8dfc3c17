//! When a live object is ready, when it is under way, when it has failed, and what is said about it.

use std::sync::Arc;

use plinth_api::condition::State;
use plinth_plan::model::{Live, PodBrief};
use plinth_plan::ready::{Readiness, readiness};
use serde_json::{Value, json};

fn object(api: &str, kind: &str, rest: Value) -> Value {
    let mut body = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "api", "namespace": "ns", "generation": 2}});
    for (field, value) in rest.as_object().expect("an object") {
        body[field] = value.clone();
    }
    body
}

fn at(age: i64, body: Value, when: Option<&str>, pods: &[PodBrief]) -> Readiness {
    let live = Live { body: Arc::new(body), ..Live::default() };
    readiness(&live, when, pods, age, Some(60))
}

fn deployment(updated: i64, total: i64, available: i64) -> Value {
    object(
        "apps/v1",
        "Deployment",
        json!({
            "spec": {"replicas": 2},
            "status": {"observedGeneration": 2, "updatedReplicas": updated, "replicas": total, "availableReplicas": available},
        }),
    )
}

fn conditions(list: Value) -> Value {
    json!({"status": {"conditions": list}})
}

fn pod(trouble: &str, restarts: u32) -> PodBrief {
    PodBrief {
        name: "api-x".into(),
        ready: false,
        trouble: Some(trouble.into()),
        message: Some("exit code 1".into()),
        restarts,
        finished: false,
    }
}

#[test]
fn each_kind_is_judged_by_its_own_checks() {
    use State::{Progressing, Ready, Unhealthy};
    let young = 10;
    let old = 1000;
    let gateway = |accepted: &str, programmed: &str| {
        object(
            "gateway.networking.k8s.io/v1",
            "Gateway",
            conditions(json!([
                {"type": "Accepted", "status": accepted, "observedGeneration": 2},
                {"type": "Programmed", "status": programmed, "observedGeneration": 2},
            ])),
        )
    };
    let route = |parents: Value| {
        object("gateway.networking.k8s.io/v1", "HTTPRoute", json!({"status": {"parents": parents}}))
    };
    let accepted = json!([{"type": "Accepted", "status": "True", "observedGeneration": 2}]);
    let refused =
        json!([{"type": "Accepted", "status": "False", "observedGeneration": 2, "message": "no listener"}]);
    let set = |revisions: [&str; 2], updated: i64, ready: i64| {
        object(
            "apps/v1",
            "StatefulSet",
            json!({
                "spec": {"replicas": 3},
                "status": {"observedGeneration": 2, "currentRevision": revisions[0], "updateRevision": revisions[1], "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready},
            }),
        )
    };
    let daemons = |updated: i64, available: i64| {
        object(
            "apps/v1",
            "DaemonSet",
            json!({
                "status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": available},
            }),
        )
    };
    let cases = [
        ("Deployment complete", old, deployment(2, 2, 2), Ready, ""),
        ("Deployment rolling", young, deployment(1, 3, 2), Progressing, "1 of 2 replicas updated"),
        (
            "Deployment with old replicas",
            young,
            deployment(2, 3, 2),
            Progressing,
            "1 replicas of the old version",
        ),
        (
            "Deployment unavailable, young",
            young,
            deployment(2, 2, 1),
            Progressing,
            "1 of 2 replicas available",
        ),
        (
            "Deployment unavailable, old",
            old,
            deployment(2, 2, 1),
            Unhealthy,
            "see `kubectl -n ns describe deployment/api`",
        ),
        (
            "Deployment not seen by its controller, old",
            old,
            object("apps/v1", "Deployment", json!({})),
            Progressing,
            "has not seen",
        ),
        (
            "Deployment past its deadline",
            old,
            object(
                "apps/v1",
                "Deployment",
                json!({"status": {"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}}),
            ),
            Unhealthy,
            "ProgressDeadlineExceeded: timed out",
        ),
        (
            "Deployment scaled to nothing",
            old,
            object(
                "apps/v1",
                "Deployment",
                json!({"spec": {"replicas": 0}, "status": {"observedGeneration": 2}}),
            ),
            Ready,
            "",
        ),
        ("StatefulSet complete", old, set(["b", "b"], 3, 3), Ready, ""),
        ("StatefulSet rolling", young, set(["a", "b"], 1, 3), Progressing, "1 of 3 replicas updated"),
        ("StatefulSet starting in order", 100, set(["b", "b"], 2, 2), Progressing, "2 of 3 replicas ready"),
        ("StatefulSet stuck", 200, set(["b", "b"], 2, 2), Unhealthy, "2 of 3 replicas ready"),
        ("DaemonSet complete", old, daemons(3, 3), Ready, ""),
        ("DaemonSet rolling", young, daemons(1, 3), Progressing, "1 of 3 replicas updated"),
        ("DaemonSet unavailable", old, daemons(3, 2), Unhealthy, "2 of 3 replicas available"),
        (
            "Job running for long",
            old,
            object("batch/v1", "Job", json!({"status": {"active": 1}})),
            Progressing,
            "has not finished",
        ),
        (
            "Job complete",
            old,
            object("batch/v1", "Job", conditions(json!([{"type": "Complete", "status": "True"}]))),
            Ready,
            "",
        ),
        (
            "Job failed, young",
            young,
            object(
                "batch/v1",
                "Job",
                conditions(
                    json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}]),
                ),
            ),
            Unhealthy,
            "failed: BackoffLimitExceeded: too often; see `kubectl -n ns logs job/api`",
        ),
        (
            "claim that waits for its pod",
            old,
            object("v1", "PersistentVolumeClaim", json!({"status": {"phase": "Pending"}})),
            Ready,
            "",
        ),
        (
            "claim without its volume",
            young,
            object("v1", "PersistentVolumeClaim", json!({"status": {"phase": "Lost"}})),
            Unhealthy,
            "lost its volume",
        ),
        (
            "Pod ready",
            old,
            object("v1", "Pod", conditions(json!([{"type": "Ready", "status": "True"}]))),
            Ready,
            "",
        ),
        ("Pod not ready", young, object("v1", "Pod", json!({})), Progressing, "is not ready"),
        ("Pod finished", old, object("v1", "Pod", json!({"status": {"phase": "Succeeded"}})), Ready, ""),
        (
            "CRD established",
            old,
            object(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                conditions(json!([{"type": "Established", "status": "True"}])),
            ),
            Ready,
            "",
        ),
        (
            "CRD new",
            young,
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({})),
            Progressing,
            "not served yet",
        ),
        (
            "CRD refused",
            young,
            object(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                conditions(json!([{"type": "NamesAccepted", "status": "False"}])),
            ),
            Unhealthy,
            "names are taken",
        ),
        ("Gateway programmed", old, gateway("True", "True"), Ready, ""),
        ("Gateway accepted", young, gateway("True", "False"), Progressing, "not programmed"),
        ("HTTPRoute nobody looked at", young, route(json!([])), Progressing, "no gateway"),
        (
            "HTTPRoute accepted",
            old,
            route(json!([{"parentRef": {"name": "gw"}, "conditions": accepted}])),
            Ready,
            "",
        ),
        (
            "HTTPRoute refused",
            old,
            route(json!([{"parentRef": {"name": "gw"}, "conditions": refused}])),
            Unhealthy,
            "gateway gw: not Accepted: no listener",
        ),
        (
            "Namespace going",
            old,
            object("v1", "Namespace", json!({"status": {"phase": "Terminating"}})),
            Progressing,
            "being deleted",
        ),
        ("ConfigMap", young, object("v1", "ConfigMap", json!({})), Ready, ""),
        ("foreign kind that says nothing", young, object("x.io/v1", "Thing", json!({})), Ready, ""),
        (
            "foreign kind not seen",
            young,
            object("x.io/v1", "Thing", json!({"status": {"observedGeneration": 1}})),
            Progressing,
            "has not seen",
        ),
        (
            "foreign kind ready",
            young,
            object("x.io/v1", "Thing", conditions(json!([{"type": "Ready", "status": "True"}]))),
            Ready,
            "",
        ),
        (
            "foreign kind ready for an older spec",
            old,
            object(
                "x.io/v1",
                "Thing",
                conditions(json!([{"type": "Ready", "status": "True", "observedGeneration": 1}])),
            ),
            Progressing,
            "has not seen",
        ),
        (
            "foreign kind not ready",
            young,
            object(
                "x.io/v1",
                "Thing",
                conditions(json!([{"type": "Ready", "status": "False", "message": "wait"}])),
            ),
            Progressing,
            "is not ready: wait",
        ),
        (
            "foreign kind reconciling",
            young,
            object("x.io/v1", "Thing", conditions(json!([{"type": "Reconciling", "status": "True"}]))),
            Progressing,
            "reconciling",
        ),
        (
            "foreign kind stalled",
            young,
            object(
                "x.io/v1",
                "Thing",
                conditions(json!([{"type": "Stalled", "status": "True", "message": "no"}])),
            ),
            Unhealthy,
            "stalled: no",
        ),
    ];
    for (what, age, body, state, message) in cases {
        let found = at(age, body, None, &[]);
        assert_eq!(found.state, state, "{what}: {}", found.message);
        assert!(found.message.contains(message), "{what}: {}", found.message);
        assert_eq!(found.message.is_empty(), state == Ready, "{what}: {}", found.message);
    }
}

#[test]
fn a_crash_loop_is_normal_within_the_budget_and_unhealthy_after_it() {
    let pods = [pod("CrashLoopBackOff", 5)];
    let early = at(59, deployment(2, 2, 1), None, &pods);
    assert_eq!((early.state, early.patience), (State::Progressing, Some(60)));
    let late = at(60, deployment(2, 2, 1), None, &pods);
    assert_eq!((late.state, late.patience), (State::Unhealthy, None));
    assert_eq!(
        late.message,
        "Deployment/ns/api: pod api-x CrashLoopBackOff (5 restarts): exit code 1; see `kubectl -n ns logs api-x --previous`"
    );
}

#[test]
fn a_container_that_never_started_has_no_log_to_look_at() {
    let found = at(10, deployment(2, 2, 1), None, &[pod("ImagePullBackOff", 0)]);
    assert_eq!(
        found.message,
        "Deployment/ns/api: pod api-x ImagePullBackOff: exit code 1; see `kubectl -n ns describe pod api-x`"
    );
}

#[test]
fn a_pod_in_trouble_does_not_matter_to_a_complete_workload() {
    assert_eq!(at(10, deployment(2, 2, 2), None, &[pod("Error", 1)]).state, State::Ready);
}

#[test]
fn ready_when_is_asked_last_and_its_errors_are_progress() {
    let body = object("x.io/v1", "Thing", json!({"status": {"members": 2}}));
    let cases = [
        ("object.status.members == 2", 1000, State::Ready, ""),
        ("object.status.members >= 3", 10, State::Progressing, "`object.status.members >= 3` does not hold"),
        ("object.status.members >= 3", 1000, State::Unhealthy, "does not hold"),
        ("object.status.leader == 'a'", 1000, State::Progressing, "readiness unknown"),
        ("object.status.members", 1000, State::Progressing, "must be true or false"),
        ("object.", 1000, State::Progressing, "readiness unknown"),
    ];
    for (source, age, state, message) in cases {
        let found = at(age, body.clone(), Some(source), &[]);
        assert_eq!(found.state, state, "{source}: {}", found.message);
        assert!(found.message.contains(message), "{source}: {}", found.message);
    }
    let broken = at(10, deployment(2, 2, 1), Some("true"), &[]);
    assert_eq!(broken.state, State::Progressing, "the kind's own checks come first");
}
