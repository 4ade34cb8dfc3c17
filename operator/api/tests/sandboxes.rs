//! Sandboxes and their policies on the real API server: what is right survives the round trip, what is wrong is refused with the
//! reason, and what was asked once does not change.

use kube::api::{Patch, PatchParams};
use plinth_api::{Operation, Sandbox, SandboxPolicy, Stack};
use serde_json::{Value, json};
use support::{api, apply};

mod support {
    //! One control plane with the kinds.

    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    use kube::api::{Patch, PatchParams};
    use kube::core::{ApiResource, DynamicObject};
    use kube::runtime::wait::{await_condition, conditions::is_crd_established};
    use kube::{Api, Resource, ResourceExt};
    use plinth_cluster::testing::TestCluster;
    use serde_json::Value;
    use tokio::sync::OnceCell;
    use tokio::time::{Duration, timeout};

    static INSTALLED: OnceCell<()> = OnceCell::const_new();

    /// Requests for a kind, in the namespace `default` where it has one.
    pub async fn api<K: Resource<DynamicType = ()>>(namespaced: bool) -> Api<DynamicObject> {
        let cluster = TestCluster::shared().await.expect("the control plane starts");
        let client = cluster.client().await.expect("a client");
        INSTALLED
            .get_or_init(async || {
                let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
                for crd in plinth_api::definitions() {
                    let name = crd.name_any();
                    crds.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&crd))
                        .await
                        .expect("taken");
                    timeout(
                        Duration::from_secs(30),
                        await_condition(crds.clone(), &name, is_crd_established()),
                    )
                    .await
                    .expect("in time")
                    .expect("established");
                }
            })
            .await;
        let resource = ApiResource::erase::<K>(&());
        match namespaced {
            true => Api::namespaced_with(client, "default", &resource),
            false => Api::all_with(client, &resource),
        }
    }

    /// By server-side apply, strict: what is stored, or why it is refused.
    pub async fn apply(api: &Api<DynamicObject>, value: &Value) -> Result<DynamicObject, String> {
        let object: DynamicObject = serde_json::from_value(value.clone()).expect("an object");
        let params = PatchParams::apply("test").force().validation_strict();
        let answer = api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await;
        answer.map_err(|error| error.to_string())
    }
}

fn sandbox(name: &str, change: Value) -> Value {
    let mut spec = json!({
        "template": "cash-transfer",
        "owner": { "team": "families", "contact": "families@example", "groups": ["oidc:families"] },
        "ttl": "14d",
    });
    for (field, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => drop(spec.as_object_mut().and_then(|spec| spec.remove(field))),
            value => spec[field] = value.clone(),
        }
    }
    json!({ "apiVersion": "plinth.dev/v1alpha1", "kind": "Sandbox", "metadata": { "name": name }, "spec": spec })
}

