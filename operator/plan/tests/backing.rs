//! A backing service is not switched under the data that it holds: a table of what runs, what the Stack asks for, and the
//! answer; and how an Operation brings the data over.

mod backing_stacks;

use backing_stacks::{catalogue, namespaces, provider, running, stack};
use plinth_api::condition::{Reason, State};
use plinth_api::names;
use plinth_api::v1alpha1::operation::MigrateTarget;
use plinth_plan::Inputs;
use plinth_plan::backing::{Running, differences, recorded};
use plinth_plan::decide::{Gate, decide};
use plinth_plan::model::{
    Action, Decisions, Desired, Inventory, InventoryEntry, Live, Observed, Plan, PodBrief, StackId, Unit,
};
use plinth_plan::moving::{self, Move, Moves, Phase, admit, advance, settle};
use plinth_plan::resolve::stack_id;
use plinth_plan::status::{ApprovalState, Outcome, report};
use serde_json::{Value, json};

fn plan(backing: &Value, running: Running) -> Plan {
    let inputs = Inputs { catalogue: catalogue(), running, ..Inputs::default() };
    plinth_plan::plan(&stack(backing), &inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn blocked(plan: &Plan) -> String {
    plan.blocks[0].blocked.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_switch_away_from_data_is_refused_with_what_runs_and_what_is_allowed() {
    let refused = |wanted: &str, runs: &str, unknown: &str| {
        let advice = match unknown {
            "" => "Create an Operation of type MigrateProvider for block `registration` and capability `store` to bring the \
                   data over, or set it back"
                .to_owned(),
            why => format!(
                "Set it back, or delete the Stack with its data (spec.deletion) and declare it anew: {why}"
            ),
        };
        format!(
            "spec.backing[store].provider: is {wanted}, and block `registration` has its data with {runs}, which would be \
             left behind; allowed is {runs}. {advice}"
        )
    };
    /// What is said to be asked for, and to run, and why the data cannot be brought over.
    type Refused = Option<(&'static str, &'static str, &'static str)>;
    let cases: &[(&str, &str, &str, &str, Refused)] = &[
        ("nothing runs", "store", "Operator", "", None),
        ("the same, embedded", "store", "Embedded", "store", None),
        ("the same, by the operator", "store", "Operator", "store-operator", None),
        ("the same, elsewhere", "store", "External", "external", None),
        (
            "embedded to operator",
            "store",
            "Operator",
            "store",
            Some(("Operator (`store-operator`)", "Embedded (`store`)", "")),
        ),
        (
            "embedded to external",
            "store",
            "External",
            "store",
            Some((
                "External",
                "Embedded (`store`)",
                "no way is known to bring the data of `store` to `external`",
            )),
        ),
        (
            "operator to embedded: only its objects say that they hold data",
            "store",
            "Embedded",
            "store-operator",
            Some((
                "Embedded (`store`)",
                "Operator (`store-operator`)",
                "no way is known to bring the data of `store-operator` to `store`",
            )),
        ),
        (
            "external to embedded",
            "store",
            "Embedded",
            "external",
            Some((
                "Embedded (`store`)",
                "External",
                "the data is brought from the service in spec.backing[store].external: keep it there until that is done",
            )),
        ),
        (
            "a product that the catalogue has lost",
            "store",
            "Embedded",
            "my-store",
            Some((
                "Embedded (`store`)",
                "`my-store`, which is not in the catalogue",
                "no way is known to bring the data of `my-store` to `store`",
            )),
        ),
        ("a cache without volumes", "cache", "Operator", "cache", None),
        ("a cache from elsewhere", "cache", "Embedded", "external", None),
    ];
    for (name, capability, wanted, runs, expected) in cases {
        let running = if runs.is_empty() { Running::new() } else { running(capability, runs) };
        let found = blocked(&plan(&provider(capability, wanted), running));
        let expected = expected.map(|(wanted, runs, why)| refused(wanted, runs, why)).unwrap_or_default();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn what_is_written_on_the_namespace_is_what_is_found_again() {
    let made = plan(&provider("cache", "External"), Running::new());
    let found = recorded(&made.stack, &namespaces(&made));
    let expected: Running = [(
        "registration".to_owned(),
        [("cache".to_owned(), "external".to_owned()), ("store".to_owned(), "store".to_owned())].into(),
    )]
    .into();
    assert_eq!(found, expected, "a block without backing services says nothing");
    let other = StackId { namespace: "dpi".to_owned(), name: "tes".to_owned() };
    assert!(recorded(&other, &namespaces(&made)).is_empty(), "another Stack's namespaces are not asked");
    let mut broken = namespaces(&made);
    broken[0]["metadata"]["annotations"][names::ANNOTATION_BACKING] = json!("{");
    assert!(recorded(&made.stack, &broken).is_empty());

    let inputs = Inputs { catalogue: catalogue(), running: found, ..Inputs::default() };
    let cached_elsewhere = stack(&provider("cache", "External"));
    assert!(differences(&cached_elsewhere, &inputs).is_empty());
    assert_eq!(stack_id(&cached_elsewhere), made.stack);
    let again = plinth_plan::plan(&cached_elsewhere, &inputs).expect("a plan");
    assert_eq!(again.hash, made.hash, "what runs as planned changes no plan");
    let moved = stack(&provider("store", "Operator"));
    assert_eq!(
        differences(&moved, &inputs),
        [("registration", "cache", "external"), ("registration", "store", "store")]
    );
}

#[test]
fn a_refused_switch_writes_nothing_deletes_nothing_and_leaves_the_neighbours_as_they_are() {
    let before = plan(&json!([]), Running::new());
    let refused = plan(&provider("store", "Operator"), recorded(&before.stack, &namespaces(&before)));
    assert!(!refused.blocks[0].blocked.is_empty() && refused.blocks[0].units.is_empty());
    assert_eq!(refused.blocks[1], before.blocks[1], "the caller keeps its policy, its address and its order");

    // Everything of the plan before is on the cluster.
    let mut observed = Observed { now: 1, ..Observed::default() };
    for block in &before.blocks {
        let objects = block.units.iter().flat_map(|unit| &unit.objects);
        let entries = objects.map(|o| InventoryEntry { key: o.key.clone(), data: o.data }).collect();
        observed.inventory.insert(block.name.clone(), Inventory { entries });
    }
    for desired in before.objects() {
        let live =
            Live { uid: desired.key.to_string(), body: desired.body.clone().into(), ..Live::default() };
        observed.live.insert(desired.key.clone(), live);
    }
    let decisions = decide(&refused, &observed, &Gate::OPEN);
    assert_eq!(decisions.actions, []);
    assert!(decisions.orphans.is_empty());
}

/// The move of the table's block, from `store` to `store-operator`.
fn moves(phase: Phase) -> Moves {
    let record = Move {
        operation: "move-1".to_owned(),
        uid: "uid-1".to_owned(),
        capability: "store".to_owned(),
        from: "store".to_owned(),
        to: "store-operator".to_owned(),
        phase,
        earlier: Vec::new(),
        message: None,
    };
    [("registration".to_owned(), record)].into()
}

fn inputs(runs: &str, moves: Moves) -> Inputs {
    Inputs { catalogue: catalogue(), running: running("store", runs), moves, ..Inputs::default() }
}

fn planned(wanted: &Value, runs: &str, moves: Moves) -> Plan {
    plinth_plan::plan(&stack(wanted), &inputs(runs, moves)).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn unit<'p>(plan: &'p Plan, name: &str) -> Option<&'p Unit> {
    plan.blocks[0].units.iter().find(|unit| unit.id.name == name)
}

fn workload<'p>(plan: &'p Plan, name: &str) -> &'p Desired {
    let unit = unit(plan, name).unwrap_or_else(|| panic!("no {name}"));
    unit.objects
        .iter()
        .find(|o| matches!(&*o.key.kind, "Deployment" | "StatefulSet" | "Job"))
        .expect("a workload")
}

#[test]
fn while_data_is_copied_both_services_are_there_and_nobody_who_could_write_has_pods() {
    let before = planned(&json!([]), "store", Moves::new());
    for phase in [Phase::Copying, Phase::Failed] {
        let plan = planned(&provider("store", "Operator"), "store", moves(phase));
        assert_eq!(blocked(&plan), "");
        assert_eq!(workload(&plan, "store"), workload(&before, "store"), "what has the data is not touched");
        assert!(unit(&plan, "store-operator").is_some() && unit(&plan, "object/cluster").is_some());
        assert_eq!(workload(&plan, "app").body["spec"]["replicas"], 0);
        assert_eq!(workload(&plan, "schema").body["spec"]["suspend"], true);
        assert_eq!(workload(&plan, "schema").key, workload(&before, "schema").key, "no Job is made anew");
        assert_eq!(workload(&plan, "page"), workload(&before, "page"), "who writes nothing runs on");
        assert_eq!(plan.blocks[1], before.blocks[1], "the neighbour stays as it is");
        assert_eq!(recorded(&plan.stack, &namespaces(&plan)), recorded(&plan.stack, &namespaces(&before)));

        let mover = unit(&plan, "move-db").expect("a Job for the claim");
        let after: Vec<&str> = mover.after.iter().map(|id| id.name.as_str()).collect();
        for name in ["store", "store-operator", "app", "schema"] {
            assert!(after.contains(&name), "{name} is not in {after:?}");
        }
        let job = workload(&plan, "move-db");
        let env = &job.body["spec"]["template"]["spec"]["containers"][0]["env"];
        assert_eq!(env[0]["value"], "store.test-registration.svc.cluster.local:1000");
        assert_eq!(env[1]["value"], "store-operator.test-registration.svc.cluster.local");
        let policy = |name: &str| {
            let objects = &unit(&plan, name).expect("a unit").objects;
            objects.iter().find(|o| o.key.kind == "NetworkPolicy").expect("a policy").body["spec"].to_string()
        };
        for service in ["store", "store-operator"] {
            let peer = |name: &str| format!("\"plinth.dev/component\":\"{name}\"");
            assert!(policy("move-db").contains(&peer(service)) && policy(service).contains(&peer("move-db")));
        }
    }
    // Another Operation makes other Jobs, and an override starts nobody.
    let mut other = moves(Phase::Copying);
    other.values_mut().for_each(|record| record.uid = "uid-2".to_owned());
    let wanted = provider("store", "Operator");
    let (one, two) = (planned(&wanted, "store", moves(Phase::Copying)), planned(&wanted, "store", other));
    assert_ne!(workload(&one, "move-db").key, workload(&two, "move-db").key);
    let mut overridden = stack(&wanted);
    overridden.spec.overrides =
        serde_json::from_value(json!([{ "name": "more", "match": { "component": "app" },
        "patch": { "spec": { "replicas": 5 } } }]))
        .expect("overrides parse");
    let plan = plinth_plan::plan(&overridden, &inputs("store", moves(Phase::Copying))).expect("a plan");
    assert_eq!(workload(&plan, "app").body["spec"]["replicas"], 0);
}

#[test]
fn a_moved_block_is_on_the_new_service_alone_and_one_set_back_is_as_before() {
    let before = planned(&json!([]), "store", Moves::new());
    let fresh = plan(&provider("store", "Operator"), Running::new());
    let moved = planned(&provider("store", "Operator"), "store", moves(Phase::Moved));
    assert_eq!(moved.hash, fresh.hash, "as if it had never been elsewhere");
    assert_eq!(recorded(&moved.stack, &namespaces(&moved))["registration"]["store"], "store-operator");
    for phase in [Phase::Copying, Phase::Failed, Phase::Moved, Phase::Aborted] {
        assert_eq!(planned(&json!([]), "store", moves(phase)).hash, before.hash, "{phase:?}");
    }
    for phase in [Phase::Done, Phase::Aborted] {
        let plan = planned(&provider("store", "Operator"), "store", moves(phase));
        assert!(blocked(&plan).contains("MigrateProvider"), "what is over allows nothing: {phase:?}");
    }
}

/// As an obedient cluster has it.
fn live(desired: &Desired) -> Live {
    let mut body = desired.body.clone();
    body["metadata"]["generation"] = json!(1);
    let replicas = body["spec"]["replicas"].clone();
    body["status"] = match desired.key.kind.as_str() {
        "Job" if body["spec"]["suspend"] == true => {
            json!({ "conditions": [{ "type": "Suspended", "status": "True" }] })
        }
        "Job" => json!({ "conditions": [{ "type": "Complete", "status": "True" }] }),
        _ => json!({ "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas }),
    };
    Live { uid: desired.key.to_string(), body: body.into(), ..Live::default() }
}

fn observe(plan: &Plan, observed: &mut Observed) {
    for block in &plan.blocks {
        let planned = block.units.iter().flat_map(|unit| &unit.objects);
        let inventory = observed.inventory.entry(block.name.clone()).or_default();
        for object in planned {
            if !inventory.entries.iter().any(|entry| entry.key == object.key) {
                inventory.entries.push(InventoryEntry { key: object.key.clone(), data: object.data });
            }
            observed.live.insert(object.key.clone(), live(object));
        }
    }
}

fn applied(decisions: &Decisions) -> Vec<String> {
    let name = |action: &Action| match action {
        Action::Apply { key, .. } => Some(format!("{}/{}", key.kind, key.name)),
        _ => None,
    };
    decisions.actions.iter().filter_map(name).collect()
}

fn told(plan: &Plan, decisions: &Decisions, observed: &Observed) -> (State, Reason, String) {
    let approved = ApprovalState::NotRequired;
    let outcome = Outcome::Planned { plan, decisions, observed, approved };
    let mut report = report(
        &stack(&json!([])),
        outcome,
        &Default::default(),
        serde_json::from_value(json!("2026-11-23T00:00:00Z")).expect("a time"),
    );
    let block = report.blocks.remove("registration").expect("a block");
    let reason = serde_json::from_value(json!(block.conditions[0].reason)).expect("a reason");
    (block.state, reason, block.message.unwrap_or_default())
}

#[test]
fn the_data_is_brought_only_when_the_last_pod_that_could_write_is_gone() {
    let wanted = provider("store", "Operator");
    let before = planned(&json!([]), "store", Moves::new());
    let copying = planned(&wanted, "store", moves(Phase::Copying));
    let job = workload(&copying, "move-db").key.clone();
    let mut observed = Observed { now: 1, ..Observed::default() };
    observe(&before, &mut observed);
    // The Job that makes the schema had not ended, and the page had not begun.
    let schema = workload(&before, "schema").key.clone();
    let unfinished =
        Live { body: workload(&before, "schema").body.clone().into(), ..observed.live[&schema].clone() };
    observed.live.insert(schema.clone(), unfinished);
    observed.live.remove(&workload(&before, "page").key);
    let entries = copying.blocks[0].units.iter().flat_map(|unit| &unit.objects);
    let entries = entries.map(|o| InventoryEntry { key: o.key.clone(), data: o.data }).collect();
    observed.inventory.insert("registration".to_owned(), Inventory { entries });

    let decisions = decide(&copying, &observed, &Gate::OPEN);
    let writes = applied(&decisions);
    assert!(
        writes.contains(&"Deployment/app".to_owned()) && writes.iter().any(|w| w.starts_with("Job/schema"))
    );
    assert!(!writes.iter().any(|w| w.starts_with("Job/move") || w == "Deployment/page"), "{writes:?}");

    // Everything but the Job is on the cluster; a pod still says goodbye.
    observe(&copying, &mut observed);
    observed.live.remove(&job);
    observed.live.remove(&workload(&before, "page").key);
    let app = unit(&copying, "app").expect("app").id.clone();
    let pod = PodBrief { name: "app-1".to_owned(), ..PodBrief::default() };
    observed.pods.insert(app.clone(), vec![pod.clone()]);
    let decisions = decide(&copying, &observed, &Gate::OPEN);
    assert_eq!(applied(&decisions), Vec::<String>::new());
    let (state, reason, message) = told(&copying, &decisions, &observed);
    assert_eq!((state, reason), (State::Progressing, Reason::Moving));
    assert_eq!(
        message,
        "its store (db) is being brought from `store` to `store-operator` by Operation move-1: \
         Deployment/test-registration/app: is being stopped: 1 pod is not gone yet"
    );

    // What ended is no longer in the way. The page still waits, for what makes its schema is stopped.
    observed.pods.insert(app, vec![PodBrief { finished: true, ..pod }]);
    let decisions = decide(&copying, &observed, &Gate::OPEN);
    assert_eq!(applied(&decisions), [format!("Job/{}", job.name)]);

    // Its controller has not seen that it must stop.
    let deployment = workload(&copying, "app");
    let mut behind = live(deployment);
    let mut body = (*behind.body).clone();
    body["status"]["observedGeneration"] = json!(0);
    behind.body = body.into();
    observed.live.insert(deployment.key.clone(), behind);
    assert_eq!(applied(&decide(&copying, &observed, &Gate::OPEN)), Vec::<String>::new());
}

#[test]
fn a_record_goes_on_with_its_jobs_and_is_over_with_what_the_stack_asks_for() {
    let wanted = provider("store", "Operator");
    let copying = planned(&wanted, "store", moves(Phase::Copying));
    let mut observed = Observed { now: 1, ..Observed::default() };
    observe(&copying, &mut observed);
    let job = workload(&copying, "move-db");
    let cases = [
        ("running", json!([]), None),
        ("complete", json!([{ "type": "Complete", "status": "True" }]), Some(Phase::Moved)),
        (
            "given up",
            json!([{ "type": "Failed", "status": "True", "message": "BackoffLimitExceeded" }]),
            Some(Phase::Failed),
        ),
    ];
    for (name, conditions, expected) in cases {
        let mut given = live(job);
        let mut body = (*given.body).clone();
        body["status"] = json!({ "conditions": conditions });
        given.body = body.into();
        observed.live.insert(job.key.clone(), given);
        let found = advance(&copying, &observed);
        assert_eq!(found.get("registration").map(|record| record.phase), expected, "{name}");
    }
    observed.live.remove(&job.key);
    assert!(advance(&copying, &observed).is_empty(), "a Job that is not there has brought nothing");
    let mut failed = moves(Phase::Failed);
    failed.values_mut().for_each(|record| record.message = Some("Job/x: gave up".to_owned()));
    let failed = planned(&wanted, "store", failed);
    assert_eq!(failed.hash, copying.hash, "all stays as it is until somebody has looked");
    let decisions = decide(&failed, &observed, &Gate::OPEN);
    let (state, reason, message) = told(&failed, &decisions, &observed);
    assert_eq!((state, reason), (State::Unhealthy, Reason::MoveFailed));
    assert!(message.contains("which failed: Job/x: gave up; nothing was switched"), "{message}");

    let back = json!([]);
    let cases = [
        (Phase::Copying, &wanted, "store", None),
        (Phase::Failed, &wanted, "store", None),
        (Phase::Moved, &wanted, "store", None),
        (Phase::Moved, &wanted, "store-operator", Some(Phase::Done)),
        (Phase::Copying, &back, "store", Some(Phase::Aborted)),
        (Phase::Failed, &back, "store", Some(Phase::Aborted)),
        (Phase::Moved, &back, "store", Some(Phase::Aborted)),
        (Phase::Done, &wanted, "store-operator", None),
        (Phase::Aborted, &back, "store", None),
    ];
    for (phase, wanted, runs, expected) in cases {
        let inputs = inputs(runs, moves(phase));
        let found = settle(&stack(wanted), &inputs);
        assert_eq!(found.get("registration").map(|record| record.phase), expected, "{phase:?} {runs}");
        let mut paused = stack(wanted);
        paused.spec.paused = true;
        assert!(settle(&paused, &inputs).is_empty(), "a paused Stack is only looked at");
    }
    let mut home = namespaces(&copying).remove(0);
    let record = moves(Phase::Copying).remove("registration").expect("a record");
    home["metadata"]["annotations"][names::ANNOTATION_MOVE] =
        json!(serde_json::to_string(&record).expect("JSON"));
    assert_eq!(moving::recorded(&copying.stack, [&home]), moves(Phase::Copying));
}

#[test]
fn an_operation_is_admitted_when_the_stack_asks_for_another_service_and_a_way_is_known() {
    let ask = |wanted: &Value, inputs: &Inputs, block: &str, capability: &str| {
        let target = MigrateTarget { block: block.to_owned(), capability: capability.to_owned() };
        admit(&stack(wanted), inputs, &target, "move-1", "uid-1")
    };
    let (operator, external) = (provider("store", "Operator"), provider("store", "External"));
    let mut kept = external.clone();
    kept[0]["provider"] = json!("Embedded");
    let given = ask(&operator, &inputs("store", Moves::new()), "registration", "store").expect("admitted");
    assert_eq!([("registration".to_owned(), given)], *moves(Phase::Copying).into_iter().collect::<Vec<_>>());
    for (phase, earlier) in
        [(Phase::Failed, vec!["uid-1"]), (Phase::Aborted, vec!["uid-1"]), (Phase::Done, vec![])]
    {
        let again =
            ask(&operator, &inputs("store", moves(phase)), "registration", "store").expect("once more");
        assert_eq!(again.earlier, earlier, "what came to an end was used: {phase:?}");
    }
    assert!(ask(&kept, &inputs("external", Moves::new()), "registration", "store").is_ok());

    let none = Moves::new;
    let cases = [
        (
            json!([]),
            inputs("store", none()),
            "registration",
            "store",
            "set spec.backing[store].provider first",
        ),
        (operator.clone(), inputs("store", none()), "workflow", "store", "no data to bring"),
        (operator.clone(), inputs("store", none()), "registration", "cache", "no data to bring"),
        (operator.clone(), inputs("store", moves(Phase::Copying)), "registration", "store", "wait for it"),
        (operator.clone(), inputs("store", moves(Phase::Moved)), "registration", "store", "wait for it"),
        (external.clone(), inputs("store", none()), "registration", "store", "no way is known"),
        (json!([]), inputs("external", none()), "registration", "store", "keep it there until that is done"),
        (operator.clone(), inputs("my-store", none()), "registration", "store", "no way is known"),
    ];
    for (wanted, inputs, block, capability, part) in cases {
        let why = ask(&wanted, &inputs, block, capability).expect_err(part);
        assert!(why.contains(part), "{why}");
    }
    // A claim that cannot be brought keeps the block where it is.
    let mut narrow = inputs("store", none());
    let mut entry = narrow.catalogue.get("store-operator").expect("an entry").clone();
    std::sync::Arc::make_mut(&mut entry.spec).moves[0].when = Some("claim.name == 'other'".to_owned());
    narrow.catalogue = narrow.catalogue.with_entries([entry]);
    let why = ask(&operator, &narrow, "registration", "store").expect_err("the claim");
    assert!(why.contains("for requirement `db`") && why.contains("It is copied."), "{why}");
}

#[test]
fn what_the_old_service_kept_stays_and_is_told_and_the_rest_goes() {
    let before = planned(&json!([]), "store", Moves::new());
    let moved = planned(&provider("store", "Operator"), "store-operator", moves(Phase::Done));
    let mut observed = Observed { now: 1, ..Observed::default() };
    observe(&before, &mut observed);
    observe(&moved, &mut observed);
    let set = workload(&before, "store");
    let mut claim = set.key.clone();
    (claim.api_version, claim.kind, claim.name) =
        ("v1".to_owned(), "PersistentVolumeClaim".to_owned(), "data-store-0".to_owned());
    let body = json!({ "metadata": { "labels": set.body["metadata"]["labels"] } });
    observed
        .live
        .insert(claim.clone(), Live { uid: "claim".to_owned(), body: body.into(), ..Live::default() });
    let decisions = decide(&moved, &observed, &Gate::OPEN);
    let deleted: Vec<_> = decisions
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Delete { key, .. } => Some(key.kind.as_str()),
            _ => None,
        })
        .collect();
    assert!(deleted.contains(&"StatefulSet"), "{deleted:?}");
    assert!(!deleted.contains(&"PersistentVolumeClaim") && !deleted.contains(&"Secret"));
    let kept = |orphan: &&plinth_plan::model::ObjectDecision| orphan.reason == Reason::DataRetained;
    let kept: Vec<_> = decisions.orphans["registration"].iter().filter(kept).map(|o| &o.key).collect();
    assert_eq!(kept, [&claim]);
}
