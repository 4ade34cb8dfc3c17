//! Backups: what a Stack may ask for, what a Job of Plinth's own image is told, what is known of them. Pure: the Jobs dump,
//! encrypt and send (`plinth store`, in the runtime), the plan says which there are.

mod document;
mod known;
mod policy;
pub mod schedule;

pub use document::{Document, Extent, Held, Manifest, Place};
pub use known::{known, verdict};
pub use policy::{Endpoint, findings, missing};

use serde::Serialize;

use crate::model::{Finding, UnitId};

/// Key of the Secret with the name of the account of the target.
pub const ACCESS_KEY: &str = "accessKey";
/// Key of the Secret with the account's secret key.
pub const SECRET_KEY: &str = "secretKey";
/// Key of a Secret with a private key of a recipient.
pub const IDENTITY: &str = "identity";
/// Variable with the name of the account of the target.
pub const ACCESS_KEY_VARIABLE: &str = "PLINTH_ACCESS_KEY";
/// Variable with the account's secret key.
pub const SECRET_KEY_VARIABLE: &str = "PLINTH_SECRET_KEY";
/// Variable with a private key of a recipient.
pub const IDENTITY_VARIABLE: &str = "PLINTH_IDENTITY";
/// Folder that the containers of a backup share.
pub const FOLDER: &str = "/backup";
/// Name of the file, in a ConfigMap, that says what a Job has to do with which target.
pub const FILE: &str = "backup.json";
/// Name of the file beside it with the certificates that sign the target's.
pub const CA_FILE: &str = "ca.crt";

/// Key of a Secret, and name of the file and the object, with the block's secrets, encrypted to the recipients.
pub const SECRETS: &str = "secrets.age";
/// Folder of that file.
pub const SECRETS_FOLDER: &str = "/etc/plinth-secrets";

/// What is backed up of a block, and what is not.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Databases that are backed up.
    pub databases: Vec<Database>,
    /// What holds data and is not backed up: components, each with why.
    pub uncovered: Vec<String>,
    /// What backups need and is not there.
    pub missing: Vec<Finding>,
}

/// One database that is backed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Requirement of the block.
    pub requirement: String,
    /// The CronJob that backs it up, which stands in the unit of the same name.
    pub backup: UnitId,
    /// The CronJob that restores it beside, where that is rehearsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<UnitId>,
}
