//! Labels, digests and the finishing of desired objects.

use std::collections::BTreeMap;

use plinth_api::names;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::catalogue::hex;
use crate::model::{Desired, ObjectKey, SecretSource, StackId, compact};

/// Who an object belongs to.
#[derive(Clone, Copy)]
pub struct Belongs<'a> {
    /// Stack.
    pub stack: &'a StackId,
    /// Block.
    pub block: &'a str,
    /// Product, where the object is a product's.
    pub product: Option<&'a str>,
    /// Component, where the object is a component's.
    pub component: Option<&'a str>,
}

impl Belongs<'_> {
    /// The labels of the object.
    pub fn labels(&self) -> Map<String, Value> {
        let mut labels = Map::from_iter([
            (names::LABEL_MANAGED_BY.to_owned(), json!(names::MANAGED_BY)),
            (names::LABEL_STACK_NAMESPACE.to_owned(), json!(self.stack.namespace)),
            (names::LABEL_STACK.to_owned(), json!(self.stack.name)),
            (names::LABEL_BLOCK.to_owned(), json!(self.block)),
        ]);
        if let Some(product) = self.product {
            labels.insert(names::LABEL_PART_OF.to_owned(), json!(product));
        }
        if let Some(component) = self.component {
            labels.insert(names::LABEL_NAME.to_owned(), json!(component));
            labels.insert(names::LABEL_COMPONENT.to_owned(), json!(component));
        }
        labels
    }

    /// The labels that select a component's pods. They never change.
    pub fn selector(&self) -> Map<String, Value> {
        let mut labels = Map::from_iter([
            (names::LABEL_STACK.to_owned(), json!(self.stack.name)),
            (names::LABEL_BLOCK.to_owned(), json!(self.block)),
        ]);
        if let Some(component) = self.component {
            labels.insert(names::LABEL_COMPONENT.to_owned(), json!(component));
        }
        labels
    }
}

/// A desired object before overrides and digest.
#[derive(Clone)]
pub struct Draft {
    /// The object with labels.
    pub body: Value,
    /// Recipe, for a Secret.
    pub secret: BTreeMap<String, SecretSource>,
    /// It holds or opens data.
    pub data: bool,
    /// Seconds from creation to ready that are normal.
    pub startup_budget: Option<u32>,
    /// Further readiness.
    pub ready_when: Option<String>,
    /// More pods of it bear more.
    pub scales: bool,
}

impl Draft {
    /// An object of that kind, in a namespace unless cluster-scoped.
    pub fn new(
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        belongs: Belongs<'_>,
        rest: Value,
    ) -> Self {
        let mut metadata = Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("labels".to_owned(), Value::Object(belongs.labels())),
        ]);
        if let Some(namespace) = namespace {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        let mut body = Map::from_iter([
            ("apiVersion".to_owned(), json!(api_version)),
            ("kind".to_owned(), json!(kind)),
            ("metadata".to_owned(), Value::Object(metadata)),
        ]);
        if let Value::Object(rest) = rest {
            body.extend(rest);
        }
        Draft {
            body: Value::Object(body),
            secret: BTreeMap::new(),
            data: false,
            startup_budget: None,
            ready_when: None,
            scales: false,
        }
    }

    /// Add an annotation.
    pub fn annotate(&mut self, name: &str, value: &str) {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[name] = json!(value);
        }
    }

    /// Identity.
    pub fn key(&self) -> ObjectKey {
        let text = |pointer: &str| self.body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        ObjectKey {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// With the digest annotation.
    pub fn finish(mut self) -> Desired {
        let hash = digest(&json!([&self.body, &self.secret]));
        self.annotate(names::ANNOTATION_HASH, &hash);
        if self.data {
            self.annotate(names::ANNOTATION_DATA, "true");
        }
        Desired {
            key: self.key(),
            body: compact(self.body),
            hash,
            secret: self.secret,
            data: self.data,
            startup_budget: self.startup_budget,
            ready_when: self.ready_when,
        }
    }
}

/// Digest of a value, independent of the order of keys. 16 hexadecimal digits.
pub fn digest(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    hex(&hasher.finalize()[..8])
}

/// Digest of a text: 8 hexadecimal digits, for names that must stay short.
pub fn short_digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..4])
}

/// Full SHA-256 of a value, independent of the order of keys.
pub fn full_digest(value: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, value);
    format!("sha256:{}", hex(&hasher.finalize()))
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            hasher.update(b"{");
            for key in keys {
                hasher.update(key.as_bytes());
                hasher.update([0]);
                feed(hasher, &map[key]);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        other => hasher.update(other.to_string().as_bytes()),
    }
}
