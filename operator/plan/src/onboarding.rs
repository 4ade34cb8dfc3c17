//! Onboarding: what is said to a product once it runs. Pure: a step becomes a component and a configuration of the same
//! entry, so that Job, policy, order, checks and status are those of every other component; and what the Job reads is
//! written, filled in and understood here, so that planning finds what running would.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plinth_api::v1alpha1::onboarding::Part;
use plinth_api::v1alpha1::product::{
    Alphabet, Call, Component, Config, ConfigFile, Generator, Method, Mount, Named, Onboarding, PerProfile,
    Request, Resources, Secret, SecretKey, Security, Workload,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::catalogue::Entry;
use crate::expr::{Scope, compiles, listed};
use crate::token;

/// Key, in place of one of a version's `images`, of Plinth's own image.
pub const OWN_IMAGE: &str = "plinth.dev/plinth";
/// Folder of the file that a step's Job reads.
const FOLDER: &str = "/etc/plinth";
/// Name of that file.
const FILE: &str = "onboarding.json";
/// Seconds that a step has where it says nothing.
const BUDGET: u32 = 300;
/// User of Plinth's own image.
const USER: i64 = 65532;
/// Variable with the key that a step seals with what it hands over; 64 hexadecimal digits.
pub const SEAL_VARIABLE: &str = "PLINTH_SEAL";
/// Key of the Secret with it.
pub const SEAL: &str = "seal";
/// A moment that stands for `now` while planning.
const SOME_MOMENT: &str = "2000-01-01T00:00:00.000Z";

/// Name of a step's component, and of its configuration.
pub fn component_name(step: &Onboarding) -> String {
    format!("onboard-{}", step.name)
}

/// What a step hands over to Secrets: names of captured values.
fn handed_over(entry: &Entry, step: &Onboarding) -> BTreeSet<String> {
    let keys = entry.spec.secrets.iter().flat_map(|secret| &secret.keys);
    let captured = keys.filter_map(|key| key.captured.as_ref());
    captured.filter(|captured| captured.step == step.name).map(|captured| captured.value.clone()).collect()
}

/// Name of the secret of the entry that holds a step's seal, under [`SEAL`].
pub fn seal_secret(step: &str) -> String {
    format!("onboard-{step}")
}

/// The entry with a component and a configuration for each step, and a seal for each step that hands something over.
pub fn expanded(entry: &Entry) -> Cow<'_, Entry> {
    if entry.spec.onboarding.is_empty() {
        return Cow::Borrowed(entry);
    }
    let mut entry = entry.clone();
    let steps = entry.spec.onboarding.clone();
    let sealing: BTreeSet<String> = steps
        .iter()
        .filter(|step| !handed_over(&entry, step).is_empty())
        .map(|step| step.name.clone())
        .collect();
    let spec = Arc::make_mut(&mut entry.spec);
    spec.configs.extend(steps.iter().map(config));
    spec.secrets.extend(steps.iter().filter(|step| sealing.contains(&step.name)).map(seal));
    spec.components.extend(steps.into_iter().map(|step| {
        let seals = sealing.contains(&step.name);
        component(step, seals)
    }));
    Cow::Owned(entry)
}

/// The seal lasts: with another one, what was handed over before could not be read again.
fn seal(step: &Onboarding) -> Secret {
    let key = SecretKey {
        name: SEAL.to_owned(),
        generate: Some(Generator { alphabet: Alphabet::Hex, length: 64 }),
        permanent: true,
        ..SecretKey::default()
    };
    Secret {
        name: seal_secret(&step.name),
        when: step.when.clone(),
        kind: "Opaque".to_owned(),
        keys: vec![key],
        ..Secret::default()
    }
}

fn config(step: &Onboarding) -> Config {
    Config {
        name: component_name(step),
        for_each: step.for_each.clone(),
        when: step.when.clone(),
        files: vec![ConfigFile { name: FILE.to_owned(), ..ConfigFile::default() }],
        ..Config::default()
    }
}

