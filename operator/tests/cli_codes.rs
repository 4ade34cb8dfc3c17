//! Exit codes and the small commands.

mod support;

use serde_json::Value;
use support::{DEMO, plinth};

#[test]
fn the_help_lists_every_exit_code() {
    let ran = plinth(&["--help"]);
    assert_eq!(ran.code, 0);
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 130] {
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
    let ran = plinth(&["up", DEMO, "--nodes", "imaginary"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("simulated, real, auto"), "{}", ran.err);
    let ran =
        plinth(&["failover", "x", "identity", "--reason", "r", "--restore", "now", "--identity-secret", "s"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("REQUIREMENT=ID"), "{}", ran.err);
}

#[test]
fn no_cluster_is_6_and_says_what_to_do() {
    for args in [
        &["status"][..],
        &["plan", "-f", DEMO, "--diff"],
        &["preflight", "-f", DEMO],
        &["approve", "x", "--reason", "r"],
        &["pause", "x"],
        &["resume", "x", "identity"],
        &["rotate", "x", "identity", "postgresql-superuser", "--reason", "r"],
        &["failover", "x", "identity", "--reason", "r"],
        &["switchback", "x", "identity", "--reason", "r"],
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

#[test]
fn an_entry_that_was_just_started_passes_its_test_and_a_wrong_one_is_3() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    let ran = plinth(&["catalogue", "new", "land-register", "--dir", place]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let folder = dir.path().join("land-register");
    let test = || plinth(&["catalogue", "test", folder.to_str().unwrap(), "-o", "table"]);
    let ran = test();
    assert_eq!((ran.code, ran.out.as_str()), (0, "passed: 1 entry, 3 plans, 0 findings\n"), "{}", ran.err);
    let again = plinth(&["catalogue", "new", "land-register", "--dir", place]);
    assert_eq!(again.code, 3, "what exists is left as it is: {}", again.err);

    let entry = folder.join("product.yaml");
    let text = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, text.replace("ref: requires.db.host", "ref: requires.db.hots")).unwrap();
    let ran = test();
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("`requires.db` has no `hots`; it has: database, username, host"), "{}", ran.out);
}

#[test]
fn a_product_is_shown_with_its_warnings_and_how_much_of_it_is_known() {
    let shown: Value = serde_json::from_str(&plinth(&["catalogue", "show", "esignet"]).out).unwrap();
    let warnings = shown["warnings"].to_string();
    assert!(warnings.contains("refused in national when params.plugin == 'mock'"), "{warnings}");
    assert!(shown["components"].as_array().unwrap().iter().all(|c| c["known"].as_u64().unwrap() > 0));
    let ran = plinth(&["catalogue", "show", "nothing"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("plinth catalogue list"), "{}", ran.err);
}

#[test]
fn the_images_of_a_stack_are_listed_after_its_rewriting_rules() {
    let nation = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nation.yaml");
    let listing: Value = serde_json::from_str(&plinth(&["images", "-f", nation]).out).unwrap();
    let images = listing["images"].as_array().unwrap();
    let rewritten =
        images.iter().find(|i| i["image"] == "registry.example/crvs/countryconfig:2.0.0").unwrap();
    assert_eq!(rewritten["source"], "docker.io/opencrvs/ocrvs-countryconfig:v1.9.11");
    assert_eq!(rewritten["blocks"][0], "registration");
    assert!(images.iter().any(|i| i["image"].as_str().unwrap().contains("/mosipid/")));
    assert!(!listing["downloads"].as_array().unwrap().is_empty());
}
