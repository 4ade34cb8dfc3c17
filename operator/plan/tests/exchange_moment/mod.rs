//! A world of the exchange at one moment: what is declared, what runs of it, what was said of it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use plinth_api::{ExchangeAgreement, Member, ProductSpec, PublicService, Registry, Stack};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::decide::{Gate, decide};
use plinth_plan::exchange::applied::{Applied, Record, Shape};
use plinth_plan::exchange::id::{MemberId, SubsystemId};
use plinth_plan::exchange::report::{Ground, Seen, Status, report};
use plinth_plan::exchange::{Declared, Subject, compile};
use plinth_plan::model::{FOUNDATION, Plan};
use serde_json::{Value, json};

use crate::common::*;

pub const NOW: i64 = 1_780_000_000;

pub fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("in range"))
}

/// A civil register in `civil` that a ministry's app in `app` asks, over an exchange in the block `information-mediator`.
pub fn world() -> Vec<Value> {
    let meta = |namespace: &str, name: &str| json!({ "namespace": namespace, "name": name, "generation": 3 });
    let stack = json!({ "name": "demo", "namespace": "gov" });
    vec![
        json!({ "kind": "Stack", "metadata": meta("gov", "demo"), "spec": {
            "country": { "code": "UA" },
            "tenants": { "from": "Selector", "selector": { "matchLabels": { "dpi": "yes" } } },
            "blocks": [
                { "name": "information-mediator", "product": "gate" },
                { "name": "digital-registries", "product": "engine" },
                { "name": "consent", "product": "gate" },
            ],
            "exchange": { "bindings": [
                { "namespace": "civil", "members": ["GOV/2"], "registries": ["births", "old-births", "deaths"] },
                { "namespace": "app", "members": ["GOV/1"] },
            ] },
        } }),
        json!({ "kind": "Member", "metadata": meta("civil", "civil"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "2", "subsystems": [{ "code": "register",
                "services": [
                    { "code": "births", "registry": "births" },
                    { "code": "desk", "backend": { "service": "desk", "port": 80, "pods": { "app": "desk" } } },
                ],
                "localGroups": [{ "code": "nobody" }],
            }],
        } }),
        json!({ "kind": "Registry", "metadata": meta("civil", "births"), "spec": {
            "stackRef": stack, "code": "births", "owner": "civil", "classification": "personal",
            "block": "digital-registries", "schema": names(json!({})),
        } }),
        json!({ "kind": "Registry", "metadata": meta("civil", "old-births"), "spec": {
            "stackRef": stack, "code": "old-births", "owner": "civil", "classification": "personal",
            "block": "digital-registries", "schema": names(json!({})),
        } }),
        json!({ "kind": "Registry", "metadata": meta("civil", "deaths"), "spec": {
            "stackRef": stack, "code": "deaths", "owner": "civil", "classification": "personal",
            "external": { "host": "deaths.gov.example", "port": 443, "tls": true },
        } }),
        json!({ "kind": "Member", "metadata": meta("app", "ministry"), "spec": {
            "stackRef": stack, "class": "GOV", "code": "1",
            "subsystems": [{ "code": "app", "pods": { "app": "form" } }],
        } }),
        json!({ "kind": "ExchangeAgreement", "metadata": meta("civil", "births-to-app"), "spec": {
            "stackRef": stack,
            "provider": { "member": "civil", "subsystem": "register", "service": "births" },
            "consumers": [{ "subsystem": "GOV/1/app" }],
            "purpose": { "en": "to fill in the form" },
            "legalBasis": { "kind": "Law", "citation": "sample act, article 1" },
        } }),
        json!({ "kind": "PublicService", "metadata": meta("app", "birth"), "spec": {
            "stackRef": stack, "title": { "en": "Birth" }, "channels": ["Web"],
            "client": { "member": "ministry", "subsystem": "app" },
            "uses": { "services": [{ "service": "GOV/2/register/births", "purpose": "to fill in the form" }] },
        } }),
    ]
}

pub fn edited(kind: &str, name: &str, change: impl FnOnce(&mut Value)) -> Vec<Value> {
    let mut objects = world();
    let object = objects.iter_mut().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    change(object.unwrap_or_else(|| panic!("no {kind} {name}")));
    objects
}

fn all<K: serde::de::DeserializeOwned>(objects: &[Value], kind: &str) -> Vec<K> {
    let of_kind = objects.iter().filter(|object| object["kind"] == kind);
    of_kind
        .map(|object| {
            let mut object = object.clone();
            object["apiVersion"] = json!("plinth.dev/v1alpha1");
            serde_json::from_value(object).expect("parses")
        })
        .collect()
}

