//! What nobody owns, and secrets where they do not belong.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::core::{ApiResource, GroupVersionKind};
use plinth_api::names;
use serde_json::Value;

use super::{Oracle, Violation, request_name};
use crate::said::entries;

/// Shorter values are words that stand elsewhere too; what is generated is longer.
const SHORTEST: usize = 16;
/// How a private key begins, wherever it stands.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// O5: everything that is labelled as Plinth's is listed in an inventory. The inventories themselves are not, and
/// neither is what says how a Stack is.
pub fn no_orphans(objects: &[Value]) -> Vec<Violation> {
    let labels = |object: &Value, label: &str| object["metadata"]["labels"].get(label).is_some();
    let chunks = objects.iter().filter(|object| labels(object, names::LABEL_INVENTORY));
    let listed: BTreeSet<String> = chunks.flat_map(entries).map(|entry| resource(&entry)).collect();
    let ours = objects.iter().filter(|object| {
        object["metadata"]["labels"][names::LABEL_MANAGED_BY] == names::MANAGED_BY
            && !labels(object, names::LABEL_INVENTORY)
            && !object["apiVersion"].as_str().is_some_and(|version| version.starts_with("plinth.dev/"))
            // A StatefulSet makes its claims, with its labels, and leaves them behind as it shall.
            && object["kind"] != "PersistentVolumeClaim"
            // What Kubernetes makes of ours carries our labels, and is owned by it.
            && object["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
    });
    ours.map(request_name)
        .filter(|name| !listed.contains(name))
        .map(|name| Violation::new(Oracle::O5, name, "is Plinth's by its labels, and in no inventory"))
        .collect()
}

/// `group/Kind namespace/name` as requests name it.
pub(crate) fn resource(entry: &str) -> String {
    let (kind, name) = entry.split_once(' ').unwrap_or((entry, ""));
    let (group, kind) = kind.split_once('/').unwrap_or(("core", kind));
    let plural = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind)).plural;
    format!("{group}/{plural} {name}")
}

/// O7: these keys of Secrets have had more than one value.
pub fn unchanged(changed: &[String]) -> Vec<Violation> {
    changed.iter().map(|at| Violation::new(Oracle::O7, "", at.clone())).collect()
}

/// O7: no value of a Secret, and no private key, stands in anything else or in what people read.
pub fn no_leaks(objects: &[Value], texts: &[(String, String)]) -> Vec<Violation> {
    let is_secret = |object: &&Value| object["kind"] == "Secret" && object["apiVersion"] == "v1";
    let mut secrets = Vec::new();
    for secret in objects.iter().filter(is_secret) {
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let decoded = value.as_str().and_then(|value| STANDARD.decode(value).ok());
            if let Some(value) = decoded.and_then(|value| String::from_utf8(value).ok())
                && is_generated(&value)
            {
                secrets.push((format!("{}[{key}]", request_name(secret)), value));
            }
        }
    }
    let others = objects.iter().filter(|object| !is_secret(object));
    let others = others.map(|object| (request_name(object), object.to_string()));
    let texts = texts.iter().cloned().chain(others);
    let mut found = Vec::new();
    for (place, text) in texts {
        for (at, value) in &secrets {
            if text.contains(value.as_str()) {
                found.push(Violation::new(Oracle::O7, place.clone(), format!("shows the value of {at}")));
            }
        }
        if text.contains(PRIVATE_KEY) {
            found.push(Violation::new(Oracle::O7, place, "shows a private key"));
        }
    }
    found
}

/// Names, hosts and addresses are no secrets, though they stand in Secrets.
fn is_generated(value: &str) -> bool {
    value.len() >= SHORTEST
        && value
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '+' | '/' | '='))
        && value.chars().any(|letter| letter.is_ascii_digit())
        && value.chars().any(|letter| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str) -> Value {
        json!({ "apiVersion": "v1", "kind": kind, "metadata": {
            "name": name, "namespace": "a", "labels": { "app.kubernetes.io/managed-by": "plinth" } } })
    }

    #[test]
    fn an_object_that_no_inventory_lists_is_seen() {
        let mut chunk = object("ConfigMap", "plinth-inventory-0");
        chunk["metadata"]["labels"]["plinth.dev/inventory"] = json!("0");
        chunk["data"]["entries"] =
            json!(r#"[{"apiVersion":"v1","kind":"Service","namespace":"a","name":"web"}]"#);
        let mut made = object("Endpoints", "web");
        made["metadata"]["ownerReferences"] = json!([{ "kind": "Service" }]);
        let objects = [chunk, object("Service", "web"), made];
        assert_eq!(no_orphans(&objects), []);
        let found = no_orphans(&[objects[0].clone(), object("Service", "forgotten")]);
        assert_eq!(
            (found.len(), found[0].oracle, found[0].object.as_str()),
            (1, Oracle::O5, "core/services a/forgotten")
        );
    }

    #[test]
    fn a_changed_value_is_seen() {
        assert_eq!(unchanged(&["a/b[password] has had 2 values".to_owned()])[0].oracle, Oracle::O7);
        assert_eq!(unchanged(&[]), []);
    }

    #[test]
    fn a_value_outside_of_its_secret_is_seen() {
        let value = "d41d8cd98f00b204e9800998ecf8427e";
        let mut secret = object("Secret", "db");
        secret["data"] =
            json!({ "password": STANDARD.encode(value), "host": STANDARD.encode("a-host-1.example") });
        let log = |text: &str| vec![("the log".to_owned(), text.to_owned())];
        assert_eq!(no_leaks(std::slice::from_ref(&secret), &log("a-host-1.example is there")), []);
        let found = no_leaks(std::slice::from_ref(&secret), &log(&format!("password={value}")));
        assert_eq!((found.len(), found[0].object.as_str()), (1, "the log"));
        let mut map = object("ConfigMap", "config");
        map["data"] = json!({ "url": format!("postgresql://u:{value}@db/x") });
        assert_eq!(no_leaks(&[secret, map], &[])[0].object, "core/configmaps a/config");
        assert_eq!(no_leaks(&[], &log("-----BEGIN PRIVATE KEY-----")).len(), 1);
    }
}
