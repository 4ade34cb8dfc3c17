//! JSON Schema as a Registry has it: draft 2020-12, in one document, so that nothing has to be fetched to read it.

use serde_json::{Map, Value};

use crate::model::Finding;
use crate::resolve::finding;

/// The dialect that is understood.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What the value of a keyword is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A schema.
    Schema,
    /// A list of schemas, not empty.
    Schemas,
    /// Schemas by name.
    Named,
    /// A name of a type, or a list of them.
    Types,
    /// A list of values.
    Values,
    /// A list of texts.
    Texts,
    /// Lists of texts by name.
    TextsByName,
    /// A text.
    Text,
    /// A whole number, not negative.
    Count,
    /// A number.
    Number,
    /// A number above zero.
    Positive,
    /// True or false.
    Flag,
    /// Any value.
    Any,
}

/// Keywords, what each has, and whether it says anything about which values are valid.
const KEYWORDS: &[(&str, Shape, bool)] = &[
    ("$comment", Shape::Text, false),
    ("$defs", Shape::Named, false),
    ("$id", Shape::Text, false),
    ("$ref", Shape::Text, true),
    ("$schema", Shape::Text, false),
    ("additionalProperties", Shape::Schema, true),
    ("allOf", Shape::Schemas, true),
    ("anyOf", Shape::Schemas, true),
    ("const", Shape::Any, true),
    ("contains", Shape::Schema, true),
    ("contentEncoding", Shape::Text, false),
    ("contentMediaType", Shape::Text, false),
    ("contentSchema", Shape::Schema, false),
    ("default", Shape::Any, false),
    ("definitions", Shape::Named, false),
    ("dependentRequired", Shape::TextsByName, true),
    ("dependentSchemas", Shape::Named, true),
    ("deprecated", Shape::Flag, false),
    ("description", Shape::Text, false),
    ("else", Shape::Schema, true),
    ("enum", Shape::Values, true),
    ("examples", Shape::Values, false),
    ("exclusiveMaximum", Shape::Number, true),
    ("exclusiveMinimum", Shape::Number, true),
    ("format", Shape::Text, true),
    ("if", Shape::Schema, true),
    ("items", Shape::Schema, true),
    ("maxContains", Shape::Count, true),
    ("maxItems", Shape::Count, true),
    ("maxLength", Shape::Count, true),
    ("maxProperties", Shape::Count, true),
    ("maximum", Shape::Number, true),
    ("minContains", Shape::Count, true),
    ("minItems", Shape::Count, true),
    ("minLength", Shape::Count, true),
    ("minProperties", Shape::Count, true),
    ("minimum", Shape::Number, true),
    ("multipleOf", Shape::Positive, true),
    ("not", Shape::Schema, true),
    ("oneOf", Shape::Schemas, true),
    ("pattern", Shape::Text, true),
    ("patternProperties", Shape::Named, true),
    ("prefixItems", Shape::Schemas, true),
    ("properties", Shape::Named, true),
    ("propertyNames", Shape::Schema, true),
    ("readOnly", Shape::Flag, false),
    ("required", Shape::Texts, true),
    ("then", Shape::Schema, true),
    ("title", Shape::Text, false),
    ("type", Shape::Types, true),
    ("unevaluatedItems", Shape::Schema, true),
    ("unevaluatedProperties", Shape::Schema, true),
    ("uniqueItems", Shape::Flag, true),
    ("writeOnly", Shape::Flag, false),
];

/// What other dialects have, and what is written in its place.
const ELSEWHERE: &[(&str, &str)] = &[
    ("$anchor", "name the place by its path, `#/$defs/NAME`"),
    ("$dynamicAnchor", "name the place by its path, `#/$defs/NAME`"),
    ("$dynamicRef", "use `$ref`"),
    ("$recursiveRef", "use `$ref`"),
    ("additionalItems", "use `items`, and `prefixItems` for the first ones"),
    ("dependencies", "use `dependentRequired` or `dependentSchemas`"),
    ("id", "use `$id`"),
    ("nullable", "write `type: [string, \"null\"]`"),
];

/// Names of types.
pub const TYPES: &[&str] = &["null", "boolean", "object", "array", "number", "string", "integer"];

