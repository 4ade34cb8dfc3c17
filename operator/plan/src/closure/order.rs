//! What must be ready before what.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::product::Connection;

use super::world::{Run, World};
use crate::model::{Finding, UnitId};

/// Targets that the entry calls "(later)": components by name, and those behind requirements.
fn later<'r>(run: &'r Run<'_>) -> BTreeSet<&'r str> {
    let Some((_, component)) = run.entry else { return BTreeSet::new() };
    component
        .connects
        .iter()
        .map(|edge| Connection::of(edge))
        .filter(|connection| connection.later)
        .filter_map(|connection| connection.target.split(':').next())
        .collect()
}

/// Who names a host starts after it, unless the entry says that it comes later.
pub fn mentioned(world: &World<'_>, findings: &mut Vec<Finding>) {
    // What answers its services comes and goes while the exchange runs.
    let exchange = |run: &Run<'_>, target: &Run<'_>| {
        world.plan.exchange.server.as_ref().is_some_and(|server| {
            run.unit.block == server.block
                && Some(&run.unit.name) == server.component.as_ref()
                && target.unit.block != server.block
        })
    };
    for run in &world.runs {
        let later = later(run);
        for mention in &run.mentions {
            let Some(service) = world.meant(&mention.host) else { continue };
            for target in world.behind(service).filter(|t| t.unit != run.unit && !exchange(run, t)) {
                let name = target.entry.map(|(_, component)| component.name.as_str()).unwrap_or_default();
                let linked = run.links.iter().find(|link| {
                    link.provider.as_ref().is_some_and(|(home, c)| home == target.namespace && c == name)
                });
                let later = later.contains(name) || linked.is_some_and(|link| link.later);
                if !later && !world.waits(run.unit, target.unit) {
                    let message =
                        format!("calls `{}` without waiting for it; add it to `after`", target.unit);
                    findings.push(world.at(run, "after", message));
                }
            }
        }
    }
}

/// Jobs make what others use: schemas, users, topics.
pub fn jobs(world: &World<'_>, findings: &mut Vec<Finding>) {
    let ordered = |one: &UnitId, two: &UnitId| world.waits(one, two) || world.waits(two, one);
    for job in world.runs.iter().filter(|run| run.job) {
        for run in world.beside(job.namespace).filter(|run| run.unit != job.unit) {
            // The same claim: whoever is no Job finds it prepared, and two Jobs do not work in it at once.
            let shared = job.links.iter().filter_map(|l| l.claim.as_ref()).find(|claim| {
                run.links.iter().any(|l| {
                    l.claim.as_ref() == Some(claim) && !l.later && l.outputs.contains_key("database")
                })
            });
            if let Some(claim) = shared
                && !ordered(run.unit, job.unit)
            {
                let message =
                    format!("uses `{claim}` as Job `{}` does, and neither waits for the other", job.unit);
                findings.push(world.at(run, "after", message));
            }
            // A backing service's Job for one claim has run before anybody uses that claim.
            // One that is only being filled is used by nobody yet.
            let claimed = job.entry.filter(|(frame, _)| !frame.instance.filling).is_some_and(|(frame, _)| {
                run.links.iter().filter(|l| !l.later).any(|link| {
                    let mine = frame
                        .instance
                        .claims
                        .iter()
                        .any(|c| link.claim == Some(format!("{}/{}", c.block, c.name)));
                    mine && job.unit.name.ends_with(&format!("-{}", link.name))
                })
            });
            if claimed && !world.waits(run.unit, job.unit) {
                let message = format!("uses what Job `{}` makes without waiting for it", job.unit);
                findings.push(world.at(run, "after", message));
            }
        }
        // Once it has run, the plan is another one: nothing of this one waits for it.
        if world.brings(job.unit) {
            continue;
        }
        // A Job that nobody waits for comes last: it waits for a component itself, by name.
        let awaited = world.plan.units().any(|unit| world.waits(&unit.id, job.unit));
        let last = world.runs.iter().any(|run| {
            !run.job
                && run.namespace == job.namespace
                && world.waits(job.unit, run.unit)
                && same_product(job, run)
        });
        if !awaited && !last {
            findings.push(world.at(
                job,
                "after",
                "is waited for by nobody and waits for no component".to_owned(),
            ));
        }
    }
}

fn same_product(one: &Run<'_>, two: &Run<'_>) -> bool {
    match (one.entry, two.entry) {
        (Some((a, _)), Some((b, _))) => a.instance.entry.name == b.instance.entry.name,
        _ => false,
    }
}
