//! The closure check finds nothing in any entry of the catalogue, in any profile.

mod closure_stacks;

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::Stack;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::moving::{Move, Phase};
use plinth_plan::{Inputs, closure};
use serde_json::json;

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

/// What is rendered only while data is brought from one backing service to another is closed too: the Jobs reach both, read
/// what is there, and wait for everybody who could write.
#[test]
fn every_way_to_bring_data_is_closed_in_every_profile() {
    let catalogue = closure_stacks::catalogue();
    let mut wrong = String::new();
    let mut shown = 0;
    for entry in catalogue.entries() {
        for way in &entry.spec.moves {
            for profile in ["sandbox", "standard", "national"] {
                let (stack, inputs) = brought(&catalogue, &way.from, &entry.name, profile);
                let name = format!("{} to {}, {profile}", way.from, entry.name);
                shown += 1;
                match plinth_plan::plan(&stack, &inputs) {
                    Err(findings) => wrong += &format!("{name}: no plan\n{}", print(&findings)),
                    Ok(plan) => {
                        let moving = plan.blocks[0].moving.as_ref().expect("a move");
                        assert_eq!((moving.jobs.len(), moving.stopped.len()), (1, 1), "{name}: {moving:?}");
                        let findings = closure::check(&plan, &stack, &inputs);
                        if !findings.is_empty() {
                            wrong += &format!("{name}: {} findings\n{}", findings.len(), print(&findings));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty() && shown == 12, "{shown} cases\n{wrong}");
    // The same script lies beside both entries.
    let script = |name: &str| {
        let configs = &catalogue.get(name).expect("an entry").spec.configs;
        configs.iter().find(|config| config.name == "move").cloned()
    };
    assert!(script("postgresql").is_some() && script("postgresql") == script("postgresql-cnpg"));
}

/// A Keycloak whose database is on its way.
fn brought(catalogue: &Catalogue, from: &str, to: &str, profile: &str) -> (Stack, Inputs) {
    let provider = catalogue.get(to).map(|entry| entry.spec.provider).unwrap_or_default();
    let stack = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "land", "namespace": "platform" },
        "spec": {
            "country": { "code": "ZZ" },
            "profile": profile,
            "blocks": [{ "name": "identity", "product": "keycloak" }, { "name": "api-gateway", "product": "envoy-gateway" }],
            "backing": [{ "capability": "postgresql", "provider": provider, "external": { "capability": "postgresql",
                "host": "db.example", "port": 5432, "credentialsSecret": "databases" } }],
        },
    }))
    .expect("the stack parses");
    let record = Move {
        operation: "move-1".to_owned(),
        uid: "uid-1".to_owned(),
        capability: "postgresql".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        phase: Phase::Copying,
        earlier: Vec::new(),
        message: None,
    };
    let running = [("postgresql".to_owned(), from.to_owned())].into();
    let inputs = Inputs {
        catalogue: catalogue.clone(),
        running: [("identity".to_owned(), running)].into(),
        moves: [("identity".to_owned(), record)].into(),
        ..Inputs::default()
    };
    (stack, inputs)
}
