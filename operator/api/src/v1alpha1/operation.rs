//! `Operation`: one immutable request of a person on duty. Its status is the audit trail.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// One request, asked once, by a person: approve a plan, rotate a secret, bring data to another provider, wake a sandbox.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "plinth.dev",
    version = "v1alpha1",
    kind = "Operation",
    namespaced,
    status = "OperationStatus",
    derive = "PartialEq",
    shortname = "op",
    category = "plinth",
    doc = "One immutable request of a person on duty. Its status says who, what happened and how it ended.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Sandbox", type_ = "string", json_path = ".spec.sandbox", priority = 1),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "By", type_ = "string", json_path = ".status.by"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf").message("an Operation cannot change once it is asked; create another"),
    validation = Rule::new("self.type == 'Approve' ? has(self.planHash) != has(self.step) : !has(self.planHash) && !has(self.step)")
        .message("planHash, step: type Approve needs one of them, other types have none"),
    validation = Rule::new("(self.type == 'Rotate') == has(self.rotate)").message("rotate: required exactly for type Rotate"),
    validation = Rule::new("(self.type == 'MigrateProvider') == has(self.migrateProvider)").message("migrateProvider: required exactly for type MigrateProvider"),
    validation = Rule::new("self.type == 'Backup' || !has(self.backup)").message("backup: for type Backup only"),
    validation = Rule::new("(self.type in ['Extend', 'Sleep', 'Wake']) == has(self.sandbox)").message("sandbox: required exactly for types Extend, Sleep and Wake"),
    validation = Rule::new("has(self.sandbox) != (has(self.stack) && self.stack != '')").message("give either stack or sandbox"),
    validation = Rule::new("(self.type == 'Extend') == has(self.extend)").message("extend: required exactly for type Extend"),
    validation = Rule::new("(self.type in ['Failover', 'Switchback']) == has(self.failover)").message("failover: required exactly for types Failover and Switchback"),
    validation = Rule::new("(self.type == 'Restore') == has(self.restore)").message("restore: required exactly for type Restore"),
    validation = Rule::new("(self.type == 'Upgrade') == has(self.upgrade)").message("upgrade: required exactly for type Upgrade"),
)]
pub struct OperationSpec {
    /// Stack in the same namespace; left out where a Sandbox is named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// Sandbox in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub sandbox: Option<String>,
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: OperationType,
    /// Why, for the audit trail.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Hash of the plan that is approved (`status.planHash` of the Stack).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub plan_hash: Option<String>,
    /// Step of onboarding that is approved, `<block>/<Job>`, as the Stack's status names it; or a change of a registry's schema
    /// that may refuse records that stand, `<block>/registry-<code>-<digest>`, as the Registry's status names it; or the anchor
    /// of an instance to federate with, `federation/<instance key>-<fingerprint>`, as the Stack's condition Federated names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[a-z0-9-]+/[a-z0-9-]+$"))]
    pub step: Option<String>,
    /// Which secret is rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<RotateTarget>,
    /// Whose data is brought to the provider that the Stack chooses by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate_provider: Option<MigrateTarget>,
    /// What is backed up; everything where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupScope>,
    /// What is restored, and from which backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreTarget>,
    /// How much time a Sandbox is given on top: `14d`, `36h`, `90m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,4}(m|h|d)$"))]
    pub extend: Option<String>,
    /// What is upgraded, and to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeTarget>,
    /// Which block is taken over, or back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverTarget>,
}

impl OperationSpec {
    /// A request about a Stack; what its type needs besides is added.
    pub fn new(stack: impl Into<String>, kind: OperationType, reason: impl Into<String>) -> Self {
        Self {
            stack: stack.into(),
            sandbox: None,
            kind,
            reason: reason.into(),
            plan_hash: None,
            step: None,
            rotate: None,
            migrate_provider: None,
            backup: None,
            restore: None,
            extend: None,
            upgrade: None,
            failover: None,
        }
    }

    /// A request about a Sandbox.
    pub fn of_sandbox(sandbox: &str, kind: OperationType, reason: impl Into<String>) -> Self {
        Self { sandbox: Some(sandbox.to_owned()), ..Self::new("", kind, reason) }
    }
}

/// What an Operation asks.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationType {
    /// Let a held plan run, or a held step of onboarding, or a schema narrow, or trust another instance's anchor.
    Approve,
    /// Give a generated secret a new value.
    Rotate,
    /// Bring a block's data from the provider that runs to the one that the Stack chooses by now.
    MigrateProvider,
    /// Back up now what is backed up on schedule.
    Backup,
    /// Bring a database back from a backup.
    Restore,
    /// Give a Sandbox more time, within its SandboxPolicy.
    Extend,
    /// Put a Sandbox to sleep until its schedule wakes it, or somebody does.
    Sleep,
    /// Wake a Sandbox until its schedule puts it to sleep, or somebody does.
    Wake,
    /// Bring a block to another version, or back; or the Stack to another catalogue.
    Upgrade,
    /// Take a block over to a cluster that stands by for it.
    Failover,
    /// Take it back to where it was before.
    Switchback,
}

