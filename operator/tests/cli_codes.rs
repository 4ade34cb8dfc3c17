//! Exit codes and the small commands.

mod support;

use serde_json::Value;
use support::{DEMO, plinth};

#[test]
fn the_help_lists_every_exit_code() {
    let ran = plinth(&["--help"]);
    assert_eq!(ran.code, 0);
    for code in [0, 1, 2, 3, 4, 5, 6, 130] {
        let listed = ran.out.lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
        assert!(listed, "{code}\n{}", ran.out);
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    assert_eq!(plinth(&["plan"]).code, 2);
    assert_eq!(plinth(&["nonsense"]).code, 2);
    let ran = plinth(&["validate", "-f", DEMO, "-o", "summary"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("belongs to `plan`"), "{}", ran.err);
    let ran = plinth(&["up", DEMO, "--nodes", "real"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--nodes real is not in this version"), "{}", ran.err);
}

#[test]
fn no_cluster_is_6_and_says_what_to_do() {
    for args in [
        &["status"][..],
        &["plan", "-f", DEMO, "--diff"],
        &["preflight", "-f", DEMO],
        &["approve", "x", "--reason", "r"],
    ] {
        let ran = plinth(args);
        assert_eq!(ran.code, 6, "{args:?} {}", ran.err);
        assert!(ran.err.contains("no cluster is configured") && ran.err.contains("next:"), "{}", ran.err);
    }
    let ran = plinth(&["status", "--kubeconfig", "/nowhere/config"]);
    assert_eq!(ran.code, 6);
    assert!(ran.err.contains("/nowhere/config"), "{}", ran.err);
}

#[test]
fn down_has_nothing_to_do_where_nothing_runs() {
    let ran = plinth(&["down", "-o", "table"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing of `plinth` runs here\n"), "{}", ran.err);
}

#[test]
fn the_catalogue_is_listed_and_its_schema_is_one() {
    let list: Value = serde_json::from_str(&plinth(&["catalogue", "list"]).out).unwrap();
    assert!(list["revision"].as_str().unwrap().starts_with("sha256:"));
    assert!(list["products"].as_array().unwrap().iter().any(|product| product["name"] == "postgresql"));
    let schema: Value = serde_json::from_str(&plinth(&["catalogue", "schema"]).out).unwrap();
    assert_eq!(schema["properties"]["kind"]["const"], "Product");
    assert!(schema["properties"]["spec"]["properties"]["components"].is_object());
}

#[test]
fn completions_name_the_commands() {
    let ran = plinth(&["completion", "bash"]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("preflight"));
}
