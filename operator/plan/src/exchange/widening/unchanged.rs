//! Whether two schemas say the same: word for word, but for words that say nothing about which values are valid.

use serde_json::{Map, Value};

use super::facts::same;
use crate::exchange::schema::{Shape, is_annotation, shape, target};

/// Compares schemas of two documents.
pub struct Unchanged<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Pairs of references that are being followed: they lead to the same as long as nothing else differs.
    followed: Vec<(&'a str, &'a str)>,
}

impl<'a> Unchanged<'a> {
    pub fn new(old: &'a Value, new: &'a Value) -> Self {
        Self { old, new, followed: Vec::new() }
    }

    /// Whether a schema of the old document and one of the new say the same.
    pub fn schema(&mut self, old: &'a Value, new: &'a Value) -> bool {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => self.keywords(old, new),
            _ => old == new,
        }
    }

    pub fn keywords(&mut self, old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> bool {
        let says = |(keyword, _): &(&'a String, &'a Value)| !is_annotation(keyword);
        let ours: Vec<_> = old.iter().filter(says).collect();
        ours.len() == new.iter().filter(says).count()
            && ours.into_iter().all(|(keyword, value)| {
                new.get(keyword).is_some_and(|twin| self.keyword(keyword, value, twin))
            })
    }

    /// Whether a keyword says the same.
    pub fn keyword(&mut self, keyword: &str, old: &'a Value, new: &'a Value) -> bool {
        match (shape(keyword), old, new) {
            (_, Value::String(old), Value::String(new)) if keyword == "$ref" => self.reference(old, new),
            (Some(Shape::Schema), old, new) => self.schema(old, new),
            (Some(Shape::Schemas), Value::Array(old), Value::Array(new)) => {
                old.len() == new.len() && old.iter().zip(new).all(|(old, new)| self.schema(old, new))
            }
            (Some(Shape::Named), Value::Object(old), Value::Object(new)) => {
                old.len() == new.len()
                    && old
                        .iter()
                        .all(|(name, schema)| new.get(name).is_some_and(|twin| self.schema(schema, twin)))
            }
            _ => same(old, new),
        }
    }

    fn reference(&mut self, old: &'a str, new: &'a str) -> bool {
        if self.followed.contains(&(old, new)) {
            return true;
        }
        self.followed.push((old, new));
        match (target(self.old, old), target(self.new, new)) {
            (Some(old), Some(new)) => self.schema(old, new),
            _ => false,
        }
    }
}
