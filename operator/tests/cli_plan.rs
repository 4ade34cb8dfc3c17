//! `plinth plan`, offline.

mod support;

use serde_json::Value;
use support::{DEMO, demo_with, plinth, with_input};

#[test]
fn every_object_is_shown_by_cluster_and_wave() {
    let ran = plinth(&["plan", "-f", DEMO, "-o", "table"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for expected in [
        "Stack test/demo",
        "cluster home",
        "Namespace/demo-x-greeter",
        "Deployment/demo-x-greeter/greeter",
        "password: generated (24 characters)",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
    // What it connects to comes before it.
    let wave = |object: &str| -> usize {
        let line = ran.out.lines().find(|line| line.contains(object)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(
        wave("Deployment/demo-x-greeter/store") < wave("Deployment/demo-x-greeter/greeter"),
        "{}",
        ran.out
    );
}

#[test]
fn json_is_stable_and_holds_no_secret_value() {
    let first = plinth(&["plan", "-f", DEMO]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert_eq!(
        first.out,
        plinth(&["plan", "-f", DEMO, "-o", "json"]).out,
        "a program gets JSON, and always the same"
    );
    let read: Value = serde_json::from_str(&first.out).unwrap();
    let plan = &read["plans"][0];
    assert_eq!(plan["stack"], "demo");
    assert_eq!(plan["clusters"][0]["name"], "home");
    assert!(plan["planHash"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(plan["summary"]["components"], 2);
    let units = plan["clusters"][0]["waves"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|wave| wave["units"].as_array().unwrap());
    let objects: Vec<&Value> = units.flat_map(|unit| unit["objects"].as_array().unwrap()).collect();
    assert_eq!(objects.len() as u64, plan["summary"]["objects"].as_u64().unwrap());
    let secret = objects.iter().find(|object| object["key"]["kind"] == "Secret").unwrap();
    assert!(secret["body"]["data"].is_null() && secret["body"]["stringData"].is_null(), "{secret}");
    assert!(secret["secret"]["password"]["generate"].is_object(), "{secret}");
    assert!(!first.out.contains('\u{E000}'), "tokens stay inside");
}

#[test]
fn yaml_says_the_same_as_json() {
    let json: Value = serde_json::from_str(&plinth(&["plan", "-f", DEMO, "-o", "json"]).out).unwrap();
    let yaml: Value = serde_yaml::from_str(&plinth(&["plan", "-f", DEMO, "-o", "yaml"]).out).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn a_summary_counts() {
    let ran = plinth(&["plan", "-f", DEMO, "-o", "summary"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("1 block, 2 components") && ran.out.contains("2 Deployment"), "{}", ran.out);
}

#[test]
fn a_folder_and_standard_input_are_read_too() {
    let file = plinth(&["plan", "-f", DEMO]).out;
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(DEMO).unwrap();
    let (product, stack) = text.split_once("\n---\n").unwrap();
    std::fs::create_dir(folder.path().join("products")).unwrap();
    std::fs::write(folder.path().join("products/greeter.yml"), product).unwrap();
    std::fs::write(folder.path().join("stack.yaml"), stack).unwrap();
    std::fs::write(folder.path().join("README.md"), "not a Stack").unwrap();
    assert_eq!(plinth(&["plan", "-f", folder.path().to_str().unwrap()]).out, file);
    assert_eq!(with_input(&["plan", "-f", "-"], &text).out, file);
}

#[test]
fn a_changed_parameter_gives_another_plan() {
    let quiet =
        with_input(&["plan", "-f", "-", "-o", "summary"], &demo_with("loud: true", "loud: false")).out;
    assert_ne!(quiet, plinth(&["plan", "-f", DEMO, "-o", "summary"]).out, "the hash names the plan");
}
