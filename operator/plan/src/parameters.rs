//! Parameters of a product: what a Stack gives, checked against what the entry declares, with defaults filled in.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::product::{Parameter, ParameterType};
use regex::Regex;
use serde_json::{Map, Value};

use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::finding;

/// The field that tells the objects of a list apart.
const NAME: &str = "name";

/// Every declared parameter with its value.
pub(crate) fn parameters(
    declared: &[Parameter],
    given: &Map<String, Value>,
    at: &str,
    findings: &mut Vec<Finding>,
) -> Map<String, Value> {
    values(declared, given, at, "parameter of the product", findings)
}

/// The same for parameters and for fields of one object; `what` is what a name has to be one of.
fn values(
    declared: &[Parameter],
    given: &Map<String, Value>,
    at: &str,
    what: &str,
    findings: &mut Vec<Finding>,
) -> Map<String, Value> {
    let known: Vec<&str> = declared.iter().map(|p| p.name.as_str()).collect();
    for name in given.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = format!("is no {what}; it has {}", listed(&known));
        findings.push(finding(&format!("{at}.{name}"), message));
    }
    let mut values = Map::new();
    for parameter in declared {
        let path = format!("{at}.{}", parameter.name);
        match given.get(&parameter.name).or(parameter.default.as_ref()) {
            None => findings.push(finding(&path, format!("is required: {}", parameter.description))),
            Some(value) if parameter.kind == ParameterType::Objects => {
                let objects = objects(parameter, value, &path, findings);
                values.insert(parameter.name.clone(), objects.into());
            }
            Some(value) => match check_parameter(parameter, value) {
                Ok(()) => drop(values.insert(parameter.name.clone(), value.clone())),
                Err(message) => findings.push(finding(&path, message)),
            },
        }
    }
    values
}

/// The elements of a list of objects, each with its defaults filled in; their names differ.
fn objects(parameter: &Parameter, value: &Value, at: &str, findings: &mut Vec<Finding>) -> Vec<Value> {
    let fields: Vec<Parameter> = parameter.fields.iter().map(Parameter::from).collect();
    let is_name = |f: &Parameter| f.name == NAME && f.kind == ParameterType::String && f.default.is_none();
    if !fields.iter().any(is_name) {
        let message = format!("the product declares no field `{NAME}` for it, a string without default");
        findings.push(finding(at, message));
    }
    let Some(items) = value.as_array() else {
        findings.push(finding(at, format!("is {value}, must be a list of objects")));
        return Vec::new();
    };
    let mut names = BTreeSet::new();
    let mut elements = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let at = format!("{at}[{i}]");
        let Some(given) = item.as_object() else {
            findings.push(finding(&at, format!("is {item}, must be an object")));
            continue;
        };
        let element = values(&fields, given, &at, "field of its objects", findings);
        if let Some(name) = element.get(NAME).filter(|name| !names.insert(name.to_string())) {
            findings
                .push(finding(&format!("{at}.{NAME}"), format!("is {name} once more; names must differ")));
        }
        elements.push(Value::Object(element));
    }
    elements
}

fn check_parameter(parameter: &Parameter, value: &Value) -> Result<(), String> {
    let wrong = |expected: &str| Err(format!("is {value}, must be {expected}"));
    match parameter.kind {
        ParameterType::Boolean if !value.is_boolean() => wrong("true or false"),
        ParameterType::Integer => match value.as_i64() {
            None => wrong("a whole number"),
            Some(n)
                if parameter.minimum.is_some_and(|m| n < m) || parameter.maximum.is_some_and(|m| n > m) =>
            {
                let bound = |b: Option<i64>| b.map_or_else(|| "…".to_owned(), |b| b.to_string());
                wrong(&format!("from {} to {}", bound(parameter.minimum), bound(parameter.maximum)))
            }
            Some(_) => Ok(()),
        },
        ParameterType::String => match value.as_str() {
            None => wrong("a text"),
            Some(text) if !parameter.allowed.is_empty() && !parameter.allowed.iter().any(|a| a == text) => {
                wrong(&format!("one of {}", listed(&parameter.allowed)))
            }
            Some(text) => match &parameter.pattern {
                Some(pattern) if !matches_whole(pattern, text) => wrong(&format!("of the form {pattern}")),
                _ => Ok(()),
            },
        },
        ParameterType::Strings => match value.as_array() {
            Some(items) if items.iter().all(Value::is_string) => Ok(()),
            _ => wrong("a list of texts"),
        },
        ParameterType::Boolean | ParameterType::Objects => Ok(()),
    }
}

fn matches_whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
}
