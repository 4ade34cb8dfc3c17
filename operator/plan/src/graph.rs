//! The order graph: units and what they wait for.

use std::collections::BTreeMap;

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::{Finding, Plan, UnitId};

/// Check that every edge leads to a unit of the plan, or of a block that is blocked, and that no unit waits for itself.
///
/// # Errors
/// The units of one cycle, or the edge that leads nowhere.
pub fn check(plan: &Plan) -> Result<(), Vec<Finding>> {
    let (graph, nodes) = build(plan)?;
    toposort(&graph, None).map(drop).map_err(|cycle| {
        let members = members(&graph, cycle.node_id());
        let block = members.first().map(|u| u.block.clone()).unwrap_or_default();
        let path: Vec<String> = members.iter().map(ToString::to_string).collect();
        debug_assert!(!nodes.is_empty());
        vec![Finding {
            path: format!("spec.blocks[{block}]"),
            message: format!("components wait for each other: {}; remove one edge", path.join(" -> ")),
        }]
    })
}

/// Wave of each unit: 0 waits for nothing, the others for a unit of the wave before.
pub fn waves(plan: &Plan) -> BTreeMap<UnitId, usize> {
    let mut waves: BTreeMap<UnitId, usize> = BTreeMap::new();
    let Ok((graph, _)) = build(plan) else { return waves };
    let Ok(order) = toposort(&graph, None) else { return waves };
    for node in order {
        let wave = graph
            .neighbors_directed(node, petgraph::Direction::Incoming)
            .map(|before| waves.get(graph[before]).copied().unwrap_or(0) + 1)
            .max()
            .unwrap_or(0);
        waves.insert(graph[node].clone(), wave);
    }
    waves
}

type Built<'a> = (DiGraph<&'a UnitId, ()>, BTreeMap<&'a UnitId, NodeIndex>);

fn build(plan: &Plan) -> Result<Built<'_>, Vec<Finding>> {
    let mut graph = DiGraph::new();
    let nodes: BTreeMap<&UnitId, NodeIndex> =
        plan.units().map(|unit| (&unit.id, graph.add_node(&unit.id))).collect();
    let mut findings = Vec::new();
    let is_blocked = |id: &UnitId| plan.blocks.iter().any(|b| b.name == id.block && !b.blocked.is_empty());
    for unit in plan.units() {
        for before in &unit.after {
            match nodes.get(before) {
                Some(node) => drop(graph.add_edge(*node, nodes[&unit.id], ())),
                None if is_blocked(before) => {}
                None => findings.push(Finding {
                    path: format!("spec.blocks[{}]", unit.id.block),
                    message: format!("`{}` waits for `{before}`, which the plan does not have", unit.id),
                }),
            }
        }
    }
    if findings.is_empty() { Ok((graph, nodes)) } else { Err(findings) }
}

/// One cycle through `start`, in order.
fn members<'a>(graph: &DiGraph<&'a UnitId, ()>, start: NodeIndex) -> Vec<&'a UnitId> {
    let component = petgraph::algo::tarjan_scc(graph)
        .into_iter()
        .find(|component| component.contains(&start))
        .unwrap_or_default();
    let mut path = vec![start];
    let mut at = start;
    while let Some(next) = graph.neighbors(at).find(|n| component.contains(n) && !path[1..].contains(n)) {
        path.push(next);
        at = next;
        if next == start {
            break;
        }
    }
    path.into_iter().map(|n| graph[n]).collect()
}
