//! What is done to a Stack while something goes wrong.

use anyhow::Result;
use plinth_api::names;
use plinth_api::v1alpha1::stack::DeletionPolicy;
use serde_json::{Value, json};

use super::Class;
use crate::harness::example::Example;
use crate::harness::session::in_repository;

/// The smallest useful Stack.
const SMALLEST: &str = "examples/smallest.yaml";
/// A block with a backup, at a version from which edges lead on.
const UPGRADE: &str = "e2e/faults/examples/upgrade.yaml";

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What is run.
    pub example: Example,
}

/// Every scenario.
pub fn scenarios() -> Result<Vec<Scenario>> {
    let smallest = || Example::read(&in_repository(SMALLEST));
    let upgrade = Example::read(&in_repository(UPGRADE))?;
    let two = json!([identity(), { "name": "digital-registries", "product": "kinto" }]);
    Ok(vec![
        Scenario { name: "create", example: smallest()? },
        Scenario { name: "change", example: smallest()?.changed_by(louder()) },
        Scenario {
            name: "upgrade",
            example: upgrade.changed_by(blocks(
                json!([{ "name": "identity", "product": "keycloak", "version": "26.4.0" }]),
            )),
        },
        Scenario { name: "create-changed", example: smallest()?.with(&louder())? },
        Scenario { name: "create-two", example: smallest()?.with(&blocks(two.clone()))? },
        Scenario { name: "block-added", example: smallest()?.changed_by(blocks(two.clone())) },
        Scenario {
            name: "block-removed",
            example: smallest()?.before(blocks(two)).changed_by(blocks(json!([identity()]))).observed(),
        },
        Scenario { name: "approval", example: smallest()?.changed_by(held()).observed() },
        Scenario { name: "pause", example: smallest()?.changed_by(paused()).observed() },
        Scenario {
            name: "resume",
            example: smallest()?.before(paused()).changed_by(json!({ "spec": { "paused": false } })),
        },
        Scenario { name: "namespace-taken", example: smallest()?.found(namespace(None)).observed() },
        Scenario {
            name: "field-taken",
            example: smallest()?.found(namespace(Some("HOME/STACK/identity"))).found(realm()).observed(),
        },
        Scenario {
            name: "delete-retain",
            example: smallest()?.deletion(DeletionPolicy::Retain, false).deleted(),
        },
        Scenario {
            name: "delete-data",
            example: smallest()?.deletion(DeletionPolicy::Delete, true).deleted(),
        },
    ])
}

/// Which scenarios a class is played on unless something else is said.
pub fn usual(class: Class) -> &'static [&'static str] {
    match class {
        Class::Crash | Class::LostResponse => &[
            "create",
            "change",
            "delete-data",
            "delete-retain",
            "resume",
            "pause",
            "block-added",
            "block-removed",
            "upgrade",
        ],
        Class::DoubleCrash | Class::Leader | Class::ControlPlane => &["create", "change", "delete-data"],
        Class::Error => &["create", "delete-data"],
        Class::Stale | Class::Partition => &["create", "change", "delete-retain"],
        Class::Drift | Class::Misoperation => &["create"],
        Class::Path => &["change", "block-added"],
    }
}

/// Scenarios that end with the same declaration as this one.
pub fn ways(scenario: &str) -> &'static [&'static str] {
    match scenario {
        "change" => &["resume", "create-changed"],
        "block-added" => &["create-two"],
        _ => &[],
    }
}

fn identity() -> Value {
    json!({ "name": "identity", "product": "keycloak" })
}

fn blocks(blocks: Value) -> Value {
    json!({ "spec": { "blocks": blocks } })
}

/// A parameter that a config file and thereby a roll follow from.
fn louder() -> Value {
    blocks(json!([{ "name": "identity", "product": "keycloak", "parameters": { "logLevel": "warn" } }]))
}

/// A change that waits for a yes.
fn held() -> Value {
    let mut change = louder();
    change["spec"]["changePolicy"] = json!({ "approval": "Required" });
    change
}

/// The namespace that the block would be in, somebody's or handed over.
fn namespace(owner: Option<&str>) -> Value {
    let mut namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "STACK-identity" } });
    if let Some(owner) = owner {
        namespace["metadata"]["annotations"] = json!({ names::ANNOTATION_OWNER: owner });
    }
    namespace
}

/// A file that the block would bring, as somebody else wants it.
fn realm() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "keycloak-realm", "namespace": "STACK-identity" },
        "data": { "realm.json": "{}" },
    })
}

fn paused() -> Value {
    let mut change = louder();
    change["spec"]["paused"] = json!(true);
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_scenario_exists() {
        let all = scenarios().unwrap();
        for class in Class::all() {
            for name in usual(class) {
                for name in ways(name).iter().chain([name]) {
                    assert!(all.iter().any(|scenario| scenario.name == *name), "{class}: {name}");
                }
            }
        }
    }
}
