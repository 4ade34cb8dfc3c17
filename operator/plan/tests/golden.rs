//! Every example's plan is a golden file: what a person would read before approving it.

use std::path::Path;

use plinth_api::{Product, Stack};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::Plan;
use serde::Deserialize;
use serde_json::{Value, json};

/// Everything a file declares.
fn read(path: &Path) -> (Vec<Stack>, Vec<Product>) {
    let text = std::fs::read_to_string(path).expect("the example is readable");
    let (mut stacks, mut products) = (Vec::new(), Vec::new());
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document).expect("the example is YAML");
        match value["kind"].as_str() {
            Some("Stack") => stacks.push(serde_json::from_value(value).expect("the example is a Stack")),
            Some("Product") => {
                products.push(serde_json::from_value(value).expect("the example is a Product"))
            }
            _ => {}
        }
    }
    (stacks, products)
}

fn catalogue() -> Catalogue {
    Catalogue::builtin().unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

/// An object as people read it: without digest and Plinth's own labels, so that one change moves one line.
fn bare(mut body: Value) -> Value {
    let annotations = &mut body["metadata"]["annotations"];
    if let Some(map) = annotations.as_object_mut() {
        map.remove(plinth_api::names::ANNOTATION_HASH);
    }
    if annotations.as_object().is_none_or(serde_json::Map::is_empty) {
        body["metadata"].as_object_mut().expect("metadata is an object").remove("annotations");
    }
    strip(&mut body);
    body
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(labels) = map.get_mut("labels").and_then(Value::as_object_mut)
                && labels.contains_key(plinth_api::names::LABEL_MANAGED_BY)
            {
                labels.retain(|name, _| name.starts_with("pod-security"));
                if labels.is_empty() {
                    map.remove("labels");
                }
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// A plan as people read it: secrets as recipes.
fn readable(plan: &Plan) -> Value {
    let blocks: Vec<Value> = plan
        .blocks
        .iter()
        .map(|block| {
            let units: Vec<Value> = block
                .units
                .iter()
                .map(|unit| {
                    let objects: Vec<Value> = unit
                        .objects
                        .iter()
                        .map(|o| {
                            let body = bare(o.body.clone());
                            if o.secret.is_empty() {
                                body
                            } else {
                                json!({ "object": body, "secret": o.secret })
                            }
                        })
                        .collect();
                    json!({
                        "unit": unit.id.to_string(),
                        "after": unit.after.iter().map(ToString::to_string).collect::<Vec<_>>(),
                        "objects": objects,
                    })
                })
                .collect();
            json!({
                "block": block.name,
                "product": block.product,
                "version": block.version,
                "namespace": block.namespace,
                "endpoints": block.endpoints,
                "blocked": block.blocked,
                "units": units,
            })
        })
        .collect();
    json!({ "stack": plan.stack, "blocks": blocks })
}

#[test]
fn every_example_has_the_plan_that_was_reviewed() {
    insta::glob!("../../../examples", "*.yaml", |path| {
        let (stacks, products) = read(path);
        for stack in stacks {
            let products =
                products.iter().map(|p| (p.metadata.name.clone().unwrap_or_default(), p.spec.clone()));
            let inputs = Inputs {
                catalogue: catalogue().with_products(products).expect("the products are new"),
                ..Inputs::default()
            };
            let plan = plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| {
                panic!(
                    "{}:\n{}",
                    path.display(),
                    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                )
            });
            insta::assert_yaml_snapshot!(readable(&plan));
        }
    });
}

#[test]
fn planning_twice_gives_the_same_hash() {
    let (stacks, _) = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/smallest.yaml")));
    let inputs = Inputs { catalogue: catalogue(), ..Inputs::default() };
    let hash = || plinth_plan::plan(&stacks[0], &inputs).expect("the example is valid").hash;
    assert_eq!(hash(), hash());
}
