//! From what the API server sends to what is kept: as little as possible, dropped while it is parsed. managedFields
//! are never built in memory, a Secret's values never leave the API server, a Pod shrinks to a line. Pure.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicResourceScope;
use kube::discovery::ApiResource;
use plinth_api::names;
use plinth_plan::model::{InventoryEntry, Live, ObjectKey, PodBrief, StackId, UnitId, compact};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Annotations that repeat the object.
const NOISY_ANNOTATIONS: &[&str] = &["kubectl.kubernetes.io/last-applied-configuration"];
/// Fields of a status condition that move although nothing happens.
const NOISY_CONDITION_FIELDS: &[&str] = &["lastUpdateTime", "lastHeartbeatTime", "lastProbeTime"];

/// An object as the cache takes it in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Identity.
    pub key: ObjectKey,
    /// resourceVersion as a number, for "is it newer".
    pub version: u64,
    /// The Stack that its labels name.
    pub stack: Option<StackId>,
    /// What is kept of it.
    pub content: Content,
}

/// What is kept of an object.
#[derive(Clone, Debug)]
pub enum Content {
    /// Its body.
    Object(Live),
    /// A line.
    Pod(UnitId, PodBrief),
    /// What it lists.
    Inventory(Chunk),
}

/// One inventory ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Block that it belongs to.
    pub block: String,
    /// Place in the sequence.
    pub index: usize,
    /// resourceVersion: the precondition of its replacement.
    pub resource_version: String,
    /// Its lines.
    pub entries: Vec<InventoryEntry>,
    /// Why it cannot be read, if so: it must then never be overwritten.
    pub broken: Option<String>,
}

impl Chunk {
    /// Its lines as they are written.
    pub fn text(&self) -> Option<String> {
        serde_json::to_string(&self.entries).ok()
    }
}

/// A kind's way in.
pub trait Ingest: Sized {
    /// What is kept; `api_version` and `kind` come from the watch, since list items and metadata do not carry them.
    fn seen(self, api_version: &str, kind: &str) -> Option<Seen>;
}

macro_rules! dynamic_resource {
    ($name:ident, $metadata_only:expr) => {
        impl kube::Resource for $name {
            type DynamicType = ApiResource;
            type Scope = DynamicResourceScope;

            fn kind(dt: &ApiResource) -> Cow<'_, str> {
                dt.kind.as_str().into()
            }

            fn group(dt: &ApiResource) -> Cow<'_, str> {
                dt.group.as_str().into()
            }

            fn version(dt: &ApiResource) -> Cow<'_, str> {
                dt.version.as_str().into()
            }

            fn plural(dt: &ApiResource) -> Cow<'_, str> {
                dt.plural.as_str().into()
            }

            fn metadata_api() -> bool {
                $metadata_only
            }

            fn meta(&self) -> &ObjectMeta {
                &self.meta
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.meta
            }
        }
    };
}

pub(super) use dynamic_resource;

/// Any object without managedFields.
#[derive(Clone, Debug)]
pub struct Lean {
    /// resourceVersion alone: all that a watch needs.
    meta: ObjectMeta,
    /// When Plinth changed it last.
    applied: Option<i64>,
    body: Value,
}

dynamic_resource!(Lean, false);

impl Lean {
    /// The object.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// Its resourceVersion.
    pub fn resource_version(&self) -> &str {
        self.meta.resource_version.as_deref().unwrap_or_default()
    }
}

impl Ingest for Lean {
    fn seen(mut self, api_version: &str, kind: &str) -> Option<Seen> {
        let key = key_of(&self.body, api_version, kind)?;
        let version = self.resource_version().parse().unwrap_or(0);
        let stack = stack_of(&self.body);
        if kind == "ConfigMap" && label(&self.body, names::LABEL_INVENTORY).is_some() {
            let resource_version = self.resource_version().to_owned();
            let chunk = chunk_of(&mut self.body, resource_version);
            return Some(Seen { key, version, stack, content: Content::Inventory(chunk) });
        }
        let live = live_of(self.body, self.applied);
        Some(Seen { key, version, stack, content: Content::Object(live) })
    }
}

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LeanVisitor)
    }
}

struct LeanVisitor;

