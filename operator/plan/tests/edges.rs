//! What opens a path: a connection to a component that is there, and nothing else.

use plinth_api::{ProductSpec, Stack, names};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::Plan;
use serde_json::{Value, json};

/// Two servers and workers of two kinds that call both, as far as they are there.
fn product() -> ProductSpec {
    let server = |name: &str, more: Value| {
        let mut server = json!({
            "name": name, "description": "Serves.", "image": "app",
            "ports": [{ "name": "http", "port": 8080 }],
            "probes": { "readiness": { "path": "/", "port": "http" } },
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
        });
        server.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        server
    };
    let each = json!({ "list": "['even', 'odd']", "key": "item" });
    let worker = json!({ "forEach": each, "connects": ["always:http", "audit:http", "queue:http"] });
    serde_json::from_value(json!({
        "block": "x-work", "title": "Work", "description": "A test.", "licence": "Apache-2.0", "maturity": "stable",
        "asOf": "2026-11-23", "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/work:1" } }],
        "parameters": [
            { "name": "audit", "type": "boolean", "description": "Audits.", "default": false },
            { "name": "queues", "type": "strings", "description": "Queues.", "default": ["odd"] },
        ],
        "components": [
            server("always", json!({})),
            server("audit", json!({ "when": "params.audit" })),
            server("queue", json!({ "forEach": each, "when": "item in params.queues" })),
            server("worker", worker),
        ],
    }))
    .expect("the test's Product is well-formed")
}

fn planned(parameters: Value) -> Plan {
    let stack: Stack = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "land", "namespace": "gov" },
        "spec": {
            "country": { "code": "ZZ" },
            "profile": "sandbox",
            "blocks": [{ "name": "x-work", "product": "work", "parameters": parameters }],
        },
    }))
    .expect("the test's Stack is well-formed");
    let inputs = Inputs {
        catalogue: Catalogue::default().with_products([("work".to_owned(), product())]),
        ..Inputs::default()
    };
    plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// The components that one of the workers may call.
fn called(plan: &Plan, worker: &str) -> Vec<String> {
    let policy = plan.objects().find(|o| o.key.kind == "NetworkPolicy" && o.key.name == worker);
    let egress = &policy.unwrap_or_else(|| panic!("no {worker}")).body["spec"]["egress"];
    let peers = egress.as_array().into_iter().flatten().filter_map(|rule| rule["to"].as_array()).flatten();
    let labels = peers.map(|peer| &peer["podSelector"]["matchLabels"]);
    let mut names: Vec<String> =
        labels.filter_map(|labels| labels[names::LABEL_COMPONENT].as_str()).map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_connection_to_what_is_switched_off_opens_no_path() {
    let plan = planned(json!({}));
    assert_eq!(called(&plan, "worker-odd"), ["always", "queue-odd"]);
    assert_eq!(
        called(&plan, "worker-even"),
        ["always"],
        "its own queue is off, and another's is not its own"
    );
    let plan = planned(json!({ "audit": true, "queues": ["even", "odd"] }));
    assert_eq!(called(&plan, "worker-even"), ["always", "audit", "queue-even"]);
}

#[test]
fn nobody_waits_for_what_is_switched_off() {
    let plan = planned(json!({}));
    let names: Vec<&str> = plan.units().map(|unit| unit.id.name.as_str()).collect();
    for unit in plan.units() {
        for before in &unit.after {
            assert!(names.contains(&before.name.as_str()), "{} waits for {before}", unit.id);
        }
    }
}
