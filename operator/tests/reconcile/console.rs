//! The console on a real API server: a person sees what their account may list, live, and nothing else.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth::run::{Options, run_until};
use plinth_api::Stack;
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Nodes, free_port};
use plinth_runtime::clusters::Access;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::house::{eventually, prepare, ready, smallest};
use crate::page::{ask, token};

/// Everything that the page asks for.
const PAGES: [&str; 12] = [
    "/",
    "/web/app.js",
    "/web/block.js",
    "/web/country.js",
    "/web/element.js",
    "/web/store.js",
    "/web/texts.js",
    "/web/style.css",
    "/web/plinth.svg",
    "/web/texts/en.json",
    "/web/texts/fr.json",
    "/api/stream",
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
    let rules =
        json!([look("plinth.dev", &["stacks", "buildingblocks", "operations"]), look("", &["events"])]);
    allow(&client, "everybody", None, rules).await?;

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
    no_secret_is_told(&client, console, &everybody).await?;
    what_changes_is_told_to_who_may_see_it(console, &reader, &everybody, &own, &other, &name).await?;
    stop.cancel();
    operator.await?
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
