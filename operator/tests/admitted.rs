//! Everything that any entry renders, in any profile, is admitted by the real API server: strictly by its schema, and
//! its pods under the Pod Security level that the block's namespace enforces.

#[path = "../plan/tests/closure_stacks/mod.rs"]
mod closure_stacks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client};
use plinth_api::names;
use plinth_cluster::testing::{TestCluster, eventually};
use plinth_cluster::{Nodes, Options};
use plinth_plan::Inputs;
use plinth_plan::model::{Desired, Plan};
use serde_json::{Value, json};

/// Requests under way at the same time.
const AT_ONCE: usize = 16;
/// Plans that are made while an earlier one is asked about.
const PLANS_AHEAD: usize = 4;
/// Longest wait for the account of a new namespace.
const ACCOUNT: Duration = Duration::from_secs(30);
/// The kind of an object is not served.
const MISSING: &str = "MISSING";

/// What the API server says about one object, or nothing when it admits it.
async fn refusal(client: &Client, discovery: &Discovery, desired: &Desired) -> Result<(), String> {
    let types = TypeMeta { api_version: desired.key.api_version.clone(), kind: desired.key.kind.clone() };
    let kind = GroupVersionKind::try_from(&types).map_err(|e| e.to_string())?;
    let Some((resource, capabilities)) = discovery.resolve_gvk(&kind) else {
        return Err(MISSING.to_owned());
    };
    let namespace = desired.key.namespace.as_deref().unwrap_or_default();
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let params = PatchParams::apply("plinth").dry_run().validation_strict();
    let mut body = desired.body.clone();
    // A plan holds no secret values, and some types of Secret have to have certain keys.
    for key in desired.secret.keys() {
        body["stringData"][key] = json!("{}");
    }
    api.patch(&desired.key.name, &params, &Patch::Apply(&body)).await.map_err(said)?;
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
    pods.create(&params, &pod).await.map(drop).map_err(|error| format!("its pod: {}", said(error)))
}

