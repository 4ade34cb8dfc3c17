//! Whether an Operation of type Upgrade may begin, go on or go back. Pure.

use plinth_api::Stack;
use plinth_api::v1alpha1::operation::UpgradeTarget;
use plinth_api::v1alpha1::product::Rollback;
use plinth_api::v1alpha1::stack::UpgradePhase;

use super::path::edge;
use super::{Asked, Before, Phase, Step};
use crate::installed::Installed;
use crate::model::{BlockPlan, Plan};
use crate::resolve::{Inputs, entry_named};
use crate::{moving, restoring};

/// The record after somebody has asked; `None` where the version runs already.
///
/// # Errors
/// Why it may not, and what to do.
pub fn admit(
    stack: &Stack,
    plan: &Plan,
    inputs: &Inputs,
    target: &UpgradeTarget,
    operation: &str,
    uid: &str,
) -> Result<Option<Installed>, String> {
    let (Some(name), Some(to)) = (&target.block, &target.to) else {
        return Err("it names no block".to_owned());
    };
    let Some(block) = plan.blocks.iter().find(|block| block.name == *name) else {
        return Err(format!("the Stack has no block `{name}`"));
    };
    let Some(installed) = inputs.installed.get(name) else {
        return Err(format!("block `{name}` is not installed yet, so there is nothing to upgrade"));
    };
    if let Some(other) = moving::in_force(stack, name, inputs) {
        return Err(format!("Operation {} is bringing data of block `{name}`: wait for it", other.operation));
    }
    let asked = Asked {
        operation: operation.to_owned(),
        uid: uid.to_owned(),
        to: to.clone(),
        without_restore_point: target.without_restore_point,
    };
    if let Some(before) = way_back(installed, to) {
        return back(stack, installed, before, (target, asked), block, inputs).map(Some);
    }
    let wanted = block.upgrade.as_ref().map_or(installed.version.as_str(), |upgrade| upgrade.target.as_str());
    if wanted != to {
        let back = installed.before.as_ref().map(|before| format!(", or back to {}", before.version));
        return Err(format!(
            "the Stack asks for version {wanted} of block `{name}`, not {to}: set spec.blocks[{name}].version first; allowed is \
             {wanted}{}",
            back.unwrap_or_default()
        ));
    }
    let Some(upgrade) = &block.upgrade else { return Ok(None) };
    forth(stack, inputs, installed, asked, (block, upgrade.phase))
}

/// Forth: a step that waited begins, one that has failed goes on.
fn forth(
    stack: &Stack,
    inputs: &Inputs,
    installed: &Installed,
    asked: Asked,
    (block, phase): (&BlockPlan, UpgradePhase),
) -> Result<Option<Installed>, String> {
    if let Some(first) = block.blocked.first() {
        return Err(format!(
            "block `{}` is blocked for another reason, which comes first: {first}",
            block.name
        ));
    }
    let mut next = Installed { asked: Some(asked), returned: None, ..installed.clone() };
    if let Some(step) = &mut next.step {
        if step.phase == Phase::Returning {
            return Err("it is on its way back: wait for that".to_owned());
        }
        step.failed = None;
        return Ok(Some(next));
    }
    if phase != UpgradePhase::Held {
        return Ok(Some(next));
    }
    // What held it may be what the Operation has just said.
    let mut then = inputs.clone();
    then.installed.insert(block.name.clone(), next.clone());
    let replanned = crate::plan(stack, &then).map_err(|findings| {
        let first = findings.first().map(ToString::to_string).unwrap_or_default();
        format!("the Stack has to be corrected first: {first}")
    })?;
    let planned = replanned.blocks.iter().find(|planned| planned.name == block.name);
    match planned.and_then(|planned| planned.upgrade.as_ref()) {
        Some(upgrade) if upgrade.phase == UpgradePhase::Held => {
            Err(upgrade.message.clone().unwrap_or_default())
        }
        _ => Ok(Some(next)),
    }
}

/// The version before, where that is asked for and the new one is there or on its way.
fn way_back(installed: &Installed, to: &str) -> Option<(Before, String)> {
    match &installed.step {
        Some(step) if step.phase == Phase::Returning && step.failed.is_none() => None,
        Some(step) => (installed.version == to).then(|| {
            (Before { version: installed.version.clone(), point: step.point.clone() }, step.to.clone())
        }),
        None => {
            let before = installed.before.clone().filter(|before| before.version == to)?;
            Some((before, installed.version.clone()))
        }
    }
}

/// Back: the old version, on its own data.
fn back(
    stack: &Stack,
    installed: &Installed,
    (before, from): (Before, String),
    (target, asked): (&UpgradeTarget, Asked),
    block: &BlockPlan,
    inputs: &Inputs,
) -> Result<Installed, String> {
    let entry =
        entry_named(stack, &installed.product, inputs).ok_or("its product is not in the catalogue")?;
    let edge = edge(&entry.spec, &before.version, &from).ok_or_else(|| {
        format!(
            "the Stack's catalogue has no edge from {} to {from}, so nobody knows the way back",
            before.version
        )
    })?;
    let mut step = Step { point: before.point, ..Step::new(&from, Phase::Returning) };
    if let Some(tried) = installed.step.as_ref().filter(|tried| tried.phase == Phase::Returning) {
        step.restored.clone_from(&tried.restored);
    }
    let replaced = installed.step.as_ref().is_none_or(|step| step.phase != Phase::BackingUp);
    if edge.rollback == Rollback::Possible || !replaced {
        step.point = None;
    } else {
        if step.point.as_ref().is_none_or(|point| point.databases.is_empty()) {
            return Err(format!(
                "only a restore point leads back from {from}, and none was taken before that step: restore a backup by hand \
                 (plinth restore), or go on"
            ));
        }
        if let Some(other) = restoring::in_force(&block.name, inputs) {
            return Err(format!("Operation {} is restoring data of the block: wait for it", other.operation));
        }
        step.identity_secret = Some(target.identity_secret.clone().ok_or_else(|| {
            "identitySecret: is missing, and the restore point cannot be read without a private key of one of its recipients"
                .to_owned()
        })?);
    }
    Ok(Installed {
        version: before.version,
        asked: Some(asked),
        step: Some(step),
        before: None,
        returned: None,
        ..installed.clone()
    })
}
