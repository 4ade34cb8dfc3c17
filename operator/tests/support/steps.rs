//! The steps of onboarding of a planned Stack, run as their Jobs would run them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::OnceLock;

use plinth_api::v1alpha1::product::Alphabet;
use plinth_plan::model::{BlockPlan, Piece, Plan, SecretKeyRef, SecretSource, Unit, UnitId};
use plinth_plan::onboarding::component_name;
use regex::Regex;
use serde_json::Value;

/// Seconds that a step has: a server that is up is quick, or wrong.
const BUDGET: u64 = 10;

/// What one Job of onboarding is given.
#[derive(Clone, PartialEq)]
pub struct Step {
    /// Block and unit, for messages.
    pub name: String,
    /// The file that it reads.
    document: Value,
    /// Its variables.
    pub variables: BTreeMap<String, String>,
}

/// How a run of a step ended.
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Calls that made something.
    pub made: u32,
    /// Everything that it said.
    pub said: String,
}

/// The steps of a plan: those of every block of `entry`, the first in the `order` given, then those of `blocks`; every origin
/// in them is replaced by `url`.
///
/// # Errors
/// What is named and is not there.
pub fn of_plan(
    plan: &Plan,
    entry: &str,
    order: &[String],
    blocks: &[String],
    url: &str,
) -> Result<Vec<Step>, String> {
    let made_up = MadeUp::of(plan, url);
    let mut steps = Vec::new();
    for block in plan.blocks.iter().filter(|block| block.product.as_deref() == Some(entry)) {
        steps.extend(in_order(block, order)?);
    }
    for name in blocks {
        let block = plan.blocks.iter().find(|block| block.name == *name);
        let block = block.ok_or_else(|| format!("runs.blocks: the Stack has no block {name}"))?;
        steps.extend(in_order(block, &[])?);
    }
    if steps.is_empty() {
        return Err("the Stack has no step of it".to_owned());
    }
    steps.into_iter().map(|unit| made_up.step(unit)).collect()
}

/// The units of a block that are steps: the first, in the order given, of those that wait for no other.
fn in_order<'p>(block: &'p BlockPlan, order: &[String]) -> Result<Vec<&'p Unit>, String> {
    let mut left: Vec<&Unit> = block.units.iter().filter(|unit| unit.step.is_some()).collect();
    let place = |unit: &&Unit| {
        let is_of = |name: &String| {
            let component = name_of(name);
            let rest = unit.id.name.strip_prefix(&component);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-')).then_some(component.len())
        };
        // `client-scope-x` begins as an instance of `client` does: the longest name is the step's.
        let names = order.iter().enumerate().filter_map(|(i, name)| Some((is_of(name)?, i)));
        names.max().map_or(usize::MAX, |(_, i)| i)
    };
    left.sort_by_key(place);
    let mut taken = Vec::new();
    while !left.is_empty() {
        let waiting: BTreeSet<&UnitId> = left.iter().map(|unit| &unit.id).collect();
        let next = left.iter().position(|unit| !unit.after.iter().any(|id| waiting.contains(id)));
        taken.push(left.remove(next.ok_or("the steps wait for each other")?));
    }
    Ok(taken)
}

fn name_of(step: &str) -> String {
    component_name(&plinth_api::v1alpha1::product::Onboarding { name: step.to_owned(), ..Default::default() })
}

/// What a cluster would give a Job, made up.
pub struct MadeUp<'a> {
    url: &'a str,
    plan: &'a Plan,
    origin: Regex,
}

impl<'a> MadeUp<'a> {
    /// Of a plan, with every origin replaced by `url`.
    pub fn of(plan: &'a Plan, url: &'a str) -> Self {
        Self { url, plan, origin: Regex::new(r"\bhttps?://[^/\s'\x22<>|,;]+").unwrap() }
    }

