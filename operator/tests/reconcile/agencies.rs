//! What agencies declare in their own namespaces, and what they are told: rights come and go with labels, with time and with
//! the Stack, and nobody's mistake stops another.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{Product, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

/// An exchange that has to be told of each member, by `steps` of its onboarding.
fn gate(steps: Value) -> Result<Product> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Product",
        "metadata": { "name": "gate" },
        "spec": {
            "block": "information-mediator",
            "title": "Gate",
            "description": "A test.",
            "licence": "Apache-2.0",
            "maturity": "stable",
            "asOf": "2026-11-23",
            "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": { "app": "registry.example/gate:1" } }],
            "provides": [{
                "capability": "exchange", "component": "gate", "port": "https",
                "outputs": [{ "name": "enforces", "value": "access rights" }],
            }],
            "configs": [{ "name": "rights", "files": [
                { "name": "rights.json", "template": "{{ exchange.rightsJson }}" },
            ] }],
            "components": [{
                "name": "gate",
                "description": "Decides.",
                "image": "app",
                "ports": [{ "name": "https", "port": 8443 }],
                "probes": { "readiness": { "port": "https" } },
                "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
                "mounts": [{ "path": "/etc/gate", "config": "rights" }],
            }],
            "onboarding": steps,
        },
    }))?)
}

fn stack(exchange: &str) -> Result<Stack> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "small", "namespace": "dpi" },
        "spec": {
            "country": { "code": "EE" },
            "profile": "sandbox",
            "tenants": { "from": "Selector", "selector": { "matchLabels": { "dpi": "yes" } } },
            "blocks": [{ "name": "information-mediator", "product": exchange }],
            "exchange": { "bindings": [
                { "namespace": "civil", "members": ["GOV/2"] },
                { "namespace": "app", "members": ["GOV/1"] },
            ] },
        },
    }))?)
}

/// Specs of a civil register in `civil` that an app in `app` asks.
fn declared() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let agreement = json!({
        "provider": { "member": "civil", "subsystem": "register", "service": "births" },
        "consumers": [{ "subsystem": "GOV/1/app" }],
        "purpose": { "en": "to fill in the form" },
        "legalBasis": { "kind": "Law", "citation": "sample act, article 1" },
        "rateLimit": { "requests": 10, "per": "Second" },
    });
    vec![
        (
            "Member",
            "civil",
            "civil",
            json!({ "class": "GOV", "code": "2", "subsystems": [{
            "code": "register",
            "services": [
                { "code": "births", "backend": { "service": "births", "port": 80, "pods": { "app": "births" } } },
                { "code": "deaths", "backend": { "host": "deaths.gov.example", "port": 443, "tls": true } },
            ],
        }] }),
        ),
        (
            "Member",
            "app",
            "ministry",
            json!({ "class": "GOV", "code": "1", "subsystems": [{
            "code": "app", "pods": { "app": "form" },
        }] }),
        ),
        ("ExchangeAgreement", "civil", "births-to-app", agreement),
        (
            "PublicService",
            "app",
            "birth",
            json!({
                "title": { "en": "Birth" }, "channels": ["Web"],
                "client": { "member": "ministry", "subsystem": "app" },
                "uses": { "services": [{ "service": "GOV/2/register/births", "purpose": "to fill in the form" }] },
            }),
        ),
    ]
}

fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(names::GROUP, names::VERSION, kind);
    let mut resource = ApiResource::from_gvk(&kind);
    if kind.kind == "Registry" {
        resource.plural = "registries".to_owned();
    }
    Api::namespaced_with(client.clone(), namespace, &resource)
}

async fn declare(client: &Client, kind: &str, namespace: &str, name: &str, mut spec: Value) -> Result<()> {
    if spec["stackRef"].is_null() {
        spec["stackRef"] = json!({ "name": "small", "namespace": "dpi" });
    }
    let object = json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION), "kind": kind,
        "metadata": { "namespace": namespace, "name": name }, "spec": spec,
    });
    api(client, kind, namespace).create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

async fn change(client: &Client, kind: &str, namespace: &str, name: &str, change: Value) -> Result<()> {
    api(client, kind, namespace).patch(name, &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}

async fn label(client: &Client, namespace: &str, admitted: Option<&str>) -> Result<()> {
    let labels = json!({ "metadata": { "labels": { "dpi": admitted } } });
    Api::<Namespace>::all(client.clone())
        .patch(namespace, &PatchParams::default(), &Patch::Merge(labels))
        .await?;
    Ok(())
}

/// Two agencies' namespaces, the Stack and what the agencies declare.
async fn country(client: &Client, stack: &Stack) -> Result<()> {
    Api::<Stack>::namespaced(client.clone(), "dpi").create(&PostParams::default(), stack).await?;
    for namespace in ["civil", "app"] {
        let body = json!({ "metadata": { "name": namespace, "labels": { "dpi": "yes" } } });
        Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &serde_json::from_value(body)?)
            .await?;
    }
    for (kind, namespace, name, spec) in declared() {
        declare(client, kind, namespace, name, spec).await?;
    }
    Ok(())
}

