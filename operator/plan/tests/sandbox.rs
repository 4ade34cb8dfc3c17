//! What a Sandbox becomes, what it may ask for, and how its Stack is bounded and put to sleep.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plinth_api::v1alpha1::sandbox::{Budget, FromStack, Hibernation, Owner};
use plinth_api::v1alpha1::sandbox_policy::Prices;
use plinth_api::v1alpha1::stack::{Profile, Quota};
use plinth_api::v1alpha1::window::Window;
use plinth_api::{Sandbox, SandboxPolicy, SandboxPolicySpec, SandboxSpec, Stack, names};
use plinth_plan::amount::{Needs, bytes, cpu};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::closure;
use plinth_plan::model::{Desired, Plan};
use plinth_plan::sandbox::policy::Terms;
use plinth_plan::sandbox::prospect::{Prospect, prospect};
use plinth_plan::sandbox::template::{all, copied, declared, exported};
use plinth_plan::{Inputs, plan};
use serde_json::{Value, json};

fn catalogue() -> Catalogue {
    Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn sandbox(change: impl FnOnce(&mut SandboxSpec)) -> Sandbox {
    let mut spec = SandboxSpec {
        template: Some("cash-transfer".to_owned()),
        owner: Owner {
            donor: None,
            team: "families".to_owned(),
            contact: "families@example".to_owned(),
            groups: vec!["oidc:families".to_owned()],
        },
        ttl: "14d".to_owned(),
        ..SandboxSpec::default()
    };
    change(&mut spec);
    let mut sandbox = Sandbox::new("demo", spec);
    sandbox.metadata.namespace = Some("donors".to_owned());
    sandbox
}

fn policy(change: impl FnOnce(&mut SandboxPolicySpec)) -> SandboxPolicy {
    let mut spec = SandboxPolicySpec::default();
    change(&mut spec);
    SandboxPolicy::new("everybody", spec)
}

fn prices() -> Prices {
    Prices {
        currency: "EUR".to_owned(),
        cpu_hour: "0.04".to_owned(),
        memory_hour: "0.005".to_owned(),
        storage_month: "0.10".to_owned(),
    }
}

fn seen(
    sandbox: &Sandbox,
    policies: &[SandboxPolicy],
    source: Option<&Stack>,
) -> Result<Prospect, Vec<String>> {
    let terms = Terms::of(policies, "donors");
    let born: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
    let seen = prospect(sandbox, source.map(|stack| &stack.spec), &terms, &catalogue(), 0, born);
    seen.map_err(|findings| findings.iter().map(ToString::to_string).collect())
}

fn of_kind<'a>(plan: &'a Plan, kind: &str) -> Vec<&'a Desired> {
    plan.objects().filter(|object| object.key.kind == kind).collect()
}

#[test]
fn every_template_becomes_a_whole_stack_within_the_default_quota() {
    let names: Vec<&str> = all().iter().map(|template| template.name.as_str()).collect();
    let wanted =
        ["cash-transfer", "civil-registration", "data-exchange", "digital-id", "everything", "payments-hub"];
    assert_eq!(names, wanted);
    for template in all() {
        let sandbox = sandbox(|spec| spec.template = Some(template.name.clone()));
        let seen = seen(&sandbox, &[], None).unwrap_or_else(|why| panic!("{}: {why:#?}", template.name));
        assert!(seen.plan.blocks.iter().all(|block| block.blocked.is_empty()), "{}", template.name);
        let inputs = Inputs { catalogue: catalogue(), declared: declared(&sandbox), ..Inputs::default() };
        let lacking: Vec<String> =
            closure::check(&seen.plan, &seen.stack, &inputs).iter().map(ToString::to_string).collect();
        assert!(lacking.is_empty(), "{}: {}", template.name, lacking.join("\n"));
    }
}

