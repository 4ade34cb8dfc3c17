//! What one block asks of another: clients of the country's issuer, with the secret of the one that asks.

use plinth_api::{ProductSpec, Stack};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Desired, Plan, SecretSource, Unit};
use plinth_plan::onboarding::Document;
use plinth_plan::{Inputs, closure, token};
use serde_json::{Value, json};

/// A product with a page that people sign in to and a service that calls others.
fn portal(client: &str) -> ProductSpec {
    serde_json::from_value(json!({
        "block": "x-portal",
        "title": "Portal",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-23",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/portal:1" } }],
        "requires": [{
            "name": "signIn",
            "capability": "oidc-issuer",
            "parameters": { "clients": [
                { "id": client, "redirectUris": ["${routes.portal.url + '/*'}"], "standardFlow": true },
                {
                    "id": format!("{client}_backend"),
                    "secret": "${secrets.client.secret}",
                    "serviceAccount": true,
                    "scopes": ["read.people"],
                    "roles": ["CASE_WORKER"],
                },
            ] },
        }],
        "secrets": [{ "name": "client", "keys": [{ "name": "secret", "generate": { "length": 32 } }] }],
        "components": [{
            "name": "portal",
            "description": "Serves.",
            "image": "app",
            "env": [
                { "name": "ISSUER", "ref": "requires.signIn.issuer" },
                { "name": "CLIENT", "cel": "requires.signIn.clients[0].id" },
                { "name": "CLIENT_SECRET", "ref": "secrets.client.secret" },
            ],
            "ports": [{ "name": "http", "port": 8080 }],
            "probes": { "readiness": { "path": "/", "port": "http" } },
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
            "connects": ["requires.signIn"],
        }],
        "routes": [{ "name": "portal", "host": "portal", "component": "portal", "port": "http" }],
    }))
    .expect("the test's Product is well-formed")
}

fn inputs(clients: [&str; 2]) -> Inputs {
    let own = [("portal".to_owned(), portal(clients[0])), ("desk".to_owned(), portal(clients[1]))];
    let catalogue = Catalogue::builtin().expect("the catalogue parses").with_products(own);
    Inputs { catalogue, ..Inputs::default() }
}

fn land(identity: Value) -> Stack {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "land", "namespace": "gov" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] },
            "profile": "sandbox",
            "site": { "domain": "gov.example" },
            "blocks": [
                identity,
                { "name": "api-gateway", "product": "envoy-gateway" },
                { "name": "x-portal", "product": "portal" },
                { "name": "x-desk", "product": "desk" },
            ],
        },
    }))
    .expect("the test's Stack is well-formed")
}

fn keycloak() -> Value {
    json!({ "name": "identity", "product": "keycloak" })
}

fn planned(stack: &Stack, inputs: &Inputs) -> Plan {
    plinth_plan::plan(stack, inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn unit<'a>(plan: &'a Plan, id: &str) -> &'a Unit {
    let known: Vec<String> = plan.units().map(|unit| unit.id.to_string()).collect();
    plan.units().find(|unit| unit.id.to_string() == id).unwrap_or_else(|| panic!("no {id} in {known:#?}"))
}

fn object<'a>(plan: &'a Plan, kind: &str, name: &str) -> &'a Desired {
    plan.objects()
        .find(|o| o.key.kind == kind && o.key.name == name)
        .unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn document(plan: &Plan, config: &str) -> Document {
    let text = object(plan, "ConfigMap", config).body["data"]["onboarding.json"].as_str().expect("a text");
    serde_json::from_str(text).expect("what a Job reads")
}

