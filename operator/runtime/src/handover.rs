//! What steps of onboarding hand over: read from the message with which a Job's pod ended, opened with the step's seal.

use plinth_api::condition::Reason;
use plinth_plan::model::ObjectKey;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::apply::classify::{Trouble, classify};
use crate::call::Answer;
use crate::clusters::Cluster;
use crate::onboard::{Values, opened};

/// Label that Kubernetes gives the pods of a Job.
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";

#[derive(Deserialize)]
struct Pods {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
struct State {
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    exit_code: i32,
    #[serde(default)]
    message: String,
}

/// What the Job has handed over; `None` when none of its pods tells, because they are gone or were never run.
///
/// # Errors
/// The pods cannot be read.
pub async fn read(cluster: &Cluster, job: &ObjectKey, seal: &str) -> Result<Option<Values>, Trouble> {
    let served = match cluster.kinds.served("v1", "Pod").await {
        Ok(Some(served)) => served,
        Ok(None) => return Err(Trouble::new(Reason::KindMissing, "the cluster serves no Pods")),
        Err(error) => return Err(classify(job, &error)),
    };
    let selector = format!("{JOB_LABEL}={}", job.name);
    let query = [("labelSelector", selector.as_str())];
    let pods = cluster.caller.list(&served, job.namespace.as_deref(), &query, Answer::Whole).await;
    let pods: Pods = pods.map_err(|error| classify(job, &error))?;
    let ended = pods.items.into_iter().flat_map(|pod| pod.status.container_statuses);
    let told = ended.filter_map(|container| container.state.terminated).filter(|ended| ended.exit_code == 0);
    Ok(told.into_iter().find_map(|ended| opened(&ended.message, seal)))
}

/// A value where no container runs: it says so.
pub fn simulated(name: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("simulated-{name}"))
}
