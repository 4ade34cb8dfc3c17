//! What a Registry says about its records, looked at by itself: before anything is made of it.

use plinth_api::v1alpha1::registry::RegistrySpec;
use serde_json::Value;

use super::schema;
use super::widening::facts::{Facts, Types};
use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::finding;

/// What is wrong with what a Registry says about its records.
pub fn check(spec: &RegistrySpec) -> Vec<Finding> {
    if spec.schema.is_empty() {
        let made = spec.block.is_some();
        return made
            .then(|| finding("spec.schema", "is missing: the registry is made of it"))
            .into_iter()
            .collect();
    }
    let document = Value::Object(spec.schema.clone());
    let mut findings = schema::check(&document, "spec.schema");
    if document.get("type").and_then(Value::as_str) != Some("object") {
        findings.push(finding("spec.schema.type", "must be `object`: a record has properties"));
    }
    let record = Facts::of(&document, &document);
    indexes(spec, &record, &mut findings);
    retention(spec, &record, &mut findings);
    findings
}

/// The names of a record's properties, for people.
fn known(record: &Facts<'_>) -> String {
    let mut names: Vec<&String> = record.names().collect();
    names.sort_unstable();
    names.dedup();
    listed(&names)
}

fn has(record: &Facts<'_>, name: &str) -> bool {
    record.names().any(|known| known == name)
}

fn indexes(spec: &RegistrySpec, record: &Facts<'_>, findings: &mut Vec<Finding>) {
    for (i, index) in spec.indexes.iter().enumerate() {
        let at = format!("spec.indexes[{i}]");
        if spec.indexes[..i].contains(index) {
            findings.push(finding(&at, format!("{} is there twice", listed(index))));
        }
        for (j, name) in index.iter().enumerate() {
            let at = format!("{at}[{j}]");
            if !has(record, name) {
                let message = format!("`{name}` is no property of a record; it has {}", known(record));
                findings.push(finding(&at, message));
            } else if index[..j].contains(name) {
                findings.push(finding(&at, format!("`{name}` is there twice")));
            } else if record.member(Some(name)).iter().all(|(value, _)| value.types.is_within(Types::PARTS)) {
                findings.push(finding(
                    &at,
                    format!("`{name}` is an object or a list, which is not searched as one value"),
                ));
            }
        }
    }
}

fn retention(spec: &RegistrySpec, record: &Facts<'_>, findings: &mut Vec<Finding>) {
    let Some(from) = spec.retention.as_ref().map(|retention| retention.from.as_str()) else { return };
    let at = "spec.retention.from";
    if has(record, from) {
        let is_date = |value: &Facts<'_>| {
            let mut formats = value.all("format");
            formats.any(|format| format == "date" || format == "date-time")
        };
        if !record.member(Some(from)).iter().all(|(value, _)| is_date(value)) {
            findings.push(finding(
                at,
                format!("`{from}` is no date: its format is neither `date` nor `date-time`"),
            ));
        }
    } else if !from.contains(char::is_whitespace) {
        let message = format!(
            "`{from}` is no property of a record, and an event takes more than one word; properties are {}",
            known(record)
        );
        findings.push(finding(at, message));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(change: &Value) -> Vec<String> {
        let mut spec = json!({
            "stackRef": { "name": "small" },
            "code": "births",
            "owner": "civil",
            "block": "digital-registries",
            "classification": "personal",
            "schema": {
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                    "name": { "type": "string" },
                    "born": { "type": "string", "format": "date" },
                    "place": { "$ref": "#/$defs/place" },
                },
                "$defs": { "place": { "type": "object", "properties": { "city": { "type": "string" } } } },
            },
            "indexes": [["name"], ["name", "born"]],
            "retention": { "period": "P75Y", "from": "born" },
        });
        for (field, value) in change.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let spec: RegistrySpec = serde_json::from_value(spec).unwrap();
        check(&spec).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_registry_that_fits_its_schema_has_no_findings() {
        for change in [
            json!({}),
            json!({ "retention": { "period": "P75Y", "from": "death of the holder" } }),
            json!({ "schema": {}, "block": null, "external": { "host": "births.example.org", "port": 443 } }),
        ] {
            assert_eq!(found(&change), Vec::<String>::new(), "{change}");
        }
    }

    #[test]
    fn what_does_not_fit_the_schema_is_named_with_what_does() {
        for (change, wanted) in [
            (json!({ "schema": {} }), "spec.schema: is missing"),
            (json!({ "schema": { "type": "array" } }), "spec.schema.type: must be `object`"),
            (json!({ "schema": { "type": "object", "requird": [] } }), "spec.schema.requird: is no keyword"),
            (
                json!({ "indexes": [["nam"]] }),
                "spec.indexes[0][0]: `nam` is no property of a record; it has born, name, place",
            ),
            (json!({ "indexes": [["name", "name"]] }), "spec.indexes[0][1]: `name` is there twice"),
            (json!({ "indexes": [["name"], ["name"]] }), "spec.indexes[1]: name is there twice"),
            (json!({ "indexes": [["place"]] }), "spec.indexes[0][0]: `place` is an object or a list"),
            (
                json!({ "retention": { "period": "P1Y", "from": "name" } }),
                "spec.retention.from: `name` is no date",
            ),
            (
                json!({ "retention": { "period": "P1Y", "from": "birth" } }),
                "spec.retention.from: `birth` is no property",
            ),
        ] {
            let found = found(&change);
            assert!(found.iter().any(|f| f.starts_with(wanted)), "{change}: {found:?}");
        }
    }
}
