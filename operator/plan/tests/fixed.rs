//! Parameters that are set once: what a block was started with is written beside its data and held against the Stack.

mod land;

use plinth_api::names;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::fixed::{Fixed, recorded};
use plinth_plan::model::Plan;
use serde_json::{Map, Value, json};

/// A register whose languages are in its data; `default` is what a catalogue says of them.
fn register(default: Value) -> Value {
    json!({
        "block": "x-register",
        "title": "Register",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-24",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/register:1" } }],
        "parameters": [
            { "name": "languages", "type": "strings", "description": "Its languages.", "default": default, "immutable": true },
            { "name": "member", "type": "string", "description": "Its code.", "default": "", "immutable": true },
            { "name": "colour", "type": "string", "description": "Of the pages.", "default": "blue" },
        ],
        "components": [{
            "name": "register",
            "description": "Serves.",
            "image": "app",
            "env": [
                { "name": "LANGUAGES", "cel": "params.languages.join(',')" },
                { "name": "MEMBER", "ref": "params.member" },
                { "name": "COLOUR", "ref": "params.colour" },
            ],
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
        }],
    })
}

fn planned(default: Value, parameters: Value, fixed: Fixed) -> Plan {
    let stack = land::stack(
        "sandbox",
        json!([{ "name": "x-register", "product": "register", "parameters": parameters }]),
    );
    let product = serde_json::from_value(register(default)).expect("the test's Product is well-formed");
    let catalogue = Catalogue::default().with_products([("register".to_owned(), product)]);
    plinth_plan::plan(&stack, &Inputs { catalogue, fixed, ..Inputs::default() })
        .unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// What the plan's namespaces say once they are applied.
fn after(plan: &Plan) -> Fixed {
    let namespaces: Vec<Value> =
        plan.objects().filter(|o| o.key.kind == "Namespace").map(|o| o.body.clone()).collect();
    recorded(&plan.stack, &namespaces)
}

fn variable(plan: &Plan, name: &str) -> String {
    let pod = plan.objects().find(|o| o.key.kind == "Deployment").expect("a Deployment");
    let env = &pod.body["spec"]["template"]["spec"]["containers"][0]["env"];
    let value = env.as_array().into_iter().flatten().find(|v| v["name"] == name).expect("the variable");
    value["value"].as_str().unwrap_or_default().to_owned()
}

fn blocked(plan: &Plan) -> Vec<String> {
    plan.blocks[0].blocked.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_block_is_started_with_stands_on_its_namespace() {
    let plan = planned(json!(["en"]), json!({ "languages": ["en", "fr"] }), Fixed::new());
    let found = after(&plan);
    assert_eq!(found["x-register"].product, "register");
    let wanted: Map<String, Value> = [("languages".to_owned(), json!(["en", "fr"]))].into_iter().collect();
    assert_eq!(
        found["x-register"].parameters, wanted,
        "what is empty is not set, what may change is not fixed"
    );
    // A namespace that another Stack owns, or that says something else, says nothing.
    let mut strange = plan.objects().find(|o| o.key.kind == "Namespace").expect("one").body.clone();
    strange["metadata"]["annotations"][names::ANNOTATION_FIXED] = json!("{");
    assert!(recorded(&plan.stack, [&strange]).is_empty());
}

#[test]
fn another_value_is_refused_with_the_field_and_what_is_allowed_and_what_runs_stays() {
    let fixed =
        after(&planned(json!(["en"]), json!({ "languages": ["en", "fr"], "colour": "red" }), Fixed::new()));
    let edited = planned(json!(["en"]), json!({ "languages": ["fr"], "colour": "green" }), fixed.clone());
    let [why] = &blocked(&edited)[..] else { panic!("{:?}", blocked(&edited)) };
    assert_eq!(
        why,
        "spec.blocks[x-register].parameters.languages: is [\"fr\"], and the block was started with [\"en\",\"fr\"], which \
         its data is made with; allowed is [\"en\",\"fr\"]. Set it back, or declare another block and bring over what is in \
         this one"
    );
    assert_eq!(edited.units().count(), 0, "nothing of it is written, nothing is deleted");

    let back = planned(json!(["en"]), json!({ "languages": ["en", "fr"], "colour": "green" }), fixed);
    assert!(blocked(&back).is_empty());
    assert_eq!(variable(&back, "COLOUR"), "green", "what is not immutable follows the Stack");
}

#[test]
fn the_default_of_a_later_catalogue_changes_nothing_that_runs() {
    let first = planned(json!(["en"]), json!({}), Fixed::new());
    let later = planned(json!(["en", "es"]), json!({}), after(&first));
    assert!(blocked(&later).is_empty());
    assert_eq!(variable(&later, "LANGUAGES"), "en");
    assert_eq!(after(&later), after(&first));
}

#[test]
fn what_was_empty_is_set_once() {
    let first = after(&planned(json!(["en"]), json!({}), Fixed::new()));
    let set = planned(json!(["en"]), json!({ "member": "GOV" }), first);
    assert!(blocked(&set).is_empty());
    assert_eq!(variable(&set, "MEMBER"), "GOV");
    let again = planned(json!(["en"]), json!({ "member": "COM" }), after(&set));
    assert!(blocked(&again)[0].starts_with("spec.blocks[x-register].parameters.member: is \"COM\""));
}
