//! What widens a schema and what narrows it, keyword by keyword, in both directions.

use plinth_plan::exchange::widening::narrowings;
use serde_json::{Value, json};

fn found(old: &Value, new: &Value) -> Vec<String> {
    narrowings(old, new).iter().map(ToString::to_string).collect()
}

/// `narrow` may become `wide`, and not the other way round; `why` is part of what is then said.
fn one_way(narrow: &Value, wide: &Value, why: &str) {
    let forth = found(narrow, wide);
    assert!(forth.is_empty(), "{narrow} -> {wide}: {forth:#?}");
    let back = found(wide, narrow);
    assert!(back.iter().any(|found| found.contains(why)), "{wide} -> {narrow}: {back:#?}");
}

#[test]
fn each_keyword_widens_one_way_and_narrows_the_other() {
    let any = json!({});
    for (narrow, wide, why) in [
        // Types.
        (json!({ "type": "string" }), any.clone(), "schema.type: allows null, boolean"),
        (
            json!({ "type": "string" }),
            json!({ "type": ["string", "null"] }),
            "schema.type: allows null no longer",
        ),
        (json!({ "type": "integer" }), json!({ "type": "number" }), "number that is not whole"),
        (json!({ "type": "integer" }), json!({ "type": ["number", "string"] }), "allows string"),
        // Listed values.
        (json!({ "enum": ["a"] }), json!({ "enum": ["a", "b"] }), "schema.enum: allows \"b\" no longer"),
        (json!({ "enum": ["a"] }), json!({ "type": "string" }), "before any value"),
        (json!({ "const": 1 }), json!({ "enum": [1.0, 2] }), "allows 2 no longer"),
        (json!({ "const": 1 }), json!({ "type": "integer" }), "before any value"),
        (json!({ "const": true }), json!({ "type": "boolean" }), "allows false no longer"),
        // Numbers.
        (json!({ "minimum": 3 }), json!({ "minimum": 2 }), "is 3, and was 2: records may have smaller ones"),
        (json!({ "minimum": 3 }), any.clone(), "schema.minimum: is 3, and was not set"),
        (json!({ "exclusiveMinimum": 3 }), json!({ "minimum": 3 }), "schema.exclusiveMinimum"),
        (json!({ "maximum": 3 }), json!({ "maximum": 3.5 }), "records may have greater ones"),
        (json!({ "exclusiveMaximum": 3 }), json!({ "maximum": 3 }), "schema.exclusiveMaximum"),
        (json!({ "maximum": 2 }), json!({ "exclusiveMaximum": 3 }), "schema.maximum"),
        (json!({ "multipleOf": 6 }), json!({ "multipleOf": 3 }), "records may have numbers between"),
        // Texts.
        (json!({ "minLength": 3 }), json!({ "minLength": 2 }), "records may have shorter ones"),
        (json!({ "maxLength": 3 }), json!({ "maxLength": 4 }), "records may have longer ones"),
        (json!({ "pattern": "^a" }), any.clone(), "schema.pattern: is \"^a\", and was not set"),
        (json!({ "format": "date" }), any.clone(), "schema.format: is \"date\", and was not set"),
        // Lists.
        (json!({ "minItems": 1 }), json!({ "minItems": 0 }), "schema.minItems"),
        (json!({ "maxItems": 1 }), json!({ "maxItems": 2 }), "schema.maxItems"),
        (json!({ "uniqueItems": true }), json!({ "uniqueItems": false }), "records may have one twice"),
        (
            json!({ "items": { "maxLength": 1 } }),
            json!({ "items": { "maxLength": 2 } }),
            "schema.items.maxLength",
        ),
        (json!({ "items": false }), json!({ "items": true }), "schema.items: accepts nothing"),
        (
            json!({ "prefixItems": [{ "minimum": 1 }], "items": false }),
            json!({ "prefixItems": [{ "minimum": 0 }], "items": false }),
            "schema.prefixItems[0].minimum",
        ),
        (json!({ "prefixItems": [{ "type": "null" }] }), any.clone(), "schema.prefixItems[0].type"),
        (json!({ "contains": { "const": 1 } }), any.clone(), "schema.contains: cannot be shown"),
        // Objects.
        (
            json!({ "required": ["a"] }),
            any.clone(),
            "schema.required: `a` becomes required: records without it may exist",
        ),
        (
            json!({ "additionalProperties": false }),
            json!({ "properties": { "a": { "type": "string" } }, "additionalProperties": false }),
            "schema.properties.a: is not in the schema any more",
        ),
        (
            json!({ "properties": { "a": { "type": "string" } } }),
            any.clone(),
            "schema.properties.a: is described now",
        ),
        (json!({ "additionalProperties": false }), any.clone(), "schema.additionalProperties: is false now"),
        (
            json!({ "additionalProperties": { "type": "string" } }),
            json!({ "additionalProperties": { "type": ["string", "null"] } }),
            "schema.additionalProperties.type",
        ),
        (
            json!({ "patternProperties": { "^x": { "maxLength": 1 } } }),
            json!({ "patternProperties": { "^x": { "maxLength": 2 } } }),
            "schema.patternProperties.^x.maxLength",
        ),
        (json!({ "minProperties": 1 }), any.clone(), "schema.minProperties"),
        (json!({ "required": ["a", "b"] }), json!({ "minProperties": 2 }), "becomes required"),
        (json!({ "maxProperties": 1 }), any.clone(), "schema.maxProperties"),
        (
            json!({ "propertyNames": { "maxLength": 3 } }),
            json!({ "propertyNames": { "maxLength": 4 } }),
            "schema.propertyNames.maxLength",
        ),
        (
            json!({ "dependentRequired": { "a": ["b"] } }),
            any.clone(),
            "schema.dependentRequired.a: `b` becomes required beside `a`",
        ),
        (
            json!({ "required": ["b"] }),
            json!({ "dependentRequired": { "a": ["b"] } }),
            "`b` becomes required",
        ),
        (
            json!({ "dependentSchemas": { "a": { "maxProperties": 2 } } }),
            json!({ "dependentSchemas": { "a": { "maxProperties": 3 } } }),
            "schema.dependentSchemas.a.maxProperties",
        ),
        // Put together.
        (
            json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }),
            json!({ "minimum": 1 }),
            "schema.allOf[1].maximum",
        ),
        (
            json!({ "type": "null" }),
            json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }),
            "schema.type",
        ),
        (
            json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] }),
            json!({ "type": ["null", "string", "integer"] }),
            "schema.anyOf: cannot be shown to widen: no alternative",
        ),
        (
            json!({ "type": ["null", "string"] }),
            json!({ "anyOf": [{ "type": "null" }, { "type": "string" }, { "type": "integer" }] }),
            "schema.type: allows integer",
        ),
        (
            json!({ "type": "string" }),
            json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] }),
            "schema.type: allows integer",
        ),
        (json!({ "not": { "const": 1 } }), any.clone(), "schema.not: cannot be shown"),
        (
            json!({ "maxLength": 2 }),
            json!({ "if": { "minLength": 1 }, "then": { "maxLength": 3 }, "else": { "maxLength": 4 } }),
            "schema.maxLength",
        ),
        (
            json!({ "unevaluatedProperties": false }),
            any.clone(),
            "schema.unevaluatedProperties: cannot be shown",
        ),
        (json!({ "unevaluatedItems": false }), any.clone(), "schema.unevaluatedItems: cannot be shown"),
        // Elsewhere in the document.
        (
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "maxLength": 2 } } }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "maxLength": 3 } } }),
            "schema.$ref.maxLength: is 2, and was 3",
        ),
        (
            json!({ "maxLength": 2 }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "maxLength": 3 } } }),
            "schema.maxLength",
        ),
        (json!(false), json!({ "type": "string" }), "accepts nothing any more"),
        (json!({ "type": "string" }), json!(true), "schema.type"),
    ] {
        one_way(&narrow, &wide, why);
    }
}

