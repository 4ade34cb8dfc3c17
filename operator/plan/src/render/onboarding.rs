//! Onboarding inside a block: the text of a step's file, and which units are steps.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::product::{Config, ConfigFile};

use super::frame::Frame;
use crate::expr::Scope;
use crate::model::Step;
use crate::naming::keyed;
use crate::onboarding::{component_name, document, step_of};

/// The text of a file of a configuration: what a step's Job reads, or a template filled in.
pub fn text(
    frame: &Frame<'_>,
    config: &Config,
    file: &ConfigFile,
    scope: &Scope<'_>,
) -> Result<String, String> {
    match step_of(&frame.instance.entry, &config.name) {
        Some(step) => {
            let document = document(step, scope)?;
            serde_json::to_string_pretty(&document).map_err(|error| error.to_string())
        }
        None => scope.template(&file.name, file.template.as_deref().unwrap_or_default()),
    }
}

/// The steps of a block, by the name of their unit.
pub fn steps(frames: &[Frame<'_>]) -> BTreeMap<String, Step> {
    let mut steps = BTreeMap::new();
    for frame in frames {
        for step in &frame.instance.entry.spec.onboarding {
            for (key, _) in frame.instances(step.for_each.as_ref()) {
                let name = keyed(&component_name(step), key.as_deref());
                steps.insert(name, Step { held: step.requires_approval.clone() });
            }
        }
    }
    steps
}
