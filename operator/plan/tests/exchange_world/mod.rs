//! A small country for tests of the exchange.
#![allow(dead_code, reason = "each test file takes what it needs")]

use plinth_api::{ExchangeAgreement, Member, PublicService, Registry, Stack};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::{Compiled, Declared, compile};
use serde_json::{Value, json};

/// The moment of the tests.
pub const NOW: &str = "2026-06-01T00:00:00Z";

/// A country with a civil register in `civil`, a tax office in `tax`, a bank in `bank` and an app in `app`.
pub fn world() -> Vec<Value> {
    let meta = |namespace: &str, name: &str| json!({ "namespace": namespace, "name": name });
    let stack = json!({ "name": "ua", "namespace": "dpi" });
    vec![
        json!({ "kind": "Stack", "metadata": meta("dpi", "ua"), "spec": {
            "country": { "code": "UA", "languages": ["uk", "en"] },
            "profile": "sandbox",
            "tenants": { "from": "Selector", "selector": { "matchLabels": { "dpi": "yes" } } },
            "blocks": [
                { "name": "identity", "product": "keycloak" },
                { "name": "payments", "product": "mojaloop" },
                { "name": "information-mediator", "product": "little-exchange" },
            ],
            "exchange": {
                "bindings": [
                    { "namespace": "civil", "members": ["GOV/2"], "registries": ["births"] },
                    { "namespace": "tax", "members": ["GOV/3"] },
                    { "namespace": "bank", "members": ["COM/1"], "participants": ["bank"] },
                    { "namespace": "app", "members": ["GOV/1"] },
                ],
                "globalGroups": [{ "code": "offices", "members": ["GOV/3/desk"] }],
            },
            "assurance": {
                "proofing": [{ "level": "substantial", "values": ["in-person"] }],
                "authentication": [{ "level": "low", "values": ["pwd"] }, { "level": "substantial", "values": ["otp"] }],
            },
        } }),
        json!({ "kind": "Member", "metadata": meta("civil", "civil"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "2",
            "securityServers": [{ "code": "ss1", "hosts": ["GOV/3"] }],
            "subsystems": [{ "code": "register",
                "services": [{ "code": "births", "endpoints": [
                    { "method": "GET", "path": "/records/*" }, { "method": "POST", "path": "/records" },
                ], "registry": "births" }],
                "localGroups": [{ "code": "partners", "members": ["GOV/1/app"] }],
            }],
        } }),
        json!({ "kind": "Registry", "metadata": meta("civil", "births"), "spec": {
            "stackRef": stack, "code": "births", "owner": "civil", "classification": "personal",
            "external": { "host": "births.gov.example", "port": 443, "tls": true },
        } }),
        json!({ "kind": "Member", "metadata": meta("tax", "tax"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "3",
            "securityServers": [{ "code": "ss1", "hostedBy": "GOV/2" }],
            "subsystems": [{ "code": "desk" }],
        } }),
        json!({ "kind": "Member", "metadata": meta("bank", "bank"), "spec": {
            "stackRef": stack, "class": "COM", "code": "1", "subsystems": [{ "code": "core" }],
            "participant": { "id": "bank", "currencies": ["UAH"], "netDebitCap": { "UAH": "1000" }, "paysFor": ["GOV/1"] },
        } }),
        json!({ "kind": "Member", "metadata": meta("app", "ministry"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "1", "subsystems": [{ "code": "app" }],
        } }),
        json!({ "kind": "ExchangeAgreement", "metadata": meta("civil", "births-to-app"), "spec": {
            "stackRef": stack,
            "provider": { "member": "civil", "subsystem": "register", "service": "births" },
            "endpoints": [{ "method": "GET", "path": "/records/*" }],
            "consumers": [{ "subsystem": "GOV/1/app" }],
            "purpose": { "en": "to fill in the form" },
            "legalBasis": { "kind": "Law", "citation": "sample act, article 1" },
        } }),
        json!({ "kind": "PublicService", "metadata": meta("app", "birth"), "spec": {
            "stackRef": stack, "title": { "en": "Birth" }, "channels": ["Web"],
            "client": { "member": "ministry", "subsystem": "app" },
            "uses": {
                "identity": { "proofing": "low", "authentication": "substantial" },
                "services": [{ "service": "GOV/2/register/births", "purpose": "to fill in the form",
                    "endpoints": [{ "method": "GET", "path": "/records/*" }] }],
                "programme": {
                    "code": "help", "institution": "ministry", "participant": "bank", "currency": "UAH",
                    "accountMapper": "payments", "batch": { "maker": "clerk", "checker": "head" }, "reconcileHours": 24,
                },
            },
        } }),
    ]
}

/// Compiles objects; every namespace but `stranger` is admitted.
pub fn compiled(objects: &[Value]) -> Compiled {
    let inputs = inputs(objects);
    compile(&stack_of(objects), &inputs.catalogue, &inputs.declared)
}

const VERSION: &str = "plinth.dev/v1alpha1";

/// The Stack among the objects.
pub fn stack_of(objects: &[Value]) -> Stack {
    all(objects, "Stack").remove(0)
}

fn all<T: serde::de::DeserializeOwned>(objects: &[Value], kind: &str) -> Vec<T> {
    let own = objects.iter().filter(|o| o["kind"] == kind);
    let read = |o: &Value| {
        let mut object = o.clone();
        object["apiVersion"] = json!(VERSION);
        serde_json::from_value(object).unwrap_or_else(|error| panic!("{o}: {error}"))
    };
    own.map(read).collect()
}

/// The built-in catalogue, and an exchange that gives each that asks a token.
fn catalogue() -> Catalogue {
    static CATALOGUE: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
    let made = || {
        let little =
            plinth_plan::catalogue::parse(include_str!("little-exchange.yaml"), "little-exchange.yaml");
        Catalogue::builtin().unwrap().with_entries([little.unwrap()])
    };
    CATALOGUE.get_or_init(made).clone()
}

/// What the objects are to a plan.
pub fn inputs(objects: &[Value]) -> Inputs {
    let labels = |namespace: &str| match namespace {
        "stranger" => [].into(),
        _ => [("dpi".to_owned(), "yes".to_owned())].into(),
    };
    let namespaces: Vec<&str> = objects.iter().filter_map(|o| o["metadata"]["namespace"].as_str()).collect();
    let documents = [(
        ("civil".to_owned(), "api".to_owned()),
        [("openapi.yaml".to_owned(), "openapi: 3.0.0\npaths: { '/records/{id}': { get: {} } }".to_owned())]
            .into(),
    )];
    let declared = Declared {
        namespaces: Some(namespaces.iter().map(|n| ((*n).to_owned(), labels(n))).collect()),
        members: all::<Member>(objects, "Member"),
        agreements: all::<ExchangeAgreement>(objects, "ExchangeAgreement"),
        registries: all::<Registry>(objects, "Registry"),
        services: all::<PublicService>(objects, "PublicService"),
        documents: Some(documents.into()),
        secrets: Some([].into()),
        now: NOW.parse::<jiff::Timestamp>().unwrap().as_second(),
        ..Declared::default()
    };
    Inputs { catalogue: catalogue(), declared, ..Inputs::default() }
}

/// One of them, to be changed.
pub fn object<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> &'a mut Value {
    objects.iter_mut().find(|o| o["kind"] == kind && o["metadata"]["name"] == name).expect("is there")
}
