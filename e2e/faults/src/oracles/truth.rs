//! What is said, compared with what is there at that instant.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::leaks::resource;
use super::{Oracle, Violation, request_name};
use crate::harness::case::{Tale, without_digest};
use crate::history::Record;
use crate::said::{Said, entries};

const NAMESPACES: &str = "core/namespaces ";

/// O13: whenever a Stack or a block of it is called Ready, everything that its inventory listed at that instant exists.
pub fn truthful(before: &[Value], tales: &[Tale]) -> Vec<Violation> {
    let mut there: BTreeSet<String> = before.iter().map(request_name).map(|name| normal(&name)).collect();
    let chunks = before
        .iter()
        .filter(|object| object["metadata"]["labels"].get(plinth_api::names::LABEL_INVENTORY).is_some());
    let mut listed: BTreeMap<String, Vec<String>> =
        chunks.map(|chunk| (normal(&request_name(chunk)), entries(chunk))).collect();
    let mut all: Vec<_> = tales
        .iter()
        .flat_map(|tale| tale.writes.iter().map(move |write| (tale.started + write.seconds, write)))
        .filter(|(_, write)| write.happened() || may_have_happened(write))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut found = Vec::new();
    for (_, write) in all {
        let Some((verb, object)) = write.key.target.split_once(' ') else { continue };
        let object = normal(object);
        match &write.said {
            Some(Said::Ready { .. }) if !write.happened() => {}
            Some(Said::Ready { ready: true, .. }) => {
                let missing = listed
                    .iter()
                    .filter(|(chunk, _)| concerns(&object, chunk))
                    .flat_map(|(_, entries)| entries)
                    .map(|entry| normal(&resource(entry)))
                    .find(|entry| !there.contains(entry));
                if let Some(missing) = missing {
                    let message = format!("was called Ready while {missing} did not exist");
                    found.push(Violation::new(Oracle::O13, write.key.to_string(), message));
                }
            }
            Some(Said::Inventory(entries)) => {
                there.insert(object.clone());
                listed.insert(object, entries.clone());
            }
            _ if verb == "delete" && !write.happened() => {}
            _ if verb == "delete" => {
                there.remove(&object);
                listed.remove(&object);
                // With its namespace a whole block is taken down: it is no block of the Stack any more.
                if object.starts_with(NAMESPACES) {
                    listed
                        .retain(|_, entries| !entries.iter().any(|entry| normal(&resource(entry)) == object));
                }
            }
            _ => drop(there.insert(object)),
        }
    }
    found
}

/// There was no answer: the API server may have been killed after it had stored it.
fn may_have_happened(write: &Record) -> bool {
    write.status.is_none()
}

/// Cluster-wide objects have no namespace before their name, Namespaces are told of in both ways.
fn normal(object: &str) -> String {
    let (kind, name) = object.split_once(' ').unwrap_or((object, ""));
    let name = match name.split_once('/') {
        Some((_, name)) if kind == "core/namespaces" => name,
        Some(("", name)) => name,
        _ => name,
    };
    // A Job that was there before still has the end of its name.
    without_digest(&format!("{kind} {name}"))
}

/// Whether a status (`plinth.dev/buildingblocks/status home/stack-block`) is about what a chunk lists. The run's Stack is
/// about all of them, and another Stack about none.
fn concerns(status: &str, chunk: &str) -> bool {
    if status == "plinth.dev/stacks/status HOME/STACK" {
        return true;
    }
    let name = status.rsplit_once('/').map_or("", |(_, name)| name);
    chunk
        .split_once(' ')
        .and_then(|(_, chunk)| chunk.split_once('/'))
        .is_some_and(|(namespace, _)| namespace == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(target: &str, at: f64, said: Option<Said>) -> Record {
        let said = said.map(|said| serde_json::to_value(said).unwrap());
        serde_json::from_value(json!({
            "k": 1, "key": format!("{target} #1"), "incarnation": 0, "status": 200, "said": said,
            "came": at, "seconds": at,
        }))
        .unwrap()
    }

    fn run(writes: Vec<Record>) -> Vec<Violation> {
        let before = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "STACK-a" } });
        truthful(&[before], &[Tale { writes, ..Tale::default() }])
    }

    #[test]
    fn ready_before_an_object_of_the_inventory_exists_is_seen() {
        let inventory = record(
            "create core/configmaps STACK-a/plinth-inventory-0",
            1.0,
            Some(Said::Inventory(vec![
                "core/Namespace /STACK-a".to_owned(),
                "apps/Deployment STACK-a/b".to_owned(),
            ])),
        );
        let apply = |at| record("apply apps/deployments STACK-a/b", at, None);
        let said = || Some(Said::Ready { ready: true, generation: 1 });
        for status in [
            "apply plinth.dev/stacks/status HOME/STACK",
            "apply plinth.dev/buildingblocks/status HOME/STACK-a",
        ] {
            let ready = |at| record(status, at, said());
            assert_eq!(run(vec![inventory.clone(), apply(2.0), ready(3.0)]), []);
            let found = run(vec![inventory.clone(), ready(2.0), apply(3.0)]);
            assert_eq!((found.len(), found[0].oracle), (1, Oracle::O13), "{status}");
            let gone = record("delete apps/deployments STACK-a/b", 2.5, None);
            assert_eq!(run(vec![inventory.clone(), apply(2.0), gone, ready(3.0)]).len(), 1);
        }
        let down = record("delete core/namespaces STACK-a", 1.5, None);
        let ready = record("apply plinth.dev/stacks/status HOME/STACK", 2.0, said());
        assert_eq!(
            run(vec![inventory.clone(), down, ready]),
            [],
            "a block that was taken down is not awaited"
        );
        let other = record("apply plinth.dev/buildingblocks/status HOME/STACK-z", 2.0, said());
        assert_eq!(run(vec![inventory, other]), [], "another block's objects are not its own");
    }
}
