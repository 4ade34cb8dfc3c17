//! `BuildingBlock`: one block of a Stack with a status of its own. Written by Plinth alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conformance::ConformanceStatus;
use super::schema;
use crate::condition::{Reason, State};

/// One block of a Stack. Plinth writes it; people read it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "BuildingBlock",
    namespaced,
    status = "BuildingBlockStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "bb",
    category = "plinth",
    doc = "One building block of a Stack, with its own status. Written by Plinth alone: change the Stack instead.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Product", type_ = "string", json_path = ".spec.product"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.targetNamespace"),
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster", priority = 1),
    printcolumn(name = "Components", type_ = "string", json_path = ".status.summary"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct BuildingBlockSpec {
    /// Stack that the block belongs to, in the same namespace.
    pub stack: String,
    /// Building block name.
    pub block: String,
    /// Product; nothing when the block is external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Version; nothing when the block is external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Namespace that holds the block's objects; nothing when the block is external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_namespace: Option<String>,
    /// WorkloadCluster that the namespace is on; nothing for the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BuildingBlockStatus {
    /// Generation of this object that the status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The block's state.
    #[serde(default)]
    pub state: State,
    /// Ready components of all, as `4/5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Why, naming the object at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Conditions: Ready, Reconciling, Stalled and one an area.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Every component with its state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<ComponentStatus>,
    /// Public and in-cluster addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// What was seen of GovStack's cross-functional requirements when all of it was there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conformance: Option<ConformanceStatus>,
    /// Objects that are not ready: at most 20, the rest counted in `moreObjects`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectStatus>,
    /// How many further objects are not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_objects: Option<usize>,
}

/// One component's line in a block's status.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Component name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Why, naming the object at fault; nothing when Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An object that is not ready.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// `Kind/namespace/name` (`Kind/name` where cluster-scoped).
    pub object: String,
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// One line: what is wrong and what to do.
    pub message: String,
}
