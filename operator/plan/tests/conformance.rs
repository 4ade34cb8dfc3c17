//! GovStack's requirements on blocks: each look sees what is wrong, and says nothing of what it cannot see.

use plinth_api::v1alpha1::conformance::{ConformanceStatus, Outcome};
use plinth_api::v1alpha1::product::ConformanceException;
use plinth_plan::conformance::{ALL, Sight, find};
use plinth_plan::model::{BlockPlan, Desired, ObjectKey, Observed, Plan, Unit, UnitId};
use serde_json::{Value, json};

/// A block of product `ledger` that holds all that can be seen.
fn good() -> Vec<Value> {
    let container = json!({
        "name": "ledger", "image": "ledger:1.2.3",
        "env": [{ "name": "DB_PASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password" } } }],
        "resources": { "requests": { "cpu": "1", "memory": "1Gi" }, "limits": { "cpu": "1", "memory": "1Gi" } },
        "readinessProbe": {}, "livenessProbe": {},
    });
    let workload = |kind: &str, name: &str, product: &str| {
        json!({
            "kind": kind,
            "metadata": { "name": name, "labels": { "app.kubernetes.io/part-of": product } },
            "spec": {
                "replicas": 2,
                "template": { "metadata": { "labels": { "component": name } }, "spec": { "containers": [container] } },
            },
        })
    };
    vec![
        json!({ "kind": "Namespace", "metadata": { "name": "small-payments", "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } }),
        json!({ "kind": "NetworkPolicy", "metadata": { "name": "default-deny" },
            "spec": {
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "egress": [{ "ports": [{ "port": 53, "protocol": "UDP" }] }],
            },
        }),
        json!({
            "kind": "NetworkPolicy", "metadata": { "name": "db", "namespace": "small-payments" },
            "spec": { "podSelector": { "matchLabels": { "component": "db" } }, "ingress": [{ "from": [
                { "podSelector": {} },
                { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "small-payments" } } },
            ] }] },
        }),
        workload("Deployment", "ledger", "ledger"),
        workload("StatefulSet", "db", "postgresql"),
        json!({ "kind": "Service", "metadata": { "name": "ledger" }, "spec": { "ports": [{ "name": "https", "port": 443 }] } }),
    ]
}

fn plan(objects: Vec<Value>, exceptions: &[(&str, &str)]) -> Plan {
    let desired = |body: Value| Desired {
        key: ObjectKey {
            api_version: "v1".to_owned(),
            kind: body["kind"].as_str().unwrap().to_owned(),
            namespace: None,
            name: body["metadata"]["name"].as_str().unwrap().to_owned(),
        },
        body,
        hash: String::new(),
        secret: Default::default(),
        data: false,
        startup_budget: None,
        ready_when: None,
    };
    let unit = Unit {
        id: UnitId { block: "payments".to_owned(), name: "all".to_owned() },
        component: true,
        after: Vec::new(),
        objects: objects.into_iter().map(desired).collect(),
        step: None,
    };
    let exceptions = exceptions.iter().map(|(requirement, reason)| ConformanceException {
        requirement: (*requirement).to_owned(),
        reason: (*reason).to_owned(),
    });
    let block = BlockPlan {
        name: "payments".to_owned(),
        product: Some("ledger".to_owned()),
        units: vec![unit],
        exceptions: exceptions.collect(),
        ..BlockPlan::default()
    };
    Plan { blocks: vec![block], ..Plan::default() }
}

fn seen(objects: Vec<Value>) -> ConformanceStatus {
    let plan = plan(objects, &[]);
    Sight::planned(&plan, &plan.blocks[0]).expect("Plinth runs it").conformance()
}

fn of<'s>(status: &'s ConformanceStatus, id: &str) -> (Outcome, &'s str) {
    let id = format!("govstack-cfr-{id}");
    let one = status
        .requirements
        .iter()
        .find(|one| one.id == id)
        .unwrap_or_else(|| panic!("{id} was not looked at"));
    (one.result, &one.evidence)
}

#[test]
fn what_is_good_holds_and_what_cannot_be_seen_is_not_said_to() {
    let status = seen(good());
    let holds: Vec<&str> = status
        .requirements
        .iter()
        .filter(|one| one.result == Outcome::Holds)
        .map(|one| &one.id["govstack-cfr-".len()..])
        .collect();
    assert_eq!(
        holds,
        [
            "deployment#req-1",
            "deployment#req-9",
            "deployment#req-11",
            "architecture#req-1",
            "architecture#req-15",
            "security#req-4",
            "security#req-8"
        ]
    );
    assert_eq!((status.holds, status.fails, status.exceptions), (7, 0, 0));
    assert_eq!(status.holds + status.not_tested, ALL.len(), "every requirement is counted once");
    let (result, evidence) = of(&status, "security#req-1");
    assert_eq!(
        (result, evidence),
        (Outcome::NotTested, "every port is named as TLS (1); the versions that they accept were not tried")
    );
    assert_eq!(of(&status, "deployment#req-2").0, Outcome::NotTested);
}

