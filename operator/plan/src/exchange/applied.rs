//! What the records of a registry were made of last: written in the namespace of the block that runs it, where a restarted
//! operator and a rebuilt hub find it, and held against what its agency declares now. A schema only widens by itself; one
//! that may refuse records that stand waits for a person, and the registry keeps the one that it has.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::names;
use plinth_api::v1alpha1::registry::RegistrySpec;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::registry::check;
use super::widening::narrowings;
use crate::model::Finding;
use crate::render::short_digest;
use crate::resolve::finding;

/// Key of the schema in the ConfigMap that says what was applied.
const SCHEMA: &str = "schema.json";
/// Key of the indexes.
const INDEXES: &str = "indexes.json";
/// What the second part of a step's identifier begins with, when it is about a registry: `<block>/registry-…`.
const STEP: &str = "registry-";

/// By block and code, what was applied last.
pub type Applied = BTreeMap<(String, String), Record>;

/// What was applied last, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    schema: String,
    indexes: String,
}

/// What the records of a registry are made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// JSON Schema of a record.
    pub schema: Map<String, Value>,
    /// Properties that are searched.
    pub indexes: Vec<Vec<String>>,
}

/// A change that waits, or may be carried out because somebody said yes.
#[derive(Clone, Debug, PartialEq)]
pub struct Narrows {
    /// Block that runs the registry.
    pub block: String,
    /// Code of the registry.
    pub code: String,
    /// Step that a person approves: `<block>/registry-<code>-<digest of what becomes what>`.
    pub step: String,
    /// A person has said yes.
    pub approved: bool,
}

/// How a registry goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settled {
    /// What its records are made of from now on; `None` when there is nothing that it could run with.
    pub shape: Option<Shape>,
    /// What is wrong with what its agency declares, and what would narrow.
    pub findings: Vec<Finding>,
    /// It narrows.
    pub narrows: Option<Narrows>,
}

impl Record {
    /// What is written for a shape.
    pub fn of(shape: &Shape) -> Self {
        Self { schema: json!(shape.schema).to_string(), indexes: json!(shape.indexes).to_string() }
    }

    /// The data of its ConfigMap.
    pub(crate) fn data(&self) -> Value {
        json!({ SCHEMA: self.schema, INDEXES: self.indexes })
    }

    fn shape(&self) -> Option<Shape> {
        fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
            serde_json::from_str(text).ok()
        }
        Some(Shape { schema: read(&self.schema)?, indexes: read(&self.indexes)? })
    }
}

/// What ConfigMaps of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(config_maps: impl IntoIterator<Item = &'a Value>) -> Applied {
    let of = |object: &Value| {
        let labels = object.pointer("/metadata/labels")?;
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let data = object.get("data")?;
        let record = Record { schema: text(data, SCHEMA)?, indexes: text(data, INDEXES)? };
        Some(((text(labels, names::LABEL_BLOCK)?, text(labels, names::LABEL_REGISTRY)?), record))
    };
    config_maps.into_iter().filter_map(of).collect()
}

/// Whether a step that a person approves is about a registry.
pub fn is_step(step: &str) -> bool {
    step.split_once('/').is_some_and(|(_, name)| name.starts_with(STEP))
}

