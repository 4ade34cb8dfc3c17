//! Synthetic people: who is made up for a sandbox, and how far they are loaded.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// People that are made up and loaded into the blocks that take them. The same seed and country give the same people: the first
/// hundred of ten thousand are those that a hundred would be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct People {
    /// How many. Those that were loaded before are not taken away where it becomes smaller.
    #[schemars(range(min = 1, max = 100_000))]
    pub amount: u32,
    /// What they follow from.
    #[serde(default)]
    pub seed: u32,
    /// Whose identifiers and names they have.
    pub country: PeopleOf,
}

/// Countries that people can be made up of, ISO 3166-1 alpha-2.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeopleOf {
    /// Estonia.
    #[serde(rename = "EE")]
    #[default]
    Estonia,
    /// Peru.
    #[serde(rename = "PE")]
    Peru,
    /// Ukraine.
    #[serde(rename = "UA")]
    Ukraine,
}

impl PeopleOf {
    /// All of them, by their codes.
    pub const ALL: [Self; 3] = [Self::Estonia, Self::Peru, Self::Ukraine];

    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Estonia => "EE",
            Self::Peru => "PE",
            Self::Ukraine => "UA",
        }
    }
}

/// How far people are loaded.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PeopleStatus {
    /// How many are asked for.
    pub amount: u32,
    /// How many every block has that takes people. It grows a portion at a time, when the block's API has taken the last of it.
    pub loaded: u32,
    /// The same, Job by Job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<PeopleLoaded>,
    /// Why nobody is, or can be, loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far one Job is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PeopleLoaded {
    /// Block that it loads people into.
    pub block: String,
    /// Its name in the block's plan.
    pub step: String,
    /// How many are there.
    pub loaded: u32,
}
