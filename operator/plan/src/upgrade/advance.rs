//! What is written down next: that a step begins, how far it is, that its gate was passed. Pure.

use std::collections::BTreeSet;

use plinth_api::condition::State;
use plinth_api::v1alpha1::operation::RestoreInto;
use plinth_api::v1alpha1::stack::UpgradePhase;

use super::{Before, Phase, RestorePoint, Returned, Step, Upgrading};
use crate::installed::{Installed, Installs, is_there};
use crate::model::{BlockPlan, Decisions, Observed, Plan, UnitDecision};
use crate::moving::{Work, worked};
use crate::resolve::Inputs;
use crate::restoring::{self, Restore, Restores};

/// Longest reason of a failure that is written down.
const LONGEST: usize = 400;

/// Records that change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advanced {
    /// What runs, and how far steps are.
    pub installs: Installs,
    /// Data that is put back.
    pub restores: Restores,
}

/// What follows from how the blocks are. Only of a plan that may be carried out.
pub fn advance(plan: &Plan, decisions: &Decisions, observed: &Observed, inputs: &Inputs) -> Advanced {
    let mut advanced = Advanced::default();
    let blocks = plan.blocks.iter().filter(|block| block.tenant.is_none() && !block.paused);
    for block in blocks.filter(|block| block.blocked.is_empty() && !block.units.is_empty()) {
        if observed.silence(block.cluster.as_deref()).is_some() {
            continue;
        }
        let sight = Sight { plan, block, decisions, observed, inputs };
        let known = inputs.installed.get(&block.name);
        if let Some(next) = sight.next().filter(|next| known != Some(next)) {
            advanced.installs.insert(block.name.clone(), next);
        }
        if let Some(restore) = sight.restore() {
            advanced.restores.insert(block.name.clone(), restore);
        }
    }
    advanced
}

/// One block, as it should be and as it is.
struct Sight<'a> {
    plan: &'a Plan,
    block: &'a BlockPlan,
    decisions: &'a Decisions,
    observed: &'a Observed,
    inputs: &'a Inputs,
}