fn catalogue() -> Catalogue {
    let product = |provides: Value| -> ProductSpec {
        serde_json::from_value(json!({
            "block": "x-any", "title": "Any", "description": "A test.", "licence": "Apache-2.0",
            "maturity": "stable", "asOf": "2026-11-23",
            "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": {} }],
            "provides": provides,
        }))
        .expect("parses")
    };
    let exchange = json!([{ "capability": "exchange", "outputs": [
        { "name": "enforces", "value": "access rights, method and path" },
    ] }]);
    Catalogue::default().with_products([
        ("gate".to_owned(), product(exchange)),
        ("engine".to_owned(), product(json!([{ "capability": "registries" }]))),
    ])
}

/// Records of `births` may have had names of any length.
fn applied() -> Applied {
    let shape =
        Shape { schema: serde_json::from_value(names(json!({}))).expect("an object"), indexes: Vec::new() };
    [(("digital-registries".to_owned(), "births".to_owned()), Record::of(&shape))].into()
}

pub fn names(what: Value) -> Value {
    json!({ "type": "object", "properties": { "name": what } })
}

/// Keys that the steps of the world's members end with.
fn key(class: &str, code: &str, subsystem: &str) -> String {
    let member = MemberId { instance: "UA".into(), class: class.into(), code: code.into() };
    SubsystemId { member, subsystem: subsystem.into() }.key()
}

pub fn civil() -> String {
    key("GOV", "2", "register")
}

pub fn ministry() -> String {
    key("GOV", "1", "app")
}

/// One moment of the world.
pub struct Moment {
    pub stack: Stack,
    pub plan: Plan,
    pub cluster: Cluster,
    pub seen: BTreeMap<Subject, Seen>,
    pub now: i64,
}

impl Moment {
    /// Everything runs.
    pub fn of(objects: &[Value]) -> Self {
        Self::with(objects, |plan| plan)
    }

    pub fn with(objects: &[Value], change: impl FnOnce(Builder) -> Builder) -> Self {
        let mut stack: Stack = all(objects, "Stack").remove(0);
        stack.metadata.generation = Some(1);
        let labels = |namespace: &str| {
            let label = (namespace != "stranger").then(|| ("dpi".to_owned(), "yes".to_owned()));
            (namespace.to_owned(), label.into_iter().collect())
        };
        let declared = Declared {
            namespaces: Some(["gov", "civil", "app", "stranger"].map(labels).into()),
            members: all::<Member>(objects, "Member"),
            agreements: all::<ExchangeAgreement>(objects, "ExchangeAgreement"),
            registries: all::<Registry>(objects, "Registry"),
            services: all::<PublicService>(objects, "PublicService"),
            documents: Some(BTreeMap::new()),
            secrets: Some(BTreeMap::new()),
            applied: applied(),
            now: NOW,
            ..Declared::default()
        };
        let compiled = compile(&stack, &catalogue(), &declared);
        let closed = |namespace: &str, block: &str, labels: Value| {
            let spec = json!({ "podSelector": labels, "policyTypes": ["Ingress", "Egress"] });
            let kind = ("networking.k8s.io/v1", "NetworkPolicy");
            object(kind.0, kind.1, Some(namespace), "closed", block, FOUNDATION, spec, "1")
        };
        let policy = |block: &str| vec![closed(&format!("demo-{block}"), block, json!({}))];
        let exchange = block("information-mediator")
            .unit("policy", false, &[], policy("information-mediator"))
            .deployment("proxy", "1", &[])
            .onboarding(&format!("member-{}", civil()), "1", &["proxy"], None)
            .onboarding(&format!("member-{}", ministry()), "1", &["proxy"], None);
        let registries = block("digital-registries")
            .unit("policy", false, &[], policy("digital-registries"))
            .deployment("engine-births", "1", &[])
            .deployment("engine-old-births", "1", &[]);
        // What the service gets in its own namespace.
        let subject = Subject { kind: "PublicService", namespace: "app".into(), name: "birth".into() };
        let part = block("at-birth").deployment("form", "1", &[]).with(|part| part.tenant = Some(subject));
        let mut plan = plan(vec![change(exchange), registries, part]);
        plan.exchange = compiled;
        let cluster = Cluster::running(&plan);
        Self { stack, plan, cluster, seen: BTreeMap::new(), now: NOW }
    }

    pub fn told_through(&self, gate: Gate) -> BTreeMap<Subject, Status> {
        let decisions = decide(&self.plan, &self.cluster.observed, &gate);
        let ground =
            Ground::Planned { plan: &self.plan, decisions: &decisions, observed: &self.cluster.observed };
        report(ground, &self.seen, &time(self.now))
    }

    pub fn told(&self) -> BTreeMap<Subject, Status> {
        self.told_through(Gate::OPEN)
    }

    /// The same, after it was said and read again.
    pub fn after(mut self, told: BTreeMap<Subject, Status>) -> Self {
        let seen = |status| Seen { generation: 1, status };
        self.seen = told.into_iter().map(|(subject, status)| (subject, seen(status))).collect();
        self.now += 60;
        self
    }
}
