//! Members of an exchange that X-Road is: who is served by a Security Server, what a change costs, whom a person is asked
//! about.

mod exchange_world;

use std::collections::BTreeMap;

use exchange_world::{inputs, object, stack_of};
use plinth_plan::closure;
use plinth_plan::model::{ObjectKey, Plan, Unit};
use serde_json::{Value, json};

/// An exchange whose Security Server belongs to the operator, GOV/0. GOV/2 serves, GOV/1 calls.
fn world() -> Vec<Value> {
    let meta = |namespace: &str, name: &str| json!({ "namespace": namespace, "name": name });
    let stack = json!({ "name": "ua", "namespace": "dpi" });
    let outside = json!({ "host": "central.exchange.example", "cidrs": ["192.0.2.0/24"] });
    let provides = [("trust", 80), ("registration", 4001), ("ocsp", 80), ("timestamping", 80)];
    let provides = provides.map(|(name, port)| {
        let mut one = outside.clone();
        one["capability"] = json!(format!("exchange-{name}"));
        one["port"] = json!(port);
        one["outputs"] = if name == "trust" { json!({ "anchor": "<anchor/>" }) } else { json!({}) };
        one
    });
    vec![
        json!({ "kind": "Stack", "metadata": meta("dpi", "ua"), "spec": {
            "country": { "code": "UA", "languages": ["en"] },
            "profile": "sandbox",
            "tenants": { "from": "All" },
            "blocks": [
                { "name": "trust-services", "external": { "provides": provides } },
                { "name": "information-mediator", "product": "xroad-security-server", "parameters": {
                    "memberClass": "GOV", "memberCode": "0", "serverCode": "SS0", "registered": true,
                } },
            ],
            "exchange": { "bindings": [
                { "namespace": "operator", "members": ["GOV/0"] },
                { "namespace": "app", "members": ["GOV/1"] },
                { "namespace": "civil", "members": ["GOV/2"] },
            ] },
        } }),
        json!({ "kind": "Member", "metadata": meta("operator", "operator"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "0", "securityServers": [{ "code": "SS0", "hosts": ["GOV/2"] }],
        } }),
        json!({ "kind": "Member", "metadata": meta("app", "ministry"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "1", "names": { "en": "Ministry" },
            "subsystems": [{ "code": "app", "pods": { "app": "portal" } }],
        } }),
        json!({ "kind": "Member", "metadata": meta("civil", "civil"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "2",
            "securityServers": [{ "code": "SS0", "hostedBy": "GOV/0" }],
            "subsystems": subsystems(2),
        } }),
        agreement("s0", &["GOV/1/app"]),
        agreement("s1", &["GOV/1/app"]),
    ]
}

/// So many services, at most forty a subsystem.
fn subsystems(count: usize) -> Vec<Value> {
    let backend = |i: usize| match i {
        0 => json!({ "host": "births.gov.example", "port": 443, "tls": true }),
        _ => json!({ "service": format!("s{i}"), "port": 8080, "pods": { "app": format!("s{i}") } }),
    };
    let services: Vec<Value> =
        (0..count).map(|i| json!({ "code": format!("s{i}"), "backend": backend(i) })).collect();
    let code = |i: usize| if i == 0 { "register".to_owned() } else { format!("register{i}") };
    let parts = services.chunks(40).enumerate();
    parts.map(|(i, services)| json!({ "code": code(i), "services": services })).collect()
}

fn agreement(service: &str, consumers: &[&str]) -> Value {
    let consumers: Vec<Value> = consumers.iter().map(|c| json!({ "subsystem": c })).collect();
    json!({ "kind": "ExchangeAgreement", "metadata": { "namespace": "civil", "name": service }, "spec": {
        "stackRef": { "name": "ua", "namespace": "dpi" },
        "provider": { "member": "civil", "subsystem": "register", "service": service },
        "consumers": consumers,
        "purpose": { "en": "to fill in the form" },
        "legalBasis": { "kind": "Law", "citation": "sample act, article 1" },
    } })
}

