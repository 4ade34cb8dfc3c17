//! A backing service is not switched under the data that it holds: a table of what runs, what the Stack asks for, and the
//! answer.

use plinth_api::{Stack, names};
use plinth_plan::Inputs;
use plinth_plan::backing::{Running, differences, recorded};
use plinth_plan::catalogue::{Catalogue, parse};
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::{Inventory, InventoryEntry, Live, Observed, Plan, StackId};
use plinth_plan::resolve::stack_id;
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
fn catalogue() -> Catalogue {
    let server = |name: &str, extra: &str| {
        format!(
            "  components: [{{ name: {name}, image: app, ports: [{{ name: main, port: 1000 }}], {COMPONENT}{extra} }}]\n"
        )
    };
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
                 ports: [{{ name: main, port: 80 }}], connects: [requires.db, requires.cache], {COMPONENT} }}]\n"
            ),
        ),
        entry(
            "caller",
            &format!(
                "  block: workflow\n  requires: [{{ name: register, capability: register }}]\n  components: [{{ name: caller, \
                 image: app, connects: [requires.register], {COMPONENT} }}]\n"
            ),
        ),
        backing("store", "store", "Embedded", &server("store", volume)),
        backing("store-operator", "store", "Operator", &(server("store-operator", "") + operators)),
        backing("cache", "cache", "Embedded", &server("cache", "")),
        backing("cache-operator", "cache", "Operator", &server("cache-operator", "")),
    ];
    Catalogue::from_entries(
        texts.iter().map(|text| parse(text, "test").unwrap_or_else(|finding| panic!("{finding}\n{text}"))),
    )
}

fn stack(backing: &Value) -> Stack {
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

fn provider(capability: &str, provider: &str) -> Value {
    match provider {
        "External" => json!([{ "capability": capability, "provider": provider,
            "external": { "capability": capability, "host": "elsewhere.example", "port": 1000 } }]),
        _ => json!([{ "capability": capability, "provider": provider }]),
    }
}

fn running(capability: &str, product: &str) -> Running {
    let capabilities = [(capability.to_owned(), product.to_owned())].into();
    [("registration".to_owned(), capabilities)].into()
}

fn plan(backing: &Value, running: Running) -> Plan {
    let inputs = Inputs { catalogue: catalogue(), running, ..Inputs::default() };
    plinth_plan::plan(&stack(backing), &inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn blocked(plan: &Plan) -> String {
    plan.blocks[0].blocked.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn namespaces(plan: &Plan) -> Vec<Value> {
    plan.objects().filter(|o| o.key.kind == "Namespace").map(|o| o.body.clone()).collect()
}

#[test]
fn a_switch_away_from_data_is_refused_with_what_runs_and_what_is_allowed() {
    let refused = |wanted: &str, runs: &str| {
        format!(
            "spec.backing[store].provider: is {wanted}, and block `registration` has its data with {runs}, which would be \
             left behind; allowed is {runs}. Set it back, or delete the Stack with its data (spec.deletion) and declare it \
             anew. Moving the data will take an Operation of type MigrateProvider, which this version of Plinth does not \
             have"
        )
    };
    /// What is said to be asked for, and to run.
    type Refused = Option<(&'static str, &'static str)>;
    let cases: &[(&str, &str, &str, &str, Refused)] = &[
        ("nothing runs", "store", "Operator", "", None),
        ("the same, embedded", "store", "Embedded", "store", None),
        ("the same, by the operator", "store", "Operator", "store-operator", None),
        ("the same, elsewhere", "store", "External", "external", None),
        (
            "embedded to operator",
            "store",
            "Operator",
            "store",
            Some(("Operator (`store-operator`)", "Embedded (`store`)")),
        ),
        ("embedded to external", "store", "External", "store", Some(("External", "Embedded (`store`)"))),
        (
            "operator to embedded: only its objects say that they hold data",
            "store",
            "Embedded",
            "store-operator",
            Some(("Embedded (`store`)", "Operator (`store-operator`)")),
        ),
        ("external to embedded", "store", "Embedded", "external", Some(("Embedded (`store`)", "External"))),
        (
            "a product that the catalogue has lost",
            "store",
            "Embedded",
            "my-store",
            Some(("Embedded (`store`)", "`my-store`, which is not in the catalogue")),
        ),
        ("a cache without volumes", "cache", "Operator", "cache", None),
        ("a cache from elsewhere", "cache", "Embedded", "external", None),
    ];
    for (name, capability, wanted, runs, expected) in cases {
        let running = if runs.is_empty() { Running::new() } else { running(capability, runs) };
        let found = blocked(&plan(&provider(capability, wanted), running));
        let expected = expected.map(|(wanted, runs)| refused(wanted, runs)).unwrap_or_default();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_is_written_on_the_namespace_is_what_is_found_again() {
    let made = plan(&provider("cache", "External"), Running::new());
    let found = recorded(&made.stack, &namespaces(&made));
    let expected: Running = [(
        "registration".to_owned(),
        [("cache".to_owned(), "external".to_owned()), ("store".to_owned(), "store".to_owned())].into(),
    )]
    .into();
    assert_eq!(found, expected, "a block without backing services says nothing");
    let other = StackId { namespace: "dpi".to_owned(), name: "tes".to_owned() };
    assert!(recorded(&other, &namespaces(&made)).is_empty(), "another Stack's namespaces are not asked");
    let mut broken = namespaces(&made);
    broken[0]["metadata"]["annotations"][names::ANNOTATION_BACKING] = json!("{");
    assert!(recorded(&made.stack, &broken).is_empty());

    let inputs = Inputs { catalogue: catalogue(), running: found, ..Inputs::default() };
    let cached_elsewhere = stack(&provider("cache", "External"));
    assert!(differences(&cached_elsewhere, &inputs).is_empty());
    assert_eq!(stack_id(&cached_elsewhere), made.stack);
    let again = plinth_plan::plan(&cached_elsewhere, &inputs).expect("a plan");
    assert_eq!(again.hash, made.hash, "what runs as planned changes no plan");
    let moved = stack(&provider("store", "Operator"));
    assert_eq!(
        differences(&moved, &inputs),
        [("registration", "cache", "external"), ("registration", "store", "store")]
    );
}

#[test]
fn a_refused_switch_writes_nothing_deletes_nothing_and_leaves_the_neighbours_as_they_are() {
    let before = plan(&json!([]), Running::new());
    let refused = plan(&provider("store", "Operator"), recorded(&before.stack, &namespaces(&before)));
    assert!(!refused.blocks[0].blocked.is_empty() && refused.blocks[0].units.is_empty());
    assert_eq!(refused.blocks[1], before.blocks[1], "the caller keeps its policy, its address and its order");

    // Everything of the plan before is on the cluster.
    let mut observed = Observed { now: 1, ..Observed::default() };
    for block in &before.blocks {
        let objects = block.units.iter().flat_map(|unit| &unit.objects);
        let entries = objects.map(|o| InventoryEntry { key: o.key.clone(), data: o.data }).collect();
        observed.inventory.insert(block.name.clone(), Inventory { entries });
    }
    for desired in before.objects() {
        let live =
            Live { uid: desired.key.to_string(), body: desired.body.clone().into(), ..Live::default() };
        observed.live.insert(desired.key.clone(), live);
    }
    let decisions = decide(&refused, &observed, &Gate::OPEN);
    assert_eq!(decisions.actions, []);
    assert!(decisions.orphans.is_empty());
}