impl<'de> Visitor<'de> for LeanVisitor {
    type Value = Lean;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lean, A::Error> {
        let mut body = Map::new();
        let mut meta = ObjectMeta::default();
        let mut applied = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == "metadata" {
                let metadata = map.next_value_seed(Metadata {
                    version: &mut meta.resource_version,
                    applied: &mut applied,
                })?;
                body.insert(name, metadata);
            } else {
                body.insert(name, map.next_value()?);
            }
        }
        Ok(Lean { meta, applied, body: Value::Object(body) })
    }
}

/// Metadata without what nobody reads; resourceVersion goes aside, so that bodies compare equal when nothing changed.
struct Metadata<'a> {
    version: &'a mut Option<String>,
    applied: &'a mut Option<i64>,
}

/// Who changed an object and when; the fields themselves are skipped.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Hand {
    manager: String,
    subresource: String,
    time: Option<jiff::Timestamp>,
}

impl Hand {
    fn ours(&self) -> Option<i64> {
        let ours = self.manager == names::FIELD_MANAGER && self.subresource.is_empty();
        self.time.filter(|_| ours).map(jiff::Timestamp::as_second)
    }
}

impl<'de> DeserializeSeed<'de> for Metadata<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Metadata<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("object metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut metadata = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "managedFields" => {
                    let hands: Vec<Hand> = map.next_value()?;
                    *self.applied = hands.iter().filter_map(Hand::ours).max();
                }
                "selfLink" => {
                    map.next_value::<IgnoredAny>()?;
                }
                "resourceVersion" => *self.version = Some(map.next_value()?),
                _ => {
                    metadata.insert(name, map.next_value()?);
                }
            }
        }
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.retain(|name, _| !NOISY_ANNOTATIONS.contains(&name.as_str()));
        }
        Ok(Value::Object(metadata))
    }
}

/// A Secret without values: its keys are read from who manages them.
#[derive(Clone, Debug, Deserialize)]
pub struct Veiled {
    #[serde(rename = "metadata", default)]
    meta: ObjectMeta,
}

dynamic_resource!(Veiled, true);

impl Veiled {
    /// Its resourceVersion.
    pub fn resource_version(&self) -> &str {
        self.meta.resource_version.as_deref().unwrap_or_default()
    }
}

impl Ingest for Veiled {
    fn seen(self, api_version: &str, kind: &str) -> Option<Seen> {
        let mut meta = self.meta;
        let version = meta.resource_version.take().and_then(|v| v.parse().ok()).unwrap_or(0);
        let mut data = Map::new();
        let mut applied = None;
        for entry in meta.managed_fields.take().unwrap_or_default() {
            let hand = Hand {
                manager: entry.manager.clone().unwrap_or_default(),
                subresource: entry.subresource.clone().unwrap_or_default(),
                time: entry.time.as_ref().map(|time| time.0),
            };
            applied = applied.max(hand.ours());
            let keys =
                entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:data")).and_then(Value::as_object);
            for name in keys.into_iter().flat_map(Map::keys) {
                if let Some(key) = name.strip_prefix("f:") {
                    data.insert(key.to_owned(), Value::Null);
                }
            }
        }
        let mut metadata = serde_json::to_value(&meta).ok()?;
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.retain(|name, _| !NOISY_ANNOTATIONS.contains(&name.as_str()));
        }
        let mut body = Map::new();
        body.insert("apiVersion".to_owned(), api_version.into());
        body.insert("kind".to_owned(), kind.into());
        body.insert("metadata".to_owned(), metadata);
        body.insert("data".to_owned(), Value::Object(data));
        let body = Value::Object(body);
        let key = key_of(&body, api_version, kind)?;
        Some(Seen { key, version, stack: stack_of(&body), content: Content::Object(live_of(body, applied)) })
    }
}

fn key_of(body: &Value, api_version: &str, kind: &str) -> Option<ObjectKey> {
    let metadata = body.get("metadata")?;
    Some(ObjectKey {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: metadata.get("namespace").and_then(Value::as_str).map(str::to_owned),
        name: metadata.get("name")?.as_str()?.to_owned(),
    })
}

fn label<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get("metadata")?.get("labels")?.get(name)?.as_str()
}

fn stack_of(body: &Value) -> Option<StackId> {
    if label(body, names::LABEL_MANAGED_BY) != Some(names::MANAGED_BY) {
        return None;
    }
    Some(StackId {
        namespace: label(body, names::LABEL_STACK_NAMESPACE)?.to_owned(),
        name: label(body, names::LABEL_STACK)?.to_owned(),
    })
}

