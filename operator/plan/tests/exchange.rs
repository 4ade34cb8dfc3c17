//! What agencies declare, and what becomes of it: every reference is tried with somebody else's thing behind it, and access
//! stays closed.

mod exchange_world;

use exchange_world::{NOW, compiled, object, world};
use plinth_api::v1alpha1::agreement::AgreementPhase;
use plinth_plan::exchange::Compiled;
use plinth_plan::exchange::compile::What;
use serde_json::{Value, json};

/// Everything that is said, as `Kind namespace/name: path: message`.
fn said(compiled: &Compiled) -> Vec<String> {
    let findings = compiled.standing.iter().flat_map(|(subject, standing)| {
        let waits = standing.waits.iter().map(|w| format!("waits: {w}"));
        standing.findings.iter().map(ToString::to_string).chain(waits).map(move |f| format!("{subject}: {f}"))
    });
    findings.collect()
}

fn rights(compiled: &Compiled) -> Vec<String> {
    let right = |right: &plinth_plan::exchange::rights::Right| {
        let consumers: Vec<String> = right.consumers.iter().map(ToString::to_string).collect();
        format!("{} -> {}", consumers.join(","), right.service)
    };
    compiled.rights().rights.iter().map(right).collect()
}

#[test]
fn what_is_right_holds_and_nothing_is_said() {
    let compiled = compiled(&world());
    assert_eq!(said(&compiled), Vec::<String>::new());
    assert_eq!(rights(&compiled), ["UA/GOV/1/app -> UA/GOV/2/register/births"]);
    let service = &compiled.consumers[0];
    assert_eq!(service.uses[0].message, "granted by civil/births-to-app");
    assert_eq!(service.acr_values, ["otp"]);
    assert_eq!(compiled.members.values().filter(|m| m.participant.is_some()).count(), 1);
}

/// One change to the world: whom it is done to, at which path, to what, what is said then, and whether the right stays.
type Abuse = (&'static str, &'static str, &'static str, Value, &'static str, bool);

#[test]
fn two_agreements_grant_together_what_neither_grants_alone() {
    let mut objects = world();
    let second = json!({ "method": "GET", "path": "/records/*/photograph" });
    object(&mut objects, "PublicService", "birth")["spec"]["uses"]["services"][0]["endpoints"]
        .as_array_mut()
        .unwrap()
        .push(second.clone());
    let member = object(&mut objects, "Member", "civil");
    let service = &mut member["spec"]["subsystems"][0]["services"][0];
    service.as_object_mut().unwrap().remove("openApi");
    service["endpoints"] = json!([{ "method": "GET", "path": "/records/**" }]);
    let uses = |objects: &[Value]| compiled(objects).consumers[0].uses[0].clone();
    assert_eq!(uses(&objects).message, "civil/births-to-app grants a part of what it asks for");

    let mut agreement = object(&mut objects, "ExchangeAgreement", "births-to-app").clone();
    agreement["metadata"]["name"] = json!("photographs-to-app");
    agreement["spec"]["endpoints"] = json!([second]);
    objects.push(agreement);
    assert!(uses(&objects).granted);
    assert_eq!(uses(&objects).message, "granted by civil/births-to-app, civil/photographs-to-app");

    object(&mut objects, "ExchangeAgreement", "photographs-to-app")["spec"]["validity"] =
        json!({ "from": "2030-01-01T00:00:00Z" });
    assert!(!uses(&objects).granted);
    assert_eq!(uses(&objects).message, "agreement civil/photographs-to-app is not in force yet");
}

