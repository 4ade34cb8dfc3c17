//! GovStack's cross-functional requirements, as far as they can be seen on a running block. Nothing here is a level or a
//! certificate: GovStack's own reviewers award those.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was seen of one block.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConformanceStatus {
    /// Specification and version that the identifiers are of.
    pub specification: String,
    /// Requirements of which all that was looked at holds.
    pub holds: usize,
    /// Requirements of which something that was looked at does not hold.
    pub fails: usize,
    /// Requirements that the product is known not to hold, with the reason on record.
    pub exceptions: usize,
    /// Requirements that nobody looked at.
    pub not_tested: usize,
    /// Each one that was looked at, or has an exception on record, by its identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub requirements: Vec<RequirementStatus>,
}

/// What was seen of one requirement.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RequirementStatus {
    /// Identifier, for example `govstack-cfr-deployment#req-11`.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// How it can be verified.
    pub verification: Verification,
    /// What may be made of it.
    pub mutability: Mutability,
    /// What came of looking.
    pub result: Outcome,
    /// What was looked at, and what was seen; of an exception, why.
    pub evidence: String,
}

/// How binding a requirement is, in GovStack's words.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// One that does not hold disqualifies.
    Required,
    /// Optional; the share that holds is published.
    Recommended,
}

/// How a requirement can be verified, in GovStack's words.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verification {
    /// On the running system.
    Observable,
    /// By inspection of documents and internals: what is seen here is evidence for whoever inspects.
    Auditable,
}

/// What may be made of a requirement, in GovStack's words.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mutability {
    /// Nothing.
    Immutable,
    /// It may be tightened.
    Extensible,
    /// Another rule to the same end may take its place.
    Replaceable,
}

/// What came of looking.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that was looked at holds.
    Holds,
    /// Something that was looked at does not hold.
    Fails,
    /// It does not hold, and the product's entry says why.
    Exception,
    /// There was nothing to look at, or it cannot be seen.
    NotTested,
}
