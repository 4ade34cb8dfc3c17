//! Onboarding inside a block: the text of a step's file, and the steps that wait for a person.

use std::collections::BTreeMap;

use plinth_api::v1alpha1::product::{Config, ConfigFile, Onboarding};

use super::UnitDraft;
use super::block::unit_id;
use super::frame::Frame;
use super::product::Product;
use crate::expr::Scope;
use crate::model::{FOUNDATION, Finding, Step};
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

/// A step that a person has to say yes to is checked and shown, and nothing of it is rendered.
pub fn held(product: &Product<'_>, units: &mut Vec<UnitDraft>, findings: &mut Vec<Finding>) {
    let frame = product.frame;
    let is_held = |step: &&Onboarding| step.requires_approval.is_some();
    for step in frame.instance.entry.spec.onboarding.iter().filter(is_held) {
        for (key, item) in frame.instances(step.for_each.as_ref()) {
            let scope = product.scope.with(frame.element(key.as_deref(), &item));
            let on = scope.when(step.when.as_deref());
            match on.and_then(|on| if on { document(step, &scope).map(Some) } else { Ok(None) }) {
                Ok(None) => {}
                Ok(Some(_)) => units.push(UnitDraft {
                    id: unit_id(product.context, &keyed(&component_name(step), key.as_deref())),
                    component: true,
                    after: vec![unit_id(product.context, FOUNDATION)],
                    drafts: Vec::new(),
                }),
                Err(message) => {
                    findings.push(frame.finding(&format!("spec.onboarding[{}]", step.name), message));
                }
            }
        }
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
