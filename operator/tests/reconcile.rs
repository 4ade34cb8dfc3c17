//! The operator on a real control plane with simulated nodes: a Stack comes up, stays still, survives a restart, goes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Client, CustomResourceExt};
use plinth::run::{Options, run_until};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{BuildingBlock, Operation, Product, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_runtime::clusters::Access;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A whole country on a busy machine takes a minute; a stuck one must not take an hour.
const LIMIT: Duration = Duration::from_secs(420);

async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = attempt().await? {
            return Ok(found);
        }
        if started.elapsed() > LIMIT {
            bail!("not within {LIMIT:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

struct Operator {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Operator {
    fn start(cluster: &TestCluster, identity: &str) -> Self {
        let options = Options {
            access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
            identity: Some(identity.to_owned()),
            ..Options::default()
        };
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(run_until(options, stop.clone())), stop }
    }

    async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await?
    }

    /// As SIGKILL would: nothing is finished, the lease is not released.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn prepare(cluster: &TestCluster) -> Result<Client> {
    let client = cluster.client().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in [Stack::crd(), BuildingBlock::crd(), Operation::crd(), Product::crd()] {
        definitions.create(&PostParams::default(), &definition).await?;
    }
    eventually("the kinds are served", async || {
        let stacks = Api::<Stack>::all(client.clone()).list(&ListParams::default()).await;
        let operations = Api::<Operation>::all(client.clone()).list(&ListParams::default()).await;
        let products = Api::<Product>::all(client.clone()).list(&ListParams::default()).await;
        let blocks = Api::<BuildingBlock>::all(client.clone()).list(&ListParams::default()).await;
        Ok((stacks.is_ok() && operations.is_ok() && products.is_ok() && blocks.is_ok()).then_some(()))
    })
    .await?;
    let namespace = json!({ "metadata": { "name": "dpi" } });
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await?;
    Ok(client)
}

fn smallest() -> Result<Stack> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/smallest.yaml"))?;
    Ok(serde_yaml::from_str(&text)?)
}

fn condition<'a>(stack: &'a Stack, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let condition = stack.status.as_ref()?.conditions.iter().find(|c| c.type_ == kind)?;
    Some((&condition.status, &condition.reason, &condition.message))
}

async fn ready(stacks: &Api<Stack>, name: &str) -> Result<Stack> {
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

/// A product that asks the issuer for a client, and whose last step a person has to say yes to.
fn desk() -> Result<Product> {
    let call = |url: &str| json!([{ "name": "open", "act": { "method": "POST", "url": url } }]);
    Ok(serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Product",
        "metadata": { "name": "desk" },
        "spec": {
            "block": "x-desk",
            "title": "Desk",
            "description": "A test.",
            "licence": "Apache-2.0",
            "maturity": "stable",
            "asOf": "2026-11-23",
            "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": { "app": "registry.example/desk:1" } }],
            "requires": [{ "name": "oidc", "capability": "oidc-issuer", "parameters": { "clients": [
                { "id": "desk", "secret": "${secrets.client.secret}", "serviceAccount": true },
            ] } }],
            "secrets": [{ "name": "client", "keys": [{ "name": "secret", "generate": { "length": 32 } }] }],
            "components": [{
                "name": "desk",
                "description": "Serves.",
                "image": "app",
                "env": [
                    { "name": "ISSUER", "ref": "requires.oidc.issuer" },
                    { "name": "SECRET", "ref": "secrets.client.secret" },
                ],
                "ports": [{ "name": "http", "port": 8080 }],
                "probes": { "readiness": { "path": "/", "port": "http" } },
                "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
                "connects": ["requires.oidc"],
            }],
            "onboarding": [{
                "name": "open",
                "description": "Opens the desk.",
                "requiresApproval": "The desk is open to everybody.",
                "connects": ["desk:http"],
                "calls": call("http://desk:8080/open"),
            }],
        },
    }))?)
}

