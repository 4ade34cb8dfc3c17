//! What a plan is made from beside the Stack itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::backing::Running;
use crate::catalogue::Catalogue;
use crate::exchange::Declared;
use crate::failover::Failovers;
use crate::fixed::Fixed;
use crate::installed::Installs;
use crate::model::Finding;
use crate::moving::Moves;
use crate::placement::ClusterFacts;
use crate::restoring::Restores;

/// What the Stack refers to, fetched before planning.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The entries of the Stack's catalogue, and the user's own.
    pub catalogue: Catalogue,
    /// Why `catalogue` is another one than the Stack's: nothing is rendered then.
    pub unknown_catalogue: Option<Finding>,
    /// Keys of the Secrets in the Stack's namespace that it names; `None` when nobody looked (offline plan).
    pub secrets: Option<BTreeMap<String, BTreeSet<String>>>,
    /// Contents of the ConfigMaps in the Stack's namespace that it names; `None` when nobody looked.
    pub config_maps: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// What serves the blocks that are on the cluster; empty when nobody looked.
    pub running: Running,
    /// What blocks that are on the cluster were started with; empty when nobody looked.
    pub fixed: Fixed,
    /// What runs in blocks that are on the cluster; empty when nobody looked.
    pub installed: Installs,
    /// Data that is being brought from one backing service to another.
    pub moves: Moves,
    /// Data that is being brought back from backups.
    pub restores: Restores,
    /// Blocks that were taken over to a standby, or are being.
    pub failovers: Failovers,
    /// What agencies have declared about the Stack's exchange; nothing when nobody looked.
    pub declared: Declared,
    /// WorkloadClusters of the Stack's namespace, by name.
    pub clusters: BTreeMap<String, ClusterFacts>,
    /// What was seen of the cluster that Plinth itself runs on. What the Stack says of it is laid over this.
    pub hub: ClusterFacts,
    /// The WorkloadCluster that each block was shown on last, for those whose cluster does not answer.
    pub placed: BTreeMap<String, String>,
}
