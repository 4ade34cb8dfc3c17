//! What objects of other kinds name: keys of Secrets and ConfigMaps, and one another. Charts and operators read them by
//! shapes that are the same everywhere in Kubernetes, also inside the patches that a HelmRelease carries as text.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::{World, items};
use crate::expr::listed;
use crate::model::{Desired, Finding, UnitId};

/// A key of a Secret or a ConfigMap, as an object names it.
struct Named {
    secret: bool,
    object: String,
    key: String,
}

/// Keys that a Secret of a type has, by what reads it.
const TYPED: &[(&str, &[&str])] = &[
    ("kubernetes.io/basic-auth", &["username", "password"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
];

/// A key that an object names exists, where the plan has the Secret or the ConfigMap; and a Secret has the keys of its type.
pub fn keys(world: &World<'_>, findings: &mut Vec<Finding>) {
    for (unit, object) in foreign(world) {
        let namespace = object.key.namespace.as_deref().unwrap_or_default();
        let mut all = Vec::new();
        every(&object.body["spec"], &mut |value| named(value, &mut all));
        for named in &all {
            let Some(known) = known(world, namespace, named) else { continue };
            if !known.contains(named.key.as_str()) {
                let known: Vec<&str> = known.into_iter().collect();
                let message =
                    format!("`{}` has no key `{}`; it has {}", named.object, named.key, listed(&known));
                findings.push(world.on(unit, object, "spec", message));
            }
        }
    }
    for (unit, secret) in world.secrets.values() {
        let typed = TYPED.iter().find(|(kind, _)| secret.body["type"] == *kind);
        let wanted = typed.map(|(_, keys)| *keys).unwrap_or_default();
        for key in wanted.iter().filter(|key| !secret.secret.contains_key(**key)) {
            let message = format!("is of type {} and has no key `{key}`", secret.body["type"]);
            findings.push(world.on(unit, secret, "data", message));
        }
    }
}

fn known<'w>(world: &'w World<'_>, namespace: &str, named: &Named) -> Option<BTreeSet<&'w str>> {
    let at = (namespace, named.object.as_str());
    if named.secret {
        let (_, secret) = world.secrets.get(&at)?;
        return Some(secret.secret.keys().map(String::as_str).collect());
    }
    let (_, config) = world.configs.get(&at)?;
    Some(config.body["data"].as_object()?.keys().map(String::as_str).collect())
}

/// The keys that one place of an object names.
fn named(value: &Value, all: &mut Vec<Named>) {
    let mut add = |secret: bool, object: &Value, key: &Value| {
        if let (Some(object), Some(key)) = (object.as_str(), key.as_str()) {
            all.push(Named { secret, object: object.to_owned(), key: key.to_owned() });
        }
    };
    let reference = |field: &str| &value[field];
    add(true, &reference("secretKeyRef")["name"], &reference("secretKeyRef")["key"]);
    add(false, &reference("configMapKeyRef")["name"], &reference("configMapKeyRef")["key"]);
    for key in ["key", "secretKey"] {
        add(true, &value["secretName"], &value[key]);
    }
    for item in items(&value["items"]) {
        add(true, &value["secretName"], &item["key"]);
    }
    for item in items(&value["configMap"]["items"]) {
        add(false, &value["configMap"]["name"], &item["key"]);
    }
    for from in items(&value["valuesFrom"]) {
        add(from["kind"] == "Secret", &from["name"], &from["valuesKey"]);
    }
}

/// An object that names another of the plan starts after it: a release after its chart's source, a topic after its broker.
pub fn order(world: &World<'_>, findings: &mut Vec<Finding>) {
    let all: Vec<(&UnitId, &Desired)> = foreign(world).collect();
    for (unit, object) in &all {
        for (kind, name) in referred(object) {
            let other = all.iter().find(|(_, other)| {
                other.key.kind == kind
                    && other.key.name == name
                    && other.key.namespace == object.key.namespace
            });
            if let Some((other, _)) = other.filter(|(other, _)| other != unit && !world.waits(unit, other)) {
                let message =
                    format!("names {kind} `{name}` without waiting for `{other}`; add it to `after`");
                findings.push(world.on(unit, object, "after", message));
            }
        }
    }
}

/// Kind and name of what an object cannot be without.
fn referred(object: &Desired) -> Vec<(String, String)> {
    let mut found = Vec::new();
    every(&object.body["spec"], &mut |value| {
        for field in ["sourceRef", "chartRef"] {
            if let (Some(kind), Some(name)) = (value[field]["kind"].as_str(), value[field]["name"].as_str()) {
                found.push((kind.to_owned(), name.to_owned()));
            }
        }
    });
    let by_name = match object.key.kind.as_str() {
        "Database" => Some(("Cluster", &object.body["spec"]["cluster"]["name"])),
        "KafkaTopic" | "KafkaUser" => {
            Some(("Kafka", &object.body["metadata"]["labels"]["strimzi.io/cluster"]))
        }
        "Certificate" => Some(("Issuer", &object.body["spec"]["issuerRef"]["name"])),
        "HTTPRoute" | "TLSRoute" => Some(("Gateway", &object.body["spec"]["parentRefs"][0]["name"])),
        _ => None,
    };
    found.extend(by_name.and_then(|(kind, name)| Some((kind.to_owned(), name.as_str()?.to_owned()))));
    found
}

/// The objects that an entry writes out.
fn foreign<'w>(world: &'w World<'_>) -> impl Iterator<Item = (&'w UnitId, &'w Desired)> {
    let units = world.plan.units().filter(|unit| unit.id.name.starts_with("object/"));
    units.flat_map(|unit| unit.objects.iter().map(move |object| (&unit.id, object)))
}

/// Every map in a value, and in texts of several lines that are YAML.
fn every(value: &Value, visit: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(fields) => {
            visit(value);
            fields.values().for_each(|field| every(field, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| every(item, visit)),
        Value::String(text) if text.contains('\n') => {
            let inner: Value = serde_yaml::from_str(text).unwrap_or_default();
            if inner.is_object() || inner.is_array() {
                every(&inner, visit);
            }
        }
        _ => {}
    }
}
