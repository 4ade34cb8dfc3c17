//! A block that is brought to another version: each step follows from the record beside its data, whatever the process that looks.

mod common;

use std::sync::Arc;

use common::Cluster;
use plinth_api::Stack;
use plinth_api::condition::State;
use plinth_api::v1alpha1::operation::UpgradeTarget;
use plinth_api::v1alpha1::product::{Companion, Rollback, UpgradeEdge};
use plinth_api::v1alpha1::stack::UpgradePhase;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, parse};
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::{Action, BlockPlan, Plan};
use plinth_plan::restoring;
use plinth_plan::upgrade::{Phase, admit, advance, ahead};
use serde_json::{Value, json};

/// A shop with a migration, a server that waits for it and a database; three versions in a row.
fn catalogue() -> Catalogue {
    let shop = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Product", "metadata": { "name": "shop" },
        "spec": {
            "block": "x-shop", "title": "Shop", "description": "Sells.", "licence": "MIT", "maturity": "stable",
            "asOf": "2026-11-30", "sources": [{ "repository": "a/b", "says": "x" }],
            "versions": [
                { "version": "3", "images": { "shop": "example.org/shop:3" } },
                { "version": "2", "images": { "shop": "example.org/shop:2" },
                  "upgrades": [{ "to": "3", "rollback": "RestorePoint", "changes": ["columns go"] }] },
                { "version": "1", "images": { "shop": "example.org/shop:1" },
                  "upgrades": [{ "to": "2", "rollback": "Possible" }] },
                { "version": "0", "images": { "shop": "example.org/shop:0" } },
            ],
            "requires": [{ "name": "db", "capability": "postgresql", "parameters": { "database": "shop", "username": "shop" } }],
            "components": [
                { "name": "migrate", "workload": "Job", "image": "shop", "startupBudgetSeconds": 60, "connects": ["requires.db"],
                  "env": [{ "name": "PASSWORD", "ref": "requires.db.password" }],
                  "resources": { "sandbox": { "cpu": "10m", "memory": "64Mi", "memoryLimit": "64Mi" } } },
                { "name": "server", "image": "shop", "after": ["migrate"], "startupBudgetSeconds": 60, "connects": ["requires.db"],
                  "env": [{ "name": "PASSWORD", "ref": "requires.db.password" }],
                  "resources": { "sandbox": { "cpu": "10m", "memory": "64Mi", "memoryLimit": "64Mi" } } },
            ],
        },
    });
    let builtin = Catalogue::builtin().expect("the catalogue parses");
    let shop = parse(&shop.to_string(), "shop").expect("the product parses");
    Catalogue::from_entries(builtin.entries().cloned().chain([shop]))
}

fn stack(version: &str, more: Value) -> Stack {
    let mut stack = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "demo", "namespace": "gov" },
        "spec": {
            "country": { "code": "EE" }, "profile": "sandbox",
            "blocks": [{ "name": "x-shop", "product": "shop", "version": version }],
        },
    });
    if let Some(fields) = more.as_object() {
        stack["spec"].as_object_mut().expect("an object").extend(fields.clone());
    }
    serde_json::from_value(stack).expect("a Stack")
}

