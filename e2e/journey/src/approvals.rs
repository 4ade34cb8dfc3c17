//! The yeses that a country waits for: steps of onboarding that move money are held until a person approves them, and it has to be
//! another person than the one who declared them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt as _};
use plinth_api::BuildingBlock;
use plinth_api::condition::Reason;
use plinth_api::v1alpha1::operation::{
    Operation, OperationPhase, OperationSpec, OperationStatus, OperationType,
};
use plinth_cluster::ControlPlane;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Who says yes.
const APPROVER: &str = "second-person";

/// The Stack that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// Name of its cluster on this machine.
    pub cluster: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub stack: &'a str,
}

impl Waiting<'_> {
    /// Says yes to every step that waits for one, for as long as it is polled. Returns only why it cannot.
    pub async fn approve(self) -> Error {
        let (mut given, mut asked) = (BTreeSet::new(), Vec::new());
        loop {
            tokio::time::sleep(LOOK).await;
            // There is no cluster yet, or it is on the way: what comes up says what is wrong with it.
            let Ok(plane) = ControlPlane::attach(self.cluster).await else { continue };
            let Ok(client) = second_person(&plane).await else { continue };
            if let Err(error) = self.once(&client, &mut given, &mut asked).await {
                return error.context("approving what the country waits for");
            }
        }
    }

    async fn once(
        self,
        client: &Client,
        given: &mut BTreeSet<String>,
        asked: &mut Vec<String>,
    ) -> Result<()> {
        let blocks = Api::<BuildingBlock>::namespaced(client.clone(), self.namespace);
        // Not there yet.
        let Ok(blocks) = blocks.list(&ListParams::default()).await else { return Ok(()) };
        let operations = Api::<Operation>::namespaced(client.clone(), self.namespace);
        for step in blocks.iter().flat_map(held) {
            if given.insert(step.clone()) {
                eprintln!("approving step {step}, as {APPROVER}");
                let yes = operations.create(&PostParams::default(), &self.yes(step)).await;
                asked.push(yes.context("creating the Operation")?.name_any());
            }
        }
        for name in asked {
            let status =
                operations.get(name).await.with_context(|| format!("reading Operation {name}"))?.status;
            let OperationStatus { phase, message, .. } = status.unwrap_or_default();
            let refused = matches!(phase, OperationPhase::Refused | OperationPhase::Failed);
            ensure!(!refused, "{name}: {}", message.unwrap_or_default());
        }
        Ok(())
    }

    fn yes(self, step: String) -> Operation {
        let spec = OperationSpec {
            step: Some(step),
            ..OperationSpec::new(self.stack, OperationType::Approve, "a trial on one machine")
        };
        let generate_name = Some(format!("approve-{}-", self.stack));
        Operation {
            metadata: ObjectMeta { generate_name, ..ObjectMeta::default() },
            ..Operation::new("", spec)
        }
    }
}

/// A client of somebody else than who applies the country.
async fn second_person(plane: &ControlPlane) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig_for(APPROVER, &["system:masters"])?)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

/// Steps of a block that wait for a person, as `<block>/<job>`.
fn held(block: &BuildingBlock) -> Vec<String> {
    let objects = block.status.iter().flat_map(|status| &status.objects);
    let waiting = objects.filter(|object| object.reason == Reason::AwaitingApproval);
    let jobs = waiting.filter_map(|object| object.object.strip_prefix("Job/")?.rsplit_once('/'));
    jobs.map(|(_, job)| format!("{}/{job}", block.spec.block)).collect()
}
