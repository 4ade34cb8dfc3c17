//! Bringing a block's data from one backing service to another, as an Operation of type MigrateProvider asks. How far it is
//! stands on the block's namespace, beside the data: a restarted operator and a rebuilt hub go on from there. Pure: what is
//! written there next follows from what stands there, from the Stack and from what the cluster shows.
//!
//! ```text
//! Copying -> Moved -> Done        the Jobs have run; the new provider serves
//!         -> Failed               a Job gave up; the old provider still has everything
//! Copying, Failed, Moved -> Aborted   the Stack asks for the old provider again
//! ```

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::operation::MigrateTarget;
use plinth_api::v1alpha1::product;
use plinth_api::v1alpha1::stack::Block;
use plinth_api::{Stack, names};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backing::{EXTERNAL, annotated, chosen};
use crate::catalogue::Catalogue;
use crate::claim::Claim;
use crate::exchange::compile;
use crate::expr::Scope;
use crate::model::{BlockPlan, Finding, Observed, Plan, StackId, UnitId};
use crate::resolve::{Binding, Inputs, Instance, finding, resolve};

/// Earlier Operations that are remembered: an annotation must not grow without end.
const MOST_EARLIER: usize = 16;

/// By block, the move that was asked for last.
pub type Moves = BTreeMap<String, Move>;

/// One move, as it stands on the namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Name of the Operation.
    pub operation: String,
    /// Its uid: another Operation of that name is another move.
    pub uid: String,
    /// Capability whose provider changes.
    pub capability: String,
    /// Product that has the data, or [`EXTERNAL`].
    pub from: String,
    /// Product that gets it.
    pub to: String,
    /// How far it is.
    pub phase: Phase,
    /// Uids of Operations that began the same and never came to an end. What they brought was used by nobody, so it may be
    /// cleared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// Why it failed or ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Move {
    fn in_phase(&self, phase: Phase, message: Option<String>) -> Self {
        Move { phase, message, ..self.clone() }
    }
}

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Both providers are there, nobody uses either, Jobs bring the data.
    Copying,
    /// A Job gave up. All is as while copying: somebody has to look at it.
    Failed,
    /// The data is there, and the block is being switched.
    Moved,
    /// The block is on the new provider.
    Done,
    /// Given up; the block is on the old provider.
    Aborted,
}

impl Phase {
    fn is_over(self) -> bool {
        matches!(self, Phase::Done | Phase::Aborted)
    }
}

/// What the namespaces of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Moves {
    annotated(stack, namespaces, names::ANNOTATION_MOVE)
}

/// The move of a block that its plan has to follow: it is not over, its source still serves, and the Stack still asks for
/// its target.
pub(crate) fn in_force<'a>(stack: &Stack, block: &str, inputs: &'a Inputs) -> Option<&'a Move> {
    let found = inputs.moves.get(block).filter(|found| !found.phase.is_over())?;
    let runs = inputs.running.get(block)?.get(&found.capability)?;
    let wanted = chosen(stack, &found.capability, &inputs.catalogue)?;
    (*runs == found.from && wanted == found.to).then_some(found)
}

/// How data of `from` gets to `to`, or what is missing.
pub(crate) fn way<'a>(
    stack: &Stack,
    capability: &str,
    from: &str,
    to: &str,
    catalogue: &'a Catalogue,
) -> Result<&'a product::Move, String> {
    let moves = catalogue.get(to).map(|entry| entry.spec.moves.as_slice()).unwrap_or_default();
    let way = moves.iter().find(|way| way.from == from).filter(|_| {
        // What no longer is in the catalogue cannot be rendered, so that there is nothing to copy from.
        from == EXTERNAL || catalogue.get(from).is_some()
    });
    let way = way.ok_or_else(|| format!("no way is known to bring the data of `{from}` to `{to}`"))?;
    let choice = stack.spec.backing.iter().find(|backing| backing.capability == capability);
    if from == EXTERNAL && choice.and_then(|choice| choice.external.as_ref()).is_none() {
        return Err(format!(
            "the data is brought from the service in spec.backing[{capability}].external: keep it there until that is done"
        ));
    }
    Ok(way)
}