fn backed_up() -> Value {
    json!({ "backup": {
        "schedule": "0 2 * * *",
        "target": { "endpoint": "https://s3.backup.example", "bucket": "dpi", "credentialsSecret": "account" },
        "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    } })
}

/// A country whose operator is looked over the shoulder.
struct House {
    stack: Stack,
    inputs: Inputs,
    cluster: Cluster,
    /// Creations of Jobs, in order.
    made: Vec<String>,
}

impl House {
    /// The Stack as it comes up for the first time.
    fn with(stack: Stack) -> Self {
        let inputs = Inputs { catalogue: catalogue(), ..Inputs::default() };
        let mut house = House { stack, inputs, cluster: Cluster::default(), made: Vec::new() };
        house.cluster.observed.now = 1_796_040_000;
        house.rest();
        house
    }

    fn plan(&self) -> Plan {
        plinth_plan::plan(&self.stack, &self.inputs).expect("a plan")
    }

    fn block(&self) -> BlockPlan {
        self.plan().blocks.remove(0)
    }

    fn phase(&self) -> Option<UpgradePhase> {
        self.block().upgrade.map(|upgrade| upgrade.phase)
    }

    fn said(&self) -> String {
        self.block().upgrade.and_then(|upgrade| upgrade.message).unwrap_or_default()
    }

    /// One look and at most `writes` of what follows; how many were left over.
    fn look(&mut self, mut writes: usize) -> usize {
        let plan = self.plan();
        let decisions = decide(&plan, &self.cluster.observed, &Gate::OPEN);
        for action in &decisions.actions {
            if writes == 0 {
                return 0;
            }
            writes -= 1;
            if let Action::Apply { key, exists: false, .. } = action
                && key.kind == "Job"
            {
                self.made.push(key.name.clone());
            }
            self.cluster.execute(&plan, action);
        }
        if !decisions.actions.is_empty() {
            return writes;
        }
        let next = advance(&plan, &decisions, &self.cluster.observed, &self.inputs);
        for (block, record) in next.installs {
            if writes == 0 {
                return 0;
            }
            writes -= 1;
            self.inputs.installed.insert(block, record);
        }
        self.inputs.restores.extend(next.restores);
        writes
    }

    /// Looks until nothing follows any more.
    fn rest(&mut self) {
        for _ in 0..200 {
            let before = (self.inputs.installed.clone(), self.inputs.restores.clone(), self.cluster.uids);
            let left = self.look(usize::MAX);
            self.settle();
            if left == usize::MAX
                && before == (self.inputs.installed.clone(), self.inputs.restores.clone(), self.cluster.uids)
            {
                return;
            }
        }
        panic!("does not come to rest: {:#?}", self.inputs.installed);
    }

    /// The controllers catch up; Jobs that are said to fail do.
    fn settle(&mut self) {
        self.cluster.settle();
        let jobs: Vec<_> =
            self.cluster.observed.live.keys().filter(|key| key.kind == "Job").cloned().collect();
        for job in jobs {
            self.cluster.edit(&job, |body| {
                let image = body["spec"]["template"]["spec"]["containers"][0]["image"].to_string();
                if body["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("migrate"))
                    && image.contains("broken")
                {
                    let failed = json!([{ "type": "Failed", "status": "True", "message": "it gave up" }]);
                    body["status"] = json!({ "conditions": failed });
                }
            });
        }
    }

    fn asks_for(&mut self, version: &str) {
        self.stack.spec.blocks[0].version = Some(version.to_owned());
    }

    fn ask(&mut self, to: &str, change: impl FnOnce(&mut UpgradeTarget)) -> Result<(), String> {
        let mut target = UpgradeTarget {
            block: Some("x-shop".to_owned()),
            to: Some(to.to_owned()),
            ..UpgradeTarget::default()
        };
        change(&mut target);
        let plan = self.plan();
        let record = admit(&self.stack, &plan, &self.inputs, &target, "up", "0000-1111")?;
        self.inputs.installed.extend(record.map(|record| ("x-shop".to_owned(), record)));
        Ok(())
    }

    fn runs(&self) -> &str {
        &self.inputs.installed["x-shop"].version
    }

    /// The image tag that a workload runs.
    fn image(&self, name: &str) -> String {
        let (_, live) =
            self.cluster.observed.live.iter().find(|(key, _)| key.name == name).expect("it is live");
        live.body["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn change_entry(&mut self, change: impl FnOnce(&mut plinth_api::ProductSpec)) {
        let mut entry = self.inputs.catalogue.get("shop").expect("the shop").clone();
        change(Arc::make_mut(&mut entry.spec));
        self.inputs.catalogue = self.inputs.catalogue.clone().with_entries([entry]);
    }
}

#[test]
fn a_first_installation_and_a_block_that_runs_as_asked_have_no_upgrade() {
    let house = House::with(stack("2", json!({})));
    assert_eq!((house.runs(), house.phase()), ("2", None));
    assert_eq!(house.image("server"), "example.org/shop:2");
}

#[test]
fn the_way_is_walked_one_step_at_a_time_each_over_its_gate() {
    let mut house = House::with(stack("1", backed_up()));
    house.asks_for("3");
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push((house.runs().to_owned(), house.block().version.unwrap_or_default(), house.phase()));
        house.look(usize::MAX);
        house.settle();
    }
    seen.dedup();
    use UpgradePhase::{BackingUp, Beginning, Rolling};
    let walked: Vec<_> = seen.iter().map(|(runs, renders, phase)| (&**runs, &**renders, *phase)).collect();
    assert_eq!(
        walked,
        [
            ("1", "1", Some(Beginning)),
            ("1", "2", Some(Rolling)),
            ("2", "2", Some(Beginning)),
            ("2", "2", Some(BackingUp)),
            ("2", "3", Some(Rolling)),
            ("3", "3", None),
        ]
    );
    assert_eq!(house.image("server"), "example.org/shop:3");
    let before = house.inputs.installed["x-shop"].before.as_ref().expect("what leads back");
    let point = before.point.as_ref().expect("a restore point");
    assert_eq!((&*before.version, point.databases.iter().next().map(String::as_str)), ("2", Some("db")));
}

#[test]
fn a_crash_after_any_write_ends_the_same_and_runs_no_migration_twice() {
    let finished = |crash: usize| {
        let mut house = House::with(stack("1", backed_up()));
        house.made.clear();
        house.asks_for("3");
        // Whoever is killed has written so much; the next one remembers nothing but what stands on the cluster.
        let mut left = crash;
        while left > 0 {
            let before = left;
            left = house.look(left);
            house.settle();
            if left == before && house.phase().is_none() {
                break;
            }
        }
        let struck = left == 0;
        house.rest();
        let live: Vec<_> = house.cluster.observed.live.keys().cloned().collect();
        (struck, house.inputs.installed.clone(), live, house.made.clone())
    };
    let (_, installed, live, made) = finished(usize::MAX);
    assert_eq!(installed["x-shop"].version, "3");
    assert_eq!(made.iter().filter(|name| name.starts_with("migrate")).count(), 2, "{made:?}");
    let mut crash = 1;
    loop {
        let (struck, installed_then, live_then, made_then) = finished(crash);
        assert_eq!(installed_then, installed, "crash after write {crash}");
        assert_eq!((&live_then, &made_then), (&live, &made), "crash after write {crash}");
        if !struck {
            break;
        }
        crash += 1;
    }
    assert!(crash > 10, "only {crash} writes");
}

#[test]
fn a_migration_that_fails_stops_there_and_goes_on_when_it_is_mended() {
    let mut house = House::with(stack("1", json!({})));
    house.change_entry(|spec| {
        let two = spec.versions.iter_mut().find(|version| version.version == "2").expect("version 2");
        two.images.insert("shop".to_owned(), "example.org/shop:broken".to_owned());
    });
    house.asks_for("2");
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("1", Some(UpgradePhase::Rolling)));
    assert!(house.said().contains("it gave up"), "{}", house.said());
    assert_eq!(house.image("server"), "example.org/shop:1", "the old version must go on serving");

    house.change_entry(|spec| {
        let two = spec.versions.iter_mut().find(|version| version.version == "2").expect("version 2");
        two.images.insert("shop".to_owned(), "example.org/shop:2".to_owned());
    });
    house.rest();
    assert_eq!((house.runs(), house.phase(), &*house.image("server")), ("2", None, "example.org/shop:2"));
}

#[test]
fn where_the_old_version_starts_on_the_new_data_the_spec_alone_leads_back() {
    let mut house = House::with(stack("1", json!({})));
    house.asks_for("2");
    house.rest();
    house.asks_for("1");
    house.rest();
    assert_eq!((house.runs(), house.phase(), &*house.image("server")), ("1", None, "example.org/shop:1"));
}

#[test]
fn without_a_restore_point_a_step_that_cannot_be_undone_waits_for_a_person() {
    let mut house = House::with(stack("2", json!({})));
    house.asks_for("3");
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("2", Some(UpgradePhase::Held)));
    assert!(house.said().contains("the Stack has no spec.backup"), "{}", house.said());
    let refused = house.ask("3", |_| {}).unwrap_err();
    assert!(refused.contains("--without-restore-point"), "{refused}");
    house.ask("3", |target| target.without_restore_point = true).unwrap();
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("3", None));
    let none = house.ask("2", |_| {}).unwrap_err();
    assert!(none.contains("none was taken before that step"), "{none}");
}

#[test]
fn the_way_back_puts_the_data_back_first_and_is_not_gone_forth_again_unasked() {
    let mut house = House::with(stack("2", backed_up()));
    house.asks_for("3");
    house.rest();
    assert_eq!(house.runs(), "3");
    let keyless = house.ask("2", |_| {}).unwrap_err();
    assert!(keyless.starts_with("identitySecret: is missing"), "{keyless}");
    house.ask("2", |target| target.identity_secret = Some("key".to_owned())).unwrap();

    // Nobody writes before the data is back.
    house.rest();
    assert_eq!(house.phase(), Some(UpgradePhase::Returning));
    let server = |house: &House| {
        let block = house.block();
        let objects = block.units.iter().flat_map(|unit| &unit.objects);
        let found =
            objects.into_iter().find(|object| object.key.name == "server" && object.key.kind == "Deployment");
        let body = &found.expect("the server").body;
        (
            body["spec"]["replicas"].as_i64(),
            body["spec"]["template"]["spec"]["containers"][0]["image"].clone(),
        )
    };
    assert_eq!(server(&house), (Some(0), json!("example.org/shop:2")));
    let restore = house.inputs.restores["x-shop"].clone();
    let backup =
        house.inputs.installed["x-shop"].step.as_ref().and_then(|s| s.point.clone()).expect("a point").backup;
    assert_eq!((&*restore.requirement, &*restore.from, &*restore.identity_secret), ("db", &*backup, "key"));

    // Its own Jobs are another test's matter (restoring.rs): it says that it is done.
    let done = restoring::Restore { phase: restoring::Phase::Done, ..restore };
    house.inputs.restores.insert("x-shop".to_owned(), done);
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("2", Some(UpgradePhase::Held)));
    assert_eq!(server(&house), (Some(1), json!("example.org/shop:2")));
    assert!(house.said().contains("Operation up brought it back from 3"), "{}", house.said());
    house.asks_for("2");
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("2", None));
}