#[test]
fn what_says_the_same_widens_both_ways() {
    let tree = json!({
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } } } },
        "$ref": "#/$defs/node",
    });
    for (one, two) in [
        (
            json!({ "title": "A", "type": "string" }),
            json!({ "description": "B", "type": "string", "x-note": 1 }),
        ),
        (json!({ "type": ["string", "null"] }), json!({ "type": ["null", "string"] })),
        (json!({ "type": "integer", "multipleOf": 1 }), json!({ "type": "integer" })),
        (json!({ "const": "a" }), json!({ "enum": ["a"], "type": "string" })),
        (json!({ "type": "string", "minimum": 3 }), json!({ "type": "string" })),
        (json!({ "not": { "const": 1 }, "title": "A" }), json!({ "not": { "const": 1.0 } })),
        (
            json!({ "unevaluatedProperties": false, "allOf": [{ "properties": { "a": {} } }] }),
            json!({ "unevaluatedProperties": false, "allOf": [{ "properties": { "a": { "title": "A" } } }] }),
        ),
        (json!({ "maxItems": 1 }), json!({ "maxItems": 1, "uniqueItems": true })),
        (tree.clone(), tree),
    ] {
        assert_eq!(found(&two, &one), Vec::<String>::new(), "{two} -> {one}");
        assert_eq!(found(&one, &two), Vec::<String>::new(), "{one} -> {two}");
    }
}

