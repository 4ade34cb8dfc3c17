//! What is to be written beside the data of blocks after a look at them: how far moves, restores, takeovers and upgrades are, and what runs (I/O in
//! writing alone). What it is is decided in `plinth_plan`.

use plinth_api::{Stack, names};
use plinth_plan::Inputs;
use plinth_plan::decide::Gate;
use plinth_plan::failover::{self, Failovers};
use plinth_plan::installed::Installs;
use plinth_plan::model::{Decisions, Observed, Plan};
use plinth_plan::moving::{self, Moves};
use plinth_plan::restoring::{self, Restores};
use plinth_plan::upgrade;
use plinth_runtime::call::CallError;
use plinth_runtime::status::id_of;

use super::context::Context;
use super::records::annotate;

/// Records by block: those that change.
pub(super) struct Progress {
    moves: Moves,
    restores: Restores,
    failovers: Failovers,
    installs: Installs,
}

impl Progress {
    /// Moves and restores that are over by what the Stack declares by now.
    pub fn settled(stack: &Stack, inputs: &Inputs) -> Self {
        Self {
            moves: moving::settle(stack, inputs),
            restores: restoring::settle(stack, inputs),
            failovers: Failovers::new(),
            installs: Installs::new(),
        }
    }

    /// What follows from how the blocks are. What may not run does not go on.
    pub fn by_now(
        stack: &Stack,
        plan: &Plan,
        decisions: &Decisions,
        observed: &Observed,
        inputs: &Inputs,
        gate: Gate,
    ) -> Self {
        let (moves, mut restores) = (moving::advance(plan, observed), restoring::advance(plan, observed));
        let takeovers = failover::advance(stack, plan, inputs, decisions, observed);
        restores.extend(takeovers.restores);
        let mut installs = Installs::new();
        if gate == Gate::OPEN {
            let next = upgrade::advance(plan, decisions, observed, inputs);
            restores.extend(next.restores);
            installs = next.installs;
        }
        Self { moves, restores, failovers: takeovers.failovers, installs }
    }

    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
            && self.restores.is_empty()
            && self.failovers.is_empty()
            && self.installs.is_empty()
    }

    /// What the next plan is made from, once this is written.
    pub fn apply(&self, inputs: &mut Inputs) {
        inputs.moves.extend(self.moves.clone());
        inputs.restores.extend(self.restores.clone());
        inputs.failovers.extend(self.failovers.clone());
        inputs.installed.extend(self.installs.clone());
    }

    /// Writes it.
    ///
    /// # Errors
    /// The API server refused or did not answer; the same is written again.
    pub async fn write(&self, stack: &Stack, context: &Context) -> Result<(), CallError> {
        super::moving::write_all(context, stack, &self.moves).await?;
        super::restoring::write_all(context, stack, &self.restores).await?;
        super::failover::write_all(context, stack, &self.failovers).await?;
        write_installed(context, stack, &self.installs).await
    }
}

/// Writes what runs in blocks, and how far upgrades are.
///
/// # Errors
/// As [`Progress::write`].
pub(super) async fn write_installed(
    context: &Context,
    stack: &Stack,
    changed: &Installs,
) -> Result<(), CallError> {
    let annotation = (names::ANNOTATION_INSTALLED, names::UPGRADE_MANAGER);
    for (block, record) in changed {
        annotate(context, stack, block, annotation, record).await?;
        let (version, step) = (&record.version, record.step.as_ref().map(|step| (step.phase, &step.to)));
        tracing::info!(stack = %id_of(stack), block, version, ?step, "what runs is written down");
    }
    Ok(())
}