#[test]
fn a_sandbox_is_a_stack_of_its_own_that_goes_with_its_data() {
    let seen = seen(&sandbox(|_| {}), &[], None).unwrap();
    let (stack, home) = (&seen.stack, plinth_plan::sandbox::place(&sandbox(|_| {})));
    assert_eq!(stack.metadata.namespace.as_ref(), Some(&home.namespace));
    assert_eq!(stack.spec.namespace_prefix.as_ref(), Some(&home.namespace));
    assert_eq!(stack.spec.deletion.confirm.as_deref(), Some("demo"));
    assert_eq!(stack.spec.profile, Profile::Sandbox);
    assert_eq!(stack.spec.site.domain, format!("{}.plinth.localhost", home.namespace));
    assert!(home.namespace.len() <= 30 && home.namespace.starts_with("demo-"));
    // One of the same name elsewhere is another one.
    let mut other = sandbox(|_| {});
    other.metadata.namespace = Some("others".to_owned());
    assert_ne!(plinth_plan::sandbox::place(&other).namespace, home.namespace);
    // Nothing is outside its namespaces, and no object is the cluster's but these.
    for object in seen.plan.objects() {
        let namespace = object.key.namespace.as_ref().unwrap_or(&object.key.name);
        assert!(namespace.starts_with(&home.namespace), "{}", object.key);
        assert!(object.key.namespace.is_some() || object.key.kind == "Namespace", "{}", object.key);
    }
}

#[test]
fn namespaces_together_may_take_no_more_than_the_sandbox_and_each_what_it_needs() {
    let quota =
        Quota { cpu: "8".to_owned(), memory: "24Gi".to_owned(), storage: "100Gi".to_owned(), objects: 400 };
    let seen = seen(&sandbox(|spec| spec.quota = Some(quota)), &[], None).unwrap();
    let quotas = of_kind(&seen.plan, "ResourceQuota");
    assert_eq!(quotas.len(), seen.plan.blocks.len());
    let ranges = of_kind(&seen.plan, "LimitRange");
    assert_eq!(ranges.len(), quotas.len());
    // No container takes more than its namespace may ask for, whatever it says of itself.
    for (quota, range) in quotas.iter().zip(&ranges) {
        assert_eq!(quota.key.namespace, range.key.namespace);
        let (hard, limit) = (&quota.body["spec"]["hard"], &range.body["spec"]["limits"][0]["default"]);
        assert_eq!((&limit["cpu"], &limit["memory"]), (&hard["requests.cpu"], &hard["requests.memory"]));
    }
    let text = |quota: &Desired, field: &str| quota.body["spec"]["hard"][field].as_str().unwrap().to_owned();
    let all = |field: &str, size: fn(&str) -> u64| quotas.iter().map(|q| size(&text(q, field))).sum::<u64>();
    let (cpus, memory, storage) =
        (all("requests.cpu", cpu), all("requests.memory", bytes), all("requests.storage", bytes));
    assert!(cpus <= 8_000 && cpus > 7_900, "{cpus}");
    assert!(memory <= bytes("24Gi") && memory > bytes("23Gi"), "{memory}");
    assert!(storage <= bytes("100Gi") && storage > bytes("99Gi"), "{storage}");
    for block in &seen.plan.blocks {
        let own = block.units.iter().flat_map(|unit| &unit.objects);
        let needs = Needs::of(own.clone().map(|object| &object.body)).peak();
        let quota = own.clone().find(|object| object.key.kind == "ResourceQuota").unwrap();
        assert!(cpu(&text(quota, "requests.cpu")) >= needs.cpu, "{}", block.name);
        assert!(bytes(&text(quota, "requests.memory")) >= needs.memory, "{}", block.name);
    }
}

