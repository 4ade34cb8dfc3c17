//! `WorkloadCluster`: a cluster that hosts blocks of the Stacks in its namespace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A cluster that hosts blocks: how it is reached, where it stands, whose law holds there. Its labels are what placement selects by.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "WorkloadCluster",
    namespaced,
    status = "WorkloadClusterStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "wc",
    category = "plinth",
    doc = "A cluster that hosts blocks of the Stacks in its namespace.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reachable",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Reachable\")].status"
    ),
    printcolumn(name = "Jurisdiction", type_ = "string", json_path = ".spec.jurisdiction"),
    printcolumn(name = "Location", type_ = "string", json_path = ".spec.location"),
    printcolumn(name = "Site", type_ = "string", json_path = ".spec.site"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Seen", type_ = "date", json_path = ".status.lastSeen", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: at most 63 lower-case letters, digits and '-', so that it fits a label"),
    validation = Rule::new("!(self.metadata.name in ['hub', 'home'])").message("metadata.name: hub and home mean the cluster that Plinth itself runs on; describe that one in spec.placement.hub of the Stack"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.kubeconfigSecret) != has(self.clusterProfile)").message("give either kubeconfigSecret (a Secret with a kubeconfig) or clusterProfile (an inventory's ClusterProfile)"),
)]
pub struct WorkloadClusterSpec {
    /// Secret beside this object with a kubeconfig. It is read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret: Option<KubeconfigSecret>,
    /// ClusterProfile beside this object, as SIG Multicluster's inventories write it (`multicluster.x-k8s.io/v1alpha1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_profile: Option<ClusterProfileRef>,
    /// Whose law holds for what is stored there, ISO 3166-1 alpha-2: for an embassy the sending state's.
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub jurisdiction: String,
    /// Where the machines stand, ISO 3166-1 alpha-2 or ISO 3166-2: `LU`, `EE-37`.
    #[schemars(regex(pattern = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"))]
    pub location: String,
    /// The data centre that it stands in: clusters of one site are lost together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// The part of the site, or of the provider's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub zone: Option<String>,
    /// Network ranges, CIDR, that its pods call other clusters from and are called at by them: the pods' own where the networks
    /// are routed, the gateways' where they are tunnelled. Without them nothing crosses its border.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 3, max = 64)))]
    pub cidrs: Vec<String>,
    /// Its link is known to be poor: that it does not answer is said, and is no alarm.
    #[serde(default)]
    pub expected_offline: bool,
}

/// A Secret with a kubeconfig.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key that holds the kubeconfig. It must not run programs or name files: both would be Plinth's own.
    #[serde(default = "kubeconfig")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn kubeconfig() -> String {
    "kubeconfig".to_owned()
}

/// A ClusterProfile.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterProfileRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadClusterStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reachable (kstatus-compatible).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Its version of Kubernetes, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What its nodes have to give, all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// What is installed on it; see [`CAPABILITIES`] for the names. Nothing where nobody has looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// When it answered last, as it was known when it was last found to answer or not: it moves with Reachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// What runs on it. Written before the first object of a block is, and taken off after the last one is gone: a cluster that
    /// does not answer still holds what stands here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["stack"]))]
    pub claims: Vec<ClusterClaim>,
}

/// What the nodes of a cluster have to give (`allocatable`), all together.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Processors, as a Kubernetes quantity: `64`, `7910m`.
    pub cpu: String,
    /// Memory, as a Kubernetes quantity: `256Gi`.
    pub memory: String,
}

/// What of a Stack runs on a cluster.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterClaim {
    /// Name of the Stack, in the namespace of the WorkloadCluster.
    pub stack: String,
    /// Its blocks that are on the cluster, by name.
    #[serde(default)]
    pub blocks: Vec<String>,
    /// Its blocks that the cluster stands by for, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
}

/// What can be installed on a cluster that placement may ask for: the name, and the kind by which it is known.
pub const CAPABILITIES: &[(&str, &str, &str)] = &[
    ("cert-manager", "cert-manager.io/v1", "Certificate"),
    ("cloudnative-pg", "postgresql.cnpg.io/v1", "Cluster"),
    ("gateway-api", "gateway.networking.k8s.io/v1", "Gateway"),
    (MCS_API, "multicluster.x-k8s.io/v1alpha1", "ServiceExport"),
    ("strimzi", "kafka.strimzi.io/v1", "Kafka"),
];

/// Capability of a cluster that takes part in Multicluster Services: what is exported by one answers in the others.
pub const MCS_API: &str = "mcs-api";
