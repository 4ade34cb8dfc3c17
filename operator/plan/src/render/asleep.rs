//! A Stack that sleeps: no pods run and nothing begins, everything else is as it was.

use std::collections::BTreeSet;

use super::{UnitDraft, scale};
use crate::model::{UnitId, pod_template};

/// Puts everything to sleep that runs something; which units that are.
pub fn put(units: &mut [UnitDraft]) -> BTreeSet<UnitId> {
    let runs = |unit: &&UnitDraft| unit.drafts.iter().any(|draft| pod_template(&draft.body).is_some());
    let asleep: BTreeSet<UnitId> = units.iter().filter(runs).map(|unit| unit.id.clone()).collect();
    scale::to_zero(&asleep, units);
    asleep
}
