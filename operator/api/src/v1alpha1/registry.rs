//! `Registry`: one authoritative registry of a country.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::agreement::RateLimit;
use super::exchange::{Backend, StackRef, Texts};
use super::schema;

/// One authoritative registry: whose it is, what its records look like, where it runs, how much depends on it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "Registry",
    plural = "registries",
    namespaced,
    status = "RegistryStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "reg",
    category = "plinth",
    doc = "One authoritative registry: owner, schema, where it runs, classification, priority, retention.",
    printcolumn(name = "Code", type_ = "string", json_path = ".spec.code"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner"),
    printcolumn(name = "Priority", type_ = "string", json_path = ".spec.priority"),
    printcolumn(name = "Where", type_ = "string", json_path = ".status.runs"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.block) != has(self.external)").message("give either block (a block of the Stack runs it) or external (it already runs)"),
    validation = Rule::new("self.code == oldSelf.code").message("code cannot change: its database carries it; create another Registry"),
)]
pub struct RegistrySpec {
    /// The Stack that it belongs to.
    pub stack_ref: StackRef,
    /// Its code, unique in the Stack, which binds it to this namespace. Its database is named after it.
    #[schemars(regex(pattern = r"^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$"))]
    pub code: String,
    /// Name of the Member of this namespace that answers for it.
    #[schemars(length(min = 1, max = 253))]
    pub owner: String,
    /// Its name, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: Texts,
    /// Block of the Stack that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub block: Option<String>,
    /// The system that already runs it: wired like one of ours, never deployed, migrated or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<Backend>,
    /// JSON Schema of a record: draft 2020-12, in one document. A change may only widen it, unless an Operation confirms. What
    /// is closed, `additionalProperties: false`, can grow by properties that are not required.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub schema: Map<String, Value>,
    /// Properties that are searched, each a list that is searched together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 8)))]
    pub indexes: Vec<Vec<String>>,
    /// Whether the people that are made up for a sandbox are records of it, each by the properties that `schema` names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub people: bool,
    /// How sensitive a record is.
    pub classification: Classification,
    /// How much depends on it: what is brought back first.
    #[serde(default)]
    pub priority: Priority,
    /// How many calls it bears, through all of its services. Nothing where nobody has measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<RateLimit>,
    /// How long a record is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// How sensitive a record is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Classification {
    /// Anybody may read it.
    Public,
    /// Within the administration.
    #[default]
    Internal,
    /// About a person.
    Personal,
    /// About a person's health, belief, ethnicity, or whereabouts in danger.
    Sensitive,
}

impl Classification {
    /// All of them, the least sensitive first.
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Personal, Self::Sensitive];

    /// Its name, as a Registry has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
        }
    }
}

/// How much depends on a registry.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// The state stops without it.
    Critical,
    /// Services stop without it.
    Important,
    /// It can wait.
    #[default]
    Standard,
}

impl Priority {
    /// Whether it is at least as high as the other: the order of the words is the order of what goes first.
    pub fn reaches(self, other: Self) -> bool {
        self <= other
    }

    /// The word as it stands in YAML.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Important => "important",
            Self::Standard => "standard",
        }
    }
}

/// How long a record is kept.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// ISO 8601 duration in years, months or days: `P75Y`.
    #[schemars(regex(pattern = r"^P([0-9]{1,4}Y)?([0-9]{1,4}M)?([0-9]{1,5}D)?$"))]
    pub period: String,
    /// What it is counted from: the name of a date in the record, or an event in words.
    #[schemars(length(min = 1, max = 128))]
    pub from: String,
    /// Where it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub citation: Option<String>,
}

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RegistryStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it runs: block and product, or `external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<String>,
    /// Services of the exchange that it answers, as `<instance>/<class>/<code>/<subsystem>/<service>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Conditions, kstatus-compatible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