/// The API server's own words.
fn said(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The namespaces of a plan, really made: Pod Security reads their labels. Those that are as they should be are left.
async fn make_namespaces(client: &Client, plan: &Plan, made: &mut BTreeMap<String, String>) {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut changed = Vec::new();
    for desired in plan.objects().filter(|o| o.key.kind == "Namespace") {
        let before = made.insert(desired.key.name.clone(), desired.hash.clone());
        if before.as_ref() != Some(&desired.hash) {
            changed.push(desired);
        }
    }
    futures::stream::iter(changed)
        .for_each_concurrent(AT_ONCE, |desired| {
            let api = &api;
            async move {
                let params = PatchParams::apply("plinth").force().validation_strict();
                let made = api.patch(&desired.key.name, &params, &Patch::Apply(&desired.body)).await;
                made.expect("the namespace is made");
                has_its_account(client, &desired.key.name).await;
            }
        })
        .await;
}

/// A controller makes the account that pods of a new namespace run as; without it they are refused for that alone.
async fn has_its_account(client: &Client, namespace: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let there = async || Ok::<_, plinth_cluster::Error>(accounts.get_opt("default").await.ok().flatten());
    eventually(ACCOUNT, "the namespace's account", there).await.expect("the account is made");
}

/// The Pod Security level of each namespace of a plan. What is not `restricted` says why.
fn levels(plan: &Plan) -> BTreeMap<&str, &str> {
    let mut levels = BTreeMap::new();
    for namespace in plan.objects().filter(|o| o.key.kind == "Namespace") {
        let labels = &namespace.body["metadata"]["labels"];
        let level = labels["pod-security.kubernetes.io/enforce"].as_str().unwrap_or("nothing");
        if level != "restricted" {
            let annotations = namespace.body["metadata"]["annotations"].to_string();
            assert!(annotations.contains("plinth.dev/pod-security-"), "{}: no reason", namespace.key);
        }
        levels.insert(namespace.key.name.as_str(), level);
    }
    levels
}

/// The product that an object is of; a block's own foundation is of none.
fn product(desired: &Desired) -> &str {
    desired.body["metadata"]["labels"][names::LABEL_PART_OF].as_str().unwrap_or("(foundation)")
}

/// What was asked and what was refused, of one product.
#[derive(Default)]
struct Count {
    checked: usize,
    refused: usize,
}

#[tokio::test]
async fn everything_rendered_is_admitted_under_the_pod_security_of_its_namespace() {
    let options =
        |options: Options| options.nodes(Nodes::None).audit(false).gateway_api(true).ecosystem(true);
    let cluster = TestCluster::start_with(options).await.expect("the control plane starts");
    let client = cluster.client().await.expect("a client");
    let discovery = Discovery::new(client.clone()).run().await.expect("discovery");
    let inputs = Arc::new(Inputs { catalogue: closure_stacks::catalogue(), ..Inputs::default() });
    let (mut made, mut asked) = (BTreeMap::new(), BTreeSet::new());
    let (mut wrong, mut missing, mut exceptions) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let (mut objects, mut cases) = (0, 0);
    // Planning takes the processor, asking takes the time: one goes on while the other does.
    let mut plans = futures::stream::iter(closure_stacks::cases())
        .map(|case| {
            let inputs = inputs.clone();
            tokio::task::spawn_blocking(move || (plinth_plan::plan(&case.stack, &inputs), case.name))
        })
        .buffered(PLANS_AHEAD);
    while let Some(planned) = plans.next().await {
        let (plan, name) = planned.expect("planning does not panic");
        let plan = match plan {
            Ok(plan) => plan,
            Err(findings) => {
                wrong.extend(findings.iter().map(|finding| format!("{name}: no plan: {finding}")));
                continue;
            }
        };
        make_namespaces(&client, &plan, &mut made).await;
        let levels = levels(&plan);
        let lax = levels.iter().filter(|(_, level)| **level != "restricted");
        exceptions.extend(lax.map(|(name, level)| format!("{name} enforces {level}")));
        cases += 1;
        objects += plan.objects().count();
        // Most objects are the same in many cases; the answer to one is the answer to all of them.
        let new = plan.objects().filter(|desired| {
            let level = desired.key.namespace.as_deref().and_then(|namespace| levels.get(namespace));
            asked.insert((desired.key.clone(), desired.hash.clone(), level.map(|level| (*level).to_owned())))
        });
        let answers: Vec<_> = futures::stream::iter(new.collect::<Vec<_>>())
            .map(|desired| {
                let (client, discovery) = (&client, &discovery);
                async move { (desired, refusal(client, discovery, desired).await) }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (desired, answer) in answers {
            let count = counts.entry(product(desired).to_owned()).or_default();
            count.checked += 1;
            let Err(why) = answer else { continue };
            count.refused += 1;
            if why == MISSING {
                missing.insert(format!("{} {}", desired.key.api_version, desired.key.kind));
            } else {
                wrong.push(format!("{name}: {}: {}: {why}", product(desired), desired.key));
            }
        }
    }
    let checked = asked.len();
    println!(
        "{objects} objects of {cases} Stacks, {checked} of them different, checked; not restricted: {exceptions:?}"
    );
    let table: Vec<String> = counts
        .iter()
        .map(|(product, count)| format!("{product}: {} of {} refused", count.refused, count.checked))
        .collect();
    let table = table.join("\n");
    assert!(
        missing.is_empty(),
        "not served here, so not checked: {missing:?}; add their definitions to e2e/cluster/crds\n{table}"
    );
    wrong.sort();
    assert!(wrong.is_empty(), "{} wrong, {checked} checked:\n{}\n{table}", wrong.len(), wrong.join("\n"));
    assert!(checked > 500, "only {checked} objects were checked");
}
