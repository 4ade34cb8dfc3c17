//! How what a backing service holds is taken out of it and brought back: the part of the catalogue's language that backups,
//! restores and rehearsals carry out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::component::{Mount, PerProfile, Resources, Security};
use super::product::Named;

/// How a claim (a database with its user, say) is dumped and restored.
///
/// Each program runs in a pod of its own beside the service, next to a container of Plinth's own image that encrypts and sends
/// what is dumped, or fetches, checks and decrypts it; the program sees neither key nor target, that container no password of
/// the service. They share the folder `/backup`:
///
/// - `stream`: a named pipe. `dump` writes the dump into it, `restore` reads it from there.
/// - `counts`: a line for each table (or whatever is counted), name, tab, number, in the order of the C locale. `dump` writes
///   those of the very state that it has dumped; `restore` finds them there and holds what it has restored against them.
/// - `whole`: `dump` makes it when all of the stream and the counts are written; for `restore` it is there when the stream has
///   ended as it should. Without it neither side believes the other.
/// - `failed`: who gives up makes it.
///
/// Expressions see the entry's own names and, beside them, `claim`, and for `restore` and `switch` also `restore.suffix`, which
/// tells this restore's database from all others, and `restore.discard`: it is taken away again once it is proven. Every program
/// may be run again after it failed at any point.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Dump {
    /// How it is done, and what is not in it, for people.
    pub description: String,
    /// Claims that can be backed up this way (CEL over `claim`); all where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Key into the version's `images`.
    pub image: String,
    /// Takes the data out, as the claim's own user.
    pub dump: Program,
    /// Brings it into a database of its own beside the one that serves, and counts.
    pub restore: Program,
    /// Puts the restored database in the place of the one that serves, while nobody uses either; what was there is kept.
    pub switch: Program,
    /// Requests and limits, by profile.
    #[serde(default)]
    pub resources: PerProfile<Resources>,
    /// How the pod is confined.
    #[serde(default)]
    pub security: Security,
}

/// One program.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Program {
    /// Entry point.
    #[schemars(length(min = 1, max = 16))]
    pub command: Vec<String>,
    /// Environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<Named>,
    /// Files and folders: configs (with `when: backedUp` they are there only where something is backed up), secrets, scratch
    /// folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub mounts: Vec<Mount>,
}