#[test]
fn what_has_no_edge_is_refused_with_what_is_allowed() {
    let mut house = House::with(stack("0", json!({})));
    house.asks_for("3");
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("0", Some(UpgradePhase::Held)));
    assert!(house.said().starts_with("no way is known from 0 to 3"), "{}", house.said());
    let refused = house.ask("2", |_| {}).unwrap_err();
    assert!(
        refused.contains("the Stack asks for version 3") && refused.contains("allowed is 3"),
        "{refused}"
    );
}

#[test]
fn on_request_the_step_waits_until_somebody_asks() {
    let mut house = House::with(stack("1", json!({ "changePolicy": { "upgrades": "OnRequest" } })));
    house.asks_for("2");
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("1", Some(UpgradePhase::Held)));
    house.ask("2", |_| {}).unwrap();
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("2", None));
}

#[test]
fn a_step_begins_while_a_maintenance_window_is_open_and_goes_on_after_it() {
    let saturdays = json!({ "days": ["Sat"], "from": "01:00", "to": "03:00" });
    let zone = json!({ "timeZone": "Europe/Tallinn", "windows": [saturdays] });
    let mut house = House::with(stack("1", json!({ "changePolicy": { "maintenance": zone } })));
    house.asks_for("2");
    house.rest();
    // It is Monday at noon.
    let at = |house: &House| {
        let now = house.cluster.observed.now;
        house
            .block()
            .upgrade
            .map(|upgrade| (upgrade.at(now).phase, upgrade.at(now).message.clone().unwrap_or_default()))
    };
    let (phase, said) = at(&house).expect("it waits");
    assert_eq!((house.runs(), phase), ("1", UpgradePhase::Held));
    assert!(said.contains("opens on Saturday, 2026-12-05 01:00 Europe/Tallinn"), "{said}");
    let opens = 1_796_425_200;
    let decisions = decide(&house.plan(), &house.cluster.observed, &Gate::OPEN);
    assert_eq!(decisions.look_again, Some(opens));

    // Whoever plans the upgrade is told the same.
    let told = plinth_plan::upgrade::waits(&house.stack, opens - 60).expect("none is open");
    assert!(told.contains("opens on Saturday, 2026-12-05 01:00 Europe/Tallinn"), "{told}");
    assert_eq!(plinth_plan::upgrade::waits(&house.stack, opens), None);

    house.cluster.observed.now = opens;
    assert_eq!(at(&house).map(|(phase, _)| phase), Some(UpgradePhase::Beginning));
    house.look(usize::MAX);
    assert_eq!(at(&house).map(|(phase, _)| phase), Some(UpgradePhase::Rolling));
    house.cluster.observed.now = opens + 3 * 3600;
    house.rest();
    assert_eq!((house.runs(), house.phase()), ("2", None));
}

