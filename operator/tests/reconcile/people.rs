//! People of a sandbox on a real control plane: their Job is there, what it has loaded is said as Kubernetes counts it, and a sandbox
//! that slept is not loaded again. There is no node: the test ends the pods as one would.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::v1alpha1::sandbox::SandboxPhase;
use plinth_api::{Product, Sandbox, SandboxStatus, Stack};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;
use crate::sandboxes::{sandbox, until};

/// A product that runs elsewhere and takes people.
fn bank() -> Result<Product> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Product", "metadata": { "name": "bank" },
        "spec": {
            "block": "x-bank", "title": "Bank", "description": "A test.", "licence": "Apache-2.0", "maturity": "stable",
            "asOf": "2026-11-30",
            "sources": [{ "repository": "plinth", "says": "a test" }],
            "versions": [{ "version": "1", "images": { "app": "registry.example/bank:1" } }],
            "onboarding": [{
                "name": "people", "description": "Its customers.", "people": true,
                "calls": [{
                    "name": "customer", "forEach": "people",
                    "act": { "method": "PUT", "url": "http://bank.example/{{ item.id }}" },
                }],
            }],
        },
    }))?)
}

/// What is copied; nobody brings it up.
async fn source(client: &Client) -> Result<()> {
    Api::<Product>::all(client.clone()).create(&PostParams::default(), &bank()?).await?;
    let mut small = smallest()?;
    small.spec.paused = true;
    small.spec.blocks = serde_json::from_value(json!([{ "name": "x-bank", "product": "bank" }]))?;
    Api::<Stack>::namespaced(client.clone(), "dpi").create(&PostParams::default(), &small).await?;
    Ok(())
}

/// Ends the pod that loads a portion, as kubelet would once its program has ended well.
async fn end(pods: &Api<Pod>, portion: u32) -> Result<()> {
    let label = format!("batch.kubernetes.io/job-completion-index={portion}");
    let pod = eventually("the pod of the portion", async || {
        Ok(pods.list(&ListParams::default().labels(&label)).await?.items.pop())
    })
    .await?;
    let env = &pod.spec.as_ref().context("a spec")?.containers[0].env;
    let told =
        env.iter().flatten().any(|variable| variable.name == plinth_plan::onboarding::PORTION_VARIABLE);
    ensure!(told, "nobody tells the pod which portion it loads: {env:?}");
    let ended = json!({ "status": { "phase": "Succeeded" } });
    let name = pod.metadata.name.unwrap_or_default();
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(ended)).await?;
    Ok(())
}

fn loaded(status: &SandboxStatus) -> Option<(u32, u32)> {
    status.people.as_ref().map(|people| (people.loaded, people.amount))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_counted_as_their_job_loads_them_and_a_sandbox_that_slept_is_not_loaded_again()
-> Result<()> {
    let cluster = TestCluster::start(Nodes::None).await?;
    let client = prepare(&cluster).await?;
    source(&client).await?;
    let sandboxes: Api<Sandbox> = Api::namespaced(client.clone(), "dpi");
    let operator = Operator::start(&cluster, "me");

    let nobody = json!({ "people": { "amount": 250, "country": "FR" } });
    let wrong: Result<Sandbox> = sandbox("wrong", nobody);
    ensure!(wrong.is_err(), "people of a country that nobody knows the names of");
    let many = json!({ "people": { "amount": 10_001, "seed": 7, "country": "UA" } });
    sandboxes.create(&PostParams::default(), &sandbox("many", many)?).await?;
    let refused = until(&sandboxes, "many", "it is refused", |s| s.phase == SandboxPhase::Refused).await?;
    ensure!(refused.conditions.iter().any(|c| c.message.contains("spec.people.amount")), "{refused:?}");

    let people = json!({ "people": { "amount": 250, "seed": 7, "country": "UA" } });
    sandboxes.create(&PostParams::default(), &sandbox("demo", people)?).await?;
    let begun = |s: &SandboxStatus| s.people.as_ref().is_some_and(|people| people.by.len() == 1);
    let status = until(&sandboxes, "demo", "its people are begun", begun).await?;
    ensure!(loaded(&status) == Some((0, 250)), "{status:?}");
    let blocks = format!("{}-x-bank", status.stack.context("its place")?.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &blocks);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &blocks);
    for (portion, so_far) in [(0, 100), (1, 200), (2, 250)] {
        end(&pods, portion).await?;
        let counts = |s: &SandboxStatus| loaded(s) == Some((so_far, 250));
        let status = until(&sandboxes, "demo", "a portion more is loaded", counts).await?;
        ensure!(so_far == 250 || status.phase == SandboxPhase::Starting, "{status:?}");
    }
    until(&sandboxes, "demo", "it is awake", |s| s.phase == SandboxPhase::Awake).await?;

    // Asleep and awake again: the Job is the one that it was, and so are its pods.
    let known = async || -> Result<Vec<Option<String>>> {
        let mut uids: Vec<_> =
            jobs.list(&ListParams::default()).await?.items.into_iter().map(|j| j.metadata.uid).collect();
        uids.extend(pods.list(&ListParams::default()).await?.items.into_iter().map(|pod| pod.metadata.uid));
        Ok(uids)
    };
    let before = known().await?;
    ensure!(before.len() == 4, "a Job and three pods: {before:?}");
    let asked = |what: &str| -> Value { json!({ "sandbox": "demo", "type": what, "reason": "the weekend" }) };
    for what in ["Sleep", "Wake"] {
        let done = operation(&client, &what.to_lowercase(), "mia", asked(what)).await?;
        ensure!(done.phase == OperationPhase::Succeeded, "{done:?}");
    }
    let status = until(&sandboxes, "demo", "it is awake again", |s| s.phase == SandboxPhase::Awake).await?;
    ensure!(loaded(&status) == Some((250, 250)), "{status:?}");
    ensure!(known().await? == before, "somebody was loaded again");
    operator.stop().await
}
