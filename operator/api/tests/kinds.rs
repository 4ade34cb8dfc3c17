//! The kinds on the real API server: examples survive the round trip, wrong ones are rejected with the reason, and
//! admission knows who asks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Api, Client, ResourceExt};
use plinth_api::{
    BuildingBlock, ExchangeAgreement, Member, Operation, Product, PublicService, Registry, Stack,
    WorkloadCluster, admission, definitions,
};
use plinth_cluster::testing::TestCluster;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Duration, timeout};

const OPERATOR: &str = "system:serviceaccount:plinth-system:plinth";
static INSTALLED: OnceCell<()> = OnceCell::const_new();

async fn cluster() -> (&'static TestCluster, Client) {
    let cluster = TestCluster::shared().await.expect("the control plane starts");
    let client = cluster.client().await.expect("a client");
    INSTALLED.get_or_init(|| install(client.clone())).await;
    (cluster, client)
}

async fn install(client: Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in definitions() {
        let name = crd.name_any();
        crds.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&crd))
            .await
            .expect("the CRD is accepted");
        timeout(Duration::from_secs(30), await_condition(crds.clone(), &name, is_crd_established()))
            .await
            .expect("established in time")
            .expect("established");
    }
    for object in admission::objects(OPERATOR) {
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let types = object.types.clone().expect("has a kind");
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).expect("a kind"));
        Api::<DynamicObject>::all_with(client.clone(), &resource)
            .patch(&object.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(&object))
            .await
            .expect("the policy is accepted");
    }
    for namespace in ["dpi", "kinds"] {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        Api::<k8s_openapi::api::core::v1::Namespace>::all(client.clone())
            .patch(namespace, &PatchParams::apply("test").force(), &Patch::Apply(&body))
            .await
            .expect("a namespace");
    }
}

fn strict() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("readable");
    serde_yaml::Deserializer::from_str(&text).map(|d| Value::deserialize(d).expect("YAML")).collect()
}

/// Send `document` to the API server, read what it stored, and compare both with the Rust type.
async fn round_trip<K>(api: &Api<DynamicObject>, document: &Value, path: &Path)
where
    K: DeserializeOwned + serde::Serialize,
{
    let sent: DynamicObject = serde_json::from_value(document.clone()).expect("an object");
    let params = PatchParams::apply("round-trip").force().dry_run().validation_strict();
    let stored = api
        .patch(&sent.name_any(), &params, &Patch::Apply(&sent))
        .await
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let typed: K =
        serde_json::from_value(serde_json::to_value(&stored).expect("JSON")).expect("the Rust type reads it");
    let again = serde_json::to_value(&typed).expect("JSON");
    let server = serde_json::to_value(&stored).expect("JSON");
    assert_eq!(again["spec"], server["spec"], "{}: the type and the schema disagree", path.display());
    let twin: K = serde_json::from_value(document.clone()).expect("the Rust type reads the file");
    assert_eq!(
        serde_json::to_value(&twin).expect("JSON")["spec"],
        again["spec"],
        "{}: the API server's defaults and the type's differ",
        path.display()
    );
}

/// The YAML files in a folder, and in the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("readable");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|p| is_yaml(p))
        .collect()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

/// The round trip of a namespaced kind, in a namespace that is there.
async fn namespaced<K>(client: &Client, mut document: Value, path: &Path)
where
    K: DeserializeOwned + serde::Serialize + kube::Resource<DynamicType = ()>,
{
    document["metadata"]["namespace"] = json!("dpi");
    let resource = ApiResource::erase::<K>(&());
    round_trip::<K>(&Api::namespaced_with(client.clone(), "dpi", &resource), &document, path).await;
}

