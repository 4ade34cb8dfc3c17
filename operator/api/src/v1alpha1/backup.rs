//! `spec.backup` of a Stack: when its data is backed up, to where, who can read it, and how it is proven that it can be
//! brought back. And what its status says of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the data of a Stack's blocks is backed up. Schedules are in the country's time zone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When, in the five fields of cron: minute, hour, day of the month, month, day of the week.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,
    /// Hours after which a backup is too old: the recovery point objective. The condition BackedUp says so from then on.
    #[serde(default = "a_day_and_two_hours")]
    #[schemars(range(min = 1, max = 8784))]
    pub recovery_point_hours: u32,
    /// What is kept.
    #[serde(default)]
    pub retention: Retention,
    /// Where backups go.
    pub target: Target,
    /// Whom backups are encrypted to: X25519 public keys of age (`age1…`). Each of them alone can read every backup. No private
    /// key is in the cluster, unless a rehearsal is given one.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = r"^age1[02-9ac-hj-np-z]{58}$")))]
    pub recipients: Vec<String>,
    /// Restores the newest backup beside what serves, again and again, so that it is known that it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
}

fn a_day_and_two_hours() -> u32 {
    26
}

/// What is kept of the backups of one database. A backup goes when neither keeps it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// The newest, so many.
    #[serde(default = "fourteen")]
    #[schemars(range(min = 1, max = 10000))]
    pub count: u32,
    /// All that are not older, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36600))]
    pub days: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { count: fourteen(), days: None }
    }
}

fn fourteen() -> u32 {
    14
}

/// Object storage with the interface of S3.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its address, `https://host` or `https://host:port`; `http` in profile sandbox only.
    #[schemars(
        length(max = 253),
        regex(pattern = r"^https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$")
    )]
    pub endpoint: String,
    /// Bucket; it exists already.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"))]
    pub bucket: String,
    /// Region that requests are signed for.
    #[serde(default = "us_east_1")]
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub region: String,
    /// What the names of objects begin with, without a slash at either end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$"), length(max = 256))]
    pub prefix: String,
    /// Secret in the Stack's namespace with `accessKey` and `secretKey`.
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: String,
    /// ConfigMap in the Stack's namespace whose `ca.crt` signs the target's certificate; without it, what the image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<String>,
    /// Network ranges that it answers in, CIDR; any address when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub cidrs: Vec<String>,
    /// Nobody can change or delete a backup before its time. The bucket has object lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
}

fn us_east_1() -> String {
    "us-east-1".to_owned()
}

/// How long a backup cannot be changed or deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectLock {
    /// Who may lift it: with Compliance nobody, with Governance whoever has the right.
    #[serde(default)]
    pub mode: LockMode,
    /// Days.
    #[schemars(range(min = 1, max = 36600))]
    pub days: u32,
}

/// Mode of an object lock.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockMode {
    /// Nobody may lift it.
    #[default]
    Compliance,
    /// Whoever has the right to bypass governance may lift it.
    Governance,
}

impl LockMode {
    /// The word that S3 has for it.
    pub fn as_header(self) -> &'static str {
        match self {
            Self::Compliance => "COMPLIANCE",
            Self::Governance => "GOVERNANCE",
        }
    }
}

/// A restore that nobody depends on.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// When, in the five fields of cron.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,
    /// Days after which a proof is too old. The condition BackedUp says so from then on.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 366))]
    pub proven_within_days: u32,
    /// Secret in the Stack's namespace whose `identity` is a private key of one of the recipients (`AGE-SECRET-KEY-1…`). Give
    /// the rehearsal a key of its own: whoever reads this Secret reads every backup.
    #[schemars(length(min = 1, max = 253))]
    pub identity_secret: String,
}

fn eight() -> u32 {
    8
}

/// What is known of the backups of one database.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupSummary {
    /// `<block>/<requirement>`.
    pub name: String,
    /// When the last backup that is whole was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<Time>,
    /// When the last rehearsal had brought one back, every row counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_proven: Option<Time>,
}