#[test]
fn every_reference_that_reaches_for_somebody_elses_thing_is_refused_with_its_path() {
    let cases: Vec<Abuse> = vec![
        // Codes: the Stack binds them, the first claimant never wins.
        (
            "Member",
            "ministry",
            "/spec/code",
            json!("9"),
            "Member app/ministry: spec.code: the Stack does not bind `GOV/9`",
            false,
        ),
        (
            "Member",
            "ministry",
            "/spec/code",
            json!("2"),
            "Member app/ministry: spec.code: the Stack does not bind `GOV/2`",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/code",
            json!("land"),
            "Registry civil/births: spec.code: the Stack does not bind `land`",
            false,
        ),
        (
            "Member",
            "bank",
            "/spec/participant/id",
            json!("other"),
            "Member bank/bank: spec.participant.id: the Stack does not bind `other`",
            true,
        ),
        // Tenancy: refused and missing look the same.
        (
            "Member",
            "civil",
            "/metadata/namespace",
            json!("stranger"),
            "Member stranger/civil: spec.stackRef: Stack dpi/ua does not exist or does not admit",
            false,
        ),
        // Hosting is the host's to grant.
        (
            "Member",
            "civil",
            "/spec/securityServers/0/hosts",
            json!([]),
            "Member tax/tax: spec.securityServers[ss1].hostedBy: member `GOV/2` does not exist or does not host",
            true,
        ),
        (
            "Member",
            "tax",
            "/spec/securityServers/0/hostedBy",
            json!("GOV/7"),
            "member `GOV/7` does not exist or does not host",
            true,
        ),
        // Money: who settles and who pays say so themselves.
        (
            "Member",
            "bank",
            "/spec/participant/sponsor",
            json!("big"),
            "Member bank/bank: spec.participant.sponsor: participant `big` does not exist or does not settle",
            true,
        ),
        (
            "Member",
            "bank",
            "/spec/participant/netDebitCap/UAH",
            json!("-1"),
            "spec.participant.netDebitCap: UAH: `-1` is no amount",
            true,
        ),
        ("Member", "bank", "/spec/participant/netDebitCap/EUR", json!("1"), "has a cap in EUR", true),
        (
            "Member",
            "bank",
            "/spec/participant/certificates",
            json!("tls"),
            "Secret `tls` does not exist in this namespace",
            true,
        ),
        (
            "Member",
            "bank",
            "/spec/participant/paysFor",
            json!([]),
            "waits: spec.uses.programme.participant: participant `bank` does not exist or does not pay",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/programme/participant",
            json!("none"),
            "waits: spec.uses.programme.participant: participant `none` does not exist or does not pay",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/programme/currency",
            json!("EUR"),
            "`EUR` is no currency of participant `bank`; it has UAH",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/programme/accountMapper",
            json!("x-none"),
            "spec.uses.programme.accountMapper: the Stack has no block `x-none`",
            true,
        ),
        // A service answers from its own namespace or from outside the cluster, never from somebody else's.
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("keycloak.ua-identity.svc.cluster.local"),
            "Registry civil/births: spec.external.host: `keycloak.ua-identity.svc.cluster.local` is inside the cluster",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("keycloak.ua-identity.svc"),
            "is inside the cluster",
            false,
        ),
        ("Registry", "births", "/spec/external/host", json!("keycloak"), "is inside the cluster", false),
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("127.0.0.1"),
            "is an address of the machine that asks",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("169.254.169.254"),
            "is an address of the machine that asks",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("::ffff:127.0.0.1"),
            "is an address of the machine that asks",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("2130706433"),
            "is neither a host name nor an address",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/external/host",
            json!("a.localhost"),
            "only the machine that asks knows",
            false,
        ),
        ("Registry", "births", "/spec/external/host", json!("a b"), "is no host name", false),
        (
            "Registry",
            "births",
            "/spec/external/basePath",
            json!("/../admin"),
            "spec.external.basePath: `/../admin` must",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/external/cidrs",
            json!(["10.0.0.0/99"]),
            "spec.external.cidrs[0]: `10.0.0.0/99` is no network range",
            false,
        ),
        (
            "Registry",
            "births",
            "/spec/owner",
            json!("tax"),
            "Registry civil/births: spec.owner: there is no Member `tax` in this namespace",
            false,
        ),
        // Agreements are about services of the own namespace.
        (
            "ExchangeAgreement",
            "births-to-app",
            "/metadata/namespace",
            json!("tax"),
            "ExchangeAgreement tax/births-to-app: spec.provider.member: there is no Member `civil` in this namespace",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/provider/subsystem",
            json!("none"),
            "spec.provider.subsystem: `none` is no subsystem of Member `civil`; it has register",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/provider/service",
            json!("none"),
            "spec.provider.service: `none` is no service of subsystem `register` that is right; it has births",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/endpoints/0/path",
            json!("/all"),
            "spec.endpoints: `GET /all` is no endpoint of UA/GOV/2/register/births",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/endpoints/0/path",
            json!("/**"),
            "spec.endpoints: `GET /**` is no endpoint",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/consumers/0/subsystem",
            json!("GOV/1/gone"),
            "spec.consumers[0].subsystem: no subsystem `GOV/1/gone` takes part",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/consumers/0",
            json!({ "localGroup": "none" }),
            "spec.consumers[0].localGroup: `none` is no local access rights group of the subsystem; there are partners",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/consumers/0",
            json!({ "globalGroup": "none" }),
            "spec.consumers[0].globalGroup: `none` is no global access rights group of the Stack; there are offices",
            false,
        ),
        (
            "ExchangeAgreement",
            "births-to-app",
            "/spec/consent",
            json!({ "block": "consent", "agreement": "a" }),
            "spec.consent.block: the Stack has no block `consent`",
            false,
        ),
        // An endpoint that the OpenAPI document lacks, and documents that are not there.
        (
            "Member",
            "civil",
            "/spec/subsystems/0/services/0/openApi",
            json!({ "configMap": "api", "key": "openapi.yaml" }),
            "Member civil/civil: spec.subsystems[register].services[births].endpoints: `POST /records` is not in the service's OpenAPI document",
            false,
        ),
        (
            "Member",
            "civil",
            "/spec/subsystems/0/services/0/openApi",
            json!({ "configMap": "none", "key": "a" }),
            "ConfigMap `none` does not exist in this namespace",
            false,
        ),
        (
            "Member",
            "civil",
            "/spec/subsystems/0/services/0/openApi",
            json!({ "configMap": "api", "key": "a" }),
            "ConfigMap `api` has no key `a`; it has openapi.yaml",
            false,
        ),
        (
            "Member",
            "civil",
            "/spec/subsystems/0/services/0/registry",
            json!("none"),
            "there is no Registry `none` in this namespace",
            false,
        ),
        // Services.
        (
            "PublicService",
            "birth",
            "/spec/client/member",
            json!("civil"),
            "PublicService app/birth: spec.client.member: there is no Member `civil` in this namespace",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/client/subsystem",
            json!("none"),
            "spec.client.subsystem: `none` is no subsystem of Member `ministry`; it has app",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/identity/authentication",
            json!("high"),
            "spec.uses.identity.authentication: `high` cannot be reached: spec.assurance of the Stack maps low, substantial",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/signature",
            json!("qualified"),
            "spec.uses.signature: the Stack has no block `e-signature`",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/services/0/service",
            json!("GOV/2/register/none"),
            "waits: GOV/2/register/none: no agreement yet; member UA/GOV/2 decides",
            true,
        ),
        (
            "PublicService",
            "birth",
            "/spec/uses/services/0/endpoints",
            json!([]),
            "grants a part of what it asks for",
            true,
        ),
    ];
    for (kind, name, path, value, expected, stays) in cases {
        let mut objects = world();
        let changed = object(&mut objects, kind, name);
        let (parent, field) = path.rsplit_once('/').unwrap();
        match changed.pointer_mut(parent).unwrap_or_else(|| panic!("{path}")) {
            Value::Array(items) => items[field.parse::<usize>().unwrap()] = value.clone(),
            parent => parent[field] = value.clone(),
        }
        let compiled = compiled(&objects);
        let said = said(&compiled);
        assert!(said.iter().any(|s| s.contains(expected)), "{path} = {value}: {said:#?}");
        assert_eq!(
            !rights(&compiled).is_empty(),
            stays,
            "{path} = {value}: {:?} {said:#?}",
            rights(&compiled)
        );
    }
}