fn component(step: Onboarding, seals: bool) -> Component {
    let name = component_name(&step);
    let mut env = step.variables;
    if seals {
        let reference = Some(format!("secrets.{}.{SEAL}", seal_secret(&step.name)));
        env.push(Named { name: SEAL_VARIABLE.to_owned(), reference, ..Named::default() });
    }
    let size = Resources {
        cpu: "10m".to_owned(),
        memory: "32Mi".to_owned(),
        memory_limit: Some("128Mi".to_owned()),
        ..Resources::default()
    };
    Component {
        description: Some(step.description),
        for_each: step.for_each,
        when: step.when,
        workload: Workload::Job,
        image: OWN_IMAGE.to_owned(),
        command: vec!["plinth".to_owned()],
        args: vec!["onboard".to_owned(), format!("{FOLDER}/{FILE}")],
        env,
        startup_budget_seconds: Some(step.startup_budget_seconds.unwrap_or(BUDGET)),
        resources: PerProfile { sandbox: Some(size), ..PerProfile::default() },
        mounts: vec![Mount { path: FOLDER.to_owned(), config: Some(name.clone()), ..Mount::default() }],
        after: step.after,
        connects: step.connects,
        security: Security { run_as_user: Some(USER), ..Security::default() },
        name,
        ..Component::default()
    }
}

/// What a step's Job reads. It holds no secret: those come as variables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// Name of the step.
    pub name: String,
    /// Seconds within which all calls succeed.
    pub budget_seconds: u32,
    /// Variables that requests see as `env.<name>`.
    pub variables: BTreeSet<String>,
    /// Those of them whose values nobody may read.
    pub secrets: BTreeSet<String>,
    /// The variable whose value is the certificates that https calls trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Names of captured values that the step hands over, sealed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hands_over: BTreeSet<String>,
    /// The calls, in order.
    pub calls: Vec<Call>,
}

/// The file of one instance of a step, after everything in it was tried out on the values that planning knows.
///
/// # Errors
/// What is wrong, with the call at fault.
pub fn document(entry: &Entry, step: &Onboarding, scope: &Scope<'_>) -> Result<Document, String> {
    let mut document = Document {
        name: step.name.clone(),
        trust: step.trust.clone(),
        hands_over: handed_over(entry, step),
        budget_seconds: step.startup_budget_seconds.unwrap_or(BUDGET),
        calls: step.calls.iter().map(|call| planned(call, scope)).collect::<Result<_, _>>()?,
        ..Document::default()
    };
    let mut known = Known { now: SOME_MOMENT.to_owned(), ..Known::default() };
    for variable in &step.variables {
        if !scope.when(variable.when.as_deref())? {
            continue;
        }
        let text = scope.text(variable)?;
        if token::has_secret(&text) {
            document.secrets.insert(variable.name.clone());
        }
        document.variables.insert(variable.name.clone());
        known.env.insert(variable.name.clone(), text.into());
    }
    if let Some(name) = document.trust.as_ref().filter(|name| !document.variables.contains(*name)) {
        let known: Vec<&String> = document.variables.iter().collect();
        return Err(format!("trust: `{name}` is no variable of the step; it has {}", listed(&known)));
    }
    if step.for_each.is_some() && !document.hands_over.is_empty() {
        return Err("a secret takes a captured value from it, therefore it has no forEach".to_owned());
    }
    let captured: BTreeSet<&String> = document.calls.iter().flat_map(|call| call.capture.keys()).collect();
    if let Some(name) = document.hands_over.iter().find(|name| !captured.contains(name)) {
        return Err(format!("a secret takes `{name}` from it, which no call captures"));
    }
    let mut names = BTreeSet::new();
    for call in &document.calls {
        let wrong = |message: String| format!("call `{}`: {message}", call.name);
        if !names.insert(&call.name) {
            return Err(wrong("two calls have this name".to_owned()));
        }
        tried(call, &known).map_err(wrong)?;
        // Any text: what an answer holds is known at run time only.
        known.captured.extend(call.capture.keys().map(|name| (name.clone(), json!("1"))));
    }
    Ok(document)
}

