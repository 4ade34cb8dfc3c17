//! Which version of a product a block is rendered in, and how it stands to the one that the Stack asks for. Pure.

use plinth_api::Stack;
use plinth_api::v1alpha1::product::{Rollback, Version};
use plinth_api::v1alpha1::stack::{Block, UpgradePhase, Upgrades};

use super::neighbours::skew;
use super::path::{edge, next_to, path};
use super::{Phase, Step, Upgrading, after_failure, maintenance};
use crate::catalogue::Entry;
use crate::expr::listed;
use crate::installed::Installed;
use crate::model::Finding;
use crate::resolve::{Inputs, block_path, finding};

/// How a block stands.
pub(crate) struct Stand<'a> {
    /// The version that is rendered.
    pub version: &'a Version,
    /// Where another one is asked for, or a step is under way.
    pub upgrade: Option<Upgrading>,
    /// Why the block is left as it is.
    pub blocked: Option<Finding>,
}

/// How a block stands whose Stack asks for `wanted`.
pub(crate) fn stand<'a>(
    stack: &Stack,
    block: &Block,
    entry: &'a Entry,
    wanted: &'a Version,
    inputs: &Inputs,
) -> Stand<'a> {
    let plain = |version| Stand { version, upgrade: None, blocked: None };
    let installed = inputs.installed.get(&block.name).filter(|installed| installed.product == entry.name);
    let Some(installed) = installed else { return plain(wanted) };
    if installed.version == wanted.version && installed.step.is_none() {
        return plain(wanted);
    }
    let Some(runs) = named(entry, &installed.version) else {
        let known: Vec<&str> = entry.spec.versions.iter().map(|version| version.version.as_str()).collect();
        let blocked = finding(
            &block_path(block, "version"),
            format!(
                "is `{}`, and the block runs `{}`, from which the catalogue knows no way; it has {}. What runs is left as it is: \
                 bring it there by the catalogue that it is from first (spec.catalogue.revision)",
                wanted.version,
                installed.version,
                listed(&known)
            ),
        );
        return Stand { version: wanted, upgrade: None, blocked: Some(blocked) };
    };
    match &installed.step {
        None => Stand {
            version: runs,
            upgrade: Some(before(stack, block, entry, (runs, wanted), installed, inputs)),
            blocked: None,
        },
        Some(step) => under_way((stack, block), entry, (runs, wanted), step),
    }
}

fn named<'a>(entry: &'a Entry, version: &str) -> Option<&'a Version> {
    entry.spec.versions.iter().find(|other| other.version == version)
}

fn upgrading(runs: &Version, wanted: &Version, to: Option<&str>, phase: UpgradePhase) -> Upgrading {
    Upgrading {
        from: runs.version.clone(),
        to: to.map(str::to_owned),
        target: wanted.version.clone(),
        phase,
        message: None,
        point: None,
        needs_point: false,
        stopped: Default::default(),
        jobs: Default::default(),
        maintenance: None,
    }
}

