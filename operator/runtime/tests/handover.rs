//! What steps of onboarding hand over, on a real API server. No step runs here: pods end as a kubelet would end them.

mod support;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use plinth_api::condition::Reason;
use plinth_api::v1alpha1::product::{Alphabet, Generator};
use plinth_plan::model::{Desired, Plan, SecretKeyRef, SecretSource, StackId};
use plinth_runtime::onboard::sealed;
use serde_json::json;

use support::{House, namespace, plan, secret, stack, values};

/// A pod of `job` that has ended well with `message`, as a kubelet would leave it.
async fn ended(house: &House, stack: &StackId, job: &str, message: &str) -> Result<()> {
    let pods = Api::<Pod>::namespaced(house.client(), &namespace(stack));
    let pod = serde_json::from_value(json!({
        "metadata": { "name": job, "labels": { "batch.kubernetes.io/job-name": job } },
        // No scheduler and no kubelet touches it.
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "step", "image": "registry.example/step:1" }] },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let terminated = json!({ "exitCode": 0, "message": message });
    let status = json!({ "status": { "phase": "Succeeded", "containerStatuses": [{
        "name": "step", "image": "registry.example/step:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": terminated },
    }] } });
    pods.patch_status(job, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

fn seal(stack: &StackId) -> Desired {
    let generator = Generator { alphabet: Alphabet::Hex, length: 64 };
    let source = SecretSource::Generate { generator, permanent: true, first_start_only: false };
    secret(stack, "seal", [("seal".to_owned(), source)].into())
}

/// The seal and a Secret that takes `licence` from `job`.
fn handed_over(stack: &StackId, job: &str) -> Plan {
    let captured = SecretSource::Captured {
        step: "unit-0".to_owned(),
        job: job.to_owned(),
        value: "licence".to_owned(),
        for_people: false,
        seal: SecretKeyRef { namespace: namespace(stack), name: "seal".to_owned(), key: "seal".to_owned() },
    };
    let taken = secret(stack, "licence", [("key".to_owned(), captured)].into());
    plan(stack, vec![vec![seal(stack)], vec![taken]])
}

async fn licence(house: &mut House, stack: &StackId, job: &str) -> Result<String> {
    let plan = handed_over(stack, job);
    support::eventually("it is taken", async || {
        house.later += 100;
        let (decisions, _) = house.converge(&plan).await?;
        Ok(decisions.units.iter().all(|unit| unit.reason != Reason::Waiting).then_some(()))
    })
    .await?;
    Ok(values(house, &namespace(stack), "licence").await?["key"].clone())
}

#[tokio::test]
async fn what_a_step_hands_over_is_opened_kept_when_its_pod_is_gone_and_followed_by_the_next() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    house.converge(&plan(&stack, vec![vec![seal(&stack)]])).await?;
    let seal = values(&house, &namespace(&stack), "seal").await?["seal"].clone();
    let message = |licence: &str| {
        let values = [("licence".to_owned(), licence.to_owned().into())].into();
        sealed("misp: 1 made, 0 adopted", &values, &seal)
    };
    ended(&house, &stack, "onboard-1", &message("first")?).await?;
    ensure!(licence(&mut house, &stack, "onboard-1").await? == "first");

    // The step is done again under another name and gives another value.
    ended(&house, &stack, "onboard-2", &message("second")?).await?;
    ensure!(licence(&mut house, &stack, "onboard-2").await? == "second");

    // Its pod is gone; a process that knows nothing adopts what is there.
    let pods = Api::<Pod>::namespaced(house.client(), &namespace(&stack));
    pods.delete("onboard-2", &DeleteParams::default().grace_period(0)).await?;
    let mut other = House::start().await?;
    ensure!(licence(&mut other, &stack, "onboard-2").await? == "second");
    Ok(())
}

#[tokio::test]
async fn where_every_node_is_simulated_a_captured_value_says_so() -> Result<()> {
    let stack = stack();
    let mut house = House::start().await?;
    ensure!(licence(&mut house, &stack, "onboard-1").await? == "simulated-licence");
    Ok(())
}