#[tokio::test]
async fn every_example_survives_the_schema_and_the_type() {
    let (_, client) = cluster().await;
    let mut seen = BTreeSet::new();
    for folder in ["examples", "e2e/bench"] {
        for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)) {
            for document in documents(&path) {
                let kind = document["kind"].as_str().unwrap_or_default().to_owned();
                match kind.as_str() {
                    "Stack" => namespaced::<Stack>(&client, document, &path).await,
                    "WorkloadCluster" => namespaced::<WorkloadCluster>(&client, document, &path).await,
                    "Member" => namespaced::<Member>(&client, document, &path).await,
                    "ExchangeAgreement" => namespaced::<ExchangeAgreement>(&client, document, &path).await,
                    "Registry" => namespaced::<Registry>(&client, document, &path).await,
                    "PublicService" => namespaced::<PublicService>(&client, document, &path).await,
                    "Product" => {
                        let resource = ApiResource::erase::<Product>(&());
                        let api = Api::all_with(client.clone(), &resource);
                        round_trip::<Product>(&api, &document, &path).await;
                    }
                    "Namespace" | "Secret" | "ConfigMap" | "Deployment" | "Service" => {}
                    _ => panic!("{}: an example of kind {kind:?}", path.display()),
                }
                seen.insert(kind);
            }
        }
    }
    for kind in ["Stack", "WorkloadCluster", "Member", "ExchangeAgreement", "Registry", "PublicService"] {
        assert!(seen.contains(kind), "there is no example of kind {kind}");
    }
}

#[tokio::test]
async fn every_builtin_entry_is_a_valid_product_object() {
    let (_, client) = cluster().await;
    let resource = ApiResource::erase::<Product>(&());
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let catalogue = plinth_plan::catalogue::Catalogue::builtin().expect("the catalogue parses");
    for entry in catalogue.entries() {
        let document = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Product",
            "metadata": { "name": entry.name }, "spec": *entry.spec,
        });
        round_trip::<Product>(&api, &document, Path::new(&entry.name)).await;
    }
}

fn stack(change: impl FnOnce(&mut Value)) -> Value {
    let mut value = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "cel", "namespace": "kinds" },
        "spec": { "country": { "code": "EE" }, "blocks": [{ "name": "identity", "product": "keycloak" }] },
    });
    change(&mut value);
    value
}

#[tokio::test]
async fn what_cel_can_say_is_rejected_at_admission_with_the_reason() {
    type Change = fn(&mut Value);
    let cases: &[(&str, Change, &str)] = &[
        (
            "a name that is too long",
            |s| s["metadata"]["name"] = json!("a".repeat(31)),
            "at most 30 characters",
        ),
        ("a country that is none", |s| s["spec"]["country"]["code"] = json!("Estonia"), "spec.country.code"),
        ("no block at all", |s| s["spec"]["blocks"] = json!([]), "spec.blocks"),
        (
            "a block of no standard",
            |s| s["spec"]["blocks"][0]["name"] = json!("identitty"),
            "a GovStack building block",
        ),
        (
            "a block that is both",
            |s| s["spec"]["blocks"][0]["external"] = json!({ "provides": [{ "capability": "oidc-issuer" }] }),
            "give either product (Plinth installs it) or external (it already runs)",
        ),
        (
            "two blocks of one name",
            |s| s["spec"]["blocks"] = json!([s["spec"]["blocks"][0], s["spec"]["blocks"][0]]),
            "duplicate entries for key [name=\"identity\"]",
        ),
        (
            "an external provider without address",
            |s| s["spec"]["backing"] = json!([{ "capability": "postgresql", "provider": "External" }]),
            "external: required when provider is External",
        ),
        (
            "a rule with names and labels",
            |s| s["spec"]["placement"] = json!({ "default": { "clusters": ["north"], "selector": {} } }),
            "give clusters (their names, the preferred first) or selector (their labels), not both",
        ),
        (
            "a block's rule with names and labels",
            |s| {
                let rule = json!({ "block": "identity", "clusters": ["north"], "selector": {} });
                s["spec"]["placement"] = json!({ "blocks": [rule] });
            },
            "give clusters (their names, the preferred first) or selector (their labels), not both",
        ),
        (
            "a block that goes with itself",
            |s| s["spec"]["placement"] = json!({ "blocks": [{ "block": "identity", "with": "identity" }] }),
            "with: names another block",
        ),
        (
            "residency of nowhere",
            |s| s["spec"]["placement"] = json!({ "residency": [{ "name": "home" }] }),
            "give jurisdiction (whose law), location (what place) or both",
        ),
        (
            "a law of no country",
            |s| {
                let rule = json!({ "name": "home", "jurisdiction": ["Estonia"] });
                s["spec"]["placement"] = json!({ "residency": [rule] });
            },
            "spec.placement.residency[0].jurisdiction[0]",
        ),
        ("a profile that is none", |s| s["spec"]["profile"] = json!("huge"), "sandbox"),
        (
            "an unknown field",
            |s| s["spec"]["blokcs"] = json!([]),
            ".spec.blokcs: field not declared in schema",
        ),
    ];
    let (_, client) = cluster().await;
    let resource = ApiResource::erase::<Stack>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, "kinds", &resource);
    for (name, change, expected) in cases {
        let document = stack(change);
        let object: DynamicObject = serde_json::from_value(document).expect("an object");
        let params = PatchParams::apply("test").force().dry_run().validation_strict();
        let error = api
            .patch(&object.name_any(), &params, &Patch::Apply(&object))
            .await
            .err()
            .unwrap_or_else(|| panic!("{name}: was accepted"))
            .to_string();
        assert!(error.contains(expected), "{name}:\n  expected: {expected}\n  said: {error}");
    }
}