fn planned(objects: &[Value]) -> Plan {
    plinth_plan::plan(&stack_of(objects), &inputs(objects)).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// The members' steps: name without its digest, and what a person is asked.
fn steps(plan: &Plan) -> BTreeMap<String, Option<String>> {
    let names = ["client", "member-", "register", "service", "withdrawn"];
    let own = |unit: &&Unit| {
        let step = unit.id.name.strip_prefix("onboard-");
        unit.step.is_some() && step.is_some_and(|step| names.iter().any(|name| step.starts_with(name)))
    };
    let name = |unit: &Unit| match unit.id.name.rsplit_once('-') {
        Some((name, digest)) if digest.len() == 8 => name.to_owned(),
        _ => unit.id.name.clone(),
    };
    let block = plan.blocks.iter().find(|block| block.name == "information-mediator").expect("is planned");
    block.units.iter().filter(own).map(|unit| (name(unit), unit.step.clone().and_then(|s| s.held))).collect()
}

fn objects(plan: &Plan) -> BTreeMap<ObjectKey, String> {
    plan.objects().map(|o| (o.key.clone(), o.body.to_string())).collect()
}

/// Kinds of the objects that are written or deleted between two plans.
fn writes(from: &Plan, to: &Plan) -> Vec<String> {
    let (from, to) = (objects(from), objects(to));
    let kinds = |one: &BTreeMap<ObjectKey, String>, other: &BTreeMap<ObjectKey, String>, word: &str| {
        let differ = one.iter().filter(|(key, body)| other.get(key) != Some(body));
        let differ = differ.filter(|(key, _)| word != "gone" || !other.contains_key(key));
        differ.map(|(key, _)| format!("{word} {}", key.kind)).collect::<Vec<_>>()
    };
    let mut writes = kinds(&to, &from, "there");
    writes.extend(kinds(&from, &to, "gone"));
    writes.sort();
    writes
}

#[test]
fn who_names_no_server_is_served_by_the_stacks_and_who_names_another_is_not() {
    let mut objects = world();
    let hosted = steps(&planned(&objects));
    let services = ["onboard-service-register-s0", "onboard-service-register-s1"];
    let civil = ["onboard-client-2-register", "onboard-member-key-gov-2", "onboard-registered-2-register"];
    for name in services.iter().chain(&civil).chain(&["onboard-client-1-app"]) {
        assert!(hosted.contains_key(*name), "{name}: {hosted:?}");
    }
    assert!(!hosted.contains_key("onboard-member-key-gov-0"), "the owner has its key: {hosted:?}");

    object(&mut objects, "Member", "ministry")["spec"]["securityServers"] = json!([{ "code": "OWN" }]);
    let others = steps(&planned(&objects));
    let gone: Vec<&String> = hosted.keys().filter(|name| !others.contains_key(*name)).collect();
    let of_app = ["client-1-app", "member-key-gov-1", "register-1-app", "registered-1-app"];
    assert_eq!(gone, of_app.map(|name| format!("onboard-{name}")).iter().collect::<Vec<_>>());
    // A host that says nothing hosts nobody: the member is one that names no server.
    object(&mut objects, "Member", "operator")["spec"]["securityServers"][0]["hosts"] = json!([]);
    let block = &mut objects[0]["spec"]["blocks"][1]["parameters"];
    block["hostsUnnamed"] = json!(false);
    assert_eq!(steps(&planned(&objects)).into_keys().collect::<Vec<_>>(), ["onboard-withdrawn"]);
}

#[test]
fn an_exchange_that_nobody_uses_is_closed_and_one_that_is_not_there_is_not_touched() {
    let mut objects = world();
    objects.truncate(1);
    assert_eq!(steps(&planned(&objects)).into_keys().collect::<Vec<_>>(), ["onboard-withdrawn"]);
    objects[0]["spec"]["exchange"].take();
    assert!(steps(&planned(&objects)).is_empty());
}

#[test]
fn a_person_says_yes_to_what_people_elsewhere_have_done_and_only_to_that() {
    let objects = world();
    let held: Vec<String> = steps(&planned(&objects)).into_values().flatten().collect();
    let wanted = [
        "The Central Server's people have entered UA/GOV/1 (Ministry).",
        "The Central Server's people have entered UA/GOV/2 (2).",
        "The Central Server's people have approved the registration of UA/GOV/1/app at UA/GOV/0/SS0.",
        "The Central Server's people have approved the registration of UA/GOV/2/register at UA/GOV/0/SS0.",
    ];
    assert_eq!(held, wanted);
}

#[test]
fn a_changed_agreement_changes_one_step() {
    let before = planned(&world());
    let mut changed = world();
    object(&mut changed, "ExchangeAgreement", "s1")["spec"]["endpoints"] =
        json!([{ "method": "GET", "path": "/a" }]);
    let one = ["gone Job", "there Job"];
    assert_eq!(writes(&before, &planned(&changed)), one);
    let mut withdrawn = world();
    withdrawn.retain(|o| o["metadata"]["name"] != "s0");
    let written = writes(&before, &planned(&withdrawn));
    // The way from the server to what answered it is closed as well.
    assert_eq!(written, ["gone Job", "there Job", "there NetworkPolicy"]);
}

#[test]
fn the_hundred_and_first_service_costs_as_much_as_the_third() {
    let with = |count: usize| {
        let mut objects = world();
        object(&mut objects, "Member", "civil")["spec"]["subsystems"] = json!(subsystems(count));
        planned(&objects)
    };
    let third = writes(&with(2), &with(3));
    assert_eq!(third, writes(&with(100), &with(101)));
    // Its own step, and the one that knows what is declared.
    assert_eq!(third.iter().filter(|write| *write == "there Job").count(), 2, "{third:?}");
}

#[test]
fn the_plan_with_members_is_closed() {
    let objects = world();
    let (stack, inputs) = (stack_of(&objects), inputs(&objects));
    let plan = planned(&objects);
    let findings = closure::check(&plan, &stack, &inputs);
    assert!(findings.is_empty(), "{findings:#?}");
}
