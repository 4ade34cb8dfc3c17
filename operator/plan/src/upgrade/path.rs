//! The way from one version of a product to another, along the edges that its entry declares. Pure.

use std::collections::{BTreeMap, VecDeque};

use plinth_api::ProductSpec;
use plinth_api::v1alpha1::product::{Rollback, UpgradeEdge};

/// One step: from a version to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge<'a> {
    /// Version that runs.
    pub from: &'a str,
    /// Version that comes next.
    pub to: &'a str,
    /// The way back.
    pub rollback: Rollback,
    /// What a person should know before.
    pub changes: &'a [String],
}

/// The shortest way; of several, the one whose versions the entry lists first. An edge whose old version starts on the new one's data
/// leads both ways.
pub fn path<'a>(spec: &'a ProductSpec, from: &str, to: &str) -> Option<Vec<Edge<'a>>> {
    let mut reached: BTreeMap<&str, Option<Edge<'a>>> = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from.to_owned()]);
    while let Some(at) = queue.pop_front() {
        for edge in edges(spec).filter(|edge| edge.from == at) {
            if !reached.contains_key(edge.to) {
                reached.insert(edge.to, Some(edge));
                queue.push_back(edge.to.to_owned());
            }
        }
    }
    let mut way = Vec::new();
    let mut at = to;
    while at != from {
        let edge = (*reached.get(at)?)?;
        way.push(edge);
        at = edge.from;
    }
    way.reverse();
    Some(way)
}

/// The edge between two versions, where it is declared.
pub fn edge<'a>(spec: &'a ProductSpec, from: &str, to: &str) -> Option<Edge<'a>> {
    edges(spec).find(|edge| edge.from == from && edge.to == to)
}

/// Versions that a version leads to at once.
pub fn next_to<'a>(spec: &'a ProductSpec, from: &str) -> Vec<&'a str> {
    edges(spec).filter(|edge| edge.from == from).map(|edge| edge.to).collect()
}

fn edges(spec: &ProductSpec) -> impl Iterator<Item = Edge<'_>> {
    let exists = |name: &str| spec.versions.iter().any(|version| version.version == name);
    let declared = spec.versions.iter().flat_map(|version| {
        version.upgrades.iter().map(move |edge: &UpgradeEdge| Edge {
            from: &version.version,
            to: &edge.to,
            rollback: edge.rollback,
            changes: &edge.changes,
        })
    });
    let both = declared.flat_map(|edge| {
        let back = Edge { from: edge.to, to: edge.from, changes: &[], ..edge };
        std::iter::once(edge).chain((edge.rollback == Rollback::Possible).then_some(back))
    });
    both.filter(move |edge| exists(edge.to))
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::product::Version;

    use super::*;

    /// Versions with the edges that lead on from them.
    fn product(edges: &[(&str, &[(&str, Rollback)])]) -> ProductSpec {
        let version = |(name, edges): &(&str, &[(&str, Rollback)])| Version {
            version: (*name).to_owned(),
            upgrades: edges
                .iter()
                .map(|(to, rollback)| UpgradeEdge {
                    to: (*to).to_owned(),
                    rollback: *rollback,
                    changes: Vec::new(),
                })
                .collect(),
            ..Version::default()
        };
        ProductSpec { versions: edges.iter().map(version).collect(), ..ProductSpec::default() }
    }

    fn way(spec: &ProductSpec, from: &str, to: &str) -> Option<String> {
        let path = path(spec, from, to)?;
        Some(path.iter().map(|edge| edge.to).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_shortest_way_is_taken_one_edge_at_a_time() {
        use Rollback::{Possible, RestorePoint};
        let spec = product(&[
            ("4", &[]),
            ("3", &[("4", RestorePoint)]),
            ("2", &[("3", RestorePoint), ("4", RestorePoint)]),
            ("1", &[("2", Possible)]),
        ]);
        assert_eq!(way(&spec, "1", "4").as_deref(), Some("2 4"));
        assert_eq!(way(&spec, "1", "3").as_deref(), Some("2 3"));
        assert_eq!(
            way(&spec, "2", "1").as_deref(),
            Some("1"),
            "the old version starts on the new one's data"
        );
        assert_eq!(way(&spec, "4", "3"), None, "only a restore point leads back");
        assert_eq!(way(&spec, "2", "2").as_deref(), Some(""));
        assert_eq!(next_to(&spec, "2"), ["3", "4", "1"]);
    }

    #[test]
    fn an_edge_to_a_version_that_is_not_there_leads_nowhere() {
        let spec = product(&[("1", &[("2", Rollback::Possible)])]);
        assert_eq!((way(&spec, "1", "2"), edge(&spec, "1", "2")), (None, None));
    }
}
