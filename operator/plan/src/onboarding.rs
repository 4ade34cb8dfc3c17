//! Onboarding: what is said to a product once it runs. Pure: a step becomes a component and a configuration of the same
//! entry, so that Job, policy, order, checks and status are those of every other component; and what the Job reads is
//! written, filled in and understood here, so that planning finds what running would.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plinth_api::v1alpha1::product::{
    Call, Component, Config, ConfigFile, Method, Mount, Onboarding, PerProfile, Request, Resources, Security,
    Workload,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::catalogue::Entry;
use crate::expr::{Scope, compiles};
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

/// Name of a step's component, and of its configuration.
pub fn component_name(step: &Onboarding) -> String {
    format!("onboard-{}", step.name)
}

/// The entry with a component and a configuration for each step.
pub fn expanded(entry: &Entry) -> Cow<'_, Entry> {
    if entry.spec.onboarding.is_empty() {
        return Cow::Borrowed(entry);
    }
    let mut entry = entry.clone();
    let steps = entry.spec.onboarding.clone();
    let spec = Arc::make_mut(&mut entry.spec);
    spec.configs.extend(steps.iter().map(config));
    spec.components.extend(steps.into_iter().map(component));
    Cow::Owned(entry)
}

fn config(step: &Onboarding) -> Config {
    Config {
        name: component_name(step),
        for_each: step.for_each.clone(),
        when: step.when.clone(),
        secret: false,
        files: vec![ConfigFile { name: FILE.to_owned(), ..ConfigFile::default() }],
    }
}

fn component(step: Onboarding) -> Component {
    let name = component_name(&step);
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
        env: step.variables,
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
    /// The calls, in order.
    pub calls: Vec<Call>,
}

/// The file of one instance of a step, after everything in it was tried out on the values that planning knows.
///
/// # Errors
/// What is wrong, with the call at fault.
pub fn document(step: &Onboarding, scope: &Scope<'_>) -> Result<Document, String> {
    let mut document = Document {
        name: step.name.clone(),
        budget_seconds: step.startup_budget_seconds.unwrap_or(BUDGET),
        calls: step.calls.iter().map(|call| planned(call, scope)).collect::<Result<_, _>>()?,
        ..Document::default()
    };
    let mut known = Known::default();
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
    call.exists.as_deref().map_or(Ok(()), compiles).map_err(|message| format!("exists: {message}"))?;
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
}

impl Known {
    /// The names that requests see.
    pub fn scope(&self) -> Scope<'static> {
        Scope::new(self.names())
    }

    /// The names that `exists` and `capture` see.
    pub fn answered(&self, answer: &Answer) -> Scope<'static> {
        let mut names = self.names();
        names.insert("response".to_owned(), json!({ "status": answer.status, "body": answer.body }));
        Scope::new(names)
    }

    fn names(&self) -> Map<String, Value> {
        Map::from_iter([
            ("env".to_owned(), Value::Object(self.env.clone())),
            ("captured".to_owned(), Value::Object(self.captured.clone())),
        ])
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
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
    let content = match (&request.body, &request.form) {
        (Some(_), Some(_)) => return Err("body: give body or form, not both".to_owned()),
        (Some(body), None) => Some(Content::Json(value(body, "body", scope)?)),
        (None, Some(form)) => Some(Content::Form(texts("form", form)?)),
        (None, None) => None,
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

    fn refusal(calls: Value) -> String {
        document(&step(calls), &scope()).unwrap_err()
    }

    #[test]
    fn the_file_names_its_secrets_and_holds_none() {
        let calls = json!([{ "name": "one", "act": {
            "method": "POST", "url": "{{ env.URL }}/a",
            "headers": { "authorization": "Bearer {{ env.PASSWORD }}" },
        } }]);
        let document = document(&step(calls), &scope()).unwrap();
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
                "give body or form",
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
        };
        let request: Request = serde_json::from_value(json!({
            "method": "PUT", "url": "http://a/{{ captured.id }}",
            "body": { "id": "{{ captured.id }}", "limit": "{{ env.LIMIT|int }}", "text": "no. {{ captured.id }}" },
        }))
        .unwrap();
        let filled = filled(&request, &known.scope()).unwrap();
        assert_eq!(filled.url, "http://a/7");
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
        let answer = Answer { status: 200, body: json!([{ "type": "HUB" }]) };
        assert!(answer.settles(&call, &known).unwrap());
        assert_eq!(answer.captured(&call, &known).unwrap()["first"], "HUB");
        let empty = Answer { status: 200, body: json!([]) };
        assert!(!empty.settles(&call, &known).unwrap());
        assert!(Answer { status: 409, body: Value::Null }.is_expected(&call) && !answer.is_expected(&call));
        assert!(Answer { status: 503, ..Answer::default() }.may_pass() && !answer.may_pass());
    }
}