#[test]
fn a_schema_that_refers_to_itself_is_followed_once_around() {
    let list = |most: u64, extra: &Value| {
        json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": {
                "type": "object",
                "additionalProperties": false,
                "properties": { "name": { "type": "string", "maxLength": most }, "next": { "$ref": "#/$defs/node" }, "more": extra },
            } },
        })
    };
    one_way(&list(2, &json!(true)), &list(3, &json!(true)), "schema.$ref.properties.name.maxLength");
    let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/a" }, { "type": "string" }] } } });
    assert!(found(&json!({ "type": "string" }), &circle)[0].contains("refers to itself"));
}

#[test]
fn alternatives_that_name_themselves_are_told_apart() {
    let channel = |kind: &str, field: &str| {
        json!({
            "type": "object", "additionalProperties": false, "required": ["kind"],
            "properties": { "kind": { "const": kind }, field: { "type": "string" } },
        })
    };
    let (post, mail, phone) =
        (channel("post", "address"), channel("mail", "address"), channel("phone", "number"));
    one_way(
        &json!({ "oneOf": [post.clone(), mail.clone()] }),
        &json!({ "oneOf": [post, mail, phone] }),
        "schema.oneOf: cannot be shown to widen: no alternative",
    );
    let overlap = json!({ "oneOf": [{ "type": "string" }, { "maxLength": 3 }] });
    assert!(found(&json!({ "type": "string" }), &overlap)[0].contains("use `anyOf`"));
}

#[test]
fn a_record_grows_by_optional_fields_when_it_is_closed() {
    let birth = |properties: Value, required: Value| json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required });
    let before = birth(
        json!({ "name": { "type": "string", "maxLength": 80 }, "born": { "type": "string", "format": "date" } }),
        json!(["name", "born"]),
    );
    let after = birth(
        json!({
            "name": { "type": ["string", "null"], "maxLength": 120 },
            "born": { "type": "string", "format": "date" },
            "place": { "type": "string" },
        }),
        json!(["born"]),
    );
    assert_eq!(found(&before, &after), Vec::<String>::new());
    assert_eq!(
        found(&after, &before),
        [
            "schema.required: `name` becomes required: records without it may exist",
            "schema.properties.name.type: allows null no longer, which records may have",
            "schema.properties.name.maxLength: is 80, and was 120: records may have longer ones",
            "schema.properties.place: is not in the schema any more, which allows no other: records may have it",
        ]
    );
}

#[test]
fn what_cannot_be_decided_is_refused_and_named() {
    for (old, new, why) in [
        (
            json!({ "pattern": "^[ab]+$" }),
            json!({ "pattern": "^[abc]+$" }),
            "whether one covers the other is not decided",
        ),
        (json!({ "format": "date" }), json!({ "format": "date-time" }), "is \"date-time\", and was \"date\""),
        (json!({ "not": { "const": 1 } }), json!({ "not": { "const": 2 } }), "compared word for word"),
        (json!({ "type": "string" }), json!({ "$dynamicRef": "#a" }), "no keyword that is understood"),
        (json!({ "type": "string" }), json!({ "$ref": "https://example.org/name" }), "leads nowhere"),
        (json!({ "minLength": 1 }), json!({ "minLength": 0.5 }), "no whole number"),
    ] {
        let found = found(&old, &new);
        assert!(found.iter().any(|found| found.contains(why)), "{old} -> {new}: {found:?}");
    }
}

#[test]
fn a_schema_made_to_hold_everybody_up_is_refused_in_time() {
    // Each of ten alternatives leads to ten others, ten deep.
    let level = |i: usize, last: Value| {
        let next = if i == 9 { last } else { json!({ "$ref": format!("#/$defs/d{}", i + 1) }) };
        let choice: Vec<Value> = (0..10).map(|j| json!({ "allOf": [next.clone()], "minimum": j })).collect();
        (format!("d{i}"), json!({ "anyOf": choice }))
    };
    let schema = |last: &Value| {
        let defs: serde_json::Map<String, Value> = (0..10).map(|i| level(i, last.clone())).collect();
        json!({ "$ref": "#/$defs/d0", "$defs": defs })
    };
    let found = found(&schema(&json!({ "type": "number" })), &schema(&json!({ "type": "integer" })));
    assert!(!found.is_empty());
    assert!(found.len() <= 50);
}