#[test]
fn each_look_finds_what_is_wrong_and_names_it() {
    // What is broken (a JSON pointer of an object, and its new value), the requirement, the evidence.
    let cases: &[(usize, &str, Value, &str, &str)] = &[
        (
            3,
            "/spec/template/spec/containers/0/image",
            json!("ledger:latest"),
            "deployment#req-1",
            "1 of 2 containers run one that may change: Deployment/ledger:ledger",
        ),
        (
            3,
            "/spec/replicas",
            json!(1),
            "deployment#req-9",
            "1 of 2 workloads have one instance: Deployment/ledger",
        ),
        (
            3,
            "/spec/template/spec/terminationGracePeriodSeconds",
            json!(5),
            "deployment#req-10",
            "1 of 2 workloads have less than 30 s to end: Deployment/ledger",
        ),
        (
            3,
            "/spec/template/spec/containers/0/resources/limits",
            json!({ "memory": "1Gi" }),
            "deployment#req-11",
            "1 of 2 containers have no CPU limit, and all else: Deployment/ledger:ledger",
        ),
        (
            4,
            "/spec/template/spec/containers/0/resources",
            json!({}),
            "deployment#req-11",
            "1 of 2 containers lack a request or a limit: StatefulSet/db:ledger",
        ),
        (
            2,
            "/spec/ingress/0/from/0",
            json!({ "namespaceSelector": {} }),
            "architecture#req-1",
            "1 of 1 backing services let other namespaces in: StatefulSet/db",
        ),
        (
            3,
            "/spec/template/spec/containers/0/livenessProbe",
            Value::Null,
            "architecture#req-15",
            "1 of 2 workloads are not probed for both: Deployment/ledger",
        ),
        (
            5,
            "/spec/ports/0/name",
            json!("http"),
            "security#req-1",
            "1 of 1 ports are not named as TLS: Service/ledger:443",
        ),
        (
            3,
            "/spec/template/spec/containers/0/env/0",
            json!({ "name": "DB_PASSWORD", "value": "x" }),
            "security#req-4",
            "1 of 2 containers have a secret written into a variable: Deployment/ledger:ledger",
        ),
        (
            0,
            "/metadata/labels/pod-security.kubernetes.io~1enforce",
            json!("baseline"),
            "security#req-8",
            "Pod Security `baseline` is enforced; what no NetworkPolicy opens is closed, but for DNS",
        ),
        (
            1,
            "/spec/policyTypes",
            json!(["Ingress"]),
            "security#req-8",
            "Pod Security `restricted` is enforced; no NetworkPolicy closes it",
        ),
        (
            5,
            "/spec/type",
            json!("LoadBalancer"),
            "security#req-9",
            "public without a gateway: Service/ledger",
        ),
    ];
    for (object, at, value, requirement, evidence) in cases {
        let mut objects = good();
        set(&mut objects[*object], at, value.clone());
        let status = seen(objects);
        assert_eq!(of(&status, requirement), (Outcome::Fails, *evidence), "{at}");
        assert_eq!(status.fails, 1, "{at} breaks more than {requirement}: {status:?}");
    }
}

#[test]
fn an_exception_on_record_stands_whatever_is_seen() {
    let plan = plan(
        good(),
        &[("govstack-cfr-architecture#req-1", "shared"), ("govstack-cfr-security#req-5", "why")],
    );
    let status = Sight::planned(&plan, &plan.blocks[0]).unwrap().conformance();
    assert_eq!(of(&status, "architecture#req-1"), (Outcome::Exception, "shared"));
    // Also of what nobody can look at.
    assert_eq!(of(&status, "security#req-5"), (Outcome::Exception, "why"));
    assert_eq!((status.exceptions, status.holds + status.exceptions + status.not_tested), (2, ALL.len()));
}

#[test]
fn nothing_is_said_of_a_block_that_is_not_all_there_or_that_others_run() {
    let mut plan = plan(good(), &[]);
    assert!(Sight::running(&plan, &plan.blocks[0], &Observed::default()).is_none());
    plan.blocks[0].product = None;
    assert!(Sight::planned(&plan, &plan.blocks[0]).is_none());
}

#[test]
fn identifiers_are_govstacks_and_stand_once() {
    let mut ids: Vec<String> = ALL.iter().map(|one| one.id()).collect();
    assert!(ids.iter().all(|id| find(id).is_some()));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    // Chapters 6.2 to 6.5 of version 2.0.0: 12, 19, 8 and 16.
    assert_eq!((ids.len(), count), (55, 55));
}

/// Sets a value, also one that is not there.
fn set(object: &mut Value, at: &str, value: Value) {
    match object.pointer_mut(at) {
        Some(there) => *there = value,
        None => {
            let (parent, name) = at.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[name] = value;
        }
    }
}
