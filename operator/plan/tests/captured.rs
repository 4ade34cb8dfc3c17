//! A value that only a product knows: a step captures it, a Secret takes it, and who needs the Secret waits.

mod land;

use plinth_api::Stack;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Plan, SecretSource, Unit};
use plinth_plan::onboarding::{Document, SEAL, SEAL_VARIABLE};
use plinth_plan::{Inputs, closure};
use serde_json::{Value, json};

/// A bank that gives out a licence, and a desk that cannot start without it.
fn bank() -> Value {
    json!({
        "block": "x-bank",
        "title": "Bank",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-24",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/bank:1" } }],
        "secrets": [{
            "name": "licence",
            "keys": [{ "name": "key", "captured": { "step": "licence", "value": "licence" } }],
        }],
        "components": [
            {
                "name": "bank",
                "description": "Serves.",
                "image": "app",
                "ports": [{ "name": "http", "port": 8080, "servicePort": 80 }],
                "probes": { "readiness": { "path": "/", "port": "http" } },
                "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
            },
            {
                "name": "desk",
                "description": "Uses the licence.",
                "image": "app",
                "env": [{ "name": "LICENCE", "ref": "secrets.licence.key" }],
                "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
            },
        ],
        "onboarding": [{
            "name": "licence",
            "description": "Asks the bank for a licence.",
            "connects": ["bank:http"],
            "variables": [{ "name": "BANK", "cel": "'http://' + components.bank.host" }],
            "calls": [{
                "name": "licence",
                "act": { "method": "POST", "url": "{{ env.BANK }}/licences", "body": { "at": "{{ now }}" } },
                "capture": { "licence": "response.body.licence" },
            }],
        }],
    })
}

fn land() -> Stack {
    land::stack("sandbox", json!([{ "name": "x-bank", "product": "bank" }]))
}

fn inputs(product: Value) -> Inputs {
    let product = serde_json::from_value(product).expect("the test's Product is well-formed");
    Inputs {
        catalogue: Catalogue::default().with_products([("bank".to_owned(), product)]),
        ..Inputs::default()
    }
}

fn planned(product: Value) -> Plan {
    plinth_plan::plan(&land(), &inputs(product)).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn unit<'a>(plan: &'a Plan, name: &str) -> &'a Unit {
    plan.units().find(|unit| unit.id.name == name).unwrap_or_else(|| panic!("no unit {name}"))
}

fn after(unit: &Unit) -> Vec<&str> {
    unit.after.iter().map(|id| id.name.as_str()).collect()
}

#[test]
fn the_secret_waits_for_the_step_and_its_users_wait_for_the_secret() {
    let plan = planned(bank());
    let secret = unit(&plan, "secret/bank-licence");
    assert_eq!(after(secret)[..2], ["onboard-licence", "secret/bank-onboard-licence"]);
    assert!(after(unit(&plan, "desk")).contains(&"secret/bank-licence"));
    assert!(!after(unit(&plan, "bank")).contains(&"secret/bank-licence"));

    let step = unit(&plan, "onboard-licence");
    let job = &step.job().expect("a Job").key.name;
    let SecretSource::Captured { step, job: told, value, seal, .. } = &secret.objects[0].secret["key"] else {
        panic!("{:?}", secret.objects[0].secret);
    };
    assert_eq!((step.as_str(), told, value.as_str()), ("onboard-licence", job, "licence"));
    assert_eq!((seal.name.as_str(), seal.key.as_str()), ("bank-onboard-licence", SEAL));
}

#[test]
fn the_job_gets_the_seal_and_is_told_what_to_hand_over() {
    let plan = planned(bank());
    let job = unit(&plan, "onboard-licence").job().expect("a Job");
    let env = &job.body["spec"]["template"]["spec"]["containers"][0]["env"];
    let wanted = json!({
        "name": SEAL_VARIABLE,
        "valueFrom": { "secretKeyRef": { "name": "bank-onboard-licence", "key": SEAL } },
    });
    assert!(env.as_array().is_some_and(|env| env.contains(&wanted)), "{env}");
    let seal = &unit(&plan, "secret/bank-onboard-licence").objects[0].secret[SEAL];
    assert!(matches!(seal, SecretSource::Generate { permanent: true, .. }), "{seal:?}");
    let config = &unit(&plan, "config/bank-onboard-licence").objects[0].body["data"]["onboarding.json"];
    let document: Document = serde_json::from_str(config.as_str().expect("a text")).expect("a document");
    assert_eq!(document.hands_over.iter().collect::<Vec<_>>(), ["licence"]);
    assert!(!document.variables.contains(SEAL_VARIABLE), "requests never see it");
}

#[test]
fn a_step_that_is_done_again_hands_over_again() {
    let mut changed = bank();
    changed["onboarding"][0]["calls"][0]["act"]["url"] = json!("{{ env.BANK }}/licences/new");
    let hash = |product| unit(&planned(product), "secret/bank-licence").objects[0].hash.clone();
    assert_ne!(hash(bank()), hash(changed), "the Secret is not written again");
    assert_eq!(hash(bank()), hash(bank()));
}

#[test]
fn a_plan_with_a_captured_value_is_closed() {
    let inputs = inputs(bank());
    let plan = planned(bank());
    let findings = closure::check(&plan, &land(), &inputs);
    assert!(findings.is_empty(), "{findings:#?}");

    // One that nothing reads is for people, or a mistake.
    let mut lonely = bank();
    lonely["components"][1]["env"] = json!([]);
    let mut shown = lonely.clone();
    shown["secrets"][0]["keys"][0]["captured"]["forPeople"] = json!("The bank's office stamps it.");
    for (product, wanted) in [(lonely, 1), (shown, 0)] {
        let inputs = self::inputs(product.clone());
        let findings = closure::check(&planned(product), &land(), &inputs);
        let unread = findings.iter().filter(|finding| finding.message == "is read by nobody");
        assert_eq!(unread.count(), wanted, "{findings:#?}");
    }
}

#[test]
fn what_cannot_be_captured_is_refused_with_the_field() {
    let set = |path: &str, value: Value| {
        let mut bank = bank();
        *bank.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = value;
        bank
    };
    let captured = |step: &str, value: &str| json!({ "step": step, "value": value });
    let with = |field: &str, value: Value| {
        let mut bank = bank();
        bank["onboarding"][0][field] = value;
        bank
    };
    let each = json!({ "list": "stack.country.currencies", "key": "item.lowerAscii()" });
    for (product, wanted) in [
        (
            set("/secrets/0/keys/0/captured", captured("key", "licence")),
            "`key` is no step of onboarding; there are licence",
        ),
        (
            set("/secrets/0/keys/0/captured", captured("licence", "key")),
            "takes `key` from it, which no call captures",
        ),
        (
            set(
                "/secrets/0/keys/0",
                json!({ "name": "key", "generate": { "length": 8 }, "captured": captured("licence", "licence") }),
            ),
            "give exactly one of",
        ),
        (with("when", json!("false")), "comes from step `licence`, which is left out here"),
        (with("forEach", each), "therefore it has no forEach"),
        (with("trust", json!("CA")), "trust: `CA` is no variable of the step; it has BANK"),
    ] {
        let found = plinth_plan::plan(&land(), &inputs(product)).expect_err("it is refused");
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|finding| finding.contains(wanted)), "{wanted}: {found:#?}");
    }
}
