//! Every example's plan is a golden file: what a person would read before approving it.

mod documents;

use std::fmt::Write as _;

use documents::Example;
use plinth_api::Stack;
use plinth_api::v1alpha1::product::Role;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, hex};
use plinth_plan::exchange::compile;
use plinth_plan::model::{BlockPlan, Desired, FOUNDATION, Plan, pod_template};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

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
            let mut readable = json!({
                "block": block.name,
                "product": block.product,
                "version": block.version,
                "namespace": block.namespace,
                "endpoints": block.endpoints,
                "blocked": block.blocked,
                "units": units,
            });
            if let Some(cluster) = &block.cluster {
                readable["cluster"] = json!(cluster);
            }
            if !block.standby.is_empty() {
                readable["standby"] = json!(block.standby);
            }
            readable
        })
        .collect();
    json!({ "stack": plan.stack, "blocks": blocks })
}

/// A plan in few lines: order, objects, what runs and how large. Whatever else changes in an object changes its digest,
/// and `plinth plan` shows it.
fn brief(plan: &Plan, of: impl Fn(&BlockPlan) -> bool) -> String {
    let mut text = String::new();
    for block in plan.blocks.iter().filter(|block| of(block)) {
        let version = block.version.as_deref().unwrap_or("external");
        let _ = writeln!(text, "block {} {} {version}", block.name, block.product.as_deref().unwrap_or("-"));
        if let Some(cluster) = &block.cluster {
            let _ = writeln!(text, "  cluster {cluster}");
        }
        for endpoint in &block.endpoints {
            let _ = writeln!(text, "  endpoint {endpoint}");
        }
        for finding in &block.blocked {
            let _ = writeln!(text, "  blocked {finding}");
        }
        for unit in &block.units {
            let after: Vec<String> = unit
                .after
                .iter()
                .filter(|id| id.name != FOUNDATION)
                .map(|id| if id.block == block.name { id.name.clone() } else { id.to_string() })
                .collect();
            let _ = writeln!(text, "  {} after [{}]", unit.id.name, after.join(", "));
            for object in &unit.objects {
                let _ = writeln!(text, "    {}", line(object));
            }
        }
    }
    text
}

fn line(object: &Desired) -> String {
    let body = bare(object.body.clone());
    let digest = Sha256::digest(json!([&body, &object.secret]).to_string());
    let mut line = format!("{} {} #{}", object.key.kind, object.key.name, &hex(&digest)[..8]);
    if let Some(replicas) = body["spec"]["replicas"].as_u64() {
        let _ = write!(line, " x{replicas}");
    }
    let pod = pod_template(&body).map_or(&Value::Null, |template| &template["spec"]);
    for container in pod["containers"].as_array().into_iter().flatten() {
        let resources = &container["resources"];
        let size = |path: &str| resources.pointer(path).and_then(Value::as_str).unwrap_or("?").to_owned();
        let _ = write!(
            line,
            " {} cpu {} memory {}..{}",
            container["image"].as_str().unwrap_or_default(),
            size("/requests/cpu"),
            size("/requests/memory"),
            size("/limits/memory")
        );
    }
    for port in body["spec"]["ports"].as_array().into_iter().flatten() {
        let _ = write!(line, " :{}", port["port"]);
    }
    if !object.secret.is_empty() {
        let keys: Vec<&str> = object.secret.keys().map(String::as_str).collect();
        let _ = write!(line, " [{}]", keys.join(", "));
    }
    line
}

/// Every Stack beside every entry, in every profile that it is for: the product's own blocks.
#[test]
fn every_product_has_the_plan_that_was_reviewed_in_every_profile() {
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    let inputs = Inputs { catalogue, ..Inputs::default() };
    let samples = Catalogue::samples().expect("the Stacks beside the entries parse");
    for (product, stacks) in samples {
        let backing = inputs.catalogue.get(&product).is_some_and(|entry| entry.spec.role == Role::Backing);
        let mut text = String::new();
        for stack in &stacks {
            let name = stack.metadata.name.as_deref().unwrap_or_default();
            let plan = plinth_plan::plan(stack, &inputs).unwrap_or_else(|findings| {
                let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
                panic!("{product}: {name}, {}:\n{}", stack.spec.profile.as_str(), lines.join("\n"))
            });
            let _ = writeln!(text, "stack {name}, {}", stack.spec.profile.as_str());
            text += &brief(&plan, |block| backing || block.product.as_deref() == Some(product.as_str()));
        }
        insta::with_settings!({ snapshot_suffix => product.clone(), omit_expression => true }, {
            insta::assert_snapshot!("product", text);
        });
    }
}

#[test]
fn every_example_has_the_plan_that_was_reviewed() {
    for (example, stack, inputs) in examples() {
        let plan = plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| {
            let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("{example}:\n{}", lines.join("\n"))
        });
        insta::with_settings!({ snapshot_suffix => example, omit_expression => true }, {
            // A whole country's plan is too long to be read line by line.
            if plan.objects().count() > 300 {
                insta::assert_snapshot!("example", brief(&plan, |_| true));
            } else {
                insta::assert_yaml_snapshot!("example", readable(&plan));
            }
        });
    }
}

/// Who may call what: what the exchange's servers enforce, and nothing besides.
#[test]
fn every_example_grants_what_was_reviewed() {
    for (example, stack, inputs) in examples() {
        let rights = compile(&stack, &inputs.catalogue, &inputs.declared).rights();
        if rights.subsystems.is_empty() {
            continue;
        }
        let mut text = String::new();
        for right in &rights.rights {
            let all = &rights.services[&right.service].endpoints;
            let endpoints = if right.endpoints.is_empty() { all } else { &right.endpoints };
            let endpoints: Vec<String> =
                endpoints.iter().map(|e| format!("{} {}", e.method, e.path)).collect();
            let _ = write!(text, "{}: {} {}", right.agreement, right.service, endpoints.join(", "));
            if let Some(limit) = &right.limit {
                let _ = write!(text, "; {} in {} s", limit.requests, limit.seconds);
            }
            for (word, time) in [("from", &right.from), ("until", &right.until)] {
                let _ = time.as_ref().map(|time| write!(text, "; {word} {time}"));
            }
            text.push('\n');
            right.consumers.iter().for_each(|consumer| text += &format!("  {consumer}\n"));
        }
        insta::with_settings!({ snapshot_suffix => example, omit_expression => true }, {
            insta::assert_snapshot!("rights", text);
        });
    }
}

/// Every Stack of every example, with what it is planned from.
fn examples() -> Vec<(String, Stack, Inputs)> {
    let mut all = Vec::new();
    for example in Example::all() {
        let stacks = example.of::<Stack>();
        assert_eq!(stacks.len(), 1, "{}: an example is one Stack", example.name);
        all.extend(stacks.into_iter().map(|stack| (example.name.clone(), stack, example.inputs())));
    }
    all
}

#[test]
fn planning_twice_gives_the_same_hash() {
    for (example, stack, inputs) in examples() {
        let hash = || plinth_plan::plan(&stack, &inputs).expect("the example is valid").hash;
        assert_eq!(hash(), hash(), "{example}");
    }
}
