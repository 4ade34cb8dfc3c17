//! `SandboxPolicy`: what may be asked for in a Sandbox. It is the cluster owner's, so that tenants cannot relax it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stack::{Images, Quota, Site};

/// What Sandboxes may ask for, what they cost, and what the site gives them. Where several are for a namespace, each has to allow
/// what is asked; where none is, what a policy says that says nothing holds.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "SandboxPolicy",
    plural = "sandboxpolicies",
    derive = "Default",
    derive = "PartialEq",
    category = "plinth",
    doc = "What Sandboxes may ask for, what they cost, and what the site gives them.",
    printcolumn(name = "TTL", type_ = "string", json_path = ".spec.maxTtl"),
    printcolumn(name = "Life", type_ = "string", json_path = ".spec.maxLife"),
    printcolumn(name = "Count", type_ = "integer", json_path = ".spec.maxCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPolicySpec {
    /// Namespaces that it is for; every one where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// Templates that may be used; every one where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub templates: Vec<String>,
    /// Whether Stacks may be copied.
    #[serde(default = "yes")]
    pub from_stack: bool,
    /// Longest `ttl` of a Sandbox.
    #[serde(default = "month")]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,4}(m|h|d)$"))]
    pub max_ttl: String,
    /// Longest life with every extension.
    #[serde(default = "quarter")]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,4}(m|h|d)$"))]
    pub max_life: String,
    /// How long before its end a sandbox's owner is warned; a quarter of its `ttl` where that is shorter.
    #[serde(default = "days")]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,4}(m|h|d)$"))]
    pub warn_before: String,
    /// Largest quota, and that of a Sandbox that names none.
    #[serde(default)]
    pub quota: Quota,
    /// Sandboxes in a namespace at the same time, those not counted whose time is over.
    #[serde(default = "count")]
    #[schemars(range(min = 0, max = 10000))]
    pub max_count: u32,
    /// Whether a Sandbox has to have a budget.
    #[serde(default)]
    pub require_budget: bool,
    /// People that may be made up for a Sandbox.
    #[serde(default = "town")]
    #[schemars(range(max = 100_000))]
    pub max_people: u32,
    /// What things cost. Without it nobody knows what a sandbox costs, and none may have a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// What the site gives to every sandbox: storage and gateway classes, the domain below which each has one of its own. What it
    /// points to by name (a ConfigMap, Secrets) has to be in the namespace of each sandbox's Stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// Where images come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// Whom to tell what owners of sandboxes should know: that one is there, that its time is nearly over, that its budget is spent,
    /// that it is gone. Where several policies are for a namespace, the first that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

impl Default for SandboxPolicySpec {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            templates: Vec::new(),
            from_stack: yes(),
            max_ttl: month(),
            max_life: quarter(),
            warn_before: days(),
            quota: Quota::default(),
            max_count: count(),
            require_budget: false,
            max_people: town(),
            prices: None,
            site: None,
            images: None,
            webhook: None,
        }
    }
}

fn yes() -> bool {
    true
}

fn month() -> String {
    "30d".to_owned()
}

fn quarter() -> String {
    "90d".to_owned()
}

fn days() -> String {
    "3d".to_owned()
}

fn count() -> u32 {
    20
}

fn town() -> u32 {
    10_000
}

/// What things cost, decimal numbers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Prices {
    /// Currency, ISO 4217.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
    /// A processor that is asked for, for an hour.
    #[schemars(regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"))]
    pub cpu_hour: String,
    /// A gibibyte of memory that is asked for, for an hour.
    #[schemars(regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"))]
    pub memory_hour: String,
    /// A gibibyte of a persistent volume, for a month of 30 days; also while the sandbox sleeps.
    #[schemars(regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"))]
    pub storage_month: String,
}

/// A receiver of CloudEvents 1.0: each event comes as a POST of JSON (`application/cloudevents+json`), at least once; `id` stays the same
/// when it comes again. Any answer from 200 to 299 is a receipt.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Address. Redirects are not followed.
    #[schemars(length(max = 2048), regex(pattern = r"^https://[^/?#@\s]+([/?][^\s#]*)?$"))]
    pub url: String,
    /// Certificates in PEM that the receiver's is checked against; what the operator's system trusts where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
    /// Where the token is that is sent as `Authorization: Bearer`; none is sent where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenReference>,
}

/// A key of a Secret, in any namespace: a SandboxPolicy is the cluster owner's.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenReference {
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
