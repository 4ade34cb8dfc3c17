//! Steps of onboarding become Jobs of their block, like any component's, and nothing of them holds a secret.

mod common;

use common::*;
use plinth_api::condition::{self, Reason, State};
use plinth_api::names;
use plinth_api::{ProductSpec, Stack};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::*;
use plinth_plan::onboarding::Document;
use plinth_plan::status::{ApprovalState, Outcome, Report, report};
use plinth_plan::{Inputs, closure};
use serde_json::{Value, json};

fn product(onboarding: Value) -> ProductSpec {
    serde_json::from_value(json!({
        "block": "x-bank",
        "title": "Bank",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-23",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/bank:1" } }],
        "parameters": [
            { "name": "hubName", "type": "string", "description": "Hub.", "default": "Hub" },
            { "name": "hub", "type": "boolean", "description": "Has one.", "default": true },
        ],
        "secrets": [{ "name": "admin", "keys": [{ "name": "password", "generate": { "length": 32 } }] }],
        "components": [{
            "name": "bank",
            "description": "Serves.",
            "image": "app",
            "env": [{ "name": "BANK_KEY", "ref": "secrets.admin.password" }],
            "ports": [{ "name": "http", "port": 8080, "servicePort": 80 }],
            "probes": { "readiness": { "path": "/", "port": "http" } },
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
        }],
        "onboarding": onboarding,
    }))
    .expect("the test's Product is well-formed")
}

fn accounts() -> Value {
    json!({
        "name": "accounts",
        "description": "Accounts of the hub.",
        "when": "params.hub",
        "forEach": { "list": "stack.country.currencies", "key": "item.lowerAscii()" },
        "connects": ["bank:http"],
        "variables": [
            { "name": "BANK_URL", "cel": "'http://' + components.bank.host" },
            { "name": "KEY", "ref": "secrets.admin.password" },
            { "name": "CURRENCY", "ref": "item" },
            { "name": "HUB", "ref": "params.hubName" },
        ],
        "calls": [{
            "name": "account",
            "check": { "url": "{{ env.BANK_URL }}/{{ env.HUB }}" },
            "act": {
                "method": "POST",
                "url": "{{ env.BANK_URL }}/accounts",
                "headers": { "authorization": "Bearer {{ env.KEY }}" },
                "body": { "currency": "{{ env.CURRENCY }}", "password": "{{ env.KEY }}" },
            },
        }],
        "startupBudgetSeconds": 120,
    })
}

fn land(images: Value) -> Stack {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "land", "namespace": "gov" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS", "XXX"] },
            "profile": "sandbox",
            "images": images,
            "blocks": [{ "name": "x-bank", "product": "bank" }],
        },
    }))
    .expect("the test's Stack is well-formed")
}

fn inputs(onboarding: Value) -> Inputs {
    let catalogue = Catalogue::default().with_products([("bank".to_owned(), product(onboarding))]);
    Inputs { catalogue, ..Inputs::default() }
}

fn planned(onboarding: Value, images: Value) -> Plan {
    plinth_plan::plan(&land(images), &inputs(onboarding)).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn unit<'a>(plan: &'a Plan, name: &str) -> &'a Unit {
    plan.units().find(|unit| unit.id.name == name).unwrap_or_else(|| panic!("no unit {name}"))
}

fn of_kind<'a>(unit: &'a Unit, kind: &str) -> &'a Value {
    &unit.objects.iter().find(|o| o.key.kind == kind).unwrap_or_else(|| panic!("no {kind}")).body
}