fn live_of(mut body: Value, applied: Option<i64>) -> Live {
    if let Some(Value::Array(conditions)) = body.pointer_mut("/status/conditions") {
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            condition.retain(|name, _| !NOISY_CONDITION_FIELDS.contains(&name.as_str()));
        }
    }
    let metadata = |name: &str| body.get("metadata").and_then(|m| m.get(name)).and_then(Value::as_str);
    Live {
        uid: metadata("uid").unwrap_or_default().to_owned(),
        created: metadata("creationTimestamp")
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map_or(0, jiff::Timestamp::as_second),
        applied,
        deleting: metadata("deletionTimestamp").is_some(),
        body: Arc::new(compact(body)),
    }
}

fn chunk_of(body: &mut Value, resource_version: String) -> Chunk {
    let block = label(body, names::LABEL_BLOCK).unwrap_or_default().to_owned();
    let index = label(body, names::LABEL_INVENTORY).and_then(|text| text.parse().ok()).unwrap_or(0);
    let text = body.pointer("/data/entries").and_then(Value::as_str).unwrap_or("[]");
    let (entries, broken) = match serde_json::from_str(text) {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Chunk { block, index, resource_version, entries, broken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn managed_fields_versions_and_noise_are_dropped() {
        let lean: Lean = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "12",
                "creationTimestamp": "1970-01-01T00:01:00Z",
                "managedFields": [
                    { "manager": "plinth", "operation": "Apply", "time": "1970-01-01T00:02:00Z", "fieldsV1": { "f:data": {} } },
                    { "manager": "kubectl", "operation": "Update", "time": "1970-01-01T00:09:00Z" },
                ],
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes" },
                "labels": {
                    "app.kubernetes.io/managed-by": "plinth",
                    "plinth.dev/stack-namespace": "gov", "plinth.dev/stack": "novaria",
                },
            },
            "data": { "x": "y" },
        }))
        .unwrap();
        let seen = lean.seen("v1", "ConfigMap").unwrap();
        assert_eq!(seen.version, 12);
        assert_eq!(seen.stack.unwrap().to_string(), "gov/novaria");
        let Content::Object(live) = seen.content else { panic!("not an object") };
        assert_eq!(
            (live.uid.as_str(), live.created, live.applied, live.deleting),
            ("u", 60, Some(120), false)
        );
        assert_eq!(live.body["metadata"]["annotations"], json!({ "kept": "yes" }));
        assert!(live.body["metadata"].get("managedFields").is_none());
        assert!(live.body["metadata"].get("resourceVersion").is_none());
        assert_eq!(live.body["data"]["x"], "y");
    }

    #[test]
    fn a_secret_shows_its_keys_and_no_value() {
        let veiled: Veiled = serde_json::from_value(json!({
            "metadata": { "name": "db", "namespace": "b", "resourceVersion": "3", "managedFields": [
                { "manager": "plinth", "operation": "Apply", "fieldsV1": { "f:data": { "f:password": {} }, "f:type": {} } },
                { "manager": "someone", "operation": "Update", "fieldsV1": { "f:data": { ".": {}, "f:extra": {} } } },
            ] },
        }))
        .unwrap();
        let Content::Object(live) = veiled.seen("v1", "Secret").unwrap().content else {
            panic!("not an object")
        };
        assert_eq!(live.body["data"], json!({ "password": null, "extra": null }));
        assert_eq!(live.body["kind"], "Secret");
    }

    #[test]
    fn an_inventory_that_cannot_be_read_is_marked_and_never_empty_by_mistake() {
        let lean: Lean = serde_json::from_value(json!({
            "metadata": { "name": "plinth-inventory-0", "namespace": "b", "resourceVersion": "9",
                "labels": { "plinth.dev/inventory": "0", "plinth.dev/block": "identity" } },
            "data": { "entries": "[{" },
        }))
        .unwrap();
        let Content::Inventory(chunk) = lean.seen("v1", "ConfigMap").unwrap().content else {
            panic!("not it")
        };
        assert!(chunk.broken.is_some());
        assert_eq!((chunk.block.as_str(), chunk.resource_version.as_str()), ("identity", "9"));
    }
}
