//! How a backing service takes over the data of another one: the part of the catalogue's language that an Operation of
//! type MigrateProvider carries out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::component::{Mount, PerProfile, Resources, Security};
use super::product::Named;

/// One way to bring data here: a Job for each claim (a database with its user, say) that has both services beside it while
/// nobody uses either.
///
/// Its expressions see the entry's own names and, beside them, `claim`, the outputs of both services for that claim, `from.*`
/// and `to.*`, and `operation` (`name`, `uid`, `earlier`: the uids of those that began the same in vain). It may be run again
/// after it failed at any point: it clears what an earlier run left half done, and refuses a target that somebody else has
/// filled.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Product whose data is brought, or `external` for a service that runs elsewhere.
    #[schemars(length(min = 1, max = 40))]
    pub from: String,
    /// How it is done, for people.
    pub description: String,
    /// Claims that can be brought this way (CEL over `claim`); all where left out. One that cannot keeps the whole block
    /// where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Key into the version's `images`.
    pub image: String,
    /// Entry point; the image's own where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments; `$(NAME)` refers to an environment variable. Never a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<Named>,
    /// Files and folders: configs (with `when: moving` they are there only while data is brought), secrets, scratch folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub mounts: Vec<Mount>,
    /// Requests and limits, by profile.
    #[serde(default)]
    pub resources: PerProfile<Resources>,
    /// Seconds that a run normally takes to start its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_budget_seconds: Option<u32>,
    /// How the pod is confined.
    #[serde(default)]
    pub security: Security,
}
