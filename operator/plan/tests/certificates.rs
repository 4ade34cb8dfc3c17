//! Certificate authorities and what they sign, in the catalogue's language and in what is decided.

mod common;
mod land;

use std::collections::BTreeMap;

use common::{Cluster, block, find, plan, unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::Stack;
use plinth_api::condition::State;
use plinth_api::names;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Action, Certificate, Finding, Plan, SecretSource};
use plinth_plan::status::{ApprovalState, Outcome, report};
use serde_json::{Value, json};

/// A hub with an authority of its own, and the certificate of its server.
fn hub() -> Value {
    json!({
        "block": "x-hub",
        "title": "Hub",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-24",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/hub:1" } }],
        "secrets": [
            {
                "name": "authority",
                "keys": [
                    { "name": "tls.key", "keyPair": { "algorithm": "EcP256" } },
                    { "name": "tls.crt", "certificateOf": {
                        "key": "tls.key", "commonName": "hub", "ca": true, "validDays": 3650,
                    } },
                ],
            },
            {
                "name": "server",
                "keys": [
                    { "name": "tls.key", "keyPair": { "algorithm": "EcP256" } },
                    { "name": "tls.crt", "certificateOf": {
                        "key": "tls.key",
                        "commonName": "hub",
                        "dnsNames": ["components.hub.host"],
                        "uris": ["'spiffe://' + stack.name"],
                        "signedBy": { "secret": "authority", "certificate": "tls.crt", "key": "tls.key" },
                        "validDays": 90,
                    } },
                ],
            },
        ],
        "components": [{
            "name": "hub",
            "description": "Serves.",
            "image": "app",
            "ports": [{ "name": "https", "port": 8443 }],
            "probes": { "readiness": { "port": "https" } },
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
            "mounts": [{ "path": "/tls", "secret": "server" }],
        }],
    })
}

fn planned(product: Value) -> Result<Plan, Vec<Finding>> {
    let stack = land::stack("sandbox", json!([{ "name": "x-hub", "product": "hub" }]));
    let product = serde_json::from_value(product).expect("the test's Product is well-formed");
    let catalogue = Catalogue::default().with_products([("hub".to_owned(), product)]);
    plinth_plan::plan(&stack, &Inputs { catalogue, ..Inputs::default() })
}

fn certificate(plan: &Plan, secret: &str) -> Certificate {
    let object = plan.objects().find(|o| o.key.kind == "Secret" && o.key.name == secret);
    match object.and_then(|object| object.secret.get("tls.crt")) {
        Some(SecretSource::Certificate(certificate)) => certificate.clone(),
        other => panic!("{secret} has no certificate: {other:?}"),
    }
}

#[test]
fn an_entry_has_an_authority_and_what_it_signs_waits_for_it() {
    let plan = planned(hub()).unwrap();
    assert!(certificate(&plan, "hub-authority").ca);
    let server = certificate(&plan, "hub-server");
    assert_eq!(server.dns_names, ["hub.land-x-hub.svc.cluster.local"]);
    assert_eq!(server.uris, ["spiffe://land"]);
    let signer = server.signed_by.expect("it is signed");
    assert_eq!((signer.key.name.as_str(), signer.key.key.as_str()), ("hub-authority", "tls.key"));
    let unit = plan.units().find(|unit| unit.id.name == "secret/hub-server").expect("a unit");
    assert!(unit.after.iter().any(|id| id.name == "secret/hub-authority"), "{:?}", unit.after);
}

#[test]
fn an_authority_that_is_none_is_named() {
    for (field, value, said) in [
        ("secret", "other", "`other` is no secret of the entry"),
        ("certificate", "tls.key", "`tls.key` of secret `authority` is no certificateOf with `ca: true`"),
        ("key", "tls.crt", "`tls.crt` of secret `authority` is no keyPair"),
    ] {
        let mut product = hub();
        let signer = product.pointer_mut("/secrets/1/keys/1/certificateOf/signedBy").expect("is there");
        signer[field] = json!(value);
        let findings = planned(product).expect_err("it has to be refused");
        let words: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(words.iter().any(|word| word.contains(said)), "{field}: {words:?}");
    }
}

