//! Promises that hold in any world: random plans, faults, crashes and hands, from fixed seeds.

mod common;

use std::collections::BTreeSet;

use common::*;
use plinth_api::condition::{Reason, State};
use plinth_plan::decide::{Gate, decide, teardown};
use plinth_plan::model::*;
use serde_json::json;

/// A linear congruential generator (Knuth's constants): the same world for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).expect("fits")
    }

    fn one_of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.roll(items.len())) }
    }
}

fn some_plan(dice: &mut Dice) -> Plan {
    let version = |dice: &mut Dice| ["1", "2", "3"][dice.roll(3)];
    let mut blocks = Vec::new();
    if dice.roll(5) > 0 {
        let mut identity = block("identity");
        if dice.roll(5) > 0 {
            let (db, job) = (version(dice), version(dice));
            identity =
                identity.secret("db").database("postgres", "db", db).job("migrate", job, &["postgres"]);
            if dice.roll(3) > 0 {
                identity = identity.deployment("api", version(dice), &["migrate"]);
            }
        }
        blocks.push(identity);
    }
    if dice.roll(4) > 0 {
        blocks.push(block("payments").deployment("hub", version(dice), &[]).deployment(
            "web",
            version(dice),
            &["hub"],
        ));
    }
    plan(blocks)
}

fn holds_data(key: &ObjectKey) -> bool {
    matches!(key.kind.as_str(), "PersistentVolumeClaim" | "Secret")
}

/// What must be true of any decision, whatever the world looks like.
fn check(plan: &Plan, observed: &Observed, decisions: &Decisions, seed: u64) {
    assert_eq!(decisions.units.len(), plan.units().count(), "seed {seed}: every unit has one decision");
    let listed =
        |key: &ObjectKey| observed.inventory.values().any(|i| i.entries.iter().any(|e| e.key == *key));
    let mut seen = BTreeSet::new();
    for action in &decisions.actions {
        match action {
            Action::Apply { unit, key, exists, .. } => {
                assert!(seen.insert(key), "seed {seed}: {key} is written once");
                assert_eq!(*exists, observed.live.contains_key(key), "seed {seed}: {key}");
                assert!(
                    listed(key) || key.kind == "Namespace",
                    "seed {seed}: {key} is applied before it is recorded"
                );
                let unit = plan.units().find(|u| u.id == *unit).expect("planned");
                let starts = !exists && ["Deployment", "StatefulSet", "Job"].contains(&key.kind.as_str());
                for after in plan.units().filter(|u| starts && unit.after.contains(&u.id)) {
                    let ready = decisions.units.iter().find(|d| d.id == after.id).expect("decided");
                    assert_eq!(ready.state, State::Ready, "seed {seed}: {key} starts before {}", after.id);
                }
            }
            Action::Delete { key, uid } => {
                assert!(seen.insert(key), "seed {seed}: {key} is written once");
                assert!(!holds_data(key), "seed {seed}: {key} holds data");
                assert_eq!(observed.live[key].uid, *uid, "seed {seed}");
                assert!(!plan.objects().any(|o| o.key == *key), "seed {seed}: {key} is planned");
                let inside = observed.live.keys().filter(|k| k.namespace.as_ref() == Some(&key.name));
                assert!(key.kind != "Namespace" || !inside.into_iter().any(holds_data), "seed {seed}: {key}");
            }
            Action::RecordInventory { block, inventory } => {
                // Nothing that lives is ever forgotten, least of all data.
                let before = observed.inventory.get(block).map_or(&[][..], |i| &i.entries[..]);
                for entry in before.iter().filter(|e| e.data || observed.live.contains_key(&e.key)) {
                    assert!(
                        inventory.entries.iter().any(|e| e.key == entry.key && e.data >= entry.data),
                        "seed {seed}"
                    );
                }
            }
        }
    }
}

fn meddle(dice: &mut Dice, plan: &Plan, cluster: &mut Cluster) {
    let live: Vec<ObjectKey> = cluster.observed.live.keys().cloned().collect();
    let removable: Vec<&ObjectKey> =
        live.iter().filter(|k| !holds_data(k) && k.kind != "Namespace").collect();
    cluster.observed.now += 7;
    match dice.roll(8) {
        0 => {
            if let Some(key) = dice.one_of(&removable) {
                cluster.delete(key);
            }
        }
        1 => {
            let workloads: Vec<&ObjectKey> =
                live.iter().filter(|k| ["Deployment", "StatefulSet"].contains(&k.kind.as_str())).collect();
            if let Some(key) = dice.one_of(&workloads) {
                cluster.edit(key, |body| {
                    body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("hand")
                });
            }
        }
        2 => {
            let objects: Vec<&Desired> = plan.objects().collect();
            if let Some(o) = dice.one_of(&objects) {
                let retry_at = cluster.observed.now + 10;
                let failure =
                    Failure { reason: Reason::Denied, message: "no".into(), hash: o.hash.clone(), retry_at };
                cluster.observed.failures.insert(o.key.clone(), failure);
            }
        }
        3 => {
            if let Some(key) = dice.one_of(&removable) {
                cluster.edit(key, |body| body["status"] = json!({}));
            }
        }
        4 => cluster.observed.failures.clear(),
        _ => cluster.settle(),
    }
}

