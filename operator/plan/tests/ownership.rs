//! What Plinth owns, what it takes away, and what it never touches: inventories, orphans, secrets, teardown.

mod common;

use common::*;
use plinth_api::condition::{Reason, State};
use plinth_api::names;
use plinth_plan::decide::teardown;
use plinth_plan::model::*;
use serde_json::{Value, json};

fn identity() -> Builder {
    block("identity").secret("db").database("postgres", "db", "1")
}

fn claim(block: &str) -> ObjectKey {
    key("v1", "PersistentVolumeClaim", Some(&format!("demo-{block}")), "data-postgres-0")
}

#[test]
fn what_the_plan_drops_is_deleted_backwards_after_everything_is_written_and_then_forgotten() {
    let before = plan(vec![identity().deployment("a", "1", &[]).deployment("b", "1", &[])]);
    let after = plan(vec![identity().deployment("c", "1", &[])]);
    let mut cluster = Cluster::running(&before);
    let mut rounds = Vec::new();
    for _ in 0..4 {
        let actions = cluster.decide(&after).actions;
        rounds.push(words(&actions).join(", "));
        actions.iter().for_each(|a| cluster.execute(&after, a));
        cluster.settle();
    }
    assert_eq!(
        rounds,
        [
            "record identity 8",
            "create Deployment/demo-identity/c",
            "delete Deployment/demo-identity/b, delete Deployment/demo-identity/a",
            "record identity 6",
        ]
    );
    assert_eq!(cluster.decide(&after).actions, []);
}

#[test]
fn nothing_is_pruned_while_a_write_is_due_or_has_failed() {
    let before = plan(vec![identity().deployment("a", "1", &[]).deployment("b", "1", &[])]);
    let after = plan(vec![identity().deployment("b", "2", &[])]);
    let mut cluster = Cluster::running(&before);
    assert_eq!(words(&cluster.decide(&after).actions), ["update Deployment/demo-identity/b"]);
    let failure =
        Failure { reason: Reason::Denied, message: "no".into(), hash: "2".into(), retry_at: i64::MAX };
    cluster.observed.failures.insert(find(&after, "Deployment", "b").key.clone(), failure);
    assert_eq!(cluster.decide(&after).actions, []);
}

#[test]
fn data_that_the_plan_drops_is_kept_and_listed() {
    let mut cluster = Cluster::running(&plan(vec![identity()]));
    let after = plan(vec![block("identity")]);
    cluster.converge(&after);
    let secret = key("v1", "Secret", Some("demo-identity"), "db");
    assert!(cluster.observed.live.contains_key(&secret));
    assert!(cluster.observed.live.contains_key(&claim("identity")));
    let decisions = cluster.decide(&after);
    let orphans = &decisions.orphans["identity"];
    let listed: Vec<_> = orphans.iter().map(|orphan| &orphan.key).collect();
    assert_eq!(listed, [&claim("identity"), &secret], "a claim too, which no inventory lists");
    for orphan in orphans {
        assert_eq!((orphan.state, orphan.reason), (State::Orphaned, Reason::DataRetained));
        assert!(orphan.message.contains("kept for its data"));
    }
    assert!(cluster.observed.inventory["identity"].entries.iter().any(|e| e.key == secret && e.data));
}

#[test]
fn what_was_listed_and_never_became_ours_is_not_deleted() {
    let before = plan(vec![identity().deployment("a", "1", &[])]);
    let after = plan(vec![identity()]);
    let mut cluster = Cluster::running(&before);
    let foreign = find(&before, "Deployment", "a").key.clone();
    cluster.edit(&foreign, |body| body["metadata"] = json!({"name": "a", "namespace": "demo-identity"}));
    cluster.converge(&after);
    assert!(cluster.observed.live.contains_key(&foreign));
    assert!(!cluster.observed.inventory["identity"].entries.iter().any(|e| e.key == foreign));
}

#[test]
fn a_dropped_block_goes_except_for_its_data_and_the_namespace_around_it() {
    let both = plan(vec![identity(), block("consent").deployment("web", "1", &[])]);
    let none = plan(vec![]);
    let mut cluster = Cluster::running(&both);
    let first = words(&cluster.decide(&none).actions);
    assert_eq!(
        first,
        [
            "delete Deployment/demo-consent/web",
            "delete ServiceAccount/demo-consent/default",
            "delete StatefulSet/demo-identity/postgres",
            "delete Service/demo-identity/postgres",
            "delete ServiceAccount/demo-identity/default",
        ]
    );
    cluster.converge(&none);
    let left: Vec<String> = cluster.observed.live.keys().map(ToString::to_string).collect();
    assert_eq!(
        left,
        [
            "Namespace/demo-identity",
            "PersistentVolumeClaim/demo-identity/data-postgres-0",
            "Secret/demo-identity/db"
        ]
    );
    assert_eq!(cluster.observed.inventory["identity"].entries.len(), 2);
}

