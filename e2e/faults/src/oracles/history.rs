//! What was asked of the API server, at every instant.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Oracle, Violation, request_name};
use crate::harness::audit::Request;
use crate::harness::case::Tale;

/// Whose fields may lie beside ours: Kubernetes' own controllers, and the nodes that are played.
const OTHERS: [&str; 5] = ["kube-", "kwok", "kubelet", "plinth", "Go-http-client"];

/// O6: no request deletes what holds or opens data, or a namespace with it, unless its owner has given it up.
pub fn data_safe(requests: &[Request], data: &BTreeSet<String>, given_up: bool) -> Vec<Violation> {
    if given_up {
        return Vec::new();
    }
    let deletes = requests.iter().filter(|request| request.deletes());
    deletes
        .filter(|request| {
            let object = request.object();
            let sweeps = request.verb == "deletecollection" && data.iter().any(|at| at.starts_with(&object));
            sweeps || data.contains(&object)
        })
        .map(|request| Violation::new(Oracle::O6, request.object(), format!("deleted: {}", request.line())))
        .collect()
}

/// O8: once another operator has taken the lease, the one before asks for no change.
pub fn single_writer(tales: &[Tale]) -> Vec<Violation> {
    let mut all: Vec<_> = tales
        .iter()
        .flat_map(|tale| tale.writes.iter().map(move |write| (tale.started + write.came, tale, write)))
        .collect();
    all.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
    let mut holder: Option<&str> = None;
    let mut found = Vec::new();
    for (_, tale, write) in all {
        if write.key.target.contains(" coordination.k8s.io/leases ") {
            if write.happened() {
                holder = Some(&tale.identity);
            }
        } else if write.k.is_some()
            && write.happened()
            && let Some(holder) = holder.filter(|holder| *holder != tale.identity)
        {
            let message = format!("{} wrote it while {holder} held the lease", tale.identity);
            found.push(Violation::new(Oracle::O8, write.key.to_string(), message));
        }
    }
    found
}

/// O8: no field that we manage is managed by a stranger as well, at the end, but the one by which a stranger hands a namespace over.
pub fn undisputed(objects: &[Value]) -> Vec<Violation> {
    let mut found = Vec::new();
    for object in objects {
        let managers = object["metadata"]["managedFields"].as_array();
        let fields = |ours: bool| {
            let of = move |manager: &str| {
                if ours {
                    manager == plinth_api::names::FIELD_MANAGER
                } else {
                    !OTHERS.iter().any(|other| manager.starts_with(other))
                }
            };
            let entries = managers.into_iter().flatten();
            let entries = entries.filter(move |entry| of(entry["manager"].as_str().unwrap_or_default()));
            let mut leaves = BTreeSet::new();
            entries.for_each(|entry| paths(&entry["fieldsV1"], "", &mut leaves));
            leaves
        };
        let handed_over = format!("f:{}", plinth_api::names::ANNOTATION_OWNER);
        let disputed: Vec<String> = fields(true).intersection(&fields(false)).cloned().collect();
        for field in disputed.into_iter().filter(|field| !field.ends_with(&handed_over)) {
            found.push(Violation::new(Oracle::O8, request_name(object), format!("{field} has two managers")));
        }
    }
    found
}

/// The leaves of a set of fields.
pub(super) fn paths(fields: &Value, at: &str, leaves: &mut BTreeSet<String>) {
    let Some(inner) = fields.as_object() else { return };
    for (name, below) in inner.iter().filter(|(name, _)| *name != ".") {
        let path = format!("{at}/{name}");
        if below.as_object().is_some_and(|below| below.keys().any(|key| key != ".")) {
            paths(below, &path, leaves);
        } else {
            leaves.insert(path);
        }
    }
}

/// O12: these are writes to a Stack that the run had nothing to do with. Where something was wrong for the whole cluster,
/// it may say so of itself, and nothing more.
pub fn isolated(beside: &[Request], everywhere: bool) -> Vec<Violation> {
    let says = |write: &Request| write.subresource() == "status" || write.is_event();
    let writes = beside.iter().filter(|write| !(everywhere && says(write)));
    writes.map(|write| Violation::new(Oracle::O12, write.object(), write.line())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Record;

    fn request(verb: &str, resource: &str, name: &str) -> Request {
        serde_json::from_value(json!({
            "verb": verb, "objectRef": { "resource": resource, "namespace": "a", "name": name },
            "responseStatus": { "code": 200 },
        }))
        .unwrap()
    }

    #[test]
    fn a_delete_of_data_is_seen_although_it_is_there_again_at_the_end() {
        let data = BTreeSet::from(["core/secrets a/db".to_owned(), "core/namespaces a/a".to_owned()]);
        let history = [request("delete", "secrets", "db"), request("create", "secrets", "db")];
        let found = data_safe(&history, &data, false);
        assert_eq!(
            (found.len(), found[0].oracle, found[0].object.as_str()),
            (1, Oracle::O6, "core/secrets a/db")
        );
        assert_eq!(data_safe(&history, &data, true), [], "its owner gave it up");
        assert_eq!(data_safe(&[request("delete", "secrets", "other")], &data, false), []);
        assert_eq!(data_safe(&[request("delete", "namespaces", "a")], &data, false).len(), 1);
        assert_eq!(data_safe(&[request("deletecollection", "secrets", "")], &data, false).len(), 1);
    }

    fn record(target: &str, came: f64, k: Option<u64>) -> Record {
        serde_json::from_value(json!({
            "k": k, "key": format!("{target} #1"), "incarnation": 0, "status": 200, "came": came, "seconds": came,
        }))
        .unwrap()
    }

    #[test]
    fn a_leader_that_writes_after_another_has_taken_over_is_seen() {
        let lease = "update coordination.k8s.io/leases default/plinth";
        let tale = |identity: &str, started, writes| Tale {
            identity: identity.to_owned(),
            started,
            writes,
            reads: Vec::new(),
        };
        let map = |came| record("apply core/configmaps a/b", came, Some(1));
        let first = tale("one", 0.0, vec![record(lease, 1.0, None), map(2.0), map(25.0)]);
        let second = tale("two", 10.0, vec![record(lease, 7.0, None), map(8.0)]);
        let found = single_writer(&[first.clone(), second]);
        assert_eq!((found.len(), found[0].oracle), (1, Oracle::O8));
        assert!(found[0].message.contains("one wrote it while two held"));
        assert_eq!(single_writer(&[first]), []);
    }

    #[test]
    fn a_field_that_a_stranger_manages_too_is_seen() {
        let object = |stranger: &str| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b", "namespace": "a", "managedFields": [
                { "manager": "plinth", "fieldsV1": { "f:data": { "f:key": {}, ".": {} } } },
                { "manager": stranger, "fieldsV1": { "f:data": { "f:key": {} } } },
            ] } })
        };
        let found = undisputed(&[object("somebody")]);
        assert_eq!((found.len(), found[0].object.as_str()), (1, "core/configmaps a/b"));
        assert_eq!(undisputed(&[object("kube-controller-manager")]), []);
    }

    #[test]
    fn a_write_beside_the_run_is_seen() {
        let map = [request("patch", "configmaps", "x")];
        assert_eq!(isolated(&map, false)[0].oracle, Oracle::O12);
        assert_eq!(isolated(&map, true).len(), 1, "whatever is wrong with the cluster");
        let event = [request("create", "events", "x")];
        assert_eq!((isolated(&event, false).len(), isolated(&event, true).len()), (1, 0));
    }
}
