//! What a cluster says of itself: version, capacity, what is installed (I/O). Asked now and then, never with each heartbeat.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::ObjectList;
use plinth_api::v1alpha1::cluster::{CAPABILITIES, Capacity};
use plinth_plan::status::ClusterSeen;
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::clusters::Cluster;
use serde::Deserialize;

/// So long what it said is believed.
const FOR: Duration = Duration::from_secs(300);

/// What it says, or said not long ago. What cannot be asked (nodes may not be read, say) is left out.
pub(super) async fn seen(cluster: &Cluster, known: &mut Option<(Instant, ClusterSeen)>) -> ClusterSeen {
    if let Some((_, seen)) = known.as_ref().filter(|(at, _)| at.elapsed() < FOR) {
        return seen.clone();
    }
    let (version, capacity, capabilities) =
        futures::join!(version(cluster), capacity(cluster), capabilities(cluster));
    let said = ClusterSeen {
        version: told(cluster, "its version", version),
        capacity: told(cluster, "the capacity of its nodes", capacity),
        capabilities: told(cluster, "what is installed on it", capabilities),
    };
    *known = Some((Instant::now(), said.clone()));
    said
}

fn told<T>(cluster: &Cluster, what: &str, answer: Result<T, CallError>) -> Option<T> {
    answer.inspect_err(|error| tracing::warn!(cluster = cluster.name, %error, "{what} cannot be read")).ok()
}

async fn version(cluster: &Cluster) -> Result<String, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    cluster.caller.document::<Version>("/version").await.map(|version| version.git_version)
}

async fn capabilities(cluster: &Cluster) -> Result<Vec<String>, CallError> {
    let mut found = Vec::new();
    for (name, api_version, kind) in CAPABILITIES {
        if cluster.kinds.served(api_version, kind).await?.is_some() {
            found.push((*name).to_owned());
        }
    }
    Ok(found)
}

async fn capacity(cluster: &Cluster) -> Result<Capacity, CallError> {
    let Some(served) = cluster.kinds.served("v1", "Node").await? else { return Ok(summed(&[])) };
    let nodes: ObjectList<Node> = cluster.caller.list(&served, None, &[], Answer::Whole).await?;
    Ok(summed(&nodes.items))
}

/// All that nodes have to give. A quantity that is not understood counts as none.
fn summed(nodes: &[Node]) -> Capacity {
    let sum = |resource: &str| -> f64 {
        let allocatable = nodes.iter().filter_map(|node| node.status.as_ref()?.allocatable.as_ref());
        allocatable.filter_map(|all| quantity(&all.get(resource)?.0)).sum()
    };
    Capacity {
        cpu: shown(sum("cpu") * 1000.0, 1000, ["m", ""]),
        memory: shown(sum("memory") / 1_048_576.0, 1024, ["Mi", "Gi"]),
    }
}

/// In the larger unit where it comes out even; what is finer than the smaller one is noise.
fn shown(amount: f64, step: u64, [small, large]: [&str; 2]) -> String {
    // Whole and never negative; a cluster has fewer than 2^53 of anything.
    let amount = amount.round() as u64;
    if amount.is_multiple_of(step) { format!("{}{large}", amount / step) } else { format!("{amount}{small}") }
}

/// A quantity as a number: `1500m` is 1.5, `2Ki` is 2048.
fn quantity(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn capacity_is_the_sum_over_all_nodes() {
        let node = |cpu: &str, memory: &str| -> Node {
            let node =
                json!({ "metadata": {}, "status": { "allocatable": { "cpu": cpu, "memory": memory } } });
            serde_json::from_value(node).unwrap()
        };
        let nodes = [node("4", "16Gi"), node("3910m", "1048576Ki"), node("odd", "1G")];
        assert_eq!(summed(&nodes), Capacity { cpu: "7910m".to_owned(), memory: "18362Mi".to_owned() });
        assert_eq!(summed(&nodes[..1]), Capacity { cpu: "4".to_owned(), memory: "16Gi".to_owned() });
        assert_eq!(summed(&[]), Capacity { cpu: "0".to_owned(), memory: "0Gi".to_owned() });
    }
}
