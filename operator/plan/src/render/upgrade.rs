//! A block on its way to another version: the Jobs that take its restore point, and what stands still while data is put back.

use std::collections::BTreeSet;

use plinth_api::Stack;
use plinth_api::v1alpha1::stack::UpgradePhase;

use super::frame::Frame;
use super::moving::users;
use crate::backup::Coverage;
use crate::model::UnitId;
use crate::resolve::{Inputs, Resolved};
use crate::upgrade::{Upgrading, no_point};

/// What the Job is called that takes the restore point of a requirement's database.
pub fn point_name(requirement: &str) -> String {
    format!("point-{requirement}")
}

/// What the plan says of the upgrade of a block.
pub fn upgrading(
    stack: &Stack,
    resolved: &Resolved<'_>,
    inputs: &Inputs,
    frames: &[Frame<'_>],
    coverage: &Coverage,
) -> Option<Upgrading> {
    let mut upgrading = resolved.installed.as_ref()?.upgrade.clone()?;
    let id = |name: String| UnitId { block: resolved.block.name.clone(), name };
    match upgrading.phase {
        UpgradePhase::Beginning if upgrading.needs_point && coverage.databases.is_empty() => {
            let to = upgrading.to.clone().unwrap_or_default();
            let (name, block) = (stack.metadata.name.as_deref().unwrap_or_default(), &resolved.block.name);
            let ask = format!(
                "plinth upgrade {name} --block {block} --to {} --without-restore-point --reason …",
                upgrading.target
            );
            let why = match coverage.missing.first() {
                Some(missing) => format!("its backups lack something: {missing}"),
                None => "nothing of it can be backed up".to_owned(),
            };
            upgrading.hold(no_point(&to, &why, &ask));
        }
        UpgradePhase::BackingUp => {
            let names = coverage.databases.iter().map(|database| point_name(&database.requirement));
            upgrading.jobs = names.map(id).collect();
        }
        UpgradePhase::Returning => {
            let main = frames.first()?;
            let requirements = requirements(resolved, inputs, main);
            let names: Vec<&str> = requirements.iter().map(String::as_str).collect();
            upgrading.stopped = users(main, &names).into_iter().map(id).collect();
        }
        _ => {}
    }
    Some(upgrading)
}

/// Requirements of the entry whose databases are put back: a claim of one for each has a key in its name.
fn requirements(resolved: &Resolved<'_>, inputs: &Inputs, main: &Frame<'_>) -> BTreeSet<String> {
    let installed = inputs.installed.get(&resolved.block.name);
    let point = installed.and_then(|installed| installed.step.as_ref()?.point.as_ref());
    let of_claim = |claim: &String| {
        let binding = main.instance.bindings.get(claim);
        binding.map_or_else(|| claim.clone(), |binding| binding.claim().requirement.clone())
    };
    point.into_iter().flat_map(|point| &point.databases).map(of_claim).collect()
}
