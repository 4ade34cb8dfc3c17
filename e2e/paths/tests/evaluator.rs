//! What cyclonus says of policies that are small enough to be read, and what it is not asked.

use anyhow::Result;
use plinth_cluster::Lines;
use plinth_paths::declared::Labels;
use plinth_paths::world::{NAMESPACE_NAME, Pod, Port, Probe};
use plinth_paths::{Analysis, World};
use serde_json::{Value, json};

fn pod(namespace: &str, app: &str, ip: &str) -> Pod {
    let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    Pod {
        name: app.to_owned(),
        namespace: namespace.to_owned(),
        namespace_labels: label(NAMESPACE_NAME, namespace),
        labels: label("app", app),
        ip: ip.parse().expect("an address"),
        ports: vec![Probe { port: Port::tcp(8080), name: "http".to_owned() }],
    }
}

fn policy(spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "policy", "namespace": "a" },
        "spec": spec,
    })
}

/// What leaves `a/client` for `a/server`, for `b/client` and for an address outside, and what `b/client` gets into
/// `a/server`: `-` where nothing passes.
async fn evaluated(policies: Vec<Value>) -> Result<String> {
    let outside = Pod { namespace: String::new(), ..pod("", "", "203.0.113.7") };
    let pods = vec![
        pod("a", "client", "10.0.0.1"),
        pod("a", "server", "10.0.0.2"),
        pod("b", "client", "10.0.1.1"),
        outside,
    ];
    let world = World { policies, pods };
    let analysis = Analysis::of(&world, &Lines::default()).await?;
    let open = |from: usize, to: usize| analysis.verdicts[from * 4 + to] == (true, true);
    let letter = |(from, to, letter)| if open(from, to) { letter } else { '-' };
    Ok([(0, 1, 's'), (0, 2, 'b'), (0, 3, 'o'), (2, 1, 'i')].into_iter().map(letter).collect())
}

#[tokio::test]
async fn policies_mean_what_kubernetes_documents() -> Result<()> {
    let all = json!({});
    let client = json!({ "matchLabels": { "app": "client" } });
    let own = json!({ "matchLabels": { NAMESPACE_NAME: "a" } });
    let both = json!(["Ingress", "Egress"]);
    let deny = policy(json!({ "podSelector": all, "policyTypes": both }));
    let egress =
        |to: Value| policy(json!({ "podSelector": client, "policyTypes": ["Egress"], "egress": [to] }));
    let ingress =
        |from: Value| policy(json!({ "podSelector": all, "policyTypes": ["Ingress"], "ingress": [from] }));
    let anywhere = json!({ "to": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }] });
    for (policies, open) in [
        (vec![], "sboi"),
        (vec![deny.clone()], "----"),
        // Each side says its own word.
        (vec![deny.clone(), egress(json!({ "to": [{ "podSelector": all }] }))], "----"),
        (vec![ingress(json!({ "from": [{ "podSelector": client }] }))], "sbo-"),
        (vec![ingress(json!({ "from": [{ "podSelector": client, "namespaceSelector": all }] }))], "sboi"),
        (vec![ingress(json!({ "from": [{ "podSelector": client, "namespaceSelector": own }] }))], "sbo-"),
        // Ports, by number, by name, and another one.
        (vec![ingress(json!({ "ports": [{ "port": 8080, "protocol": "TCP" }] }))], "sboi"),
        (vec![ingress(json!({ "ports": [{ "port": "http" }] }))], "sboi"),
        (vec![ingress(json!({ "ports": [{ "port": 8081 }] }))], "-bo-"),
        (vec![ingress(json!({ "ports": [{ "port": 8080, "protocol": "UDP" }] }))], "-bo-"),
        // A pod has an address too.
        (vec![deny.clone(), egress(anywhere)], "-bo-"),
        (vec![deny, egress(json!({ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }] }))], "--o-"),
    ] {
        assert_eq!(evaluated(policies.clone()).await?, open, "{}", json!(policies));
    }
    Ok(())
}

#[tokio::test]
async fn what_cyclonus_reads_in_another_way_than_kubernetes_is_refused() {
    let not_in = json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["x"] }] });
    let empty = json!({ "matchLabels": { "app": "" } });
    let types = json!(["Ingress"]);
    for (spec, said) in [
        (json!({ "podSelector": not_in, "policyTypes": types }), "NotIn"),
        (
            json!({ "podSelector": {}, "policyTypes": types, "ingress": [{ "from": [{ "podSelector": empty }] }] }),
            "label app",
        ),
        (json!({ "podSelector": {} }), "policyTypes"),
        (json!({ "podSelector": {}, "policyTypes": types, "ingres": [] }), "unknown field"),
    ] {
        let error = evaluated(vec![policy(spec)]).await.expect_err("it is refused").to_string();
        assert!(error.contains(said), "{error}");
    }
}
