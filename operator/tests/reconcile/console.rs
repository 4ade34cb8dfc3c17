//! The console on a real API server: a person sees what their account may list, live, and nothing else.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth::run::{Options, run_until};
use plinth_api::{Sandbox, Stack};
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Nodes, free_port};
use plinth_runtime::clusters::Access;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{eventually, prepare, ready, smallest};
use crate::page::{ask, token};

/// Everything that the page asks for.
const PAGES: [&str; 16] = [
    "/",
    "/web/app.js",
    "/web/block.js",
    "/web/continuity.js",
    "/web/country.js",
    "/web/element.js",
    "/web/links.js",
    "/web/map.js",
    "/web/sandboxes.js",
    "/web/store.js",
    "/web/texts.js",
    "/web/style.css",
    "/web/plinth.svg",
    "/web/texts/en.json",
    "/web/texts/fr.json",
    "/api/stream",
];

/// Kinds that are shown: what the page calls it, the plural, the API group.
const KINDS: [(&str, &str, &str); 9] = [
    ("stack", "stacks", "plinth.dev"),
    ("block", "buildingblocks", "plinth.dev"),
    ("operation", "operations", "plinth.dev"),
    ("sandbox", "sandboxes", "plinth.dev"),
    ("member", "members", "plinth.dev"),
    ("agreement", "exchangeagreements", "plinth.dev"),
    ("registry", "registries", "plinth.dev"),
    ("service", "publicservices", "plinth.dev"),
    ("event", "events", ""),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_in_the_console_what_their_account_may_list() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let console = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let options = Options {
        access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
        console: Some(console),
        ..Options::default()
    };
    let stop = CancellationToken::new();
    let operator = tokio::spawn(run_until(options, stop.clone()));
    namespace(&client, "elsewhere").await?;
    let theirs = Stack::new("theirs", smallest()?.spec);
    let (own, other) =
        (Api::<Stack>::namespaced(client.clone(), "dpi"), Api::namespaced(client.clone(), "elsewhere"));
    let name = smallest()?.metadata.name.context("the example has a name")?;
    own.create(&PostParams::default(), &smallest()?).await?;
    other.create(&PostParams::default(), &theirs).await?;
    ready(&own, &name).await?;
    ready(&other, "theirs").await?;

    let nobody = token(&client, "nobody").await?;
    let reader = token(&client, "reader").await?;
    let everybody = token(&client, "everybody").await?;
    let look =
        |group: &str, kinds: &[&str]| json!({ "apiGroups": [group], "resources": kinds, "verbs": ["list"] });
    let rules = json!([look("plinth.dev", &["stacks", "buildingblocks"])]);
    allow(&client, "reader", Some("dpi"), rules).await?;
    let ours: Vec<&str> =
        KINDS.iter().filter(|(.., group)| !group.is_empty()).map(|(_, plural, _)| *plural).collect();
    let rules = json!([look("plinth.dev", &ours), look("", &["events"])]);
    allow(&client, "everybody", None, rules).await?;
    for namespace in ["dpi", "elsewhere"] {
        declare(&client, namespace).await?;
    }

    without_a_token_there_is_nothing(console, &nobody, &name).await?;
    ensure!(seen(console, &nobody).await? == Vec::<String>::new());
    let seen_by_reader = seen(console, &reader).await?;
    ensure!(seen_by_reader.contains(&format!("stack dpi/{name}")), "{seen_by_reader:?}");
    ensure!(seen_by_reader.iter().any(|one| one.starts_with("block dpi/")), "{seen_by_reader:?}");
    let foreign = |one: &String| !one.starts_with("stack dpi/") && !one.starts_with("block dpi/");
    ensure!(!seen_by_reader.iter().any(foreign), "{seen_by_reader:?}");
    eventually("who may see everything sees it", async || {
        let seen = seen(console, &everybody).await?;
        let all = ["stack elsewhere/theirs", "block elsewhere/", "event dpi/"];
        Ok(all.iter().all(|kind| seen.iter().any(|one| one.starts_with(kind))).then_some(()))
    })
    .await?;
    each_right_opens_its_kind_in_its_namespace_alone(&client, console).await?;
    no_secret_is_told(&client, console, &everybody).await?;
    what_a_sandbox_costs_is_told_to_who_may_see_it(&client, console, &everybody, &reader).await?;
    what_is_switched_off_is_told(console, &reader, &own, &name).await?;
    what_changes_is_told_to_who_may_see_it(console, &reader, &everybody, &own, &other, &name).await?;
    stop.cancel();
    operator.await?
}

