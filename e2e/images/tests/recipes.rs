//! Recipes are data: each can be read, stands for an image of a product, and is told of in the documentation.

use std::collections::BTreeSet;
use std::path::Path;

use plinth_images::{Images, Recipe};
use plinth_plan::catalogue::Catalogue;
use serde::Deserialize as _;

/// What a country of one's own declares beside the catalogue's products, for which there are recipes too.
const JOURNEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/journey");

/// Images of the journey's own products and services.
fn declared() -> Vec<String> {
    let mut images = Vec::new();
    for file in std::fs::read_dir(JOURNEY).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = serde_json::Value::deserialize(document).unwrap();
            let versions = object["spec"]["versions"].as_array().into_iter().flatten();
            let of_product =
                versions.filter_map(|version| version["images"].as_object()).flat_map(|all| all.values());
            let all = of_product.chain([&object["spec"]["workload"]["image"]]);
            images.extend(all.filter_map(|image| image.as_str()).map(str::to_owned));
        }
    }
    images
}

fn recipes() -> Vec<Recipe> {
    Recipe::images().unwrap().iter().map(|name| Recipe::named(name).unwrap()).collect()
}

#[test]
fn every_recipe_and_its_bases_can_be_read() {
    let recipes = recipes();
    assert!(recipes.len() >= 9, "{}", recipes.len());
    for recipe in recipes {
        assert_eq!(recipe.chain().unwrap()[0].name, "debian", "{}", recipe.name);
    }
}

#[test]
fn every_image_stands_for_one_that_somebody_runs() {
    let catalogue = Catalogue::builtin().unwrap();
    let entries = catalogue
        .entries()
        .flat_map(|entry| &entry.spec.versions)
        .flat_map(|version| version.images.values());
    let mut named: BTreeSet<&str> = entries.map(String::as_str).collect();
    // What Plinth itself is, and what acts on Gateways: no entry of the catalogue renders that.
    named.extend([
        plinth_api::names::IMAGE,
        plinth_cluster::GATEWAY_CONTROLLER,
        plinth_cluster::GATEWAY_PROXY,
    ]);
    let own = declared();
    named.extend(own.iter().map(String::as_str));
    for recipe in recipes() {
        let upstream = recipe.upstream.as_deref().unwrap();
        assert!(named.contains(upstream), "{}: nobody runs {upstream}", recipe.name);
    }
}

#[test]
fn the_rules_of_a_stack_lead_to_every_image() {
    let rules: Vec<plinth_api::v1alpha1::stack::ImageRewrite> =
        serde_yaml::from_str(include_str!("../rewrites.yaml")).unwrap();
    let rules = plinth_api::v1alpha1::stack::Images { rewrites: rules, ..Default::default() };
    for recipe in recipes() {
        assert_eq!(
            Some(rules.rewritten(recipe.upstream.as_deref().unwrap())),
            recipe.reference(),
            "{}",
            recipe.name
        );
    }
}

#[test]
fn every_image_has_a_line_in_the_table_of_deviations() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images.md");
    let table = std::fs::read_to_string(table).unwrap();
    for recipe in recipes() {
        let line = format!("| `{}` |", recipe.upstream.unwrap());
        assert!(table.contains(&line), "docs/images.md has no line with {line}");
    }
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let images = Images::kept_in(folder.path().to_owned(), &plinth_cluster::Silent);
    let refused = |name: &str| images.build(name).unwrap_err().to_string();
    assert!(
        refused("oracle").starts_with("`oracle` is no image; there are central-ledger, "),
        "{}",
        refused("oracle")
    );
    assert!(refused("java").starts_with("`java` is no image"), "a part of images is none");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is made of what is refused");
}
