//! The yeses that the demo's country waits for: steps of onboarding that move money are held until a person approves them, and it
//! has to be another person than the one who declared them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use kube::api::ListParams;
use kube::{Api, Client};
use plinth_api::BuildingBlock;
use plinth_api::condition::Reason;
use plinth_api::v1alpha1::operation::{Operation, OperationPhase, OperationStatus};
use plinth_cluster::ControlPlane;
use plinth_journey::{STACK, STACK_NAMESPACE};

use crate::cli::approve;
use crate::cli::connect::ClusterArgs;
use crate::cli::output::note;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Who says yes.
const APPROVER: &str = "demo:second-person";
const REASON: &str = "plinth demo: the caps of examples/journey";

/// Says yes to every step that waits for one, for as long as it is polled. Returns only why it cannot.
pub async fn give(cluster: &str) -> Error {
    let (mut given, mut asked) = (BTreeSet::new(), Vec::new());
    loop {
        tokio::time::sleep(LOOK).await;
        // There is no cluster yet, or it is on the way: what comes up says what is wrong with it.
        let Ok(plane) = ControlPlane::attach(cluster).await else { continue };
        let Ok(client) = second_person(&plane).await else { continue };
        if let Err(error) = once(&client, &mut given, &mut asked).await {
            return error.context("approving what the demo's country waits for");
        }
    }
}

/// A client of somebody else than who applies the country.
async fn second_person(plane: &ControlPlane) -> Result<Client> {
    let kubeconfig = plane.kubeconfig_for(APPROVER, &["system:masters"])?;
    let access = ClusterArgs { kubeconfig: Some(kubeconfig), context: None };
    Ok(access.connect().await?.client)
}

async fn once(client: &Client, given: &mut BTreeSet<String>, asked: &mut Vec<String>) -> Result<()> {
    let blocks = Api::<BuildingBlock>::namespaced(client.clone(), STACK_NAMESPACE);
    // Not there yet.
    let Ok(blocks) = blocks.list(&ListParams::default()).await else { return Ok(()) };
    for step in blocks.iter().flat_map(held) {
        if given.insert(step.clone()) {
            note(&format!("approving step {step}, as {APPROVER}"));
            asked.push(approve::ask(client, STACK_NAMESPACE, approve::step(STACK, &step, REASON)).await?);
        }
    }
    let operations = Api::<Operation>::namespaced(client.clone(), STACK_NAMESPACE);
    for name in asked {
        let status = operations.get(name).await.with_context(|| format!("reading Operation {name}"))?.status;
        let OperationStatus { phase, message, .. } = status.unwrap_or_default();
        let refused = matches!(phase, OperationPhase::Refused | OperationPhase::Failed);
        ensure!(!refused, "{name}: {}", message.unwrap_or_default());
    }
    Ok(())
}

/// Steps of a block that wait for a person, as `<block>/<job>`.
fn held(block: &BuildingBlock) -> Vec<String> {
    let objects = block.status.iter().flat_map(|status| &status.objects);
    let waiting = objects.filter(|object| object.reason == Reason::AwaitingApproval);
    let jobs = waiting.filter_map(|object| object.object.strip_prefix("Job/")?.rsplit_once('/'));
    jobs.map(|(_, job)| format!("{}/{job}", block.spec.block)).collect()
}
