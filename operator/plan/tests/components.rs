//! Every component that a product's own charts or compositions have is in its entry, or the entry says why not.
//!
//! `upstream-components.txt` beside an entry has a line for each: its name, a tab, and `present`; where Plinth's name
//! differs, `present` with a text that names what stands for it in the entry; or `left out: <reason>`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plinth_api::ProductSpec;
use plinth_plan::catalogue::Catalogue;

/// Everything that an entry gives a name.
fn names(spec: &ProductSpec) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = spec.components.iter().map(|component| component.name.as_str()).collect();
    names.extend(spec.objects.iter().map(|object| object.name.as_str()));
    names.extend(spec.requires.iter().flat_map(|r| [r.name.as_str(), r.capability.as_str()]));
    names.extend(spec.secrets.iter().map(|secret| secret.name.as_str()));
    names.extend(spec.parameters.iter().map(|parameter| parameter.name.as_str()));
    names.extend(spec.configs.iter().map(|config| config.name.as_str()));
    names.extend(spec.onboarding.iter().map(|step| step.name.as_str()));
    names.extend(spec.versions.iter().flat_map(|version| version.images.keys().map(String::as_str)));
    names
}

fn wrong(product: &str, spec: &ProductSpec, list: &str) -> Vec<String> {
    let names = names(spec);
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut wrong = Vec::new();
    for (i, line) in
        list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let at = format!("{product}, line {}", i + 1);
        let Some((name, fate)) = line.split_once('\t') else {
            wrong.push(format!("{at}: `{line}` has no tab"));
            continue;
        };
        let (name, fate) = (name.trim(), fate.trim());
        match (fate.strip_prefix("present"), fate.strip_prefix("left out:")) {
            (Some(""), _) if names.contains(name) => {}
            (Some(""), _) => {
                wrong.push(format!("{at}: `{name}` is said to be present and is nowhere in the entry"))
            }
            (Some(text), _) => {
                let said = format!("{name} {text}");
                if !said.split(|c: char| !is_word(c)).any(|word| names.contains(word)) {
                    wrong.push(format!("{at}: `{text}` names nothing that the entry has"));
                }
            }
            (None, Some(reason)) if reason.trim().len() < 8 => {
                wrong.push(format!("{at}: `{name}` is left out without a reason"));
            }
            (None, Some(_)) if spec.components.iter().any(|component| component.name == name) => {
                wrong.push(format!("{at}: `{name}` is said to be left out and is a component"));
            }
            (None, Some(_)) => {}
            (None, None) => {
                wrong.push(format!("{at}: `{fate}` is neither `present` nor `left out: <reason>`"))
            }
        }
    }
    wrong
}

#[test]
fn every_upstream_component_is_present_or_left_out_with_a_reason() {
    let catalogue = Catalogue::builtin().expect("the built-in entries parse");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalogue");
    let mut counts = BTreeMap::new();
    let mut all = Vec::new();
    for entry in catalogue.entries() {
        let Ok(list) = std::fs::read_to_string(folder.join(&entry.name).join("upstream-components.txt"))
        else {
            continue;
        };
        counts.insert(entry.name.clone(), list.lines().count());
        all.extend(wrong(&entry.name, &entry.spec, &list));
    }
    println!("{counts:?}");
    assert!(counts.contains_key("mosip") && counts.len() >= 5, "the lists are missing: {counts:?}");
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn a_list_that_is_not_true_is_found() {
    let spec: ProductSpec = serde_json::from_value(serde_json::json!({
        "title": "X", "description": "", "licence": "", "maturity": "beta", "asOf": "2026-11-23", "sources": [], "versions": [],
        "components": [{ "name": "server", "image": "server" }],
    }))
    .expect("the entry parses");
    let lines = "server\tpresent\nalpha\tpresent\nbeta\tpresent: as part of the server\ngamma\tpresent: somewhere\n\
                 delta\tleft out: not installable\nepsilon\tleft out: no\nserver\tleft out: not installable\nzeta\n";
    let found = wrong("x", &spec, lines);
    let expected = [
        "line 2: `alpha` is said to be present",
        "line 4: `: somewhere` names nothing",
        "line 6: `epsilon` is left out without a reason",
        "line 7: `server` is said to be left out and is a component",
        "line 8: `zeta` has no tab",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}");
    }
}
