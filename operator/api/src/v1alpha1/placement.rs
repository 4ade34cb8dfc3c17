//! Where the blocks of a Stack run: on which of its clusters, and whose law and what place that must be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the blocks of a Stack run. A block for which nothing is said runs on the cluster that Plinth itself runs on, the hub.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// The hub as a place: what a WorkloadCluster says of any other cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<Hub>,
    /// What holds for each block that has no rule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<PlacementRule>,
    /// Rules for single blocks, each in the place of the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["block"]))]
    pub blocks: Vec<BlockPlacement>,
    /// Whose law and what place data may be under. Every rule that names a block binds it; none is ever relaxed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub residency: Vec<Residency>,
}

/// The hub as a place. Its name in rules is `hub`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Hub {
    /// Whose law holds there, ISO 3166-1 alpha-2.
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    pub jurisdiction: String,
    /// Where the machines stand, ISO 3166-1 alpha-2 or ISO 3166-2.
    #[schemars(regex(pattern = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"))]
    pub location: String,
    /// The data centre that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub site: Option<String>,
    /// The part of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub zone: Option<String>,
    /// Labels that selectors match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Network ranges, CIDR, that its pods call other clusters from and are called at by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 3, max = 64)))]
    pub cidrs: Vec<String>,
}

/// Which clusters a block may run on.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.clusters) && has(self.selector))").message("give clusters (their names, the preferred first) or selector (their labels), not both"),
)]
pub struct PlacementRule {
    /// WorkloadClusters by name, or `hub`, the preferred first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub clusters: Vec<String>,
    /// WorkloadClusters, and the hub, by their labels; an empty one selects them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// What has to be installed on the cluster: `cert-manager`, `cloudnative-pg`, `gateway-api`, `mcs-api`, `strimzi`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub capabilities: Vec<String>,
    /// Block whose cluster it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub with: Option<String>,
    /// Further clusters that are to take the block over when its own is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<Standby>,
}

/// The rule of one block.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.with) || self.with != self.block").message("with: names another block"),
)]
pub struct BlockPlacement {
    /// The block.
    #[schemars(length(min = 1, max = 32))]
    pub block: String,
    /// Its rule.
    #[serde(flatten)]
    pub rule: PlacementRule,
}

/// Clusters that are to take a block over.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Standby {
    /// How many.
    #[schemars(range(min = 1, max = 8))]
    pub count: u8,
    /// What no two of them, and none of them and the block's own, have in common.
    #[serde(default)]
    pub spread: Spread,
}

/// What is lost together.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// The data centre.
    #[default]
    Site,
    /// The part of a data centre, in its site.
    Zone,
    /// The country that the machines stand in.
    Country,
}

/// Whose law and what place data may be under.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.jurisdiction) || has(self.location)").message("give jurisdiction (whose law), location (what place) or both"),
)]
pub struct Residency {
    /// Name of the rule, for messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Blocks that it binds; every block where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 32)))]
    pub blocks: Vec<String>,
    /// What of them it binds; all of it where nothing is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub binds: Vec<Bound>,
    /// Whose law may hold there: one of these, ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(regex(pattern = r"^[A-Z]{2}$")))]
    pub jurisdiction: Vec<String>,
    /// Where the machines may stand: one of these, ISO 3166-1 alpha-2 (all of the country) or ISO 3166-2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(regex(pattern = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")))]
    pub location: Vec<String>,
    /// Where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub citation: Option<String>,
}

/// What of a block a residency rule binds.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// Where it runs, and its data with it, also with a backing service that runs elsewhere.
    Primary,
    /// Standbys, to which the data is replicated.
    Replicas,
    /// Backups.
    Backups,
    /// What its pods write down.
    Logs,
    /// Keys that open its data, and where they are kept for the day they are needed.
    Keys,
    /// Copies of its secrets that other blocks use.
    SecretCopies,
}

impl Bound {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Primary, Self::Replicas, Self::Backups, Self::Logs, Self::Keys, Self::SecretCopies];

    /// The word as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "Primary",
            Self::Replicas => "Replicas",
            Self::Backups => "Backups",
            Self::Logs => "Logs",
            Self::Keys => "Keys",
            Self::SecretCopies => "SecretCopies",
        }
    }
}

impl Residency {
    /// Whether it binds that of a block.
    pub fn covers(&self, block: &str, what: Bound) -> bool {
        let of = |listed: bool, none: bool| none || listed;
        of(self.blocks.iter().any(|named| named == block), self.blocks.is_empty())
            && of(self.binds.contains(&what), self.binds.is_empty())
    }
}
