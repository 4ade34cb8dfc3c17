//! What a Sandbox would become: asked before anything is made, by the operator and by `plinth sandbox create --dry-run` alike.

use jiff::Timestamp;
use plinth_api::{Sandbox, Stack, StackSpec};

use super::cost::{Money, Rates};
use super::life::{Course, expires};
use super::policy::Terms;
use super::template;
use crate::amount::Needs;
use crate::catalogue::{Catalogue, Entry};
use crate::expr::listed;
use crate::model::{Finding, Plan};
use crate::resolve::{Inputs, finding};

/// What a Sandbox would be.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// Its Stack, awake.
    pub stack: Stack,
    /// The Stack's plan.
    pub plan: Plan,
    /// What all of it asks for.
    pub needs: Needs,
    /// What it costs by the hour; nothing where nobody gave prices.
    pub rates: Option<Rates>,
    /// What it costs in a month of 30 days, by its schedule.
    pub per_month: Option<Money>,
    /// What bounds its life.
    pub course: Course,
    /// When its time is over.
    pub expires: Timestamp,
}

/// What a Sandbox would be, were it made at `born`. `others` counts the Sandboxes beside it whose time is not over.
///
/// # Errors
/// Everything that is not allowed, or not possible.
pub fn prospect(
    sandbox: &Sandbox,
    source: Option<&StackSpec>,
    terms: &Terms,
    catalogue: &Catalogue,
    others: usize,
    born: Timestamp,
) -> Result<Prospect, Vec<Finding>> {
    let name = sandbox.metadata.name.clone().unwrap_or_default();
    let findings = terms.check(&name, &sandbox.spec, others);
    if !findings.is_empty() {
        return Err(findings);
    }
    let course = terms.course(&sandbox.spec, born)?;
    let stack = template::stack(sandbox, source, terms, false).map_err(|wrong| vec![wrong])?;
    let declared = template::declared(sandbox);
    let inputs = Inputs { catalogue: catalogue.clone(), declared, ..Inputs::default() };
    let plan = crate::plan(&stack, &inputs)
        .map_err(|findings| findings.into_iter().map(of_sandbox).collect::<Vec<_>>())?;
    if sandbox.spec.people.is_some() && !takes_people(&stack, catalogue) {
        return Err(vec![nobody_takes(catalogue)]);
    }
    let needs = Needs::of(plan.objects().map(|object| &object.body));
    let findings = terms.check_budget(&sandbox.spec, needs.steady);
    if !findings.is_empty() {
        return Err(findings);
    }
    let rates = terms.prices().map(|prices| Rates::of(prices, needs.steady)).transpose();
    let rates = rates.map_err(|why| vec![finding("SandboxPolicy", why)])?;
    let per_month = rates.as_ref().map(|rates| rates.month(1.0 - course.schedule.covered_share()));
    let status = sandbox.status.clone().unwrap_or_default();
    let expires = expires(&course, &status);
    Ok(Prospect { stack, plan, needs, rates, per_month, course, expires })
}

/// What is wrong with the Stack, said of the field of the Sandbox that it comes from.
fn of_sandbox(wrong: Finding) -> Finding {
    match wrong.path.strip_prefix("spec.bounds.") {
        Some(field) => Finding { path: format!("spec.{field}"), ..wrong },
        None => Finding { path: format!("its Stack: {}", wrong.path), ..wrong },
    }
}

/// Whether a product of a Stack takes people at all, if only into a Registry that is declared later.
fn takes_people(stack: &Stack, catalogue: &Catalogue) -> bool {
    let products = stack.spec.blocks.iter().filter_map(|block| block.product.as_deref());
    products.filter_map(|name| catalogue.get(name)).any(loads_people)
}

fn loads_people(entry: &Entry) -> bool {
    entry.spec.onboarding.iter().any(|step| step.people)
}

fn nobody_takes(catalogue: &Catalogue) -> Finding {
    let those: Vec<&str> =
        catalogue.entries().filter(|entry| loads_people(entry)).map(|entry| entry.name.as_str()).collect();
    finding("spec.people", format!("none of its products takes people; those that do: {}", listed(&those)))
}