#[test]
fn a_maintenance_window_that_nobody_understands_is_named() {
    for (zone, from, field) in [
        (json!("Europe/Kiyv"), "01:00", "spec.changePolicy.maintenance.timeZone"),
        (json!(null), "25:00", "spec.changePolicy.maintenance.windows[0].from"),
    ] {
        let windows = json!({ "timeZone": zone, "windows": [{ "from": from, "to": "03:00" }] });
        let stack = stack("1", json!({ "changePolicy": { "maintenance": windows } }));
        let findings =
            plinth_plan::plan(&stack, &Inputs { catalogue: catalogue(), ..Inputs::default() }).unwrap_err();
        assert_eq!(findings[0].path, field, "{findings:?}");
    }
}

#[test]
fn a_neighbour_that_does_not_work_with_the_new_version_comes_first() {
    let mut house = House::with(stack("1", json!({})));
    house.change_entry(|spec| {
        let two = spec.versions.iter_mut().find(|version| version.version == "2").expect("version 2");
        two.works_with = vec![Companion { product: "keycloak".to_owned(), versions: vec!["99".to_owned()] }];
    });
    let identity = json!({ "name": "identity", "product": "keycloak" });
    house.stack.spec.blocks.push(serde_json::from_value(identity).expect("a block"));
    house.asks_for("2");
    let said = house.said();
    assert!(said.contains("works with 99 of `keycloak`, and block identity runs"), "{said}");
}

