//! Every built-in entry says what it should, as of the day on which its sources were read: a test must not fail because
//! time went by. What has ended since is shown by `plinth catalogue lint`.

use plinth_plan::catalogue::Catalogue;
use plinth_plan::lint;

#[test]
fn every_built_in_entry_passes_the_lint() {
    let catalogue = Catalogue::builtin().expect("the built-in entries parse");
    let found: Vec<String> = catalogue
        .entries()
        .flat_map(|entry| lint::lint(entry, &catalogue, &entry.spec.as_of))
        .map(|finding| finding.to_string())
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