/// What a keyword has, when it is one.
pub fn shape(keyword: &str) -> Option<Shape> {
    KEYWORDS.iter().find(|(name, ..)| *name == keyword).map(|(_, shape, _)| *shape)
}

/// Whether a keyword says nothing about which values are valid: words for people, and places for other schemas.
pub fn is_annotation(keyword: &str) -> bool {
    keyword.starts_with("x-") || KEYWORDS.iter().any(|(name, _, asserts)| *name == keyword && !asserts)
}

/// The schema of the same document that a `$ref` names.
pub fn target<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%'))?;
    document.pointer(pointer)
}

/// What is wrong with a schema, `at` being its path. Which values it accepts is not looked at.
pub fn check(document: &Value, at: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_schema(document, document, at, &mut findings);
    findings
}

fn check_schema(document: &Value, schema: &Value, at: &str, findings: &mut Vec<Finding>) {
    match schema {
        Value::Bool(_) => {}
        Value::Object(map) => {
            for (keyword, value) in map {
                let path = format!("{at}.{keyword}");
                match shape(keyword) {
                    Some(shape) => check_value(document, (keyword, shape), value, &path, findings),
                    None if is_annotation(keyword) => {}
                    None => findings.push(finding(&path, no_keyword(keyword))),
                }
            }
            check_base(document, map, at, findings);
        }
        other => findings
            .push(finding(at, format!("is {}, must be a schema: an object, true or false", brief(other)))),
    }
}

fn no_keyword(keyword: &str) -> String {
    let instead = ELSEWHERE.iter().find(|(name, _)| *name == keyword);
    let instead = instead.map_or("a keyword of one's own begins with `x-`", |(_, instead)| instead);
    format!("is no keyword of JSON Schema 2020-12 in one document; {instead}")
}

fn check_value(
    document: &Value,
    (keyword, shape): (&str, Shape),
    value: &Value,
    at: &str,
    findings: &mut Vec<Finding>,
) {
    let wanted = match (shape, value) {
        (Shape::Schema, schema) => {
            check_schema(document, schema, at, findings);
            return;
        }
        (Shape::Schemas, Value::Array(schemas)) if !schemas.is_empty() => {
            for (i, schema) in schemas.iter().enumerate() {
                check_schema(document, schema, &format!("{at}[{i}]"), findings);
            }
            return;
        }
        (Shape::Named, Value::Object(schemas)) => {
            for (name, schema) in schemas {
                check_schema(document, schema, &format!("{at}.{name}"), findings);
            }
            return;
        }
        (Shape::Types, value) if is_types(value) => return,
        (Shape::Values, Value::Array(_)) | (Shape::Any, _) | (Shape::Flag, Value::Bool(_)) => return,
        (Shape::Texts, value) if is_texts(value) => return,
        (Shape::TextsByName, Value::Object(lists)) if lists.values().all(is_texts) => return,
        (Shape::Text, Value::String(text)) if keyword == "$ref" => {
            if target(document, text).is_none() {
                findings.push(finding(
                    at,
                    format!(
                        "`{text}` leads nowhere; it must be `#` or a path in this schema, `#/$defs/NAME`"
                    ),
                ));
            }
            return;
        }
        (Shape::Text, Value::String(_)) => return,
        (Shape::Count, Value::Number(number)) if number.as_u64().is_some() => return,
        (Shape::Number, Value::Number(_)) => return,
        (Shape::Positive, Value::Number(number)) if number.as_f64().is_some_and(|n| n > 0.0) => return,
        (Shape::Schemas, _) => "a list of schemas, not empty",
        (Shape::Named, _) => "an object of schemas by name",
        (Shape::Types, _) => {
            "one of null, boolean, object, array, number, string, integer, or a list of them"
        }
        (Shape::Values, _) => "a list of values",
        (Shape::Texts, _) => "a list of texts, each once",
        (Shape::TextsByName, _) => "an object of lists of texts by name",
        (Shape::Text, _) => "a text",
        (Shape::Count, _) => "a whole number, 0 or more",
        (Shape::Number, _) => "a number",
        (Shape::Positive, _) => "a number above 0",
        (Shape::Flag, _) => "true or false",
    };
    findings.push(finding(at, format!("is {}, must be {wanted}", brief(value))));
}

