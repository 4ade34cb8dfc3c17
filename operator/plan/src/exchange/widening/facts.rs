//! What is known of a value that a schema accepts: that every one of some schemas accepts it, and its type. Leaving a schema
//! out loses knowledge, and never makes a proof wrong.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::exchange::schema::target;

/// A set of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Types(u8);

impl Types {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0b111_1111);
    pub const ARRAY: Self = Self(0b1000);
    pub const INTEGER: Self = Self(0b10_0000);
    pub const NUMBER: Self = Self(0b110_0000);
    pub const OBJECT: Self = Self(0b100);
    pub const STRING: Self = Self(0b1_0000);
    /// What has parts: objects and lists.
    pub const PARTS: Self = Self(Self::OBJECT.0 | Self::ARRAY.0);

    /// The types that a name of JSON Schema stands for. `number` is whole ones and others.
    fn named(name: &str) -> Self {
        match name {
            "null" => Self(0b1),
            "boolean" => Self(0b10),
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            "string" => Self::STRING,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            _ => Self::NONE,
        }
    }

    /// The types of the value of a keyword `type`.
    pub fn of_keyword(value: &Value) -> Self {
        match value {
            Value::Array(names) => names.iter().map(Self::of_keyword).fold(Self::NONE, Self::or),
            name => name.as_str().map_or(Self::NONE, Self::named),
        }
    }

    /// The type of a value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::named("null"),
            Value::Bool(_) => Self::named("boolean"),
            Value::Object(_) => Self::OBJECT,
            Value::Array(_) => Self::ARRAY,
            Value::String(_) => Self::STRING,
            Value::Number(number) if is_whole(number) => Self::INTEGER,
            Value::Number(_) => Self(Self::NUMBER.0 & !Self::INTEGER.0),
        }
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it has any of these.
    pub fn touches(self, other: Self) -> bool {
        !self.and(other).is_none()
    }

    pub fn is_within(self, other: Self) -> bool {
        self.without(other).is_none()
    }

    /// Each type by itself.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..7).map(|bit| Self(1 << bit)).filter(move |one| self.touches(*one))
    }

    /// Names for people.
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [&str; 7] =
            ["null", "boolean", "object", "array", "string", "integer", "number that is not whole"];
        let mut names: Vec<&str> =
            NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, n)| *n).collect();
        if Self::NUMBER.is_within(self) {
            names.truncate(names.len() - 2);
            names.push("number");
        }
        names
    }
}

fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    document: &'a Value,
    /// Each accepts it.
    pub schemas: Vec<&'a Map<String, Value>>,
    /// It has one of these types.
    pub types: Types,
    /// Lists of alternatives of which one is among the schemas already.
    pub chosen: Vec<&'a [Value]>,
}

impl<'a> Facts<'a> {
    /// Nothing is known.
    pub fn none(document: &'a Value) -> Self {
        Self { document, schemas: Vec::new(), types: Types::ALL, chosen: Vec::new() }
    }

    /// A schema of the document accepts it.
    pub fn of(document: &'a Value, schema: &'a Value) -> Self {
        Self::none(document).and(schema)
    }

    /// Another schema of the same document accepts it as well.
    pub fn and(mut self, schema: &'a Value) -> Self {
        self.add(schema);
        self
    }

    /// It has one of these types.
    pub fn typed(mut self, types: Types) -> Self {
        self.types = self.types.and(types);
        self
    }

    fn add(&mut self, schema: &'a Value) {
        let map = match schema {
            Value::Bool(false) => {
                self.types = Types::NONE;
                return;
            }
            Value::Object(map) => map,
            _ => return,
        };
        if self.schemas.iter().any(|known| std::ptr::eq(*known, map)) {
            return;
        }
        self.schemas.push(map);
        self.types = self.types.and(own_types(self.document, map));
        if let Some(schema) = reference(self.document, map) {
            self.add(schema);
        }
        for schema in list(map, "allOf") {
            self.add(schema);
        }
    }

