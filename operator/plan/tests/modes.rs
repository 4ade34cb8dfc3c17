//! Surge and Degraded: what grows, what is done without, what is kept; and set back, the plan is the one that was.

mod exchange_world;
mod land;

use std::collections::BTreeMap;

use exchange_world::{compiled, inputs as world_inputs, object, stack_of, world};
use land::stack;
use plinth_api::Stack;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{BlockPlan, Plan};
use plinth_plan::{Inputs, plan};
use serde_json::{Value, json};

/// Registers, workflow and identity at a ministry's size.
fn country(change: impl FnOnce(&mut Value)) -> Stack {
    let blocks = json!([
        { "name": "identity", "product": "keycloak" },
        { "name": "workflow", "product": "operaton" },
        { "name": "digital-registries", "product": "openspp" },
    ]);
    let mut stack = serde_json::to_value(stack("standard", blocks)).expect("it serialises");
    stack["spec"]["images"] = json!({ "refuseMutableTags": false });
    change(&mut stack["spec"]);
    serde_json::from_value(stack).expect("the test's Stack is well-formed")
}

fn inputs() -> Inputs {
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    Inputs { catalogue, ..Inputs::default() }
}

fn planned(change: impl FnOnce(&mut Value)) -> Plan {
    plan(&country(change), &inputs()).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// Pods of each Deployment and StatefulSet, by name.
fn pods(plan: &Plan, block: &str) -> BTreeMap<String, Option<u64>> {
    let units = plan.blocks.iter().filter(|b| b.name == block).flat_map(|b| &b.units);
    let sets = units
        .flat_map(|unit| &unit.objects)
        .filter(|o| matches!(o.key.kind.as_str(), "Deployment" | "StatefulSet"));
    sets.map(|o| (o.key.name.clone(), o.body["spec"]["replicas"].as_u64())).collect()
}

fn shed(plan: &Plan) -> Vec<&str> {
    let shed = |block: &&BlockPlan| block.shed.is_some();
    plan.blocks.iter().filter(shed).map(|block| block.name.as_str()).collect()
}

#[test]
fn a_surge_multiplies_what_scales_up_to_its_limit_and_nothing_else() {
    let plan = planned(|spec| {
        spec["mode"] = json!("Surge");
        spec["continuity"] = json!({ "surge": { "load": 4, "mostReplicas": 6 } });
    });
    assert_eq!(
        pods(&plan, "workflow"),
        [
            ("operaton".to_owned(), Some(1)),
            ("operaton-api".to_owned(), Some(6)),
            ("postgresql".to_owned(), Some(1))
        ]
        .into()
    );
    let grown: Vec<String> = plan.blocks.iter().flat_map(|b| &b.grown).map(ToString::to_string).collect();
    assert_eq!(grown, ["workflow/operaton-api"]);
    assert!(shed(&plan).is_empty());
}

#[test]
fn only_what_matters_enough_grows() {
    let grown = |block: &str| {
        let plan = planned(|spec| {
            spec["mode"] = json!("Surge");
            spec["continuity"] = json!({
                "priorities": [{ "block": block, "priority": "critical" }],
                "surge": { "load": 2, "grows": "important" },
            });
        });
        plan.blocks.iter().flat_map(|b| &b.grown).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(grown("workflow"), ["workflow/operaton-api"]);
    assert!(grown("identity").is_empty());
}

#[test]
fn pods_that_an_autoscaler_counts_are_left_to_it() {
    let plan = planned(|spec| {
        spec["mode"] = json!("Surge");
        spec["continuity"] = json!({ "surge": { "load": 4 } });
        spec["overrides"] = json!([{ "name": "counted", "match": { "component": "operaton-api", "kind": "Deployment" },
            "patch": { "spec": { "replicas": null } } }]);
    });
    assert_eq!(pods(&plan, "workflow")["operaton-api"], None);
}

#[test]
fn degraded_keeps_what_is_critical_and_what_that_needs_and_databases() {
    let plan = planned(|spec| {
        spec["mode"] = json!("Degraded");
        spec["continuity"] =
            json!({ "priorities": [{ "block": "digital-registries", "priority": "critical" }] });
    });
    assert_eq!(shed(&plan), ["identity", "workflow"]);
    assert_eq!(
        pods(&plan, "workflow"),
        [
            ("operaton".to_owned(), Some(0)),
            ("operaton-api".to_owned(), Some(0)),
            ("postgresql".to_owned(), Some(1))
        ]
        .into()
    );
    assert!(pods(&plan, "digital-registries").values().all(|pods| *pods != Some(0)));

    let all = planned(|spec| {
        spec["mode"] = json!("Degraded");
        spec["continuity"] = json!({ "stopsData": true });
    });
    assert_eq!(shed(&all), ["identity", "workflow", "digital-registries"]);
    assert!(pods(&all, "workflow").values().all(|pods| *pods == Some(0)));
}

#[test]
fn back_in_normal_mode_the_plan_is_the_one_that_was() {
    let before = planned(|_| {});
    for mode in ["Surge", "Degraded"] {
        let with = |mode: &str| {
            planned(|spec| {
                spec["mode"] = json!(mode);
                spec["continuity"] = json!({ "surge": { "load": 3 } });
            })
        };
        assert_ne!(with(mode).hash, before.hash, "{mode} is a plan of its own, which a yes has to name");
        assert_eq!(with("Normal"), before, "after {mode}");
    }
}

#[test]
fn a_mode_is_a_change_that_waits_for_its_yes() {
    let approval = |spec: &mut Value| spec["changePolicy"] = json!({ "approval": "Required" });
    let before = planned(approval);
    let off = planned(|spec| {
        approval(spec);
        spec["continuity"] = json!({ "off": [{ "registry": "births", "reason": "it bends" }] });
    });
    assert_ne!(off.hash, before.hash);
}

#[test]
fn a_block_can_be_switched_off_alone() {
    let plan = planned(|spec| {
        spec["continuity"] = json!({ "off": [{ "block": "workflow", "reason": "it floods the registers" }] });
    });
    assert_eq!(shed(&plan), ["workflow"]);
    let why = plan.blocks.iter().find_map(|b| b.shed.as_ref()).map(|shed| shed.why.as_str());
    assert_eq!(why, Some("switched off by spec.continuity.off: it floods the registers"));
}

#[test]
fn what_is_not_there_cannot_be_prioritised_and_a_surge_says_how_large() {
    let refused = plan(
        &country(|spec| {
            spec["mode"] = json!("Surge");
            spec["continuity"] = json!({ "off": [{ "block": "wallet", "reason": "?" }] });
        }),
        &inputs(),
    );
    let said: Vec<String> = refused.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said.iter().any(|s| s.starts_with("spec.continuity.off[0].block: `wallet` is no block of the Stack"))
    );
    assert!(
        said.iter().any(|s| s.starts_with("spec.mode: is Surge, and spec.continuity.surge does not say"))
    );
}

/// Agreements that grant something, with `continuity` of the Stack.
fn granted(continuity: Value) -> Vec<String> {
    let mut objects = world();
    object(&mut objects, "Stack", "ua")["spec"]["continuity"] = continuity;
    let grants = compiled(&objects).grants;
    grants.iter().map(|grant| grant.right.agreement.clone()).collect()
}

#[test]
fn a_registry_or_a_public_service_that_is_switched_off_is_cut_from_the_exchange_and_comes_back() {
    let all = granted(json!({}));
    assert!(all.contains(&"civil/births-to-app".to_owned()), "{all:?}");
    let registry = granted(json!({ "off": [{ "registry": "births", "reason": "it bends" }] }));
    assert!(!registry.contains(&"civil/births-to-app".to_owned()), "{registry:?}");
    let service = granted(json!({ "off": [{ "publicService": "app/birth", "reason": "it floods" }] }));
    assert!(!service.contains(&"civil/births-to-app".to_owned()), "{service:?}");
    let other = granted(json!({ "off": [{ "publicService": "app/other", "reason": "it floods" }] }));
    assert_eq!(other, all);
}

#[test]
fn a_critical_registry_keeps_the_exchange_and_what_the_exchange_needs() {
    let mut objects = world();
    object(&mut objects, "Stack", "ua")["spec"]["mode"] = json!("Degraded");
    let without = plan(&stack_of(&objects), &world_inputs(&objects)).unwrap_or_else(|f| panic!("{f:#?}"));
    assert!(shed(&without).contains(&"information-mediator"), "{:?}", shed(&without));
    object(&mut objects, "Registry", "births")["spec"]["priority"] = json!("critical");
    let with = plan(&stack_of(&objects), &world_inputs(&objects)).unwrap_or_else(|f| panic!("{f:#?}"));
    assert!(!shed(&with).contains(&"information-mediator"), "{:?}", shed(&with));
}
