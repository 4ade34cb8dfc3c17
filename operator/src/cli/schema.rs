//! A value against the schema of its kind, as the API server would check it, but offline and with every finding at
//! once. Covers what the CRDs of Plinth use, their rules in CEL as well.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use plinth_api::definitions;
use plinth_plan::expr::Scope;
use regex::Regex;
use serde_json::{Map, Value};

/// The schema of a kind, `None` when Plinth has no such kind.
pub fn of_kind(kind: &str) -> Option<&'static Value> {
    // Made once: a country has hundreds of objects.
    static SCHEMAS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| {
        let schema = |crd: CustomResourceDefinition| {
            let version = crd.spec.versions.into_iter().next()?;
            let schema = serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?;
            Some((crd.spec.names.kind, schema))
        };
        definitions().into_iter().filter_map(schema).collect()
    });
    schemas.get(kind)
}

/// Everything in which the fields of an object break the schema: path and sentence. Metadata and status are the API
/// server's own.
pub fn check(schema: &Value, object: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let properties = schema["properties"].as_object();
    for (field, value) in object.as_object().into_iter().flatten() {
        match (field.as_str(), properties.and_then(|properties| properties.get(field))) {
            ("apiVersion" | "kind" | "metadata" | "status", _) => {}
            (_, Some(schema)) => walk(schema, value, field, &mut found),
            (_, None) => found.push((field.clone(), "is not a field; allowed is spec".to_owned())),
        }
    }
    for field in required(schema).filter(|field| object.get(field).is_none()) {
        found.push((field.to_owned(), "is missing".to_owned()));
    }
    // A rule about an object that is wrong already says nothing new.
    if found.is_empty() {
        found.extend(broken_rules(schema, object).map(|message| (String::new(), message)));
    }
    found
}

/// Rules in CEL that a value breaks. One that compares with the old value is the API server's alone, and so is one that
/// cannot be evaluated here: a default is not filled in yet, or the server knows functions that this CEL lacks.
fn broken_rules<'s>(schema: &'s Value, value: &Value) -> impl Iterator<Item = String> + use<'s> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    let mut rules = rules.filter(|rule| !text(&rule["rule"]).contains("oldSelf")).peekable();
    let scope =
        rules.peek().is_some().then(|| Scope::new(Map::from_iter([("self".to_owned(), value.clone())])));
    rules.filter_map(move |rule| {
        let kept = scope.as_ref()?.when(Some(text(&rule["rule"]))).unwrap_or(true);
        (!kept).then(|| text(&rule["message"]).to_owned())
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn walk(schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    if value.is_null() {
        // The API server drops a null before it looks; a required field is then missing.
        return;
    }
    if let Some(message) = wrong_type(schema, value).or_else(|| wrong_value(schema, value)) {
        found.push((path.to_owned(), message));
        return;
    }
    let before = found.len();
    walk_into(schema, value, path, found);
    if found.len() == before {
        found.extend(broken_rules(schema, value).map(|message| (path.to_owned(), message)));
    }
}

fn walk_into(schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => walk_object(schema, fields, path, found),
        Value::Array(items) => {
            let key = schema["x-kubernetes-list-map-keys"][0].as_str();
            for (index, item) in items.iter().enumerate() {
                let named = key.and_then(|key| item[key].as_str());
                let step = named.map_or_else(|| index.to_string(), str::to_owned);
                walk(&schema["items"], item, &format!("{path}[{step}]"), found);
            }
        }
        _ => {}
    }
}

fn walk_object(schema: &Value, fields: &Map<String, Value>, path: &str, found: &mut Vec<(String, String)>) {
    let properties = schema["properties"].as_object();
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    for (field, value) in fields {
        let at = format!("{path}.{field}");
        let own = properties.and_then(|properties| properties.get(field));
        let additional = Some(&schema["additionalProperties"]).filter(|schema| schema.is_object());
        match own.or(additional) {
            // In a map the API server drops nothing. Mostly it is half of a text.
            Some(_) if own.is_none() && value.is_null() => {
                found.push((at, "has no value; a text with a comma inside { } needs quotes".to_owned()));
            }
            Some(schema) => walk(schema, value, &at, found),
            None if open || properties.is_none() => {}
            None => {
                let known: Vec<&str> =
                    properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                found.push((at, format!("is not a field; allowed are {}", known.join(", "))));
            }
        }
    }
    for field in required(schema).filter(|field| fields.get(*field).is_none_or(Value::is_null)) {
        let about = schema["properties"][field]["description"].as_str().unwrap_or_default();
        let about = about.split(['\n', '.']).next().unwrap_or_default();
        let text = if about.is_empty() { "is missing".to_owned() } else { format!("is missing: {about}") };
        found.push((format!("{path}.{field}"), text));
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        return (!value.is_string() && !value.is_i64())
            .then(|| format!("is {value}, must be a number or a text"));
    }
    let (fits, name) = match schema["type"].as_str()? {
        "object" => (value.is_object(), "an object"),
        "array" => (value.is_array(), "a list"),
        "string" => (value.is_string(), "a text"),
        "boolean" => (value.is_boolean(), "true or false"),
        "integer" => (value.is_i64() || value.is_u64(), "a whole number"),
        "number" => (value.is_number(), "a number"),
        _ => return None,
    };
    // A version such as 26.4 is the usual victim.
    let hint =
        if name == "a text" && (value.is_number() || value.is_boolean()) { "; put it in quotes" } else { "" };
    (!fits).then(|| format!("is {}, must be {name}{hint}", short(value)))
}

fn wrong_value(schema: &Value, value: &Value) -> Option<String> {
    let must = |what: String| Some(format!("is {}, must be {what}", short(value)));
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().filter(|a| !a.is_null()).map(plain).collect();
        return must(format!("one of {}", allowed.join(", ")));
    }
    let size = match value {
        Value::String(text) => Some((text.chars().count() as u64, "minLength", "maxLength", "characters")),
        Value::Array(items) => Some((items.len() as u64, "minItems", "maxItems", "items")),
        _ => None,
    };
    if let Some((size, least, most, unit)) = size {
        if let Some(least) = schema[least].as_u64().filter(|least| size < *least) {
            return Some(format!("has {size} {unit}, at least {least} are required"));
        }
        if let Some(most) = schema[most].as_u64().filter(|most| size > *most) {
            return Some(format!("has {size} {unit}, at most {most} are allowed"));
        }
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str())
        && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        return must(format!("of the form {pattern}"));
    }
    let number = value.as_f64()?;
    let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let outside = least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most);
    let bound = |bound: Option<f64>| bound.map_or_else(|| "…".to_owned(), |bound| bound.to_string());
    if outside { must(format!("from {} to {}", bound(least), bound(most))) } else { None }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value as it stands in a sentence.
