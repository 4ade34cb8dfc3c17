//! Blocks, the backing services that they choose between, and Stacks of them.

use plinth_api::Stack;
use plinth_plan::backing::Running;
use plinth_plan::catalogue::{Catalogue, parse};
use plinth_plan::model::Plan;
use serde_json::{Value, json};

const COMPONENT: &str = "resources: { sandbox: { cpu: 10m, memory: 16Mi } }";

fn entry(name: &str, rest: &str) -> String {
    format!(
        r#"
apiVersion: plinth.dev/v1alpha1
kind: Product
metadata: {{ name: {name} }}
spec:
  title: {name}
  description: Made for this test.
  licence: Apache-2.0
  maturity: stable
  asOf: "2026-11-23"
  sources: [{{ repository: none, says: made for this test }}]
  versions: [{{ version: "1.0", images: {{ app: "example.org/{name}:1.0" }} }}]
{rest}"#
    )
}

/// A block that needs a store and a cache, one that calls it, and the services that serve them.
pub fn catalogue() -> Catalogue {
    let server = |name: &str, extra: &str| {
        format!(
            "  components: [{{ name: {name}, image: app, ports: [{{ name: main, port: 1000 }}], {COMPONENT}{extra} }}]\n"
        )
    };
    let brings = |from: &str, when: &str| {
        format!(
            "    - {{ from: {from}, description: It is copied., image: app, command: [copy], {when} resources: {{ sandbox: \
             {{ cpu: 10m, memory: 16Mi }} }}, env: [{{ name: FROM, cel: \"from.host + ':' + string(from.port)\" }}, {{ name: TO, \
             ref: to.host }}] }}\n"
        )
    };
    let moves = |ways: &[String]| format!("  moves:\n{}", ways.concat());
    let volume = ", workload: StatefulSet, volumes: [{ name: data, size: { sandbox: 1Gi } }]";
    let backing = |name: &str, capability: &str, provider: &str, rest: &str| {
        // The default is not written: what an entry says has to come back from it.
        let provider = match provider {
            "Embedded" => String::new(),
            other => format!("  provider: {other}\n"),
        };
        entry(
            name,
            &format!(
                "  role: Backing\n{provider}  provides: [{{ capability: {capability}, component: {name}, \
                 port: main }}]\n{rest}"
            ),
        )
    };
    let operators = "  objects:\n    - name: cluster\n      object:\n        apiVersion: postgresql.cnpg.io/v1\n        \
                     kind: Cluster\n        metadata: { name: c, annotations: { plinth.dev/data-bearing: \"true\" } }\n        \
                     spec: {}\n";
    let texts = [
        entry(
            "app",
            &format!(
                "  block: registration\n  requires: [{{ name: db, capability: store }}, {{ name: cache, capability: cache }}]\n  \
                 provides: [{{ capability: register, component: app, port: main }}]\n  components: [{{ name: app, image: app, \
                 ports: [{{ name: main, port: 80 }}], connects: [requires.db, requires.cache], replicas: {{ sandbox: 2 }}, \
                 {COMPONENT} }}, {{ name: schema, workload: Job, image: app, connects: [requires.db], {COMPONENT} }}, \
                 {{ name: page, image: app, after: [schema], connects: [requires.cache], {COMPONENT} }}]\n"
            ),
        ),
        entry(
            "caller",
            &format!(
                "  block: workflow\n  requires: [{{ name: register, capability: register }}]\n  components: [{{ name: caller, \
                 image: app, connects: [requires.register], {COMPONENT} }}]\n"
            ),
        ),
        backing("store", "store", "Embedded", &(server("store", volume) + &moves(&[brings("external", "")]))),
        backing(
            "store-operator",
            "store",
            "Operator",
            &(server("store-operator", "")
                + operators
                + &moves(&[brings("store", "when: claim.name == 'db',")])),
        ),
        backing("cache", "cache", "Embedded", &server("cache", "")),
        backing("cache-operator", "cache", "Operator", &server("cache-operator", "")),
    ];
    Catalogue::from_entries(
        texts.iter().map(|text| parse(text, "test").unwrap_or_else(|finding| panic!("{finding}\n{text}"))),
    )
}

/// Two blocks, and a choice of providers.
pub fn stack(backing: &Value) -> Stack {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "test", "namespace": "dpi" },
        "spec": {
            "country": { "code": "EE" },
            "profile": "sandbox",
            "blocks": [
                { "name": "registration", "product": "app" },
                { "name": "workflow", "product": "caller" },
            ],
            "backing": backing,
        },
    }))
    .expect("the stack parses")
}

/// That choice of one capability.
pub fn provider(capability: &str, provider: &str) -> Value {
    match provider {
        "External" => json!([{ "capability": capability, "provider": provider,
            "external": { "capability": capability, "host": "elsewhere.example", "port": 1000 } }]),
        _ => json!([{ "capability": capability, "provider": provider }]),
    }
}

/// What serves the first block.
pub fn running(capability: &str, product: &str) -> Running {
    let capabilities = [(capability.to_owned(), product.to_owned())].into();
    [("registration".to_owned(), capabilities)].into()
}

/// The namespaces of a plan.
pub fn namespaces(plan: &Plan) -> Vec<Value> {
    plan.objects().filter(|o| o.key.kind == "Namespace").map(|o| o.body.clone()).collect()
}