#[test]
fn a_code_that_is_claimed_twice_is_nobodys() {
    let mut objects = world();
    let mut twin = object(&mut objects, "Member", "civil").clone();
    twin["metadata"]["name"] = json!("civil-again");
    objects.push(twin);
    let compiled = compiled(&objects);
    let said = said(&compiled);
    for (member, other) in [("civil/civil", "civil-again"), ("civil/civil-again", "civil")] {
        let expected =
            format!("Member {member}: spec.code: `GOV/2` is claimed by {other} too; it is nobody's");
        assert!(said.iter().any(|s| s.starts_with(&expected)), "{expected}: {said:#?}");
    }
    assert!(rights(&compiled).is_empty());
}

#[test]
fn groups_are_who_is_in_them() {
    let mut objects = world();
    object(&mut objects, "ExchangeAgreement", "births-to-app")["spec"]["consumers"] =
        json!([{ "localGroup": "partners" }, { "globalGroup": "offices" }, { "subsystem": "GOV/1/gone" }]);
    let compiled = compiled(&objects);
    // One that is gone takes nothing from the others.
    assert_eq!(rights(&compiled), ["UA/GOV/1/app,UA/GOV/3/desk -> UA/GOV/2/register/births"]);
    assert!(
        said(&compiled).iter().any(|s| s.contains("spec.consumers[2].subsystem: no subsystem `GOV/1/gone`"))
    );
}

