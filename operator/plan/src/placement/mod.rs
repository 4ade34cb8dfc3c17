//! Where each block runs. A list of predicates says of every cluster whether it may hold a block, and why not; of those that
//! may, the one that holds it already, or else the first. Nothing is moved: a block that runs on a cluster which it may no
//! longer be on is refused, and stays as it is.
//!
//! ```text
//! facts        what is known of a cluster            `facts`
//! predicates   may it hold the block, why not        `predicates`, `residency`
//! choose       the one, its standbys, the others     `rules`, `choose`
//! links        what crosses a border, and by what    `links`
//! ```

mod choose;
mod facts;
pub(crate) mod links;
mod predicates;
pub mod residency;
mod rules;

pub use choose::{Choice, Considered, Standing, choose};
pub(crate) use facts::sites;
pub use facts::{ClusterFacts, blocks_on, standbys_on};

/// Name of the cluster that Plinth itself runs on, in rules and for people. In a plan it is `None`.
pub const HUB: &str = "hub";

/// A cluster as a plan has it, for people.
pub fn shown(cluster: Option<&str>) -> &str {
    cluster.unwrap_or(HUB)
}

/// A cluster in a sentence.
pub(crate) fn phrase(cluster: &str) -> String {
    if cluster == HUB { "the hub".to_owned() } else { format!("cluster `{cluster}`") }
}