/// A call with every `${…}` of its requests in place, which only planning can know.
fn planned(call: &Call, scope: &Scope<'_>) -> Result<Call, String> {
    let mut call = call.clone();
    for (field, request) in [("check", &mut call.check), ("act", &mut call.act)] {
        let Some(request) = request else { continue };
        let wrong = |message: String| format!("call `{}`: {field}: {message}", call.name);
        let source = serde_json::to_value(&*request).map_err(|error| wrong(error.to_string()))?;
        let value = scope.embedded(&source, field).map_err(wrong)?;
        if token::has_secret(&value.to_string()) {
            return Err(wrong("holds a secret value; make it a variable".to_owned()));
        }
        *request = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(call)
}

fn tried(call: &Call, known: &Known) -> Result<(), String> {
    if call.check.is_none() && call.act.is_none() {
        return Err("give check, act or both".to_owned());
    }
    if call.exists.is_some() && call.check.is_none() {
        return Err("exists: looks at the answer to check, which is missing".to_owned());
    }
    if !call.expect.is_empty() && call.act.is_none() {
        return Err("expect: is about act, which is missing".to_owned());
    }
    let scope = known.scope();
    for (field, request) in [("check", &call.check), ("act", &call.act)] {
        if let Some(request) = request {
            filled(request, &scope).map_err(|message| format!("{field}.{message}"))?;
        }
    }
    for (field, source) in [("when", &call.when), ("exists", &call.exists)] {
        source.as_deref().map_or(Ok(()), compiles).map_err(|message| format!("{field}: {message}"))?;
    }
    for (name, source) in &call.capture {
        compiles(source).map_err(|message| format!("capture.{name}: {message}"))?;
    }
    Ok(())
}

/// What requests are filled in with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The step's variables.
    pub env: Map<String, Value>,
    /// What earlier calls took from answers.
    pub captured: Map<String, Value>,
    /// This moment, UTC.
    pub now: String,
}

impl Known {
    /// The names that requests see.
    pub fn scope(&self) -> Scope<'static> {
        Scope::new(self.names())
    }

    /// The names that `exists` and `capture` see.
    pub fn answered(&self, answer: &Answer) -> Scope<'static> {
        let mut names = self.names();
        let Answer { status, headers, body } = answer;
        names.insert("response".to_owned(), json!({ "status": status, "headers": headers, "body": body }));
        Scope::new(names)
    }

    fn names(&self) -> Map<String, Value> {
        Map::from_iter([
            ("env".to_owned(), Value::Object(self.env.clone())),
            ("captured".to_owned(), Value::Object(self.captured.clone())),
            ("now".to_owned(), Value::String(self.now.clone())),
        ])
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers, names in lower case; of several with one name the first.
    pub headers: BTreeMap<String, String>,
    /// JSON where it is JSON, else a text; null where it is empty.
    pub body: Value,
}

impl Answer {
    /// Any 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// It may be another one in a while.
    pub fn may_pass(&self) -> bool {
        matches!(self.status, 408 | 425 | 429) || self.status >= 500
    }

    /// Whether the answer to `check` says that the work is done.
    ///
    /// # Errors
    /// When the expression does not evaluate to true or false.
    pub fn settles(&self, call: &Call, known: &Known) -> Result<bool, String> {
        match &call.exists {
            None => Ok(self.is_success()),
            Some(source) => known.answered(self).when(Some(source)).map_err(|e| format!("exists: {e}")),
        }
    }

    /// Whether `act` succeeded.
    pub fn is_expected(&self, call: &Call) -> bool {
        if call.expect.is_empty() { self.is_success() } else { call.expect.contains(&self.status) }
    }

    /// What later calls may use.
    ///
    /// # Errors
    /// When an expression does not evaluate.
    pub fn captured(&self, call: &Call, known: &Known) -> Result<Map<String, Value>, String> {
        let scope = known.answered(self);
        let value = |(name, source): (&String, &String)| {
            let value = scope.cel(source).map_err(|message| format!("capture.{name}: {message}"))?;
            Ok((name.clone(), value))
        };
        call.capture.iter().map(value).collect()
    }
}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// Method.
    pub method: Method,
    /// Address.
    pub url: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// What is sent, if anything.
    pub content: Option<Content>,
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A value as JSON.
    Json(Value),
    /// Fields of a form.
    Form(BTreeMap<String, String>),
    /// A text as it is.
    Text(String),
    /// Parts of a `multipart/form-data` request.
    Parts(Vec<Part>),
}

