//! What somebody does to an object of ours behind the operator's back.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use plinth_api::names;
use serde_json::{Value, json};

use super::case::{Case, without_digest};
use crate::oracles::request_name;

/// Whom the API server takes us for: nobody that Plinth knows.
pub(super) const SOMEBODY: &str = "somebody";
/// An annotation that means nothing to anybody.
const FOREIGN: &str = "example.org/foreign";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The object is deleted.
    Delete,
    /// A field that Plinth manages gets another value.
    Edit,
    /// Plinth's labels are taken off.
    StripLabels,
    /// The owners are taken off.
    StripOwners,
    /// The finalizers are taken off.
    StripFinalizers,
    /// An annotation that means nothing is added.
    Foreign,
}

impl Drift {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Delete,
        Self::Edit,
        Self::StripLabels,
        Self::StripOwners,
        Self::StripFinalizers,
        Self::Foreign,
    ];

    /// Whether there is something to do to this object.
    pub fn applies_to(self, object: &Value) -> bool {
        let list = |field: &str| object["metadata"][field].as_array().is_some_and(|list| !list.is_empty());
        match self {
            // What is deleted with a namespace is not drift.
            Self::Delete => object["kind"] != "Namespace" && object["kind"] != "Stack",
            Self::Edit => !edits(object).is_empty() && object["kind"] != "Secret",
            // The labels of a StatefulSet's claims are the StatefulSet's.
            Self::StripLabels if object["kind"] == "PersistentVolumeClaim" => false,
            Self::StripLabels => object["metadata"]["labels"].get(names::LABEL_MANAGED_BY).is_some(),
            Self::StripOwners => list("ownerReferences"),
            Self::StripFinalizers => list("finalizers"),
            Self::Foreign => true,
        }
    }
}

const WORDS: [(&str, Drift); 6] = [
    ("delete", Drift::Delete),
    ("edit", Drift::Edit),
    ("strip-labels", Drift::StripLabels),
    ("strip-owners", Drift::StripOwners),
    ("strip-finalizers", Drift::StripFinalizers),
    ("foreign", Drift::Foreign),
];

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS.iter().find(|(_, drift)| drift == self).map_or("", |(word, _)| word))
    }
}

impl FromStr for Drift {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = WORDS.iter().find(|(word, _)| *word == text);
        known.map(|(_, drift)| *drift).ok_or_else(|| format!("`{text}` is no drift"))
    }
}

impl Case<'_> {
    /// Does it to the object of this neutral name (`group/resource namespace/name`). Whether the API server let us.
    pub async fn drift(&self, drift: Drift, neutral: &str) -> Result<bool> {
        let objects = self.objects().await?;
        let object = objects
            .into_iter()
            .find(|object| without_digest(&self.names.neutral(&request_name(object))) == neutral)
            .with_context(|| format!("there is no {neutral}"))?;
        let api = self.session.api_of(&object)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let patches = match drift {
            Drift::Delete => {
                api.delete(name, &DeleteParams::background()).await?;
                return Ok(true);
            }
            Drift::Edit => edits(&object),
            Drift::StripLabels => {
                let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
                let ours = labels.filter(|(label, _)| {
                    label.starts_with("plinth.dev/") || *label == names::LABEL_MANAGED_BY
                });
                let off: serde_json::Map<String, Value> =
                    ours.map(|(label, _)| (label.clone(), Value::Null)).collect();
                vec![json!({ "metadata": { "labels": off } })]
            }
            Drift::StripOwners => vec![json!({ "metadata": { "ownerReferences": null } })],
            Drift::StripFinalizers => vec![json!({ "metadata": { "finalizers": null } })],
            Drift::Foreign => vec![json!({ "metadata": { "annotations": { FOREIGN: "yes" } } })],
        };
        let params = PatchParams { field_manager: Some(SOMEBODY.to_owned()), ..PatchParams::default() };
        for patch in patches {
            let patched: kube::Result<DynamicObject> = api.patch(name, &params, &Patch::Merge(&patch)).await;
            match patched {
                Ok(_) => return Ok(true),
                // What cannot be changed cannot drift; the next field may.
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {}
                Err(error) => return Err(error).with_context(|| format!("{drift} {neutral}")),
            }
        }
        Ok(false)
    }
}

/// Takes the mark of [`Drift::Foreign`] out of a dump: that it stays is right.
pub fn without_mark(dump: &mut super::dump::Dump) {
    for object in dump.objects.values_mut() {
        let Some(metadata) = object["metadata"].as_object_mut() else { continue };
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else {
            continue;
        };
        annotations.remove(FOREIGN);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// Merge patches that each give one field of ours another value.
fn edits(object: &Value) -> Vec<Value> {
    let managers = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let ours = managers.filter(|entry| {
        entry["manager"] == names::FIELD_MANAGER
            && entry["subresource"].as_str().unwrap_or_default().is_empty()
    });
    let mut leaves = BTreeSet::new();
    ours.for_each(|entry| crate::oracles::leaves(&entry["fieldsV1"], &mut leaves));
    let edits = leaves.iter().filter(|leaf| !leaf.starts_with("/f:metadata/"));
    // What Kubernetes makes of more replicas stays, whoever takes them back.
    let edits = edits.filter(|leaf| *leaf != "/f:spec/f:replicas");
    edits.filter_map(|leaf| edit(object, leaf)).collect()
}

/// A patch for one leaf. Lists are replaced whole by a merge patch, so a field inside of one is left out.
fn edit(object: &Value, leaf: &str) -> Option<Value> {
    let path: Option<Vec<&str>> =
        leaf.split("/f:").skip(1).map(|part| (!part.contains('/')).then_some(part)).collect();
    let path = path?;
    let value = path.iter().try_fold(object, |value, part| value.get(part))?;
    let other = match value {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_i64()? + 1),
        Value::Bool(flag) => json!(!flag),
        _ => return None,
    };
    Some(path.iter().rev().fold(other, |inner, part| json!({ *part: inner })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_ours_is_edited_and_no_other() {
        let object = json!({
            "metadata": { "managedFields": [
                { "manager": "plinth", "fieldsV1": {
                    "f:metadata": { "f:labels": { "f:a": {} } },
                    "f:data": { "f:application.properties": {} },
                    "f:spec": { "f:replicas": {}, "f:paused": {}, "f:ports": { "k:{\"port\":1}": { "f:port": {} } } },
                } },
                { "manager": "other", "fieldsV1": { "f:data": { "f:theirs": {} } } },
            ] },
            "data": { "application.properties": "text", "theirs": "text" },
            "spec": { "replicas": 1, "paused": false, "ports": [{ "port": 1 }] },
        });
        assert_eq!(
            edits(&object),
            [json!({ "data": { "application.properties": "textx" } }), json!({ "spec": { "paused": true } })]
        );
    }

    #[test]
    fn drift_is_read_as_it_is_written() {
        for drift in Drift::ALL {
            assert_eq!(drift.to_string().parse(), Ok(drift));
        }
    }
}
