//! What runs: the part of the catalogue's language that describes a workload and its surroundings.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::product::{ForEach, Named};
use super::stack::Profile;

/// Something that runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Name of the objects in the block's namespace.
    #[schemars(length(min = 1, max = 52), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// One for each element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<ForEach>,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Kind of workload.
    #[serde(default)]
    pub workload: Workload,
    /// Key into the version's `images`; `plinth.dev/plinth` is Plinth's own.
    pub image: String,
    /// Entry point; the image's own where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments; `$(NAME)` refers to an environment variable, as in Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Working directory; the image's own where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<Named>,
    /// Ports: each is on the container and on the component's Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ports: Vec<Port>,
    /// Probes.
    #[serde(default)]
    pub probes: Probes,
    /// Seconds from start to ready that are normal; Unhealthy is not said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_budget_seconds: Option<u32>,
    /// Pods, by profile.
    #[serde(default)]
    pub replicas: PerProfile<u32>,
    /// More pods of it bear more: mode Surge multiplies them. Only for what keeps nothing that another pod of it lacks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scales: bool,
    /// Requests and limits, by profile.
    #[serde(default)]
    pub resources: PerProfile<Resources>,
    /// Files and folders in the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub mounts: Vec<Mount>,
    /// Persistent volumes, one set a pod; workload must be StatefulSet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volumes: Vec<Volume>,
    /// What must be ready first: component names, or `requires.<name>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What it calls: `<component>:<port name>`, `requires.<name>`, or `provides.<capability>` for a Service that a chart or
    /// an operator of the same block renders. Only these paths are opened. What is called must
    /// be ready first, unless the entry ends in ` (later)`: the component starts without it and retries. One that ends in
    /// ` (path)` opens the way and waits, but the component logs in with what it has from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connects: Vec<String>,
    /// Calls to addresses that only run time knows: banks' callbacks, partners' servers. Nothing else leaves the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub egress: Vec<Egress>,
    /// Steps that run one after another, as the same user with the same volumes, before the container starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub init: Vec<InitStep>,
    /// How the pod is confined.
    #[serde(default)]
    pub security: Security,
    /// Stop all old pods before new ones start: the product cannot run two versions at once.
    #[serde(default)]
    pub recreate: bool,
    /// Further readiness, beyond what Kubernetes says: CEL over `object`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<String>,
}

/// What an entry of `connects` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// `<component>:<port name>` or `requires.<name>`.
    pub target: &'a str,
    /// The component starts without it and retries.
    pub later: bool,
    /// Only the way is opened: what the target hands out is not read.
    pub path_only: bool,
}

impl<'a> Connection<'a> {
    /// Reads an entry of `connects`.
    pub fn of(entry: &'a str) -> Self {
        let later = entry.strip_suffix(" (later)");
        let path = entry.strip_suffix(" (path)");
        Self { target: later.or(path).unwrap_or(entry), later: later.is_some(), path_only: path.is_some() }
    }
}

/// A path out of the cluster.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Egress {
    /// TCP ports.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 65535)))]
    pub ports: Vec<u16>,
    /// CEL: list of network ranges, CIDR. Any address where left out or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Who is called and why, for whoever reviews the open path.
    pub reason: String,
}

/// A step before the container.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InitStep {
    /// Name of the container.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Key into the version's `images`.
    pub image: String,
    /// Entry point; the image's own where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<Named>,
    /// Files and folders, of the component's own volumes, scratch folders, configs and secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub mounts: Vec<Mount>,
}

/// Kind of workload.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// Stateless pods.
    #[default]
    Deployment,
    /// Pods with identity and volumes.
    StatefulSet,
    /// Runs to completion: migrations, provisioning. A changed Job is a new Job.
    Job,
}

/// A port of a component.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Name.
    #[schemars(length(min = 1, max = 15), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Port in the container.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Port of the Service; the container's where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub service_port: Option<u16>,
}

/// Probes of a component.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// May take traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// Must be restarted when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Has started; its threshold is stretched to the start-up budget. The liveness probe where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// One probe; exactly one of `path` with `port`, `port` alone (TCP), or `command`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// HTTP path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Port name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Command that exits 0 when healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Speak TLS (certificate not verified, as kubelets do).
    #[serde(default)]
    pub https: bool,
    /// Seconds between tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<u32>,
    /// Seconds before a try fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Failures in a row that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u32>,
}

/// A value by profile; a missing one falls back to the next smaller profile's, then to the next larger one's.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PerProfile<T> {
    /// For `sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<T>,
    /// For `standard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard: Option<T>,
    /// For `national`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub national: Option<T>,
}

impl<T> Default for PerProfile<T> {
    fn default() -> Self {
        Self { sandbox: None, standard: None, national: None }
    }
}

impl<T> PerProfile<T> {
    /// The value for `profile`, or `None` when no profile has one.
    pub fn get(&self, profile: Profile) -> Option<&T> {
        let (s, t, n) = (self.sandbox.as_ref(), self.standard.as_ref(), self.national.as_ref());
        match profile {
            Profile::Sandbox => s.or(t).or(n),
            Profile::Standard => t.or(s).or(n),
            Profile::National => n.or(t).or(s),
        }
    }
}

/// Requests and limits of a container.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// CPU request, Kubernetes quantity.
    pub cpu: String,
    /// Memory request.
    pub memory: String,
    /// CPU limit; none where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<String>,
    /// Memory limit; the request where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<String>,
}

/// A file or folder in the container; exactly one of `config`, `secret`, `volume`, `scratch`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.config) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.volume) ? 1 : 0) + (has(self.scratch) ? 1 : 0) == 1").message("give exactly one of config, secret, volume, scratch"))]
pub struct Mount {
    /// Path in the container.
    pub path: String,
    /// Only when this is true (CEL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Config by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Secret by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Persistent volume by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// Empty folder by name, gone with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// The scratch folder is in memory, never on the node's disk: for a secret that a program wants as a file. It counts as memory
    /// of the container.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub memory: bool,
    /// One file of the config or one key of the secret, mounted as the file `path`; the whole folder where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A persistent volume.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Name.
    pub name: String,
    /// Size by profile, Kubernetes quantity.
    pub size: PerProfile<String>,
}

/// How a pod is confined. The default is Pod Security `restricted` with a read-only root file system.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// User id; the image's own where left out (it must not be root).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Group id of the volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group: Option<i64>,
    /// The root file system must be writable.
    #[serde(default)]
    pub writable_root: bool,
    /// The product truly cannot run restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<SecurityException>,
}

/// Why a product cannot run under Pod Security `restricted`, and what it gets instead.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecurityException {
    /// Level that its namespace enforces instead.
    pub level: PodSecurity,
    /// Why, with the source.
    pub reason: String,
}

/// A Pod Security level.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum PodSecurity {
    /// The default of every block.
    Restricted,
    /// May run as root, without host access.
    Baseline,
    /// No limits.
    Privileged,
}
