//! What is asked of whoever provides a capability: by a block of the backing service that it brings, or by one block of
//! another. What a claim on another block says in secret lies in the namespace of the one that asks; the one that is
//! asked reads a copy in its own.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::product::{Secret, SecretKey};
use serde_json::{Map, Value, json};

use crate::catalogue::Entry;
use crate::model::{Piece, SecretKeyRef};
use crate::naming::{dashed, secret_object};
use crate::resolve::{Binding, Resolved};
use crate::token::{pieces, token};

/// What is asked of whoever provides a capability.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Name of the requirement, with the element's key where it is one for each; with the name of the block before it where
    /// another block is asked.
    pub name: String,
    /// Name of the requirement alone.
    pub requirement: String,
    /// Block that asks.
    pub block: String,
    /// The requirement's parameters.
    pub parameters: Map<String, Value>,
    /// Where a parameter is a secret of another namespace: the copy's key, and what it is a copy of.
    pub copies: BTreeMap<String, SecretKeyRef>,
}

impl Claim {
    /// As expressions see it: parameters beside `name` and `block`.
    pub fn value(&self) -> Value {
        let mut map = self.parameters.clone();
        map.insert("name".to_owned(), json!(self.name));
        map.insert("block".to_owned(), json!(self.block));
        Value::Object(map)
    }

    /// As another block is asked.
    pub(crate) fn of_block(self) -> Self {
        Self { name: format!("{}-{}", self.block, dashed(&self.name)), ..self }
    }

    /// As the one that is asked sees it: secrets of the one that asks are copies in its own namespace.
    fn local(mut self, product: &str, namespace: &str) -> Self {
        let name = self.copies_object(product);
        let mut copies = BTreeMap::new();
        let mut parameters = Value::Object(std::mem::take(&mut self.parameters));
        texts(&mut parameters, &mut |text| {
            let piece = |piece| match piece {
                Piece::Text(text) => text,
                Piece::Secret(original) => {
                    let key = format!("{}.{}", original.name, original.key);
                    let copy = SecretKeyRef {
                        namespace: namespace.to_owned(),
                        name: name.clone(),
                        key: key.clone(),
                    };
                    copies.insert(key, original);
                    token(&copy)
                }
            };
            *text = pieces(text).into_iter().map(piece).collect();
        });
        if let Value::Object(parameters) = parameters {
            self.parameters = parameters;
        }
        Self { copies, ..self }
    }

    /// Name of the Secret object with what the claim says in secret, beside the product that is asked.
    pub(crate) fn copies_object(&self, product: &str) -> String {
        format!("{product}-claim-{}", self.name)
    }
}

/// Every text in a value.
fn texts(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, change)),
        Value::Object(map) => map.values_mut().for_each(|value| texts(value, change)),
        _ => {}
    }
}

/// Hands what blocks ask of one another to those that are asked.
pub(crate) fn hand_over(resolved: &mut [Resolved<'_>]) {
    let mut claims: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for main in resolved.iter().filter_map(|r| r.installed.as_ref()?.instances.first()) {
        for binding in main.bindings.values() {
            if let Binding::Block { name, claim } = binding {
                claims.entry(name.clone()).or_default().push(claim.clone());
            }
        }
    }
    for r in resolved.iter_mut() {
        let Some(main) = r.installed.as_mut().and_then(|installed| installed.instances.first_mut()) else {
            continue;
        };
        let asked = claims.remove(&r.block.name).unwrap_or_default();
        main.claims.extend(asked.into_iter().map(|claim| claim.local(&main.entry.name, &r.namespace)));
    }
}

/// `secrets` as the parameters of requirements see them: those that there is one of.
pub(crate) fn secret_vars(entry: &Entry, namespace: &str) -> Value {
    let single = entry.spec.secrets.iter().filter(|secret| secret.for_each.is_none());
    let keys = |secret: &Secret| {
        let name = secret_object(entry, &secret.name, None);
        let value = |key: &SecretKey| {
            let (namespace, name) = (namespace.to_owned(), name.clone());
            (key.name.clone(), json!(token(&SecretKeyRef { namespace, name, key: key.name.clone() })))
        };
        Value::Object(secret.keys.iter().map(value).collect())
    };
    Value::Object(single.map(|secret| (secret.name.clone(), keys(secret))).collect())
}
