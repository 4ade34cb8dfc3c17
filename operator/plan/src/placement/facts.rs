//! What is known of a cluster that may hold blocks.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::condition::REACHABLE;
use plinth_api::names;
use plinth_api::v1alpha1::cluster::Capacity;
use plinth_api::v1alpha1::placement::Hub;
use plinth_api::{Stack, WorkloadCluster};
use serde_json::Value;

use super::HUB;
use crate::model::StackId;
use crate::resolve::Inputs;

/// What is known of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterFacts {
    /// Labels that selectors match.
    pub labels: BTreeMap<String, String>,
    /// Whose law holds there, ISO 3166-1 alpha-2; `None` for a hub that the Stack does not describe.
    pub jurisdiction: Option<String>,
    /// Where the machines stand, ISO 3166-1 alpha-2 or ISO 3166-2; `None` for a hub that the Stack does not describe.
    pub location: Option<String>,
    /// The data centre.
    pub site: Option<String>,
    /// The part of it.
    pub zone: Option<String>,
    /// Network ranges, CIDR, by which its pods and those of other clusters know one another.
    pub cidrs: Vec<String>,
    /// What is installed on it; `None` when nobody has looked.
    pub capabilities: Option<BTreeSet<String>>,
    /// What its nodes have to give; `None` when nobody has looked.
    pub capacity: Option<Capacity>,
    /// Whether it answers; `None` when nobody has looked.
    pub reachable: Option<bool>,
    /// It has answered at least once, so that what it holds is known.
    pub seen: bool,
    /// When it answered last, in seconds since the Unix epoch, where it does not answer now.
    pub last_seen: Option<i64>,
    /// That it does not answer is no alarm.
    pub expected_offline: bool,
    /// Blocks of the Stack that are on it: as it says itself, or as it is remembered while it does not answer.
    pub holds: BTreeSet<String>,
}

impl ClusterFacts {
    /// What a WorkloadCluster says about itself, for a Stack of that name beside it.
    pub fn of(cluster: &WorkloadCluster, stack: &str) -> Self {
        let (spec, status) = (&cluster.spec, cluster.status.clone().unwrap_or_default());
        let reachable = status.conditions.iter().find(|condition| condition.type_ == REACHABLE);
        let claims = status.claims.iter().filter(|claim| claim.stack == stack);
        Self {
            labels: cluster.metadata.labels.clone().unwrap_or_default(),
            jurisdiction: Some(spec.jurisdiction.clone()),
            location: Some(spec.location.clone()),
            site: spec.site.clone(),
            zone: spec.zone.clone(),
            cidrs: spec.cidrs.clone(),
            capabilities: status.capabilities.map(|names| names.into_iter().collect()),
            capacity: status.capacity,
            reachable: reachable.map(|condition| condition.status == "True"),
            seen: status.last_seen.is_some(),
            last_seen: status
                .last_seen
                .filter(|_| reachable.is_some_and(|condition| condition.status == "False"))
                .map(|at| at.0.as_second()),
            expected_offline: spec.expected_offline,
            holds: claims.flat_map(|claim| claim.blocks.iter().cloned()).collect(),
        }
    }

    /// What is declared of it here, with what was seen of it there.
    pub fn with_seen(self, there: &Self) -> Self {
        Self {
            capabilities: there.capabilities.clone(),
            capacity: there.capacity.clone(),
            reachable: there.reachable,
            seen: there.seen,
            holds: there.holds.clone(),
            ..self
        }
    }

    /// The hub: what a Stack says of it as a place, over what was seen of it.
    pub(super) fn of_hub(stack: &Stack, seen: &Self) -> Self {
        let hub = stack.spec.placement.as_ref().and_then(|placement| placement.hub.clone());
        let described = hub.is_some();
        let Hub { jurisdiction, location, site, zone, labels, cidrs } = hub.unwrap_or_default();
        let declared = Self {
            labels,
            jurisdiction: described.then_some(jurisdiction),
            location: described.then_some(location),
            site,
            zone,
            cidrs,
            ..Self::default()
        };
        Self { seen: true, ..declared.with_seen(seen) }
    }

    /// Whether something is installed on it. Where nobody has looked, nothing says that it is not.
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.as_ref().is_none_or(|names| names.contains(capability))
    }
}

/// Every cluster that blocks of a Stack may be on, the hub among them.
pub(crate) fn sites(stack: &Stack, inputs: &Inputs) -> BTreeMap<String, ClusterFacts> {
    let mut sites = inputs.clusters.clone();
    sites.insert(HUB.to_owned(), ClusterFacts::of_hub(stack, &inputs.hub));
    sites
}

/// Blocks of a Stack whose namespaces are among these of one cluster. A namespace that is only there for Services of another
/// cluster to be imported into carries the owner of that block, and the label of the one that uses it.
pub fn blocks_on<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    held(stack, namespaces, false)
}

/// The same of blocks that the cluster only stands by for.
pub fn standbys_on<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    held(stack, namespaces, true)
}

fn held<'a>(
    stack: &StackId,
    namespaces: impl IntoIterator<Item = &'a Value>,
    stands_by: bool,
) -> BTreeSet<String> {
    let prefix = format!("{stack}/");
    let of_block = |namespace: &Value| {
        let metadata = namespace.get("metadata")?;
        let annotations = metadata.get("annotations")?;
        let owner = annotations.get(names::ANNOTATION_OWNER)?.as_str()?;
        let block = owner.strip_prefix(&prefix)?;
        let label = metadata.get("labels").and_then(|labels| labels.get(names::LABEL_BLOCK));
        let is_own = label.is_none_or(|label| label == block);
        let waits = annotations.get(names::ANNOTATION_STANDBY).is_some();
        (is_own && waits == stands_by).then(|| block.to_owned())
    };
    namespaces.into_iter().filter_map(of_block).collect()
}
