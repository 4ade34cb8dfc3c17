//! What is said of clusters that stand by to take a block over. Pure.

use plinth_api::condition::{self, Reason, State, Verdict};
use plinth_api::v1alpha1::stack::StandbySummary;

use super::{listed, verdict};
use crate::model::{BlockPlan, Decisions, Plan, UnitDecision};
use crate::placement::shown;

/// What a standby lacks first, if anything; `None` where nobody has looked.
fn lacking<'d>(standby: &BlockPlan, decisions: &'d Decisions) -> Option<Option<&'d UnitDecision>> {
    let units = decisions.standby.get(&(standby.name.clone(), standby.cluster.clone()))?;
    Some(units.iter().find(|unit| !matches!(unit.state, State::Ready | State::Suspended)))
}

/// Each cluster that stands by for a block.
pub(super) fn standbys(plan: &Plan, decisions: &Decisions, block: &str) -> Vec<StandbySummary> {
    let own = plan.standby.iter().filter(|standby| standby.name == block);
    let summary = |standby: &BlockPlan| {
        let lacking = lacking(standby, decisions)?;
        Some(StandbySummary {
            cluster: shown(standby.cluster.as_deref()).to_owned(),
            state: lacking.map_or(State::Ready, |unit| unit.state),
            message: lacking.map(|unit| unit.message.clone()),
        })
    };
    own.filter_map(summary).collect()
}

/// Whether each standby could take its block over; nothing where there is none.
pub(super) fn standing_by(plan: &Plan, decisions: &Decisions) -> Option<Verdict> {
    let mut complete = Vec::new();
    for standby in &plan.standby {
        let what = format!("{} on `{}`", standby.name, shown(standby.cluster.as_deref()));
        if let Some(unit) = lacking(standby, decisions)? {
            let known = (unit.state != State::Unreachable).then_some(false);
            return Some(verdict(
                condition::STANDING_BY,
                known,
                unit.reason,
                format!("{what}: {}", unit.message),
            ));
        }
        complete.push(what);
    }
    (!complete.is_empty())
        .then(|| verdict(condition::STANDING_BY, Some(true), Reason::AllReady, listed(&complete)))
}
