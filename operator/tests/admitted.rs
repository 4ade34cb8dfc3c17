//! Everything that any entry renders, in any profile, is admitted by the real API server: strictly by its schema, and
//! its pods under the Pod Security level that the block's namespace enforces.

#[path = "../plan/tests/closure_stacks/mod.rs"]
mod closure_stacks;

use std::collections::BTreeSet;

use futures::StreamExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_plan::Inputs;
use plinth_plan::model::{Desired, Plan};
use serde_json::{Value, json};

/// What the API server says about one object, or nothing when it admits it.
async fn refusal(client: &Client, discovery: &Discovery, desired: &Desired) -> Result<(), String> {
    let types = TypeMeta { api_version: desired.key.api_version.clone(), kind: desired.key.kind.clone() };
    let kind = GroupVersionKind::try_from(&types).map_err(|e| e.to_string())?;
    let Some((resource, capabilities)) = discovery.resolve_gvk(&kind) else {
        return Err("MISSING".to_owned());
    };
    let namespace = desired.key.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let params = PatchParams::apply("plinth").dry_run().validation_strict();
    api.patch(&desired.key.name, &params, &Patch::Apply(&desired.body)).await.map_err(|e| e.to_string())?;
    let Some(template) =
        desired.body.pointer("/spec/template").filter(|t| t.pointer("/spec/containers").is_some())
    else {
        return Ok(());
    };
    // Pod Security is enforced on pods, not on what makes them.
    let pods: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        namespace,
        &kube::core::ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()),
    );
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("probe");
    // A StatefulSet adds the volumes of its claims; the account is not made in a dry run.
    let spec = pod["spec"].as_object_mut().expect("a pod spec");
    spec.remove("serviceAccountName");
    let claims = desired.body.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).cloned();
    if let Some(claims) = claims {
        let volumes = spec.entry("volumes").or_insert_with(|| json!([])).as_array_mut().expect("a list");
        for claim in claims {
            let name = &claim["metadata"]["name"];
            volumes.push(json!({ "name": name, "persistentVolumeClaim": { "claimName": name } }));
        }
    }
    let pod: DynamicObject = serde_json::from_value(pod).map_err(|e| e.to_string())?;
    let params = PostParams { dry_run: true, ..PostParams::default() };
    pods.create(&params, &pod).await.map(drop).map_err(|e| format!("its pod: {e}"))
}

/// The namespaces of a plan, really made: Pod Security reads their labels.
async fn make_namespaces(client: &Client, plan: &Plan) {
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    for desired in plan.objects().filter(|o| o.key.kind == "Namespace") {
        let params = PatchParams::apply("plinth").force().validation_strict();
        api.patch(&desired.key.name, &params, &Patch::Apply(&desired.body))
            .await
            .expect("the namespace is made");
    }
}

#[tokio::test]
async fn everything_rendered_is_admitted_under_the_pod_security_of_its_namespace() {
    let cluster = TestCluster::start_with(|options| options.nodes(Nodes::None).gateway_api(true))
        .await
        .expect("the control plane starts");
    let client = cluster.client().await.expect("a client");
    let discovery = Discovery::new(client.clone()).run().await.expect("discovery");
    let inputs = Inputs { catalogue: closure_stacks::catalogue(), ..Inputs::default() };
    let (mut wrong, mut missing, mut checked) = (Vec::new(), BTreeSet::new(), 0);
    let mut exceptions = BTreeSet::new();
    for case in closure_stacks::cases() {
        let plan = plinth_plan::plan(&case.stack, &inputs).unwrap_or_else(|f| panic!("{}: {f:?}", case.name));
        make_namespaces(&client, &plan).await;
        for namespace in plan.objects().filter(|o| o.key.kind == "Namespace") {
            let labels = &namespace.body["metadata"]["labels"];
            let level = labels["pod-security.kubernetes.io/enforce"].as_str().unwrap_or("nothing").to_owned();
            if level != "restricted" {
                let annotations = namespace.body["metadata"]["annotations"].to_string();
                assert!(annotations.contains("plinth.dev/pod-security-"), "{}: no reason", namespace.key);
                exceptions.insert(format!("{} enforces {level}", namespace.key.name));
            }
        }
        let answers: Vec<_> = futures::stream::iter(plan.objects())
            .map(|desired| {
                let (client, discovery) = (&client, &discovery);
                async move { (desired.key.clone(), refusal(client, discovery, desired).await) }
            })
            .buffer_unordered(16)
            .collect()
            .await;
        for (key, answer) in answers {
            checked += 1;
            match answer {
                Ok(()) => {}
                Err(why) if why == "MISSING" => {
                    missing.insert(format!("{} {}", key.api_version, key.kind));
                }
                Err(why) => wrong.push(format!("{}: {key}: {why}", case.name)),
            }
        }
    }
    println!("{checked} objects checked; not served here: {missing:?}; not restricted: {exceptions:?}");
    assert!(wrong.is_empty(), "{} of {checked} refused:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 500, "only {checked} objects were checked");
}