/// Mutating requests of the operator so far, without those for its lease.
fn writes(cluster: &TestCluster) -> Result<Vec<String>> {
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

async fn values(client: &Client) -> Result<Vec<(String, String)>> {
    let selector = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
    let secrets = Api::<Secret>::all(client.clone()).list(&ListParams::default().labels(&selector)).await?;
    secrets
        .items
        .into_iter()
        .map(|s| Ok((s.metadata.name.unwrap_or_default(), serde_json::to_string(&s.data)?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_comes_up_stays_still_survives_a_crash_and_goes_without_residue() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let mut wanted = smallest()?;
    wanted.spec.deletion = serde_json::from_value(json!({ "policy": "Delete", "confirm": "small" }))?;
    stacks.create(&PostParams::default(), &wanted).await?;

    // Killed in the middle of its work, a process of the same name goes on.
    let first = Operator::start(&cluster, "me");
    eventually("something was written", async || Ok((writes(&cluster)?.len() > 8).then_some(()))).await?;
    first.kill().await;
    let second = Operator::start(&cluster, "me");
    let stack = ready(&stacks, "small").await?;
    ensure!(matches!(condition(&stack, "Simulated"), Some(("True", ..))), "{:?}", stack.status);
    let made = values(&client).await?;
    ensure!(!made.is_empty());
    let blocks: Api<BuildingBlock> = Api::namespaced(client.clone(), "dpi");
    let block = blocks.get("small-identity").await?;
    ensure!(block.status.is_some_and(|status| status.state == plinth_api::condition::State::Ready));
    second.stop().await?;

    // A second full reconcile is silent.
    let before = writes(&cluster)?;
    let third = Operator::start(&cluster, "me");
    let touched = json!({ "metadata": { "annotations": { "touched": "yes" } } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(touched)).await?;
    let workloads: Api<kube::api::DynamicObject> = {
        let resource = kube::discovery::ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&());
        Api::namespaced_with(client.clone(), "small-identity", &resource)
    };
    // Silence can only be heard over time; that it looked at all shows afterwards, when it mends what is broken.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = writes(&cluster)?;
    ensure!(before.len() == after.len(), "not silent: {:#?}", &after[before.len()..]);
    let service = workloads.list(&ListParams::default()).await?.items.remove(0);
    let name = service.metadata.name.context("a Service without a name")?;
    workloads.delete(&name, &DeleteParams::default()).await?;
    eventually("what was deleted by hand is back", async || {
        Ok(workloads.get_opt(&name).await?.filter(|s| s.metadata.uid != service.metadata.uid))
    })
    .await?;
    ensure!(values(&client).await? == made, "a value changed");

    // Gone, with data, as the Stack asked.
    stacks.delete("small", &DeleteParams::default()).await?;
    eventually("the Stack is gone", async || Ok(stacks.get_opt("small").await?.is_none().then_some(())))
        .await?;
    eventually("its namespace is gone", async || {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        Ok(namespaces.get_opt("small-identity").await?.is_none().then_some(()))
    })
    .await?;
    eventually("its blocks are gone", async || {
        Ok(blocks.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await?;
    third.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_waits_for_four_eyes_and_a_broken_spec_leaves_what_runs() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let operations: Api<Operation> = Api::namespaced(client.clone(), "dpi");
    Api::<Product>::all(client.clone()).create(&PostParams::default(), &desk()?).await?;
    let mut wanted = smallest()?;
    wanted.spec.blocks.push(serde_json::from_value(json!({ "name": "x-desk", "product": "desk" }))?);
    wanted.spec.change_policy = serde_json::from_value(json!({ "approval": "Required" }))?;
    wanted.metadata.annotations = Some([(names::ANNOTATION_AUTHOR.to_owned(), "anna".to_owned())].into());
    stacks.create(&PostParams::default(), &wanted).await?;
    let operator = Operator::start(&cluster, "me");
    let hash = eventually("the plan is held", async || {
        let stack = stacks.get("small").await?;
        let held = matches!(condition(&stack, "Approved"), Some(("False", ..)));
        Ok(stack.status.and_then(|status| status.plan_hash).filter(|_| held))
    })
    .await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    ensure!(namespaces.get_opt("small-identity").await?.is_none(), "written without approval");

    let_approve(&client, &["anna", "ben"]).await?;

    let ask = async |name: &str, author: &str, spec: Value| -> Result<Operation> {
        let operation = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Operation",
            "metadata": { "name": name, "annotations": { names::ANNOTATION_AUTHOR: author } }, "spec": spec,
        });
        operations.create(&PostParams::default(), &serde_json::from_value(operation)?).await?;
        eventually("it ends", async || {
            let operation = operations.get(name).await?;
            let phase = operation.status.as_ref().map(|status| status.phase).unwrap_or_default();
            let ended = !matches!(phase, OperationPhase::Pending | OperationPhase::Running);
            Ok(ended.then_some(operation))
        })
        .await
    };
    let phase = |operation: &Operation| operation.status.clone().unwrap_or_default();
    let approve =
        |hash: &str| json!({ "stack": "small", "type": "Approve", "reason": "read it", "planHash": hash });
    let own = ask("own", "anna", approve(&hash)).await?;
    ensure!(
        phase(&own).phase == OperationPhase::Refused
            && phase(&own).message.unwrap_or_default().contains("authored")
    );
    let stranger = ask("stranger", "carl", approve(&hash)).await?;
    ensure!(phase(&stranger).phase == OperationPhase::Refused, "{:?}", stranger.status);
    let other = format!("sha256:{}", "0".repeat(64));
    ensure!(phase(&ask("stale", "ben", approve(&other)).await?).phase == OperationPhase::Refused);
    let good = ask("good", "ben", approve(&hash)).await?;
    ensure!(phase(&good).phase == OperationPhase::Succeeded, "{:?}", good.status);

    // What a person has to say yes to waits alone, says its name, and is named by whoever says yes.
    let step = eventually("the step is held", async || {
        let stack = stacks.get("small").await?;
        let Some(("True", "AwaitingApproval", message)) = condition(&stack, "Stalled") else {
            return Ok(None);
        };
        let named = message.split_once("--step ").and_then(|(_, rest)| rest.split(')').next());
        Ok(named.map(str::to_owned))
    })
    .await?;
    let say_yes =
        |step: &str| json!({ "stack": "small", "type": "Approve", "reason": "read it", "step": step });
    let own = ask("own-step", "anna", say_yes(&step)).await?;
    ensure!(phase(&own).phase == OperationPhase::Refused, "{:?}", own.status);
    let stale = ask("stale-step", "ben", say_yes("x-desk/onboard-open-00000000")).await?;
    ensure!(phase(&stale).phase == OperationPhase::Refused, "{:?}", stale.status);
    let jobs: Api<k8s_openapi::api::batch::v1::Job> = Api::namespaced(client.clone(), "small-x-desk");
    let name = step.trim_start_matches("x-desk/");
    ensure!(jobs.get_opt(name).await?.is_none(), "{name} ran without a yes");
    let good = ask("good-step", "ben", say_yes(&step)).await?;
    ensure!(phase(&good).phase == OperationPhase::Succeeded, "{:?}", good.status);
    let stack = ready(&stacks, "small").await?;
    jobs.get(name).await?;
    let status = stack.status.unwrap_or_default();
    ensure!(status.approved_hash.as_ref() == Some(&hash), "the plan's own approval is lost: {status:?}");

    // A rotation changes the value, restarts who reads it, and the Stack is Ready again.
    let before = values(&client).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "small-identity");
    let mut rotated = None;
    for secret in secrets.list(&ListParams::default()).await?.items {
        let name = secret.metadata.name.unwrap_or_default();
        let spec = json!({ "stack": "small", "type": "Rotate", "reason": "leaked",
            "rotate": { "block": "identity", "secret": name } });
        let operation = ask(&format!("rotate-{name}"), "ben", spec).await?;
        if phase(&operation).phase == OperationPhase::Succeeded {
            rotated = Some((name, phase(&operation)));
            break;
        }
    }
    let (name, status) = rotated.context("no secret could be rotated")?;
    let after = values(&client).await?;
    let value = |all: &[(String, String)]| all.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
    ensure!(value(&before) != value(&after), "{name} kept its value");
    ensure!(status.steps.iter().any(|step| step.starts_with("restarted")), "{:?}", status.steps);
    ready(&stacks, "small").await?;

    // A client's secret is with the issuer too: a rotation tells it.
    let jobs: Api<k8s_openapi::api::batch::v1::Job> = Api::namespaced(client.clone(), "small-identity");
    let client_job = async || -> Result<Option<String>> {
        let all = jobs.list(&ListParams::default()).await?.items;
        let mut ours = all.into_iter().map(|job| job.metadata);
        Ok(ours
            .find(|m| m.name.as_ref().is_some_and(|n| n.starts_with("onboard-client-desk")))
            .and_then(|m| m.uid))
    };
    let first = client_job().await?.context("no Job makes the client")?;
    let spec = json!({ "stack": "small", "type": "Rotate", "reason": "leaked",
        "rotate": { "block": "x-desk", "secret": "desk-client" } });
    let operation = ask("rotate-client", "ben", spec).await?;
    let told = phase(&operation);
    ensure!(told.phase == OperationPhase::Succeeded, "{told:?}");
    eventually("the issuer is told", async || Ok(client_job().await?.filter(|uid| *uid != first))).await?;
    ready(&stacks, "small").await?;

    // Nonsense is refused with the field's path; what runs stays.
    let nonsense = json!({ "spec": { "blocks": [{ "name": "identity", "product": "no-such-product" }] } });
    stacks.patch("small", &PatchParams::default(), &Patch::Merge(nonsense)).await?;
    eventually("it is called invalid", async || {
        let stack = stacks.get("small").await?;
        let planned = condition(&stack, "Planned");
        Ok(matches!(planned, Some(("False", "Invalid", message)) if message.contains("no-such-product"))
            .then_some(()))
    })
    .await?;
    ensure!(namespaces.get_opt("small-identity").await?.is_some());

    // Deleted without a word about data, data stays and the Stack goes.
    stacks.delete("small", &DeleteParams::default()).await?;
    eventually("the Stack is gone", async || Ok(stacks.get_opt("small").await?.is_none().then_some(())))
        .await?;
    ensure!(
        namespaces.get("small-identity").await?.metadata.deletion_timestamp.is_none(),
        "the data's namespace stays"
    );
    operator.stop().await
}

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

/// Lets people approve the plans of Stacks.
async fn let_approve(client: &Client, people: &[&str]) -> Result<()> {
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

/// MOSIP, eSignet, Mojaloop, OpenCRVS, Sunbird RC, X-Road and trust services, as the example declares them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_country_comes_up_and_a_restart_writes_nothing_and_changes_no_secret() -> Result<()> {
    let cluster =
        TestCluster::start_with(|options| options.nodes(Nodes::Simulated(3)).gateway_api(true)).await?;
    let client = prepare(&cluster).await?;
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nation.yaml"))?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    for document in serde_yaml::Deserializer::from_str(&text) {
        let value = Value::deserialize(document)?;
        match value["kind"].as_str() {
            Some("Secret") => {
                drop(secrets.create(&PostParams::default(), &serde_json::from_value(value)?).await?)
            }
            _ => drop(stacks.create(&PostParams::default(), &serde_json::from_value(value)?).await?),
        }
    }
    let first = Operator::start(&cluster, "me");
    let stack = ready(&stacks, "nation").await?;
    let summary = stack.status.and_then(|status| status.summary);
    ensure!(summary.as_deref() == Some("11/11"), "{summary:?}");
    let made = values(&client).await?;
    first.stop().await?;

    let before = writes(&cluster)?;
    let second = Operator::start(&cluster, "me");
    // Silence can only be heard over time.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = writes(&cluster)?;
    ensure!(before.len() == after.len(), "not silent: {:#?}", &after[before.len()..]);
    ensure!(values(&client).await? == made, "a value changed");
    second.stop().await
}
