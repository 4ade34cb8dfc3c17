//! Bringing a block from the version that runs to the one that the Stack asks for: along the edges that its product declares, one step at a
//! time. The step stands on the block's namespace, beside the data ([`crate::installed`]), and the plan follows from it: a restarted
//! operator and a rebuilt hub go on from there. Pure.
//!
//! ```text
//! Held        no step can be taken: no edge, nobody has asked, a neighbour's version, no restore point. The old version runs.
//! Beginning   the step is about to be written down.
//! BackingUp   where only a restore point leads back: a backup of each database. The old version serves.
//! Rolling     migrations, then the new version; done when all of the block is Ready (the gate). What fails stays as it is.
//! Returning   asked for by a person: nobody writes, the backups are put back, the old version starts.
//! ```

mod admit;
mod advance;
mod ahead;
mod maintenance;
mod neighbours;
mod path;
mod stand;

use std::borrow::Cow;
use std::collections::BTreeSet;

use plinth_api::v1alpha1::stack::{UpgradePhase, UpgradeSummary};
use serde::{Deserialize, Serialize};

use crate::model::UnitId;
use crate::windows::Windows;

pub use admit::admit;
pub use advance::{Advanced, advance};
pub use ahead::{StepAhead, ahead};
pub(crate) use maintenance::findings;
pub use maintenance::waits;
pub use path::{Edge, edge, next_to, path};
pub(crate) use stand::{Stand, no_point, stand};

/// Who has asked by an Operation, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Name of the Operation.
    pub operation: String,
    /// Its uid: another Operation of that name has asked for something else.
    pub uid: String,
    /// Version that it asks for.
    pub to: String,
    /// Steps may be taken that cannot be undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_restore_point: bool,
}

/// The step that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Version that it leads to; with [`Phase::Returning`], the one that it leads back from.
    pub to: String,
    /// How far it is.
    pub phase: Phase,
    /// What leads back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<RestorePoint>,
    /// Why it does not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// With [`Phase::Returning`]: Secret in the Stack's namespace with the private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_secret: Option<String>,
    /// With [`Phase::Returning`]: databases that are as the restore point has them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub restored: BTreeSet<String>,
}

impl Step {
    pub(crate) fn new(to: &str, phase: Phase) -> Self {
        Step {
            to: to.to_owned(),
            phase,
            point: None,
            failed: None,
            identity_secret: None,
            restored: BTreeSet::new(),
        }
    }
}

/// How far a step is, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The restore point is being taken.
    BackingUp,
    /// The new version is being brought in.
    Rolling,
    /// The old version and its data are being put back.
    Returning,
}

/// A backup of every database of a block, taken before a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RestorePoint {
    /// Name of each backup, as `plinth backup list` shows it.
    pub backup: String,
    /// Requirements whose databases they are of. Empty until they are taken.
    #[serde(default)]
    pub databases: BTreeSet<String>,
}

/// The version before the last step, and what leads back to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Before {
    /// The version.
    pub version: String,
    /// Its data, where it does not start on the new one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<RestorePoint>,
}

/// A way that was gone back: it is not taken again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Returned {
    /// The Operation that asked for it.
    pub operation: String,
    /// The version that it led back from.
    pub from: String,
}

/// What a block's plan is like while another version is asked for than the one that runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrading {
    /// Version that runs: the last one whose gate was passed.
    pub from: String,
    /// Version of the step; `None` while none can be taken.
    pub to: Option<String>,
    /// Version that the Stack asks for.
    pub target: String,
    /// How far it is.
    pub phase: UpgradePhase,
    /// Why it is held or has failed, and what to do.
    pub message: Option<String>,
    /// Name of the restore point, where the step has one.
    pub point: Option<String>,
    /// A restore point comes first.
    pub needs_point: bool,
    /// Whatever could write, while data is put back.
    pub stopped: BTreeSet<UnitId>,
    /// The Jobs that take the restore point.
    pub jobs: BTreeSet<UnitId>,
    /// When a step may begin; any time where the Stack says nothing.
    #[serde(skip)]
    pub maintenance: Option<Windows>,
}

impl Upgrading {
    /// No step can be taken, and why.
    pub(crate) fn hold(&mut self, why: String) {
        (self.phase, self.message, self.to, self.needs_point) = (UpgradePhase::Held, Some(why), None, false);
    }

    /// As it is at a moment, in seconds since 1970: a step that may begin is held while no maintenance window is open.
    pub fn at(&self, now: i64) -> Cow<'_, Self> {
        let begins = self.phase == UpgradePhase::Beginning;
        let closed = self.maintenance.as_ref().filter(|_| begins).and_then(|w| maintenance::closed(w, now));
        closed.map_or(Cow::Borrowed(self), |why| {
            let mut held = self.clone();
            held.hold(why);
            Cow::Owned(held)
        })
    }

    /// When time alone changes what [`Upgrading::at`] says, in seconds since 1970.
    pub fn next_change(&self, now: i64) -> Option<i64> {
        let waits = self.phase == UpgradePhase::Beginning;
        self.maintenance.as_ref().filter(|_| waits).and_then(|windows| maintenance::next_change(windows, now))
    }

    /// As the Stack's status says it; `waits` is what the block waits for.
    pub(crate) fn summary(&self, waits: Option<&str>) -> UpgradeSummary {
        UpgradeSummary {
            from: self.from.clone(),
            to: self.to.clone(),
            target: self.target.clone(),
            phase: if self.has_failed() { UpgradePhase::Failed } else { self.phase },
            message: self.message.clone().or_else(|| waits.map(str::to_owned)),
        }
    }

    /// The step does not go on.
    pub fn has_failed(&self) -> bool {
        self.message.is_some() && self.phase != UpgradePhase::Held
    }

    /// In one line: from where to where, and how far.
    pub fn what(&self) -> String {
        let Self { from, to, target, phase, .. } = self;
        let to = to.as_deref().unwrap_or(target);
        let way = if to == target { String::new() } else { format!(", on the way to {target}") };
        match phase {
            UpgradePhase::Held | UpgradePhase::Beginning => {
                format!("version {from} runs, {target} is asked for")
            }
            UpgradePhase::BackingUp => format!("the restore point before version {to} is being taken{way}"),
            UpgradePhase::Rolling | UpgradePhase::Failed => {
                format!("version {from} is being brought to {to}{way}")
            }
            UpgradePhase::Returning => format!("version {from} is being put back in the place of {to}"),
        }
    }
}

/// How to go on after a step has failed, for the person on duty.
pub fn after_failure(stack: &str, block: &str, (from, target): (&str, &str), step: &Step) -> String {
    let ask =
        |to: &str, more: &str| format!("plinth upgrade {stack} --block {block} --to {to}{more} --reason …");
    match (step.phase, &step.point) {
        (Phase::Returning, _) => {
            format!("mend the cause and ask again ({})", ask(from, " --identity-secret SECRET"))
        }
        (Phase::BackingUp, _) => format!(
            "nothing was replaced: mend the cause and ask again ({}), or set the version back to {from}",
            ask(target, "")
        ),
        (Phase::Rolling, point) => {
            let key = if point.is_some() { " --identity-secret SECRET" } else { "" };
            format!(
                "what was not replaced serves: mend the cause and ask again ({}), or go back ({})",
                ask(target, ""),
                ask(from, key)
            )
        }
    }
}