/// A document of another dialect, or one that is put together of several, would be read in two ways.
fn check_base(document: &Value, map: &Map<String, Value>, at: &str, findings: &mut Vec<Finding>) {
    let is_root = document.as_object().is_some_and(|root| std::ptr::eq(root, map));
    if let Some(Value::String(dialect)) = map.get("$schema")
        && dialect.trim_end_matches('#') != DIALECT
    {
        findings.push(finding(
            &format!("{at}.$schema"),
            format!("is `{dialect}`, must be `{DIALECT}`, or left out"),
        ));
    }
    for keyword in ["$schema", "$id"] {
        if map.contains_key(keyword) && !is_root {
            findings.push(finding(
                &format!("{at}.{keyword}"),
                "is for the whole schema only: write it at its root, or leave it out",
            ));
        }
    }
    if circles(document, map) {
        findings.push(finding(&format!("{at}.$ref"), "leads back to itself"));
    }
}

/// Whether `$ref` after `$ref` leads back, so that the schema says nothing.
fn circles(document: &Value, map: &Map<String, Value>) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut next = map.get("$ref").and_then(Value::as_str);
    while let Some(reference) = next {
        if seen.contains(&reference) {
            return true;
        }
        seen.push(reference);
        next = target(document, reference).and_then(|schema| schema.get("$ref")).and_then(Value::as_str);
    }
    false
}

fn is_types(value: &Value) -> bool {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(is_type),
        name => is_type(name),
    }
}

fn is_texts(value: &Value) -> bool {
    let Value::Array(items) = value else { return false };
    items.iter().enumerate().all(|(i, item)| item.is_string() && !items[..i].contains(item))
}

/// A value as a message has it: the whole of what is short.
pub(super) fn brief(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(schema: &Value) -> Vec<String> {
        check(schema, "schema").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_schema_that_says_what_it_means_has_no_findings() {
        let schema = json!({
            "$schema": DIALECT,
            "title": "Birth",
            "type": "object",
            "required": ["name", "born"],
            "additionalProperties": false,
            "x-source": "Civil Code, art. 49",
            "properties": {
                "name": { "type": ["string", "null"], "minLength": 1 },
                "born": { "type": "string", "format": "date" },
                "parents": { "type": "array", "items": { "$ref": "#/$defs/person" }, "maxItems": 2 },
            },
            "$defs": { "person": { "type": "object", "properties": { "title": { "type": "string" } } } },
        });
        assert_eq!(found(&schema), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        for (schema, place, part) in [
            (json!([]), "schema", "must be a schema"),
            (json!({ "requird": [] }), "schema.requird", "is no keyword"),
            (json!({ "nullable": true }), "schema.nullable", "[string, \"null\"]"),
            (json!({ "type": "text" }), "schema.type", "must be one of null"),
            (json!({ "type": [] }), "schema.type", "must be one of null"),
            (json!({ "required": ["a", "a"] }), "schema.required", "each once"),
            (json!({ "maxLength": -1 }), "schema.maxLength", "0 or more"),
            (json!({ "multipleOf": 0 }), "schema.multipleOf", "above 0"),
            (json!({ "uniqueItems": "yes" }), "schema.uniqueItems", "true or false"),
            (json!({ "allOf": [] }), "schema.allOf", "not empty"),
            (json!({ "items": [{}] }), "schema.items", "must be a schema"),
            (json!({ "properties": { "a": 1 } }), "schema.properties.a", "must be a schema"),
            (json!({ "$ref": "#/$defs/a" }), "schema.$ref", "leads nowhere"),
            (json!({ "$ref": "https://example.org/a" }), "schema.$ref", "leads nowhere"),
            (json!({ "$ref": "#" }), "schema.$ref", "back to itself"),
            (json!({ "$schema": "http://json-schema.org/draft-07/schema#" }), "schema.$schema", DIALECT),
            (json!({ "not": { "$id": "a" } }), "schema.not.$id", "whole schema"),
        ] {
            let found = found(&schema);
            let hit = |f: &String| f.starts_with(&format!("{place}: ")) && f.contains(part);
            assert!(found.iter().any(hit), "{schema}: {found:?}");
        }
    }

    #[test]
    fn a_property_may_have_the_name_of_a_keyword() {
        assert_eq!(
            found(&json!({ "properties": { "requird": true, "type": { "type": "string" } } })),
            Vec::<String>::new()
        );
    }
}