/// A request with its templates filled in. Strict: an unknown name is an error.
///
/// # Errors
/// The field, and what is wrong there.
pub fn filled(request: &Request, scope: &Scope<'_>) -> Result<Filled, String> {
    let url = scope.template("url", &request.url)?;
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(format!("url: `{}` must become http:// or https://", request.url));
    }
    let texts = |field: &str, map: &BTreeMap<String, String>| -> Result<BTreeMap<String, String>, String> {
        map.iter()
            .map(|(name, text)| Ok((name.clone(), scope.template(&format!("{field}.{name}"), text)?)))
            .collect()
    };
    let parts = (!request.multipart.is_empty()).then_some(&request.multipart);
    let content = match (&request.body, &request.form, &request.text, parts) {
        (None, None, None, None) => None,
        (Some(body), None, None, None) => Some(Content::Json(value(body, "body", scope)?)),
        (None, Some(form), None, None) => Some(Content::Form(texts("form", form)?)),
        (None, None, Some(text), None) => Some(Content::Text(scope.template("text", text)?)),
        (None, None, None, Some(parts)) => Some(Content::Parts(
            parts
                .iter()
                .map(|part| {
                    let value = scope.template(&format!("multipart.{}", part.name), &part.value)?;
                    Ok(Part { value, ..part.clone() })
                })
                .collect::<Result<_, String>>()?,
        )),
        _ => return Err("body: give one of body, form, text and multipart".to_owned()),
    };
    Ok(Filled { method: request.method, url, headers: texts("headers", &request.headers)?, content })
}

