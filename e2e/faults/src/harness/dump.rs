//! Everything that a run has left on the cluster, in a form in which two runs can be compared.
//!
//! What is masked is listed here and nowhere else: a mask hides bugs, so each one has its reason.

use std::collections::BTreeMap;

use plinth_api::names;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Metadata that the API server makes up anew for each object.
const MADE_UP: [&str; 4] = ["uid", "resourceVersion", "creationTimestamp", "selfLink"];
/// Whose fields are part of the end state; what others own is their business.
const MANAGERS: [&str; 2] = [names::FIELD_MANAGER, names::STATUS_MANAGER];
/// Digests over objects that carry the names of the run.
const DIGESTS: [&str; 4] = [names::ANNOTATION_HASH, names::ANNOTATION_CONFIG_HASH, PLAN_HASH, "approvedHash"];
/// Also told in messages.
const PLAN_HASH: &str = "planHash";
/// Addresses and volumes that the cluster hands out.
const HANDED_OUT: [&str; 3] = ["clusterIP", "clusterIPs", "volumeName"];
/// Labels and annotations in which Kubernetes repeats a uid or a choice of its own.
const REPEATED: [&str; 3] =
    ["controller-uid", "batch.kubernetes.io/controller-uid", "volume.kubernetes.io/selected-node"];
/// Length of the digest at the end of a Job's name.
const JOB_DIGEST: usize = 8;

/// Everything that is masked, for people: what is in the lists above, and what `mask` does beside.
pub const MASKS: [&str; 12] = [
    "metadata: uid, resourceVersion, creationTimestamp, selfLink",
    "metadata.managedFields: other managers than Plinth's two, and all times",
    "status of every kind that is not Plinth's",
    "values of Secrets (watched separately: O7)",
    "annotations desired-hash and config-hash, planHash, approvedHash",
    "clusterIP, clusterIPs, volumeName",
    "labels controller-uid, annotation selected-node",
    "every text field that ends in Time or At",
    "the names of the run: Stack and home namespace",
    "the digest at the end of a Job's name",
    "uids, the plan's hash and the restore point's name, wherever they stand",
    "kinds that Kubernetes makes of others: ControllerRevision, Endpoints, EndpointSlice, Event, Lease, Pod, PodMetrics, ReplicaSet, PodTemplate",
];
/// What is recorded of a block's version.
const INSTALLED: &str = "/metadata/annotations/plinth.dev~1installed";

/// The names of one run, which no other run has.
#[derive(Clone, Debug)]
pub struct Names {
    /// The Stack.
    pub stack: String,
    /// Its namespace.
    pub home: String,
}

/// Counted up by Kubernetes with each change of a Deployment's pods.
const REVISION: &str = "deployment.kubernetes.io/revision";

impl Names {
    /// The text without the names.
    pub fn neutral(&self, text: &str) -> String {
        text.replace(&self.stack, "STACK").replace(&self.home, "HOME")
    }

    /// The text with the names.
    pub(super) fn named(&self, text: &str) -> String {
        text.replace("STACK", &self.stack).replace("HOME", &self.home)
    }

    /// Whether the text is about this run: an earlier one may still be on its way out.
    pub fn names(&self, text: &str) -> bool {
        text.contains(&self.stack) || text.contains(&self.home)
    }
}

/// What a run has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dump {
    /// Masked objects, by kind and neutral name.
    pub objects: BTreeMap<String, Value>,
}

