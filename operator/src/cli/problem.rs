//! One thing that is wrong with the input, and where.

use std::fmt;

use plinth_plan::model::Finding;
use serde::Serialize;
use serde_json::Value;

/// A field of a file, the value it has, what is allowed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// File, and which document of it.
    pub file: String,
    /// `Kind namespace/name`; empty when the document could not be read that far.
    pub object: String,
    /// Path of the field, for example `spec.blocks[identity].version`; empty for the whole document.
    pub path: String,
    /// The value found there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// One sentence: what is wrong and what is allowed.
    pub message: String,
}

impl Problem {
    /// A problem with a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            object: String::new(),
            path: String::new(),
            value: None,
            message: message.into(),
        }
    }

    /// A finding of the planner about this document.
    pub fn of_finding(file: &str, object: &str, document: &Value, finding: &Finding) -> Self {
        Self {
            file: file.to_owned(),
            object: object.to_owned(),
            path: finding.path.clone(),
            value: at(document, &finding.path).cloned(),
            message: finding.message.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.file, &self.object, &self.path] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// Fields that lists of Plinth's kinds are keyed by.
const KEYS: [&str; 6] = ["name", "capability", "version", "code", "namespace", "service"];

/// The value at a path such as `spec.blocks[identity].version`: an item of a list is named by its number, or by the
/// value of the field that the list is keyed by.
pub fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = document;
    for step in path.split('.') {
        let (field, items) = step.split_once('[').map_or((step, ""), |(field, rest)| (field, rest));
        value = value.get(field)?;
        for item in items.split('[').filter(|item| !item.is_empty()) {
            let key = item.strip_suffix(']')?;
            let list = value.as_array()?;
            value = match key.parse::<usize>() {
                Ok(index) => list.get(index)?,
                Err(_) => {
                    list.iter().find(|item| KEYS.iter().any(|field| item[*field].as_str() == Some(key)))?
                }
            };
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_leads_through_fields_numbers_and_names() {
        let document =
            json!({ "spec": { "blocks": [{ "name": "identity", "version": "9" }], "tags": ["a", "b"] } });
        assert_eq!(at(&document, "spec.blocks[identity].version"), Some(&json!("9")));
        assert_eq!(at(&document, "spec.blocks[0].version"), Some(&json!("9")));
        assert_eq!(at(&document, "spec.tags[1]"), Some(&json!("b")));
        assert_eq!(at(&document, "spec.blocks[payments].version"), None);
        let document =
            json!({ "spec": { "subsystems": [{ "code": "births", "pods": { "app": "births" } }] } });
        assert_eq!(at(&document, "spec.subsystems[births].pods.app"), Some(&json!("births")));
        assert_eq!(at(&document, "Product/x: spec.requires[db]"), None);
    }
}
