//! What a Job of Plinth's own image reads, and what it writes beside each backup.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::backup::{ObjectLock, Retention};
use serde::{Deserialize, Serialize};

/// What a Job is told: what it backs up or restores, and where backups are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// What is backed up.
    pub of: Held,
    /// Where its backups are.
    pub place: Place,
    /// Whom they are encrypted to.
    pub recipients: Vec<String>,
    /// Which are kept.
    pub retention: Retention,
}

/// What a backup is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Namespace of the Stack.
    pub namespace: String,
    /// Stack.
    pub stack: String,
    /// Block.
    pub block: String,
    /// Requirement of the block.
    pub requirement: String,
    /// Product that serves it.
    pub product: String,
    /// Its version.
    pub version: String,
}

/// Where the backups of one database are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Address of the object storage.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// Region that requests are signed for.
    pub region: String,
    /// What the names of its objects begin with, with a slash at the end; a backup's id comes next.
    pub path: String,
    /// How long a backup cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
}

impl Place {
    /// Name of the object with the encrypted dump of a backup.
    pub fn dump(&self, id: &str) -> String {
        format!("{}{id}/dump.age", self.path)
    }

    /// Name of the object that says what a backup is. It is written last: without it there is no backup.
    pub fn manifest(&self, id: &str) -> String {
        format!("{}{id}/manifest.json", self.path)
    }

    /// Name of the object with the block's secrets as they were, encrypted.
    pub fn secrets(&self, id: &str) -> String {
        format!("{}{id}/{}", self.path, super::SECRETS)
    }

    /// The backup that an object with a manifest is of.
    pub fn id_of<'a>(&self, object: &'a str) -> Option<&'a str> {
        object.strip_prefix(&*self.path)?.strip_suffix("/manifest.json")
    }
}

/// What a backup is, in the open: no value of the data is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Form of this document.
    pub form: u32,
    /// The backup: when it was begun, UTC, as `20261130T020000Z`.
    pub id: String,
    /// What it is of.
    pub of: Held,
    /// Seconds since the Unix epoch at which it was begun: it has what was there then.
    pub taken_at: i64,
    /// Seconds that it took.
    pub seconds: i64,
    /// The object as it was sent, encrypted.
    pub sealed: Extent,
    /// The dump before it was encrypted.
    pub plain: Extent,
    /// The block's secrets as they were sent, encrypted; `None` where it has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Extent>,
    /// Rows by table, as the dump has them.
    pub counts: BTreeMap<String, u64>,
    /// Whom it is encrypted to.
    pub recipients: Vec<String>,
}

impl Manifest {
    /// Form that this program writes and reads.
    pub const FORM: u32 = 1;
}

/// Size and digest of a stream of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extent {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}