#[tokio::test]
async fn a_cluster_says_how_it_is_reached_and_where_it_is() {
    let (_, client) = cluster().await;
    let resource = ApiResource::erase::<WorkloadCluster>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, "kinds", &resource);
    let cluster = |name: &str, change: Value| {
        let mut spec = json!({ "jurisdiction": "EE", "location": "LU" });
        spec.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "WorkloadCluster",
            "metadata": { "name": name, "namespace": "kinds" }, "spec": spec,
        })
    };
    let secret = json!({ "kubeconfigSecret": { "name": "north" } });
    let whole = json!({
        "clusterProfile": { "name": "north" }, "location": "EE-37", "site": "a", "zone": "1", "cidrs": ["10.0.0.0/8"],
        "expectedOffline": true,
    });
    for right in [secret.clone(), whole] {
        round_trip::<WorkloadCluster>(&api, &cluster("north", right), Path::new("a cluster")).await;
    }
    for (name, change, expected) in [
        ("north", json!({}), "give either kubeconfigSecret"),
        (
            "north",
            json!({ "kubeconfigSecret": { "name": "a" }, "clusterProfile": { "name": "a" } }),
            "give either kubeconfigSecret",
        ),
        (
            "north",
            json!({ "kubeconfigSecret": { "name": "a" }, "jurisdiction": "Estonia" }),
            "spec.jurisdiction",
        ),
        ("north", json!({ "kubeconfigSecret": { "name": "a" }, "location": "ee" }), "spec.location"),
        ("hub", secret.clone(), "hub and home mean the cluster that Plinth itself runs on"),
        ("north.a", secret, "at most 63 lower-case letters, digits and '-'"),
    ] {
        let object: DynamicObject = serde_json::from_value(cluster(name, change)).expect("an object");
        let params = PatchParams::apply("test").force().dry_run().validation_strict();
        let answer = api.patch(name, &params, &Patch::Apply(&object)).await;
        let error = answer.err().unwrap_or_else(|| panic!("{name}: was accepted")).to_string();
        assert!(error.contains(expected), "{name}:\n  expected: {expected}\n  said: {error}");
    }
}

/// A Product with one more field.
fn product(field: &str, value: Value) -> Value {
    let mut product = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Product", "metadata": { "name": "bank" },
        "spec": {
            "block": "x-bank", "title": "Bank", "description": "A test.", "licence": "MIT", "maturity": "beta",
            "asOf": "2026-11-23", "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": { "app": "registry.example/bank:1" } }],
        },
    });
    product["spec"][field] = value;
    product
}

async fn products() -> Api<DynamicObject> {
    let (_, client) = cluster().await;
    Api::all_with(client, &ApiResource::erase::<Product>(&()))
}

async fn is_rejected(api: &Api<DynamicObject>, product: Value, expected: &str) {
    let object: DynamicObject = serde_json::from_value(product.clone()).expect("an object");
    let params = PatchParams::apply("test").force().dry_run().validation_strict();
    let answer = api.patch("bank", &params, &Patch::Apply(&object)).await;
    let error = answer.err().unwrap_or_else(|| panic!("{product}: was accepted")).to_string();
    assert!(error.contains(expected), "{product}:\n  expected: {expected}\n  said: {error}");
}

