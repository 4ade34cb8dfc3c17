//! What counts as a difference between a desired and a live object, and how it reads.

use plinth_plan::diff::{changes, covers};
use serde_json::{Value, json};

fn at(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, field| json!({ field: inner }))
}

fn words(desired: &Value, live: &Value) -> Vec<String> {
    covers(desired, live).iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_server_normalises_is_no_difference() {
    let pod = "spec.template.spec";
    let cases = [
        (
            "quantities of one value",
            "spec.resources.requests",
            json!({"cpu": "1000m", "memory": "1024Mi"}),
            json!({"cpu": "1", "memory": "1Gi"}),
        ),
        ("a quantity written as a number", "spec.resources.limits", json!({"cpu": 2}), json!({"cpu": "2"})),
        (
            "decimal and exponent",
            "spec.resources.limits",
            json!({"memory": "1.5Gi", "x": "1e3"}),
            json!({"memory": "1536Mi", "x": "1k"}),
        ),
        (
            "a size limit",
            "spec.volumes",
            json!([{"name": "t", "emptyDir": {"sizeLimit": "1Gi"}}]),
            json!([{"name": "t", "emptyDir": {"sizeLimit": "1024Mi"}}]),
        ),
        ("empty values", pod, json!({"a": "", "b": null, "c": {}, "d": [], "e": {"f": {}}}), json!({"x": 1})),
        ("zeros that omitempty drops", pod, json!({"hostNetwork": false, "minReadySeconds": 0}), json!({})),
        (
            "a port as text",
            "spec.ports",
            json!([{"port": 80, "targetPort": "8080"}]),
            json!([{"port": 80, "targetPort": 8080, "protocol": "TCP"}]),
        ),
        (
            "an injected sidecar",
            "spec.containers",
            json!([{"name": "api", "image": "a"}]),
            json!([{"name": "proxy", "image": "p"}, {"name": "api", "image": "a", "imagePullPolicy": "Always"}]),
        ),
        (
            "injected env in another order",
            "spec.env",
            json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]),
            json!([{"name": "B", "value": "2"}, {"name": "X"}, {"name": "A", "value": "1"}]),
        ),
        (
            "an injected mount",
            "spec.volumeMounts",
            json!([{"name": "d", "mountPath": "/d"}]),
            json!([{"name": "t", "mountPath": "/t"}, {"name": "d", "mountPath": "/d"}]),
        ),
        (
            "a container port's default protocol",
            "spec.x.ports",
            json!([{"containerPort": 80}]),
            json!([{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}]),
        ),
        (
            "defaults inside a list of one writer",
            "spec.parentRefs",
            json!([{"name": "gw"}]),
            json!([{"name": "gw", "kind": "Gateway"}]),
        ),
        (
            "the server's metadata",
            "metadata",
            json!({"creationTimestamp": null, "generation": 1, "name": "x"}),
            json!({"generation": 7, "uid": "u", "name": "x"}),
        ),
        ("status", "status", json!({"replicas": 1}), json!({"replicas": 3})),
        ("further finalizers", "metadata", json!({"finalizers": ["a"]}), json!({"finalizers": ["b", "a"]})),
    ];
    for (what, path, desired, live) in cases {
        assert_eq!(words(&at(path, desired), &at(path, live)), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn what_people_change_is_a_difference() {
    let cases = [
        (
            "spec.template.spec.containers",
            json!([{"name": "api", "image": "a:2"}]),
            json!([{"name": "api", "image": "a:1"}]),
            "spec.template.spec.containers[api].image: is a:1, should be a:2",
        ),
        (
            "spec.resources.limits",
            json!({"memory": "1Gi"}),
            json!({"memory": "1G"}),
            "spec.resources.limits.memory: is 1G, should be 1Gi",
        ),
        ("spec", json!({"version": "1000m"}), json!({"version": "1"}), "spec.version: is 1, should be 1000m"),
        ("spec", json!({"replicas": 3}), json!({"x": 1}), "spec.replicas: is missing, should be 3"),
        (
            "automountServiceAccountToken",
            json!(false),
            json!(null),
            "automountServiceAccountToken: is missing, should be false",
        ),
        ("spec.args", json!(["a"]), json!(["a", "b"]), "spec.args: is [\"a\",\"b\"], should be [\"a\"]"),
        ("spec.args", json!(["a", "b"]), json!(["b", "b"]), "spec.args[0]: is b, should be a"),
        (
            "spec.env",
            json!([{"name": "A", "value": ""}]),
            json!([{"name": "A", "value": "x"}]),
            "spec.env[A].value: is x, should be \"\"",
        ),
        ("spec.ingress", json!([]), json!([{}]), "spec.ingress: is [{}], should be []"),
        (
            "spec.ingress",
            json!([{"from": [{"podSelector": {}}]}]),
            json!([{"from": [{"podSelector": {}, "namespaceSelector": {}}]}]),
            "spec.ingress[0].from: is [{\"namespaceSelector\":{},\"podSelector\":{}}], should be [{\"podSelector\":{}}]",
        ),
        (
            "spec.ingress",
            json!([{"ports": [{"port": 80}]}]),
            json!([{"ports": [{"port": 80}, {"port": 81}]}]),
            "spec.ingress[0].ports: is [{\"port\":80},{\"port\":81}], should be [{\"port\":80}]",
        ),
        (
            "metadata.annotations",
            json!({"plinth.dev/owner": "a"}),
            json!({"plinth.dev/owner": "b"}),
            "metadata.annotations[plinth.dev/owner]: is b, should be a",
        ),
        (
            "data",
            json!({"app.conf": "a\nb\nc"}),
            json!({"app.conf": "a\nx\nc"}),
            "data[app.conf] line 2: is x, should be b",
        ),
    ];
    for (path, desired, live, expected) in cases {
        let found = words(&at(path, desired), &at(path, live));
        // Object fields may be printed in either order.
        let sorted = |text: &str| {
            let mut chars: Vec<char> = text.chars().collect();
            chars.sort_unstable();
            chars
        };
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(sorted(&found[0]), sorted(expected), "{} / {expected}", found[0]);
    }
}

#[test]
fn an_object_covers_itself() {
    let body = json!({"kind": "NetworkPolicy", "spec": {"egress": [{}], "podSelector": {}, "policyTypes": ["Egress"]}});
    assert!(covers(&body, &body).is_empty());
    assert!(changes(&body, &body).is_empty());
}

#[test]
fn values_of_a_secret_are_never_kept() {
    let desired = json!({"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter2"}, "type": "b"});
    let live = json!({"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "swordfish"}, "type": "a"});
    let found = covers(&desired, &live);
    let all = format!("{found:?} {:?}", changes(&desired, &live));
    assert_eq!(found.len(), 2);
    assert!(!all.contains("hunter2") && !all.contains("swordfish"), "{all}");
    assert_eq!(found[0].to_string(), "stringData.password: differs (the value is secret)");
}

#[test]
fn a_secret_whose_data_the_plan_does_not_hold_is_covered() {
    let desired = json!({"kind": "Secret", "metadata": {"name": "s"}});
    let live =
        json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": null}, "type": "Opaque"});
    assert!(covers(&desired, &live).is_empty());
}

#[test]
fn changes_read_both_ways() {
    let old =
        json!({"spec": {"replicas": 1, "env": [{"name": "A"}, {"name": "B", "value": "1"}], "paused": true}});
    let new = json!({"spec": {"replicas": 2, "env": [{"name": "A"}, {"name": "C", "value": "1"}]}});
    let mut words: Vec<String> = changes(&old, &new).iter().map(|d| d.as_change()).collect();
    words.sort();
    assert_eq!(words.len(), 4, "{words:?}");
    assert!(words[0].starts_with("spec.env[B]: removes "), "{words:?}");
    assert!(words[1].starts_with("spec.env[C]: adds "), "{words:?}");
    assert_eq!(words[2..], ["spec.paused: removes true", "spec.replicas: 1 becomes 2"]);
}
