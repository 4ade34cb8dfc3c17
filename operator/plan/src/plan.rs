//! From a Stack to its plan.

use plinth_api::Stack;
use plinth_api::v1alpha1::stack::Approval;
use serde_json::{Value, json};

use crate::exchange::{Compiled, Declared, compile};
use crate::graph;
use crate::model::{BlockPlan, Finding, Plan, StackId, Unit};
use crate::render::{full_digest, render};
use crate::resolve::{Inputs, resolve, stack_id};

/// A Stack with nothing left that can be wrong about it: every product found, every expression evaluated, every
/// template rendered, every edge leading somewhere.
pub struct Validated {
    stack: StackId,
    revision: String,
    blocks: Vec<BlockPlan>,
    standby: Vec<BlockPlan>,
    exchange: Compiled,
}

/// Everything that can fail about the input fails here.
///
/// # Errors
/// Every finding: the field, its value, what is allowed.
pub fn validate(stack: &Stack, inputs: &Inputs) -> Result<Validated, Vec<Finding>> {
    let exchange = compile(stack, &inputs.catalogue, &inputs.declared);
    let resolved = resolve(stack, inputs, &exchange)?;
    let (blocks, standby) = render(stack, inputs, &exchange, &resolved)?;
    let revision = inputs.catalogue.revision().to_owned();
    Ok(Validated { stack: stack_id(stack), revision, blocks, standby, exchange })
}

/// The plan of a validated Stack. Cannot fail.
pub fn assemble(validated: Validated) -> Plan {
    let units = digests(&validated.blocks);
    // On the hub alone a plan is named as it was before there were other clusters.
    let places = places(&validated.blocks);
    let upgrades = upgrades(&validated.blocks);
    let standby = digests(&validated.standby);
    let hash = match (places.is_empty(), upgrades.is_empty() && standby.is_empty()) {
        (true, true) => full_digest(&json!([validated.stack, units])),
        (false, true) => full_digest(&json!([validated.stack, units, places])),
        _ => full_digest(&json!([validated.stack, units, places, upgrades, standby])),
    };
    Plan {
        hash,
        stack: validated.stack,
        catalogue_revision: validated.revision,
        blocks: validated.blocks,
        standby: validated.standby,
        exchange: validated.exchange,
    }
}

/// Everything that is to be written, each object by its digest.
fn digests(blocks: &[BlockPlan]) -> Vec<Value> {
    let digest = |unit: &Unit| {
        let objects: Vec<Value> = unit.objects.iter().map(|o| json!([o.key, o.hash])).collect();
        match unit.step.as_ref().and_then(|step| step.held.as_ref()) {
            None => json!([unit.id, unit.after, objects]),
            Some(held) => json!([unit.id, unit.after, objects, held]),
        }
    };
    blocks.iter().flat_map(|b| &b.units).map(digest).collect()
}

/// Blocks that are elsewhere than on the hub, each with its clusters.
fn places(blocks: &[BlockPlan]) -> Vec<Value> {
    let elsewhere = blocks.iter().filter(|block| block.cluster.is_some() || !block.standby.is_empty());
    elsewhere.map(|block| json!([block.name, block.cluster, block.standby])).collect()
}

/// Blocks that are asked for in another version than the one that runs: what is said yes to is the way, before its first step shows.
fn upgrades(blocks: &[BlockPlan]) -> Vec<Value> {
    let ways = blocks.iter().filter_map(|block| Some((block, block.upgrade.as_ref()?)));
    ways.map(|(block, way)| json!([block.name, way.from, way.target])).collect()
}

/// Validate, then complete.
///
/// # Errors
/// As [`validate`] and [`complete`].
pub fn plan(stack: &Stack, inputs: &Inputs) -> Result<Plan, Vec<Finding>> {
    complete(stack, inputs, validate(stack, inputs)?)
}

/// Assemble, then check that the order holds, and name the plan by what a person says yes to, where one does.
///
/// # Errors
/// A cycle in the order.
pub fn complete(stack: &Stack, inputs: &Inputs, validated: Validated) -> Result<Plan, Vec<Finding>> {
    let mut plan = assemble(validated);
    graph::check(&plan)?;
    let status = stack.status.as_ref();
    let has_yes = status.is_some_and(|status| status.approved_hash.is_some());
    if stack.spec.change_policy.approval == Approval::Required || has_yes {
        plan.hash = hash_of_own(stack, inputs)?;
    }
    Ok(plan)
}

/// Hash of what the Stack itself declares: what a person says yes to. Agencies change their part on their own word, so that
/// a right that is taken back does not wait for anybody, and an anchor of another instance has a yes of its own; what the
/// Stack says about who they are is in it.
fn hash_of_own(stack: &Stack, inputs: &Inputs) -> Result<String, Vec<Finding>> {
    let alone = Inputs { declared: Declared::default(), ..inputs.clone() };
    let (own, spec) = (assemble(validate(stack, &alone)?), &stack.spec);
    let mut said = vec![
        json!(own.hash),
        json!(spec.change_policy),
        json!(spec.tenants),
        json!(spec.exchange),
        json!(spec.assurance),
    ];
    // What says nothing of it is named as it was before there were modes.
    if !spec.mode.is_normal() || spec.continuity.is_some() {
        said.extend([json!(spec.mode), json!(spec.continuity)]);
    }
    Ok(full_digest(&Value::Array(said)))
}