/// Which secret is rotated.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RotateTarget {
    /// Block name.
    pub block: String,
    /// Name of the Secret object in the block's namespace.
    pub secret: String,
    /// Key inside it; every generated key when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Whose data is brought to another provider.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MigrateTarget {
    /// Block name.
    pub block: String,
    /// Capability whose provider changes, for example `postgresql`.
    pub capability: String,
}

/// What is backed up.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupScope {
    /// Block name.
    pub block: String,
    /// Requirement of the block whose database it is; every one of the block when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<String>,
}

/// What is restored, and from which backup.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreTarget {
    /// Block name.
    pub block: String,
    /// Requirement of the block whose database it is, as `plinth backup list` shows it.
    #[schemars(length(min = 1, max = 52))]
    pub requirement: String,
    /// Backup, as `plinth backup list` shows it, for example `20261130T020000Z`.
    #[schemars(regex(pattern = r"^[0-9]{8}T[0-9]{6}Z$"))]
    pub from: String,
    /// Where to.
    #[serde(default)]
    pub into: RestoreInto,
    /// Secret in the Stack's namespace whose `identity` is a private key of one of the backup's recipients
    /// (`AGE-SECRET-KEY-1…`). It is copied beside the database for as long as this takes.
    #[schemars(length(min = 1, max = 253))]
    pub identity_secret: String,
}

/// Which block is taken over, and what its new side starts from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.identitySecret) || !has(self.restore) || self.restore.size() == 0")
        .message("identitySecret: required where something is restored"),
)]
pub struct FailoverTarget {
    /// Block name.
    #[schemars(length(min = 1, max = 32))]
    pub block: String,
    /// WorkloadCluster that takes over, or `hub`; the only one that stands by where left out. Type Switchback knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub to: Option<String>,
    /// What is not on the new side may be lost: what was written since the backups, what is not backed up, and whatever a side that
    /// does not answer goes on taking.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_data_loss: bool,
    /// Backups that the new side starts from: one of each database of the block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["requirement"]))]
    pub restore: Vec<RestorePart>,
    /// Secret in the Stack's namespace whose `identity` is a private key of one of the backups' recipients
    /// (`AGE-SECRET-KEY-1…`). It is copied beside the database for as long as this takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub identity_secret: Option<String>,
}

/// A backup that a side starts from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RestorePart {
    /// Requirement of the block whose database it is, as `plinth backup list` shows it.
    #[schemars(length(min = 1, max = 52))]
    pub requirement: String,
    /// Backup, as `plinth backup list` shows it, for example `20261130T020000Z`.
    #[schemars(regex(pattern = r"^[0-9]{8}T[0-9]{6}Z$"))]
    pub from: String,
}

/// Where a backup is restored to.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestoreInto {
    /// In place of the database that serves, which is kept beside it under another name.
    #[default]
    Same,
    /// Beside the database that serves, which is not touched.
    Beside,
}

/// What is upgraded, and to what: a block to a version, or the whole Stack to a catalogue.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.catalogue) != has(self.block)").message("give either block with to, or catalogue"),
    validation = Rule::new("has(self.block) == has(self.to)").message("to: required exactly with block"),
    validation = Rule::new("has(self.block) || (!has(self.withoutRestorePoint) && !has(self.identitySecret))")
        .message("withoutRestorePoint, identitySecret: with block only"),
)]
pub struct UpgradeTarget {
    /// Block name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub block: Option<String>,
    /// Version that the Stack asks for by now, to begin or to go on after a failure; or the version before, to go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub to: Option<String>,
    /// Revision of the catalogue, as `plinth catalogue list` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub catalogue: Option<String>,
    /// Take steps that cannot be undone although nothing backs the block's data up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_restore_point: bool,
    /// To go back over a step whose way back is a restore point: Secret in the Stack's namespace whose `identity` is a private key
    /// of one of the backup's recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub identity_secret: Option<String>,
}

/// What happened.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OperationStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How far it is.
    #[serde(default)]
    pub phase: OperationPhase,
    /// Who asked, as admission stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// One line: what was done, or why it was refused and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The steps taken, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Conditions, kstatus-compatible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// How far an Operation is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperationPhase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// Not allowed; nothing was changed.
    Refused,
    /// Tried and failed; the message says how to go on.
    Failed,
}
