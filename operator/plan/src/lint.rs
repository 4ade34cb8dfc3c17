//! What an entry should say and does not: the mistakes that charts are full of and that no plan shows. The rest of them
//! (a heap above its limit, a probe that gives up early, a default password, a database of two blocks, missing requests)
//! is seen on what is rendered: see [`crate::closure`]. Pure: today's date is given.

use plinth_api::ProductSpec;
use plinth_api::v1alpha1::product::{Component, ConformanceException, Role, Version, Workload};

use crate::catalogue::{Catalogue, Entry};
use crate::conformance;
use crate::model::Finding;
use crate::render::{RUNS_REGISTRIES, mentions_exchange};

/// Tags that move.
pub const MUTABLE_TAGS: &[&str] = &["latest", "develop", "main", "master", "stable", "edge", "nightly"];

/// A rule: what it is called, and what it finds in an entry.
type Rule = (&'static str, fn(&Subject<'_>, &mut Vec<Finding>));

/// Every rule, by name.
const RULES: &[Rule] = &[
    ("images have a tag that stays", tags),
    ("what starts slowly says how long", budgets),
    ("what serves can be asked whether it is ready", probes),
    ("every component says what it is", descriptions),
    ("no version is past its end of support", support),
    ("no backing service that it brings is past its end of support", backing),
    ("what cannot run says why, what can has components", substance),
    ("sources can be found", sources),
    ("what is excepted is a requirement of GovStack's", exceptions),
    ("what runs registries is not told of the exchange", engines),
];

struct Subject<'a> {
    entry: &'a Entry,
    catalogue: &'a Catalogue,
    today: &'a str,
}

impl Subject<'_> {
    fn spec(&self) -> &ProductSpec {
        &self.entry.spec
    }

    fn say(&self, findings: &mut Vec<Finding>, path: String, message: String) {
        findings.push(Finding { path: format!("Product/{}: {path}", self.entry.name), message });
    }
}

/// Everything that an entry should say and does not. `today` is `YYYY-MM-DD`.
pub fn lint(entry: &Entry, catalogue: &Catalogue, today: &str) -> Vec<Finding> {
    let subject = Subject { entry, catalogue, today };
    let mut findings = Vec::new();
    for (_, rule) in RULES {
        rule(&subject, &mut findings);
    }
    findings
}

/// Where a registry answers is a part of what the exchange is told: an engine that reads the exchange would wait for itself.
fn engines(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let runs = subject.spec().provides.iter().any(|provision| provision.capability == RUNS_REGISTRIES);
    if runs && mentions_exchange(subject.spec()) {
        let message = "an entry that runs registries must not have the text `exchange.` in it, in no field";
        subject.say(findings, "spec".to_owned(), message.to_owned());
    }
}

fn exceptions(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let unknown =
        subject.spec().exceptions.iter().filter(|one| conformance::find(&one.requirement).is_none());
    for ConformanceException { requirement, .. } in unknown {
        let at = format!("spec.exceptions[{requirement}]");
        let known = "is not among the requirements of chapters 6.2 to 6.5";
        subject.say(findings, at, format!("`{requirement}` {known} of {}", conformance::SPECIFICATION));
    }
}

/// Names of the rules, for people.
pub fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(name, _)| *name)
}

/// Whether an image reference can mean another image tomorrow.
pub fn moves(image: &str) -> bool {
    if image.contains("@sha256:") {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_none_or(|(_, tag)| MUTABLE_TAGS.contains(&tag))
}

fn tags(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for version in subject.spec().versions.iter().filter(|version| version.tags_move_because.is_none()) {
        for (name, image) in version.images.iter().filter(|(_, image)| moves(image)) {
            subject.say(
                findings,
                format!("spec.versions[{}].images[{name}]", version.version),
                format!("`{image}` has a tag that moves; name a release or a digest, or say in `tagsMoveBecause` why there is none"),
            );
        }
    }
}

fn at(component: &Component, field: &str) -> String {
    format!("spec.components[{}].{field}", component.name)
}

fn budgets(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for component in &subject.spec().components {
        if component.startup_budget_seconds.is_none() {
            subject.say(
                findings,
                at(component, "startupBudgetSeconds"),
                "is missing: nobody can tell slow from broken".to_owned(),
            );
        }
    }
}

fn probes(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let serves = |c: &&Component| c.workload != Workload::Job && !c.ports.is_empty();
    for component in subject.spec().components.iter().filter(serves) {
        if component.probes.readiness.is_none() {
            subject.say(
                findings,
                at(component, "probes.readiness"),
                "is missing: its Service would send calls to pods that are not ready".to_owned(),
            );
        }
    }
}

fn descriptions(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for component in subject.spec().components.iter().filter(|c| c.description.is_none()) {
        subject.say(findings, at(component, "description"), "is missing: say what it does".to_owned());
    }
}

fn past<'a>(version: &'a Version, today: &str) -> Option<&'a str> {
    version.end_of_support.as_deref().filter(|end| *end < today && version.offered_because.is_none())
}

fn support(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for version in &subject.spec().versions {
        if let Some(end) = past(version, subject.today) {
            subject.say(
                findings,
                format!("spec.versions[{}].endOfSupport", version.version),
                format!("was on {end}; offer a newer version, or say in `offeredBecause` why not"),
            );
        }
    }
}

