//! A block's data and the provider that has it.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{BuildingBlock, Operation, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backing_service_is_not_switched_under_its_data_not_even_after_a_restart() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    stacks.create(&PostParams::default(), &smallest()?).await?;
    let operator = Operator::start(&cluster, "one");
    ready(&stacks, "small").await?;
    operator.stop().await?;
    let home = Api::<Namespace>::all(client.clone()).get("small-identity").await?;
    let says = home.metadata.annotations.unwrap_or_default().remove(names::ANNOTATION_BACKING);
    ensure!(says.as_deref() == Some(r#"{"postgresql":"postgresql"}"#), "{says:?}");
    let databases: Api<StatefulSet> = Api::namespaced(client.clone(), "small-identity");
    let runs = async || -> Result<Vec<_>> {
        let sets = databases.list(&ListParams::default()).await?.items.into_iter();
        Ok(sets.map(|s| (s.metadata.name, s.metadata.uid, s.metadata.generation)).collect())
    };
    let (before, secrets) = (runs().await?, values(&client).await?);
    ensure!(!before.is_empty());

    // While nobody looks, the Stack is changed; whoever comes next remembers nothing.
    let operators =
        json!({ "spec": { "backing": [{ "capability": "postgresql", "provider": "Operator" }] } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(operators)).await?;
    let written = writes(&cluster)?.len();
    let operator = Operator::start(&cluster, "two");
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    let refused = |stack: &Stack| {
        let found = matches!(condition(stack, "Ready"), Some(("False", "Blocked", message))
            if message.contains("spec.backing[postgresql].provider: is Operator (`postgresql-cnpg`)")
                && message.contains("MigrateProvider"));
        found.then_some(())
    };
    eventually("it is refused", async || Ok(refused(&stacks.get("small").await?))).await?;
    let status = blocks.get("small-identity").await?.status.context("a status")?;
    ensure!(status.state == plinth_api::condition::State::Blocked, "{status:?}");
    let ours = |write: &&String| !write.contains("/status?") && !write.contains("/events");
    let after = writes(&cluster)?;
    let after: Vec<_> =
        after[written..].iter().filter(ours).filter(|w| !w.contains("buildingblocks")).collect();
    ensure!(after.is_empty(), "only what is said of it changes: {after:#?}");
    ensure!(runs().await? == before && values(&client).await? == secrets, "what runs was touched");

    // Set back, all is well, and nothing was made anew.
    let back = json!({ "spec": { "backing": null } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(back)).await?;
    ready(&stacks, "small").await?;
    ensure!(runs().await? == before && values(&client).await? == secrets, "what runs was touched");
    operator.stop().await
}

/// The kinds of CloudNativePG, without its operator.
async fn install_cloudnative_pg(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in ["clusters", "databases"] {
        let path = format!(
            "{}/../e2e/cluster/crds/vendored/cloudnative-pg/postgresql.cnpg.io_{name}.yaml",
            env!("CARGO_MANIFEST_DIR")
        );
        let definition: CustomResourceDefinition = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
        definitions.create(&PostParams::default(), &definition).await?;
    }
    eventually("CloudNativePG's kinds are served", async || {
        let clusters = cloudnative_pg(client, "Cluster").list(&ListParams::default()).await;
        let databases = cloudnative_pg(client, "Database").list(&ListParams::default()).await;
        Ok((clusters.is_ok() && databases.is_ok()).then_some(()))
    })
    .await
}

fn cloudnative_pg(client: &Client, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", kind);
    Api::namespaced_with(client.clone(), "small-identity", &ApiResource::from_gvk(&kind))
}

/// Says what CloudNativePG would say of what is asked of it.
async fn answer_as_cloudnative_pg(client: &Client) -> Result<()> {
    for kind in ["Cluster", "Database"] {
        let api = cloudnative_pg(client, kind);
        for object in api.list(&ListParams::default()).await?.items {
            let roles = object.data["spec"]["managed"]["roles"].as_array().cloned().unwrap_or_default();
            let roles: Vec<_> = roles.iter().map(|role| role["name"].clone()).collect();
            let status = match kind {
                "Cluster" => json!({
                    "conditions": [{ "type": "Ready", "status": "True", "reason": "Up", "message": "",
                        "lastTransitionTime": "2026-11-23T00:00:00Z" }],
                    "managedRolesStatus": { "byStatus": { "reconciled": roles } },
                }),
                _ => json!({ "applied": true }),
            };
            let name = object.metadata.name.unwrap_or_default();
            let patch = Patch::Merge(json!({ "status": status }));
            api.patch_status(&name, &PatchParams::default(), &patch).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_brings_a_block_to_another_provider_and_what_the_old_one_kept_stays() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    install_cloudnative_pg(&client).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let operations: Api<Operation> = Api::namespaced(client.clone(), "dpi");
    stacks.create(&PostParams::default(), &smallest()?).await?;
    let operator = Operator::start(&cluster, "me");
    ready(&stacks, "small").await?;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "small-identity");
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), "small-identity");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), "small-identity");
    let kept = async || -> Result<Vec<_>> {
        let claims = claims.list(&ListParams::default()).await?.items.into_iter().map(|c| c.metadata);
        let secrets = values(&client).await?.into_iter();
        let secrets = secrets.filter(|(name, _)| name.starts_with("postgresql-") && !name.contains("cnpg"));
        let claims: Vec<_> =
            claims.map(|m| (m.name.unwrap_or_default(), m.uid.unwrap_or_default())).collect();
        Ok(claims.into_iter().chain(secrets).collect())
    };
    let old = kept().await?;
    ensure!(old.iter().any(|(name, _)| name == "data-postgresql-0") && old.len() == 3, "{old:?}");

    let migrate = async |name: &str, target: Value| {
        let operation = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation", "metadata": { "name": name },
            "spec": { "stack": "small", "type": "MigrateProvider", "reason": "replicas", "migrateProvider": target },
        });
        operations.create(&PostParams::default(), &serde_json::from_value(operation)?).await?;
        anyhow::Ok(())
    };
    let ended = async |name: &str| {
        eventually("it ends", async || {
            answer_as_cloudnative_pg(&client).await?;
            let status = operations.get(name).await?.status.unwrap_or_default();
            let ended = !matches!(status.phase, OperationPhase::Pending | OperationPhase::Running);
            Ok(ended.then_some(status))
        })
        .await
    };
    let target = json!({ "block": "identity", "capability": "postgresql" });
    ensure!(migrate("nothing", Value::Null).await.is_err(), "the API server lets pass what names no block");
    migrate("early", target.clone()).await?;
    let early = ended("early").await?;
    ensure!(
        early.phase == OperationPhase::Refused
            && early
                .message
                .as_deref()
                .is_some_and(|m| m.contains("set spec.backing[postgresql].provider first")),
        "{early:?}"
    );

    // The Stack asks for the other provider: refused, with what to do.
    let operators = json!({ "metadata": { "annotations": { names::ANNOTATION_AUTHOR: "anna" } }, "spec": {
        "backing": [{ "capability": "postgresql", "provider": "Operator" }], "changePolicy": { "approval": "Required" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(operators)).await?;
    let refused = eventually("it is refused", async || {
        let stack = stacks.get("small").await?;
        let advice = "Create an Operation of type MigrateProvider for block `identity` and capability `postgresql`";
        let is_refused =
            matches!(condition(&stack, "Ready"), Some(("False", "Blocked", message)) if message.contains(advice));
        Ok(is_refused.then_some(stack.status.unwrap_or_default().plan_hash))
    })
    .await?;

    // Asked for, it waits for a second person, who says yes once to all that follows.
    migrate("move-1", target.clone()).await?;
    let hash = eventually("the plan that copies is held", async || {
        let status = stacks.get("small").await?.status.unwrap_or_default();
        Ok((status.plan_hash != refused).then_some(status.plan_hash))
    })
    .await?;
    let_approve(&client, &["ben"]).await?;
    let approval = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation",
        "metadata": { "name": "yes", "annotations": { names::ANNOTATION_AUTHOR: "ben" } },
        "spec": { "stack": "small", "type": "Approve", "reason": "read it", "planHash": hash },
    });
    operations.create(&PostParams::default(), &serde_json::from_value(approval)?).await?;

    // The block stops; CloudNativePG does not answer yet, and the operator is killed.
    eventually("Keycloak is stopped, and both providers are there", async || {
        let replicas = deployments.get("keycloak").await?.spec.and_then(|spec| spec.replicas);
        let there = cloudnative_pg(&client, "Cluster").get_opt("cnpg").await?.is_some();
        Ok((replicas == Some(0) && there && sets.get_opt("postgresql").await?.is_some()).then_some(()))
    })
    .await?;
    operator.kill().await;
    let operator = Operator::start(&cluster, "me");
    eventually("the block says that it is being moved", async || {
        let stack = stacks.get("small").await?;
        let said = matches!(condition(&stack, "Ready"), Some(("False", "Moving", message))
            if message.contains("from `postgresql` to `postgresql-cnpg` by Operation move-1"));
        Ok(said.then_some(()))
    })
    .await?;
    let running = operations.get("move-1").await?.status.unwrap_or_default();
    ensure!(running.phase == OperationPhase::Running && running.steps.len() == 1, "{running:?}");
    migrate("second", target).await?;
    let second = ended("second").await?;
    ensure!(second.phase == OperationPhase::Refused, "{second:?}");

    // It answers: the Job runs, the block is switched.
    let status = ended("move-1").await?;
    ensure!(status.phase == OperationPhase::Succeeded && status.steps.len() == 3, "{status:?}");
    eventually("the Stack is Ready", async || {
        answer_as_cloudnative_pg(&client).await?;
        let stack = stacks.get("small").await?;
        Ok(matches!(condition(&stack, "Ready"), Some(("True", ..))).then_some(()))
    })
    .await?;
    let home = Api::<Namespace>::all(client.clone()).get("small-identity").await?;
    let says = home.metadata.annotations.unwrap_or_default().remove(names::ANNOTATION_BACKING);
    ensure!(says.as_deref() == Some(r#"{"postgresql":"postgresql-cnpg"}"#), "{says:?}");
    let keycloak = deployments.get("keycloak").await?;
    ensure!(keycloak.spec.as_ref().and_then(|spec| spec.replicas) == Some(1));
    ensure!(
        serde_json::to_string(&keycloak)?.contains("cnpg-rw.small-identity.svc"),
        "wired to the old provider"
    );
    eventually("the old server is gone", async || {
        Ok(sets.get_opt("postgresql").await?.is_none().then_some(()))
    })
    .await?;
    ensure!(kept().await? == old, "what the old provider kept was touched: {:?}", kept().await?);
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    eventually("the status lists what remains", async || {
        let status = blocks.get("small-identity").await?.status.unwrap_or_default();
        let listed = |name: &str| status.objects.iter().any(|o| o.object.ends_with(name));
        Ok(old.iter().all(|(name, _)| listed(name)).then_some(()))
    })
    .await?;
    operator.stop().await
}
