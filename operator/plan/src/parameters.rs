//! Parameters of a product: what a Stack gives, checked against what the entry declares, with defaults filled in.

use plinth_api::v1alpha1::product::{Parameter, ParameterType};
use regex::Regex;
use serde_json::{Map, Value};

use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::finding;

/// Every declared parameter with its value.
pub(crate) fn parameters(
    declared: &[Parameter],
    given: &Map<String, Value>,
    at: &str,
    findings: &mut Vec<Finding>,
) -> Map<String, Value> {
    let known: Vec<&str> = declared.iter().map(|p| p.name.as_str()).collect();
    for name in given.keys().filter(|name| !known.contains(&name.as_str())) {
        findings.push(finding(
            &format!("{at}.{name}"),
            format!("is no parameter of the product; it has {}", listed(&known)),
        ));
    }
    let mut values = Map::new();
    for parameter in declared {
        let path = format!("{at}.{}", parameter.name);
        match given.get(&parameter.name).or(parameter.default.as_ref()) {
            None => findings.push(finding(&path, format!("is required: {}", parameter.description))),
            Some(value) => match check_parameter(parameter, value) {
                Ok(()) => drop(values.insert(parameter.name.clone(), value.clone())),
                Err(message) => findings.push(finding(&path, message)),
            },
        }
    }
    values
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
        ParameterType::Boolean => Ok(()),
    }
}

fn matches_whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
}