#[test]
fn a_dropped_block_stays_while_another_may_still_call_it() {
    let shop = |version| block("payments").deployment("hub", version, &[]);
    let mut cluster = Cluster::running(&plan(vec![identity(), shop("1")]));
    let decisions = cluster.decide(&plan(vec![shop("2")]));
    assert_eq!(words(&decisions.actions), ["update Deployment/demo-payments/hub"]);
    assert!(decisions.orphans["identity"][0].message.contains("kept until Deployment/demo-payments/hub"));

    let finding =
        Finding { path: "spec.blocks[payments]".into(), message: "nobody provides oidc-issuer".into() };
    let blocked = plan(vec![shop("1").with(|b| {
        b.units.clear();
        b.blocked.push(finding);
    })]);
    let decisions = cluster.decide(&blocked);
    assert_eq!(decisions.actions, [], "a block removed by mistake is not pulled from under another");
    assert!(decisions.orphans["identity"][0].message.contains("block payments is blocked"));
    cluster.converge(&plan(vec![shop("2")]));
    assert!(!cluster.observed.live.keys().any(|k| k.kind == "StatefulSet"));
}

#[test]
fn a_block_that_became_external_is_taken_away_like_a_dropped_one() {
    let mut cluster = Cluster::running(&plan(vec![identity()]));
    let external = plan(vec![Builder(BlockPlan { name: "identity".into(), ..BlockPlan::default() })]);
    cluster.converge(&external);
    let left: Vec<&str> = cluster.observed.live.keys().map(|k| k.kind.as_str()).collect();
    assert_eq!(left, ["Namespace", "PersistentVolumeClaim", "Secret"]);
}

#[test]
fn a_product_that_renders_to_nothing_takes_nothing_away() {
    let cluster = Cluster::running(&plan(vec![identity()]));
    let decisions = cluster.decide(&plan(vec![identity().with(|b| b.units.clear())]));
    assert_eq!(decisions.actions, []);
    assert!(decisions.orphans.is_empty());
}

#[test]
fn a_lost_inventory_is_written_again_and_data_stays_data() {
    let plan = plan(vec![identity()]);
    let mut cluster = Cluster::running(&plan);
    let full = cluster.observed.inventory.remove("identity").expect("recorded");
    assert_eq!(
        cluster.decide(&plan).actions,
        [Action::RecordInventory { block: "identity".into(), inventory: full.clone() }]
    );

    // Listed without the mark: marked before anything else happens.
    let mut plain = full.clone();
    plain.entries.iter_mut().for_each(|e| e.data = false);
    cluster.observed.inventory.insert("identity".into(), plain);
    assert_eq!(
        cluster.decide(&plan).actions,
        [Action::RecordInventory { block: "identity".into(), inventory: full.clone() }]
    );

    // Marked although the plan no longer says so: the mark stays.
    let mut marked = full;
    marked.entries.iter_mut().for_each(|e| e.data = true);
    cluster.observed.inventory.insert("identity".into(), marked);
    assert_eq!(cluster.decide(&plan).actions, []);
}

