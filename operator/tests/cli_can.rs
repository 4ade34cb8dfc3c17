//! `plinth can`, and what `validate` and `plan` say about what agencies declare.

mod support;

use serde_json::Value;
use support::{AGENCIES, Ran, agencies_with, plinth, with_input};

const AT: &str = "2026-06-01";

fn can(client: &str, service: &str, method: &str, path: &str, at: &str) -> Ran {
    plinth(&["can", client, service, method, path, "-f", AGENCIES, "--at", at, "-o", "json"])
}

/// Whether the app may read a record of births, in a country as the text has it.
fn can_of(text: &str) -> Ran {
    let question = ["can", "GOV/1/app", "GOV/2/register/births", "GET", "/records/7"];
    with_input(&[&question[..], &["-f", "-", "--at", AT, "-o", "json"]].concat(), text)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err))
}

/// Layer and verdict of each line.
fn verdicts(answer: &Value) -> Vec<String> {
    let lines = answer["layers"].as_array().unwrap();
    lines
        .iter()
        .map(|line| format!("{}: {}", line["layer"].as_str().unwrap(), line["verdict"].as_str().unwrap()))
        .collect()
}

#[test]
fn what_an_agreement_grants_is_yes_and_the_agreement_is_named() {
    let ran = can("GOV/1/app", "GOV/2/register/births", "get", "/records/7", AT);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let answer = json(&ran);
    assert_eq!(answer["granted"]["agreement"], "civil/births-to-app");
    assert_eq!(answer["granted"]["legalBasis"]["citation"], "sample act, article 1");
    assert_eq!(answer["address"], "/r1/UA/GOV/2/register/births/records/7");
    let expected = ["address: passes", "identity: passes", "service: passes", "agreement: passes"];
    assert_eq!(verdicts(&answer)[..4], expected);
    assert!(
        ran.out.contains("pods app=births of namespace app reach block information-mediator"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("block information-mediator reaches births.gov.example:443"), "{}", ran.out);
}

#[test]
fn a_person_reads_who_may_why_and_until_when() {
    let ran = plinth(&[
        "can",
        "ministry/app",
        "civil/register/births",
        "GET",
        "/records/7",
        "-f",
        AGENCIES,
        "--at",
        AT,
        "-o",
        "table",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    insta::assert_snapshot!(ran.out);
}

#[test]
fn what_nobody_grants_is_no_with_the_layer_and_what_would_have_to_change() {
    let births = "GOV/2/register/births";
    let incomes = "GOV/3/taxpayers/incomes";
    for (client, service, method, path, at, layer, change) in [
        (
            "GOV/1/app",
            births,
            "GET",
            "/records//7",
            AT,
            "address",
            "write the path so that every server reads it",
        ),
        (
            "GOV/1/app",
            births,
            "DELETE",
            "/records/7",
            AT,
            "service",
            "Member civil/civil: spec.subsystems[register].services[births].endpoints has to have it; there are GET /records/*, POST /records",
        ),
        (
            "GOV/1/app",
            births,
            "POST",
            "/records",
            AT,
            "agreement",
            "ExchangeAgreement civil/births-to-app: spec.endpoints has to have it; there are GET /records/*",
        ),
        (
            "GOV/1/app",
            births,
            "GET",
            "/records/7",
            "2030-01-01",
            "agreement",
            "ExchangeAgreement civil/births-to-app: spec.validity.until has to be later; it ended at 2030-01-01T00:00:00Z",
        ),
        (
            "GOV/3/desk",
            births,
            "GET",
            "/records/7",
            AT,
            "agreement",
            "ExchangeAgreement civil/births-to-offices: spec.validity.from has to come; it begins at 2027-01-01T00:00:00Z",
        ),
        (
            "GOV/1/aid",
            births,
            "GET",
            "/records/7",
            AT,
            "agreement",
            "namespace civil needs an ExchangeAgreement about service births of subsystem register with consumer GOV/1/aid",
        ),
        (
            "GOV/1/aid",
            incomes,
            "GET",
            "/persons/7",
            AT,
            "agreement",
            "it is asked for, and `plinth agreements pending -o yaml` prints a draft",
        ),
        (
            "EE/GOV/1/app",
            births,
            "GET",
            "/records/7",
            AT,
            "identity",
            "instance EE is not federated with UA: spec.exchange.federation of the Stack does not name it",
        ),
        (
            "GOV/1/app",
            "EE/GOV/9/register/people",
            "GET",
            "/7",
            AT,
            "service",
            "instance EE is not federated with UA: spec.exchange.federation of the Stack does not name it",
        ),
    ] {
        let ran = can(client, service, method, path, at);
        let answer = json(&ran);
        assert_eq!(
            (ran.code, &answer["allowed"]),
            (7, &false.into()),
            "{client} {method} {path}: {}",
            ran.err
        );
        assert!(verdicts(&answer).contains(&format!("{layer}: denies")), "{layer}: {answer}");
        assert!(answer["changes"].to_string().contains(change), "{change}: {answer}");
    }
    assert_eq!(can("GOV/3/desk", births, "GET", "/records/7", "2027-01-01").code, 0, "its time has come");
}

#[test]
fn who_is_disabled_may_not_and_what_is_wrong_with_a_member_is_said() {
    let ask = |text: &str| {
        let ran = can_of(text);
        assert_eq!(ran.code, 7, "{}", ran.err);
        json(&ran)
    };
    let disabled = ask(&agencies_with("  code: \"1\"\n", "  code: \"1\"\n  disabled: true\n"));
    assert!(verdicts(&disabled).contains(&"identity: denies".to_owned()), "{disabled}");
    assert!(
        disabled["changes"].to_string().contains("Member app/ministry: spec.disabled has to be false"),
        "{disabled}"
    );
    let unbound =
        ask(&agencies_with("{ namespace: app, members: [GOV/1] }", "{ namespace: app, members: [GOV/9] }"));
    assert!(unbound["changes"].to_string().contains("the Stack does not bind `GOV/1`"), "{unbound}");
    let closed = ask(&agencies_with("key: births.yaml }", "key: none }"));
    assert!(verdicts(&closed).contains(&"service: denies".to_owned()), "{closed}");
    assert!(closed["changes"].to_string().contains("ConfigMap `api` has no key `none`"), "{closed}");
}

#[test]
fn pods_reach_the_exchange_as_long_as_an_agreement_grants_them_something() {
    let network = |at: &str| {
        json(&can("GOV/1/app", "GOV/2/register/births", "GET", "/records/7", at))["layers"][4].clone()
    };
    let granted = network(AT);
    assert_eq!((&granted["layer"], &granted["verdict"]), (&"network, client".into(), &"passes".into()));
    let ended = network("2030-01-01");
    assert_eq!((&ended["layer"], &ended["verdict"]), (&"network, client".into(), &"denies".into()));
    assert!(
        ended["says"].as_str().unwrap().contains("do not reach block information-mediator until"),
        "{ended}"
    );
}

#[test]
fn a_system_that_declares_no_pods_has_to_call_from_elsewhere() {
    let text = agencies_with(", pods: { app: births }", "");
    let ran = can_of(&text);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(verdicts(&json(&ran)).contains(&"network, client: outside".to_owned()), "{}", ran.out);
    assert!(ran.out.contains("UA/GOV/1/app declares no pods"), "{}", ran.out);
}

#[test]
fn names_that_are_not_there_are_answered_with_the_nearest() {
    for (client, service, said) in [
        ("GOV/1/ap", "GOV/2/register/births", "no subsystem `UA/GOV/1/ap`; the nearest are UA/GOV/1/app"),
        (
            "GOV/1/app",
            "GOV/2/register/birth",
            "no service `UA/GOV/2/register/birth`; the nearest are UA/GOV/2/register/births",
        ),
        ("minstry/app", "GOV/2/register/births", "no Member `minstry`; the nearest is ministry"),
        (
            "app",
            "GOV/2/register/births",
            "`app` must be of the form CLASS/CODE/SUBSYSTEM, or MEMBER/SUBSYSTEM",
        ),
        (
            "GOV/1/app",
            "births",
            "must be of the form CLASS/CODE/SUBSYSTEM/SERVICE, or MEMBER/SUBSYSTEM/SERVICE",
        ),
    ] {
        let ran = can(client, service, "GET", "/", AT);
        assert_eq!(ran.code, 3, "{client} {service}");
        assert!(ran.err.contains(said), "{said}\n{}", ran.err);
    }
}

#[test]
fn a_wrong_question_is_2_or_3() {
    for (method, path, more, code, said) in [
        ("FETCH", "/", &[][..], 2, "possible values: GET, HEAD"),
        ("GET", "records", &[], 2, "must begin with `/`"),
        ("GET", "/", &["--at", "tomorrow"], 2, "must be a day as 2026-01-31"),
        ("GET", "/", &["--stack", "smal"], 3, "no Stack `smal`; the nearest is dpi/small"),
    ] {
        let args = ["can", "GOV/1/app", "GOV/2/register/births", method, path, "-f", AGENCIES];
        let ran = plinth(&[&args[..], more].concat());
        assert_eq!(ran.code, code, "{method} {path}: {}", ran.err);
        assert!(ran.err.contains(said), "{said}\n{}", ran.err);
    }
}

#[test]
fn what_agencies_declare_is_validated_with_file_object_and_path() {
    let ran = plinth(&["validate", "-f", AGENCIES, "-o", "table"]);
    let counts =
        "valid: 1 Stack, 0 Products, 3 ExchangeAgreements, 3 Members, 3 PublicServices, 2 Registries\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, counts, ""));

    for (from, to, object, path, said) in [
        (
            "consumers: [{ subsystem: GOV/1/app }]\n  purpose: { uk: Заповнити",
            "consumers: [{ subsystem: GOV/1/gone }]\n  purpose: { uk: Заповнити",
            "ExchangeAgreement civil/births-to-app",
            "spec.consumers[0].subsystem",
            "no subsystem `GOV/1/gone` takes part",
        ),
        (
            "endpoints: [{ method: GET, path: \"/persons/*\" }]",
            "endpoints: []\n          openApi: { configMap: none, key: a }",
            "Member tax/tax",
            "spec.subsystems[taxpayers].services[incomes].openApi",
            "ConfigMap `none` does not exist in this namespace",
        ),
        (
            "code: taxpayers\n  owner",
            "code: persons\n  owner",
            "Registry tax/taxpayers",
            "spec.code",
            "the Stack does not bind `persons`",
        ),
        (
            "metadata: { name: tax, labels: { dpi: \"yes\" } }",
            "metadata: { name: tax }",
            "Member tax/tax",
            "spec.stackRef",
            "does not admit namespace `tax`",
        ),
        (
            "kind: Contract",
            "kind: Consent",
            "ExchangeAgreement tax/incomes-to-app",
            "spec",
            "consent: required exactly when legalBasis.kind is Consent",
        ),
    ] {
        let text = agencies_with(from, to);
        let ran = with_input(&["validate", "-f", "-", "-o", "json"], &text);
        assert_eq!((ran.code, ran.err.as_str()), (3, ""), "{path}");
        let report = json(&ran);
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|f| f["object"] == object && f["path"] == path);
        let finding = finding.unwrap_or_else(|| panic!("{object} {path}: {report}"));
        assert!(finding["message"].as_str().unwrap().contains(said), "{finding}");
        assert!(finding["file"].as_str().unwrap().starts_with("standard input#"), "{finding}");
    }
}

#[test]
fn what_names_a_stack_of_elsewhere_is_said_and_not_checked() {
    let text = std::fs::read_to_string(AGENCIES).unwrap();
    let own = text.split("\n---\n").find(|d| d.contains("kind: Registry")).unwrap();
    let ran = with_input(&["validate", "-f", "-", "-o", "table"], own);
    assert_eq!((ran.code, ran.out.as_str()), (0, "valid: 0 Stacks, 0 Products, 1 Registry\n"), "{}", ran.err);
    assert!(
        ran.err.contains("Registry civil/births: spec.stackRef: Stack `small` is not in these files"),
        "{}",
        ran.err
    );
}

#[test]
fn a_plan_goes_on_without_what_is_wrong_and_warns_of_it() {
    let text = agencies_with("code: taxpayers\n  owner", "code: persons\n  owner");
    let ran = with_input(&["plan", "-f", "-", "-o", "summary"], &text);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let expected = "Registry tax/taxpayers: spec.code: the Stack does not bind `persons`";
    assert!(ran.err.contains("warning: standard input#") && ran.err.contains(expected), "{}", ran.err);
}
