//! A life of Stacks, so that the operator does everything that it does: brings them up, follows changes, mends drift, hears
//! approvals and rotations, tells agencies, renders every kind, takes everything down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config};
use plinth_api::rights::{KINDS, Kind};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{BuildingBlock, ExchangeAgreement, PublicService, Stack, WorkloadCluster, names};
use plinth_cluster::testing::TestCluster;
use plinth_plan::Inputs;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::account::apply;
use super::closure_stacks;
use super::house::{condition, eventually, operation, ready, smallest};
use super::sandbox;
use super::unused::NOT_BUILT_IN;

const REGISTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/register.yaml");

/// The smallest Stack, backed up, with its data to go when it goes.
pub(crate) async fn a_stack_comes_up(client: &Client) -> Result<()> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let account = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "account", "namespace": "dpi" },
        "stringData": { "accessKey": "vault", "secretKey": "secret" } });
    apply(client, &account).await?;
    let mut wanted = smallest()?;
    wanted.spec.backup = serde_json::from_value(json!({
        "schedule": "0 2 * * *",
        "target": { "endpoint": "https://s3.backup.example", "bucket": "backups", "credentialsSecret": "account" },
        "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    }))?;
    wanted.spec.deletion = serde_json::from_value(json!({ "policy": "Delete", "confirm": "small" }))?;
    stacks.create(&PostParams::default(), &wanted).await?;
    ready(&stacks, "small").await.map(drop)
}

/// A change that somebody else approves, an object that is deleted by hand, a secret that is rotated.
pub(crate) async fn it_is_changed_drifts_and_is_approved(
    cluster: &TestCluster,
    client: &Client,
) -> Result<()> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    a_block_comes_and_goes(client, &stacks).await?;
    let held = json!({ "spec": { "changePolicy": { "approval": "Required" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(held)).await?;
    let hash = eventually("the plan is held", async || {
        let stack = stacks.get("small").await?;
        let held = matches!(condition(&stack, "Approved"), Some(("False", ..)));
        Ok(stack.status.and_then(|status| status.plan_hash).filter(|_| held))
    })
    .await?;
    let approver = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "approvers", "namespace": "dpi" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "plinth-approver" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ben" }],
    });
    apply(client, &approver).await?;
    let ben = client_of(&cluster.kubeconfig_for("ben", &[])?).await?;
    let yes = json!({ "stack": "small", "type": "Approve", "reason": "read it", "planHash": hash });
    let approved = operation(&ben, "yes", "somebody else", yes).await?;
    ensure!(approved.phase == OperationPhase::Succeeded, "{approved:?}");
    ensure!(approved.by.as_deref() == Some("ben"), "who asks is stamped, not believed: {approved:?}");
    ready(&stacks, "small").await?;

    let services: Api<Service> = Api::namespaced(client.clone(), "small-identity");
    let service = services.list(&ListParams::default()).await?.items.remove(0);
    let name = service.metadata.name.context("a Service without a name")?;
    services.delete(&name, &DeleteParams::default()).await?;
    eventually("what was deleted by hand is back", async || {
        Ok(services.get_opt(&name).await?.filter(|s| s.metadata.uid != service.metadata.uid))
    })
    .await?;

    let secrets: Api<Secret> = Api::namespaced(client.clone(), "small-identity");
    for secret in secrets.list(&ListParams::default()).await?.items {
        let name = secret.metadata.name.unwrap_or_default();
        let spec = json!({ "stack": "small", "type": "Rotate", "reason": "leaked",
            "rotate": { "block": "identity", "secret": name } });
        let rotated = operation(client, &format!("rotate-{name}"), "anna", spec).await?;
        if rotated.phase == OperationPhase::Succeeded {
            return ready(&stacks, "small").await.map(drop);
        }
    }
    anyhow::bail!("no secret could be rotated")
}

/// One block more, and then not: its BuildingBlock goes with it.
async fn a_block_comes_and_goes(client: &Client, stacks: &Api<Stack>) -> Result<()> {
    let identity = json!({ "name": "identity", "product": "keycloak" });
    let exchange = json!({ "name": "information-mediator", "product": "gateway-exchange" });
    let both = json!({ "spec": { "blocks": [identity, exchange] } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(both)).await?;
    ready(stacks, "small").await?;
    let one = json!({ "spec": { "blocks": [identity] } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(one)).await?;
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    eventually("the block is gone", async || {
        Ok(blocks.get_opt("small-information-mediator").await?.is_none().then_some(()))
    })
    .await?;
    ready(stacks, "small").await.map(drop)
}

/// Agencies in namespaces of their own: what they are told stands in the status of their objects.
pub(crate) async fn what_agencies_declare_is_told(client: &Client) -> Result<()> {
    let text = std::fs::read_to_string(REGISTER)?;
    let mut objects: Vec<Value> =
        serde_yaml::Deserializer::from_str(&text).map(Value::deserialize).collect::<Result<_, _>>()?;
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    for object in &mut objects {
        if object["kind"] == "Stack" {
            object["spec"]["deletion"] = json!({ "policy": "Delete", "confirm": "registers" });
        }
        apply(client, object).await?;
    }
    let service = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "PublicService",
        "metadata": { "name": "help", "namespace": "families" },
        "spec": {
            "stackRef": { "name": "registers", "namespace": "dpi" },
            "title": { "en": "Help", "fr": "Aide" },
            "description": { "en": "Says where help is.", "fr": "Dit où est l'aide." },
            "channels": ["Web"],
        },
    });
    apply(client, &service).await?;
    ready(&Api::namespaced(client.clone(), "dpi"), "registers").await?;
    let services: Api<PublicService> = Api::namespaced(client.clone(), "families");
    eventually("the public service is told", async || {
        Ok(services.get("help").await?.status.is_some_and(|s| !s.conditions.is_empty()).then_some(()))
    })
    .await?;
    let agreements: Api<ExchangeAgreement> = Api::all(client.clone());
    eventually("the agreement is in force", async || {
        let all = agreements.list(&ListParams::default()).await?.items;
        let holds = |agreement: &ExchangeAgreement| {
            let status = agreement.status.as_ref();
            status.is_some_and(|s| s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        };
        Ok((!all.is_empty() && all.iter().all(holds)).then_some(()))
    })
    .await
}

/// Few Stacks that together render every kind that any built-in product does; each kind is really made.
pub(crate) async fn every_kind_is_made(client: &Client) -> Result<()> {
    let chosen = cover()?;
    for (number, (stack, kinds)) in chosen.into_iter().enumerate() {
        let name = format!("kinds-{number}");
        let mut wanted = stack;
        wanted.metadata.name = Some(name.clone());
        wanted.metadata.namespace = Some("dpi".to_owned());
        wanted.spec.deletion = serde_json::from_value(json!({ "policy": "Delete", "confirm": name }))?;
        let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
        stacks.create(&PostParams::default(), &wanted).await?;
        for kind in kinds {
            let what = format!("a {} of Stack {name} is made", kind.kind);
            let made = eventually(&what, async || {
                play(client, &name).await?;
                is_made(client, kind, &name).await
            });
            if let Err(error) = made.await {
                let status = stacks.get(&name).await?.status;
                return Err(error.context(serde_json::to_string(&status)?));
            }
        }
    }
    Ok(())
}

/// Nobody acts here on the kinds of other operators. What later objects wait for is said to be ready, as Flux, CloudNativePG and
/// Strimzi would say it. Gateways are simulated by the cluster.
async fn play(client: &Client, stack: &str) -> Result<()> {
    for kind in KINDS
        .iter()
        .filter(|kind| kind.in_products && kind.extension.is_some_and(|name| name != "gateway-api"))
    {
        for object in of_stack(client, kind, stack).await? {
            let metadata = &object.metadata;
            let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { continue };
            let mut status = json!({
                "observedGeneration": metadata.generation,
                "conditions": [{ "type": "Ready", "status": "True", "reason": "Played", "message": "played",
                    "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": metadata.generation }],
            });
            if kind.kind == "Database" {
                status["applied"] = json!(true);
            }
            let roles = object.data.pointer("/spec/managed/roles").and_then(Value::as_array);
            if let Some(roles) = roles {
                let names: Vec<&Value> = roles.iter().map(|role| &role["name"]).collect();
                status["managedRolesStatus"] = json!({ "byStatus": { "reconciled": names } });
            }
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource(kind));
            let patch = Patch::Merge(json!({ "status": status }));
            api.patch_status(name, &PatchParams::default(), &patch).await?;
        }
    }
    Ok(())
}

fn resource(kind: &Kind) -> ApiResource {
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", kind.api_version));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.kind), kind.plural)
}

async fn of_stack(client: &Client, kind: &Kind, stack: &str) -> Result<Vec<DynamicObject>> {
    let labelled = ListParams::default().labels(&format!("{}={stack}", names::LABEL_STACK));
    Ok(Api::all_with(client.clone(), &resource(kind)).list(&labelled).await?.items)
}

async fn is_made(client: &Client, kind: &Kind, stack: &str) -> Result<Option<()>> {
    Ok((!of_stack(client, kind, stack).await?.is_empty()).then_some(()))
}

/// Stacks of the closure's cases, the smallest first, each with the kinds that no earlier one renders.
fn cover() -> Result<Vec<(Stack, Vec<&'static Kind>)>> {
    let nothing = Some(BTreeMap::new());
    let catalogue = plinth_plan::catalogue::Catalogue::builtin()
        .map_err(|findings| anyhow::anyhow!("{}", findings[0]))?;
    let inputs = Inputs {
        catalogue,
        secrets: nothing.clone(),
        config_maps: Some(BTreeMap::new()),
        ..Inputs::default()
    };
    let mut cases = Vec::new();
    for case in closure_stacks::cases() {
        // What runs elsewhere has secrets that nobody has here.
        let spec = &case.stack.spec;
        let is_elsewhere = spec.backing.iter().any(|b| b.external.is_some())
            || spec.blocks.iter().any(|b| b.external.is_some());
        let Ok(plan) = plinth_plan::plan(&case.stack, &inputs) else { continue };
        if is_elsewhere {
            continue;
        }
        let kinds: BTreeSet<(String, String)> =
            plan.objects().map(|o| (o.key.api_version.clone(), o.key.kind.clone())).collect();
        cases.push((plan.objects().count(), case.stack, kinds));
    }
    cases.sort_by_key(|(objects, ..)| *objects);
    let renders = |kinds: &BTreeSet<(String, String)>, kind: &Kind| {
        kinds.iter().any(|(api_version, name)| api_version == kind.api_version && name == kind.kind)
    };
    let mut chosen: Vec<(Stack, Vec<&'static Kind>)> = Vec::new();
    // No case is backed up; the first Stack here is.
    let mut left: Vec<&'static Kind> = KINDS.iter().filter(|kind| kind.kind != "CronJob").collect();
    for (_, stack, kinds) in &cases {
        let (new, rest) = left.iter().copied().partition::<Vec<_>, _>(|kind| renders(kinds, kind));
        if !new.is_empty() {
            chosen.push((stack.clone(), new));
        }
        left = rest;
    }
    let left: BTreeSet<&str> = left.into_iter().map(|kind| kind.plural).collect();
    let expected: BTreeSet<&str> = NOT_BUILT_IN.iter().chain(sandbox::BOUNDS).copied().collect();
    ensure!(left == expected, "kinds that no built-in product renders: {left:?}, expected {expected:?}");
    Ok(chosen)
}

/// A Stack whose block is on a cluster that is reached by an account of its own there.
pub(crate) async fn a_block_runs_on_another_cluster(client: &Client, kubeconfig: &str) -> Result<()> {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "site-a", "namespace": "dpi" }, "stringData": { "kubeconfig": kubeconfig } });
    let cluster = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "WorkloadCluster",
        "metadata": { "name": "site-a", "namespace": "dpi" },
        "spec": { "kubeconfigSecret": { "name": "site-a" }, "jurisdiction": "EE", "location": "EE", "site": "a" },
    });
    let mut stack = serde_json::to_value(smallest()?)?;
    stack["metadata"]["name"] = json!("far");
    stack["spec"]["placement"] = json!({ "blocks": [{ "block": "identity", "clusters": ["site-a"] }] });
    stack["spec"]["deletion"] = json!({ "policy": "Delete", "confirm": "far" });
    for object in [&secret, &cluster, &stack] {
        apply(client, object).await?;
    }
    let up = ready(&Api::namespaced(client.clone(), "dpi"), "far").await?;
    let blocks = up.status.unwrap_or_default().blocks;
    ensure!(blocks.iter().all(|block| block.cluster.as_deref() == Some("site-a")), "{blocks:?}");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    eventually("the credentials are held", async || {
        let finalizers = secrets.get("site-a").await?.metadata.finalizers.unwrap_or_default();
        Ok(finalizers.iter().any(|finalizer| finalizer == names::FINALIZER).then_some(()))
    })
    .await
}

/// Every Stack is deleted, with its data; then nothing holds the other cluster and its credentials any more.
pub(crate) async fn all_of_it_goes(client: &Client) -> Result<()> {
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    for stack in stacks.list(&ListParams::default()).await?.items {
        stacks.delete(&stack.metadata.name.unwrap_or_default(), &DeleteParams::default()).await?;
    }
    eventually("the Stacks are gone", async || {
        Ok(stacks.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await?;
    let clusters: Api<WorkloadCluster> = Api::namespaced(client.clone(), "dpi");
    clusters.delete("site-a", &DeleteParams::default()).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    secrets.delete("site-a", &DeleteParams::default()).await?;
    eventually("the cluster and its credentials are gone", async || {
        let left = clusters.get_opt("site-a").await?.is_some() || secrets.get_opt("site-a").await?.is_some();
        Ok((!left).then_some(()))
    })
    .await
}

/// A client with the credentials in a file.
pub(crate) async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
