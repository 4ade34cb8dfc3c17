//! Parameters that are set once: languages, identifiers, names that data is full of after the first start. What they were
//! is written on the block's namespace, where a restarted operator and a rebuilt hub find it, and held against the Stack.

use std::collections::BTreeMap;

use plinth_api::names;
use plinth_api::v1alpha1::product::Parameter;
use plinth_api::v1alpha1::stack::Block;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backing::annotated;
use crate::catalogue::Entry;
use crate::model::{Finding, StackId};
use crate::resolve::{Instance, finding};

/// By block, what its product was started with.
pub type Fixed = BTreeMap<String, Started>;

/// What a block was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Started {
    /// Its product.
    pub product: String,
    /// Immutable parameters that have a value.
    pub parameters: Map<String, Value>,
}

/// What the namespaces of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Fixed {
    annotated(stack, namespaces, names::ANNOTATION_FIXED)
}

/// The annotation of a block's namespace; nothing when nothing is fixed.
pub(crate) fn record(instance: &Instance<'_>) -> Option<String> {
    let parameters: Map<String, Value> = immutable(instance.entry.as_ref())
        .filter_map(|parameter| instance.params.get_key_value(&parameter.name))
        .filter(|(_, value)| is_set(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let started = Started { product: instance.entry.name.clone(), parameters };
    if started.parameters.is_empty() { None } else { serde_json::to_string(&started).ok() }
}

/// What the Stack gives, with that in its place which a block that runs was started with: neither an edit nor the default of
/// a later catalogue changes what other blocks see of it.
pub(crate) fn given(block: &Block, entry: &Entry, fixed: &Fixed) -> Map<String, Value> {
    let mut given = block.parameters.clone();
    given.extend(of(block, entry, fixed).map(|(name, was)| (name.clone(), was.clone())));
    given
}

/// Why a block must not be installed as the Stack has it: it was started with something else.
pub(crate) fn changed(block: &Block, entry: &Entry, fixed: &Fixed) -> Vec<Finding> {
    let differs = |(name, was): (&String, &Value)| {
        let wanted = block.parameters.get(name).filter(|wanted| *wanted != was)?;
        Some(finding(
            &format!("spec.blocks[{}].parameters.{name}", block.name),
            format!(
                "is {wanted}, and the block was started with {was}, which its data is made with; allowed is {was}. Set it \
                 back, or declare another block and bring over what is in this one"
            ),
        ))
    };
    of(block, entry, fixed).filter_map(differs).collect()
}

/// The recorded values of parameters that are still immutable.
fn of<'a>(
    block: &Block,
    entry: &'a Entry,
    fixed: &'a Fixed,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    let started = fixed.get(&block.name).filter(|started| started.product == entry.name);
    immutable(entry).filter_map(move |parameter| started?.parameters.get_key_value(&parameter.name))
}

fn immutable(entry: &Entry) -> impl Iterator<Item = &Parameter> {
    entry.spec.parameters.iter().filter(|parameter| parameter.immutable)
}

/// Whether it says anything: what is empty may be set later, once.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