#[test]
fn only_its_owners_groups_look_into_its_namespaces() {
    let seen = seen(&sandbox(|_| {}), &[], None).unwrap();
    let bindings = of_kind(&seen.plan, "RoleBinding");
    assert_eq!(bindings.len(), seen.plan.blocks.len());
    for binding in bindings {
        assert_eq!(binding.body["roleRef"]["name"], names::VIEWER_ROLE);
        let subjects =
            json!([{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:families" }]);
        assert_eq!(binding.body["subjects"], subjects);
    }
}

#[test]
fn asleep_nothing_runs_and_nothing_else_is_different() {
    let mut stack = seen(&sandbox(|_| {}), &[], None).unwrap().stack;
    let inputs = Inputs { catalogue: catalogue(), ..Inputs::default() };
    let awake = plan(&stack, &inputs).unwrap();
    stack.spec.asleep = true;
    let asleep = plan(&stack, &inputs).unwrap();
    let bodies = |plan: &Plan| -> BTreeMap<_, Value> {
        plan.objects()
            .map(|object| {
                let mut body = object.body.clone();
                body["metadata"]["annotations"][names::ANNOTATION_HASH] = Value::Null;
                (object.key.clone(), body)
            })
            .collect()
    };
    let (before, after) = (bodies(&awake), bodies(&asleep));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (key, mut body) in before {
        match key.kind.as_str() {
            "Deployment" | "StatefulSet" => body["spec"]["replicas"] = json!(0),
            "Job" | "CronJob" => body["spec"]["suspend"] = json!(true),
            _ => {}
        }
        assert_eq!(body, after[&key], "{key}");
    }
    assert!(asleep.blocks.iter().any(|block| !block.asleep.is_empty()));
    assert!(awake.blocks.iter().all(|block| block.asleep.is_empty()));
}

#[test]
fn what_may_not_be_asked_for_is_refused_with_the_field_and_what_is_allowed() {
    let night = |from: &str, to: &str| {
        let window = Window { days: Vec::new(), from: from.to_owned(), to: to.to_owned() };
        Some(Hibernation { time_zone: "Europe/Kyiv".to_owned(), asleep: vec![window] })
    };
    let euros = |monthly: &str| Some(Budget { monthly: monthly.to_owned(), currency: "EUR".to_owned() });
    let priced = || vec![policy(|p| p.prices = Some(prices()))];
    type Case<'a> = (&'a str, Vec<SandboxPolicy>, Sandbox, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            "a quota that is too small for the template",
            Vec::new(),
            sandbox(|s| s.quota = Some(Quota { cpu: "1".to_owned(), ..Quota::default() })),
            "spec.quota.cpu: `1` is too small: the blocks need ",
        ),
        (
            "too many objects",
            Vec::new(),
            sandbox(|s| s.quota = Some(Quota { objects: 10, ..Quota::default() })),
            "spec.quota.objects: `10` is too small: the blocks need ",
        ),
        (
            "a budget of zero",
            priced(),
            sandbox(|s| s.budget = euros("0")),
            "spec.budget.monthly: is 0.00 EUR; what it stores alone costs ",
        ),
        (
            "a budget without prices",
            Vec::new(),
            sandbox(|s| s.budget = euros("100")),
            "spec.budget: cannot be kept",
        ),
        (
            "a budget in another currency",
            vec![policy(|p| p.prices = Some(Prices { currency: "XTS".to_owned(), ..prices() }))],
            sandbox(|s| s.budget = euros("100")),
            "spec.budget.monthly: is in EUR, and the prices of its SandboxPolicy are in XTS",
        ),
        (
            "a schedule that never wakes",
            Vec::new(),
            sandbox(|s| s.hibernation = night("07:00", "07:00")),
            "spec.hibernation.asleep: covers every minute of the week",
        ),
        (
            "an owner that is everybody",
            Vec::new(),
            sandbox(|s| s.owner.groups = vec!["system:authenticated".to_owned()]),
            "spec.owner.groups: `system:authenticated` is everybody",
        ),
        (
            "an owner without a group",
            Vec::new(),
            sandbox(|s| s.owner.groups.clear()),
            "spec.owner.groups: names no group",
        ),
        (
            "a time above the default",
            Vec::new(),
            sandbox(|s| s.ttl = "31d".to_owned()),
            "spec.ttl: `31d` is longer than the default of SandboxPolicies (there is none for this namespace) allows: 30 days",
        ),
        (
            "a time above the policy's",
            vec![policy(|p| p.max_ttl = "7d".to_owned())],
            sandbox(|_| {}),
            "spec.ttl: `14d` is longer than everybody allows: 7 days",
        ),
        (
            "a quota above the policy's",
            vec![policy(|p| p.quota.memory = "8Gi".to_owned())],
            sandbox(|s| s.quota = Some(Quota::default())),
            "spec.quota.memory: `32Gi` is more than everybody allows: 8Gi",
        ),
        (
            "a template that is not allowed",
            vec![policy(|p| p.templates = vec!["digital-id".to_owned()])],
            sandbox(|_| {}),
            "spec.template: `cash-transfer` is not among those that everybody allows: digital-id",
        ),
        (
            "a template that is none",
            Vec::new(),
            sandbox(|s| s.template = Some("space-travel".to_owned())),
            "spec.template: `space-travel` is no template; there are cash-transfer",
        ),
        (
            "no budget where one is asked for",
            vec![policy(|p| p.require_budget = true)],
            sandbox(|_| {}),
            "spec.budget: is missing; everybody asks for one",
        ),
        (
            "a namespace that is full",
            vec![policy(|p| p.max_count = 0)],
            sandbox(|_| {}),
            "metadata.namespace: has 0 Sandboxes, as many as everybody allows",
        ),
        (
            "a Stack that is not there",
            Vec::new(),
            sandbox(|s| {
                s.template = None;
                s.from_stack = Some(FromStack { name: "country".to_owned() });
            }),
            "spec.fromStack.name: there is no Stack `country` beside this Sandbox",
        ),
    ];
    for (name, policies, sandbox, wanted) in cases {
        let findings =
            seen(&sandbox, &policies, None).err().unwrap_or_else(|| panic!("{name}: was let through"));
        assert!(findings.iter().any(|finding| finding.starts_with(wanted)), "{name}: {findings:#?}");
    }
}

#[test]
fn the_policy_of_another_namespace_says_nothing_and_of_several_each_has_to_allow_it() {
    let theirs = policy(|p| {
        p.namespaces = vec!["others".to_owned()];
        p.max_ttl = "1d".to_owned();
    });
    assert!(seen(&sandbox(|_| {}), &[theirs], None).is_ok());
    let mut second = policy(|p| p.max_ttl = "1d".to_owned());
    second.metadata.name = Some("strict".to_owned());
    let findings = seen(&sandbox(|_| {}), &[policy(|_| {}), second], None).unwrap_err();
    assert_eq!(findings, ["spec.ttl: `14d` is longer than strict allows: 24 hours"]);
}

#[test]
fn a_forecast_is_made_of_what_is_asked_for_and_the_schedule() {
    let policies = [policy(|p| p.prices = Some(prices()))];
    let always = seen(&sandbox(|_| {}), &policies, None).unwrap();
    let window = Window { days: Vec::new(), from: "19:00".to_owned(), to: "07:00".to_owned() };
    let nights = sandbox(|s| {
        s.hibernation = Some(Hibernation { time_zone: "UTC".to_owned(), asleep: vec![window] });
    });
    let nights = seen(&nights, &policies, None).unwrap();
    assert!(nights.per_month < always.per_month && nights.per_month.is_some());
    assert_eq!(always.expires.to_string(), "2026-12-14T12:00:00Z");
}

#[test]
fn a_copy_reaches_nothing_that_serves_people_and_says_what_it_left() {
    let source: Stack = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "country", "namespace": "donors" },
        "spec": {
            "country": { "code": "EE" },
            "profile": "national",
            "namespacePrefix": "national",
            "blocks": [
                { "name": "identity", "product": "keycloak" },
                { "name": "payments", "external": { "provides": [{ "capability": "payment-hub", "host": "switch.example", "port": 443 }] } },
            ],
            "backing": [{ "capability": "postgresql", "provider": "External",
                "external": { "capability": "postgresql", "host": "db.example", "port": 5432, "credentialsSecret": "db" } }],
            "backup": { "schedule": "0 2 * * *", "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
                "target": { "endpoint": "https://s3.example", "bucket": "b", "credentialsSecret": "account" } },
            "site": { "domain": "country.example", "pullSecrets": ["registry"] },
            "changePolicy": { "approval": "Required" },
            "deletion": { "policy": "Retain" },
        },
    }))
    .unwrap();
    let wanted = sandbox(|spec| {
        spec.template = None;
        spec.from_stack = Some(FromStack { name: "country".to_owned() });
    });
    let seen = seen(&wanted, &[], Some(&source)).unwrap();
    let spec = serde_json::to_string(&seen.stack.spec).unwrap();
    for word in ["switch.example", "db.example", "s3.example", "\"registry\"", "national", "\"Required\""] {
        assert!(!spec.contains(word), "{word}: {spec}");
    }
    assert!(seen.stack.spec.site.domain.ends_with(".country.example"));
    let (_, left) = copied(&source.spec);
    assert_eq!(left.len(), 4, "{left:?}");
    // Made of itself again, as the operator does at each look, it stays what it is.
    let again = self::seen(&wanted, &[], Some(&seen.stack)).unwrap();
    assert_eq!(again.stack.spec, seen.stack.spec);
}

#[test]
fn what_a_team_takes_home_has_nothing_of_the_sandbox_in_it() {
    let seen = seen(&sandbox(|_| {}), &[], None).unwrap();
    let (home, change) = exported(&seen.stack, "country", "dpi");
    let text = serde_json::to_string(&home).unwrap();
    for word in ["oidc:families", "demo-", "sandbox", "bounds", "\"confirm\"", "plinth.localhost.plinth"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    assert_eq!(home.spec.profile, Profile::Standard);
    assert!(change.iter().any(|line| line.starts_with("data: no row, key or secret")));
}
