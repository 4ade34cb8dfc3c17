//! Generated files are as the program would write them now.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::plinth;

const RENEW: &str = "renew it with `cargo run -- crds --dir crds`";

#[test]
fn crds_are_fresh() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let fresh = tempfile::tempdir().unwrap();
    let ran = plinth(&["crds", "--dir", fresh.path().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let names = |dir: &Path| -> BTreeSet<String> {
        let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("crds/: {error}; {RENEW}"));
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect()
    };
    assert_eq!(names(&kept), names(fresh.path()), "crds/ holds other files; {RENEW}");
    for name in names(&kept) {
        let (old, new) = (
            std::fs::read_to_string(kept.join(&name)).unwrap(),
            std::fs::read_to_string(fresh.path().join(&name)).unwrap(),
        );
        // Not assert_eq: two whole files are no message.
        assert!(old == new, "crds/{name} is stale; {RENEW}");
    }
}

#[test]
fn printed_definitions_are_those_of_the_files() {
    let ran = plinth(&["crds"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let fresh = tempfile::tempdir().unwrap();
    plinth(&["crds", "--dir", fresh.path().to_str().unwrap()]);
    let mut files = 0;
    for entry in std::fs::read_dir(fresh.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let (_, body) = text.split_once('\n').unwrap();
        assert!(ran.out.contains(body.trim_end()));
        files += 1;
    }
    assert_eq!(ran.out.matches("\nkind: CustomResourceDefinition\n").count(), files);
}

#[test]
fn what_the_chart_and_the_pages_take_from_the_program_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fresh = tempfile::tempdir().unwrap();
    let ran = plinth(&["generate", fresh.path().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let written: Vec<&str> = ran.err.lines().filter_map(|line| line.strip_prefix("wrote ")).collect();
    assert!(written.len() >= 3, "{}", ran.err);
    for path in written {
        let name = Path::new(path).strip_prefix(fresh.path()).unwrap();
        let kept = std::fs::read_to_string(root.join(name)).unwrap_or_default();
        let fresh = std::fs::read_to_string(path).unwrap();
        assert!(kept == fresh, "{} is stale; renew it with `cargo run -- generate .`", name.display());
    }
}
