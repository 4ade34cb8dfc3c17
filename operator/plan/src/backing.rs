//! Which product serves each backing capability of a block: written on the block's namespace, where a restarted operator
//! and a rebuilt hub find it, and held against what the Stack asks for. Another product would start empty beside the data
//! that the one before has, so it is refused until an Operation asks for the data to be brought over.

use std::collections::BTreeMap;

use plinth_api::names;
use plinth_api::v1alpha1::stack::{Block, Provider};
use plinth_api::{ProductSpec, Stack};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::model::{Finding, StackId};
use crate::moving::{advice, is_moved};
use crate::resolve::{Binding, Inputs, Installed, Instance, finding};

/// By block and capability, the product that serves it, or [`EXTERNAL`].
pub type Running = BTreeMap<String, BTreeMap<String, String>>;

/// Stands for a service that runs elsewhere.
pub const EXTERNAL: &str = "external";

/// What the namespaces of a Stack's blocks say. What cannot be read says nothing.
pub fn recorded<'a>(stack: &StackId, namespaces: impl IntoIterator<Item = &'a Value>) -> Running {
    annotated(stack, namespaces, names::ANNOTATION_BACKING)
}

/// By block, what an annotation of its namespace says.
pub(crate) fn annotated<'a, T: DeserializeOwned>(
    stack: &StackId,
    namespaces: impl IntoIterator<Item = &'a Value>,
    annotation: &str,
) -> BTreeMap<String, T> {
    let prefix = format!("{stack}/");
    let of_block = |namespace: &Value| {
        let annotations = namespace.pointer("/metadata/annotations")?;
        let owner = annotations.get(names::ANNOTATION_OWNER)?.as_str()?;
        let text = annotations.get(annotation)?.as_str()?;
        Some((owner.strip_prefix(&prefix)?.to_owned(), serde_json::from_str(text).ok()?))
    };
    namespaces.into_iter().filter_map(of_block).collect()
}

/// The annotation of a block's namespace; nothing when the block has no backing service.
pub(crate) fn record(instance: &Instance<'_>, catalogue: &Catalogue) -> Option<String> {
    let serving = serving(instance, catalogue);
    if serving.is_empty() { None } else { serde_json::to_string(&serving).ok() }
}

fn serving<'a>(instance: &'a Instance<'_>, catalogue: &Catalogue) -> BTreeMap<&'a str, &'a str> {
    let mut serving = BTreeMap::new();
    for requirement in &instance.entry.spec.requires {
        // Elements of one requirement are all served by the same.
        let product = match instance.bindings_of(&requirement.name).next() {
            Some(Binding::Embedded { product, .. }) => product.as_str(),
            Some(Binding::External { .. }) if catalogue.is_backing(&requirement.capability) => EXTERNAL,
            _ => continue,
        };
        serving.insert(requirement.capability.as_str(), product);
    }
    serving
}

/// Why a block must not be installed as the Stack has it: its data is with another product.
pub(crate) fn switched(
    stack: &Stack,
    block: &Block,
    installed: &Installed<'_>,
    inputs: &Inputs,
) -> Vec<Finding> {
    let Some(running) = inputs.running.get(&block.name) else { return Vec::new() };
    let Some(main) = installed.instances.first() else { return Vec::new() };
    let differs = |(capability, wanted): (&str, &str)| {
        let runs = running.get(capability).filter(|runs| runs.as_str() != wanted)?;
        if is_moved(stack, &block.name, capability, inputs) {
            return None;
        }
        holds_data(capability, runs, &inputs.catalogue)
            .then(|| refusal(stack, block, capability, wanted, runs, &inputs.catalogue))
    };
    serving(main, &inputs.catalogue).into_iter().filter_map(differs).collect()
}

/// Every block and capability whose product is not the one that the Stack chooses: with the same answer, what runs makes
/// the same plan.
pub fn differences<'a>(stack: &Stack, inputs: &'a Inputs) -> Vec<(&'a str, &'a str, &'a str)> {
    let all = inputs.running.iter().flat_map(|(block, capabilities)| {
        capabilities
            .iter()
            .map(move |(capability, runs)| (block.as_str(), capability.as_str(), runs.as_str()))
    });
    all.filter(|(_, capability, runs)| chosen(stack, capability, &inputs.catalogue) != Some(runs)).collect()
}

fn provider(stack: &Stack, capability: &str) -> Provider {
    let choice = stack.spec.backing.iter().find(|backing| backing.capability == capability);
    choice.map(|backing| backing.provider).unwrap_or_default()
}

/// The product that the Stack asks for, or [`EXTERNAL`].
pub(crate) fn chosen<'a>(stack: &Stack, capability: &str, catalogue: &'a Catalogue) -> Option<&'a str> {
    match provider(stack, capability) {
        Provider::External => Some(EXTERNAL),
        provider => catalogue.backing(capability, provider).map(|entry| entry.name.as_str()),
    }
}

/// In doubt it does: a product that the catalogue has lost, and an external service unless nobody's holds any.
fn holds_data(capability: &str, runs: &str, catalogue: &Catalogue) -> bool {
    if runs == EXTERNAL {
        return catalogue.backings(capability).any(|entry| keeps_data(&entry.spec));
    }
    catalogue.get(runs).is_none_or(|entry| keeps_data(&entry.spec))
}

/// Secrets that open data, volumes, or objects of somebody's operator that are said to hold data.
fn keeps_data(spec: &ProductSpec) -> bool {
    let says_so = |object: &serde_json::Map<String, Value>| {
        let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations"));
        let value = annotations.and_then(|annotations| annotations.get(names::ANNOTATION_DATA));
        value.is_some_and(|value| value != "false")
    };
    spec.secrets.iter().any(|secret| secret.opens_data)
        || spec.components.iter().any(|component| !component.volumes.is_empty())
        || spec.objects.iter().any(|object| says_so(&object.object))
}

fn refusal(
    stack: &Stack,
    block: &Block,
    capability: &str,
    wanted: &str,
    runs: &str,
    catalogue: &Catalogue,
) -> Finding {
    let described = |product: &str| match catalogue.get(product) {
        _ if product == EXTERNAL => Provider::External.as_str().to_owned(),
        Some(entry) => format!("{} (`{product}`)", entry.spec.provider.as_str()),
        None => format!("`{product}`, which is not in the catalogue"),
    };
    let advice = advice(stack, &block.name, capability, runs, wanted, catalogue);
    let wanted = match wanted {
        EXTERNAL => provider(stack, capability).as_str().to_owned(),
        product => described(product),
    };
    let runs = described(runs);
    finding(
        &format!("spec.backing[{capability}].provider"),
        format!(
            "is {wanted}, and block `{}` has its data with {runs}, which would be left behind; allowed is {runs}. {advice}",
            block.name
        ),
    )
}
