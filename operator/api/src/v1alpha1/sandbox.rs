//! `Sandbox`: a bounded, expiring copy of a Stack, for a team, within a budget.

mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::people::People;
use super::stack::Quota;
use super::window::Window;

pub use status::{
    Asked, AskedState, Extension, Notice, Occasion, SandboxCost, SandboxPhase, SandboxReport, SandboxStatus,
    StackPlace,
};

/// A copy of a Stack for a team: with namespaces of its own, within a quota and a budget, gone without residue when its time is
/// over.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "Sandbox",
    plural = "sandboxes",
    namespaced,
    status = "SandboxStatus",
    derive = "Default",
    derive = "PartialEq",
    shortname = "sbx",
    category = "plinth",
    doc = "A bounded, expiring copy of a Stack, for a team, within a budget.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Cost", type_ = "string", json_path = ".status.cost.soFar"),
    printcolumn(name = "People", type_ = "integer", json_path = ".status.people.loaded", priority = 1),
    printcolumn(name = "Team", type_ = "string", json_path = ".spec.owner.team", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 20 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name: at most 20 lower-case letters, digits and '-', starting with a letter, so that every composed name fits"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.template) != has(self.fromStack)").message("give either template (plinth sandbox templates lists them) or fromStack (a Stack beside this object)"),
    validation = Rule::new("self.ttl == oldSelf.ttl").message("ttl cannot change: ask for more time by an Operation of type Extend (plinth sandbox extend)"),
    validation = Rule::new("has(self.template) == has(oldSelf.template) && (!has(self.template) || self.template == oldSelf.template)")
        .message("template cannot change: make another Sandbox"),
    validation = Rule::new("has(self.fromStack) == has(oldSelf.fromStack) && (!has(self.fromStack) || self.fromStack == oldSelf.fromStack)")
        .message("fromStack cannot change: make another Sandbox"),
)]
pub struct SandboxSpec {
    /// Template that comes with Plinth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub template: Option<String>,
    /// Stack beside this object that is copied once, when the sandbox is made: its blocks, none of its data, secrets or agencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_stack: Option<FromStack>,
    /// Whose it is.
    pub owner: Owner,
    /// How long it is there, counted from its creation: `14d`, `36h`, `90m`. A day has 24 hours.
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,4}(m|h|d)$"))]
    pub ttl: String,
    /// What it may ask for at most; as much as the policy gives where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What it may cost in a calendar month. Where that is spent, it sleeps until the next one; nothing of it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// When it sleeps: its pods are gone, its data is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hibernation: Option<Hibernation>,
    /// People that are made up for it; nobody where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<People>,
}

/// A Stack to be copied.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FromStack {
    /// Its name, in the namespace of the Sandbox.
    #[schemars(length(min = 1, max = 30))]
    pub name: String,
}

/// Whose a sandbox is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Who pays for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub donor: Option<String>,
    /// Who works with it.
    #[schemars(length(min = 1, max = 128))]
    pub team: String,
    /// Whom to write to before it goes.
    #[schemars(length(min = 3, max = 256))]
    pub contact: String,
    /// Groups, as the API server knows them (of OIDC, say), that may look into its namespaces and read its credentials. Nobody
    /// else of the cluster's tenants can.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub groups: Vec<String>,
}

/// Money a month.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// How much, a decimal number: `250` or `249.90`.
    #[schemars(regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"))]
    pub monthly: String,
    /// Of what, ISO 4217: that of the policy's prices.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
}

/// When a sandbox sleeps.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Hibernation {
    /// IANA time zone of the windows, and of the months that the budget is for.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// When it sleeps.
    #[schemars(length(min = 1, max = 16))]
    pub asleep: Vec<Window>,
}
