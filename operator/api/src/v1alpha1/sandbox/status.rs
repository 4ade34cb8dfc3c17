//! What is said of a Sandbox.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1alpha1::people::PeopleStatus;
use crate::v1alpha1::schema;

/// What is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is in its life.
    #[serde(default)]
    pub phase: SandboxPhase,
    /// Where its Stack is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackPlace>,
    /// Where people reach it; inside the cluster where it publishes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Secret in the namespace of its Stack that holds what people sign in with. Its owner's groups may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<String>,
    /// When its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When its owner was warned of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_at: Option<Time>,
    /// What it costs. Written at most once an hour; metrics have the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<SandboxCost>,
    /// How many of the people that it asks for are loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleStatus>,
    /// Time that was added, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// That it sleeps or is awake, because a person asked. It holds until the schedule says something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// What the webhook of a SandboxPolicy has been told of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// What it was, once its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<SandboxReport>,
    /// Conditions, kstatus-compatible: Ready, Reconciling, Stalled; Expiring once its owner was warned,
    /// Notified where a SandboxPolicy has a webhook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a sandbox is in its life.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxPhase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Not allowed, or not possible; nothing was made.
    Refused,
    /// Comes up, or wakes.
    Starting,
    /// Runs.
    Awake,
    /// Is put to sleep.
    FallingAsleep,
    /// Has no pods; its data is kept.
    Asleep,
    /// Its time is over; what it had is being deleted.
    Expiring,
    /// Its time is over, and nothing of it is left but the report.
    Expired,
    /// It is deleted, with what it had.
    Deleting,
}

/// Where the Stack of a sandbox is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StackPlace {
    /// Its namespace, which is the sandbox's own. Its blocks are in namespaces that begin with that name.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a sandbox costs, in decimal numbers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SandboxCost {
    /// Currency of every number here.
    pub currency: String,
    /// Forecast of a month of 30 days by its schedule.
    pub per_month: String,
    /// Since it was made.
    pub so_far: String,
    /// In this calendar month.
    pub this_month: String,
    /// Which month that is, `2026-11`, in the time zone of its hibernation.
    pub month: String,
    /// Until when it was counted.
    pub as_of: Time,
}

/// Time that was added to a sandbox.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// Who asked, as admission stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    pub at: Time,
    /// How much.
    pub added: String,
    /// Until when it is there by this.
    pub until: Time,
    /// The Operation.
    pub operation: String,
}

/// What a person asked of a sandbox.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// What it shall be.
    pub state: AskedState,
    /// Who asked, as admission stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    pub at: Time,
    /// The Operation.
    pub operation: String,
}

/// What a person wants a sandbox to be.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants say it")]
pub enum AskedState {
    Awake,
    Asleep,
}

/// Something that a webhook has been told, and has said to have heard.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What.
    pub occasion: Occasion,
    /// Which of several: the end that was warned of, the month whose budget is spent. Another one is told again.
    pub of: String,
    /// When it was heard.
    pub at: Time,
}

/// What an owner should know of a sandbox.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Occasion {
    /// It is there and can be used.
    Available,
    /// Its time is nearly over.
    ExpiresSoon,
    /// It sleeps until the month is over, because its budget is spent.
    BudgetSpent,
    /// It is gone.
    Ended,
}

/// What a sandbox was.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SandboxReport {
    /// Blocks that it had, as `identity: keycloak 26.4.7`.
    pub blocks: Vec<String>,
    /// When it was made.
    pub from: Time,
    /// When its time was over.
    pub until: Time,
    /// What it cost, all together, with the currency; nothing where nobody gave prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// How often it was extended.
    pub extensions: u32,
}