/// The record of a move that may begin.
///
/// # Errors
/// Why it may not, and what to do.
pub fn admit(
    stack: &Stack,
    inputs: &Inputs,
    target: &MigrateTarget,
    operation: &str,
    uid: &str,
) -> Result<Move, String> {
    let MigrateTarget { block, capability } = target;
    let Some(runs) = inputs.running.get(block).and_then(|running| running.get(capability)) else {
        return Err(format!(
            "nothing serves `{capability}` of block `{block}`, so there is no data to bring"
        ));
    };
    let field = format!("spec.backing[{capability}].provider");
    let wanted = chosen(stack, capability, &inputs.catalogue)
        .ok_or_else(|| format!("{field} names a provider that the catalogue does not have"))?;
    if wanted == runs {
        return Err(format!(
            "block `{block}` has its `{capability}` with `{runs}`, and the Stack asks for no other: set {field} first, \
             then ask again"
        ));
    }
    if let Some(other) = in_force(stack, block, inputs).filter(|other| other.phase != Phase::Failed) {
        return Err(format!(
            "Operation {} is bringing data of block `{block}`: wait for it",
            other.operation
        ));
    }
    let way = way(stack, capability, runs, wanted, &inputs.catalogue)?;
    let exchange = compile(stack, &inputs.catalogue, &inputs.declared);
    let resolved = resolve(stack, inputs, &exchange).map_err(|findings| {
        let first = findings.first().map(ToString::to_string).unwrap_or_default();
        format!("the Stack has to be corrected first: {first}")
    })?;
    let Some(resolved) = resolved.iter().find(|resolved| resolved.block.name == *block) else {
        return Err(format!("the Stack has no block `{block}`"));
    };
    if let Some(other) = resolved.blocked.iter().find(|finding| finding.path != field) {
        return Err(format!("block `{block}` is blocked for another reason, which comes first: {other}"));
    }
    let main = resolved.installed.as_ref().and_then(|installed| installed.instances.first());
    let of_capability = |main: &Instance<'_>, claim: &Claim| {
        let mut requires = main.entry.spec.requires.iter();
        requires.any(|r| r.name == claim.requirement && r.capability == *capability)
    };
    for claim in main.iter().flat_map(|main| main.bindings.values()).map(Binding::claim) {
        if !main.is_some_and(|main| of_capability(main, claim)) {
            continue;
        }
        let scope = Scope::new(Map::from_iter([("claim".to_owned(), claim.value())]));
        if !scope.when(way.when.as_deref())? {
            return Err(format!(
                "no way is known to bring the data of `{runs}` to `{wanted}` for requirement `{}` of block `{block}`: {}",
                claim.name, way.description
            ));
        }
    }
    Ok(Move {
        operation: operation.to_owned(),
        uid: uid.to_owned(),
        capability: capability.clone(),
        from: runs.clone(),
        to: wanted.to_owned(),
        phase: Phase::Copying,
        earlier: inputs
            .moves
            .get(block)
            .map(|before| earlier(before, capability, wanted))
            .unwrap_or_default(),
        message: None,
    })
}

/// The move that the plan of a block follows.
pub struct Incoming<'a> {
    /// As it stands on the namespace.
    pub record: &'a Move,
    /// How; `None` once the data is there.
    pub way: Option<&'a product::Move>,
    /// What is brought.
    pub claims: Vec<Claim>,
}

impl<'a> Incoming<'a> {
    /// Of that block. One that the catalogue no longer knows the way of keeps the block as it is.
    pub(crate) fn of(
        stack: &Stack,
        block: &Block,
        inputs: &'a Inputs,
        blocked: &mut Vec<Finding>,
    ) -> Option<Self> {
        let record = in_force(stack, &block.name, inputs)?;
        if record.phase == Phase::Moved {
            return Some(Incoming { record, way: None, claims: Vec::new() });
        }
        match way(stack, &record.capability, &record.from, &record.to, &inputs.catalogue) {
            Ok(way) => Some(Incoming { record, way: Some(way), claims: Vec::new() }),
            Err(why) => {
                blocked.push(finding(&format!("spec.backing[{}].provider", record.capability), why));
                None
            }
        }
    }

    /// Where a requirement's data is, and the product that it is brought to as well: until it is there, the block stays
    /// wired to where it was. `None` where the Stack's own choice holds.
    pub(crate) fn source(
        &mut self,
        stack: &Stack,
        capability: &str,
        claim: &Claim,
    ) -> Option<(Binding, String)> {
        if self.record.capability != capability {
            return None;
        }
        self.claims.push(claim.clone());
        self.way?;
        let claim = claim.clone();
        let source = if self.record.from == EXTERNAL {
            let choice = stack.spec.backing.iter().find(|backing| backing.capability == capability);
            let system = Box::new(choice.and_then(|choice| choice.external.clone())?);
            let key_prefix = format!("{}.{}.", claim.block, claim.name);
            Binding::External { block: None, system, key_prefix, claim }
        } else {
            Binding::Embedded { product: self.record.from.clone(), claim }
        };
        Some((source, self.record.to.clone()))
    }

    /// Whether data is being brought to that product.
    pub(crate) fn fills(&self, product: &str) -> bool {
        self.way.is_some() && self.record.to == product
    }
}

/// Operations whose copies nobody has used: those before the last one that ended well.
fn earlier(before: &Move, capability: &str, to: &str) -> Vec<String> {
    let unused = matches!(before.phase, Phase::Failed | Phase::Aborted);
    if !unused || before.capability != capability || before.to != to {
        return Vec::new();
    }
    let all = before.earlier.iter().chain([&before.uid]).rev();
    all.take(MOST_EARLIER).cloned().collect::<Vec<_>>().into_iter().rev().collect()
}

