//! Maps for people: the inbox of agreements, the transparency report, the directory of public services.

mod support;

use serde_json::Value;
use support::{AGENCIES, Ran, agencies_with, plinth, with_input};

const AT: &str = "2026-06-01";

fn offline(args: &[&str]) -> Ran {
    let ran = plinth(&[args, &["-f", AGENCIES, "--at", AT]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
    ran
}

fn changed(args: &[&str], text: &str) -> Ran {
    with_input(&[args, &["-f", "-", "--at", AT]].concat(), text)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.out, ran.err))
}

#[test]
fn the_inbox_holds_what_is_asked_for_and_not_granted() {
    let inbox = json(&offline(&["agreements", "pending", "-o", "json"]));
    let pending = inbox["pending"].as_array().unwrap();
    assert_eq!(pending.len(), 1, "{inbox}");
    assert_eq!(pending[0]["service"], "UA/GOV/3/taxpayers/incomes");
    assert_eq!(pending[0]["client"], "UA/GOV/1/aid");
    assert_eq!(pending[0]["message"], "no agreement yet; member UA/GOV/3 decides");
    for (filter, n) in [
        (["--namespace", "tax"], 1),
        (["--namespace", "civil"], 0),
        (["--member", "GOV/3"], 1),
        (["--member", "civil"], 0),
    ] {
        let inbox = json(&offline(&[&["agreements", "pending", "-o", "json"][..], &filter].concat()));
        assert_eq!(inbox["pending"].as_array().unwrap().len(), n, "{filter:?}");
    }
    let ran =
        changed(&["agreements", "pending", "--member", "taks"], &std::fs::read_to_string(AGENCIES).unwrap());
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("no Member `taks`; the nearest is tax"), "{}", ran.err);
}

#[test]
fn a_request_for_what_nobody_has_says_what_there_is() {
    let text = agencies_with("- service: GOV/3/taxpayers/incomes", "- service: GOV/3/taxpayers/income");
    let ran = changed(&["agreements", "pending", "-o", "json"], &text);
    let inbox = json(&ran);
    let said = inbox["pending"][0]["message"].as_str().unwrap();
    assert_eq!(said, "there is no such service; the nearest is UA/GOV/3/taxpayers/incomes");
    assert!(inbox["pending"][0]["draft"].is_null(), "{inbox}");
}

#[test]
fn a_draft_is_refused_until_it_has_a_legal_basis_and_then_grants() {
    let text = std::fs::read_to_string(AGENCIES).unwrap();
    let draft = offline(&["agreements", "pending", "-o", "yaml"]).out;
    let refused = with_input(&["validate", "-f", "-", "-o", "table"], &format!("{text}\n---\n{draft}"));
    assert_eq!(refused.code, 3, "{}", refused.out);
    for field in ["spec.legalBasis.kind", "spec.legalBasis.citation"] {
        assert!(refused.out.contains(field), "{field}\n{}", refused.out);
    }
    let args = [
        "agreements",
        "pending",
        "-o",
        "yaml",
        "--basis",
        "law",
        "--citation",
        "sample act, article 9",
        "--until",
        "2031-01-01",
    ];
    let draft = offline(&args).out;
    insta::assert_snapshot!(draft);
    let text = format!("{text}\n---\n{draft}");
    let ran =
        changed(&["can", "ministry/aid", "tax/taxpayers/incomes", "GET", "/persons/7", "-o", "json"], &text);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let inbox = json(&changed(&["agreements", "pending", "-o", "json"], &text));
    assert_eq!(inbox["pending"].as_array().unwrap().len(), 0, "{inbox}");
}

#[test]
fn a_basis_needs_a_citation_and_consent_what_the_person_sees() {
    for args in [&["--basis", "law"][..], &["--citation", "a"], &["--basis", "consent", "--citation", "a"]] {
        let ran = plinth(&[&["agreements", "pending", "-f", AGENCIES][..], args].concat());
        assert_eq!(ran.code, 2, "{args:?} {}", ran.err);
    }
}

