//! Differences between objects, in words. Knows what a real API server normalises, so that an object which was applied
//! and then read back shows none. Pure.

use std::fmt;

use serde_json::{Map, Value};

/// Longest value shown in a difference; the rest is cut.
const SHOWN: usize = 120;

/// Fields of `metadata` that the API server writes.
const SERVER_METADATA: &[&str] =
    &["creationTimestamp", "resourceVersion", "uid", "generation", "managedFields"];

/// Fields whose zero value Kubernetes drops when it stores the object (`omitempty` on a plain bool or int). Everywhere
/// else `false` and `0` are kept, and their disappearance is drift: `automountServiceAccountToken: false`, say.
const ZERO_IS_DROPPED: &[&str] = &[
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "initialDelaySeconds",
    "minReadySeconds",
    "nodePort",
    "paused",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
];

/// One field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path, for example `spec.template.spec.containers[api].image`.
    pub path: String,
    /// What should be, shortened for people; `None` for nothing.
    pub desired: Option<String>,
    /// What is, shortened for people; `None` for nothing.
    pub live: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, desired, live } = self;
        match (live, desired) {
            (Some(live), Some(desired)) => write!(f, "{path}: is {live}, should be {desired}"),
            (None, Some(desired)) => write!(f, "{path}: is missing, should be {desired}"),
            (Some(live), None) => write!(f, "{path}: is {live}, should not be there"),
            (None, None) => write!(f, "{path}: differs (the value is secret)"),
        }
    }
}

impl Difference {
    /// The same in the words of a plan: what the change does, `live` being old and `desired` new.
    pub fn as_change(&self) -> String {
        let Self { path, desired, live } = self;
        match (live, desired) {
            (Some(old), Some(new)) => format!("{path}: {old} becomes {new}"),
            (None, Some(new)) => format!("{path}: adds {new}"),
            (Some(old), None) => format!("{path}: removes {old}"),
            (None, None) => format!("{path}: changes (the value is secret)"),
        }
    }
}

/// Every field of `desired` that `live` lacks or holds with another value. What `live` has beyond `desired` (defaults,
/// injected sidecars) is no difference, except inside lists that belong to one writer as a whole.
pub fn covers(desired: &Value, live: &Value) -> Vec<Difference> {
    Walk::over(desired, live, false)
}

/// Every field in which two desired objects differ, both ways.
pub fn changes(old: &Value, new: &Value) -> Vec<Difference> {
    Walk::over(new, old, true)
}

struct Walk<'a> {
    both_ways: bool,
    secret: bool,
    path: Vec<Step<'a>>,
    found: Vec<Difference>,
}

enum Step<'a> {
    Field(&'a str),
    Item(String),
}

impl<'a> Walk<'a> {
    fn over(desired: &'a Value, live: &'a Value, both_ways: bool) -> Vec<Difference> {
        let secret = [desired, live].iter().any(|o| o["kind"] == "Secret");
        let mut walk = Walk { both_ways, secret, path: Vec::new(), found: Vec::new() };
        walk.value(Some(desired), Some(live));
        walk.found
    }

    fn value(&mut self, desired: Option<&'a Value>, live: Option<&'a Value>) {
        if let (Some(Value::Object(desired)), Some(Value::Object(live))) = (desired, live) {
            return self.object(desired, live);
        }
        match (desired.filter(|v| !is_empty(v)), live.filter(|v| !is_empty(v))) {
            (None, None) => {}
            (None, Some(live)) => {
                if self.both_ways || desired.is_some_and(|d| self.asserts_emptiness(d)) {
                    self.report(desired.filter(|_| !self.both_ways), Some(live));
                }
            }
            // Field by field: a parent that holds nothing but dropped zeros is dropped with them.
            (Some(Value::Object(desired)), None)
                if !self.both_ways && !matches!(self.path.last(), Some(Step::Item(_))) =>
            {
                for (key, value) in desired.iter() {
                    self.field(key, Some(value), None);
                }
            }
            (Some(desired), None) => {
                if !self.is_dropped_zero(desired) {
                    self.report(Some(desired), None);
                }
            }
            (Some(Value::Array(desired)), Some(Value::Array(live))) => self.list(desired, live),
            (Some(desired), Some(live)) => {
                if !self.same_scalar(desired, live) {
                    self.report(Some(desired), Some(live));
                }
            }
        }
    }

