//! Whether a schema accepts everything that the one before it accepted. Decided by structure, so that a yes is a proof; what
//! cannot be shown is refused and named. Records that stand in a registry are then valid whatever becomes of its schema.
//!
//! A record that the old schema accepts is accepted by every schema that the old one puts together ([`Facts`]). Each keyword
//! of the new schema has to follow from that.

pub(super) mod facts;
mod scalars;
mod unchanged;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use self::facts::{Facts, Types, differ, list, reference};
use self::unchanged::Unchanged;
use super::schema::{brief, is_annotation};

/// Steps that one proof may take: a schema whose alternatives multiply is refused instead of holding everybody up.
const MOST_STEPS: usize = 20_000;
/// Findings that are listed.
const MOST_FINDINGS: usize = 50;

/// A place where the new schema cannot be shown to accept everything that the old one accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Narrowing {
    /// Path in the new schema, `schema.properties.birthDate.maxLength`.
    pub path: String,
    /// What stood there, where one value did.
    pub old: Option<Value>,
    /// What stands there.
    pub new: Option<Value>,
    /// Why that narrows, or that it cannot be told.
    pub why: String,
}

impl fmt::Display for Narrowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

/// Where and why `new` may refuse what `old` accepted; nothing when it certainly never does.
pub fn narrowings(old: &Value, new: &Value) -> Vec<Narrowing> {
    let mut proof = Proof { old, new, steps: 0, depth: 0, open: Vec::new() };
    let mut findings = proof.within(&Facts::of(old, old), new, "schema");
    findings.dedup();
    findings.truncate(MOST_FINDINGS);
    findings
}

/// What a step of a proof finds: nothing when it holds.
type Found = Vec<Narrowing>;

/// The same question on the way to its own answer, and how deep in the record it was asked.
type Asked = ((Vec<usize>, Vec<usize>, Types), usize, usize);

struct Proof<'a> {
    old: &'a Value,
    new: &'a Value,
    steps: usize,
    /// How deep in the record.
    depth: usize,
    /// Questions that are being answered.
    open: Vec<Asked>,
}

fn because(path: &str, why: impl Into<String>) -> Found {
    vec![Narrowing { path: path.to_owned(), old: None, new: None, why: why.into() }]
}

fn changed(path: &str, old: Option<&Value>, new: &Value, why: impl Into<String>) -> Found {
    vec![Narrowing { path: path.to_owned(), old: old.cloned(), new: Some(new.clone()), why: why.into() }]
}

fn unshown(path: &str, why: impl fmt::Display) -> Found {
    because(path, format!("cannot be shown to widen: {why}"))
}