impl Sight<'_> {
    /// What is to be written down.
    fn next(&self) -> Option<Installed> {
        let known = self.inputs.installed.get(&self.block.name);
        match (&self.block.upgrade, known) {
            (Some(upgrading), Some(known)) => self.step(&upgrading.at(self.observed.now), known),
            _ if is_there(self.block, self.decisions) => self.settled(known),
            _ => None,
        }
    }

    /// The version that is asked for runs, and nothing is under way.
    fn settled(&self, known: Option<&Installed>) -> Option<Installed> {
        let (product, version) = (self.block.product.clone()?, self.block.version.clone()?);
        let same = known.filter(|known| known.product == product && known.version == version);
        Some(Installed {
            before: same.and_then(|known| known.before.clone()),
            ..Installed::new(product, version, self.plan.catalogue_revision.clone())
        })
    }

    fn step(&self, upgrading: &Upgrading, known: &Installed) -> Option<Installed> {
        let to = upgrading.to.as_deref().unwrap_or_default();
        let with = |step: Step| Some(Installed { step: Some(step), ..known.clone() });
        let step = known.step.as_ref();
        match upgrading.phase {
            UpgradePhase::Held | UpgradePhase::Failed => {
                let catalogue = self.plan.catalogue_revision.clone();
                is_there(self.block, self.decisions).then(|| Installed { catalogue, ..known.clone() })
            }
            UpgradePhase::Beginning if upgrading.needs_point => {
                let point = RestorePoint { backup: stamp(self.observed.now)?, databases: BTreeSet::new() };
                with(Step { point: Some(point), ..Step::new(to, Phase::BackingUp) })
            }
            UpgradePhase::Beginning => with(Step::new(to, Phase::Rolling)),
            UpgradePhase::BackingUp => self.backed_up(upgrading, step?).and_then(with),
            UpgradePhase::Rolling => match (self.failing(), self.is_ready()) {
                (_, true) => Some(self.passed(known, step?)),
                (failing, false) => {
                    with(Step { failed: failing.map(|f| shortened(&f.message)), ..step?.clone() })
                }
            },
            UpgradePhase::Returning => Some(self.returned(known, step?)),
        }
    }

    fn backed_up(&self, upgrading: &Upgrading, step: &Step) -> Option<Step> {
        let observed = self.observed.on(self.block.cluster.as_deref());
        match worked(self.block, &upgrading.jobs, observed) {
            Work::UnderWay => step.failed.is_some().then(|| Step { failed: None, ..step.clone() }),
            Work::Failed(why) => Some(Step { failed: Some(why), ..step.clone() }),
            Work::Done => {
                let databases = self.block.backups.databases.iter().map(|d| d.requirement.clone()).collect();
                let point = step.point.clone().map(|point| RestorePoint { databases, ..point });
                Some(Step { point, ..Step::new(&step.to, Phase::Rolling) })
            }
        }
    }

    /// The gate was passed: the new version is what runs.
    fn passed(&self, known: &Installed, step: &Step) -> Installed {
        Installed {
            asked: known.asked.clone().filter(|asked| asked.to != step.to),
            before: Some(Before { version: known.version.clone(), point: step.point.clone() }),
            ..Installed::new(known.product.clone(), step.to.clone(), self.plan.catalogue_revision.clone())
        }
    }

    /// On the way back: databases that are back are written down, and the way ends with the last of them.
    fn returned(&self, known: &Installed, step: &Step) -> Installed {
        let uid = known.asked.as_ref().map(|asked| asked.uid.as_str());
        let mut step = step.clone();
        if let Some(restore) = self.inputs.restores.get(&self.block.name)
            && Some(restore.uid.as_str()) == uid
        {
            match restore.phase {
                restoring::Phase::Done => drop(step.restored.insert(restore.requirement.clone())),
                restoring::Phase::Failed => step.failed = restore.message.clone(),
                restoring::Phase::Filling | restoring::Phase::Switching => step.failed = None,
            }
        }
        if missing(&step).next().is_some() {
            return Installed { step: Some(step), ..known.clone() };
        }
        let operation = known.asked.as_ref().map(|asked| asked.operation.clone()).unwrap_or_default();
        Installed {
            returned: Some(Returned { operation, from: step.to }),
            ..Installed::new(
                known.product.clone(),
                known.version.clone(),
                self.plan.catalogue_revision.clone(),
            )
        }
    }

    /// The next database to be put back: one at a time, once nobody writes.
    fn restore(&self) -> Option<Restore> {
        let known = self.inputs.installed.get(&self.block.name)?;
        let step = known.step.as_ref().filter(|step| step.phase == Phase::Returning)?;
        let asked = known.asked.as_ref()?;
        let under_way = self.inputs.restores.get(&self.block.name).filter(|restore| {
            let is_over = matches!(restore.phase, restoring::Phase::Done | restoring::Phase::Failed);
            !is_over || (restore.phase == restoring::Phase::Failed && restore.uid == asked.uid)
        });
        if under_way.is_some() {
            return None;
        }
        let last = self.inputs.restores.get(&self.block.name).filter(|restore| restore.uid == asked.uid);
        let requirement = missing(step).find(|name| last.is_none_or(|last| last.requirement != **name))?;
        Some(Restore {
            operation: asked.operation.clone(),
            uid: asked.uid.clone(),
            requirement: requirement.clone(),
            from: step.point.as_ref()?.backup.clone(),
            into: RestoreInto::Same,
            identity_secret: step.identity_secret.clone()?,
            phase: restoring::Phase::Filling,
            message: None,
        })
    }

    fn units(&self) -> impl Iterator<Item = &UnitDecision> {
        let is_step = |unit: &&UnitDecision| {
            self.block.units.iter().any(|planned| planned.id == unit.id && planned.step.is_some())
        };
        self.decisions
            .units
            .iter()
            .filter(|unit| unit.id.block == self.block.name)
            // What people say yes to, and what only follows, holds no version back.
            .filter(move |unit| !is_step(unit))
    }

    fn is_ready(&self) -> bool {
        self.units().all(|unit| unit.state == State::Ready)
    }

    /// What was applied and fails. What cannot be applied says so itself, and is tried again.
    fn failing(&self) -> Option<&UnitDecision> {
        self.units().find(|unit| unit.state == State::Unhealthy)
    }
}

/// What Kubernetes says when it refuses an object has all of the object in it; an annotation has no room for that.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// Databases of the restore point that are not back yet.
fn missing(step: &Step) -> impl Iterator<Item = &String> {
    let databases = step.point.iter().flat_map(|point| &point.databases);
    databases.filter(|database| !step.restored.contains(*database))
}

/// The name of a backup of that moment, as `plinth store` gives them.
fn stamp(now: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(now).ok()?;
    Some(time.strftime("%Y%m%dT%H%M%SZ").to_string())
}