    /// Values of a keyword in the schemas that have it.
    pub fn all(&self, keyword: &'static str) -> impl Iterator<Item = &'a Value> + use<'a, '_> {
        self.schemas.iter().filter_map(move |map| map.get(keyword))
    }

    /// The values that it can be, where they are listed.
    pub fn values(&self) -> Option<Vec<&'a Value>> {
        let mut lists = self.schemas.iter().flat_map(|map| listed(map));
        let mut values = lists.next()?;
        for other in lists {
            values.retain(|value| other.iter().any(|twin| same(value, twin)));
        }
        values.retain(|value| Types::of(value).is_within(self.types));
        Some(values)
    }

    /// The greatest value of a keyword that is a lower bound, such as `minLength`.
    pub fn at_least(&self, keyword: &'static str) -> Option<&'a Number> {
        self.bound(keyword, Ordering::Greater)
    }

    /// The least value of a keyword that is an upper bound, such as `maxLength`.
    pub fn at_most(&self, keyword: &'static str) -> Option<&'a Number> {
        self.bound(keyword, Ordering::Less)
    }

    fn bound(&self, keyword: &'static str, better: Ordering) -> Option<&'a Number> {
        let tighter = |best: &'a Number, next: &'a Number| match compare(next, best) {
            Some(order) if order == better => next,
            _ => best,
        };
        self.all(keyword).filter_map(Value::as_number).reduce(tighter)
    }

    /// Whether it has this property, when it is an object.
    pub fn requires(&self, name: &str) -> bool {
        self.all("required").filter_map(Value::as_array).flatten().any(|required| required == name)
    }

    /// Names of properties that are described.
    pub fn names(&self) -> impl Iterator<Item = &'a String> + use<'a, '_> {
        self.all("properties").filter_map(Value::as_object).flat_map(Map::keys)
    }

    /// What is known of a property of that name, or of one that nobody names: one of several sets of facts, each with the
    /// pattern that the name then matches.
    pub fn member(&self, name: Option<&str>) -> Vec<(Facts<'a>, Option<&'a String>)> {
        /// More cases than these are not told apart: what makes them is left out.
        const MOST: usize = 32;
        let mut cases = vec![(Self::none(self.document), None)];
        for map in &self.schemas {
            let named = name.and_then(|name| map.get("properties")?.get(name));
            if let Some(schema) = named {
                cases.iter_mut().for_each(|(facts, _)| facts.add(schema));
                continue;
            }
            let patterns = map.get("patternProperties").and_then(Value::as_object);
            let patterns =
                patterns.into_iter().flatten().map(|(pattern, schema)| (Some(pattern), Some(schema)));
            let own: Vec<_> = patterns.chain([(None, map.get("additionalProperties"))]).collect();
            if cases.len() * own.len() > MOST {
                continue;
            }
            let case = |(facts, seen): &(Facts<'a>, Option<&'a String>)| {
                let (facts, seen) = (facts.clone(), *seen);
                own.iter()
                    .map(move |(pattern, schema)| {
                        let facts = schema.map_or_else(|| facts.clone(), |schema| facts.clone().and(schema));
                        (facts, pattern.or(seen))
                    })
                    .collect::<Vec<_>>()
            };
            cases = cases.iter().flat_map(case).collect();
        }
        cases
    }

    /// What is known of the value of a property whose name matches that pattern, whatever else it matches.
    pub fn matching(&self, pattern: &str) -> Self {
        let schemas = self.all("patternProperties").filter_map(|patterns| patterns.get(pattern));
        schemas.fold(Self::none(self.document), Self::and)
    }

    /// What is known of an item: the one at that place, or one behind all that have a place.
    pub fn item(&self, place: Option<usize>) -> Self {
        let mut facts = Self::none(self.document);
        for map in &self.schemas {
            let placed = place.and_then(|place| list(map, "prefixItems").get(place));
            if let Some(schema) = placed.or_else(|| map.get("items")) {
                facts.add(schema);
            }
        }
        facts
    }

    /// How many items have a place.
    pub fn placed(&self) -> usize {
        self.schemas.iter().map(|map| list(map, "prefixItems").len()).max().unwrap_or_default()
    }

    /// A list of alternatives of which one has to be chosen still.
    pub fn open_choice(&self) -> Option<&'a [Value]> {
        let lists = self.schemas.iter().flat_map(|map| [list(map, "anyOf"), list(map, "oneOf")]);
        let is_open = |choice: &&[Value]| {
            !choice.is_empty() && !self.chosen.iter().any(|chosen| std::ptr::eq(*chosen, *choice))
        };
        lists.into_iter().find(is_open)
    }

    /// These facts for one of the alternatives of a list.
    pub fn choosing(&self, choice: &'a [Value], one: &'a Value) -> Self {
        let mut facts = self.clone();
        facts.chosen.push(choice);
        facts.and(one)
    }

    /// Stands for the same facts, however they were found.
    pub fn identity(&self) -> (Vec<usize>, Vec<usize>, Types) {
        let mut schemas: Vec<usize> =
            self.schemas.iter().map(|map| std::ptr::from_ref(*map).addr()).collect();
        schemas.sort_unstable();
        let chosen = self.chosen.iter().map(|choice| choice.as_ptr().addr()).collect();
        (schemas, chosen, self.types)
    }
}

/// The types that a schema leaves by what it says itself, and by its alternatives.
fn own_types(document: &Value, map: &Map<String, Value>) -> Types {
    let of_one = |schema: &Value| match schema {
        Value::Bool(false) => Types::NONE,
        Value::Object(map) => {
            let behind = reference(document, map).and_then(Value::as_object);
            stated_types(map).and(behind.map_or(Types::ALL, stated_types))
        }
        _ => Types::ALL,
    };
    let mut types = stated_types(map);
    for choice in [list(map, "anyOf"), list(map, "oneOf")] {
        if !choice.is_empty() {
            types = types.and(choice.iter().map(of_one).fold(Types::NONE, Types::or));
        }
    }
    types
}

/// The types that `type`, `enum` and `const` leave.
fn stated_types(map: &Map<String, Value>) -> Types {
    let stated = map.get("type").map_or(Types::ALL, Types::of_keyword);
    let of_values = |values: Vec<&Value>| values.into_iter().map(Types::of).fold(Types::NONE, Types::or);
    listed(map).into_iter().map(of_values).fold(stated, Types::and)
}

/// The values that `enum` and `const` list.
fn listed(map: &Map<String, Value>) -> Vec<Vec<&Value>> {
    let values = map.get("enum").and_then(Value::as_array).map(|values| values.iter().collect());
    values.into_iter().chain(map.get("const").map(|value| vec![value])).collect()
}

/// The schema that `$ref` names.
pub fn reference<'a>(document: &'a Value, map: &Map<String, Value>) -> Option<&'a Value> {
    target(document, map.get("$ref")?.as_str()?)
}

/// The list of a keyword, empty where there is none.
pub fn list<'a>(map: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    map.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Which number is greater; nothing where that cannot be told exactly.
pub fn compare(one: &Number, two: &Number) -> Option<Ordering> {
    /// Whole numbers up to here are exact as floating-point numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match (one.as_i128(), two.as_i128()) {
        (Some(one), Some(two)) => Some(one.cmp(&two)),
        _ => {
            let (one, two) = (one.as_f64()?, two.as_f64()?);
            (one.abs() < EXACT && two.abs() < EXACT).then(|| one.partial_cmp(&two))?
        }
    }
}

/// Whether two values are equal in JSON: 1 is 1.0. In doubt they are not.
pub fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => one == two || compare(one, two) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one.iter().all(|(key, value)| two.get(key).is_some_and(|twin| same(value, twin)))
        }
        _ => one == two,
    }
}

/// Whether two values are certainly different.
pub fn differ(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => {
            compare(one, two).is_some_and(|order| order != Ordering::Equal)
        }
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => false,
        _ => one != two,
    }
}
