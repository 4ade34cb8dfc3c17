//! What the nodes of a cluster that `up` starts are.

use anyhow::Result;
use plinth_cluster::{ControlPlane, Nodes as PlaneNodes, missing_for_real_node};

use super::Nodes;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;

/// Simulated nodes: one for each zone that products spread over.
const SIMULATED: PlaneNodes = PlaneNodes::Simulated(3);

/// Refuses real nodes where there can be none, before anything else is done.
pub fn check(nodes: Nodes) -> Result<()> {
    let missing = if nodes == Nodes::Real { missing_for_real_node() } else { Vec::new() };
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("--nodes real cannot be on this machine; missing: {}", missing.join("; "));
    let next = "use --nodes simulated, or give --kubeconfig of a cluster that has real nodes";
    Err(Failure::new(Exit::Usage, what).next(next).into())
}

/// What the new cluster gets; when the choice was ours, the reason is said.
pub fn choose(nodes: Nodes, cluster: &str) -> Result<PlaneNodes> {
    match nodes {
        Nodes::Simulated => Ok(SIMULATED),
        Nodes::Real => Ok(PlaneNodes::Real),
        Nodes::Auto if ControlPlane::nodes_before(cluster)? == Some(PlaneNodes::Real) => {
            note(&format!("nodes: real, because the cluster `{cluster}` was made with a real one"));
            Ok(PlaneNodes::Real)
        }
        Nodes::Auto => {
            note(&format!("nodes: simulated, because {}", why_not_real()));
            Ok(SIMULATED)
        }
    }
}

fn why_not_real() -> String {
    let missing = missing_for_real_node();
    if missing.is_empty() {
        // A Stack would wait for its images for ever.
        return "few products have an image for a real node here (--nodes real asks for one; docs/images.md)"
            .to_owned();
    }
    format!("a real one cannot be on this machine; missing: {}", missing.join("; "))
}
