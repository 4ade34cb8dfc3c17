//! The steps of the Stack that a contract is for.

use std::path::Path;

use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Finding, Plan};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::contract::Contract;
use crate::declared::World;
use crate::steps::{Step, of_plan};

/// The steps that a contract is for, in order, with every origin in them replaced by the server's.
///
/// # Errors
/// What the file names and is not there, or why the Stack cannot be planned.
pub fn of(contract: &Contract, world: &World, url: &str) -> Result<Vec<Step>, String> {
    let entry = &contract.runs.entry;
    let catalogue = Catalogue::builtin().map_err(lines)?;
    let spec = &catalogue.get(entry).ok_or_else(|| format!("runs: there is no entry {entry}"))?.spec;
    let mut order: Vec<String> = spec.onboarding.iter().map(|step| step.name.clone()).collect();
    if let Some(unknown) = contract.order.iter().find(|name| !order.contains(name)) {
        return Err(format!("order: {entry} has no step {unknown}"));
    }
    order.retain(|name| !contract.order.contains(name));
    order.splice(0..0, contract.order.iter().cloned());
    let plan =
        plan(&stack(contract)?, Inputs { catalogue, declared: world.declared()?, ..Inputs::default() })?;
    of_plan(&plan, entry, &order, &contract.runs.blocks, url)
}

/// The Stack beside the entry; one without a profile is planned as a sandbox.
fn stack(contract: &Contract) -> Result<Stack, String> {
    let entry = &contract.runs.entry;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue").join(entry).join("stacks.yaml");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let document = serde_yaml::Deserializer::from_str(&text).nth(contract.runs.stack);
    let document = document.ok_or_else(|| format!("runs.stack: {} ends before", path.display()))?;
    let mut stack = Value::deserialize(document).map_err(|error| error.to_string())?;
    if stack["spec"]["profile"].is_null() {
        stack["spec"]["profile"] = json!("sandbox");
    }
    serde_json::from_value(stack).map_err(|error| error.to_string())
}

/// A plan in which everything that is declared holds: an object that does not would grant nothing, and prove nothing.
fn plan(stack: &Stack, inputs: Inputs) -> Result<Plan, String> {
    let plan = plinth_plan::plan(stack, &inputs).map_err(lines)?;
    let said = plan.exchange.standing.iter().flat_map(|(subject, standing)| {
        standing.findings.iter().map(move |finding| format!("{subject}: {finding}"))
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { Ok(plan) } else { Err(said.join("\n")) }
}

fn lines(findings: Vec<Finding>) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