#[test]
fn a_plan_that_waits_for_a_yes_is_another_one_before_its_first_step_shows() {
    let mut house = House::with(stack("1", json!({})));
    let before = house.plan();
    house.asks_for("2");
    let after = house.plan();
    assert_eq!(before.blocks[0].units, after.blocks[0].units, "nothing is rendered otherwise yet");
    assert_ne!(before.hash, after.hash);
}

#[test]
fn what_lies_ahead_is_said_step_by_step() {
    let mut house = House::with(stack("1", backed_up()));
    let steps = ahead(&house.stack, &house.inputs, "x-shop", "3").expect("a way");
    let told: Vec<_> =
        steps.iter().map(|s| (&*s.from, &*s.to, s.rollback, s.restore_point.join(" "))).collect();
    assert_eq!(
        told,
        [("1", "2", Rollback::Possible, String::new()), ("2", "3", Rollback::RestorePoint, "db".to_owned()),]
    );
    assert!(steps.iter().all(|step| step.migrations.len() == 1 && step.rolls == ["server"]), "{steps:#?}");
    assert_eq!(steps[1].changes, ["columns go"]);
    let none = ahead(&house.stack, &house.inputs, "x-shop", "0").unwrap_err();
    assert!(none[0].message.contains("no way is known from 1 to 0"), "{none:?}");
    house.change_entry(|spec| spec.versions[2].upgrades.clear());
    assert!(ahead(&house.stack, &house.inputs, "x-shop", "3").is_err());
}

#[test]
fn a_step_is_done_only_when_all_of_the_block_is_ready() {
    let mut house = House::with(stack("1", json!({})));
    house.asks_for("2");
    // Written, and not caught up with by anybody.
    for _ in 0..30 {
        house.look(usize::MAX);
    }
    let decisions = decide(&house.plan(), &house.cluster.observed, &Gate::OPEN);
    assert!(decisions.units.iter().any(|unit| unit.state != State::Ready));
    let record = &house.inputs.installed["x-shop"];
    assert_eq!((&*record.version, record.step.as_ref().map(|step| step.phase)), ("1", Some(Phase::Rolling)));
}

#[test]
fn an_edge_says_where_it_leads() {
    let edge = UpgradeEdge { to: "2".to_owned(), rollback: Rollback::Possible, changes: Vec::new() };
    assert_eq!(serde_json::to_value(edge).expect("JSON"), json!({ "to": "2", "rollback": "Possible" }));
}