/// Before a step: which one comes next, or why none does.
fn before(
    stack: &Stack,
    block: &Block,
    entry: &Entry,
    (runs, wanted): (&Version, &Version),
    installed: &Installed,
    inputs: &Inputs,
) -> Upgrading {
    let mut upgrading = upgrading(runs, wanted, None, UpgradePhase::Held);
    let asked = installed.asked.as_ref().filter(|asked| asked.to == wanted.version);
    let name = stack.metadata.name.as_deref().unwrap_or_default();
    let ask = |more: &str| {
        format!("plinth upgrade {name} --block {} --to {}{more} --reason …", block.name, wanted.version)
    };
    let way = path(&entry.spec, &runs.version, &wanted.version);
    let next = way.as_ref().and_then(|way| way.first());
    let why = match next {
        None => Some(format!(
            "no way is known from {} to {}; from {} it is to {}",
            runs.version,
            wanted.version,
            runs.version,
            listed(&next_to(&entry.spec, &runs.version))
        )),
        Some(_) if installed.returned.is_some() => installed.returned.as_ref().map(|returned| {
            format!(
                "Operation {} brought it back from {}: set {} to {}, or ask again ({})",
                returned.operation,
                returned.from,
                block_path(block, "version"),
                runs.version,
                ask("")
            )
        }),
        Some(_) if asked.is_none() && stack.spec.change_policy.upgrades == Upgrades::OnRequest => {
            Some(format!("waits for somebody to ask for it ({})", ask("")))
        }
        Some(next) => named(entry, next.to).and_then(|to| skew(stack, block, entry, to, inputs)),
    };
    let next = match (next, why) {
        (Some(next), None) => next,
        (_, why) => {
            upgrading.hold(why.unwrap_or_default());
            return upgrading;
        }
    };
    (upgrading.phase, upgrading.to) = (UpgradePhase::Beginning, Some(next.to.to_owned()));
    // What is wrong with them is a finding of its own, and nothing of such a Stack is carried out.
    upgrading.maintenance = maintenance::read(stack).unwrap_or_default();
    if next.rollback == Rollback::RestorePoint && !asked.is_some_and(|asked| asked.without_restore_point) {
        upgrading.needs_point = true;
        if stack.spec.backup.is_none() {
            upgrading.hold(no_point(
                next.to,
                "the Stack has no spec.backup",
                &ask(" --without-restore-point"),
            ));
        }
    }
    upgrading
}

/// Why a step is not taken whose way back would have to be a restore point.
pub(crate) fn no_point(to: &str, because: &str, ask: &str) -> String {
    format!(
        "only a restore point leads back from {to}, and {because}: declare one, or go without a way back ({ask})"
    )
}

/// What a step that has begun is rendered in.
fn under_way<'a>(
    (stack, block): (&Stack, &Block),
    entry: &'a Entry,
    (runs, wanted): (&'a Version, &'a Version),
    step: &Step,
) -> Stand<'a> {
    let plain = Stand { version: runs, upgrade: None, blocked: None };
    let taken_back = runs.version == wanted.version;
    let rollback = edge(&entry.spec, &runs.version, &step.to).map(|edge| edge.rollback);
    let (version, phase) = match step.phase {
        Phase::Returning => (runs, UpgradePhase::Returning),
        // Nothing has been replaced yet.
        Phase::BackingUp if taken_back => return plain,
        Phase::BackingUp => (runs, UpgradePhase::BackingUp),
        Phase::Rolling if taken_back && rollback == Some(Rollback::Possible) => return plain,
        Phase::Rolling => match named(entry, &step.to) {
            Some(to) => (to, UpgradePhase::Rolling),
            None => {
                let blocked = finding(
                    &block_path(block, "version"),
                    format!(
                        "`{}`, to which the block is on its way from `{}`, is not in the Stack's catalogue: name one that has it \
                         (spec.catalogue.revision)",
                        step.to, runs.version
                    ),
                );
                return Stand { blocked: Some(blocked), ..plain };
            }
        },
    };
    let blocked = (step.phase == Phase::Rolling && taken_back).then(|| {
        finding(
            &block_path(block, "version"),
            format!(
                "is `{}` again, and the block is on its way to `{}`, on whose data it may not start: ask for the way back (plinth upgrade \
                 … --block {} --to {}), or set it to `{}`",
                runs.version, step.to, block.name, runs.version, step.to
            ),
        )
    });
    let mut upgrading = upgrading(runs, wanted, Some(&step.to), phase);
    upgrading.message = step.failed.as_ref().map(|why| {
        let name = stack.metadata.name.as_deref().unwrap_or_default();
        let way = (runs.version.as_str(), wanted.version.as_str());
        format!("{why}; {}", after_failure(name, &block.name, way, step))
    });
    upgrading.point = step.point.as_ref().map(|point| point.backup.clone());
    Stand { version, upgrade: Some(upgrading), blocked }
}
