//! The side that stands by for a block: everything that it needs to start there, its secrets among it, and no pods. The side that a
//! block was taken away from is the same.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::{Stack, names};

use super::UnitDraft;
use super::meta::Draft;
use super::restoring::KEY;
use super::scale::to_zero;
use crate::failover::Phase;
use crate::model::{BlockPlan, SecretKeyRef, SecretSource, Unit, UnitId};
use crate::placement::HUB;
use crate::resolve::{Inputs, Resolved};

/// Kinds that wait on a standby. Others would act there: a route publishes, an operator's object runs a server.
const WAITING: &[&str] = &[
    "ConfigMap",
    "CronJob",
    "Deployment",
    "Job",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
];

/// Every standby of every block.
pub fn standbys(
    stack: &Stack,
    resolved: &[Resolved<'_>],
    at_work: &BTreeSet<&UnitId>,
    drafts: &BTreeMap<&str, Vec<UnitDraft>>,
) -> Vec<BlockPlan> {
    let of_block = |r: &Resolved<'_>| {
        let units = drafts.get(r.block.name.as_str()).filter(|_| r.blocked.is_empty());
        let sides = r.standby.iter().zip(units.into_iter().cycle());
        sides.map(|(side, units)| standby(stack, r, side, at_work, units)).collect::<Vec<_>>()
    };
    resolved.iter().flat_map(of_block).collect()
}

fn standby(
    stack: &Stack,
    r: &Resolved<'_>,
    side: &str,
    at_work: &BTreeSet<&UnitId>,
    units: &[UnitDraft],
) -> BlockPlan {
    let mut waiting: Vec<UnitDraft> =
        units.iter().filter(|unit| !at_work.contains(&unit.id)).filter_map(|unit| waits(r, unit)).collect();
    let known: BTreeSet<UnitId> = waiting.iter().map(|unit| unit.id.clone()).collect();
    let fenced: BTreeSet<UnitId> = waiting.iter().filter(|unit| runs(unit)).map(|u| u.id.clone()).collect();
    to_zero(&fenced, &mut waiting);
    for unit in &mut waiting {
        unit.after.retain(|before| known.contains(before));
    }
    let unit = |unit: UnitDraft| Unit {
        id: unit.id,
        component: unit.component,
        after: unit.after,
        objects: unit.drafts.into_iter().map(Draft::finish).collect(),
        step: None,
    };
    BlockPlan {
        name: r.block.name.clone(),
        product: r.block.product.clone(),
        version: r.block.version.clone(),
        namespace: Some(r.namespace.clone()),
        cluster: (side != HUB).then(|| side.to_owned()),
        units: waiting.into_iter().map(unit).collect(),
        paused: stack.spec.paused || r.block.paused,
        drift: r.block.drift,
        fenced,
        ..BlockPlan::default()
    }
}

/// What of a unit waits on a standby. What restores and brings data is for the side that serves, and so are other blocks'
/// namespaces, which are there for what the block calls.
fn waits(r: &Resolved<'_>, unit: &UnitDraft) -> Option<UnitDraft> {
    let kept = |draft: &&Draft| {
        let key = draft.key();
        let foreign = key.kind == "Namespace" && key.name != r.namespace;
        WAITING.contains(&key.kind.as_str()) && !foreign && !(key.kind == "Secret" && key.name == KEY)
    };
    let mut drafts: Vec<Draft> = unit.drafts.iter().filter(kept).cloned().collect();
    for draft in &mut drafts {
        match draft.key().kind.as_str() {
            "Namespace" => draft.annotate(names::ANNOTATION_STANDBY, "true"),
            "Secret" => copy(draft),
            _ => {}
        }
    }
    (!drafts.is_empty()).then(|| UnitDraft { drafts, step: None, after: unit.after.clone(), ..named(unit) })
}

fn named(unit: &UnitDraft) -> UnitDraft {
    UnitDraft {
        id: unit.id.clone(),
        component: unit.component,
        after: Vec::new(),
        drafts: Vec::new(),
        step: None,
    }
}

/// A standby makes no secret: each value is the one of the side that serves.
fn copy(draft: &mut Draft) {
    let place = draft.key();
    for (key, source) in &mut draft.secret {
        *source = SecretSource::Serving(SecretKeyRef {
            namespace: place.namespace.clone().unwrap_or_default(),
            name: place.name.clone(),
            key: key.clone(),
        });
    }
}

/// Stops what must not run on the side that a block is planned on while it is taken over: all of it until the old side has stopped,
/// and until its data is there whatever is not a backing service.
pub fn fence<'r>(
    inputs: &Inputs,
    resolved: &'r [Resolved<'_>],
    at_work: &BTreeSet<&UnitId>,
    drafts: &mut BTreeMap<&str, Vec<UnitDraft>>,
) -> BTreeMap<&'r str, BTreeSet<UnitId>> {
    let mut fenced = BTreeMap::new();
    for r in resolved.iter().filter(|r| r.tenant.is_none()) {
        let block = r.block.name.as_str();
        let (Some(record), Some(units)) = (inputs.failovers.get(block), drafts.get_mut(block)) else {
            continue;
        };
        let main = r.block.product.as_deref().unwrap_or_default();
        let stops = |unit: &&UnitDraft| match record.phase {
            Phase::Fencing => runs(unit),
            Phase::Filling | Phase::Failed => runs(unit) && is_written_by(unit, main),
            Phase::Serving | Phase::Done => false,
        };
        let own = units.iter().filter(stops).map(|unit| unit.id.clone());
        let own: BTreeSet<UnitId> = own.filter(|id| !at_work.contains(id)).collect();
        to_zero(&own, units);
        fenced.insert(block, own);
    }
    fenced
}

/// It has pods, or will have.
fn runs(unit: &UnitDraft) -> bool {
    let kind = |draft: &Draft| draft.key().kind;
    unit.drafts.iter().any(|d| matches!(kind(d).as_str(), "Deployment" | "StatefulSet" | "Job" | "CronJob"))
}

/// It is a component of the block's own product, or works at a time of its own: both may write to what is being restored.
fn is_written_by(unit: &UnitDraft, main: &str) -> bool {
    unit.drafts.iter().any(|draft| {
        draft.body["metadata"]["labels"][names::LABEL_PART_OF] == main || draft.key().kind == "CronJob"
    })
}