#[tokio::test]
async fn what_is_said_whole_is_stored_as_the_type_has_it() {
    let whole = sandbox(
        "whole",
        json!({
            "quota": { "cpu": "8", "memory": "24Gi", "storage": "100Gi", "objects": 400 },
            "budget": { "monthly": "249.90", "currency": "EUR" },
            "hibernation": { "timeZone": "Europe/Kyiv", "asleep": [{ "days": ["Sat", "Sun"], "from": "00:00", "to": "00:00" }] },
            "people": { "amount": 100_000, "seed": u32::MAX, "country": "UA" },
        }),
    );
    let stored = apply(&api::<Sandbox>(true).await, &whole).await.expect("taken");
    let typed: Sandbox = serde_json::from_value(serde_json::to_value(&stored).unwrap()).expect("understood");
    assert_eq!(serde_json::to_value(&typed.spec).unwrap(), stored.data["spec"]);
    let policy = json!({ "apiVersion": "plinth.dev/v1alpha1", "kind": "SandboxPolicy", "metadata": { "name": "all" }, "spec": {} });
    let stored = apply(&api::<SandboxPolicy>(false).await, &policy).await.expect("taken");
    let typed: SandboxPolicy =
        serde_json::from_value(serde_json::to_value(&stored).unwrap()).expect("understood");
    assert_eq!(typed.spec, plinth_api::SandboxPolicySpec::default(), "the schema's defaults are the type's");
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_field() {
    let api = api::<Sandbox>(true).await;
    for (name, change, expected) in [
        ("a-name-that-is-too-long", json!({}), "at most 20 lower-case letters"),
        ("none", json!({ "template": null }), "give either template"),
        ("both", json!({ "fromStack": { "name": "small" } }), "give either template"),
        ("long", json!({ "ttl": "2w" }), "spec.ttl"),
        ("nobody", json!({ "owner": { "team": "a", "contact": "a@b", "groups": [] } }), "spec.owner.groups"),
        ("negative", json!({ "budget": { "monthly": "-1", "currency": "EUR" } }), "spec.budget.monthly"),
        (
            "never",
            json!({ "hibernation": { "timeZone": "UTC", "asleep": [{ "from": "24:00", "to": "7:00" }] } }),
            "spec.hibernation.asleep[0].from",
        ),
        (
            "much",
            json!({ "quota": { "cpu": "lots", "memory": "1Gi", "storage": "1Gi", "objects": 1 } }),
            "spec.quota.cpu",
        ),
        ("empty", json!({ "people": { "amount": 0, "country": "UA" } }), "spec.people.amount"),
        ("crowded", json!({ "people": { "amount": 100_001, "country": "UA" } }), "spec.people.amount"),
        ("stateless", json!({ "people": { "amount": 1 } }), "spec.people.country: Required"),
        (
            "unknown",
            json!({ "people": { "amount": 1, "country": "FR" } }),
            r#"spec.people.country: Unsupported value: "FR": supported values: "EE", "PE", "UA""#,
        ),
    ] {
        let error =
            apply(&api, &sandbox(name, change)).await.err().unwrap_or_else(|| panic!("{name}: was accepted"));
        assert!(error.contains(expected), "{name}:\n  expected: {expected}\n  said: {error}");
    }
}

#[tokio::test]
async fn people_are_made_up_for_sandboxes_alone() {
    let api = api::<Stack>(true).await;
    let stack = |name: &str, profile: &str| {
        json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": name },
            "spec": {
                "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] },
                "profile": profile,
                "people": { "amount": 1, "country": "EE" },
                "blocks": [{ "name": "identity", "product": "keycloak" }],
            },
        })
    };
    apply(&api, &stack("tried", "sandbox")).await.expect("taken");
    let error = apply(&api, &stack("served", "standard")).await.expect_err("was accepted");
    assert!(error.contains("people: are made up, which only profile sandbox allows"), "{error}");
}

#[tokio::test]
async fn what_was_given_is_not_taken_again() {
    let api = api::<Sandbox>(true).await;
    apply(&api, &sandbox("fixed", json!({}))).await.expect("taken");
    for (change, expected) in [
        (json!({ "ttl": "30d" }), "ttl cannot change: ask for more time by an Operation"),
        (json!({ "template": "digital-id" }), "template cannot change"),
    ] {
        let patch = Patch::Merge(json!({ "spec": change }));
        let error =
            api.patch("fixed", &PatchParams::default(), &patch).await.expect_err("was accepted").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_operation_is_about_a_stack_or_a_sandbox() {
    let api = api::<Operation>(true).await;
    let operation = |name: &str, spec: Value| json!({ "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation", "metadata": { "name": name }, "spec": spec });
    let right = json!({ "sandbox": "demo", "type": "Extend", "reason": "not done", "extend": "14d" });
    apply(&api, &operation("right", right)).await.expect("taken");
    for (name, spec, expected) in [
        ("none", json!({ "type": "Backup", "reason": "?" }), "give either stack or sandbox"),
        (
            "both",
            json!({ "stack": "a", "sandbox": "b", "type": "Wake", "reason": "?" }),
            "give either stack or sandbox",
        ),
        (
            "other",
            json!({ "sandbox": "b", "type": "Backup", "reason": "?" }),
            "sandbox: required exactly for types",
        ),
        (
            "span",
            json!({ "sandbox": "b", "type": "Extend", "reason": "?" }),
            "extend: required exactly for type Extend",
        ),
    ] {
        let error =
            apply(&api, &operation(name, spec)).await.err().unwrap_or_else(|| panic!("{name}: was accepted"));
        assert!(error.contains(expected), "{name}:\n  expected: {expected}\n  said: {error}");
    }
}