fn backing(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for requirement in &subject.spec().requires {
        let Some(entry) = subject.catalogue.backing(&requirement.capability, Default::default()) else {
            continue;
        };
        let brought = entry.spec.versions.first().and_then(|version| past(version, subject.today));
        if let Some(end) = brought {
            subject.say(
                findings,
                format!("spec.requires[{}]", requirement.name),
                format!("is met by `{}`, whose support ended on {end}", entry.name),
            );
        }
    }
}

fn substance(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let spec = subject.spec();
    let empty = spec.components.is_empty() && spec.objects.is_empty();
    if empty != spec.unavailable.is_some() {
        let message = if empty {
            "has no components and no objects; add them, or `unavailable` with the reason"
        } else {
            "is said to be unavailable and has components or objects; drop one of both"
        };
        subject.say(findings, "spec".to_owned(), message.to_owned());
    }
    if spec.role == Role::Backing && spec.provides.is_empty() {
        subject.say(findings, "spec.provides".to_owned(), "a backing service provides something".to_owned());
    }
}

fn sources(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (i, source) in subject.spec().sources.iter().enumerate() {
        if source.repository.trim().is_empty() || source.says.trim().is_empty() {
            subject.say(
                findings,
                format!("spec.sources[{i}]"),
                "names no repository, or not what was read there".to_owned(),
            );
        }
    }
}

/// How much of a component is known: what an entry can say about it, and what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Values that the entry has.
    pub known: usize,
    /// Values that it lacks.
    pub unknown: usize,
}

/// Counts the values that make a component runnable: image, port, readiness, liveness, budget, requests, replicas,
/// user, and one each for variables and files where it reads any.
pub fn known(component: &Component) -> Known {
    let serves = component.workload != Workload::Job;
    let mut said = vec![
        !component.image.is_empty(),
        component.startup_budget_seconds.is_some(),
        component.resources.sandbox.is_some()
            || component.resources.standard.is_some()
            || component.resources.national.is_some(),
        component.security.run_as_user.is_some(),
    ];
    if serves {
        said.push(!component.ports.is_empty());
        said.push(component.probes.readiness.is_some());
        said.push(component.probes.liveness.is_some());
        said.push(component.replicas.standard.is_some() || component.replicas.sandbox.is_some());
    }
    let known = said.iter().filter(|is_said| **is_said).count();
    Known { known, unknown: said.len() - known }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn entry(spec: serde_json::Value) -> Entry {
        let mut whole = json!({
            "block": "x-test",
            "title": "Test",
            "description": "A test.",
            "licence": "Apache-2.0",
            "maturity": "stable",
            "asOf": "2026-11-23",
            "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": { "app": "registry.example/app:1.0" } }],
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        Entry {
            name: "test".to_owned(),
            builtin: false,
            spec: Arc::new(serde_json::from_value(whole).unwrap()),
        }
    }

    fn found(spec: serde_json::Value) -> Vec<String> {
        let entry = entry(spec);
        let catalogue = Catalogue::from_entries([entry.clone()]);
        lint(&entry, &catalogue, "2026-11-23").iter().map(ToString::to_string).collect()
    }

    fn sound() -> serde_json::Value {
        json!({
            "name": "app", "description": "Serves.", "image": "app", "startupBudgetSeconds": 10,
            "ports": [{ "name": "http", "port": 80 }],
            "probes": { "readiness": { "port": "http" } },
        })
    }

    #[test]
    fn a_sound_entry_has_no_findings() {
        assert_eq!(found(json!({ "components": [sound()] })), Vec::<String>::new());
    }

    #[test]
    fn every_rule_finds_its_mistake() {
        let without = |field: &str| {
            let mut component = sound();
            component.as_object_mut().unwrap().remove(field);
            json!({ "components": [component] })
        };
        let version = |image: &str, end: &str| {
            json!({
                "components": [sound()],
                "versions": [{ "version": "1", "images": { "app": image }, "endOfSupport": end }],
            })
        };
        for (spec, wanted) in [
            (version("registry.example/app:latest", "2030-01-01"), "tag that moves"),
            (version("registry.example/app", "2030-01-01"), "tag that moves"),
            (version("registry.example/app:1", "2020-01-01"), "was on 2020-01-01"),
            (without("startupBudgetSeconds"), "slow from broken"),
            (without("probes"), "probes.readiness"),
            (without("description"), "say what it does"),
            (json!({}), "has no components"),
            (
                json!({ "components": [sound()], "sources": [{ "repository": "", "says": "x" }] }),
                "repository",
            ),
        ] {
            let findings = found(spec.clone());
            assert!(findings.iter().any(|f| f.contains(wanted)), "{spec}: {findings:?}");
        }
    }

    #[test]
    fn a_digest_does_not_move_whatever_its_tag() {
        let digest = format!("registry.example:5000/app:latest@sha256:{}", "0".repeat(64));
        assert!(!moves(&digest));
        assert!(moves("registry.example:5000/app"));
        assert!(!moves("registry.example:5000/app:2.1"));
    }
}