impl Dump {
    /// Masks the objects of one run.
    pub fn new(names: &Names, objects: &[Value]) -> Self {
        let texts = |pointer: &'static str| {
            objects.iter().filter_map(move |object| object.pointer(pointer).and_then(Value::as_str))
        };
        // A Job's name ends in a digest over its content, names of the run included.
        let jobs = objects.iter().filter(|object| object["kind"] == "Job");
        let jobs = jobs.filter_map(|job| job.pointer("/metadata/name").and_then(Value::as_str));
        // So does that of one which waits, and only stands in a status.
        let waiting = objects.iter().filter_map(|object| object.pointer("/status/objects")?.as_array());
        let waiting = waiting.flatten().filter_map(|line| line["object"].as_str()?.strip_prefix("Job/"));
        let jobs = jobs.chain(waiting.filter_map(|name| name.rsplit('/').next())).filter_map(|name| {
            let stem = name.get(..name.len().checked_sub(JOB_DIGEST)?)?;
            Some((name, format!("{stem}DIGEST")))
        });
        let replaced: Vec<(&str, String)> = jobs
            // An owner is named by its uid, in field ownership as a part of a key.
            .chain(texts("/metadata/uid").map(|uid| (uid, "UID".to_owned())))
            .chain(texts("/status/planHash").map(|hash| (hash, "PLANHASH".to_owned())))
            .chain(texts(INSTALLED).filter_map(backup_of).map(|backup| (backup, "BACKUP".to_owned())))
            .collect();
        let neutral =
            |text: &str| replaced.iter().fold(names.neutral(text), |text, (from, to)| text.replace(from, to));
        let mut dump = Self::default();
        for object in objects {
            let mut masked = object.clone();
            mask(&mut masked);
            each_text(&mut masked, &neutral);
            let text =
                |pointer: &str| masked.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
            let mut key =
                format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            // Two Jobs of one stem are two objects.
            while dump.objects.contains_key(&key) {
                key.push_str(" again");
            }
            dump.objects.insert(key, masked);
        }
        dump
    }

    /// The same without what tells of the way there and not of the end: how often an object was changed, and by which kind
    /// of request.
    #[must_use]
    pub fn without_history(&self) -> Self {
        let mut dump = self.clone();
        for object in dump.objects.values_mut() {
            for (part, field) in [("metadata", "generation"), ("status", "observedGeneration")] {
                if let Some(part) = object.get_mut(part).and_then(Value::as_object_mut) {
                    part.remove(field);
                }
            }
            // How often a Deployment has rolled.
            if let Some(annotations) =
                object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            {
                annotations.remove(REVISION);
            }
            if let Some(conditions) = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
                conditions.iter_mut().filter_map(Value::as_object_mut).for_each(|condition| {
                    condition.remove("observedGeneration");
                });
            }
            if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut)
            {
                for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                    entry.remove("operation");
                    entry.get_mut("fieldsV1").into_iter().for_each(without_dots);
                }
                entries.sort_by_key(|entry| format!("{} {}", entry["manager"], entry["subresource"]));
            }
        }
        dump
    }

    /// What is not of Plinth's own kinds: what runs.
    #[must_use]
    pub fn of_others(&self) -> Self {
        let is_other = |object: &Value| {
            object["apiVersion"].as_str().is_some_and(|version| !version.starts_with("plinth.dev/"))
        };
        let objects = self.objects.iter().filter(|(_, object)| is_other(object));
        Self { objects: objects.map(|(key, object)| (key.clone(), object.clone())).collect() }
    }

    /// Every difference, as `object: path: this one, other one`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for key in
            self.objects.keys().chain(other.objects.keys().filter(|key| !self.objects.contains_key(*key)))
        {
            match (self.objects.get(key), other.objects.get(key)) {
                (Some(one), Some(two)) => compare(one, two, &format!("{key}: "), &mut found),
                (Some(_), None) => found.push(format!("{key}: is not expected")),
                (None, _) => found.push(format!("{key}: is missing")),
            }
        }
        found
    }
}

/// An update also says of each object that it is there itself, an apply does not.
fn without_dots(fields: &mut Value) {
    let Some(fields) = fields.as_object_mut() else { return };
    fields.remove(".");
    fields.values_mut().for_each(without_dots);
}

/// The name of a restore point in what is recorded of an upgrade: the moment that it was taken.
fn backup_of(record: &str) -> Option<&str> {
    record.split_once("\"backup\":\"")?.1.split('"').next()
}

/// The digests of a Secret's values, by `namespace/name[key]`.
pub fn secret_values(secret: &Value) -> Vec<(String, String)> {
    let text = |pointer: &str| secret.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    let at = format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"));
    let data = secret["data"].as_object().into_iter().flatten();
    data.map(|(key, value)| {
        let digest = Sha256::digest(value.as_str().unwrap_or_default());
        (format!("{at}[{key}]"), digest.iter().map(|byte| format!("{byte:02x}")).collect())
    })
    .collect()
}

fn mask(object: &mut Value) {
    let plinths = object["apiVersion"].as_str().is_some_and(|version| version.starts_with("plinth.dev/"));
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in MADE_UP {
            metadata.remove(field);
        }
        if let Some(Value::Array(fields)) = metadata.get_mut("managedFields") {
            fields.retain(|entry| entry["manager"].as_str().is_some_and(|name| MANAGERS.contains(&name)));
            fields.iter_mut().filter_map(Value::as_object_mut).for_each(|entry| drop(entry.remove("time")));
        }
    }
    if !plinths {
        // Kubernetes' own account of the workloads. Plinth's reading of it is in the status of Plinth's kinds.
        object.as_object_mut().map(|object| object.remove("status"));
    }
    if kind == "Secret"
        && let Some(data) = object.get_mut("data").and_then(Value::as_object_mut)
    {
        // Each run has its own values; that they stay within a run is watched elsewhere.
        for value in data.values_mut() {
            *value = json!("VALUE");
        }
    }
    each_field(object);
}

