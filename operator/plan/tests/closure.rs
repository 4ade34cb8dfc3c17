//! The closure check finds nothing in any entry of the catalogue, in any profile.

mod closure_stacks;

use std::collections::{BTreeMap, BTreeSet};

use plinth_plan::{Inputs, closure};

fn print(findings: &[plinth_plan::model::Finding]) -> String {
    findings.iter().map(|f| format!("  {f}\n")).collect()
}

#[test]
fn every_entry_is_closed_in_every_profile() {
    let inputs = Inputs { catalogue: closure_stacks::catalogue(), ..Inputs::default() };
    let mut wrong = String::new();
    for case in closure_stacks::cases() {
        match plinth_plan::plan(&case.stack, &inputs) {
            Err(findings) => wrong += &format!("{}: no plan\n{}", case.name, print(&findings)),
            Ok(plan) => {
                let findings = closure::check(&plan, &case.stack, &inputs);
                if !findings.is_empty() {
                    wrong += &format!("{}: {} findings\n{}", case.name, findings.len(), print(&findings));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_product_is_shown_by_a_case() {
    let catalogue = closure_stacks::catalogue();
    let shown: BTreeSet<String> = closure_stacks::cases().into_iter().flat_map(|c| c.products).collect();
    for entry in catalogue.entries().filter(|entry| entry.spec.unavailable.is_none()) {
        assert!(shown.contains(&entry.name), "{} is in no case of the closure tests", entry.name);
    }
}

#[test]
fn a_missing_secret_of_the_stack_is_named() {
    let case = closure_stacks::cases()
        .into_iter()
        .find(|c| c.name.starts_with("keycloak elsewhere"))
        .expect("it exists");
    let catalogue = closure_stacks::catalogue();
    let offline = Inputs { catalogue: catalogue.clone(), ..Inputs::default() };
    let plan = plinth_plan::plan(&case.stack, &offline).expect("a plan");
    let looked = Inputs { catalogue, secrets: Some(BTreeMap::new()), ..Inputs::default() };
    let findings = closure::check(&plan, &case.stack, &looked);
    assert!(
        findings.iter().any(|f| f.message.contains("`platform/databases` does not exist")),
        "{findings:?}"
    );
}