#[test]
fn a_client_is_made_by_the_issuers_block_with_the_secret_of_the_block_that_asks() {
    let (stack, inputs) = (land(keycloak()), inputs(["portal", "desk"]));
    let plan = planned(&stack, &inputs);
    let findings = closure::check(&plan, &stack, &inputs);
    assert!(findings.is_empty(), "{findings:#?}");

    let copy = object(&plan, "Secret", "keycloak-claim-x-portal-sign-in");
    assert_eq!(copy.key.namespace.as_deref(), Some("land-identity"));
    let [(key, SecretSource::Compose { pieces })] = copy.secret.iter().collect::<Vec<_>>()[..] else {
        panic!("one copy, of one secret: {:?}", copy.secret)
    };
    assert_eq!(key, "portal-client.secret");
    let original = token::secrets(&token::token(&plinth_plan::model::SecretKeyRef {
        namespace: "land-x-portal".into(),
        name: "portal-client".into(),
        key: "secret".into(),
    }));
    assert_eq!(*pieces, [plinth_plan::model::Piece::Secret(original[0].clone())]);

    let made = document(&plan, "keycloak-onboard-client-portal-backend");
    assert_eq!(made.secrets.iter().collect::<Vec<_>>(), ["ADMIN", "ADMIN_PASSWORD", "CLIENT_SECRET"]);
    let body = made.calls[1].act.as_ref().and_then(|act| act.body.as_ref()).expect("what is made");
    assert_eq!(body["publicClient"], json!(false));
    assert_eq!(body["serviceAccountsEnabled"], json!(true));
    let public = document(&plan, "keycloak-onboard-client-portal");
    let body = public.calls[1].act.as_ref().and_then(|act| act.body.as_ref()).expect("what is made");
    assert_eq!(body["redirectUris"], json!(["https://portal.gov.example/*"]));
    assert_eq!(body["publicClient"], json!(true));
    assert!(!public.variables.contains("CLIENT_SECRET"));
}

#[test]
fn a_block_waits_for_its_own_clients_and_for_nobody_elses() {
    let plan = planned(&land(keycloak()), &inputs(["portal", "desk"]));
    let after = |id: &str| -> Vec<String> { unit(&plan, id).after.iter().map(ToString::to_string).collect() };
    let portal = after("x-portal/portal");
    assert!(portal.contains(&"identity/onboard-client-portal".to_owned()), "{portal:?}");
    assert!(portal.contains(&"identity/onboard-client-portal-backend".to_owned()), "{portal:?}");
    assert!(!portal.iter().any(|id| id.contains("desk")), "{portal:?}");
    // The server waits for nobody's secret: one block that is late must not keep the country from signing in.
    let server = after("identity/keycloak");
    assert!(!server.iter().any(|id| id.contains("keycloak-claim")), "{server:?}");
}

#[test]
fn two_blocks_that_ask_for_one_client_are_told_so() {
    let findings =
        plinth_plan::plan(&land(keycloak()), &inputs(["portal", "portal"])).expect_err("one is too many");
    let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|line| line.contains("two elements have the key `portal`")), "{told:#?}");
}

#[test]
fn a_block_that_cannot_be_installed_asks_for_nothing() {
    let (mut stack, mut inputs) = (land(keycloak()), inputs(["portal", "desk"]));
    inputs.secrets = Some([].into());
    stack.spec.blocks[3].secrets =
        serde_json::from_value(json!([{ "name": "client", "secretName": "missing" }])).expect("it parses");
    let plan = planned(&stack, &inputs);
    assert!(!plan.units().any(|unit| unit.id.block == "identity" && unit.id.name.contains("desk")));
    unit(&plan, "identity/onboard-client-portal");
}

#[test]
fn an_issuer_that_runs_elsewhere_gets_its_clients_from_its_own_people() {
    let stack = land(json!({ "name": "identity", "external": { "provides": [{
        "capability": "oidc-issuer",
        "host": "id.example",
        "port": 443,
        "outputs": { "issuer": "https://id.example/realms/national" },
    }] } }));
    let inputs = inputs(["portal", "desk"]);
    let plan = planned(&stack, &inputs);
    let portal = unit(&plan, "x-portal/portal");
    let workload = portal.objects.iter().find(|o| o.key.kind == "Deployment").expect("a workload");
    let env = workload.body.pointer("/spec/template/spec/containers/0/env").expect("variables").to_string();
    assert!(env.contains(r#""name":"CLIENT","value":"portal""#), "{env}");
    assert!(!plan.objects().any(|o| o.key.name.contains("-claim-") || o.key.name.contains("-requires-")));
}
