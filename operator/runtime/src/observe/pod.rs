//! A Pod becomes a line: whether it is ready, and what keeps it, in Kubernetes' own words. Pure.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicResourceScope;
use kube::discovery::ApiResource;
use plinth_api::names;
use plinth_plan::model::{ObjectKey, PodBrief, StackId, UnitId};
use serde::Deserialize;

use super::ingest::{Content, Ingest, Seen, dynamic_resource};

/// A Pod, reduced while it is parsed.
#[derive(Clone, Debug, Deserialize)]
pub struct PodSeen {
    #[serde(rename = "metadata", default)]
    meta: ObjectMeta,
    #[serde(default)]
    status: PodStatus,
}

dynamic_resource!(PodSeen, false);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    reason: Option<String>,
    message: Option<String>,
    conditions: Vec<PodCondition>,
    init_container_statuses: Vec<ContainerStatus>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    restart_count: u32,
    ready: bool,
    state: ContainerState,
    last_state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<StateDetail>,
    terminated: Option<StateDetail>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StateDetail {
    reason: Option<String>,
    message: Option<String>,
    exit_code: Option<i32>,
}

/// Waiting reasons of every healthy start.
const ORDINARY_WAITING: &[&str] = &["ContainerCreating", "PodInitializing"];

impl Ingest for PodSeen {
    fn seen(self, api_version: &str, kind: &str) -> Option<Seen> {
        let labels = self.meta.labels.as_ref()?;
        let text = |name: &str| labels.get(name).cloned();
        let stack =
            Some(StackId { namespace: text(names::LABEL_STACK_NAMESPACE)?, name: text(names::LABEL_STACK)? });
        let unit = UnitId {
            block: text(names::LABEL_BLOCK)?,
            name: text(names::LABEL_COMPONENT).or_else(|| text(names::LABEL_NAME))?,
        };
        let name = self.meta.name.clone()?;
        let key = ObjectKey {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: self.meta.namespace.clone(),
            name: name.clone(),
        };
        let version = self.meta.resource_version.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0);
        let (trouble, message) = self.status.trouble().unzip();
        let brief = PodBrief {
            name,
            ready: self.status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True"),
            trouble,
            message: message.flatten(),
            restarts: self.status.containers().map(|c| c.restart_count).sum(),
            finished: matches!(self.status.phase.as_str(), "Succeeded" | "Failed"),
        };
        Some(Seen { key, version, stack, content: Content::Pod(unit, brief) })
    }
}

impl PodStatus {
    fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.init_container_statuses.iter().chain(&self.container_statuses)
    }

    /// What keeps the pod from running, in Kubernetes' own words.
    fn trouble(&self) -> Option<(String, Option<String>)> {
        if self.phase == "Failed" {
            let reason = self.reason.clone().or_else(|| self.terminated().map(|(reason, _)| reason));
            let message = self.message.clone().or_else(|| self.terminated().and_then(|(_, message)| message));
            return Some((reason.unwrap_or_else(|| "Failed".to_owned()), message));
        }
        for container in self.containers() {
            let Some(waiting) = &container.state.waiting else { continue };
            let Some(reason) = waiting.reason.clone().filter(|r| !ORDINARY_WAITING.contains(&r.as_str()))
            else {
                continue;
            };
            // "back-off restarting failed container" says less than why it failed the last time.
            let last = container.last_state.terminated.as_ref().map(StateDetail::sentence);
            return Some((reason, last.flatten().or_else(|| waiting.message.clone())));
        }
        if self.phase != "Succeeded"
            && let Some((reason, message)) = self.terminated()
        {
            return Some((reason, message));
        }
        let unscheduled = self.conditions.iter().find(|c| c.kind == "PodScheduled" && c.status == "False")?;
        Some((
            unscheduled.reason.clone().unwrap_or_else(|| "Unschedulable".to_owned()),
            unscheduled.message.clone(),
        ))
    }

    /// A container that ended in failure and was not started again.
    fn terminated(&self) -> Option<(String, Option<String>)> {
        let ended = self
            .containers()
            .filter(|c| !c.ready)
            .find_map(|c| c.state.terminated.as_ref().filter(|t| t.exit_code.unwrap_or(0) != 0))?;
        Some((ended.reason.clone().unwrap_or_else(|| "Error".to_owned()), ended.sentence()))
    }
}

impl StateDetail {
    fn sentence(&self) -> Option<String> {
        match (&self.message, &self.reason, self.exit_code) {
            (Some(message), ..) => Some(message.clone()),
            (None, Some(reason), Some(code)) => Some(format!("{reason}, exit code {code}")),
            (None, None, Some(code)) => Some(format!("exit code {code}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Option<PodBrief> {
        let labels = json!({
            "plinth.dev/stack-namespace": "gov", "plinth.dev/stack": "novaria",
            "plinth.dev/block": "identity", "plinth.dev/component": "keycloak",
        });
        let pod = json!({ "metadata": { "name": "keycloak-0", "labels": labels }, "status": status });
        match serde_json::from_value::<PodSeen>(pod).unwrap().seen("v1", "Pod")?.content {
            Content::Pod(_, brief) => Some(brief),
            _ => None,
        }
    }

    #[test]
    fn a_pod_tells_what_keeps_it() {
        let waiting = |reason: &str| json!({ "phase": "Pending", "containerStatuses": [{ "state": { "waiting": { "reason": reason, "message": "m" } } }] });
        let cases = [
            ("starting", waiting("ContainerCreating"), None, None),
            ("no image", waiting("ImagePullBackOff"), Some("ImagePullBackOff"), Some("m")),
            (
                "crashing",
                json!({ "phase": "Running", "containerStatuses": [{ "restartCount": 4,
                    "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
                    "lastState": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } } }] }),
                Some("CrashLoopBackOff"),
                Some("OOMKilled, exit code 137"),
            ),
            (
                "no node",
                json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/3 nodes" }] }),
                Some("Unschedulable"),
                Some("0/3 nodes"),
            ),
            ("evicted", json!({ "phase": "Failed", "reason": "Evicted" }), Some("Evicted"), None),
            ("done", json!({ "phase": "Succeeded" }), None, None),
        ];
        for (name, status, trouble, message) in cases {
            let brief = pod(status).unwrap();
            assert_eq!((brief.trouble.as_deref(), brief.message.as_deref()), (trouble, message), "{name}");
        }
    }
}