/// Masks by the name of the field, at any depth.
fn each_field(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !HANDED_OUT.contains(&key.as_str()) && !REPEATED.contains(&key.as_str()));
            for (key, inner) in fields.iter_mut() {
                let time = (key.ends_with("Time") || key.ends_with("At")) && inner.is_string();
                if time || (DIGESTS.contains(&key.as_str()) && inner.is_string()) {
                    *inner = json!("MASKED");
                }
                each_field(inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(each_field),
        _ => {}
    }
}

/// Changes every text, the names of fields included: some are names of objects.
pub(super) fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => {
            let old = std::mem::replace(fields, Map::new());
            for (key, mut inner) in old {
                each_text(&mut inner, change);
                fields.insert(change(&key), inner);
            }
        }
        _ => {}
    }
}

fn compare(one: &Value, two: &Value, path: &str, found: &mut Vec<String>) {
    match (one, two) {
        (Value::Object(one), Value::Object(two)) => {
            for key in one.keys().chain(two.keys().filter(|key| !one.contains_key(*key))) {
                let (left, right) =
                    (one.get(key).unwrap_or(&Value::Null), two.get(key).unwrap_or(&Value::Null));
                compare(left, right, &format!("{path}.{key}"), found);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (index, (left, right)) in one.iter().zip(two).enumerate() {
                compare(left, right, &format!("{path}[{index}]"), found);
            }
        }
        _ if one == two => {}
        _ => found.push(format!("{path}: {}, expected {}", short(one), short(two))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u32) -> Names {
        Names { stack: format!("case-{number}"), home: format!("home-{number}") }
    }

    fn objects(number: u32, digest: &str, replicas: u32) -> Vec<Value> {
        let namespace = format!("case-{number}-identity");
        vec![
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {
                    "name": "server", "namespace": namespace, "uid": digest, "generation": 1,
                    "annotations": { "plinth.dev/desired-hash": digest },
                    "managedFields": [
                        { "manager": "plinth", "time": digest, "fieldsV1": { "f:spec": {} } },
                        { "manager": "kube-controller-manager", "time": digest },
                    ],
                },
                "spec": { "replicas": replicas },
                "status": { "replicas": number },
            }),
            json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": { "name": format!("migrate-{digest}"), "namespace": namespace },
            }),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "plinth-inventory-0", "namespace": namespace },
                "data": { "entries": format!("Job {namespace}/migrate-{digest}") },
            }),
        ]
    }

    #[test]
    fn two_runs_of_the_same_are_equal() {
        let one = Dump::new(&run(1), &objects(1, "0a1b2c3d", 1));
        let two = Dump::new(&run(2), &objects(2, "4e5f6071", 1));
        assert_eq!(one.differences(&two), Vec::<String>::new());
        assert!(one.objects.contains_key("Job STACK-identity/migrate-DIGEST"));
    }

    #[test]
    fn what_differs_is_named() {
        let one = Dump::new(&run(1), &objects(1, "0a1b2c3d", 1));
        let mut more = objects(2, "4e5f6071", 2);
        more.push(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": { "name": "migrate-99999999", "namespace": "case-2-identity" },
        }));
        let two = Dump::new(&run(2), &more);
        assert_eq!(
            one.differences(&two),
            [
                "Deployment STACK-identity/server: .spec.replicas: 1, expected 2",
                "Job STACK-identity/migrate-DIGEST again: is missing",
            ]
        );
    }

    #[test]
    fn a_secret_is_compared_by_its_keys_and_watched_by_its_values() {
        let secret = |value: &str| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "n" }, "data": { "k": value } });
        let (one, two) = (secret("YQ=="), secret("Yg=="));
        assert_eq!(
            Dump::new(&run(1), std::slice::from_ref(&one)),
            Dump::new(&run(2), std::slice::from_ref(&two))
        );
        assert_eq!(secret_values(&one)[0].0, "n/s[k]");
        assert_ne!(secret_values(&one), secret_values(&two));
    }
}
