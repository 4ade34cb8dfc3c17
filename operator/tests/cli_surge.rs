//! `plinth surge`, offline.

mod support;

use serde_json::Value;
use support::{plinth, with_input};

const UKRAINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ukraine");
const REGISTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/register.yaml");

/// A public service of the office for families, which reads a register of so many calls a second.
fn country(bears: u32) -> String {
    let register = std::fs::read_to_string(REGISTER).unwrap();
    let capacity = format!("priority: critical\n  capacity: {{ requests: {bears}, per: Second }}");
    let service = "---
apiVersion: plinth.dev/v1alpha1
kind: PublicService
metadata: { name: grant, namespace: families }
spec:
  stackRef: { name: registers, namespace: dpi }
  title: { en: Grant, fr: Allocation }
  channels: [Web]
  client: { member: families, subsystem: grants }
  load: { daily: 86400 }
  uses:
    services:
      - service: GOV/100/register/persons
        endpoints: [{ method: GET, path: \"/*\" }]
        purpose: to know whose child a child is
        callsPerPerson: 4
";
    format!("{}\n{service}", register.replace("priority: critical", &capacity))
}

#[test]
fn what_bends_first_is_named_and_the_exit_code_says_that_something_does() {
    let ran = with_input(&["surge", "-f", "-", "--load", "2", "-o", "table"], &country(5));
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(
        ran.out.contains("Registry persons bends first: 8.00 calls a second come, and it bears 5.00"),
        "{}",
        ran.out
    );
    let calm = with_input(&["surge", "-f", "-", "-o", "table"], &country(5));
    assert_eq!(calm.code, 0, "{}", calm.err);
    assert!(calm.out.contains("nothing that says what it bears bends"), "{}", calm.out);
}

#[test]
fn an_agreement_that_lets_fewer_through_bends_before_the_register() {
    let ran = with_input(&["surge", "-f", "-", "--load", "6"], &country(1000));
    assert_eq!(ran.code, 4, "{}", ran.err);
    let read: Value = serde_json::from_str(&ran.out).unwrap();
    let first = &read["demands"][0];
    assert_eq!((&first["kind"], &first["capacity"]), (&"Agreement".into(), &20.0.into()));
    assert_eq!(first["bendsAt"], 5.0);
    assert!(first["name"].as_str().unwrap().starts_with("civil/persons-to-families for "), "{first}");
}

#[test]
fn a_whole_country_is_counted() {
    let ran = plinth(&["surge", "-f", UKRAINE, "--hours", "12"]);
    assert_eq!(ran.code, 4, "agreements there let less through than the worst day brings: {}", ran.err);
    let read: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(read["demands"].as_array().unwrap().len() > 20);
}

#[test]
fn a_load_of_nothing_is_refused() {
    let ran = plinth(&["surge", "-f", REGISTER, "--load", "0"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--load: is 0, must be more than 0"), "{}", ran.err);
}
