//! Onboarding: what is said to a product once it runs. Pure: a step becomes a component and a configuration of the same
//! entry, so that Job, policy, order, checks and status are those of every other component; and what the Job reads is
//! written, filled in and understood here, so that planning finds what running would.

mod calls;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use plinth_api::v1alpha1::people::People;
use plinth_api::v1alpha1::product::{
    Alphabet, Call, Component, Config, ConfigFile, Generator, Mount, Named, Onboarding, PerProfile,
    Resources, Secret, SecretKey, Security, Workload,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::calls::tried;
pub use self::calls::{Answer, Content, Filled, Known, filled};
use crate::catalogue::Entry;
use crate::expr::{Scope, as_text, listed};
use crate::people::Portions;
use crate::token;

/// Key, in place of one of a version's `images`, of Plinth's own image: for steps, and for components that run a verb of it.
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
/// Variable in which Kubernetes tells a pod which portion of the people it loads.
pub const PORTION_VARIABLE: &str = "JOB_COMPLETION_INDEX";
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
        first_start_only: false,
        ..SecretKey::default()
    };
    Secret {
        name: seal_secret(&step.name),
        when: wanted(step),
        kind: "Opaque".to_owned(),
        keys: vec![key],
        ..Secret::default()
    }
}

fn config(step: &Onboarding) -> Config {
    Config {
        name: component_name(step),
        for_each: step.for_each.clone(),
        when: wanted(step),
        files: vec![ConfigFile { name: FILE.to_owned(), ..ConfigFile::default() }],
        ..Config::default()
    }
}

/// When a step is there at all: one for synthetic people where the Stack asks for some.
fn wanted(step: &Onboarding) -> Option<String> {
    let own = step.when.clone();
    if !step.people {
        return own;
    }
    Some(own.map_or_else(|| PEOPLE.to_owned(), |own| format!("{PEOPLE} && ({own})")))
}

/// Whether people are asked for.
const PEOPLE: &str = "has(stack.people)";

/// How the people that the Stack asks for are divided, where that is a step for them.
///
/// # Errors
/// They are not what the Stack's schema says that they are.
pub fn portions(step: &Onboarding, scope: &Scope<'_>) -> Result<Option<Portions>, String> {
    if !step.people {
        return Ok(None);
    }
    let asked = scope.cel("stack.people")?;
    let asked: People = serde_json::from_value(asked).map_err(|error| format!("stack.people: {error}"))?;
    Ok(Some(Portions::of(&asked)))
}

fn component(step: Onboarding, seals: bool) -> Component {
    let when = wanted(&step);
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
        when,
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
    /// The people that it loads, a portion a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<Portions>,
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
        people: portions(step, scope)?,
        calls: step.calls.iter().map(|call| planned(call, scope)).collect::<Result<_, _>>()?,
        ..Document::default()
    };
    let sample = document.people.map(|portions| portions.sample());
    let mut known = Known { now: SOME_MOMENT.to_owned(), people: sample, ..Known::default() };
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
    if step.people && !document.hands_over.is_empty() {
        return Err("a secret takes a captured value from it, therefore it has no people".to_owned());
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

/// What a person says yes to before a step may run; `None` where nobody has to.
///
/// # Errors
/// When the expression does not evaluate.
pub fn approval(step: &Onboarding, scope: &Scope<'_>) -> Result<Option<String>, String> {
    let Some(source) = &step.requires_approval else { return Ok(None) };
    let text = as_text(&scope.embedded(&Value::String(source.clone()), "requiresApproval")?);
    if token::has_secret(&text) {
        return Err("requiresApproval: holds a secret value".to_owned());
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
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
}