/// Every text of a value filled in. A text that is one expression keeps the type of its result.
fn value(source: &Value, at: &str, scope: &Scope<'_>) -> Result<Value, String> {
    Ok(match source {
        Value::String(text) => match sole_expression(text) {
            Some(expression) => scope.expression(expression).map_err(|message| format!("{at}: {message}"))?,
            None => Value::String(scope.template(at, text)?),
        },
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| value(item, &format!("{at}[{i}]"), scope))
            .collect::<Result<_, _>>()?,
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), value(item, &format!("{at}.{key}"), scope)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

fn sole_expression(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let plain = !["{{", "}}", "{%", "{#"].iter().any(|mark| inside.contains(mark));
    plain.then(|| inside.trim_matches(['-', '+']).trim())
}

/// The step of an entry whose configuration that is.
pub fn step_of<'a>(entry: &'a Entry, config: &str) -> Option<&'a Onboarding> {
    entry.spec.onboarding.iter().find(|step| component_name(step) == config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope<'static> {
        let vars = json!({ "params": { "hub": "Hub" }, "secrets": { "admin": { "password": "\u{E000}ns/s/p\u{E001}" } } });
        let Value::Object(vars) = vars else { unreachable!() };
        Scope::new(vars)
    }

    fn step(calls: Value) -> Onboarding {
        serde_json::from_value(json!({
            "name": "hub",
            "description": "A test.",
            "variables": [
                { "name": "URL", "value": "http://ledger" },
                { "name": "HUB", "ref": "params.hub" },
                { "name": "PASSWORD", "ref": "secrets.admin.password" },
                { "name": "OFF", "value": "x", "when": "false" },
            ],
            "calls": calls,
        }))
        .unwrap()
    }

    fn planned_document(calls: Value) -> Result<Document, String> {
        let entry = Entry {
            name: "a".to_owned(),
            builtin: false,
            spec: Arc::new(
                serde_json::from_value(json!({
                    "block": "x-a", "title": "A", "description": "A test.", "licence": "Apache-2.0",
                    "maturity": "stable", "asOf": "2026-11-24", "sources": [], "versions": [],
                }))
                .unwrap(),
            ),
        };
        document(&entry, &step(calls), &scope())
    }

    fn refusal(calls: Value) -> String {
        planned_document(calls).unwrap_err()
    }

    #[test]
    fn the_file_names_its_secrets_and_holds_none() {
        let calls = json!([{ "name": "one", "act": {
            "method": "POST", "url": "{{ env.URL }}/a",
            "headers": { "authorization": "Bearer {{ env.PASSWORD }}" },
        } }]);
        let document = planned_document(calls).unwrap();
        assert_eq!(document.secrets, BTreeSet::from(["PASSWORD".to_owned()]));
        assert_eq!(document.variables.len(), 3, "a variable that is off is not asked for");
        let text = serde_json::to_string(&document).unwrap();
        assert!(!token::has_secret(&text), "{text}");
        assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), document);
    }

    #[test]
    fn planning_finds_what_running_would() {
        let act = |url: &str| json!({ "url": url });
        for (calls, wanted) in [
            (json!([{ "name": "a", "act": act("{{ env.NOPE }}/x") }]), "call `a`: act.url line 1"),
            (json!([{ "name": "a", "act": act("{{ env.OFF }}/x") }]), "call `a`: act.url line 1"),
            (json!([{ "name": "a", "act": act("{{ captured.id }}") }]), "call `a`: act.url line 1"),
            (json!([{ "name": "a", "act": act("ledger/x") }]), "must become http:// or https://"),
            (json!([{ "name": "a" }]), "give check, act or both"),
            (json!([{ "name": "a", "act": act("http://a"), "exists": "true" }]), "exists: looks at"),
            (json!([{ "name": "a", "check": act("http://a"), "exists": "response." }]), "is not a CEL"),
            (json!([{ "name": "a", "check": act("http://a"), "expect": [200] }]), "expect: is about act"),
            (json!([{ "name": "a", "act": act("http://a"), "capture": { "x": "(" } }]), "capture.x"),
            (
                json!([{ "name": "a", "act": { "url": "http://a", "body": 1, "form": {} } }]),
                "give one of body, form, text",
            ),
            (
                json!([{ "name": "a", "act": { "url": "http://a", "body": { "x": ["{{ env.NOPE }}"] } } }]),
                "act.body.x[0]",
            ),
            (
                json!([{ "name": "a", "act": act("http://a") }, { "name": "a", "act": act("http://a") }]),
                "two calls",
            ),
        ] {
            let found = refusal(calls.clone());
            assert!(found.contains(wanted), "{calls}: {found}");
        }
    }

    #[test]
    fn a_text_that_is_one_expression_keeps_its_type() {
        let known = Known {
            env: Map::from_iter([("LIMIT".to_owned(), json!("5"))]),
            captured: Map::from_iter([("id".to_owned(), json!(7))]),
            now: SOME_MOMENT.to_owned(),
        };
        let request: Request = serde_json::from_value(json!({
            "method": "PUT", "url": "http://a/{{ captured.id }}",
            "body": { "id": "{{ captured.id }}", "limit": "{{ env.LIMIT|int }}", "text": "no. {{ captured.id }}" },
            "headers": { "authorization": "Basic {{ ('a:' ~ env.LIMIT)|b64encode }}", "date": "{{ now }}" },
        }))
        .unwrap();
        let filled = filled(&request, &known.scope()).unwrap();
        assert_eq!(filled.url, "http://a/7");
        assert_eq!(filled.headers["authorization"], "Basic YTo1");
        assert_eq!(filled.headers["date"], SOME_MOMENT);
        assert_eq!(filled.content, Some(Content::Json(json!({ "id": 7, "limit": 5, "text": "no. 7" }))));
    }

    #[test]
    fn an_answer_settles_a_call_by_its_expression_or_by_success() {
        let known = Known::default();
        let call: Call = serde_json::from_value(json!({
            "name": "a", "check": { "url": "http://a" }, "act": { "url": "http://a" }, "expect": [409],
            "exists": "response.status == 200 && response.body.exists(a, a.type == 'HUB')",
            "capture": { "first": "response.body[0].type" },
        }))
        .unwrap();
        let answer = Answer { status: 200, body: json!([{ "type": "HUB" }]), ..Answer::default() };
        assert!(answer.settles(&call, &known).unwrap());
        assert_eq!(answer.captured(&call, &known).unwrap()["first"], "HUB");
        let empty = Answer { status: 200, body: json!([]), ..Answer::default() };
        assert!(!empty.settles(&call, &known).unwrap());
        assert!(Answer { status: 409, ..Answer::default() }.is_expected(&call) && !answer.is_expected(&call));
        assert!(Answer { status: 503, ..Answer::default() }.may_pass() && !answer.may_pass());
    }
}