#[test]
fn every_agreement_is_listed_with_where_it_stands() {
    let list = json(&offline(&["agreements", "list", "-o", "json"]));
    let phases: Vec<(&str, &str)> = list["agreements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["agreement"].as_str().unwrap(), a["phase"].as_str().unwrap()))
        .collect();
    let expected = [
        ("civil/births-to-app", "Active"),
        ("civil/births-to-offices", "Scheduled"),
        ("tax/incomes-to-app", "Expired"),
    ];
    assert_eq!(phases, expected);
    assert_eq!(
        list["agreements"][1]["consumers"],
        serde_json::json!(["UA/GOV/3/desk"]),
        "a group is who is in it"
    );
    let wrong = agencies_with(
        "subsystem: register, service: births }\n  endpoints",
        "subsystem: register, service: deaths }\n  endpoints",
    );
    let ran = changed(&["agreements", "list", "-o", "table"], &wrong);
    assert!(ran.out.contains("Refused") && ran.out.contains("`deaths` is no service"), "{}", ran.out);
    assert!(ran.err.contains("warning: ExchangeAgreement civil/births-to-app"), "{}", ran.err);
}

#[test]
fn the_report_says_who_may_read_what_why_on_what_basis_and_until_when() {
    let report = json(&offline(&["report", "transparency", "-o", "json"]));
    assert_eq!(report["counts"], serde_json::json!({ "registries": 2, "agreements": 2, "readers": 2 }));
    let births = &report["sections"][0];
    assert_eq!(births["registry"]["classification"], "personal");
    assert_eq!(births["registry"]["owner"]["names"]["en"], "Civil Registration");
    let agreements = births["services"][0]["agreements"].as_array().unwrap();
    assert_eq!((&agreements[0]["inForce"], &agreements[1]["inForce"]), (&true.into(), &false.into()));
    assert_eq!(
        agreements[0]["readers"][0]["systems"][0]["publicServices"][0]["title"]["en"],
        "A child is born"
    );
    assert_eq!(agreements[0]["until"], "2030-01-01T00:00:00Z");
    // What is over lets nobody read.
    assert_eq!(report["sections"][1]["services"][0]["agreements"], serde_json::json!([]));
    insta::assert_snapshot!(offline(&["report", "transparency", "-o", "table"]).out);
}

#[test]
fn the_page_is_one_file_in_every_language_of_the_country() {
    let page = offline(&["report", "transparency", "-o", "html"]).out;
    for expected in [
        "<html lang=\"uk\" dir=\"ltr\">",
        "<main lang=\"uk\" dir=\"ltr\">",
        "<main lang=\"en\" dir=\"ltr\">",
        "<label for=\"language-en\" lang=\"en\">English</label>",
        "Content-Security-Policy",
        "Who may read what",
        "Хто і що може читати",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    // A purpose that its provider has written in English alone says so in the Ukrainian half.
    assert!(page.contains("<span lang=\"en\" dir=\"ltr\">To know whose child a child is</span>"), "{page}");
    for foreign in ["<script", "http://", "https://", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}: a page stands alone");
    }
}

#[test]
fn a_language_has_a_file_of_its_own_where_a_folder_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let ran = plinth(&["report", "transparency", "-f", AGENCIES, "--at", AT, "--dir", place]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    let english = std::fs::read_to_string(dir.path().join("transparency.en.html")).unwrap();
    assert!(english.contains("<html lang=\"en\"") && !english.contains("<main lang=\"uk\""), "{english}");
    assert!(
        english.contains("<a href=\"transparency.uk.html\" hreflang=\"uk\" lang=\"uk\">Українська</a>"),
        "{english}"
    );
    assert!(dir.path().join("transparency.uk.html").exists());
}

#[test]
fn whatever_agencies_write_is_escaped() {
    let hostile = "<script>alert(1)</script><img src=x onerror=y>\\\"'";
    for (from, to) in [
        ("en: To fill in the form }", format!("en: \"{hostile}\" }}")),
        ("en: A child is born }", format!("en: \"{hostile}\" }}")),
        ("en: Civil Registration }", format!("en: \"{hostile}\" }}")),
        ("citation: \"sample act, article 1\"", format!("citation: \"{hostile}\"")),
        ("from: birthDate", format!("from: \"{hostile}\"")),
    ] {
        let text = agencies_with(from, &to);
        for args in [&["report", "transparency", "-o", "html"][..], &["directory", "-o", "html"]] {
            let ran = changed(args, &text);
            assert_eq!(ran.code, 0, "{from}: {}", ran.err);
            for element in ["<script", "<img"] {
                assert!(!ran.out.contains(element), "{from} {args:?}");
            }
        }
    }
}

#[test]
fn the_directory_says_what_one_needs_and_which_law_lets_a_service_read_what() {
    let directory = json(&offline(&["directory", "-o", "json"]));
    let services = directory["services"].as_array().unwrap();
    let birth = services.iter().find(|s| s["name"] == "app/birth").unwrap();
    assert_eq!(birth["withoutIdentity"], "Assisted");
    assert_eq!(birth["needs"]["identity"]["proofing"], "substantial");
    assert_eq!(birth["uses"][0]["registry"]["code"], "births");
    assert_eq!(birth["uses"][0]["legalBasis"]["citation"], "sample act, article 1");
    assert_eq!(birth["uses"][0]["purpose"]["uk"], "Заповнити заяву", "the provider's words");
    let aid = services.iter().find(|s| s["name"] == "app/aid").unwrap();
    assert_eq!((&aid["uses"][0]["granted"], &aid["uses"][0]["legalBasis"]), (&false.into(), &Value::Null));
    let page = offline(&["directory", "-o", "html"]).out;
    for expected in [
        "A child is born",
        "At a desk with help",
        "it cannot be used",
        "anybody may use it",
        "It uses no data",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    insta::assert_snapshot!(offline(&["directory", "-o", "table"]).out);
}

#[test]
fn a_country_brings_the_words_of_its_language() {
    let dir = tempfile::tempdir().unwrap();
    let words = dir.path().join("words.yaml");
    std::fs::write(&words, "directory: { qu: Runapaq ruwaykuna }").unwrap();
    let text = agencies_with("languages: [uk, en]", "languages: [qu, en]");
    let ran = changed(&["directory", "-o", "html", "--words", words.to_str().unwrap()], &text);
    assert!(ran.out.contains("<h1>Runapaq ruwaykuna</h1>"), "{}{}", ran.err, ran.out);
    std::fs::write(&words, "directori: { qu: a }").unwrap();
    let ran = changed(&["directory", "-o", "html", "--words", words.to_str().unwrap()], &text);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("`directori` is a word of no page"), "{}", ran.err);
}

#[test]
fn a_page_is_for_what_has_one() {
    let ran = plinth(&["agreements", "list", "-f", AGENCIES, "-o", "html"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`-o html` belongs to `report` and `directory`"), "{}", ran.err);
}