#[test]
fn a_vanished_secret_whose_volume_exists_is_an_alarm_and_never_made_anew() {
    let plan = plan(vec![identity()]);
    let secret = find(&plan, "Secret", "db").key.clone();
    let wipe = |cluster: &mut Cluster| cluster.delete(&find(&plan, "StatefulSet", "postgres").key);
    type Change<'a> = &'a dyn Fn(&mut Cluster);
    let worlds: [(&str, Change<'_>); 3] = [
        ("the workload runs", &|_| {}),
        ("only the volume was restored", &wipe),
        ("the workload is of an older version", &|cluster| {
            let key = find(&plan, "StatefulSet", "postgres").key.clone();
            cluster.edit(&key, |body| body["metadata"]["annotations"][names::ANNOTATION_HASH] = json!("0"));
        }),
    ];
    for (what, change) in worlds {
        let mut cluster = Cluster::running(&plan);
        cluster.delete(&secret);
        change(&mut cluster);
        let decisions = cluster.decide(&plan);
        assert!(!words(&decisions.actions).iter().any(|w| w.contains("Secret")), "{what}");
        let unit = unit(&decisions, "secret/db");
        assert_eq!((unit.state, unit.reason), (State::Blocked, Reason::SecretMissing), "{what}");
        for word in [
            "Secret/demo-identity/db",
            "PersistentVolumeClaim/demo-identity/data-postgres-0",
            "restore",
            "Rotate",
        ] {
            assert!(unit.message.contains(word), "{what}: {}", unit.message);
        }
    }
}

#[test]
fn a_vanished_secret_of_data_that_is_elsewhere_is_an_alarm_while_something_runs_with_it() {
    let app = |version: &str| {
        plan(vec![block("identity").secret("admin").deployment("app", version, &["secret/admin"])])
    };
    let secret = find(&app("1"), "Secret", "admin").key.clone();
    let mut cluster = Cluster::running(&app("1"));
    cluster.delete(&secret);
    let decisions = cluster.decide(&app("1"));
    assert_eq!(decisions.actions, []);
    let blocked = unit(&decisions, "secret/admin");
    assert_eq!((blocked.state, blocked.reason), (State::Blocked, Reason::SecretMissing));
    for word in ["Secret/demo-identity/admin", "Deployment/demo-identity/app was started with it", "Rotate"] {
        assert!(blocked.message.contains(word), "{}", blocked.message);
    }
    // Nothing that runs has it: a component that learns of it only now, and one that is gone.
    assert_eq!(words(&cluster.decide(&app("2")).actions), ["create Secret/demo-identity/admin"]);
    cluster.delete(&find(&app("1"), "Deployment", "app").key);
    assert!(
        words(&cluster.decide(&app("1")).actions).contains(&"create Secret/demo-identity/admin".to_owned())
    );
}

#[test]
fn a_vanished_secret_without_data_is_made_again() {
    let plan = plan(vec![identity()]);
    let mut cluster = Cluster::running(&plan);
    cluster.delete(&find(&plan, "Secret", "db").key);
    cluster.delete(&claim("identity"));
    assert_eq!(words(&cluster.decide(&plan).actions), ["create Secret/demo-identity/db"]);
}

#[test]
fn a_secret_that_is_new_in_a_block_with_volumes_is_no_alarm() {
    // Another component's volume says nothing about it.
    let mut cluster = Cluster::running(&plan(vec![identity()]));
    let grown = plan(vec![identity().secret("more").database("mysql", "more", "1")]);
    cluster.converge(&grown);
    assert!(cluster.observed.live.contains_key(&find(&grown, "Secret", "more").key));

    // Nor does the volume of a component that learns of it only now.
    let learns =
        plan(vec![block("identity").secret("db").secret("tls").database("postgres", "db", "2").with(|b| {
            let tls = UnitId { block: "identity".into(), name: "secret/tls".into() };
            b.units.last_mut().expect("postgres").after.push(tls);
        })]);
    let mut cluster = Cluster::running(&plan(vec![identity()]));
    cluster.converge(&learns);
    assert!(cluster.observed.live.contains_key(&find(&learns, "Secret", "tls").key));
}

#[test]
fn a_lost_key_of_a_secret_is_an_alarm_and_a_new_key_is_not() {
    let plan1 = plan(vec![identity()]);
    let secret = find(&plan1, "Secret", "db").clone();
    let mut cluster = Cluster::running(&plan1);
    cluster.edit(&secret.key, |body| body["data"] = Value::Null);
    let decisions = cluster.decide(&plan1);
    assert_eq!(unit(&decisions, "secret/db").reason, Reason::SecretMissing);
    assert!(unit(&decisions, "secret/db").message.contains("has lost its key password"));
    assert_eq!(decisions.actions, []);

    let grown = plan(vec![identity().with(|b| {
        let secret = &mut b.units[1].objects[0];
        let recipe = secret.secret["password"].clone();
        secret.secret.insert("salt".into(), recipe);
        secret.hash = "2".into();
        secret.body["metadata"]["annotations"][names::ANNOTATION_HASH] = json!("2");
    })]);
    let cluster = Cluster::running(&plan1);
    assert_eq!(words(&cluster.decide(&grown).actions), ["update Secret/demo-identity/db"]);
}

#[test]
fn teardown_keeps_data_and_its_namespaces_and_says_so() {
    let plan = plan(vec![identity(), block("consent").deployment("web", "1", &[])]);
    let mut cluster = Cluster::running(&plan);
    let mut last = teardown(&stack_id(), &cluster.observed, false);
    for _ in 0..10 {
        if last.done {
            break;
        }
        last.actions.iter().for_each(|a| cluster.execute(&plan, a));
        last = teardown(&stack_id(), &cluster.observed, false);
    }
    assert!(last.done && last.actions.is_empty() && last.waiting_for.is_empty());
    let kept: Vec<String> = last.retained.iter().map(ToString::to_string).collect();
    assert_eq!(
        kept,
        [
            "Namespace/demo-identity",
            "PersistentVolumeClaim/demo-identity/data-postgres-0",
            "Secret/demo-identity/db"
        ]
    );
    assert_eq!(cluster.observed.live.len(), 3);
}

#[test]
fn teardown_with_confirmed_deletion_leaves_nothing_and_takes_namespaces_last() {
    let plan = plan(vec![identity(), block("consent").deployment("web", "1", &[])]);
    let mut cluster = Cluster::running(&plan);
    let first = teardown(&stack_id(), &cluster.observed, true);
    assert!(!words(&first.actions).iter().any(|w| w.contains("Namespace")));
    assert!(
        first.waiting_for.contains(&"Namespace/demo-identity: waits until what is in it is gone".to_owned())
    );
    first.actions.iter().for_each(|a| cluster.execute(&plan, a));
    let second = teardown(&stack_id(), &cluster.observed, true);
    assert_eq!(words(&second.actions), ["delete Namespace/demo-identity", "delete Namespace/demo-consent"]);
    assert!(!second.done);
    second.actions.iter().for_each(|a| cluster.execute(&plan, a));
    assert!(teardown(&stack_id(), &cluster.observed, true).done);
    assert!(cluster.observed.live.is_empty());
}

#[test]
fn teardown_without_an_inventory_goes_by_labels_and_takes_a_secret_for_data() {
    let plan = plan(vec![identity()]);
    let mut cluster = Cluster::running(&plan);
    cluster.observed.inventory.clear();
    let pod =
        object("v1", "Pod", Some("demo-identity"), "postgres-0", "identity", "postgres", json!({}), "1");
    cluster.apply(&pod);
    cluster.edit(&pod.key, |body| body["metadata"]["ownerReferences"] = json!([{"uid": "x"}]));
    let list =
        object("v1", "ConfigMap", Some("demo-identity"), "plinth-inventory", "identity", "", json!({}), "1");
    cluster.apply(&list);
    cluster.edit(&list.key, |body| body["metadata"]["labels"][names::LABEL_INVENTORY] = json!("true"));
    let teardown = teardown(&stack_id(), &cluster.observed, false);
    let words = words(&teardown.actions);
    assert!(words.contains(&"delete StatefulSet/demo-identity/postgres".to_owned()), "{words:?}");
    for untouched in ["Pod/", "Secret/", "ConfigMap/", "Namespace/", "PersistentVolumeClaim/"] {
        assert!(!words.iter().any(|w| w.contains(untouched)), "{words:?}");
    }
}

#[test]
fn teardown_touches_nothing_of_another_stack_and_waits_for_finalizers_and_clusters() {
    let plan = plan(vec![identity().deployment("api", "1", &[])]);
    let mut cluster = Cluster::running(&plan);
    let other = StackId { namespace: "gov".into(), name: "other".into() };
    assert!(teardown(&other, &cluster.observed, true).actions.is_empty());

    let api = find(&plan, "Deployment", "api").key.clone();
    cluster.observed.live.get_mut(&api).expect("live").deleting = true;
    cluster.edit(&api, |body| body["metadata"]["finalizers"] = json!(["x.io/guard"]));
    let found = teardown(&stack_id(), &cluster.observed, true);
    assert!(
        found
            .waiting_for
            .contains(&"Deployment/demo-identity/api: is being deleted and waits for x.io/guard".to_owned())
    );
    assert!(!words(&found.actions).iter().any(|w| w.contains("Deployment")));

    cluster.observed.unreachable = Some("timeout".into());
    let found = teardown(&stack_id(), &cluster.observed, true);
    assert!(!found.done && found.actions.is_empty());
    assert_eq!(found.waiting_for, ["the cluster does not answer: timeout"]);
}
