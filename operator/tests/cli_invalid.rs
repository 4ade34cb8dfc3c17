//! Bad input: refused with the field's path, the value and what is allowed; exit code 3.

mod support;

use serde_json::Value;
use support::{DEMO, demo_with, plinth, with_input};

/// What `plan` says about a changed demo file.
fn refused(from: &str, to: &str) -> String {
    let ran = with_input(&["plan", "-f", "-"], &demo_with(from, to));
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(!ran.err.contains("panicked") && !ran.err.contains("Error {"), "no dump: {}", ran.err);
    ran.err
}

#[test]
fn an_unknown_field() {
    let said = refused("      product: greeter", "      produkt: greeter");
    assert!(
        said.contains("standard input#2: Stack test/demo: spec.blocks[x-greeter].produkt: is not a field"),
        "{said}"
    );
    assert!(said.contains("product"), "what is allowed: {said}");
}

#[test]
fn an_unknown_product() {
    let said = refused("      product: greeter", "      product: grater");
    assert!(
        said.contains("spec.blocks[x-greeter].product: `grater` is not in the catalogue; it has"),
        "{said}"
    );
    assert!(said.contains("greeter"), "what is allowed: {said}");
}

#[test]
fn an_unknown_version() {
    let said =
        refused("      version: \"1.1\"\n      parameters", "      version: \"9.9\"\n      parameters");
    assert!(
        said.contains("spec.blocks[x-greeter].version: `9.9` of `greeter` is not in the catalogue; it has"),
        "{said}"
    );
    assert!(said.contains("1.1"), "what is allowed: {said}");
}

#[test]
fn a_version_without_quotes() {
    let said = refused("      version: \"1.1\"\n      parameters", "      version: 1.1\n      parameters");
    assert!(
        said.contains("spec.blocks[x-greeter].version: is `1.1`, must be a text; put it in quotes"),
        "{said}"
    );
}

#[test]
fn a_parameter_of_the_wrong_type() {
    let said = refused("loud: true", "loud: very");
    assert!(
        said.contains("spec.blocks[x-greeter].parameters.loud: is \"very\", must be true or false"),
        "{said}"
    );
}

#[test]
fn two_blocks_of_one_name() {
    let said = refused("  blocks:\n", "  blocks:\n    - name: x-greeter\n      product: greeter\n");
    assert!(said.contains("two blocks claim the name `x-greeter`"), "{said}");
}

#[test]
fn a_cycle() {
    let said = refused(
        "      ports:\n        - name: store\n",
        "      connects: [\"greeter:http\"]\n      ports:\n        - name: store\n",
    );
    assert!(said.contains("wait for each other"), "{said}");
}

#[test]
fn something_that_is_not_yaml() {
    let ran = with_input(&["plan", "-f", "-"], "a: [");
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("standard input: is not YAML"), "{}", ran.err);
}

#[test]
fn a_file_that_does_not_exist() {
    let ran = plinth(&["plan", "-f", "/nowhere/stack.yaml"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("/nowhere/stack.yaml: cannot be read"), "{}", ran.err);
}

#[test]
fn validate_prints_every_finding_as_data() {
    let text =
        demo_with("      product: greeter", "      product: grater").replace("code: EE", "code: Estonia");
    let ran = with_input(&["validate", "-f", "-", "-o", "json"], &text);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["valid"], false);
    let finding = &report["findings"][0];
    assert_eq!((&finding["path"], &finding["value"]), (&"spec.country.code".into(), &"Estonia".into()));
    assert!(finding["message"].as_str().unwrap().contains("must be of the form"));

    let ran = plinth(&["validate", "-f", DEMO, "-o", "table"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "valid: 1 Stack, 1 Product\n"), "{}", ran.err);
}
