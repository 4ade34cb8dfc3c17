//! The decisions over real plans: every example comes up on an empty cluster, rests, and goes again.

mod common;

use std::path::Path;

use common::*;
use plinth_api::Stack;
use plinth_api::condition::{Reason, State};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::decide::teardown;
use plinth_plan::model::*;
use serde::Deserialize;

/// The plans of the examples that need nothing beside the built-in catalogue.
fn plans() -> Vec<(String, Plan)> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    let inputs = Inputs { catalogue, ..Inputs::default() };
    let mut plans = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there are examples") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = serde_json::Value::deserialize(document).expect("YAML");
            let Ok(stack) = serde_json::from_value::<Stack>(value) else { continue };
            if let Ok(plan) = plinth_plan::plan(&stack, &inputs) {
                plans.push((path.display().to_string(), plan));
            }
        }
    }
    assert!(!plans.is_empty());
    plans
}

#[test]
fn every_example_comes_up_rests_and_goes_without_its_data() {
    for (name, plan) in plans() {
        let mut cluster = Cluster::running(&plan);
        let rest = cluster.decide(&plan);
        for unit in &rest.units {
            assert_eq!(unit.state, State::Ready, "{name}: {}", unit.message);
        }
        let names: Vec<&ObjectKey> = plan.objects().map(|o| &o.key).collect();
        for key in names {
            assert!(cluster.observed.live.contains_key(key), "{name}: {key}");
        }

        let data: Vec<ObjectKey> = plan.objects().filter(|o| o.data).map(|o| o.key.clone()).collect();
        for _ in 0..5 {
            let step = teardown(&plan.stack, &cluster.observed, false);
            step.actions.iter().for_each(|a| cluster.execute(&plan, a));
        }
        let end = teardown(&plan.stack, &cluster.observed, false);
        assert!(end.done, "{name}: {:?}", end.waiting_for);
        assert!(data.iter().all(|k| end.retained.contains(k)), "{name}");
        for key in cluster.observed.live.keys() {
            assert!(end.retained.contains(key), "{name}: {key} is left over");
        }
    }
}

#[test]
fn every_generated_secret_of_an_example_is_guarded_while_its_volume_exists() {
    for (name, plan) in plans() {
        let rest = Cluster::running(&plan);
        let mut guarded = 0;
        for secret in plan.objects().filter(|o| o.data && !o.secret.is_empty()) {
            let mut cluster = rest.clone();
            cluster.delete(&secret.key);
            let decisions = cluster.decide(&plan);
            let alarm = decisions.units.iter().find(|u| u.reason == Reason::SecretMissing);
            guarded += usize::from(alarm.is_some());
            let made_anew = words(&decisions.actions).iter().any(|w| w.ends_with(&secret.key.to_string()));
            assert_ne!(alarm.is_some(), made_anew, "{name}: {}", secret.key);
        }
        let volumes = rest.observed.live.keys().any(|k| k.kind == "PersistentVolumeClaim");
        assert!(guarded > 0 || !volumes, "{name}: no secret of it is guarded");
    }
}