/// Status and reason of Ready, and its message.
fn ready_of(object: &DynamicObject) -> Option<(String, String)> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|c| c["type"] == "Ready")?;
    let text = |field: &str| ready[field].as_str().unwrap_or_default();
    Some((format!("{} {}", text("status"), text("reason")), text("message").to_owned()))
}

/// Waits until an object says so of its newest spec; its status, and what Ready says.
pub(crate) async fn says(client: &Client, kind: &str, name: &str, wanted: &str) -> Result<(Value, String)> {
    let (namespace, name) = name.split_once('/').context("namespace/name")?;
    let objects = api(client, kind, namespace);
    let mut last = Value::Null;
    let found = eventually("the object says so", async || {
        let object = objects.get(name).await?;
        last = object.data["status"].clone();
        let observed = last["observedGeneration"].as_i64() == object.metadata.generation;
        let said = ready_of(&object).filter(|(ready, _)| ready == wanted && observed);
        Ok(said.map(|(_, message)| (last.clone(), message)))
    })
    .await;
    found.with_context(|| format!("{kind} {namespace}/{name} is wanted to say {wanted}: {last}"))
}

/// What enforces what of an agreement.
fn layers_of(agreement: &Value) -> BTreeMap<&str, &str> {
    let layers = agreement["enforcement"].as_array().into_iter().flatten();
    layers.filter_map(|e| Some((e["layer"].as_str()?, e["enforces"].as_str()?))).collect()
}

/// Agreements that the exchange enforces, as its file says.
async fn enforced(client: &Client) -> Result<Vec<String>> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "small-information-mediator");
    let maps = maps.list(&ListParams::default()).await?.items.into_iter();
    let text = maps.filter_map(|map| map.data?.remove("rights.json")).next().unwrap_or_default();
    let rights: Value = serde_json::from_str(&text).unwrap_or_default();
    let rights = rights["rights"].as_array().cloned().unwrap_or_default();
    Ok(rights.iter().filter_map(|right| right["agreement"].as_str().map(str::to_owned)).collect())
}

/// Whether the service in `app` has the Secret by which it calls the exchange.
async fn has_binding(client: &Client) -> Result<bool> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "app");
    Ok(secrets.get_opt("birth-exchange").await?.is_some())
}

async fn enforces(client: &Client, wanted: &[&str]) -> Result<()> {
    let mut last = Vec::new();
    let found = eventually("the exchange is told", async || {
        last = enforced(client).await?;
        Ok((last == wanted).then_some(()))
    })
    .await;
    found.with_context(|| format!("{wanted:?} is wanted, {last:?} is there"))
}