#[test]
fn in_any_world_order_holds_data_stays_and_in_the_end_it_rests() {
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let mut cluster = Cluster::default();
        let mut plan = some_plan(&mut dice);
        for _ in 0..60 {
            if dice.roll(12) == 0 {
                plan = some_plan(&mut dice);
            }
            meddle(&mut dice, &plan, &mut cluster);
            let gate = Gate { paused: dice.roll(10) == 0, approved: dice.roll(10) > 0 };
            let data: Vec<ObjectKey> =
                cluster.observed.live.keys().filter(|k| holds_data(k)).cloned().collect();
            let decisions = decide(&plan, &cluster.observed, &gate);
            check(&plan, &cluster.observed, &decisions, seed);
            assert!(decisions.actions.is_empty() || (!gate.paused && gate.approved), "seed {seed}");
            // A crash may fall after any write.
            let until = dice.roll(decisions.actions.len() + 1);
            let until = if dice.roll(3) == 0 { until } else { decisions.actions.len() };
            for action in &decisions.actions[..until] {
                if let Action::Apply { key, .. } = action {
                    cluster.observed.failures.remove(key);
                }
                cluster.execute(&plan, action);
            }
            assert!(data.iter().all(|k| cluster.observed.live.contains_key(k)), "seed {seed}: data is gone");
        }
        cluster.observed.failures.clear();
        cluster.settle();
        cluster.converge(&plan);
        let rest = cluster.decide(&plan);
        for unit in &rest.units {
            assert_eq!(unit.state, State::Ready, "seed {seed}: {}", unit.message);
        }
        let orphans: Vec<&ObjectDecision> = rest.orphans.values().flatten().collect();
        assert!(orphans.iter().all(|o| o.reason == Reason::DataRetained), "seed {seed}: {orphans:?}");
        let planned: BTreeSet<&ObjectKey> = plan.objects().map(|o| &o.key).collect();
        for key in cluster.observed.live.keys().filter(|k| !planned.contains(k) && !holds_data(k)) {
            assert_eq!(key.kind, "Namespace", "seed {seed}: {key} is left over");
        }
    }
}

#[test]
fn in_any_world_a_teardown_ends_and_takes_data_only_when_told_to() {
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let mut cluster = Cluster::default();
        for _ in 0..dice.roll(4) + 1 {
            let plan = some_plan(&mut dice);
            for _ in 0..dice.roll(9) {
                let actions = cluster.decide(&plan).actions;
                actions.iter().for_each(|a| cluster.execute(&plan, a));
                cluster.settle();
            }
        }
        let data: Vec<ObjectKey> = cluster.observed.live.keys().filter(|k| holds_data(k)).cloned().collect();
        let delete_data = dice.roll(2) == 0;
        let mut rounds = 0;
        loop {
            let step = teardown(&stack_id(), &cluster.observed, delete_data);
            assert!(
                delete_data
                    || step
                        .actions
                        .iter()
                        .all(|a| !matches!(a, Action::Delete { key, .. } if holds_data(key)))
            );
            if step.done {
                break;
            }
            // A crash after any write changes nothing.
            let until = dice.roll(step.actions.len()) + 1;
            step.actions[..until].iter().for_each(|a| cluster.execute(&Plan::default(), a));
            rounds += 1;
            assert!(rounds < 200, "seed {seed}");
        }
        let kept = data.iter().all(|k| cluster.observed.live.contains_key(k));
        assert!(delete_data || kept, "seed {seed}: data is gone");
        assert!(
            !delete_data || cluster.observed.live.is_empty(),
            "seed {seed}: {:?}",
            cluster.observed.live.keys()
        );
    }
}

#[test]
fn a_rebuilt_hub_adopts_what_runs_without_a_write() {
    for seed in 0..20 {
        let plan = some_plan(&mut Dice(seed));
        let cluster = Cluster::running(&plan);
        // Nothing of the hub's memory is left but what stands on the cluster.
        let mut observed = cluster.observed.clone();
        observed.failures.clear();
        observed.pods.clear();
        assert_eq!(decide(&plan, &observed, &Gate::OPEN).actions, [], "seed {seed}");
    }
}