#[test]
fn a_step_becomes_a_job_of_its_own_with_the_one_path_that_it_needs() {
    let plan = planned(json!([accounts()]), json!({}));
    let step = unit(&plan, "onboard-accounts-xts");
    assert_eq!(step.step, Some(Step::default()));
    let kinds: Vec<&str> = step.objects.iter().map(|o| o.key.kind.as_str()).collect();
    assert_eq!(kinds, ["NetworkPolicy", "ServiceAccount", "Job"]);
    let after: Vec<&str> = step.after.iter().map(|id| id.name.as_str()).collect();
    for before in ["bank", "config/bank-onboard-accounts-xts", "secret/bank-admin"] {
        assert!(after.contains(&before), "{after:?}");
    }
    assert_eq!(unit(&plan, "onboard-accounts-xxx").objects.len(), 3, "one for each currency");

    let policy = &of_kind(step, "NetworkPolicy")["spec"];
    assert!(policy["ingress"].is_null(), "nobody calls it");
    assert_eq!(policy["egress"].as_array().map(Vec::len), Some(1));
    assert_eq!(policy["egress"][0]["ports"], json!([{ "port": 8080, "protocol": "TCP" }]));
    let back = of_kind(unit(&plan, "bank"), "NetworkPolicy")["spec"]["ingress"].to_string();
    assert!(back.contains("onboard-accounts-xts") && back.contains("onboard-accounts-xxx"), "{back}");

    let pod = &of_kind(step, "Job")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], names::IMAGE);
    assert_eq!(container["command"], json!(["plinth"]));
    assert_eq!(container["args"], json!(["onboard", "/etc/plinth/onboarding.json"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert!(container["resources"]["limits"]["memory"].is_string());
}

#[test]
fn the_file_says_what_to_do_and_no_object_of_the_step_holds_a_secret() {
    let plan = planned(json!([accounts()]), json!({}));
    let config = of_kind(unit(&plan, "config/bank-onboard-accounts-xts"), "ConfigMap");
    let text = config["data"]["onboarding.json"].as_str().expect("the file is there");
    let document: Document = serde_json::from_str(text).expect("the Job can read it");
    assert_eq!((document.name.as_str(), document.budget_seconds), ("accounts", 120));
    assert_eq!(document.secrets.iter().collect::<Vec<_>>(), ["KEY"]);
    assert_eq!(document.variables.len(), 4);
    // Templates are for the Job, not for the plan.
    assert!(text.contains("Bearer {{ env.KEY }}"), "{text}");
    let env = &of_kind(unit(&plan, "onboard-accounts-xts"), "Job")["spec"]["template"]["spec"]["containers"]
        [0]["env"];
    assert_eq!(
        env,
        &json!([
            { "name": "BANK_URL", "value": "http://bank.land-x-bank.svc.cluster.local" },
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "bank-admin", "key": "password" } } },
            { "name": "CURRENCY", "value": "XTS" },
            { "name": "HUB", "value": "Hub" },
        ])
    );
    for object in plan.objects() {
        assert!(!plinth_plan::token::has_secret(&object.body.to_string()), "{}", object.key);
    }
}

#[test]
fn the_plan_with_a_step_is_closed() {
    let (stack, inputs) = (land(json!({})), inputs(json!([accounts()])));
    let plan = plinth_plan::plan(&stack, &inputs).expect("a plan");
    let findings = closure::check(&plan, &stack, &inputs);
    assert!(findings.is_empty(), "{findings:#?}");
    // A path that is not declared is found as it is for a component.
    let mut lonely = accounts();
    lonely["connects"] = json!([]);
    let inputs = self::inputs(json!([lonely]));
    let plan = plinth_plan::plan(&stack, &inputs).expect("a plan");
    let findings = closure::check(&plan, &stack, &inputs);
    assert!(findings.iter().any(|f| f.message.contains("no NetworkPolicy lets")), "{findings:#?}");
}

#[test]
fn plinths_own_image_follows_the_rules_of_the_stack() {
    let rules = json!({ "rewrites": [{ "from": "ghcr.io/", "to": "mirror.land/" }] });
    let plan = planned(json!([accounts()]), rules);
    let job = of_kind(unit(&plan, "onboard-accounts-xts"), "Job");
    let image = job["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    assert!(image.starts_with("mirror.land/plinth-dev/plinth:"), "{image}");
}

#[test]
fn a_step_that_is_switched_off_leaves_nothing() {
    let mut off = accounts();
    off["when"] = json!("!params.hub");
    let plan = planned(json!([off]), json!({}));
    assert!(plan.units().all(|unit| unit.step.is_none() && !unit.id.name.contains("onboard")));
}

#[test]
fn what_is_wrong_with_a_call_is_found_before_anything_runs() {
    let mut wrong = accounts();
    wrong["calls"][0]["act"]["url"] = json!("{{ env.BANK }}/accounts");
    let found = plinth_plan::plan(&land(json!({})), &inputs(json!([wrong]))).expect_err("it is refused");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        found.iter().all(|f| f.contains("onboard-accounts") && f.contains("call `account`: act.url line 1")),
        "{found:?}"
    );
}

#[test]
fn a_step_for_a_person_to_approve_is_shown_and_runs_when_it_is_approved() {
    let mut held = accounts();
    held["requiresApproval"] = json!("Opens accounts for real money.");
    held.as_object_mut().expect("an object").remove("forEach");
    held["variables"][2] = json!({ "name": "CURRENCY", "value": "XTS" });
    let plan = planned(json!([held.clone()]), json!({}));
    let step = unit(&plan, "onboard-accounts");
    let job = &step.job().expect("what would run").key;
    let mut cluster = Cluster::running(&plan);
    assert!(!cluster.observed.live.contains_key(job), "it ran without a yes");
    cluster.settle();
    let told = told(&plan, &cluster);
    let bank = &told.blocks["x-bank"];
    assert_eq!(bank.state, State::Blocked);
    let component = bank.components.iter().find(|c| c.name == "onboard-accounts").expect("it is shown");
    assert!(
        component.message.as_ref().is_some_and(|m| m.contains("Opens accounts for real money.")),
        "{component:?}"
    );
    assert_eq!(says(&told, condition::ONBOARDED).0, "False AwaitingApproval");
    assert_eq!(says(&told, condition::STALLED).0, "True AwaitingApproval");
    assert!(
        component.message.as_ref().is_some_and(|m| m.contains(&format!("--step x-bank/{}", job.name))),
        "{component:?}"
    );

    // A yes to something else is no yes to this; what has run asks nobody again.
    cluster.observed.approved_steps = ["x-bank/onboard-accounts-00000000".to_owned()].into();
    cluster.converge(&plan);
    assert!(!cluster.observed.live.contains_key(job));
    cluster.observed.approved_steps = step.step_id().into_iter().collect();
    cluster.converge(&plan);
    cluster.settle();
    cluster.observed.approved_steps.clear();
    assert_eq!(says(&self::told(&plan, &cluster), condition::ONBOARDED).0, "True AllReady");

    // Another text is another plan.
    held["requiresApproval"] = json!("Opens accounts.");
    assert_ne!(planned(json!([held]), json!({})).hash, plan.hash);
}

