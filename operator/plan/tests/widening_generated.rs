//! Schemas and records made at random: where a schema is said to widen, an independent validator accepts by the new one
//! whatever it accepts by the old one.

use jsonschema::{Draft, Validator};
use plinth_plan::exchange::schema::check;
use plinth_plan::exchange::widening::narrowings;
use serde_json::{Map, Value, json};

/// SplitMix64: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

const NAMES: &[&str] = &["a", "b", "c", "xa"];
const TEXTS: &[&str] = &["", "a", "b", "ab", "abc", "xa"];
const PATTERNS: &[&str] = &["^a", "b$", "^[ab]*$"];

/// Which keywords a schema may have: references would lead in a circle at the top of a definition.
#[derive(Clone, Copy)]
struct Where {
    depth: usize,
    references: bool,
}

impl Where {
    fn beside(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn inside(self) -> Self {
        Self { depth: self.depth + 1, references: true }
    }
}

const TOP: Where = Where { depth: 0, references: true };
const DEFINITION: Where = Where { depth: 1, references: false };

fn value(dice: &mut Dice) -> Value {
    match dice.below(7) {
        0 => json!(null),
        1 => json!(dice.one_in(2)),
        2 => json!(dice.below(5)),
        3 => json!(0.5 + dice.below(3) as f64),
        4 => json!([dice.below(2)]),
        5 => json!({ "a": dice.below(2) }),
        _ => json!(dice.pick(TEXTS)),
    }
}

fn document(dice: &mut Dice) -> Value {
    let Value::Object(mut root) = schema(dice, TOP) else { return document(dice) };
    root.insert("$defs".into(), json!({ "d0": schema(dice, DEFINITION), "d1": schema(dice, DEFINITION) }));
    Value::Object(root)
}

fn schema(dice: &mut Dice, at: Where) -> Value {
    if dice.one_in(12) {
        return json!(!dice.one_in(4));
    }
    let mut map = Map::new();
    for _ in 0..=dice.below(4) {
        let (keyword, value) = keyword(dice, at);
        map.insert(keyword, value);
    }
    if !dice.one_in(3) {
        map.insert("type".into(), types(dice));
    }
    Value::Object(map)
}

fn types(dice: &mut Dice) -> Value {
    const TYPES: &[&str] =
        &["object", "object", "object", "array", "string", "string", "integer", "number", "null", "boolean"];
    let one = *dice.pick(TYPES);
    let two = *dice.pick(TYPES);
    if dice.one_in(3) && one != two { json!([one, two]) } else { json!(one) }
}

fn keyword(dice: &mut Dice, at: Where) -> (String, Value) {
    let small = dice.below(4);
    let nested = at.depth < 3;
    let (name, value) = match dice.below(if nested { 31 } else { 15 }) {
        0 => ("minimum", json!(small)),
        1 => ("maximum", json!(small as f64 + 0.5)),
        2 => ("exclusiveMinimum", json!(small)),
        3 => ("exclusiveMaximum", json!(small + 1)),
        4 => ("multipleOf", json!(small + 1)),
        5 => ("minLength", json!(small)),
        6 => ("maxLength", json!(small)),
        7 => ("pattern", json!(dice.pick(PATTERNS))),
        8 => ("enum", json!([value(dice), value(dice), value(dice)])),
        9 => ("const", value(dice)),
        10 => ("minItems", json!(small)),
        11 => ("maxItems", json!(small)),
        12 => ("uniqueItems", json!(true)),
        13 => ("required", names(dice)),
        14 => ("maxProperties", json!(small)),
        15..=18 => {
            let mut properties = Map::new();
            for _ in 0..=dice.below(3) {
                properties.insert((*dice.pick(NAMES)).into(), schema(dice, at.inside()));
            }
            ("properties", Value::Object(properties))
        }
        19 | 20 => {
            ("additionalProperties", if dice.one_in(2) { json!(false) } else { schema(dice, at.inside()) })
        }
        21 => ("patternProperties", json!({ (dice.pick(PATTERNS).to_string()): schema(dice, at.inside()) })),
        22 => ("propertyNames", json!({ "maxLength": small })),
        23 => ("dependentRequired", json!({ (dice.pick(NAMES).to_string()): names(dice) })),
        24 => ("items", schema(dice, at.inside())),
        25 => ("prefixItems", json!([schema(dice, at.inside()), schema(dice, at.inside())])),
        26 => ("anyOf", json!([schema(dice, at.beside()), schema(dice, at.beside())])),
        27 => ("oneOf", json!([schema(dice, at.beside()), schema(dice, at.beside())])),
        28 => ("allOf", json!([schema(dice, at.beside()), schema(dice, at.beside())])),
        29 if at.references => ("$ref", json!(dice.pick(&["#/$defs/d0", "#/$defs/d1"]))),
        29 => ("not", schema(dice, at.beside())),
        _ => match dice.below(3) {
            0 => ("if", schema(dice, at.beside())),
            1 => ("contains", schema(dice, at.inside())),
            _ => ("dependentSchemas", json!({ (dice.pick(NAMES).to_string()): schema(dice, at.beside()) })),
        },
    };
    (name.into(), value)
}

fn names(dice: &mut Dice) -> Value {
    let one = *dice.pick(NAMES);
    let two = *dice.pick(NAMES);
    if one == two { json!([one]) } else { json!([one, two]) }
}

/// A change somewhere in a schema, rather a small one.
fn change(dice: &mut Dice, changed: &mut Value, at: Where) {
    let Value::Object(map) = changed else {
        *changed = schema(dice, at);
        return;
    };
    let keys: Vec<String> = map.keys().filter(|key| *key != "$defs").cloned().collect();
    let inner: Vec<&String> =
        keys.iter().filter(|key| !matches!(key.as_str(), "enum" | "const" | "required")).collect();
    match dice.below(10) {
        0 => {
            let (keyword, said) = keyword(dice, at);
            map.insert(keyword, said);
        }
        1 | 2 if !keys.is_empty() => drop(map.remove(dice.pick(&keys).as_str())),
        3 if map.contains_key("enum") => {
            let more = value(dice);
            map["enum"].as_array_mut().unwrap().push(more);
        }
        4 if map.contains_key("type") => {
            map.insert("type".into(), types(dice));
        }
        _ if !inner.is_empty() => {
            let key = (*dice.pick(&inner)).clone();
            change_keyword(dice, &key, &mut map[&key], at);
        }
        _ => {}
    }
}

fn change_keyword(dice: &mut Dice, keyword: &str, value: &mut Value, at: Where) {
    match (keyword, value) {
        ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => {
            let i = dice.below(items.len());
            match dice.below(4) {
                0 => items.push(schema(dice, at.beside())),
                1 if items.len() > 1 => drop(items.remove(i)),
                _ => change(dice, &mut items[i], at.beside()),
            }
        }
        ("prefixItems", Value::Array(items)) => {
            let i = dice.below(items.len());
            change(dice, &mut items[i], at.inside());
        }
        ("properties" | "patternProperties" | "dependentSchemas", Value::Object(map)) => {
            let at = if keyword == "dependentSchemas" { at.beside() } else { at.inside() };
            let keys: Vec<String> = map.keys().cloned().collect();
            match dice.below(5) {
                0 if keyword == "properties" => {
                    drop(map.insert((*dice.pick(NAMES)).into(), schema(dice, at)))
                }
                1 if keys.len() > 1 => drop(map.remove(dice.pick(&keys).as_str())),
                _ => {
                    let key = dice.pick(&keys).clone();
                    change(dice, &mut map[&key], at);
                }
            }
        }
        ("additionalProperties" | "items" | "contains" | "propertyNames", inner) => {
            change(dice, inner, at.inside())
        }
        ("not" | "if" | "then" | "else", inner) => change(dice, inner, at.beside()),
        (_, Value::Number(number)) => {
            let bound = number.as_f64().unwrap_or_default();
            let step = if dice.one_in(2) { 1.0 } else { -1.0 };
            let changed = (bound + step).max(1.0);
            *number = if changed.fract() == 0.0 {
                serde_json::Number::from(changed as u64)
            } else {
                serde_json::Number::from_f64(changed).unwrap()
            };
        }
        _ => {}
    }
}

/// A record that a schema may accept: what it says is mostly followed.
fn record(dice: &mut Dice, document: &Value, schema: &Value, depth: usize) -> Value {
    let Value::Object(map) = schema else { return value(dice) };
    if depth > 4 || dice.one_in(12) {
        return value(dice);
    }
    let follow = |keyword: &str| map.get(keyword).and_then(Value::as_array).filter(|list| !list.is_empty());
    if dice.one_in(2) {
        for keyword in ["anyOf", "oneOf", "allOf"] {
            if let Some(list) = follow(keyword) {
                let one = dice.pick(list).clone();
                return record(dice, document, &one, depth + 1);
            }
        }
        if let Some(target) = map.get("$ref").and_then(|r| document.pointer(r.as_str()?.strip_prefix('#')?)) {
            return record(dice, document, &target.clone(), depth + 1);
        }
    }
    if let Some(values) = follow("enum") {
        return dice.pick(values).clone();
    }
    if let Some(only) = map.get("const") {
        return only.clone();
    }
    let any = json!(["object", "array", "string", "integer", "number", "null", "boolean"]);
    let one = match map.get("type").unwrap_or(&any) {
        Value::Array(types) => dice.pick(types).clone(),
        one => one.clone(),
    };
    match one.as_str().unwrap() {
        "object" => object(dice, document, map, depth),
        "array" => {
            let places = follow("prefixItems").map(Vec::as_slice).unwrap_or_default();
            let items = map.get("items").unwrap_or(&Value::Bool(true));
            let item = |dice: &mut Dice, i| record(dice, document, places.get(i).unwrap_or(items), depth + 1);
            (0..dice.below(4)).map(|i| item(dice, i)).collect()
        }
        "string" => json!(dice.pick(TEXTS)),
        "integer" => json!(dice.below(7)),
        "number" => json!(dice.below(5) as f64 + 0.5),
        "null" => json!(null),
        _ => json!(dice.one_in(2)),
    }
}

fn object(dice: &mut Dice, document: &Value, map: &Map<String, Value>, depth: usize) -> Value {
    let mut object = Map::new();
    let properties = map.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        if !dice.one_in(4) {
            object.insert(name.clone(), record(dice, document, schema, depth + 1));
        }
    }
    for name in map.get("required").and_then(Value::as_array).into_iter().flatten() {
        let schema = properties.and_then(|p| p.get(name.as_str().unwrap())).unwrap_or(&Value::Bool(true));
        if !object.contains_key(name.as_str().unwrap()) && !dice.one_in(8) {
            object.insert(name.as_str().unwrap().into(), record(dice, document, schema, depth + 1));
        }
    }
    if dice.one_in(3) {
        let name = *dice.pick(NAMES);
        let schema = map.get("additionalProperties").unwrap_or(&Value::Bool(true));
        object.entry(name).or_insert_with(|| record(dice, document, schema, depth + 1));
    }
    Value::Object(object)
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .build(schema)
        .unwrap_or_else(|e| panic!("{schema}: {e}"))
}

