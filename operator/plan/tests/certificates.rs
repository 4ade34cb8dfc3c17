//! Certificate authorities and what they sign, in the catalogue's language and in what is decided.

mod common;
mod land;

use std::collections::BTreeMap;

use common::{Cluster, block, find, plan, unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::Stack;
use plinth_api::condition::State;
use plinth_api::names;
use plinth_api::v1alpha1::stack::CertificateSource;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::certificates::{first_end, known, pointed};
use plinth_plan::exchange::Declared;
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
        cluster.edit(&key, |body| {
            body["metadata"]["annotations"][names::ANNOTATION_RENEW_AT] = json!(at);
            body["metadata"]["annotations"][names::ANNOTATION_EXPIRES_AT] = json!("2027-04-01T00:00:00Z");
        });
    }
    let decisions = cluster.decide(&plan);
    let (observed, approved) = (&cluster.observed, ApprovalState::NotRequired);
    let outcome = Outcome::Planned { plan: &plan, decisions: &decisions, observed, approved };
    let now = Time("2027-01-01T00:00:00Z".parse().expect("a moment"));
    let status = report(&Stack::default(), outcome, &BTreeMap::new(), now).stack;
    let blocks = status.blocks;
    let due = |block: usize| blocks[block].renewal.as_ref().map(|at| at.0.to_string());
    assert_eq!((due(0).as_deref(), due(1)), (Some("2027-01-15T08:00:01Z"), None));
    let noted: Vec<_> = status.certificates.iter().map(|one| (one.source, one.renewal.is_some())).collect();
    assert_eq!(noted, [(CertificateSource::Issued, true), (CertificateSource::Issued, true)]);
}

/// A certificate of a common name that ends on the first day of a year.
fn pem(name: &str, year: i32) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").pem()
}

fn year(second: Option<i64>) -> Option<String> {
    second.map(|s| jiff::Timestamp::from_second(s).expect("a moment").to_string()[..4].to_owned())
}

#[test]
fn the_first_end_of_a_text_counts_and_of_one_subject_the_newest() {
    let (old, new, other) = (pem("ca", 2028), pem("ca", 2035), pem("other", 2031));
    for (text, expected) in [
        (format!("{old}{new}"), Some("2035")),
        (format!("# the country's\n{old}{other}"), Some("2028")),
        (format!("{new}\n{other}"), Some("2031")),
        (format!("{old}-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"), None),
        ("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----".to_owned(), None),
        ("words".to_owned(), None),
    ] {
        assert_eq!(year(first_end(&text)).as_deref(), expected, "{text}");
    }
}

#[test]
fn the_status_lists_certificates_by_their_ends_with_who_brings_the_next_one() {
    let parameters = json!({ "certificate": "Supplied" });
    let mut stack = land::stack(
        "sandbox",
        json!([{ "name": "api-gateway", "product": "envoy-gateway", "parameters": parameters }]),
    );
    stack.spec.site.extra_ca_config_map = Some("country-ca".to_owned());
    let catalogue = Catalogue::builtin().expect("the catalogue is well-formed");
    let plan = plinth_plan::plan(&stack, &Inputs { catalogue, ..Inputs::default() }).expect("a plan");
    let pointed = pointed(&stack, &plan, &Declared::default());
    let words: Vec<String> =
        pointed.iter().map(|p| format!("{:?} {} {:?}", p.source, p.reference, p.block)).collect();
    let namespace = stack.metadata.namespace.clone().unwrap_or_default();
    let authority = format!("Trusted ConfigMap {namespace}/country-ca None");
    let public = "Supplied Secret land-api-gateway/public-tls Some(\"api-gateway\")".to_owned();
    let mut expected = vec![authority, public];
    expected.sort_by_key(|word| !words[0].eq(word));
    assert_eq!(words, expected);

    let mut cluster = Cluster::running(&plan);
    for (pointed, end) in pointed.into_iter().zip([2_000_000_000, 1_900_000_000]) {
        cluster.observed.ends.insert(pointed, end);
    }
    let known = known(&stack, &plan, &cluster.observed, &[]);
    let ends: Vec<i64> = known.iter().map(|one| one.not_after.0.as_second()).collect();
    assert_eq!(ends, [1_900_000_000, 2_000_000_000]);
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
