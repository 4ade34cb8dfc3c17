//! The real Keycloak, told by the steps that the plan of a whole country has for it: what they make is there, again they make
//! nothing, a client's token carries what its block asked for, a new secret takes the place of the old one, and people of a sandbox have
//! accounts.
//!
//! Long: it fetches Keycloak from its package registry once, and needs Java 17 or newer. `e2e/all products` runs it.

mod people;
mod server;
#[path = "../support/steps.rs"]
mod steps;

use std::collections::BTreeSet;

use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Plan, SecretKeyRef};
use serde::Deserialize as _;
use serde_json::Value;
use server::Keycloak;
use steps::{MadeUp, Step};

/// Stands where the server will answer, until its port is known.
const NOWHERE: &str = "http://127.0.0.1:1";

fn planned() -> Plan {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nation.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut documents =
        serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    let stack = documents.find(|value| value["kind"] == "Stack").expect("a Stack");
    let stack: Stack = serde_json::from_value(stack).unwrap();
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    let inputs = Inputs { catalogue, ..Inputs::default() };
    plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The steps for Keycloak, in the order of the entry.
fn steps(plan: &Plan, url: &str) -> Vec<Step> {
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    let entry = &catalogue.get("keycloak").expect("an entry").spec;
    let order: Vec<String> = entry.onboarding.iter().map(|step| step.name.clone()).collect();
    steps::of_plan(plan, "keycloak", &order, &[], url).unwrap_or_else(|why| panic!("{why}"))
}

fn variable(step: &Step, name: &str) -> Option<String> {
    step.variables.get(name).cloned()
}

/// Runs steps in order; how many of their calls made something.
fn take(steps: &[Step]) -> u32 {
    let one = |step: &Step| {
        let ran = step.run();
        assert_eq!(ran.code, 0, "step {}:\n{}", step.name, ran.said);
        ran.made
    };
    steps.iter().map(one).sum()
}

/// What the container of Keycloak is told: a variable's value, secrets as the steps have them.
fn told(plan: &Plan, variable: &str) -> String {
    let server =
        plan.objects().find(|o| o.key.kind == "Deployment" && o.key.name == "keycloak").expect("there");
    let namespace = server.key.namespace.clone().expect("a namespace");
    let container = &server.body["spec"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().expect("variables");
    let found = variables.iter().find(|v| v["name"] == variable).unwrap_or_else(|| panic!("no {variable}"));
    let reference = &found["valueFrom"]["secretKeyRef"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (text(&found["value"]), text(&reference["name"]), text(&reference["key"])) {
        (Some(value), ..) => value,
        (None, Some(name), Some(key)) => {
            MadeUp::of(plan, NOWHERE).secret(&SecretKeyRef { namespace, name, key })
        }
        _ => panic!("{variable}: {found}"),
    }
}

/// The realm that the server starts with.
fn realm(plan: &Plan) -> String {
    let maps = plan.objects().filter(|o| o.key.kind == "ConfigMap");
    let mut texts = maps.filter_map(|map| map.body["data"]["realm.json"].as_str());
    texts.next().expect("a realm").to_owned()
}

#[test]
#[ignore = "long, and fetches a product: e2e/all products"]
fn keycloak_is_told_of_a_countrys_clients_once_and_of_a_new_secret() {
    let plan = planned();
    let admin = (told(&plan, "KC_BOOTSTRAP_ADMIN_USERNAME"), told(&plan, "KC_BOOTSTRAP_ADMIN_PASSWORD"));
    let keycloak = Keycloak::start(&realm(&plan), &admin);
    let all = steps(&plan, &keycloak.url);
    assert!(all.len() > 20, "{} steps", all.len());

    let made = take(&all);
    let clients: BTreeSet<String> = all.iter().filter_map(|step| variable(step, "CLIENT")).collect();
    let there = keycloak.clients();
    assert!(clients.is_subset(&there), "missing: {:?}", clients.difference(&there).collect::<Vec<_>>());
    assert_eq!(take(&all), 0, "made again what is there");
    eprintln!("{} steps made {made} things, {} clients; again they made nothing", all.len(), clients.len());

    // Whoever has a client's secret gets a token, and it carries the roles that the block asked for.
    let with_roles = all.iter().find(|step| variable(step, "ROLES").is_some()).expect("a client with roles");
    let (client, roles) = (variable(with_roles, "CLIENT").unwrap(), variable(with_roles, "ROLES").unwrap());
    let own = |step: &&Step| variable(step, "CLIENT").as_ref() == Some(&client);
    let with_secret = |step: &&Step| variable(step, "CLIENT_SECRET").is_some();
    let made = all.iter().filter(own).find(with_secret).expect("its own step");
    let old = variable(made, "CLIENT_SECRET").unwrap();
    let token = keycloak.token(&client, &old).expect("a token");
    let carried: BTreeSet<&str> =
        token["realm_access"]["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let lacking: Vec<&str> = roles.split(' ').filter(|role| !carried.contains(role)).collect();
    assert!(lacking.is_empty(), "{client} lacks {lacking:?}; it has {carried:?}");

    // A rotation is told: the new secret opens, the old one does not, and nothing else is made.
    let mut rotated = made.clone();
    rotated.variables.insert("CLIENT_SECRET".to_owned(), "another-secret-of-this-client".to_owned());
    assert_eq!(take(std::slice::from_ref(&rotated)), 1);
    assert!(keycloak.token(&client, "another-secret-of-this-client").is_some(), "the new one is refused");
    assert!(keycloak.token(&client, &old).is_none(), "the old one is accepted");
    assert_eq!(take(&[rotated]), 0);

    people::have_accounts_once(&keycloak);
}
