//! How changes of a Stack take effect: whether somebody has to say yes, and when a block that runs is brought to another version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::window::Window;

/// How changes take effect.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ChangePolicy {
    /// Whether a plan waits for an `Operation` of type Approve that names its hash.
    #[serde(default)]
    pub approval: Approval,
    /// When a block that runs is brought to the version that the Stack asks for.
    #[serde(default, skip_serializing_if = "Upgrades::is_automatic")]
    pub upgrades: Upgrades,
    /// When a step of an upgrade may begin. One that has begun goes on to its end. Any time where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// When a country can do without some of its services for a while.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// IANA time zone of the windows; the country's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// When steps may begin.
    #[schemars(length(min = 1, max = 16))]
    pub windows: Vec<Window>,
}

/// Whether a plan needs a person's consent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// Changes take effect at once.
    #[default]
    NotRequired,
    /// A plan is held until somebody other than its author approves its hash; what was approved before goes on meanwhile.
    /// What agencies declare needs no yes of the Stack's.
    Required,
}

/// When a block that runs is brought to another version.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upgrades {
    /// As soon as the Stack asks for the version, step by step.
    #[default]
    Automatic,
    /// Once somebody asks for it by an `Operation` of type Upgrade as well.
    OnRequest,
}

impl Upgrades {
    /// Whether it is the default.
    pub fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }
}