/// What agencies and a donor declare, as far as the kinds go: that nobody admits it is no matter here.
async fn declare(client: &Client, namespace: &str) -> Result<()> {
    let stack = json!({ "name": "theirs" });
    let objects = [
        json!({ "kind": "Sandbox", "metadata": { "name": "demo" }, "spec": {
            "template": "smallest", "owner": { "team": "demo", "contact": "team@example", "groups": ["oidc:demo"] }, "ttl": "14d",
        } }),
        json!({ "kind": "Member", "metadata": { "name": "office" }, "spec": {
            "stackRef": stack, "class": "GOV", "code": "1", "names": { "en": "Office" },
            "subsystems": [{ "code": "persons", "services": [{ "code": "read", "registry": "persons" }] }],
        } }),
        json!({ "kind": "ExchangeAgreement", "metadata": { "name": "reads" }, "spec": {
            "stackRef": stack, "provider": { "member": "office", "subsystem": "persons", "service": "read" },
            "consumers": [{ "subsystem": "GOV/2/desk" }], "purpose": { "en": "a test" },
            "legalBasis": { "kind": "Law", "citation": "none" },
        } }),
        json!({ "kind": "Registry", "metadata": { "name": "persons" }, "spec": {
            "stackRef": stack, "code": "persons", "owner": "office", "block": "digital-registries", "classification": "internal",
        } }),
        json!({ "kind": "PublicService", "metadata": { "name": "desk" }, "spec": {
            "stackRef": stack, "title": { "en": "Desk" }, "channels": ["Web"],
        } }),
        json!({ "kind": "Operation", "metadata": { "name": "wakes" }, "spec": {
            "sandbox": "demo", "type": "Wake", "reason": "a test",
        } }),
    ];
    for mut object in objects {
        object["apiVersion"] = "plinth.dev/v1alpha1".into();
        let object: DynamicObject = serde_json::from_value(object)?;
        let types = object.types.clone().context("a kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
        api.create(&PostParams::default(), &object).await.with_context(|| types.kind)?;
    }
    Ok(())
}

/// Somebody with one right sees objects of that kind in that namespace, and nothing else.
async fn each_right_opens_its_kind_in_its_namespace_alone(
    client: &Client,
    console: SocketAddr,
) -> Result<()> {
    for (kind, plural, group) in KINDS {
        let account = format!("only-{plural}");
        let one = token(client, &account).await?;
        let rule = json!([{ "apiGroups": [group], "resources": [plural], "verbs": ["list"] }]);
        allow(client, &account, Some("elsewhere"), rule).await?;
        let seen = eventually("something of it is seen", async || {
            Ok(Some(seen(console, &one).await?).filter(|seen| !seen.is_empty()))
        })
        .await?;
        let own = |one: &String| one.starts_with(&format!("{kind} elsewhere/"));
        ensure!(seen.iter().all(own), "{account} sees {seen:?}");
    }
    Ok(())
}

async fn what_a_sandbox_costs_is_told_to_who_may_see_it(
    client: &Client,
    console: SocketAddr,
    everybody: &str,
    reader: &str,
) -> Result<()> {
    let (mut sees, mut reads) =
        (ask(console, "/api/stream", everybody).await?, ask(console, "/api/stream", reader).await?);
    ensure!(sees.event().await?.0 == "everything" && reads.event().await?.0 == "everything");
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), "dpi");
    let budget = json!({ "spec": { "budget": { "monthly": "250", "currency": "EUR" } } });
    sandboxes.patch("demo", &PatchParams::default(), &Patch::Merge(budget)).await?;
    let told = sees.until("sandbox", "demo", |view| view["budget"]["monthly"] == "250").await?;
    let view = &told.last().context("it is told")?["view"];
    ensure!(view["team"] == "demo" && view["from"] == "smallest", "{view}");
    // No template has that name: where it is in its life comes by its status.
    sees.until("sandbox", "demo", |view| view["phase"] == "Refused").await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let name = smallest()?.metadata.name.context("the example has a name")?;
    let touch = json!({ "spec": { "continuity": { "keeps": "important" } } });
    stacks.patch(&name, &PatchParams::default(), &Patch::Merge(touch)).await?;
    let told = reads.until("stack", &name, |view| view["current"] == true).await?;
    ensure!(told.iter().all(|one| one["kind"] != "sandbox"), "{told:?}");
    Ok(())
}