#[tokio::test]
async fn a_list_of_objects_survives_the_schema_and_objects_that_nothing_tells_apart_are_rejected() {
    let api = products().await;
    let parameter = |kind: &str, more: Value| {
        let mut parameter = json!({ "name": "banks", "type": kind, "description": "Banks." });
        if !more.is_null() {
            parameter["fields"] = more;
        }
        product("parameters", json!([parameter]))
    };
    let name = json!({ "name": "name", "type": "string", "description": "A name.", "pattern": "[a-z]+" });
    let limit =
        json!({ "name": "limit", "type": "integer", "description": "A cap.", "default": 1, "minimum": 0 });
    round_trip::<Product>(&api, &parameter("objects", json!([name, limit])), Path::new("a list of objects"))
        .await;
    for (kind, fields, expected) in [
        ("objects", json!([limit]), "fields: one is `name`, a string"),
        ("objects", Value::Null, "fields: required exactly when type is objects"),
        ("strings", json!([name]), "fields: required exactly when type is objects"),
        (
            "objects",
            json!([name, { "name": "x", "type": "objects", "description": "x" }]),
            "Unsupported value",
        ),
    ] {
        is_rejected(&api, parameter(kind, fields), expected).await;
    }
}

#[tokio::test]
async fn onboarding_survives_the_schema_and_a_call_that_makes_no_sense_is_rejected() {
    let api = products().await;
    let product = |call: Value| {
        let step = json!({
            "name": "hub", "description": "A step.", "requiresApproval": "Real money.",
            "variables": [{ "name": "URL", "value": "http://bank" }], "calls": [call],
        });
        product("onboarding", json!([step]))
    };
    let request = json!({ "url": "{{ env.URL }}" });
    let whole = json!({
        "name": "account", "check": request, "exists": "response.status == 200", "expect": [201],
        "act": { "method": "POST", "url": "{{ env.URL }}", "headers": { "a": "b" }, "body": { "a": ["b", 1, null] } },
        "capture": { "id": "response.body.id" },
    });
    round_trip::<Product>(&api, &product(whole), Path::new("a whole call")).await;
    for (call, expected) in [
        (json!({ "name": "a" }), "give check, act or both"),
        (json!({ "name": "a", "act": request, "exists": "true" }), "exists: looks at the answer to check"),
        (json!({ "name": "a", "check": request, "expect": [200] }), "expect: is about act"),
        (json!({ "name": "a", "act": { "url": "x", "method": "HEAD" } }), "Unsupported value: \"HEAD\""),
        (json!({ "name": "a", "act": request, "expect": [1] }), "should be greater than or equal to 100"),
    ] {
        is_rejected(&api, product(call), expected).await;
    }
}

#[tokio::test]
async fn an_operation_cannot_change_once_asked() {
    let (_, client) = cluster().await;
    let api: Api<Operation> = Api::namespaced(client, "kinds");
    let operation = |reason: &str| -> Operation {
        serde_json::from_value(json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation",
            "metadata": { "name": "once", "namespace": "kinds" },
            "spec": { "stack": "cel", "type": "Rotate", "reason": reason, "rotate": { "block": "identity", "secret": "s" } },
        }))
        .expect("an Operation")
    };
    api.create(&PostParams::default(), &operation("first")).await.expect("created");
    let params = PatchParams::apply("test").force();
    let error = api
        .patch("once", &params, &Patch::Apply(&operation("second")))
        .await
        .expect_err("refused")
        .to_string();
    assert!(error.contains("an Operation cannot change once it is asked"), "{error}");
    let mut wrong = operation("x");
    wrong.metadata.name = Some("wrong".into());
    wrong.spec.rotate = None;
    let error = api.create(&strict(), &wrong).await.expect_err("refused").to_string();
    assert!(error.contains("rotate: required exactly for type Rotate"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_somebody_trusts_has_an_end() {
    let (_, client) = cluster().await;
    let api: Api<Product> = Api::all(client);
    let product = |certificate: Value| -> Product {
        serde_json::from_value(json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Product", "metadata": { "name": "hub" },
            "spec": {
                "block": "x-hub", "title": "Hub", "description": "A test.", "licence": "Apache-2.0",
                "maturity": "stable", "asOf": "2026-11-24", "sources": [{ "repository": "plinth", "says": "a test" }],
                "versions": [{ "version": "1", "images": { "app": "registry.example/hub:1" } }],
                "secrets": [{ "name": "tls", "keys": [{ "name": "tls.crt", "certificateOf": certificate }] }],
            },
        }))
        .expect("a Product")
    };
    let signer = json!({ "secret": "authority", "certificate": "tls.crt", "key": "tls.key" });
    for more in [json!({ "ca": true }), json!({ "signedBy": signer }), json!({ "uris": ["'spiffe://land'"] })]
    {
        let mut certificate = json!({ "key": "tls.key", "commonName": "hub" });
        certificate.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let error =
            api.create(&strict(), &product(certificate.clone())).await.expect_err("refused").to_string();
        assert!(error.contains("validDays: required with ca, signedBy and uris"), "{error}");
        certificate["validDays"] = json!(90);
        api.create(&strict(), &product(certificate)).await.expect("accepted");
    }
}

