//! Onboarding inside a block: the text of a step's file, and which units are steps.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::product::{Config, ConfigFile};
use serde_json::json;

use super::UnitDraft;
use super::frame::Frame;
use super::meta::Draft;
use crate::expr::Scope;
use crate::model::{SecretSource, Step};
use crate::onboarding::{approval, document, portions, step_of};
use crate::people::Portions;

/// The text of a file of a configuration: what a step's Job reads, or a template filled in.
pub fn text(
    frame: &Frame<'_>,
    config: &Config,
    file: &ConfigFile,
    scope: &Scope<'_>,
) -> Result<String, String> {
    match step_of(&frame.instance.entry, &config.name) {
        Some(step) => {
            let document = document(&frame.instance.entry, step, scope)?;
            serde_json::to_string_pretty(&document).map_err(|error| error.to_string())
        }
        None => scope.template(&file.name, file.template.as_deref().unwrap_or_default()),
    }
}

/// Tells the Secrets of a block which Jobs hand their captured values over. A step that is done again has another Job, so
/// that the Secret is written again after it.
pub fn hand_over(units: &mut [UnitDraft]) {
    let jobs: BTreeMap<String, String> = units
        .iter()
        .flat_map(|unit| unit.drafts.iter().map(|draft| (unit.id.name.clone(), draft.key())))
        .filter(|(_, key)| key.kind == "Job")
        .map(|(unit, key)| (unit, key.name))
        .collect();
    for source in
        units.iter_mut().flat_map(|unit| &mut unit.drafts).flat_map(|draft| draft.secret.values_mut())
    {
        if let SecretSource::Captured { step, job, .. } = source {
            jobs.get(step).unwrap_or(&String::new()).clone_into(job);
        }
    }
}

/// The step that an instance of a component is, where it is one.
pub fn step(frame: &Frame<'_>, component: &str, scope: &Scope<'_>) -> Result<Option<Step>, String> {
    let Some(step) = step_of(&frame.instance.entry, component) else { return Ok(None) };
    Ok(Some(Step { held: approval(step, scope)?, people: portions(step, scope)? }))
}

/// The Job of a step that loads people has a pod for each portion, one after another, and says which of them it has completed.
pub fn in_portions(job: &mut Draft, people: &Portions) {
    job.body["spec"]["completionMode"] = json!("Indexed");
    job.body["spec"]["completions"] = json!(people.count());
    job.body["spec"]["parallelism"] = json!(1);
}