/// Something is switched off with a reason: what that means is told as soon as it is so.
async fn what_is_switched_off_is_told(
    console: SocketAddr,
    reader: &str,
    own: &Api<Stack>,
    name: &str,
) -> Result<()> {
    let mut reads = ask(console, "/api/stream", reader).await?;
    ensure!(reads.event().await?.0 == "everything");
    let off =
        json!([{ "block": "identity", "reason": "a flood" }, { "registry": "persons", "reason": "a fire" }]);
    let patch = Patch::Merge(json!({ "spec": { "continuity": { "off": off } } }));
    own.patch(name, &PatchParams::default(), &patch).await?;
    let told = reads.until("stack", name, |view| view["blocks"][0]["state"] == "Suspended").await?;
    let view = &told.last().context("it is told")?["view"];
    ensure!(view["off"][1]["reason"] == "a fire" && view["mode"] == "Normal", "{view}");
    ensure!(view["blocks"][0]["message"].as_str().is_some_and(|why| why.contains("a flood")), "{view}");
    Ok(())
}

async fn without_a_token_there_is_nothing(console: SocketAddr, nobody: &str, stack: &str) -> Result<()> {
    for page in PAGES {
        for token in ["", "made-up", nobody] {
            let mut answer = ask(console, page, token).await?;
            let expected = if page != "/api/stream" || token == nobody { 200 } else { 401 };
            ensure!(answer.status == expected, "{page}: {}", answer.status);
            let text = if page == "/api/stream" && expected == 200 {
                answer.event().await?.1.to_string()
            } else {
                answer.rest().await?
            };
            ensure!(
                !text.contains(&format!("\"{stack}\"")) && !text.contains("\"theirs\""),
                "{page}: {text}"
            );
        }
    }
    Ok(())
}

async fn no_secret_is_told(client: &Client, console: SocketAddr, token: &str) -> Result<()> {
    let told = ask(console, "/api/stream", token).await?.event().await?.1.to_string();
    let secrets = Api::<Secret>::all(client.clone()).list(&ListParams::default()).await?;
    let values = secrets.items.iter().flat_map(|secret| secret.data.iter().flatten());
    // Shorter ones are words such as names of databases.
    let values =
        values.filter_map(|(_, value)| std::str::from_utf8(&value.0).ok()).filter(|value| value.len() >= 16);
    let mut looked_for = 0;
    for value in values {
        ensure!(!told.contains(value), "a secret is told");
        looked_for += 1;
    }
    ensure!(looked_for > 0, "no secret to look for");
    Ok(())
}

async fn what_changes_is_told_to_who_may_see_it(
    console: SocketAddr,
    reader: &str,
    everybody: &str,
    own: &Api<Stack>,
    other: &Api<Stack>,
    name: &str,
) -> Result<()> {
    let (mut reads, mut sees) =
        (ask(console, "/api/stream", reader).await?, ask(console, "/api/stream", everybody).await?);
    ensure!(reads.event().await?.0 == "everything" && sees.event().await?.0 == "everything");
    let pause = Patch::Merge(json!({ "spec": { "paused": true } }));
    other.patch("theirs", &PatchParams::default(), &pause).await?;
    sees.until("stack", "theirs", |view| view["paused"] == true).await?;
    own.patch(name, &PatchParams::default(), &pause).await?;
    // Who may not see the other one, which changed before, is told of their own alone.
    let told = reads.until("stack", name, |view| view["paused"] == true).await?;
    ensure!(told.iter().all(|one| one["kind"].is_null() || one["namespace"] == "dpi"), "{told:?}");
    Ok(())
}

/// Names of what an account is told at once, each as `kind namespace/name`.
async fn seen(console: SocketAddr, token: &str) -> Result<Vec<String>> {
    let told = ask(console, "/api/stream", token).await?.event().await?.1;
    let items = told["items"].as_array().context("items")?;
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    Ok(items
        .iter()
        .map(|i| format!("{} {}/{}", text(i, "kind"), text(i, "namespace"), text(i, "name")))
        .collect())
}

async fn namespace(client: &Client, name: &str) -> Result<()> {
    let namespace = json!({ "metadata": { "name": name } });
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await?;
    Ok(())
}

/// Gives an account those rights in one namespace, or everywhere.
async fn allow(client: &Client, account: &str, namespace: Option<&str>, rules: Value) -> Result<()> {
    let role = json!({ "metadata": { "name": account }, "rules": rules });
    Api::<ClusterRole>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(role)?)
        .await?;
    let binding = json!({
        "metadata": { "name": account },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": "default" }],
    });
    match namespace {
        Some(namespace) => {
            let bindings = Api::<RoleBinding>::namespaced(client.clone(), namespace);
            bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
        }
        None => {
            let bindings = Api::<ClusterRoleBinding>::all(client.clone());
            bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
        }
    }
    Ok(())
}
