//! What the tests of a running operator share: a cluster with the kinds, the operator, waiting with a limit.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use plinth::run::{Options, run_until};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{
    BuildingBlock, ExchangeAgreement, Member, Operation, OperationStatus, Product, PublicService, Registry,
    Sandbox, SandboxPolicy, Stack, WorkloadCluster, names,
};
use plinth_cluster::testing::{self, TestCluster};
use plinth_runtime::clusters::Access;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A whole country on a busy machine takes a minute; a stuck one must not take an hour.
pub(crate) const LIMIT: Duration = Duration::from_secs(420);

/// Tries until it holds, within [`LIMIT`].
pub(crate) async fn eventually<T>(what: &str, attempt: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    testing::eventually(LIMIT, what, attempt).await
}

pub(crate) struct Operator {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Operator {
    pub(crate) fn start(cluster: &TestCluster, identity: &str) -> Self {
        Self::run(Options {
            access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
            identity: Some(identity.to_owned()),
            ..Options::default()
        })
    }

    pub(crate) fn run(options: Options) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run_until(options, stop.clone())), stop }
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await?
    }

    /// As SIGKILL would: nothing is finished, the lease is not released.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) async fn prepare(cluster: &TestCluster) -> Result<Client> {
    let client = cluster.client().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in plinth_api::definitions() {
        definitions.create(&PostParams::default(), &definition).await?;
    }
    eventually("the kinds are served", async || {
        let served = served::<Stack>(&client).await
            && served::<Operation>(&client).await
            && served::<Product>(&client).await
            && served::<BuildingBlock>(&client).await
            && served::<Member>(&client).await
            && served::<ExchangeAgreement>(&client).await
            && served::<Registry>(&client).await
            && served::<PublicService>(&client).await
            && served::<WorkloadCluster>(&client).await
            && served::<Sandbox>(&client).await
            && served::<SandboxPolicy>(&client).await;
        Ok(served.then_some(()))
    })
    .await?;
    let namespace = json!({ "metadata": { "name": "dpi" } });
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await?;
    Ok(client)
}

async fn served<K>(client: &Client) -> bool
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    Api::<K>::all(client.clone()).list(&ListParams::default()).await.is_ok()
}

pub(crate) fn smallest() -> Result<Stack> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/smallest.yaml"))?;
    Ok(serde_yaml::from_str(&text)?)
}

pub(crate) fn condition<'a>(stack: &'a Stack, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let condition = stack.status.as_ref()?.conditions.iter().find(|c| c.type_ == kind)?;
    Some((&condition.status, &condition.reason, &condition.message))
}

pub(crate) async fn ready(stacks: &Api<Stack>, name: &str) -> Result<Stack> {
    let mut last = String::new();
    let found = eventually("the Stack is Ready", async || {
        let stack = stacks.get(name).await?;
        let observed = stack.status.as_ref().and_then(|status| status.observed_generation);
        last = serde_json::to_string(&stack.status)?;
        let is_ready = matches!(condition(&stack, "Ready"), Some(("True", ..)));
        Ok((is_ready && observed == stack.metadata.generation).then_some(stack))
    })
    .await;
    found.with_context(|| last)
}
/// Mutating requests of the operator so far, without those for its lease.
pub(crate) fn writes(cluster: &TestCluster) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(cluster.audit_log())?;
    let mut writes = Vec::new();
    for line in log.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let mutates = matches!(text("verb").as_str(), "create" | "update" | "patch" | "delete");
        let object = &event["objectRef"];
        if !mutates || !text("userAgent").starts_with("plinth/") || object["resource"] == "leases" {
            continue;
        }
        if event["stage"] == "ResponseComplete" {
            writes.push(format!("{} {}", text("verb"), text("requestURI")));
        }
    }
    Ok(writes)
}

pub(crate) async fn values(client: &Client) -> Result<Vec<(String, String)>> {
    let selector = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
    let secrets = Api::<Secret>::all(client.clone()).list(&ListParams::default().labels(&selector)).await?;
    secrets
        .items
        .into_iter()
        .map(|s| Ok((s.metadata.name.unwrap_or_default(), serde_json::to_string(&s.data)?)))
        .collect()
}

/// The step that a message asks somebody to say yes to.
pub(crate) fn step_in(message: &str) -> Option<&str> {
    message.split_once("--step ").and_then(|(_, rest)| rest.split([')', ' ']).next())
}

/// How an approval ends: of a plan or a step of a Stack in `dpi`, by somebody.
pub(crate) async fn approval(
    client: &Client,
    stack: &str,
    name: &str,
    by: &str,
    what: Value,
) -> Result<OperationStatus> {
    let mut spec = json!({ "stack": stack, "type": "Approve", "reason": "read it" });
    spec.as_object_mut().context("an object")?.extend(what.as_object().cloned().unwrap_or_default());
    operation(client, name, by, spec).await
}

/// How an Operation in `dpi` ends that somebody asks for.
pub(crate) async fn operation(client: &Client, name: &str, by: &str, spec: Value) -> Result<OperationStatus> {
    let operations: Api<Operation> = Api::namespaced(client.clone(), "dpi");
    let operation = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation",
        "metadata": { "name": name, "annotations": { names::ANNOTATION_AUTHOR: by } }, "spec": spec,
    });
    operations.create(&PostParams::default(), &serde_json::from_value(operation)?).await?;
    eventually("the Operation ends", async || {
        let status = operations.get(name).await?.status.unwrap_or_default();
        let ended = !matches!(status.phase, OperationPhase::Pending | OperationPhase::Running);
        Ok(ended.then_some(status))
    })
    .await
}

/// Lets people approve the plans of Stacks.
pub(crate) async fn let_approve(client: &Client, people: &[&str]) -> Result<()> {
    let role = json!({ "metadata": { "name": "approver" }, "rules": [
        { "apiGroups": [names::GROUP], "resources": ["stacks"], "verbs": ["approve"] } ] });
    let roles: Api<k8s_openapi::api::rbac::v1::Role> = Api::namespaced(client.clone(), "dpi");
    roles.create(&PostParams::default(), &serde_json::from_value(role)?).await?;
    let group = "rbac.authorization.k8s.io";
    let subjects: Vec<_> =
        people.iter().map(|name| json!({ "apiGroup": group, "kind": "User", "name": name })).collect();
    let binding = json!({ "metadata": { "name": "approver" }, "subjects": subjects,
        "roleRef": { "apiGroup": group, "kind": "Role", "name": "approver" } });
    let bindings: Api<k8s_openapi::api::rbac::v1::RoleBinding> = Api::namespaced(client.clone(), "dpi");
    bindings.create(&PostParams::default(), &serde_json::from_value(binding)?).await?;
    Ok(())
}
