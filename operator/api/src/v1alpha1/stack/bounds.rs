//! What a Stack may take at most, and who may look into its namespaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds of a Stack: what all its blocks together may ask for, and who looks into their namespaces. Plinth sets them on the
/// Stack of a Sandbox.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// What all blocks together may ask for. Each block's namespace gets a ResourceQuota of what its part needs and an even share
    /// of what is left over; a Stack that needs more is refused, with what is missing.
    pub quota: Quota,
    /// Groups, as the API server knows them (of OIDC, say), that may look at what is in the namespaces of the blocks. They change
    /// nothing there and read no Secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub viewers: Vec<String>,
}

/// How much: quantities as Kubernetes writes them.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Processors that pods ask for, all together: `4`, `500m`.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,3}|m)?$"))]
    pub cpu: String,
    /// Memory that pods ask for, all together: `16Gi`.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub memory: String,
    /// Persistent volumes, all together: `50Gi`.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub storage: String,
    /// Objects that the Stack is made of.
    #[schemars(range(min = 1, max = 10000))]
    pub objects: u32,
}

impl Default for Quota {
    /// Enough for any template that comes with Plinth.
    fn default() -> Self {
        Self { cpu: "8".to_owned(), memory: "32Gi".to_owned(), storage: "100Gi".to_owned(), objects: 500 }
    }
}
