//! How far people are loaded: what the Jobs say that load them, and nothing that was not seen.

use plinth_api::Stack;
use plinth_api::v1alpha1::people::{PeopleLoaded, PeopleStatus};
use serde_json::Value;

use super::Portions;
use crate::model::{Observed, Plan, Unit};

/// How far the people that a Stack asks for are loaded; `None` where it asks for none.
pub fn progress(stack: &Stack, plan: &Plan, observed: &Observed) -> Option<PeopleStatus> {
    let amount = stack.spec.people.as_ref()?.amount;
    let mut status = PeopleStatus { amount, ..PeopleStatus::default() };
    for block in &plan.blocks {
        let seen = observed.on(block.cluster.as_deref());
        for (unit, portions) in block.units.iter().filter_map(|unit| Some((unit, portions(unit)?))) {
            let loaded = match (seen.simulated, &seen.unreachable) {
                // A Job that simulated nodes complete has loaded nobody.
                (true, _) => 0,
                (false, Some(_)) => told_before(stack, unit),
                (false, None) => portions.loaded(completed(unit, seen)),
            };
            status.by.push(PeopleLoaded { block: block.name.clone(), step: unit.id.name.clone(), loaded });
            if seen.simulated {
                status.message = Some("nobody is loaded: the nodes are simulated".to_owned());
            }
        }
    }
    status.loaded = status.by.iter().map(|by| by.loaded).min().unwrap_or_default();
    if status.by.is_empty() {
        let why = "nothing of it takes people: neither a product that has a step for them nor a Registry with `people: true`";
        status.message = Some(why.to_owned());
    }
    Some(status)
}

/// What was said of a step last: of a cluster that does not answer nothing newer is known.
fn told_before(stack: &Stack, unit: &Unit) -> u32 {
    let before = stack.status.as_ref().and_then(|status| status.people.as_ref());
    let mut steps = before.into_iter().flat_map(|before| &before.by);
    steps
        .find(|by| by.block == unit.id.block && by.step == unit.id.name)
        .map(|by| by.loaded)
        .unwrap_or_default()
}

fn portions(unit: &Unit) -> Option<Portions> {
    unit.step.as_ref()?.people
}

/// Portions that the Job of a step has completed, as Kubernetes writes them.
fn completed<'o>(unit: &Unit, observed: &'o Observed) -> &'o str {
    let live = unit.job().and_then(|job| observed.live.get(&job.key));
    live.and_then(|live| live.body.pointer("/status/completedIndexes"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}
