//! What a person has to say yes to, and what a person asks for: plans, steps, rotations.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::{Product, Stack, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::house::*;

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
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_waits_for_four_eyes_and_a_broken_spec_leaves_what_runs() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
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

    let ask = async |name: &str, by: &str, spec: Value| operation(&client, name, by, spec).await;
    let approve =
        |hash: &str| json!({ "stack": "small", "type": "Approve", "reason": "read it", "planHash": hash });
    let own = ask("own", "anna", approve(&hash)).await?;
    ensure!(own.phase == OperationPhase::Refused && own.message.unwrap_or_default().contains("authored"));
    let stranger = ask("stranger", "carl", approve(&hash)).await?;
    ensure!(stranger.phase == OperationPhase::Refused, "{stranger:?}");
    let other = format!("sha256:{}", "0".repeat(64));
    ensure!(ask("stale", "ben", approve(&other)).await?.phase == OperationPhase::Refused);
    let good = ask("good", "ben", approve(&hash)).await?;
    ensure!(good.phase == OperationPhase::Succeeded, "{good:?}");

    // What a person has to say yes to waits alone, says its name, and is named by whoever says yes.
    let step = eventually("the step is held", async || {
        let stack = stacks.get("small").await?;
        let Some(("True", "AwaitingApproval", message)) = condition(&stack, "Stalled") else {
            return Ok(None);
        };
        Ok(step_in(message).map(str::to_owned))
    })
    .await?;
    let say_yes =
        |step: &str| json!({ "stack": "small", "type": "Approve", "reason": "read it", "step": step });
    let own = ask("own-step", "anna", say_yes(&step)).await?;
    ensure!(own.phase == OperationPhase::Refused, "{own:?}");
    let stale = ask("stale-step", "ben", say_yes("x-desk/onboard-open-00000000")).await?;
    ensure!(stale.phase == OperationPhase::Refused, "{stale:?}");
    let jobs: Api<k8s_openapi::api::batch::v1::Job> = Api::namespaced(client.clone(), "small-x-desk");
    let name = step.trim_start_matches("x-desk/");
    ensure!(jobs.get_opt(name).await?.is_none(), "{name} ran without a yes");
    let good = ask("good-step", "ben", say_yes(&step)).await?;
    ensure!(good.phase == OperationPhase::Succeeded, "{good:?}");
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
        let status = ask(&format!("rotate-{name}"), "ben", spec).await?;
        if status.phase == OperationPhase::Succeeded {
            rotated = Some((name, status));
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
    // The rotation before may be making it anew at this moment.
    let first = eventually("a Job makes the client", async || client_job().await).await?;
    let spec = json!({ "stack": "small", "type": "Rotate", "reason": "leaked",
        "rotate": { "block": "x-desk", "secret": "desk-client" } });
    let told = ask("rotate-client", "ben", spec).await?;
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