#[test]
fn a_secret_is_made_anew_when_its_note_says_so_and_not_before() {
    let plan = plan(vec![block("identity").secret("tls").database("postgres", "tls", "1")]);
    let mut cluster = Cluster::running(&plan);
    let key = plan.objects().find(|o| o.key.kind == "Secret").expect("a Secret").key.clone();
    let note = |cluster: &mut Cluster, at: &str| {
        cluster.edit(&key, |body| body["metadata"]["annotations"][names::ANNOTATION_RENEW_AT] = json!(at));
    };
    cluster.observed.now = 1_800_000_000;
    note(&mut cluster, "2027-01-15T08:00:01Z");
    let decisions = cluster.decide(&plan);
    assert_eq!((decisions.actions.len(), decisions.look_again), (0, Some(1_800_000_001)));

    for due in ["2027-01-15T08:00:00Z", "nonsense"] {
        note(&mut cluster, due);
        let decisions = cluster.decide(&plan);
        let [Action::Apply { key: written, force: true, exists: true, .. }] = &decisions.actions[..] else {
            panic!("{due}: {:?}", decisions.actions)
        };
        assert_eq!(written, &key);
        let unit = unit(&decisions, "secret/tls");
        assert_eq!(unit.state, State::OutOfDate);
        assert!(unit.message.contains("near its end"), "{}", unit.message);
    }
}

#[test]
fn the_status_of_a_stack_says_when_a_certificate_of_a_block_is_due() {
    let plan = plan(vec![
        block("identity").secret("tls").secret("key").database("postgres", "tls", "1"),
        block("payments").secret("db").database("postgres", "db", "1"),
    ]);
    let mut cluster = Cluster::running(&plan);
    let noted = [("tls", "2027-01-15T08:00:01Z"), ("key", "2027-03-01T00:00:00Z")];
    for (name, at) in noted {
        let key = find(&plan, "Secret", name).key.clone();
        cluster.edit(&key, |body| body["metadata"]["annotations"][names::ANNOTATION_RENEW_AT] = json!(at));
    }
    let decisions = cluster.decide(&plan);
    let (observed, approved) = (&cluster.observed, ApprovalState::NotRequired);
    let outcome = Outcome::Planned { plan: &plan, decisions: &decisions, observed, approved };
    let now = Time("2027-01-01T00:00:00Z".parse().expect("a moment"));
    let blocks = report(&Stack::default(), outcome, &BTreeMap::new(), now).stack.blocks;
    let due = |block: usize| blocks[block].renewal.as_ref().map(|at| at.0.to_string());
    assert_eq!((due(0).as_deref(), due(1)), (Some("2027-01-15T08:00:01Z"), None));
}

/// A Stack of this profile with a public door that has these parameters.
fn door(profile: &str, parameters: Value) -> Result<Plan, Vec<Finding>> {
    let stack = land::stack(
        profile,
        json!([{ "name": "api-gateway", "product": "envoy-gateway", "parameters": parameters }]),
    );
    let catalogue = Catalogue::builtin().expect("the catalogue is well-formed");
    plinth_plan::plan(&stack, &Inputs { catalogue, ..Inputs::default() })
}

#[test]
fn a_sandbox_has_a_certificate_of_its_own_authority_unless_it_names_another() {
    let supplied = json!({ "certificate": "Supplied" });
    let issuer = json!({ "certificateIssuer": "country-ca" });
    let generated = json!({ "certificate": "Generated" });
    for (profile, parameters, expected) in [
        ("sandbox", json!({}), "envoy-gateway-certificate"),
        ("sandbox", supplied, "public-tls"),
        ("sandbox", issuer, "public-tls"),
        ("standard", json!({}), "public-tls"),
        ("standard", generated, "envoy-gateway-certificate"),
        ("national", json!({}), "public-tls"),
    ] {
        let plan = door(profile, parameters.clone()).unwrap();
        let gateway = plan.objects().find(|o| o.key.kind == "Gateway").expect("a Gateway");
        let used = &gateway.body["spec"]["listeners"][0]["tls"]["certificateRefs"][0]["name"];
        assert_eq!(used, expected, "{profile} {parameters}");
        let made =
            plan.objects().find(|o| o.key.kind == "Secret" && o.key.name == "envoy-gateway-certificate");
        assert_eq!(made.is_some(), used == "envoy-gateway-certificate", "{profile} {parameters}");
        if let Some(made) = made {
            assert_eq!(made.body["type"], "kubernetes.io/tls");
            let certificate = certificate(&plan, &made.key.name);
            assert_eq!(certificate.dns_names, ["*.land.example"]);
            assert!(certificate.signed_by.is_some());
        }
    }
}

#[test]
fn a_nation_does_not_show_people_a_certificate_that_no_device_knows() {
    for (profile, parameters, said) in [
        ("national", json!({ "certificate": "Generated" }), "that no browser knows"),
        ("sandbox", json!({ "certificate": "Generated", "certificateIssuer": "ca" }), "one maker"),
    ] {
        let findings = door(profile, parameters.clone()).expect_err("it has to be refused");
        assert!(
            findings.iter().any(|f| f.to_string().contains(said)),
            "{profile} {parameters}: {findings:?}"
        );
    }
}