#[test]
fn whatever_was_accepted_is_accepted_after_a_schema_has_widened() {
    const PAIRS: usize = 6_000;
    const RECORDS: usize = 60;
    let mut dice = Dice(5);
    let (mut proved, mut accepted, mut refuted, mut undecided) = (0_usize, 0_usize, 0_usize, 0_usize);
    for pair in 0..PAIRS {
        let old = document(&mut dice);
        let mut new = old.clone();
        for _ in 0..=dice.below(3) {
            change(&mut dice, &mut new, TOP);
        }
        if let Some(definition) = new.pointer_mut("/$defs/d0").filter(|_| dice.one_in(3)) {
            change(&mut dice, definition, DEFINITION);
        }
        assert_eq!(check(&new, "schema"), [], "{new}");
        let found = narrowings(&old, &new);
        // Of those that are refused only some are looked at: what is said of them is not promised.
        if old == new || (!found.is_empty() && !pair.is_multiple_of(10)) {
            continue;
        }
        let (before, after) = (validator(&old), validator(&new));
        let mut lost = false;
        for i in 0..RECORDS {
            let guide = if i % 3 == 0 { &new } else { &old };
            let record = record(&mut dice, guide, guide, 0);
            if !before.is_valid(&record) {
                continue;
            }
            let kept = after.is_valid(&record);
            if found.is_empty() {
                accepted += 1;
                assert!(kept, "{record} was accepted by {old} and is not by {new}");
            }
            lost |= !kept;
        }
        match (found.is_empty(), lost) {
            (true, _) => proved += 1,
            (false, true) => refuted += 1,
            (false, false) => undecided += 1,
        }
    }
    println!(
        "{proved} changes widen, on {accepted} records; of those refused {refuted} lose a record, {undecided} were not seen to"
    );
    // A proof that never succeeds would pass: there have to be many, and records to try them on.
    assert!(proved > PAIRS / 10 && accepted > 20 * proved / 2, "{proved} {accepted}");
    assert!(refuted > 0);
}