const BIRTHS: &str = "civil/births-to-app";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_come_and_go_with_labels_and_time_and_everybody_is_told() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    country(&client, &stack("gateway-exchange")?).await?;
    let operator = Operator::start(&cluster, "me");

    let (member, _) = says(&client, "Member", "civil/civil", "True AllReady").await?;
    ensure!(
        member["id"] == "EE/GOV/2" && member["state"] == "Registered" && member["services"] == 2,
        "{member}"
    );
    let (agreement, message) = says(&client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;
    ensure!(message == "in force: EE/GOV/1/app may call EE/GOV/2/register/births", "{message}");
    ensure!(agreement["phase"] == "Active", "{agreement}");
    let layers = layers_of(&agreement);
    ensure!(layers.keys().copied().eq(["NetworkPolicy", "gateway-exchange"]), "{layers:?}");
    ensure!(layers["NetworkPolicy"].contains("only through the exchange"), "{layers:?}");
    let (service, _) = says(&client, "PublicService", "app/birth", "True AllReady").await?;
    ensure!(service["granted"] == "1/1" && service["client"] == "EE/GOV/1/app", "{service}");
    ensure!(service["bindings"] == json!([{ "name": "birth-exchange", "type": "exchange" }]), "{service}");
    enforces(&client, &[BIRTHS]).await?;
    ensure!(has_binding(&client).await?, "the service is not bound");
    ready(&Api::namespaced(client.clone(), "dpi"), "small").await?;
    operator.stop().await?;

    // Whoever comes next has nothing to say.
    let before = writes(&cluster)?;
    let operator = Operator::start(&cluster, "me");
    // Silence can only be heard over time; that it looked at all shows afterwards.
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    let after = writes(&cluster)?;
    ensure!(before.len() == after.len(), "not silent: {:#?}", &after[before.len()..]);

    // A namespace that is admitted no longer takes its rights along.
    label(&client, "app", None).await?;
    let (member, message) = says(&client, "Member", "app/ministry", "False NotAdmitted").await?;
    ensure!(member["id"].is_null(), "{member}");
    says(&client, "PublicService", "app/birth", "False NotAdmitted").await?;
    let (agreement, why) = says(&client, "ExchangeAgreement", BIRTHS, "False Invalid").await?;
    ensure!(
        agreement["phase"] == "Refused" && why.contains("no subsystem `GOV/1/app` takes part"),
        "{agreement}"
    );
    enforces(&client, &[]).await?;
    eventually("the binding is gone", async || Ok((!has_binding(&client).await?).then_some(()))).await?;
    // A Stack that does not exist looks the same.
    let absent = json!({ "stackRef": { "name": "none", "namespace": "dpi" }, "class": "GOV", "code": "1" });
    declare(&client, "Member", "app", "lost", absent).await?;
    let (_, other) = says(&client, "Member", "app/lost", "False NotAdmitted").await?;
    ensure!(other == message.replace("Stack dpi/small", "Stack dpi/none"), "{other}");
    label(&client, "app", Some("yes")).await?;
    says(&client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;
    enforces(&client, &[BIRTHS]).await?;

    // What ends, ends by itself.
    let mut brief = declared().swap_remove(2).3;
    brief["provider"]["service"] = json!("deaths");
    declare(&client, "ExchangeAgreement", "civil", "brief", brief).await?;
    let (agreement, _) = says(&client, "ExchangeAgreement", "civil/brief", "True AllReady").await?;
    let layers = layers_of(&agreement);
    ensure!(layers.get("nobody").is_some_and(|what| what.contains("deaths.gov.example")), "{layers:?}");
    enforces(&client, &[BIRTHS, "civil/brief"]).await?;
    let end = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 4)?.to_string();
    let until = json!({ "spec": { "validity": { "until": end } } });
    change(&client, "ExchangeAgreement", "civil", "brief", until).await?;
    let (agreement, _) = says(&client, "ExchangeAgreement", "civil/brief", "False Expired").await?;
    ensure!(agreement["phase"] == "Expired" && agreement["enforcement"].is_null(), "{agreement}");
    enforces(&client, &[BIRTHS]).await?;

    documents(&client).await?;
    broken(&client).await?;

    // A Stack that goes has its agencies told.
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    stacks.delete("small", &DeleteParams::default()).await?;
    eventually("the Stack is gone", async || Ok(stacks.get_opt("small").await?.is_none().then_some(())))
        .await?;
    for (kind, namespace, name, _) in declared() {
        says(&client, kind, &format!("{namespace}/{name}"), "False NotAdmitted").await?;
    }
    operator.stop().await
}

/// What a Member points to is missed, and found when it comes, though nobody watches it.
async fn documents(client: &Client) -> Result<()> {
    let mut subsystems = declared().swap_remove(0).3["subsystems"].take();
    subsystems[0]["services"][0]["openApi"] = json!({ "configMap": "api", "key": "openapi.yaml" });
    change(client, "Member", "civil", "civil", json!({ "spec": { "subsystems": subsystems } })).await?;
    let (member, message) = says(client, "Member", "civil/civil", "False Invalid").await?;
    ensure!(message.contains("ConfigMap `api` does not exist in this namespace"), "{message}");
    ensure!(
        member["state"] == "Registered" && member["services"] == 1,
        "one service takes nothing from the other: {member}"
    );
    enforces(client, &[]).await?;
    let document = "openapi: 3.0.0\npaths: { '/records/{id}': { get: {} } }";
    let map = json!({ "metadata": { "name": "api" }, "data": { "openapi.yaml": document } });
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "civil");
    maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
    says(client, "Member", "civil/civil", "True AllReady").await?;
    enforces(client, &[BIRTHS]).await
}

