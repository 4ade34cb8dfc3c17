//! When a block that runs is brought to the version that the Stack asks for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
