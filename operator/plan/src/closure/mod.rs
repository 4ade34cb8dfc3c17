//! Proof of content where simulation cannot give it: everything that a rendered object or a configuration mentions is
//! there, with that port, on an open path, in time. Pure: it reads the plan and the entries it was made from.
//!
//! A check is a function over the [`World`]; adding one is adding a line to [`CHECKS`].

mod contract;
mod data;
mod entry;
mod links;
mod network;
mod objects;
mod order;
mod pods;
mod read;
mod references;
mod text;
mod world;

use plinth_api::Stack;

pub(crate) use self::pods::quantity;
use self::world::{Frames, World};
use crate::model::{Finding, Plan};
use crate::placement::links::Borders;
use crate::render::frames;
use crate::resolve::{Inputs, resolve};

/// A check: what it is called, and what it looks at.
type Check = (&'static str, fn(&World<'_>, &mut Vec<Finding>));

/// Every check, by name.
const CHECKS: &[Check] = &[
    ("hosts exist and may be called", network::hosts),
    ("public hosts are published", network::public_hosts),
    ("host and port belong together", network::pairs),
    ("what listens is declared", network::listening),
    ("Services, budgets and policies select pods", network::selectors),
    ("routes lead somewhere", network::routes),
    ("open paths are used", network::open_paths),
    ("references resolve", references::resolve),
    ("Secret keys are read", references::secret_keys),
    ("Secret keys hold what they are named after", references::keys_of_requirements),
    ("configuration is mounted", references::mounted),
    ("files are there", references::files),
    ("scripts find their variables", references::variables),
    ("written folders can be written", references::writable),
    ("what steps write is handed on", references::handed_on),
    ("objects name keys that exist", objects::keys),
    ("objects wait for what they name", objects::order),
    ("databases and logins match their claim", data::logins),
    ("claims do not overlap", data::claims),
    ("servers and provisioning share a login", data::served),
    ("topics are declared and used", data::topics),
    ("issuers are provided", data::issuers),
    ("what is mentioned starts first", order::mentioned),
    ("Jobs have run before their data is used", order::jobs),
    ("pods are sized, probed and free of default passwords", pods::pods),
    ("entries declare what they use", entry::declared),
    ("outputs can be made", entry::provided),
    ("ways to bring data name what there is", entry::moves),
    ("backups name what there is", entry::backups),
    ("siblings of an image agree", entry::siblings),
    ("images get what they expect", contract::kept),
];

/// Everything that the plan mentions and does not have. Empty when the plan is closed.
pub fn check(plan: &Plan, stack: &Stack, inputs: &Inputs) -> Vec<Finding> {
    let resolved = match resolve(stack, inputs, &plan.exchange) {
        Ok(resolved) => resolved,
        Err(findings) => return findings,
    };
    let mut findings = Vec::new();
    let frames: Frames<'_> = frames(stack, &plan.exchange, &resolved, &mut findings);
    let borders = Borders::of(&resolved).with_ranges(stack, inputs);
    let world = World::new(plan, stack, inputs, &frames, borders);
    for (_, check) in CHECKS {
        check(&world, &mut findings);
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Names of the checks, for people.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}
