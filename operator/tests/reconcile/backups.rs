//! Operations of type Backup and Restore, carried out by a running operator. Nodes are simulated: what Jobs really do is tried in
//! `e2e/images/tests/backups.rs`.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{Operation, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

const BACKUP: &str = "20261130T000000Z";

fn backed_up() -> Result<Stack> {
    let mut stack = serde_json::to_value(smallest()?)?;
    stack["spec"]["backup"] = json!({
        "schedule": "0 2 * * *",
        "target": { "endpoint": "https://s3.backup.example", "bucket": "dpi-backups", "credentialsSecret": "account" },
        "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    });
    Ok(serde_json::from_value(stack)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_backed_up_when_asked_and_restored_step_by_step_over_a_crash() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let operations: Api<Operation> = Api::namespaced(client.clone(), "dpi");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    let secret = async |name: &str, data: Value| {
        let secret = json!({ "metadata": { "name": name }, "stringData": data });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        anyhow::Ok(())
    };
    stacks.create(&PostParams::default(), &backed_up()?).await?;
    let operator = Operator::start(&cluster, "me");
    eventually("what is missing is named", async || {
        let stack = stacks.get("small").await?;
        let named = matches!(condition(&stack, "BackedUp"), Some(("False", "Blocked", message))
            if message.contains("spec.backup.target.credentialsSecret: Secret `account` does not exist"));
        Ok(named.then_some(()))
    })
    .await?;
    secret("account", json!({ "accessKey": "vault", "secretKey": "secret" })).await?;
    ready(&stacks, "small").await?;
    let cron_jobs: Api<CronJob> = Api::namespaced(client.clone(), "small-identity");
    ensure!(cron_jobs.get("backup-db").await?.spec.is_some_and(|spec| spec.schedule == "0 2 * * *"));
    let known = stacks.get("small").await?.status.unwrap_or_default().backups;
    ensure!(
        known.len() == 1 && known[0].name == "identity/db" && known[0].last_backup.is_none(),
        "{known:?}"
    );

    let ask = async |name: &str, spec: Value| {
        let operation = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation", "metadata": { "name": name }, "spec": spec,
        });
        operations.create(&PostParams::default(), &serde_json::from_value(operation)?).await?;
        anyhow::Ok(())
    };
    let ended = async |name: &str| {
        eventually("it ends", async || {
            let status = operations.get(name).await?.status.unwrap_or_default();
            let ended = !matches!(status.phase, OperationPhase::Pending | OperationPhase::Running);
            Ok(ended.then_some(status))
        })
        .await
    };

    // Backed up now, by a Job of the CronJob's own, once.
    ask("now", json!({ "stack": "small", "type": "Backup", "reason": "before the upgrade" })).await?;
    let status = ended("now").await?;
    ensure!(status.phase == OperationPhase::Succeeded && status.steps.len() == 1, "{status:?}");
    let jobs: Api<Job> = Api::namespaced(client.clone(), "small-identity");
    let of_cron_job = |job: &Job| {
        let owners = job.metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.kind == "CronJob" && owner.name == "backup-db")
    };
    let made = jobs.list(&ListParams::default()).await?.items.into_iter().filter(of_cron_job).count();
    ensure!(made == 1, "{made} Jobs");
    eventually("the Stack says when", async || {
        let known = stacks.get("small").await?.status.unwrap_or_default().backups;
        Ok(known.first().is_some_and(|line| line.last_backup.is_some()).then_some(()))
    })
    .await?;
    let elsewhere =
        json!({ "stack": "small", "type": "Backup", "reason": "?", "backup": { "block": "wallet" } });
    ask("elsewhere", elsewhere).await?;
    let status = ended("elsewhere").await?;
    ensure!(status.phase == OperationPhase::Refused, "{status:?}");
    ensure!(status.message.is_some_and(|message| message.contains("what is, is identity/db")));

    // A restore needs a key, and says so.
    let restore = json!({ "stack": "small", "type": "Restore", "reason": "the volume is lost", "restore": {
        "block": "identity", "requirement": "db", "from": BACKUP, "identitySecret": "escrow" } });
    ask("keyless", restore.clone()).await?;
    let status = ended("keyless").await?;
    ensure!(status.phase == OperationPhase::Refused, "{status:?}");
    ensure!(status.message.is_some_and(|message| message.contains("Secret `escrow` does not exist")));
    secret("escrow", json!({ "identity": "AGE-SECRET-KEY-1" })).await?;

    // With it, it goes from step to step, also when the operator is killed at once.
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "small-identity");
    let before = deployments.get("keycloak").await?.metadata.generation;
    ask("bring-back", restore).await?;
    eventually("it has begun", async || {
        let home = Api::<Namespace>::all(client.clone()).get("small-identity").await?;
        let record = home.metadata.annotations.unwrap_or_default().remove(names::ANNOTATION_RESTORE);
        Ok(record.filter(|record| record.contains(BACKUP)).map(drop))
    })
    .await?;
    operator.kill().await;
    let operator = Operator::start(&cluster, "me");
    let status = ended("bring-back").await?;
    ensure!(status.phase == OperationPhase::Succeeded && status.steps.len() == 3, "{status:?}");
    ensure!(status.message.is_some_and(|m| m.contains("is as in backup 20261130T000000Z")));
    ready(&stacks, "small").await?;
    let after = deployments.get("keycloak").await?;
    ensure!(after.spec.is_some_and(|spec| spec.replicas == Some(1)), "it was not started again");
    // Stopped and started: the block stood still while the database was put in place.
    ensure!(after.metadata.generation > before.map(|g| g + 1), "{before:?} {:?}", after.metadata.generation);
    let own: Api<Secret> = Api::namespaced(client.clone(), "small-identity");
    eventually("the private key is gone", async || {
        Ok(own.get_opt("restore-identity").await?.is_none().then_some(()))
    })
    .await?;
    operator.stop().await
}
