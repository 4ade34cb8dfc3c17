//! What agencies declare in a contract's Stack, and what they change of it.

use plinth_api::{ExchangeAgreement, Member};
use plinth_plan::exchange::Declared;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A moment that is now in a contract.
const NOW: &str = "2026-06-01T00:00:00Z";

/// A change to what is declared, and all that comes of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// What happens, for people.
    pub says: String,
    /// What time it is then.
    #[serde(default = "now")]
    pub now: String,
    /// Objects that are gone, as `Kind name`.
    #[serde(default)]
    pub gone: Vec<String>,
    /// Objects that are there then: new ones, and what changes of those that are there (RFC 7396).
    #[serde(default)]
    pub there: Vec<Value>,
    /// Beginnings of the names of the steps that do something else then, in order. No other step does.
    pub steps: Vec<String>,
    /// How many of their calls make something.
    pub makes: u32,
    /// What is true then (CEL over `state`, and `before`, the state without the change).
    pub then: Vec<String>,
}

fn now() -> String {
    NOW.to_owned()
}

/// Objects of the exchange, at a moment.
#[derive(Clone)]
pub struct World {
    objects: Vec<Value>,
    now: String,
}

impl World {
    /// These, now.
    pub fn new(objects: &[Value]) -> Self {
        Self { objects: objects.to_vec(), now: now() }
    }

    /// As it is after a change.
    ///
    /// # Errors
    /// What is gone was not there.
    pub fn after(&self, change: &Change) -> Result<Self, String> {
        let mut objects = self.objects.clone();
        for gone in &change.gone {
            let place = objects.iter().position(|object| name(object) == *gone);
            objects.remove(place.ok_or_else(|| format!("gone: there is no {gone}"))?);
        }
        for new in &change.there {
            match objects.iter_mut().find(|object| name(object) == name(new)) {
                Some(object) => merge(object, new),
                None => objects.push(new.clone()),
            }
        }
        Ok(Self { objects, now: change.now.clone() })
    }

    /// As planning reads it.
    ///
    /// # Errors
    /// The object that is none of its kind.
    pub fn declared(&self) -> Result<Declared, String> {
        let now: jiff::Timestamp = self.now.parse().map_err(|error| format!("now: {error}"))?;
        Ok(Declared {
            members: self.of_kind::<Member>("Member")?,
            agreements: self.of_kind::<ExchangeAgreement>("ExchangeAgreement")?,
            now: now.as_second(),
            ..Declared::default()
        })
    }

    fn of_kind<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, String> {
        let mine = self.objects.iter().filter(|object| object["kind"] == kind);
        mine.map(|object| {
            let mut object = object.clone();
            object["apiVersion"] = json!("plinth.dev/v1alpha1");
            serde_json::from_value(object).map_err(|error| format!("{kind}: {error}"))
        })
        .collect()
    }
}

fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            patch
                .iter()
                .for_each(|(key, value)| merge(target.entry(key.clone()).or_insert(Value::Null), value));
        }
        (target, patch) => *target = patch.clone(),
    }
}
