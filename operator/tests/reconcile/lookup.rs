//! What the command line reads of a cluster before it plans: all that the operator goes by, as far as whoever asks may see it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth_api::{Member, Registry, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

/// How a command ended: its code, what it printed, and what it said beside.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn plinth(kubeconfig: &Path, args: &[&str]) -> Result<Ran> {
    let output = Command::new(env!("CARGO_BIN_EXE_plinth"))
        .args(args)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .env_remove("KUBECONFIG")
        .output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(Ran { code: output.status.code(), out, err })
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "kind": kind,
        "metadata": { "name": name, "namespace": "dpi" },
        "spec": spec,
    });
    if kind != "Stack" {
        object["spec"]["stackRef"] = json!({ "name": "land" });
    }
    object
}

fn stack() -> Value {
    let blocks = json!([
        { "name": "identity", "product": "keycloak" },
        { "name": "digital-registries", "product": "sunbird-rc" },
    ]);
    let country = json!({ "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] });
    object(
        "Stack",
        "land",
        json!({ "country": country, "profile": "sandbox", "blocks": blocks, "exchange": {} }),
    )
}

/// An agency; with a service whose operations stand in ConfigMap `api`.
fn agency(serves: bool) -> Value {
    let service =
        json!({ "code": "births", "registry": "births", "openApi": { "configMap": "api", "key": "v1" } });
    let services = if serves { vec![service] } else { Vec::new() };
    let subsystems = json!([{ "code": "register", "services": services }]);
    object("Member", "agency", json!({ "class": "GOV", "code": "1", "subsystems": subsystems }))
}

fn births(longest: u32) -> Value {
    let schema = json!({
        "type": "object", "properties": { "name": { "type": "string", "maxLength": longest } },
    });
    object(
        "Registry",
        "births",
        json!({
            "code": "births", "owner": "agency", "block": "digital-registries",
            "classification": "personal", "schema": schema,
        }),
    )
}

/// What `plan --diff` says of these files: about the record of the registry's schema, and beside its answer.
fn diff(cluster: &TestCluster, objects: &[Value]) -> Result<(String, String)> {
    let folder = tempfile::tempdir()?;
    for (nth, object) in objects.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{nth}.yaml")), object.to_string())?;
    }
    let path = folder.path().to_str().context("a path that is text")?;
    let ran = plinth(&cluster.kubeconfig(), &["plan", "-f", path, "--diff", "-o", "json"])?;
    let said: Value = serde_json::from_str(&ran.out).with_context(|| ran.err.clone())?;
    let lines = said["diffs"][0]["objects"].as_array().context("objects")?;
    let record = lines.iter().find(|line| line["name"] == "registry-schema-births").context("the record")?;
    Ok((record["change"].as_str().unwrap_or_default().to_owned(), ran.err))
}

/// Somebody who may see what is declared, and nothing that holds data.
async fn clerk(cluster: &TestCluster, client: &Client) -> Result<std::path::PathBuf> {
    let role = json!({ "metadata": { "name": "clerk" }, "rules": [
        { "apiGroups": [names::GROUP], "resources": ["*"], "verbs": ["get", "list"] } ] });
    let roles: Api<ClusterRole> = Api::all(client.clone());
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({ "metadata": { "name": "clerk" },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": "clerk" }],
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "clerk" } });
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(cluster.kubeconfig_for("clerk", &[])?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_plans_by_what_the_operator_goes_by_and_says_what_it_may_not_see() -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(1)).gateway_api(true)).await?;
    let client = prepare(&cluster).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "dpi");
    let document = "openapi: 3.0.0\npaths: { '/records/{id}': { get: {} } }";
    let map = json!({ "metadata": { "name": "api" }, "data": { "v1": document } });
    maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
    let post = PostParams::default();
    let members: Api<Member> = Api::namespaced(client.clone(), "dpi");
    members.create(&post, &serde_json::from_value(agency(false))?).await?;
    let registries: Api<Registry> = Api::namespaced(client.clone(), "dpi");
    registries.create(&post, &serde_json::from_value(births(80))?).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    stacks.create(&post, &serde_json::from_value(stack())?).await?;
    let operator = Operator::start(&cluster, "me");
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), "land-digital-registries");
    eventually("the schema is recorded", async || Ok(records.get_opt("registry-schema-births").await?))
        .await?;
    operator.stop().await?;

    // What widens would be applied; what narrows is held, as the operator would hold it, until a person has said yes.
    let (change, told) = diff(&cluster, &[stack(), births(120)])?;
    ensure!((change.as_str(), told.contains("approve step")) == ("update", false), "{change}: {told}");
    let narrower = [stack(), births(40)];
    let (change, told) = diff(&cluster, &narrower)?;
    let step = step_in(&told).filter(|step| step.starts_with("digital-registries/registry-births-"));
    let step = step.with_context(|| told.clone())?;
    ensure!(change == "unchanged" && told.contains("is 40, and was 80"), "{change}: {told}");
    let yes = json!({ "status": { "approvedSteps": [step] } });
    stacks.patch_status("land", &PatchParams::default(), &Patch::Merge(yes)).await?;
    let (change, told) = diff(&cluster, &narrower)?;
    ensure!((change.as_str(), told.contains("approve step")) == ("update", false), "{change}: {told}");

    // What a file's Member points to is read of the cluster.
    let (_, told) = diff(&cluster, &[stack(), births(80), agency(true)])?;
    ensure!(!told.contains("warning"), "{told}");

    // Who may not read it is told so, and has an answer all the same.
    let patch = Patch::Merge(json!({ "spec": agency(true)["spec"] }));
    members.patch("agency", &PatchParams::default(), &patch).await?;
    let graph = ["graph", "-o", "json"];
    let ran = plinth(&cluster.kubeconfig(), &graph)?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "{}", ran.err);
    ensure!(
        serde_json::from_str::<Value>(&ran.out)?["offers"][0]["id"] == "ZZ/GOV/1/register/births",
        "{}",
        ran.out
    );
    let ran = plinth(&clerk(&cluster, &client).await?, &graph)?;
    ensure!(ran.code == Some(0), "{}", ran.err);
    for said in [
        "ConfigMap dpi/api counts as missing",
        "what the registries that run are made of is not known",
        "which namespaces the Stack admits is taken on trust",
        "Member dpi/agency: spec.subsystems[register].services[births].openApi: ConfigMap `api` does not exist",
    ] {
        ensure!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    ensure!(serde_json::from_str::<Value>(&ran.out)?["offers"] == json!([]), "{}", ran.out);
    Ok(())
}