    fn object(&mut self, desired: &'a Map<String, Value>, live: &'a Map<String, Value>) {
        for (key, value) in desired {
            self.field(key, Some(value), live.get(key));
        }
        if self.both_ways {
            for (key, value) in live.iter().filter(|(key, _)| !desired.contains_key(*key)) {
                self.field(key, None, Some(value));
            }
        }
    }

    fn field(&mut self, key: &'a str, desired: Option<&'a Value>, live: Option<&'a Value>) {
        if !self.is_servers_own(key) {
            self.path.push(Step::Field(key));
            self.value(desired, live);
            self.path.pop();
        }
    }

    fn list(&mut self, desired: &'a [Value], live: &'a [Value]) {
        match self.identity(desired) {
            Identity::Key(fields) => self.keyed(fields, desired, live),
            Identity::Set if !self.both_ways => {
                for item in desired.iter().filter(|d| !live.contains(d)) {
                    self.report(Some(item), None);
                }
            }
            Identity::Exact if desired == live => {}
            Identity::Index if desired.len() == live.len() => {
                for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
                    self.path.push(Step::Item(index.to_string()));
                    self.value(Some(desired), Some(live));
                    self.path.pop();
                }
            }
            Identity::Exact | Identity::Index | Identity::Set => {
                if desired != live {
                    self.report(Some(&Value::from(desired)), Some(&Value::from(live)));
                }
            }
        }
    }

    fn keyed(&mut self, fields: &[&str], desired: &'a [Value], live: &'a [Value]) {
        let of = |item: &Value| item_key(fields, item);
        for item in desired {
            let key = of(item);
            self.path.push(Step::Item(key.clone()));
            self.value(Some(item), live.iter().find(|l| of(l) == key));
            self.path.pop();
        }
        let both_ways = self.both_ways;
        for item in live.iter().filter(|l| both_ways && !desired.iter().any(|d| of(d) == of(l))) {
            self.path.push(Step::Item(of(item)));
            self.value(None, Some(item));
            self.path.pop();
        }
    }

    /// How Kubernetes tells the items of the list at the current path apart.
    fn identity(&self, desired: &[Value]) -> Identity {
        let fields: &'static [&'static str] = match self.last_field() {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "env"
            | "volumes"
            | "imagePullSecrets"
            | "listeners"
            | "secrets" => &["name"],
            "volumeMounts" => &["mountPath"],
            "volumeDevices" => &["devicePath"],
            "conditions" => &["type"],
            "hostAliases" => &["ip"],
            "ownerReferences" => &["uid"],
            "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
            "ports" if self.path.len() == 2 => &["port", "protocol"],
            "ports" if desired.iter().all(|d| d.get("containerPort").is_some()) => {
                &["containerPort", "protocol"]
            }
            "finalizers" => return Identity::Set,
            // Peers of a NetworkPolicy: an added selector widens the opening, and nothing is defaulted there.
            "from" | "to" => return Identity::Exact,
            _ => return Identity::Index,
        };
        let complete = desired.iter().all(|d| fields.iter().all(|f| *f == "protocol" || d.get(f).is_some()));
        if complete { Identity::Key(fields) } else { Identity::Index }
    }

    fn same_scalar(&self, desired: &Value, live: &Value) -> bool {
        if desired == live {
            return true;
        }
        if let (Value::Number(desired), Value::Number(live)) = (desired, live) {
            return desired.as_f64() == live.as_f64();
        }
        let (Some(desired), Some(live)) = (scalar_text(desired), scalar_text(live)) else { return false };
        if self.is_quantity() {
            return quantity(&desired).is_some_and(|d| quantity(&live) == Some(d));
        }
        self.is_int_or_string() && desired == live
    }

    fn is_quantity(&self) -> bool {
        matches!(
            self.parent_field(),
            "requests"
                | "limits"
                | "capacity"
                | "hard"
                | "default"
                | "defaultRequest"
                | "podFixed"
                | "overhead"
        ) || matches!(self.last_field(), "sizeLimit" | "averageValue" | "divisor" | "storage")
    }

    fn is_int_or_string(&self) -> bool {
        matches!(self.last_field(), "targetPort" | "port" | "maxSurge" | "maxUnavailable" | "minAvailable")
    }

    fn is_servers_own(&self, key: &str) -> bool {
        match self.last_field() {
            "" => key == "status",
            "metadata" => SERVER_METADATA.contains(&key),
            // In a plan's diff the digest repeats what the other lines say.
            "annotations" => self.both_ways && key == plinth_api::names::ANNOTATION_HASH,
            _ => false,
        }
    }

    /// An empty value in `desired` that says "nothing else may be here", as opposed to "whatever the server likes".
    fn asserts_emptiness(&self, desired: &Value) -> bool {
        match desired {
            Value::String(_) => {
                self.last_field() == "value"
                    || matches!(self.parent_field(), "data" | "annotations" | "labels" | "matchLabels")
            }
            Value::Array(items) => matches!(self.identity(items), Identity::Index | Identity::Exact),
            _ => false,
        }
    }

    fn is_dropped_zero(&self, desired: &Value) -> bool {
        let zero = desired == &Value::Bool(false) || desired.as_i64() == Some(0);
        zero && ZERO_IS_DROPPED.contains(&self.last_field())
    }

    fn last_field(&self) -> &str {
        match self.path.last() {
            Some(Step::Field(name)) => name,
            _ => "",
        }
    }

    fn parent_field(&self) -> &str {
        match self.path.len().checked_sub(2).map(|i| &self.path[i]) {
            Some(Step::Field(name)) => name,
            _ => "",
        }
    }

    fn report(&mut self, desired: Option<&Value>, live: Option<&Value>) {
        let mut path = self.path_text();
        let difference = if self.secret {
            // Not even kept: a difference travels into status, events and logs.
            Difference { path, desired: None, live: None }
        } else if let (Some(Value::String(desired)), Some(Value::String(live))) = (desired, live)
            && (desired.contains('\n') || live.contains('\n'))
        {
            let (number, desired, live) = first_other_line(desired, live);
            path.push_str(&format!(" line {number}"));
            Difference { path, desired, live }
        } else {
            Difference { path, desired: desired.map(shown), live: live.map(shown) }
        };
        self.found.push(difference);
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if !name.contains(['.', '/']) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Field(name) => text.push_str(&format!("[{name}]")),
                Step::Item(name) => text.push_str(&format!("[{name}]")),
            }
        }
        text
    }
}