/// An object that this version of Plinth cannot read, as another version's kinds may let in, stops nobody.
async fn broken(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "members.plinth.dev";
    let mut definition = serde_json::to_value(definitions.get(name).await?)?;
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
        json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    definitions.replace(name, &PostParams::default(), &serde_json::from_value(definition)?).await?;
    eventually("another form is let in", async || {
        let spec = json!({ "class": { "of": "another version" }, "code": "1" });
        Ok(declare(client, "Member", "app", "broken", spec).await.ok())
    })
    .await?;
    let (_, message) = says(client, "Member", "app/broken", "False Invalid").await?;
    ensure!(message.starts_with("spec: is not understood: "), "{message}");
    let narrower = json!({ "spec": { "rateLimit": { "requests": 5, "per": "Second" } } });
    change(client, "ExchangeAgreement", "civil", "births-to-app", narrower).await?;
    says(client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_waits_for_a_yes_and_what_is_declared_while_a_plan_is_held_says_so() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let register = json!([{
        "name": "register",
        "description": "Registers a member.",
        "forEach": { "list": "exchange.members", "key": "item.key" },
        "requiresApproval": "A member is let in.",
        "connects": ["gate:https"],
        "calls": [{ "name": "register", "act": { "method": "POST", "url": "https://gate:8443/members" } }],
    }]);
    Api::<Product>::all(client.clone()).create(&PostParams::default(), &gate(register)?).await?;
    let mut wanted = stack("gate")?;
    wanted.metadata.annotations = Some([(names::ANNOTATION_AUTHOR.to_owned(), "anna".to_owned())].into());
    country(&client, &wanted).await?;
    let operator = Operator::start(&cluster, "me");

    // Each member waits for its own yes, and has it alone.
    let mut steps = Vec::new();
    for name in ["civil/civil", "app/ministry"] {
        let (member, message) = says(&client, "Member", name, "False AwaitingApproval").await?;
        ensure!(member["state"] == "RequiresApproval", "{member}");
        steps.push(step_in(&message).with_context(|| message.clone())?.to_owned());
    }
    ensure!(steps[0] != steps[1], "{steps:?}");
    let (agreement, _) = says(&client, "ExchangeAgreement", BIRTHS, "False Waiting").await?;
    ensure!(agreement["phase"] == "Active", "{agreement}");
    let_approve(&client, &["ben"]).await?;
    approve(&client, "first", json!({ "step": steps[0] })).await?;
    let (member, _) = says(&client, "Member", "civil/civil", "False Simulated").await?;
    ensure!(member["state"] == "RegistrationInProgress", "{member}");
    let simulated = member["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == "Simulated");
    let simulated = simulated.context("it is said")?;
    ensure!(
        simulated["message"].as_str().is_some_and(|m| m.contains("1 step of its onboarding not run")),
        "{simulated}"
    );
    says(&client, "Member", "app/ministry", "False AwaitingApproval").await?;
    approve(&client, "second", json!({ "step": steps[1] })).await?;
    says(&client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;

    // While nothing is written, what was there stands and what is new says what it waits for.
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let pause = |paused: bool| Patch::Merge(json!({ "spec": { "paused": paused } }));
    stacks.patch("small", &PatchParams::default(), &pause(true)).await?;
    let mut more = declared().swap_remove(2).3;
    more["provider"]["service"] = json!("deaths");
    declare(&client, "ExchangeAgreement", "civil", "more", more).await?;
    let (agreement, message) = says(&client, "ExchangeAgreement", "civil/more", "False Waiting").await?;
    ensure!(message.starts_with("block information-mediator: ") && message.contains("paused"), "{message}");
    ensure!(agreement["phase"] == "Active", "{agreement}");
    says(&client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;
    enforces(&client, &[BIRTHS]).await?;
    stacks.patch("small", &PatchParams::default(), &pause(false)).await?;
    says(&client, "ExchangeAgreement", "civil/more", "True AllReady").await?;
    enforces(&client, &[BIRTHS, "civil/more"]).await?;

    // A spec that is refused leaves what runs, and what is declared then has to wait.
    let blocks = |product: &str| {
        Patch::Merge(
            json!({ "spec": { "blocks": [{ "name": "information-mediator", "product": product }] } }),
        )
    };
    stacks.patch("small", &PatchParams::default(), &blocks("no-such-product")).await?;
    let wider = json!({ "spec": { "rateLimit": null } });
    change(&client, "ExchangeAgreement", "civil", "more", wider).await?;
    let (_, message) = says(&client, "ExchangeAgreement", "civil/more", "False Waiting").await?;
    ensure!(message.starts_with("Stack dpi/small has no valid plan"), "{message}");
    says(&client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;
    stacks.patch("small", &PatchParams::default(), &blocks("gate")).await?;
    says(&client, "ExchangeAgreement", "civil/more", "True AllReady").await?;
    operator.stop().await
}

/// Ben says yes to a plan or a step.
async fn approve(client: &Client, name: &str, what: Value) -> Result<()> {
    let status = approval(client, "small", name, "ben", what).await?;
    ensure!(status.phase == OperationPhase::Succeeded, "{status:?}");
    Ok(())
}

/// Hash of the plan that waits for a yes, once one does that is not `known`.
async fn held(client: &Client, known: Option<&str>) -> Result<String> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    eventually("a plan is held", async || {
        let stack = stacks.get("small").await?;
        let held = matches!(condition(&stack, "Approved"), Some(("False", ..)));
        let hash = stack.status.and_then(|status| status.plan_hash);
        Ok(hash.filter(|hash| held && known != Some(hash)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agencies_do_not_wait_for_the_yes_that_a_change_of_the_stack_waits_for() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let mut wanted = stack("gateway-exchange")?;
    wanted.metadata.annotations = Some([(names::ANNOTATION_AUTHOR.to_owned(), "anna".to_owned())].into());
    wanted.spec.change_policy = serde_json::from_value(json!({ "approval": "Required" }))?;
    country(&client, &wanted).await?;
    let_approve(&client, &["ben"]).await?;
    let operator = Operator::start(&cluster, "me");

    let first = held(&client, None).await?;
    ensure!(enforced(&client).await?.is_empty(), "written without a yes");
    approve(&client, "first", json!({ "planHash": first })).await?;
    says(&client, "ExchangeAgreement", BIRTHS, "True AllReady").await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    ready(&stacks, "small").await?;

    // An agency's change needs nobody's yes but its own, and asks for none.
    let mut more = declared().swap_remove(2).3;
    more["provider"]["service"] = json!("deaths");
    declare(&client, "ExchangeAgreement", "civil", "more", more).await?;
    enforces(&client, &[BIRTHS, "civil/more"]).await?;
    let status = ready(&stacks, "small").await?.status.unwrap_or_default();
    ensure!(status.plan_hash.as_ref() == Some(&first), "another plan is to be approved: {status:?}");

    // A change of the Stack waits, and is not done. Another operator knows no more than what was kept.
    let before = restarts(&client).await?;
    let timeout = json!({ "spec": { "blocks": [{
        "name": "information-mediator", "product": "gateway-exchange", "parameters": { "timeoutSeconds": 7 },
    }] } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(timeout)).await?;
    let second = held(&client, Some(&first)).await?;
    operator.stop().await?;
    let operator = Operator::start(&cluster, "me");

    // While it waits, what agencies take back is taken back, and the Stack says what it waits for.
    api(&client, "ExchangeAgreement", "civil").delete("more", &DeleteParams::default()).await?;
    enforces(&client, &[BIRTHS]).await?;
    let stack = stacks.get("small").await?;
    let said = condition(&stack, "Ready").context("Ready is said")?;
    ensure!((said.0, said.1) == ("False", "AwaitingApproval") && said.2.contains(&second), "{said:?}");
    ensure!(restarts(&client).await? == before, "written without a yes");

    // What was kept is worth no more than what was approved.
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), "dpi");
    let kept = revisions.list(&ListParams::default()).await?.items;
    ensure!(kept.len() == 1, "{kept:?}");

    approve(&client, "second", json!({ "planHash": second })).await?;
    ready(&stacks, "small").await?;
    let changed = restarts(&client).await?;
    ensure!(changed != before, "the change was not made");
    let before = changed;

    // Nobody gets rid of the second person alone.
    let alone = |seconds: u32| {
        Patch::Merge(json!({ "spec": { "changePolicy": { "approval": "NotRequired" }, "blocks": [{
            "name": "information-mediator", "product": "gateway-exchange",
            "parameters": { "timeoutSeconds": seconds },
        }] } }))
    };
    stacks.patch("small", &PatchParams::default(), &alone(8)).await?;
    let third = held(&client, Some(&second)).await?;
    ensure!(restarts(&client).await? == before, "written without a yes");
    approve(&client, "third", json!({ "planHash": third })).await?;
    ready(&stacks, "small").await?;
    let before = restarts(&client).await?;
    stacks.patch("small", &PatchParams::default(), &alone(9)).await?;
    eventually("it needs no yes", async || Ok((restarts(&client).await? != before).then_some(()))).await?;
    operator.stop().await
}

/// What the gateway's pods are made from: it changes when they have to be made anew.
async fn restarts(client: &Client) -> Result<Value> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "small-information-mediator");
    let gateway = deployments.get("gateway").await?;
    Ok(serde_json::to_value(gateway.spec.map(|spec| spec.template))?)
}