/// What becomes of a registry that a block runs: what its agency declares, when nothing is wrong with it and it accepts all
/// that stands, or a person has said yes to this change; what it has, when not.
pub fn settle(
    block: &str,
    spec: &RegistrySpec,
    applied: Option<&Record>,
    approved: &BTreeSet<String>,
) -> Settled {
    let findings = check(spec);
    let declared = Shape { schema: spec.schema.clone(), indexes: spec.indexes.clone() };
    let Some(last) = applied.and_then(Record::shape) else {
        let shape = findings.is_empty().then_some(declared);
        return Settled { shape, findings, narrows: None };
    };
    if !findings.is_empty() {
        return Settled { shape: Some(last), findings, narrows: None };
    }
    let (old, new) = (Value::Object(last.schema.clone()), Value::Object(declared.schema.clone()));
    let narrowed = narrowings(&old, &new);
    if narrowed.is_empty() {
        return Settled { shape: Some(declared), ..Settled::default() };
    }
    let digest = short_digest(&json!([old, new]).to_string());
    let step = format!("{block}/{STEP}{}-{digest}", spec.code);
    let narrows = Narrows {
        block: block.to_owned(),
        code: spec.code.clone(),
        approved: approved.contains(&step),
        step: step.clone(),
    };
    if narrows.approved {
        let narrows = Some(narrows);
        return Settled { shape: Some(declared), findings: Vec::new(), narrows };
    }
    let mut findings: Vec<Finding> =
        narrowed.into_iter().map(|n| finding(&format!("spec.{}", n.path), n.why)).collect();
    findings.push(finding(
        "spec.schema",
        format!(
            "may refuse records that stand, so that the registry keeps the schema it has; when the records are known to fit, \
             approve step {step}: plinth approve STACK --step {step} --reason …"
        ),
    ));
    Settled { shape: Some(last), findings, narrows: Some(narrows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(most: u64, indexes: &Value) -> RegistrySpec {
        serde_json::from_value(json!({
            "stackRef": { "name": "small" },
            "code": "births",
            "owner": "civil",
            "block": "digital-registries",
            "classification": "personal",
            "schema": { "type": "object", "properties": { "name": { "type": "string", "maxLength": most } } },
            "indexes": indexes,
        }))
        .unwrap()
    }

    fn shape(spec: &RegistrySpec) -> Shape {
        Shape { schema: spec.schema.clone(), indexes: spec.indexes.clone() }
    }

    fn settled(spec: &RegistrySpec, last: Option<&RegistrySpec>, approved: &[&str]) -> Settled {
        let applied = last.map(|last| Record::of(&shape(last)));
        let approved = approved.iter().map(|step| (*step).to_owned()).collect();
        settle("digital-registries", spec, applied.as_ref(), &approved)
    }

    #[test]
    fn what_widens_is_applied_and_what_narrows_waits_for_a_yes() {
        let (short, long) = (spec(40, &json!([])), spec(80, &json!([["name"]])));
        assert_eq!(settled(&short, None, &[]), Settled { shape: Some(shape(&short)), ..Settled::default() });
        assert_eq!(settled(&long, Some(&short), &[]).shape, Some(shape(&long)));

        let held = settled(&short, Some(&long), &[]);
        // The indexes stay as well: they may be about properties that only the other schema has.
        assert_eq!(held.shape, Some(shape(&long)));
        let said: Vec<String> = held.findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            said[0],
            "spec.schema.properties.name.maxLength: is 40, and was 80: records may have longer ones"
        );
        let step = held.narrows.unwrap().step;
        assert!(said[1].contains(&format!("plinth approve STACK --step {step}")), "{}", said[1]);
        assert!(is_step(&step) && step.starts_with("digital-registries/registry-births-"), "{step}");

        let confirmed = settled(&short, Some(&long), &[&step]);
        assert_eq!(confirmed.shape, Some(shape(&short)));
        assert_eq!((confirmed.findings, confirmed.narrows.unwrap().approved), (Vec::new(), true));
        // Another change is another step.
        assert!(!settled(&spec(20, &json!([])), Some(&long), &[&step]).findings.is_empty());
    }

    #[test]
    fn a_registry_that_runs_keeps_what_it_has_when_what_is_declared_is_wrong() {
        let (good, wrong) = (spec(40, &json!([])), spec(80, &json!([["nam"]])));
        let first = settled(&wrong, None, &[]);
        assert_eq!((first.shape, first.findings.len()), (None, 1));
        let later = settled(&wrong, Some(&good), &[]);
        assert_eq!((later.shape, later.findings.len()), (Some(shape(&good)), 1));
    }

    #[test]
    fn what_was_applied_is_read_as_it_is_written() {
        let record = Record::of(&shape(&spec(40, &json!([["name"]]))));
        let object = |labels: Value, data: Value| json!({ "metadata": { "labels": labels }, "data": data });
        let labels = json!({ names::LABEL_BLOCK: "digital-registries", names::LABEL_REGISTRY: "births" });
        let objects = [
            object(labels.clone(), record.data()),
            object(json!({}), record.data()),
            object(labels, json!({})),
            json!({}),
        ];
        let key = ("digital-registries".to_owned(), "births".to_owned());
        assert_eq!(recorded(&objects[..1]), [(key, record)].into());
        assert_eq!(recorded(&objects[1..]), Applied::new());
    }
}
