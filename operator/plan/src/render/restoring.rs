//! A block while a database of it is brought back from a backup: first a Job fills a database beside the one that serves, then
//! whatever could write has no pods and another Job puts that one in place.

use std::collections::BTreeSet;

use super::UnitDraft;
use super::backup::{Run, copied, work};
use super::block::Context;
use super::frame::Frame;
use super::moving::users;
use super::network::Paths;
use crate::backup::IDENTITY;
use crate::model::{Finding, Restoring, UnitId};
use crate::resolve::{Inputs, Resolved};
use crate::restoring::{Phase, Restore, in_force};

/// Secret with the private key, for as long as it takes.
pub(super) const KEY: &str = "restore-identity";

/// What the plan says of the restore of a block.
pub fn restoring(resolved: &Resolved<'_>, inputs: &Inputs, frames: &[Frame<'_>]) -> Option<Restoring> {
    let record = in_force(&resolved.block.name, inputs)?;
    let id = |name: String| UnitId { block: resolved.block.name.clone(), name };
    let stands_still = record.phase == Phase::Switching;
    let main = frames.first().filter(|_| stands_still);
    let stopped = main.map(|main| users(main, &[requirement_of(main, record)])).unwrap_or_default();
    Some(Restoring {
        record: record.clone(),
        stopped: stopped.into_iter().map(id).collect(),
        jobs: [id(job_name(record))].into(),
    })
}

/// The requirement of the entry that the claim is of: one for each has a key in its name.
fn requirement_of<'a>(main: &'a Frame<'_>, record: &'a Restore) -> &'a str {
    let binding = main.instance.bindings.get(&record.requirement);
    binding.map_or(&record.requirement, |binding| &binding.claim().requirement)
}

fn job_name(record: &Restore) -> String {
    match record.phase {
        Phase::Switching => format!("switch-{}", record.requirement),
        _ => format!("restore-{}", record.requirement),
    }
}

/// The Job of the phase that a restore is in.
pub fn jobs(
    context: &Context<'_>,
    units: &mut Vec<UnitDraft>,
    paths: &mut Paths,
    findings: &mut Vec<Finding>,
) {
    let block = context.resolved.block.name.as_str();
    let Some(record) = in_force(block, context.inputs) else { return };
    let Some(work) = work(context, &record.requirement) else { return };
    let suffix = record.suffix();
    let mut run = Run {
        name: job_name(record),
        program: &work.dump().switch,
        container: "switch",
        restore: Some((&suffix, false)),
        before: &[],
        beside: &[],
        identity: None,
    };
    let check = ["check", "--from", &record.from];
    let fetch = ["fetch", "--from", &record.from];
    if record.phase == Phase::Filling {
        run = Run {
            program: &work.dump().restore,
            container: "restore",
            before: &check,
            beside: &fetch,
            identity: Some(KEY),
            ..run
        };
        units.push(copied(context, KEY, &record.identity_secret, &[(IDENTITY, IDENTITY)]));
    }
    let frames = &context.frames[block];
    let stopped: BTreeSet<UnitId> = restoring(context.resolved, context.inputs, frames)
        .map(|restoring| restoring.stopped)
        .unwrap_or_default();
    if let Some(mut unit) = work.job(&run, &record.uid, paths, findings) {
        // What the Stack has switched off is not there to be waited for.
        let there = |id: &UnitId| units.iter().any(|unit| unit.id == *id);
        unit.after.extend(stopped.into_iter().filter(there));
        units.push(unit);
    }
}