#[test]
fn a_person_reads_what_the_element_is_and_is_not_asked_about_the_others() {
    let mut held = accounts();
    held["requiresApproval"] = json!("${item == 'XTS' ? 'Opens an account in ' + item + '.' : ''}");
    let plan = planned(json!([held.clone()]), json!({}));
    let words = |name: &str| unit(&plan, name).step.clone().expect("a step").held;
    assert_eq!(words("onboard-accounts-xts").as_deref(), Some("Opens an account in XTS."));
    assert_eq!(words("onboard-accounts-xxx"), None);

    for (text, wanted) in [("${item.none}", "item.none"), ("${secrets.admin.password}", "a secret value")] {
        held["requiresApproval"] = json!(text);
        let found = plinth_plan::plan(&land(json!({})), &inputs(json!([held.clone()]))).expect_err(text);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.iter().all(|f| f.contains("requiresApproval") && f.contains(wanted)), "{found:?}");
    }
}

fn told(plan: &Plan, cluster: &Cluster) -> Report {
    let decisions = decide(plan, &cluster.observed, &Gate::OPEN);
    let approved = ApprovalState::NotRequired;
    let outcome = Outcome::Planned { plan, decisions: &decisions, observed: &cluster.observed, approved };
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        k8s_openapi::jiff::Timestamp::from_second(100).expect("in range"),
    );
    report(&land(json!({})), outcome, &Default::default(), now)
}

/// Status and reason of a Stack's condition, and its message.
fn says(report: &Report, kind: &str) -> (String, String) {
    let c = report.stack.conditions.iter().find(|c| c.type_ == kind).unwrap_or_else(|| panic!("no {kind}"));
    (format!("{} {}", c.status, c.reason), c.message.clone())
}

fn shop() -> Plan {
    plan(vec![
        block("payments").deployment("hub", "1", &[]).onboarding("onboard-hub", "1", &["hub"], None),
        block("identity").deployment("api", "1", &[]),
    ])
}

#[test]
fn onboarded_says_whether_every_step_is_done() {
    let plan = shop();
    let mut cluster = Cluster::running(&plan);
    let good = told(&plan, &cluster);
    assert_eq!(says(&good, condition::ONBOARDED), ("True AllReady".to_owned(), "1 step done".to_owned()));
    let has = |report: &Report, block: &str| {
        report.blocks[block].conditions.iter().any(|c| c.type_ == condition::ONBOARDED)
    };
    assert!(has(&good, "payments") && !has(&good, "identity"), "a product without steps says nothing");

    cluster.edit(&find(&plan, "Job", "onboard-hub-1").key, |body| {
        body["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    });
    let bad = told(&plan, &cluster);
    let (short, message) = says(&bad, condition::ONBOARDED);
    assert_eq!(short, "False Unhealthy");
    assert!(message.contains("Job/demo-payments/onboard-hub-1: failed: BackoffLimitExceeded"), "{message}");
    assert_eq!(says(&bad, condition::READY).0, "False Unhealthy", "a block is ready when it is onboarded");
}

#[test]
fn simulated_nodes_onboard_nobody() {
    let plan = shop();
    let mut cluster = Cluster::running(&plan);
    cluster.observed.simulated = true;
    let told = told(&plan, &cluster);
    let wanted = "1 step not run: the nodes are simulated".to_owned();
    assert_eq!(says(&told, condition::ONBOARDED), ("Unknown Simulated".to_owned(), wanted));
    cluster.observed.unreachable = Some("timeout".into());
    assert_eq!(says(&self::told(&plan, &cluster), condition::ONBOARDED).0, "Unknown Unreachable");
}

#[test]
fn what_waits_for_a_held_step_says_so() {
    let plan =
        plan(vec![block("payments").onboarding("onboard-hub", "1", &[], Some("real money")).deployment(
            "portal",
            "1",
            &["onboard-hub"],
        )]);
    let mut cluster = Cluster::running(&plan);
    cluster.settle();
    let decisions = decide(&plan, &cluster.observed, &Gate::OPEN);
    let portal = decisions.units.iter().find(|u| u.id.name == "portal").expect("it is decided about");
    assert_eq!((portal.state, portal.reason), (State::Waiting, Reason::Waiting));
    assert!(portal.message.contains("waits for payments/onboard-hub"), "{}", portal.message);
    assert!(portal.message.contains("real money"), "{}", portal.message);
}
