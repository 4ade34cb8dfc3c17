//! `plinth explain placement`, offline.

mod support;

use serde_json::Value;
use support::{plinth, with_input};

const ESTATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/multi-site");

#[test]
fn each_block_is_shown_with_every_cluster_and_why() {
    let ran = plinth(&["explain", "placement", ESTATE, "-o", "table"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let line = |block: &str, cluster: &str| {
        let words = |line: &&str| line.split_whitespace().take(2).eq([block, cluster]);
        ran.out.lines().find(words).unwrap_or_else(|| panic!("{block} {cluster}:\n{}", ran.out)).to_owned()
    };
    for (block, cluster, expected) in [
        ("identity", "hub", "chosen"),
        ("identity", "north", "refused"),
        ("workflow", "north", "chosen"),
        ("information-mediator", "south", "chosen"),
        ("information-mediator", "north", "standby"),
        ("digital-registries", "south", "chosen"),
        ("digital-registries", "embassy", "standby"),
        ("digital-registries", "north", "is not one of south, embassy"),
    ] {
        assert!(line(block, cluster).contains(expected), "{}", line(block, cluster));
    }
}

#[test]
fn programs_read_the_same_as_json() {
    let ran = plinth(&["explain", "placement", ESTATE, "digital-registries"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let read: Value = serde_json::from_str(&ran.out).unwrap();
    let blocks = read["stacks"][0]["blocks"].as_array().unwrap();
    assert_eq!((read["stacks"][0]["stack"].as_str(), blocks.len()), (Some("dpi/estate"), 1));
    assert_eq!((&blocks[0]["cluster"], &blocks[0]["standby"][0]), (&"south".into(), &"embassy".into()));
    let north = blocks[0]["clusters"].as_array().unwrap().iter().find(|c| c["name"] == "north").unwrap();
    assert_eq!(north["standing"], "refused");
    assert_eq!(north["reasons"][0]["predicate"], "clusters");
}

#[test]
fn a_block_without_a_place_is_an_error_and_says_why() {
    let files = ["stack.yaml", "clusters.yaml"]
        .map(|file| std::fs::read_to_string(format!("{ESTATE}/{file}")).unwrap());
    let moved = files.join("\n---\n").replace("location: ZZ-S", "location: FR-75");
    let ran = with_input(&["explain", "placement", "-", "digital-registries", "-o", "table"], &moved);
    assert_eq!(ran.code, 3, "{}", ran.err);
    for expected in [
        "refused: spec.placement.blocks[digital-registries]: no cluster may hold the block.",
        "spec.placement.residency[registers-at-home].location: cluster `south` stands in FR-75",
        "allowed for Primary of block `digital-registries` is ZZ",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
}

#[test]
fn what_is_not_there_is_answered_with_what_is_near() {
    let ran = plinth(&["explain", "placement", ESTATE, "identty"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.contains("there is no block `identty` that Plinth installs; the nearest is identity"),
        "{}",
        ran.err
    );
    let wrong = std::fs::read_to_string(format!("{ESTATE}/stack.yaml")).unwrap();
    let wrong = wrong.replace("block: x-consular-registries", "block: x-consular");
    let ran = with_input(&["explain", "placement", "-"], &wrong);
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.contains("spec.placement.blocks[x-consular].block: `x-consular` is no block"),
        "{}",
        ran.err
    );
}