pub fn short(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", cut(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => format!("`{other}`"),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(spec: Value) -> Vec<String> {
        let schema = of_kind("Stack").unwrap();
        let object = json!({ "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "spec": spec });
        check(schema, &object).into_iter().map(|(path, message)| format!("{path} {message}")).collect()
    }

    #[test]
    fn a_good_spec_has_no_findings() {
        let spec = json!({
            "country": { "code": "KE", "languages": ["sw", "en-KE"] },
            "blocks": [{ "name": "identity", "product": "keycloak", "parameters": { "any": [1] } }],
            "site": { "nodeSelector": { "a": "b" } },
        });
        assert_eq!(findings(spec), Vec::<String>::new());
    }

    #[test]
    fn every_finding_names_the_path_the_value_and_what_is_allowed() {
        let spec = json!({
            "country": { "code": "Kenya" },
            "profile": "huge",
            "blocks": [{ "name": "identity", "version": 26.4, "vesion": "1", "paused": "yes" }],
            "backing": {},
            "site": { "nodeSelector": { "zone": "a", " b": null } },
        });
        let found = findings(spec);
        for expected in [
            "spec.country.code is `Kenya`, must be of the form ^[A-Z]{2}$",
            "spec.profile is `huge`, must be one of sandbox, standard, national",
            "spec.blocks[identity].version is `26.4`, must be a text; put it in quotes",
            "spec.blocks[identity].paused is `yes`, must be true or false",
            "spec.backing is an object, must be a list",
            "spec.site.nodeSelector. b has no value; a text with a comma inside { } needs quotes",
        ] {
            assert!(found.iter().any(|f| f == expected), "{expected}\n{found:#?}");
        }
        assert!(
            found.iter().any(|f| f.starts_with("spec.blocks[identity].vesion is not a field; allowed are"))
        );
        assert_eq!(findings(json!({ "country": { "code": "KE" } })).len(), 1);
    }
}
