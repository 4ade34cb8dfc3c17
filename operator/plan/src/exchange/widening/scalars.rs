//! Keywords that look at one value at a time: types, listed values, bounds, texts, names of properties.

use std::cmp::Ordering;

use serde_json::{Number, Value, json};

use super::facts::{Facts, Types, compare, same};
use super::{Found, because, changed, unshown};
use crate::exchange::schema::brief;
use crate::expr::listed;

/// Whether a keyword of the new schema follows from what is known.
pub fn keyword(old: &Facts<'_>, keyword: &str, value: &Value, at: &str) -> Found {
    let about = match keyword {
        "type" | "enum" | "const" => Types::ALL,
        "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" | "multipleOf" => Types::NUMBER,
        "minLength" | "maxLength" | "pattern" | "format" => Types::STRING,
        "minItems" | "maxItems" | "uniqueItems" => Types::ARRAY,
        "minProperties" | "maxProperties" | "required" | "dependentRequired" => Types::OBJECT,
        _ => return unshown(at, "it is no keyword that is understood"),
    };
    if !old.types.touches(about) {
        return Found::new();
    }
    match keyword {
        "type" => types(old, value, at),
        "enum" => values(old, value.as_array().map(Vec::as_slice).unwrap_or_default(), value, at),
        "const" => values(old, std::slice::from_ref(value), value, at),
        "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" => limit(old, keyword, value, at),
        "multipleOf" => multiple(old, value, at),
        "minLength" => count(old, "minLength", 0, value, at),
        "minItems" => count(old, "minItems", 0, value, at),
        "minProperties" => count(old, "minProperties", required(old), value, at),
        "maxLength" => most(old, "maxLength", value, at),
        "maxItems" => most(old, "maxItems", value, at),
        "maxProperties" => most(old, "maxProperties", value, at),
        "pattern" => text(old, "pattern", value, at),
        "format" => text(old, "format", value, at),
        "uniqueItems" => unique(old, value, at),
        "required" => present(old, value, at),
        _ => present_with(old, value, at),
    }
}

fn types(old: &Facts<'_>, value: &Value, at: &str) -> Found {
    let lost = old.types.without(Types::of_keyword(value));
    if lost.is_none() {
        return Found::new();
    }
    let was = old.all("type").next();
    changed(at, was, value, format!("allows {} no longer, which records may have", listed(&lost.names())))
}

fn values(old: &Facts<'_>, allowed: &[Value], value: &Value, at: &str) -> Found {
    let possible: Vec<Value> = match old.values() {
        Some(values) => values.into_iter().cloned().collect(),
        // The only types that have so few values.
        None if old.types.is_within(Types::of(&Value::Null).or(Types::of(&json!(true)))) => {
            let all = [json!(null), json!(false), json!(true)];
            all.into_iter().filter(|value| Types::of(value).is_within(old.types)).collect()
        }
        None => {
            return changed(at, None, value, format!("allows only {}, and before any value", brief(value)));
        }
    };
    let is_lost = |value: &&Value| !allowed.iter().any(|twin| same(value, twin));
    let lost: Vec<String> = possible.iter().filter(is_lost).map(brief).collect();
    if lost.is_empty() {
        return Found::new();
    }
    changed(
        at,
        old.all("enum").next(),
        value,
        format!("allows {} no longer, which records may have", listed(&lost)),
    )
}

fn limit(old: &Facts<'_>, keyword: &str, value: &Value, at: &str) -> Found {
    let lower = keyword.ends_with("inimum");
    let exclusive = keyword.starts_with("exclusive");
    let (open, closed) = if lower {
        (old.at_least("exclusiveMinimum"), old.at_least("minimum"))
    } else {
        (old.at_most("exclusiveMaximum"), old.at_most("maximum"))
    };
    let Some(limit) = value.as_number() else { return unshown(at, "it is no number") };
    let beyond = if lower { Ordering::Greater } else { Ordering::Less };
    let implies = |known: Option<&Number>, at_limit: bool| {
        let order = known.and_then(|known| compare(known, limit));
        order == Some(beyond) || (order == Some(Ordering::Equal) && at_limit)
    };
    if implies(open, true) || implies(closed, !exclusive) {
        return Found::new();
    }
    tighter(at, closed.or(open), value, if lower { "smaller" } else { "greater" })
}

