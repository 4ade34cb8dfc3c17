//! What an upgrade would do, step by step, before anybody asks for it. Pure.

use std::collections::BTreeMap;

use plinth_api::Stack;
use plinth_api::v1alpha1::product::Rollback;
use plinth_api::v1alpha1::stack::UpgradePhase;
use serde::Serialize;

use super::path::{next_to, path};
use super::{Phase, Step};
use crate::expr::listed;
use crate::installed::Installed;
use crate::model::{BlockPlan, Desired, Finding, ObjectKey};
use crate::resolve::{Inputs, entry_named};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepAhead {
    /// Version that runs before.
    pub from: String,
    /// Version that runs after.
    pub to: String,
    /// The way back.
    pub rollback: Rollback,
    /// Databases of which a restore point is taken first.
    pub restore_point: Vec<String>,
    /// Jobs that run before anything is replaced.
    pub migrations: Vec<String>,
    /// What has no pods between the old version and the new one.
    pub stands_still: Vec<String>,
    /// What is replaced pod by pod, the old version serving.
    pub rolls: Vec<String>,
    /// Other objects that change, come or go.
    pub others: usize,
    /// What a person should know before, from the makers' own upgrade notes.
    pub changes: Vec<String>,
    /// Why the step would not begin now.
    pub held: Option<String>,
}

/// The steps from the version that a block runs to another one.
///
/// # Errors
/// There is no such block or version, no way between them, or the Stack has no valid plan on the way.
pub fn ahead(stack: &Stack, inputs: &Inputs, block: &str, to: &str) -> Result<Vec<StepAhead>, Vec<Finding>> {
    let field = format!("spec.blocks[{block}].version");
    let wrong = |message: String| vec![Finding { path: field.clone(), message }];
    let runs = inputs.installed.get(block);
    let runs = runs.ok_or_else(|| wrong("is of a block that is not installed".to_owned()))?;
    let entry = entry_named(stack, &runs.product, inputs);
    let entry = entry.ok_or_else(|| wrong(format!("`{}` is not in the catalogue", runs.product)))?;
    let way = path(&entry.spec, &runs.version, to).ok_or_else(|| {
        wrong(format!(
            "no way is known from {} to {to}; from {} it is to {}",
            runs.version,
            runs.version,
            listed(&next_to(&entry.spec, &runs.version))
        ))
    })?;
    let mut asks = stack.clone();
    for declared in asks.spec.blocks.iter_mut().filter(|declared| declared.name == block) {
        declared.version = Some(to.to_owned());
    }
    let mut steps = Vec::new();
    for edge in way {
        let at = |step: Option<Step>| {
            let record = Installed { version: edge.from.to_owned(), step, ..runs.clone() };
            let mut then = inputs.clone();
            then.installed.insert(block.to_owned(), record);
            let planned = crate::plan(&asks, &then)?;
            planned
                .blocks
                .into_iter()
                .find(|planned| planned.name == block)
                .ok_or_else(|| wrong("is gone".to_owned()))
        };
        let (before, after) = (at(None)?, at(Some(Step::new(edge.to, Phase::Rolling)))?);
        let needs_point = edge.rollback == Rollback::RestorePoint;
        let databases = before.backups.databases.iter().map(|database| database.requirement.clone());
        let held = before.upgrade.as_ref().filter(|upgrade| upgrade.phase == UpgradePhase::Held);
        steps.push(StepAhead {
            restore_point: databases.filter(|_| needs_point).collect(),
            changes: edge.changes.to_vec(),
            held: held.and_then(|upgrade| upgrade.message.clone()),
            ..between(&before, &after, edge.from, edge.to, edge.rollback)
        });
    }
    Ok(steps)
}

fn between(old: &BlockPlan, new: &BlockPlan, from: &str, to: &str, rollback: Rollback) -> StepAhead {
    fn objects(block: &BlockPlan) -> BTreeMap<&ObjectKey, &Desired> {
        block.units.iter().flat_map(|unit| &unit.objects).map(|object| (&object.key, object)).collect()
    }
    let (before, after) = (objects(old), objects(new));
    let is_new =
        |(key, object): &(&&ObjectKey, &&Desired)| before.get(*key).is_none_or(|old| old.hash != object.hash);
    let (mut migrations, mut stands_still, mut rolls, mut others) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (key, object) in after.iter().filter(is_new) {
        match key.kind.as_str() {
            "Job" => migrations.push(key.name.clone()),
            "Deployment" if object.body["spec"]["strategy"]["type"] == "Recreate" => {
                stands_still.push(key.name.clone())
            }
            "Deployment" | "StatefulSet" | "DaemonSet" => rolls.push(key.name.clone()),
            _ => others += 1,
        }
    }
    others += before.keys().filter(|key| !after.contains_key(*key) && key.kind != "Job").count();
    StepAhead {
        from: from.to_owned(),
        to: to.to_owned(),
        rollback,
        restore_point: Vec::new(),
        migrations,
        stands_still,
        rolls,
        others,
        changes: Vec::new(),
        held: None,
    }
}