    fn step(&self, unit: &Unit) -> Result<Step, String> {
        let wrong = |what: &str| format!("{}: {what}", unit.id);
        let job = unit.job().ok_or_else(|| wrong("has no Job"))?;
        let namespace = job.key.namespace.as_deref().unwrap_or_default();
        let pod = &job.body["spec"]["template"]["spec"];
        let mut document = self.document(pod, namespace).ok_or_else(|| wrong("has no onboarding.json"))?;
        document["budgetSeconds"] = document["budgetSeconds"].as_u64().unwrap_or(BUDGET).min(BUDGET).into();
        for call in document["calls"].as_array_mut().into_iter().flatten() {
            for request in ["check", "act"] {
                if let Some(Value::String(url)) = call.get_mut(request).and_then(|r| r.get_mut("url")) {
                    *url = self.here(url);
                }
            }
        }
        let mut variables = BTreeMap::new();
        for variable in pod["containers"][0]["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let value = if document["trust"] == name {
                certificate()
            } else if let Some(value) = variable["value"].as_str() {
                self.here(value)
            } else {
                let reference = &variable["valueFrom"]["secretKeyRef"];
                let text = |field: &str| reference[field].as_str().map(str::to_owned);
                let (Some(secret), Some(key)) = (text("name"), text("key")) else {
                    return Err(wrong(&format!("variable {name} is neither a text nor a secret")));
                };
                let key = SecretKeyRef { namespace: namespace.to_owned(), name: secret, key };
                self.here(&self.secret(&key))
            };
            variables.insert(name.to_owned(), value);
        }
        Ok(Step { name: unit.id.to_string(), document, variables })
    }

    /// The file of the first ConfigMap that a pod mounts and that has one.
    fn document(&self, pod: &Value, namespace: &str) -> Option<Value> {
        let volumes = pod["volumes"].as_array()?;
        let names: Vec<&str> = volumes.iter().filter_map(|v| v["configMap"]["name"].as_str()).collect();
        let mut configs = self.plan.objects().filter(|o| {
            let key = &o.key;
            key.kind == "ConfigMap"
                && key.namespace.as_deref() == Some(namespace)
                && names.contains(&key.name.as_str())
        });
        configs.find_map(|o| serde_json::from_str(o.body["data"]["onboarding.json"].as_str()?).ok())
    }

    /// The value of a secret: as it is planned where that says it, else a text that tells it from others.
    pub fn secret(&self, key: &SecretKeyRef) -> String {
        let object = self.plan.objects().find(|o| {
            o.key.kind == "Secret"
                && o.key.name == key.name
                && o.key.namespace.as_ref() == Some(&key.namespace)
        });
        match object.and_then(|o| o.secret.get(&key.key)) {
            Some(SecretSource::Compose { pieces }) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Secret(other) => self.secret(other),
                })
                .collect(),
            Some(SecretSource::Certificate(_)) => {
                format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", key.name)
            }
            Some(SecretSource::Generate { generator, .. }) if generator.alphabet == Alphabet::Hex => {
                let digits: String = key.name.bytes().map(|byte| format!("{byte:02x}")).collect();
                digits.chars().cycle().take(generator.length.into()).collect()
            }
            _ => format!("made-up-{}-{}", key.name, key.key),
        }
    }

    /// A text with every origin replaced by the server's.
    fn here(&self, text: &str) -> String {
        self.origin.replace_all(text, self.url).into_owned()
    }
}

/// A certificate that nobody presents: servers of tests speak plain HTTP.
fn certificate() -> String {
    static CERTIFICATE: OnceLock<String> = OnceLock::new();
    let made = || rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap().cert.pem();
    CERTIFICATE.get_or_init(made).clone()
}

impl Step {
    /// Runs the program as the Job does.
    pub fn run(&self) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let (file, outcome) = (folder.path().join("onboarding.json"), folder.path().join("outcome"));
        std::fs::write(&file, self.document.to_string()).unwrap();
        std::fs::write(&outcome, "").unwrap();
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_plinth"))
            .arg("onboard")
            .arg(&file)
            .arg("--outcome")
            .arg(&outcome)
            .env_clear()
            .envs(&self.variables)
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        let counted = Regex::new(r": (\d+) made, \d+ adopted").unwrap();
        let made = counted.captures_iter(&said).last().and_then(|found| found[1].parse().ok());
        Ran { code: status.code().expect("it ends by itself"), made: made.unwrap_or_default(), said }
    }
}