impl<'a> Proof<'a> {
    /// Whether a schema of the new document accepts whatever these facts are true of.
    fn within(&mut self, old: &Facts<'a>, new: &'a Value, at: &str) -> Found {
        let map = match new {
            _ if old.types.is_none() => return Found::new(),
            Value::Bool(true) => return Found::new(),
            Value::Bool(false) => return because(at, "accepts nothing any more"),
            Value::Object(map) => map,
            other => return unshown(at, format!("{} is no schema", brief(other))),
        };
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return unshown(at, "the schema has too many alternatives to look at each");
        }
        let asked = (old.identity(), std::ptr::from_ref(map).addr(), self.depth);
        if let Some((.., depth)) = self.open.iter().find(|open| open.0 == asked.0 && open.1 == asked.1) {
            // Of a smaller part of the record the answer may be taken for granted: the record ends somewhere.
            let smaller = *depth < self.depth;
            return if smaller { Found::new() } else { unshown(at, "it refers to itself") };
        }
        self.open.push(asked);
        let found = self.answered(old, map, at);
        self.open.pop();
        found
    }

    fn answered(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        if old.schemas.iter().any(|known| Unchanged::new(self.old, self.new).keywords(known, map)) {
            return Found::new();
        }
        let found = self.keywords(old, map, at);
        let Some(choice) = old.open_choice().filter(|_| !found.is_empty()) else { return found };
        for one in choice {
            let found = self.within_map(&old.choosing(choice, one), map, at);
            if !found.is_empty() {
                return found;
            }
        }
        Found::new()
    }

    /// As `within`, for the same schema and part of the record.
    fn within_map(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        self.steps += 1;
        if old.types.is_none() {
            return Found::new();
        }
        if self.steps > MOST_STEPS {
            return unshown(at, "the schema has too many alternatives to look at each");
        }
        self.answered(old, map, at)
    }

    /// As `within`, for a part of the record.
    fn part(&mut self, old: &Facts<'a>, new: &'a Value, at: &str) -> Found {
        self.depth += 1;
        let found = self.within(old, new, at);
        self.depth -= 1;
        found
    }

    fn holds(&mut self, old: &Facts<'a>, new: &'a Value, at: &str) -> bool {
        self.within(old, new, at).is_empty()
    }

    fn keywords(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        let mut found = Found::new();
        for (keyword, value) in map {
            found.extend(self.keyword(old, map, keyword, value, &format!("{at}.{keyword}")));
        }
        if old.types.touches(Types::OBJECT) {
            found.extend(self.members(old, map, at));
        }
        if old.types.touches(Types::ARRAY) {
            found.extend(self.items(old, map, at));
        }
        found
    }

    fn keyword(
        &mut self,
        old: &Facts<'a>,
        map: &'a Map<String, Value>,
        keyword: &str,
        value: &'a Value,
        at: &str,
    ) -> Found {
        match keyword {
            // Looked at together.
            "properties" | "patternProperties" | "additionalProperties" | "prefixItems" | "items" => {
                Found::new()
            }
            // They mean nothing without their first.
            "then" | "else" | "minContains" | "maxContains" => Found::new(),
            "$ref" => match reference(self.new, map) {
                Some(schema) => self.within(old, schema, at),
                None => unshown(at, "it leads nowhere"),
            },
            "allOf" => {
                let schemas = list(map, "allOf").iter().enumerate();
                schemas.flat_map(|(i, schema)| self.within(old, schema, &format!("{at}[{i}]"))).collect()
            }
            "anyOf" => self.any_of(old, list(map, "anyOf"), at),
            "oneOf" => self.one_of(old, map, at),
            "not" if self.has(old, "not", value) => Found::new(),
            "if" => self.conditional(old, map, at),
            "contains" if !old.types.touches(Types::ARRAY) => Found::new(),
            "contains" => self.group(old, map, &["contains", "minContains", "maxContains"], at),
            "unevaluatedItems" if !old.types.touches(Types::ARRAY) => Found::new(),
            "propertyNames" | "dependentSchemas" | "unevaluatedProperties"
                if !old.types.touches(Types::OBJECT) =>
            {
                Found::new()
            }
            "propertyNames" => {
                let names = old.all("propertyNames").fold(Facts::none(self.old), Facts::and);
                self.part(&names.typed(Types::STRING), value, at)
            }
            "dependentSchemas" => self.dependent_schemas(old, value, at),
            "not" | "unevaluatedItems" | "unevaluatedProperties" => unshown(
                at,
                format!("`{keyword}` is compared word for word, and it or what it depends on has changed"),
            ),
            _ if is_annotation(keyword) => Found::new(),
            _ => scalars::keyword(old, keyword, value, at),
        }
    }

    /// Whether one of the facts has the keyword and says the same with it. Only for keywords that stand for themselves.
    fn has(&self, old: &Facts<'a>, keyword: &'static str, value: &'a Value) -> bool {
        old.all(keyword).any(|known| Unchanged::new(self.old, self.new).keyword(keyword, known, value))
    }

    /// Keywords that say something together only.
    fn group(&self, old: &Facts<'a>, map: &'a Map<String, Value>, keywords: &[&str], at: &str) -> Found {
        let says = |known: &&'a Map<String, Value>| {
            keywords.iter().all(|keyword| match (known.get(*keyword), map.get(*keyword)) {
                (Some(old), Some(new)) => Unchanged::new(self.old, self.new).keyword(keyword, old, new),
                (old, new) => old.is_none() && new.is_none(),
            })
        };
        if old.schemas.iter().any(says) {
            return Found::new();
        }
        unshown(at, format!("`{}` are compared word for word, and have changed", keywords.join("`, `")))
    }

    fn conditional(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        let found = self.group(old, map, &["if", "then", "else"], at);
        let mut follows = |keyword| map.get(keyword).is_none_or(|schema| self.holds(old, schema, at));
        // What is true in both cases is true.
        if found.is_empty() || (follows("then") && follows("else")) { Found::new() } else { found }
    }

    fn dependent_schemas(&mut self, old: &Facts<'a>, value: &'a Value, at: &str) -> Found {
        let mut found = Found::new();
        for (name, schema) in value.as_object().into_iter().flatten() {
            let known = old.all("dependentSchemas").filter_map(|schemas| schemas.get(name));
            let known: Vec<&Value> = known.collect();
            let with = known.into_iter().fold(old.clone(), Facts::and);
            found.extend(self.within(&with, schema, &format!("{at}.{name}")));
        }
        found
    }

    fn any_of(&mut self, old: &Facts<'a>, choice: &'a [Value], at: &str) -> Found {
        let mut accepts = |facts: &Facts<'a>| {
            choice.iter().enumerate().any(|(i, one)| self.holds(facts, one, &format!("{at}[{i}]")))
        };
        if accepts(old)
            || (old.types.each().count() > 1 && old.types.each().all(|one| accepts(&old.clone().typed(one))))
        {
            return Found::new();
        }
        unshown(at, "no alternative accepts everything that was accepted before")
    }

    fn one_of(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        let choice = list(map, "oneOf");
        if map.get("oneOf").is_some_and(|value| self.has(old, "oneOf", value)) {
            return Found::new();
        }
        let facts: Vec<Facts<'a>> = choice.iter().map(|one| Facts::of(self.new, one)).collect();
        let mut pairs =
            facts.iter().enumerate().flat_map(|(i, one)| facts[..i].iter().map(move |two| (one, two)));
        let apart = pairs.all(|(one, two)| {
            self.steps += 1;
            self.steps <= MOST_STEPS && exclude(one, two)
        });
        match apart {
            true => self.any_of(old, choice, at),
            false => {
                unshown(at, "two alternatives may accept the same, and then none is chosen: use `anyOf`")
            }
        }
    }

    /// `properties`, `patternProperties`, `additionalProperties`.
    fn members(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        let of = |keyword: &str| map.get(keyword).and_then(Value::as_object);
        let (properties, patterns) = (of("properties"), of("patternProperties"));
        let mut found = Found::new();
        for (pattern, schema) in patterns.into_iter().flatten() {
            found.extend(self.part(
                &old.matching(pattern),
                schema,
                &format!("{at}.patternProperties.{pattern}"),
            ));
        }
        let others = map.get("additionalProperties");
        let has_pattern = |pattern: Option<&String>| {
            pattern.is_some_and(|pattern| patterns.is_some_and(|patterns| patterns.contains_key(pattern)))
        };
        let named: BTreeSet<&String> = old.names().collect();
        let all: BTreeSet<&String> =
            properties.into_iter().flat_map(Map::keys).chain(named.iter().copied()).collect();
        for name in all {
            let path = format!("{at}.properties.{name}");
            let own = properties.and_then(|properties| properties.get(name));
            let Some(schema) = own.or(others) else { continue };
            let cases =
                old.member(Some(name)).into_iter().filter(|(_, seen)| own.is_some() || !has_pattern(*seen));
            let cases: Vec<Facts<'a>> = cases.map(|(facts, _)| facts).collect();
            let mut wrong: Found = cases.iter().flat_map(|facts| self.part(facts, schema, &path)).collect();
            if !wrong.is_empty() && own.is_none() && schema == &Value::Bool(false) {
                wrong = because(
                    &path,
                    "is not in the schema any more, which allows no other: records may have it",
                );
            } else if !wrong.is_empty()
                && !named.contains(name)
                && cases.iter().any(|facts| facts.schemas.is_empty())
            {
                wrong = because(
                    &path,
                    "is described now, and records may have anything there: before, the schema did not say \
                     `additionalProperties: false`",
                );
            }
            found.extend(wrong);
        }
        if let Some(schema) = others {
            found.extend(self.others(old, schema, has_pattern, at));
        }
        found
    }

    /// Properties that nobody names.
    fn others(
        &mut self,
        old: &Facts<'a>,
        schema: &'a Value,
        has_pattern: impl Fn(Option<&String>) -> bool,
        at: &str,
    ) -> Found {
        let path = format!("{at}.additionalProperties");
        let cases = old.member(None).into_iter().filter(|(_, seen)| !has_pattern(*seen));
        let found: Found = cases.flat_map(|(facts, _)| self.part(&facts, schema, &path)).collect();
        match schema {
            Value::Bool(false) if !found.is_empty() => changed(
                &path,
                None,
                schema,
                "is false now: records may have properties that the schema does not name",
            ),
            _ => found,
        }
    }

    /// `prefixItems`, `items`.
    fn items(&mut self, old: &Facts<'a>, map: &'a Map<String, Value>, at: &str) -> Found {
        let prefix = list(map, "prefixItems");
        let most = old.at_most("maxItems").and_then(serde_json::Number::as_u64);
        let reaches =
            |place: usize| most.is_none_or(|most| u64::try_from(place).is_ok_and(|place| place < most));
        let mut found = Found::new();
        let placed = prefix.len().max(old.placed());
        for place in (0..placed).filter(|place| reaches(*place)) {
            let (schema, path) = match (prefix.get(place), map.get("items")) {
                (Some(schema), _) => (schema, format!("{at}.prefixItems[{place}]")),
                (None, Some(schema)) => (schema, format!("{at}.items")),
                (None, None) => continue,
            };
            found.extend(self.part(&old.item(Some(place)), schema, &path));
        }
        if let Some(schema) = map.get("items").filter(|_| reaches(placed)) {
            found.extend(self.part(&old.item(None), schema, &format!("{at}.items")));
        }
        found
    }
}

/// Whether nothing is accepted by both.
fn exclude(one: &Facts<'_>, two: &Facts<'_>) -> bool {
    if apart(one, two) {
        return true;
    }
    let objects = one.types.or(two.types).is_within(Types::OBJECT);
    let discriminates = |name: &String| {
        let (ours, theirs) = (one.member(Some(name)), two.member(Some(name)));
        one.requires(name)
            && two.requires(name)
            && ours.iter().all(|(one, _)| theirs.iter().all(|(two, _)| apart(one, two)))
    };
    objects && one.names().any(discriminates)
}

fn apart(one: &Facts<'_>, two: &Facts<'_>) -> bool {
    if !one.types.touches(two.types) {
        return true;
    }
    match (one.values(), two.values()) {
        (Some(ours), Some(theirs)) => ours.iter().all(|one| theirs.iter().all(|two| differ(one, two))),
        _ => false,
    }
}