async fn as_user(cluster: &TestCluster, user: &str, groups: &[&str]) -> Client {
    let path = cluster.kubeconfig_for(user, groups).expect("a kubeconfig");
    let kubeconfig = kube::config::Kubeconfig::read_from(path).expect("readable");
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.expect("a configuration");
    Client::try_from(config).expect("a client")
}

#[tokio::test]
async fn admission_stamps_the_author_of_a_change_and_nobody_can_put_another_name_there() {
    let (cluster, client) = cluster().await;
    let olena: Api<Stack> = Api::namespaced(as_user(cluster, "olena", &["system:masters"]).await, "kinds");
    let forged = stack(|s| {
        s["metadata"]["name"] = json!("authored");
        s["metadata"]["annotations"] = json!({ "plinth.dev/author": "somebody-else" });
    });
    let author = |s: &Stack| s.annotations().get("plinth.dev/author").cloned();
    // Policies reach the API server's cache a moment after they were written.
    let created = timeout(Duration::from_secs(30), async {
        loop {
            let created = olena
                .patch("authored", &PatchParams::apply("olena").force(), &Patch::Apply(&forged))
                .await
                .expect("created");
            if author(&created).as_deref() == Some("olena") {
                break created;
            }
            olena.delete("authored", &Default::default()).await.expect("deleted");
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the policy takes effect in time");
    assert_eq!(author(&created).as_deref(), Some("olena"));
    let groups = created.annotations()["plinth.dev/author-groups"].clone();
    assert!(groups.lines().any(|group| group == "system:masters"), "{groups}");

    let admin: Api<Stack> = Api::namespaced(client, "kinds");
    let touch = json!({ "metadata": { "annotations": { "plinth.dev/author": "forger", "touched": "yes" } } });
    let touched =
        admin.patch("authored", &PatchParams::default(), &Patch::Merge(&touch)).await.expect("patched");
    assert_eq!(
        author(&touched).as_deref(),
        Some("olena"),
        "a write that leaves the spec alone keeps the author"
    );
    let change = json!({ "spec": { "paused": true } });
    let changed =
        admin.patch("authored", &PatchParams::default(), &Patch::Merge(&change)).await.expect("patched");
    assert_ne!(author(&changed).as_deref(), Some("olena"), "a changed spec has its own author");
}

#[tokio::test]
async fn nobody_but_the_operator_writes_a_building_block() {
    let (cluster, client) = cluster().await;
    let block: BuildingBlock = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "BuildingBlock",
        "metadata": { "name": "cel-identity", "namespace": "kinds" },
        "spec": { "stack": "cel", "block": "identity" },
    }))
    .expect("a BuildingBlock");
    let admin: Api<BuildingBlock> = Api::namespaced(client, "kinds");
    let operator: Api<BuildingBlock> =
        Api::namespaced(as_user(cluster, OPERATOR, &["system:masters"]).await, "kinds");
    timeout(Duration::from_secs(30), async {
        while admin.create(&strict(), &block).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the policy takes effect in time");
    let error = admin.create(&strict(), &block).await.expect_err("refused").to_string();
    assert!(error.contains("written by Plinth alone"), "{error}");
    operator.create(&strict(), &block).await.expect("the operator may");
}