/// A bound is tighter than it was: what lies between may stand in records.
fn tighter(at: &str, was: Option<&Number>, value: &Value, lost: &str) -> Found {
    let before = was.map_or_else(|| "not set".to_owned(), Number::to_string);
    let old = was.map(|was| Value::Number(was.clone()));
    changed(at, old.as_ref(), value, format!("is {value}, and was {before}: records may have {lost} ones"))
}

fn multiple(old: &Facts<'_>, value: &Value, at: &str) -> Found {
    let implied = |known: &Value| match (known.as_u64(), value.as_u64()) {
        (Some(known), Some(wanted)) => wanted > 0 && known > 0 && known % wanted == 0,
        _ => same(known, value),
    };
    let whole = value.as_u64() == Some(1) && !old.types.touches(Types::NUMBER.without(Types::INTEGER));
    if whole || old.all("multipleOf").any(implied) {
        return Found::new();
    }
    changed(at, old.all("multipleOf").next(), value, format!("is {value}: records may have numbers between"))
}

/// How many properties it has at least, by their names.
fn required(old: &Facts<'_>) -> u64 {
    let names: std::collections::BTreeSet<&str> =
        old.all("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
    names.len().try_into().unwrap_or_default()
}

fn count(old: &Facts<'_>, keyword: &'static str, least: u64, value: &Value, at: &str) -> Found {
    let was = old.at_least(keyword);
    let known = was.and_then(Number::as_u64).unwrap_or_default().max(least);
    match value.as_u64() {
        Some(wanted) if wanted <= known => Found::new(),
        Some(_) => tighter(at, was, value, "shorter"),
        None => unshown(at, "it is no whole number"),
    }
}

fn most(old: &Facts<'_>, keyword: &'static str, value: &Value, at: &str) -> Found {
    let was = old.at_most(keyword);
    match (value.as_u64(), was.and_then(Number::as_u64)) {
        (Some(wanted), Some(known)) if known <= wanted => Found::new(),
        (Some(_), _) => tighter(at, was, value, "longer"),
        (None, _) => unshown(at, "it is no whole number"),
    }
}

/// Patterns and formats are compared as they are written.
fn text(old: &Facts<'_>, keyword: &'static str, value: &Value, at: &str) -> Found {
    if old.all(keyword).any(|known| known == value) {
        return Found::new();
    }
    match old.all(keyword).next() {
        None => {
            changed(at, None, value, format!("is {value}, and was not set: records may have other texts"))
        }
        Some(was) => {
            let why = format!(
                "cannot be shown to widen: is {value}, and was {was}; whether one covers the other is not decided"
            );
            changed(at, Some(was), value, why)
        }
    }
}

fn unique(old: &Facts<'_>, value: &Value, at: &str) -> Found {
    let known = old.all("uniqueItems").any(|known| known == &json!(true));
    let single = old.at_most("maxItems").and_then(Number::as_u64).is_some_and(|most| most < 2);
    if value != &json!(true) || known || single {
        return Found::new();
    }
    changed(at, None, value, "wants items to differ: records may have one twice")
}

fn present(old: &Facts<'_>, value: &Value, at: &str) -> Found {
    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = names.filter(|name| !old.requires(name));
    let why = |name| format!("`{name}` becomes required: records without it may exist");
    missing.flat_map(|name| changed(at, None, &json!(name), why(name))).collect()
}

fn present_with(old: &Facts<'_>, value: &Value, at: &str) -> Found {
    let mut found = Found::new();
    for (name, wanted) in value.as_object().into_iter().flatten() {
        for other in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut known =
                old.all("dependentRequired").filter_map(|lists| lists.get(name)?.as_array()).flatten();
            if !old.requires(other) && !known.any(|known| known == other) {
                let why = format!("`{other}` becomes required beside `{name}`: records without it may exist");
                found.extend(because(&format!("{at}.{name}"), why));
            }
        }
    }
    found
}