enum Identity {
    /// Items are told apart by these fields; others may add items.
    Key(&'static [&'static str]),
    /// Items are values; others may add some.
    Set,
    /// One writer, one order; items may gain defaults.
    Index,
    /// One writer, one order, nothing added.
    Exact,
}

fn item_key(fields: &[&str], item: &Value) -> String {
    let part = |field: &&str| match item.get(*field) {
        Some(value) => scalar_text(value).unwrap_or_default(),
        None if *field == "protocol" => "TCP".to_owned(),
        None => String::new(),
    };
    fields.iter().map(part).collect::<Vec<_>>().join("/")
}

/// Kubernetes stores none of these differently from an absent field. An object whose fields are all empty is empty; a
/// list of one empty object is not (`egress: [{}]` opens everything).
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn first_other_line(desired: &str, live: &str) -> (usize, Option<String>, Option<String>) {
    let (mut desired, mut live) = (desired.split('\n'), live.split('\n'));
    let mut number = 1;
    loop {
        match (desired.next(), live.next()) {
            (Some(a), Some(b)) if a == b => number += 1,
            (a, b) => return (number, a.map(shown_text), b.map(shown_text)),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        other => cut(other.to_string()),
    }
}

fn shown_text(text: &str) -> String {
    if text.trim().is_empty() || text.contains('\n') {
        cut(format!("{text:?}"))
    } else {
        cut(text.to_owned())
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A Kubernetes quantity in billionths, the smallest unit that it knows; finer ones round up, as the API server does.
fn quantity(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (binary, decimal) = match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        other => (0, other.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?),
    };
    let scaled = digits.checked_mul(1_i128 << binary)?;
    let exponent = 9 + decimal - i32::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let value =
        if exponent >= 0 { scaled.checked_mul(power)? } else { scaled.checked_add(power - 1)? / power };
    Some(if negative { -value } else { value })
}
