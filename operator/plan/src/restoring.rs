//! Bringing a block's database back from a backup, as an Operation of type Restore asks. How far it is stands on the block's
//! namespace, beside the data, as of a move ([`crate::moving`]): a restarted operator and a rebuilt hub go on from there. Pure.
//!
//! ```text
//! Filling -> Switching -> Done    a database beside is filled and counted while the block runs; then the block stands still
//!                                 and that one takes the place of the other, which is kept
//! Filling -> Done                 it was asked for beside only
//!         -> Failed               a Job gave up, or what it needs is no longer declared; the block runs as before
//! ```

use std::collections::BTreeMap;

use plinth_api::v1alpha1::operation::{RestoreInto, RestoreTarget};
use plinth_api::{Stack, names};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backing::annotated;
use crate::expr::listed;
use crate::model::{BlockPlan, Observed, Plan, StackId};
use crate::moving::{self, Work, worked};
use crate::resolve::Inputs;

/// By block, the restore that was asked for last.
pub type Restores = BTreeMap<String, Restore>;

/// One restore, as it stands on the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// Name of the Operation.
    pub operation: String,
    /// Its uid: another Operation of that name is another restore.
    pub uid: String,
    /// Requirement of the block whose database it is.
    pub requirement: String,
    /// The backup.
    pub from: String,
    /// Where to.
    pub into: RestoreInto,
    /// Secret in the Stack's namespace with the private key.
    pub identity_secret: String,
    /// How far it is.
    pub phase: Phase,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Restore {
    /// What tells the restored database from others, after the name of the one that serves.
    pub fn suffix(&self) -> String {
        let digits: String = self.uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
        format!("restored_{}", digits.to_ascii_lowercase())
    }

    fn in_phase(&self, phase: Phase, message: Option<String>) -> Self {
        Restore { phase, message, ..self.clone() }
    }
}

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// A database beside the one that serves is being filled; the block runs.
    Filling,
    /// It is whole, and takes the other one's place; nobody uses either.
    Switching,
    /// It is there.
    Done,
    /// It was given up; what served serves.
    Failed,
}

impl Phase {
    fn is_over(self) -> bool {
        matches!(self, Phase::Done | Phase::Failed)
    }
}

/// What the namespaces of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Restores {
    annotated(stack, namespaces, names::ANNOTATION_RESTORE)
}

/// The restore of a block that its plan has to follow.
pub(crate) fn in_force<'a>(block: &str, inputs: &'a Inputs) -> Option<&'a Restore> {
    inputs.restores.get(block).filter(|found| !found.phase.is_over())
}

/// The record of a restore that may begin. `plan` is what runs.
///
/// # Errors
/// Why it may not, and what to do.
pub fn admit(
    stack: &Stack,
    plan: &Plan,
    inputs: &Inputs,
    target: &RestoreTarget,
    operation: &str,
    uid: &str,
) -> Result<Restore, String> {
    let RestoreTarget { block, requirement, .. } = target;
    if stack.spec.backup.is_none() {
        return Err("the Stack says in no spec.backup where backups are".to_owned());
    }
    let Some(planned) = plan.blocks.iter().find(|planned| planned.name == *block) else {
        return Err(format!("the Stack has no block `{block}`"));
    };
    if let Some(first) = planned.blocked.first() {
        return Err(format!("block `{block}` is blocked for another reason, which comes first: {first}"));
    }
    let known: Vec<&str> = planned.backups.databases.iter().map(|d| d.requirement.as_str()).collect();
    if !known.contains(&requirement.as_str()) {
        return Err(format!(
            "`{requirement}` of block `{block}` is not backed up; what is, is {}",
            listed(&known)
        ));
    }
    if let Some(other) = moving::in_force(stack, block, inputs) {
        return Err(format!(
            "Operation {} is bringing data of block `{block}`: wait for it",
            other.operation
        ));
    }
    if let Some(other) = in_force(block, inputs) {
        return Err(format!(
            "Operation {} is restoring data of block `{block}`: wait for it",
            other.operation
        ));
    }
    Ok(Restore {
        operation: operation.to_owned(),
        uid: uid.to_owned(),
        requirement: requirement.clone(),
        from: target.from.clone(),
        into: target.into,
        identity_secret: target.identity_secret.clone(),
        phase: Phase::Filling,
        message: None,
    })
}

/// Restores that are over by what the Stack declares by now. This is written before anything else is done.
pub fn settle(stack: &Stack, inputs: &Inputs) -> Restores {
    let declared =
        |name: &str| stack.spec.blocks.iter().any(|block| block.name == name && block.product.is_some());
    let over = |(block, found): (&String, &Restore)| {
        let why = match (&stack.spec.backup, declared(block)) {
            _ if found.phase.is_over() => return None,
            (Some(_), true) => return None,
            (None, _) => "the Stack says in no spec.backup any more where backups are".to_owned(),
            (_, false) => format!("the Stack has no block `{block}` any more"),
        };
        Some((block.clone(), found.in_phase(Phase::Failed, Some(why))))
    };
    inputs.restores.iter().filter_map(over).collect()
}

/// Restores whose Job has run, or has given up.
pub fn advance(plan: &Plan, observed: &Observed) -> Restores {
    let free = plan.blocks.iter().filter(|block| block.blocked.is_empty() && !block.paused);
    let advanced = |block: &BlockPlan| {
        let observed = observed.on(block.cluster.as_deref());
        observed.unreachable.is_none().then(|| advanced(block, observed)).flatten()
    };
    free.filter_map(|block| Some((block.name.clone(), advanced(block)?))).collect()
}

fn advanced(block: &BlockPlan, observed: &Observed) -> Option<Restore> {
    let restoring = block.restoring.as_ref()?;
    let record = &restoring.record;
    match worked(block, &restoring.jobs, observed) {
        Work::UnderWay => None,
        Work::Failed(why) => {
            let pods = restoring.jobs.iter().filter_map(|unit| observed.pods.get(unit)).flatten();
            let said = pods.filter_map(|pod| pod.message.as_deref()).next_back();
            let why = said.map_or(why.clone(), |said| format!("{} ({why})", said.trim()));
            Some(record.in_phase(Phase::Failed, Some(why)))
        }
        Work::Done => {
            let next = match (record.phase, record.into) {
                (Phase::Filling, RestoreInto::Same) => Phase::Switching,
                _ => Phase::Done,
            };
            Some(record.in_phase(next, None))
        }
    }
}
