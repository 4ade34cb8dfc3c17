//! How a Stack gets through a surge, and what it does without when not everything can run.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::Priority;

/// How much of a Stack runs. One field: set back, everything is as it was.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything, as large as the profile says.
    #[default]
    Normal,
    /// More pods of what bears more with more pods, by `continuity.surge`.
    Surge,
    /// What `continuity.keeps` keeps, and what that needs. The rest has no pods.
    Degraded,
}

impl Mode {
    /// Whether it is the default.
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }

    /// The word as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Surge => "Surge",
            Self::Degraded => "Degraded",
        }
    }
}

/// What matters most, what a surge is, what is switched off.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Continuity {
    /// How much depends on blocks and public services; a Registry says its own priority. Whatever something needs matters as much
    /// as that does; `standard` where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub priorities: Vec<Importance>,
    /// What mode Degraded keeps: what has this priority, or a higher one.
    #[serde(default = "critical", skip_serializing_if = "is_critical")]
    pub keeps: Priority,
    /// In mode Degraded, and of blocks that are switched off, what holds the data stops as well. Without it databases go on, so
    /// that they are backed up and soon back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops_data: bool,
    /// What mode Surge is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surge: Option<SurgePlan>,
    /// Seconds after its last answer from which a cluster that does not answer may be taken over from. Nothing on that cluster
    /// knows of it: whoever needs it to have stopped has to see to that.
    #[serde(default = "minute", skip_serializing_if = "is_minute")]
    #[schemars(range(min = 1, max = 86400))]
    pub lease_seconds: u32,
    /// What a loss may cost: each takeover is measured against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["block"]))]
    pub recovery: Vec<Recovery>,
    /// What is switched off, in every mode, to protect something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub off: Vec<SwitchedOff>,
}

impl Default for Continuity {
    fn default() -> Self {
        Self {
            priorities: Vec::new(),
            keeps: critical(),
            stops_data: false,
            surge: None,
            lease_seconds: minute(),
            recovery: Vec::new(),
            off: Vec::new(),
        }
    }
}

fn minute() -> u32 {
    60
}

fn is_minute(seconds: &u32) -> bool {
    *seconds == minute()
}

fn critical() -> Priority {
    Priority::Critical
}

fn is_critical(priority: &Priority) -> bool {
    *priority == Priority::Critical
}

/// What the loss of a block's side may cost.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The block.
    #[schemars(length(min = 1, max = 32))]
    pub block: String,
    /// Recovery point objective: as much of what was written last may be lost. ISO 8601 duration: `PT15M`.
    #[schemars(regex(pattern = r"^PT([0-9]{1,5}H)?([0-9]{1,5}M)?([0-9]{1,5}S)?$"))]
    pub point: String,
    /// Recovery time objective: it serves again within this. ISO 8601 duration: `PT4H`.
    #[schemars(regex(pattern = r"^PT([0-9]{1,5}H)?([0-9]{1,5}M)?([0-9]{1,5}S)?$"))]
    pub time: String,
}

/// How much depends on a block, or on a public service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.block) != has(self.publicService)").message("give one of block, publicService"))]
pub struct Importance {
    /// A block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub block: Option<String>,
    /// A PublicService, as `<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317), regex(pattern = r"^[a-z0-9.-]+/[a-z0-9.-]+$"))]
    pub public_service: Option<String>,
    /// How much depends on it.
    pub priority: Priority,
}

/// A surge, and how far it may be followed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SurgePlan {
    /// So many times the people of the day that is planned for, and so many times the pods, as `plinth surge --load` has it.
    #[schemars(range(min = 2, max = 100))]
    pub load: u32,
    /// Hours in which they all come.
    #[serde(default = "day")]
    #[schemars(range(min = 1, max = 720))]
    pub hours: u32,
    /// Most pods of one component.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub most_replicas: u32,
    /// Only blocks of this priority, or a higher one, grow: where the nodes do not suffice for all, what matters most has them.
    #[serde(default, skip_serializing_if = "is_standard")]
    pub grows: Priority,
}

impl Default for SurgePlan {
    fn default() -> Self {
        Self { load: 2, hours: day(), most_replicas: ten(), grows: Priority::Standard }
    }
}

fn day() -> u32 {
    24
}

fn ten() -> u32 {
    10
}

fn is_standard(priority: &Priority) -> bool {
    *priority == Priority::Standard
}

/// Something that is switched off.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.block), has(self.registry), has(self.publicService)].filter(is, is).size() == 1")
        .message("give one of block, registry, publicService"),
)]
pub struct SwitchedOff {
    /// A block: it has no pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub block: Option<String>,
    /// Code of a registry: the exchange lets nobody call its services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub registry: Option<String>,
    /// A PublicService, as `<namespace>/<name>`: the exchange lets the subsystem that it calls as call nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317), regex(pattern = r"^[a-z0-9.-]+/[a-z0-9.-]+$"))]
    pub public_service: Option<String>,
    /// Why, for whoever is told.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}