#[test]
fn time_opens_and_closes() {
    for (from, until, phase, stays, next) in [
        (Some("2026-07-01T00:00:00Z"), None, AgreementPhase::Scheduled, true, Some("2026-07-01T00:00:00Z")),
        (None, Some(NOW), AgreementPhase::Expired, false, None),
        (Some(NOW), Some("2026-06-01T00:00:01Z"), AgreementPhase::Active, true, Some("2026-06-01T00:00:01Z")),
    ] {
        let mut objects = world();
        let mut validity = json!({});
        for (name, value) in [("from", from), ("until", until)] {
            if let Some(value) = value {
                validity[name] = json!(value);
            }
        }
        object(&mut objects, "ExchangeAgreement", "births-to-app")["spec"]["validity"] = validity;
        let compiled = compiled(&objects);
        let phases = compiled.standing.values().filter_map(|s| match &s.what {
            What::Agreement { phase, .. } => Some(*phase),
            _ => None,
        });
        assert_eq!(phases.collect::<Vec<_>>(), [phase]);
        assert_eq!(!rights(&compiled).is_empty(), stays, "{phase:?}");
        let expected = next.map(|n| n.parse::<jiff::Timestamp>().unwrap().as_second());
        assert_eq!(compiled.next, expected, "{phase:?}");
    }
}

#[test]
fn who_is_disabled_neither_calls_nor_serves() {
    for name in ["civil", "ministry"] {
        let mut objects = world();
        object(&mut objects, "Member", name)["spec"]["disabled"] = json!(true);
        assert!(rights(&compiled(&objects)).is_empty(), "{name}");
    }
}

#[test]
fn a_changed_agreement_changes_one_entry_of_the_rights() {
    let mut objects = world();
    let mut second = object(&mut objects, "ExchangeAgreement", "births-to-app").clone();
    second["metadata"]["name"] = json!("births-to-desk");
    second["spec"]["consumers"] = json!([{ "subsystem": "GOV/3/desk" }]);
    objects.push(second);
    let before = compiled(&objects).rights();
    let changes: [fn(&mut Value); 3] = [
        |a| a["spec"]["endpoints"] = json!([]),
        |a| a["spec"]["consumers"] = json!([{ "subsystem": "COM/1/core" }]),
        |a| a["spec"]["rateLimit"] = json!({ "requests": 5, "per": "Minute" }),
    ];
    for change in changes {
        let mut objects = objects.clone();
        change(object(&mut objects, "ExchangeAgreement", "births-to-app"));
        let after = compiled(&objects).rights();
        let changed = before.rights.iter().zip(&after.rights).filter(|(one, other)| one != other).count();
        assert_eq!((before.rights.len(), after.rights.len(), changed), (2, 2, 1));
    }
}
