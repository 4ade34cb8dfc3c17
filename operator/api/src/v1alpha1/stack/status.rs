//! What is said of a Stack.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::State;
use crate::v1alpha1::backup::BackupSummary;
use crate::v1alpha1::people::PeopleStatus;
use crate::v1alpha1::schema;

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StackStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready blocks of all blocks, as `4/5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Conditions: Ready, Reconciling, Stalled and one an area.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Catalogue that the running plan was made from. Where the spec names none, the Stack is pinned to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue_revision: Option<String>,
    /// Hash of the plan that is applied, or held for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Hash of the plan that was approved last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_hash: Option<String>,
    /// Steps that were approved, as Operations name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_steps: Vec<String>,
    /// Each block, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub blocks: Vec<BlockSummary>,
    /// Each database that is backed up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub backups: Vec<BackupSummary>,
    /// Certificates that it depends on, the one that ends first at the top; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateSummary>,
    /// Certificates that are not listed: all of them end later than those that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_certificates: Option<usize>,
    /// How many of the people that are made up for it are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleStatus>,
}

/// One block's line in a Stack's status.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BlockSummary {
    /// Block name.
    pub name: String,
    /// Product, or nothing when external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Version that runs or is being brought in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// WorkloadCluster that it runs on; nothing for the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Namespace on its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The block's state.
    #[serde(default)]
    pub state: State,
    /// Why, naming the object at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Public and in-cluster addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The upgrade that is under way, or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeSummary>,
    /// Blocks that it asks something of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<BlockUse>,
    /// Clusters that are to take it over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["cluster"]))]
    pub standby: Vec<StandbySummary>,
    /// When the first of its certificates is due to be made anew: when the last third of its life begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Time>,
}

/// What a block asks of another one of its Stack.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct BlockUse {
    /// The block that is asked.
    pub block: String,
    /// What for, for example `oidc-issuer`.
    pub capability: String,
}

/// A cluster that is to take a block over.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StandbySummary {
    /// The WorkloadCluster, or `hub`.
    pub cluster: String,
    /// Ready: it has all that it needs but pods and data.
    pub state: State,
    /// What it lacks, naming the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The upgrade of a block that is under way, or waits.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeSummary {
    /// Version that runs: the last one whose step has come to its end.
    pub from: String,
    /// Version of the step; nothing while no step can be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Version that the Stack asks for.
    pub target: String,
    /// What is being done.
    pub phase: UpgradePhase,
    /// What the step waits for, or why it does not go on and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far a step from one version to the next is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradePhase {
    /// It is not begun: something comes first.
    #[default]
    Held,
    /// It is about to begin.
    Beginning,
    /// The restore point is being taken; the old version serves.
    BackingUp,
    /// Migrations run, then the new version takes over.
    Rolling,
    /// It has failed. What has not been replaced serves.
    Failed,
    /// The old version and its data are being put back.
    Returning,
}

/// A certificate that something of a Stack depends on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSummary {
    /// The object that holds it, as `Secret ua-api-gateway/public-tls`.
    pub object: String,
    /// WorkloadCluster that the object is on; nothing for the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Block that it is for; nothing where it is the whole Stack's, or an agency's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// Who brings the next one.
    pub source: CertificateSource,
    /// When it ends; of several in one object, the first. Of certificates of one subject the newest counts.
    pub not_after: Time,
    /// When it is made anew by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Time>,
}

/// Who brings the next certificate.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateSource {
    /// Plinth: it makes it anew when the last third of its life begins.
    Issued,
    /// cert-manager.
    CertManager,
    /// A person, who supplied it.
    Supplied,
    /// Somebody else: it is an authority's that the Stack trusts.
    Trusted,
}

impl CertificateSource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Issued, Self::CertManager, Self::Supplied, Self::Trusted];

    /// What metrics call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::CertManager => "cert-manager",
            Self::Supplied => "supplied",
            Self::Trusted => "trusted",
        }
    }
}