/// Moves that are over by what the Stack asks for and by what serves. This is written before anything else is done: a move
/// that was given up must never come into force again, for its source has been written to since.
pub fn settle(stack: &Stack, inputs: &Inputs) -> Moves {
    let declared = |name: &str| stack.spec.blocks.iter().any(|block| block.name == name && !block.paused);
    let over = |(block, found): (&String, &Move)| {
        if stack.spec.paused || found.phase.is_over() || !declared(block) {
            return None;
        }
        let runs = inputs.running.get(block).and_then(|running| running.get(&found.capability));
        let settled = match runs {
            Some(runs) if found.phase == Phase::Moved && *runs == found.to => {
                found.in_phase(Phase::Done, None)
            }
            _ if in_force(stack, block, inputs).is_some() => return None,
            _ => {
                let why = format!(
                    "the Stack no longer asks for `{}`; the data is with `{}` as before",
                    found.to, found.from
                );
                found.in_phase(Phase::Aborted, Some(why))
            }
        };
        Some((block.clone(), settled))
    };
    inputs.moves.iter().filter_map(over).collect()
}

/// Moves whose Jobs have all run, or one of whose Jobs has given up.
pub fn advance(plan: &Plan, observed: &Observed) -> Moves {
    let free = plan.blocks.iter().filter(|block| block.blocked.is_empty() && !block.paused);
    let advanced = |block: &BlockPlan| {
        let observed = observed.on(block.cluster.as_deref());
        observed.unreachable.is_none().then(|| advanced(block, observed)).flatten()
    };
    free.filter_map(|block| Some((block.name.clone(), advanced(block)?))).collect()
}

fn advanced(block: &BlockPlan, observed: &Observed) -> Option<Move> {
    let moving = block.moving.as_ref().filter(|moving| moving.record.phase == Phase::Copying)?;
    match worked(block, &moving.jobs, observed) {
        Work::UnderWay => None,
        Work::Failed(why) => Some(moving.record.in_phase(Phase::Failed, Some(why))),
        Work::Done => Some(moving.record.in_phase(Phase::Moved, None)),
    }
}

/// How far Jobs are.
pub(crate) enum Work {
    /// One has not ended.
    UnderWay,
    /// One has given up; why, and where to look.
    Failed(String),
    /// All have ended well.
    Done,
}

/// How far the Jobs of some units of a block are, as this plan has them.
pub(crate) fn worked(block: &BlockPlan, jobs: &BTreeSet<UnitId>, observed: &Observed) -> Work {
    let units = block.units.iter().filter(|unit| jobs.contains(&unit.id));
    let jobs = units.flat_map(|unit| &unit.objects).filter(|object| object.key.kind == "Job");
    let (mut all_complete, mut jobs) = (true, jobs.peekable());
    if jobs.peek().is_none() {
        return Work::UnderWay;
    }
    for job in jobs {
        let live = observed.live.get(&job.key).filter(|live| live.applied_hash() == Some(&*job.hash));
        let holds = |kind: &str| {
            let conditions = live?.body.pointer("/status/conditions")?.as_array()?;
            conditions.iter().find(|c| c["type"] == kind && c["status"] == "True")
        };
        if let Some(failed) = holds("Failed") {
            let says = failed["message"].as_str().unwrap_or("it gave up");
            let namespace = job.key.namespace.as_deref().unwrap_or_default();
            let why = format!("{}: {says}; see `kubectl -n {namespace} logs job/{}`", job.key, job.key.name);
            return Work::Failed(why);
        }
        all_complete &= holds("Complete").is_some();
    }
    if all_complete { Work::Done } else { Work::UnderWay }
}

/// How to go on after a move that failed.
pub fn after_failure(record: &Move) -> String {
    format!(
        "nothing was switched and `{}` was not written to: set spec.backing[{}].provider back and the block runs again as \
         before, or mend the cause and create another Operation of type MigrateProvider",
        record.from, record.capability
    )
}

/// What to do about a switch that was refused.
pub(crate) fn advice(
    stack: &Stack,
    block: &str,
    capability: &str,
    from: &str,
    to: &str,
    catalogue: &Catalogue,
) -> String {
    match way(stack, capability, from, to, catalogue) {
        Ok(_) => format!(
            "Create an Operation of type MigrateProvider for block `{block}` and capability `{capability}` to bring the data \
             over, or set it back"
        ),
        Err(why) => format!(
            "Set it back, or delete the Stack with its data (spec.deletion) and declare it anew: {why}"
        ),
    }
}

/// Whether the block may be on another provider than the one that its namespace names: its data is there already.
pub(crate) fn is_moved(stack: &Stack, block: &str, capability: &str, inputs: &Inputs) -> bool {
    in_force(stack, block, inputs)
        .is_some_and(|found| found.phase == Phase::Moved && found.capability == capability)
}
