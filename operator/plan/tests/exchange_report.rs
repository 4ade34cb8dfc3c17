//! What agencies read about their objects: where each stands, what is at fault, whose turn it is, and who enforces what.

mod common;
mod exchange_moment;

use std::collections::BTreeMap;

use common::*;
use exchange_moment::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use plinth_api::v1alpha1::member::MembershipState;
use plinth_plan::decide::Gate;
use plinth_plan::exchange::Subject;
use plinth_plan::exchange::compile::Server;
use plinth_plan::exchange::report::{
    Ground, Seen, Status, not_admitted, not_understood, report, stack_not_understood,
};
use plinth_plan::model::*;
use serde_json::{Value, json};

fn find_status<'a>(told: &'a BTreeMap<Subject, Status>, name: &str) -> &'a Status {
    let (kind, name) = name.split_once(' ').expect("kind and name");
    let found = told.iter().find(|(subject, _)| subject.kind == kind && subject.name == name);
    found.map(|(_, status)| status).unwrap_or_else(|| panic!("nothing is said of {name}"))
}

fn condition<'a>(status: &'a Status, kind: &str) -> Option<&'a Condition> {
    status.conditions().iter().find(|c| c.type_ == kind)
}

/// Ready, Reconciling and Stalled in short, and what Ready says.
fn says(told: &BTreeMap<Subject, Status>, name: &str) -> (String, String) {
    let status = find_status(told, name);
    let word = |kind: &str| condition(status, kind).unwrap_or_else(|| panic!("{name}: no {kind}"));
    let ready = word("Ready");
    let short = format!(
        "{} {} {} {}",
        ready.status,
        ready.reason,
        word("Reconciling").status,
        word("Stalled").status
    );
    (short, ready.message.clone())
}

fn state(told: &BTreeMap<Subject, Status>, name: &str) -> MembershipState {
    match find_status(told, name) {
        Status::Member(status) => status.state,
        other => panic!("{name} is no Member: {other:?}"),
    }
}

#[test]
fn each_object_says_where_it_stands_and_what_to_do() {
    const AGREEMENT: &str = "ExchangeAgreement births-to-app";
    let agreement = |change: fn(&mut Value)| edited("ExchangeAgreement", "births-to-app", change);
    for (objects, name, expected, words) in [
        (world(), "Member civil", "True AllReady False False", "UA/GOV/2 takes part"),
        (world(), AGREEMENT, "True AllReady False False", "UA/GOV/1/app may call UA/GOV/2/register/births"),
        (world(), "Registry births", "True AllReady False False", "block digital-registries runs it"),
        (world(), "Registry deaths", "True AllReady False False", "external: wired as declared, not probed"),
        (world(), "PublicService birth", "True AllReady False False", "1 of 1 services are granted"),
        (
            edited("Member", "civil", |o| o["spec"]["code"] = json!("9")),
            "Member civil",
            "False Invalid False True",
            "spec.code: the Stack does not bind `GOV/9`",
        ),
        (
            edited("Member", "civil", |o| o["spec"]["disabled"] = json!(true)),
            "Member civil",
            "True AllReady False False",
            "is disabled, as declared",
        ),
        (
            edited("Member", "civil", |o| o["metadata"]["namespace"] = json!("stranger")),
            "Member civil",
            "False NotAdmitted False True",
            "spec.stackRef: Stack gov/demo does not exist or does not admit namespace `stranger`",
        ),
        (
            agreement(|o| o["spec"]["provider"]["service"] = json!("none")),
            AGREEMENT,
            "False Invalid False True",
            "spec.provider.service: `none` is no service",
        ),
        (
            agreement(|o| o["spec"]["consumers"] = json!([{ "localGroup": "nobody" }])),
            AGREEMENT,
            "False Invalid False True",
            "spec.consumers: nobody is in the groups",
        ),
        (
            agreement(|o| {
                o["spec"]["consumers"] = json!([{ "subsystem": "GOV/1/app" }, { "subsystem": "GOV/1/gone" }]);
            }),
            AGREEMENT,
            "False Invalid False True",
            "spec.consumers[1].subsystem: no subsystem `GOV/1/gone` takes part",
        ),
        (
            agreement(|o| o["spec"]["validity"] = json!({ "from": "2099-01-01T00:00:00Z" })),
            AGREEMENT,
            "False Scheduled False False",
            "grants nothing before 2099-01-01T00:00:00Z",
        ),
        (
            agreement(|o| o["spec"]["validity"] = json!({ "until": "2020-01-01T00:00:00Z" })),
            AGREEMENT,
            "False Expired False False",
            "its time is over",
        ),
        (
            agreement(|o| o["spec"]["validity"] = json!({ "until": "2020-01-01T00:00:00Z" })),
            "PublicService birth",
            "False NotGranted False False",
            "GOV/2/register/births: no agreement yet; member UA/GOV/2 decides",
        ),
        (
            edited("PublicService", "birth", |o| o["spec"]["uses"]["messaging"] = json!(["Sms"])),
            "PublicService birth",
            "False Invalid False True",
            "spec.uses.messaging: the Stack has no block `messaging`",
        ),
        (
            edited("Registry", "births", |o| o["spec"]["schema"] = names(json!({ "maxLength": 40 }))),
            "Registry births",
            "False AwaitingApproval False True",
            "approve step digital-registries/registry-births-",
        ),
        (
            edited("Registry", "births", |o| o["spec"]["owner"] = json!("nobody")),
            "Registry births",
            "False Invalid False True",
            "spec.owner: there is no Member `nobody`",
        ),
    ] {
        let told = Moment::of(&objects).told();
        let (short, message) = says(&told, name);
        assert_eq!(short, expected, "{name}: {message}");
        assert!(message.contains(words), "{name}: {message}");
        assert!(condition(find_status(&told, name), "Simulated").is_none());
    }
}

#[test]
fn facts_are_listed_beside_the_conditions() {
    let told = Moment::of(&world()).told();
    let value = |name: &str| serde_json::to_value(find_status(&told, name)).expect("serialises");
    let member = value("Member civil");
    assert_eq!((&member["id"], &member["services"]), (&json!("UA/GOV/2"), &json!(2)));
    assert_eq!(member["observedGeneration"], json!(1));
    let agreement = value("ExchangeAgreement births-to-app");
    assert_eq!(agreement["phase"], json!("Active"));
    assert_eq!(agreement["service"], json!("UA/GOV/2/register/births"));
    assert_eq!(agreement["consumers"], json!(["UA/GOV/1/app"]));
    assert_eq!(value("Registry births")["runs"], json!("digital-registries (product)"));
    assert_eq!(value("Registry births")["services"], json!(["UA/GOV/2/register/births"]));
    assert_eq!(value("Registry deaths")["runs"], json!("external"));
    let service = value("PublicService birth");
    assert_eq!((&service["granted"], &service["client"]), (&json!("1/1"), &json!("UA/GOV/1/app")));
    assert_eq!(service["uses"][0]["message"], json!("granted by civil/births-to-app"));
    assert_eq!(service["bindings"], json!([{ "name": "birth-exchange", "type": "exchange" }]));
}

#[test]
fn what_an_agency_gets_in_its_own_namespace_is_part_of_its_object_and_of_no_other() {
    let mut moment = Moment::of(&world());
    moment.cluster.fell_ill(&find(&moment.plan, "Deployment", "form").key.clone());
    let told = moment.told();
    let (short, message) = says(&told, "PublicService birth");
    assert_eq!(short, "False Progressing True False");
    assert!(message.starts_with("Deployment/demo-at-birth/form: "), "{message}");
    assert!(says(&told, "Member ministry").0.starts_with("True"));
    assert!(says(&told, "ExchangeAgreement births-to-app").0.starts_with("True"));

    let mut moment = Moment::of(&world());
    let part = moment.plan.blocks.last_mut().expect("is there");
    part.units.clear();
    part.blocked.push(Finding { path: "spec.workload.image".into(), message: "has no digest".into() });
    let (short, message) = says(&moment.told(), "PublicService birth");
    assert_eq!(short, "False Blocked False True");
    assert_eq!(message, "spec.workload.image: has no digest");
}

#[test]
fn a_member_is_registered_when_the_exchange_and_its_own_steps_are_there() {
    let step = |who: &str| format!("member-{who}-1");
    let unfinished = |who: String| {
        let mut moment = Moment::of(&world());
        let job = find(&moment.plan, "Job", &step(&who)).key.clone();
        moment.cluster.edit(&job, |body| body["status"] = json!({}));
        moment.told()
    };
    assert_eq!(state(&Moment::of(&world()).told(), "Member civil"), MembershipState::Registered);
    let told = unfinished(civil());
    assert_eq!(state(&told, "Member civil"), MembershipState::RegistrationInProgress);
    assert_eq!(says(&told, "Member civil").0, "False Waiting True False");
    assert_eq!(says(&told, "ExchangeAgreement births-to-app").0, "False Waiting True False");
    // Who is beside it does not wait for it.
    let told = unfinished(ministry());
    assert_eq!(state(&told, "Member civil"), MembershipState::Registered);
    assert_eq!(says(&told, "Member civil").0, "True AllReady False False");

    let kept_out = edited("Member", "civil", |o| o["spec"]["code"] = json!("9"));
    assert_eq!(state(&Moment::of(&kept_out).told(), "Member civil"), MembershipState::Saved);
    let disabled = edited("Member", "civil", |o| o["spec"]["disabled"] = json!(true));
    assert_eq!(state(&Moment::of(&disabled).told(), "Member civil"), MembershipState::Disabled);
    // One wrong service keeps the others, and the member, in the exchange.
    let partly = edited("Member", "civil", |o| {
        o["spec"]["subsystems"][0]["services"][1]["backend"] = json!({ "host": "localhost", "port": 1 });
    });
    let told = Moment::of(&partly).told();
    assert_eq!(state(&told, "Member civil"), MembershipState::Registered);
    assert_eq!(says(&told, "Member civil").0, "False Invalid False True");
}

#[test]
fn a_step_that_waits_for_a_yes_is_said_of_the_member_that_it_is_about() {
    let held = |plan: Builder| {
        let name = format!("money-{}", civil());
        plan.onboarding(&name, "2", &["proxy"], Some("GOV/2 may answer"))
    };
    let told = Moment::with(&world(), held).told();
    assert_eq!(state(&told, "Member civil"), MembershipState::RequiresApproval);
    let (short, message) = says(&told, "Member civil");
    assert_eq!(short, "False AwaitingApproval False True");
    assert!(
        message.contains(
            "GOV/2 may answer (plinth approve demo -n gov --reason … --step information-mediator/money-"
        ),
        "{message}"
    );
    assert_eq!(state(&told, "Member ministry"), MembershipState::Registered);
}

#[test]
fn on_simulated_nodes_nobody_is_registered_by_steps_that_told_nobody_anything() {
    let mut moment = Moment::of(&world());
    moment.cluster.observed.simulated = true;
    let told = moment.told();
    assert_eq!(state(&told, "Member civil"), MembershipState::RegistrationInProgress);
    assert_eq!(says(&told, "Member civil").0, "False Simulated False False");
    let simulated = condition(find_status(&told, "Member civil"), "Simulated").expect("is said");
    assert_eq!(simulated.status, "True");
    assert!(simulated.message.contains("1 step of its onboarding not run"), "{}", simulated.message);
    // Order is proven, content never.
    assert_eq!(says(&told, "ExchangeAgreement births-to-app").0, "True AllReady False False");
    assert!(condition(find_status(&told, "Registry births"), "Simulated").is_some());
}

#[test]
fn without_an_exchange_nothing_is_enforced_and_everybody_is_told() {
    let mut moment = Moment::of(&world());
    moment.plan.exchange.server = None;
    let told = moment.told();
    for name in ["Member civil", "ExchangeAgreement births-to-app", "PublicService birth"] {
        let (short, message) = says(&told, name);
        assert_eq!(short, "False Blocked False True", "{name}");
        assert_eq!(message, "the Stack has no block that is an exchange: nothing enforces this");
    }
    assert_eq!(state(&told, "Member civil"), MembershipState::Saved);
    assert_eq!(says(&told, "Registry births").0, "True AllReady False False");
    let value =
        serde_json::to_value(find_status(&told, "ExchangeAgreement births-to-app")).expect("serialises");
    assert!(value["enforcement"].to_string().contains("access rights: the Stack has no block"), "{value}");
}

#[test]
fn an_exchange_that_is_down_is_named_and_one_that_rolls_takes_nothing_from_what_was_there() {
    const AGREEMENT: &str = "ExchangeAgreement births-to-app";
    let moment = Moment::of(&world());
    let told = moment.told();
    let mut moment = moment.after(told);
    let proxy = find(&moment.plan, "Deployment", "proxy").key.clone();
    moment.cluster.fell_ill(&proxy);
    // Within its start-up budget it rolls.
    assert_eq!(says(&moment.told(), AGREEMENT).0, "True AllReady False False");
    assert_eq!(state(&moment.told(), "Member civil"), MembershipState::Registered);
    // What is new waits for it.
    moment.seen.values_mut().for_each(|seen| seen.generation = 2);
    let (short, message) = says(&moment.told(), AGREEMENT);
    assert_eq!(short, "False Waiting True False");
    assert!(
        message.starts_with("block information-mediator: Deployment/demo-information-mediator/proxy"),
        "{message}"
    );
    assert_eq!(state(&moment.told(), "Member civil"), MembershipState::RegistrationInProgress);
    moment.seen.values_mut().for_each(|seen| seen.generation = 1);
    // After it, it is down.
    moment.cluster.observed.now += 1000;
    assert_eq!(says(&moment.told(), AGREEMENT).0, "False Waiting False False");
    // And what is not there at all enforces nothing.
    moment.cluster.delete(&proxy);
    assert_eq!(says(&moment.told(), AGREEMENT).0, "False Waiting True False");
    moment.cluster.observed.unreachable = Some("timeout".into());
    assert_eq!(says(&moment.told(), AGREEMENT).0, "Unknown Unreachable Unknown Unknown");
}

#[test]
fn while_a_plan_is_held_what_was_enforced_stands_and_what_is_new_waits() {
    const AGREEMENT: &str = "ExchangeAgreement births-to-app";
    let running = Moment::of(&world());
    let told = running.told();
    let running = running.after(told);
    for gate in [Gate { paused: true, approved: true }, Gate { paused: false, approved: false }] {
        let held = |objects: &[Value]| {
            // The exchange is to be told something else, and is not.
            let mut moment = Moment::with(objects, |plan| plan.deployment("rights", "2", &[]));
            moment.cluster = running.cluster.clone();
            moment.seen = running.seen.clone();
            moment
        };
        let moment = held(&world());
        assert_eq!(says(&moment.told_through(gate), AGREEMENT).0, "True AllReady False False", "{gate:?}");
        let mut moment = held(&world());
        moment.seen.clear();
        let (short, message) = says(&moment.told_through(gate), AGREEMENT);
        assert_eq!(short, "False Waiting False False", "{gate:?}");
        assert!(message.starts_with("block information-mediator: "), "{message}");
        assert_eq!(state(&moment.told_through(gate), "Member civil"), MembershipState::Saved);
        // A server that somebody took away enforces nothing, whatever is held.
        let mut moment = held(&world());
        moment.cluster.delete(&find(&moment.plan, "Deployment", "proxy").key.clone());
        assert_eq!(says(&moment.told_through(gate), AGREEMENT).0, "False Waiting False False", "{gate:?}");
        // A right that goes is still there.
        let expired = edited("ExchangeAgreement", "births-to-app", |o| {
            o["spec"]["validity"] = json!({ "until": "2020-01-01T00:00:00Z" });
        });
        let (short, message) = says(&held(&expired).told_through(gate), AGREEMENT);
        assert_eq!(short, "False Expired False False", "{gate:?}");
        assert!(
            message.contains("meanwhile the exchange keeps to what it was told before: block"),
            "{message}"
        );
    }
}

#[test]
fn a_stack_whose_spec_is_refused_leaves_what_was_there_and_says_so_of_what_is_new() {
    let moment = Moment::of(&world());
    let told = moment.told();
    let moment = moment.after(told.clone());
    let stack = StackId { namespace: "gov".into(), name: "demo".into() };
    let refused = Ground::Refused { compiled: &moment.plan.exchange, stack: &stack };
    let again = report(refused, &moment.seen, &time(NOW + 60));
    assert_eq!(again, told);
    let new = report(refused, &BTreeMap::new(), &time(NOW + 60));
    for name in ["Member civil", "ExchangeAgreement births-to-app", "Registry births", "PublicService birth"]
    {
        let (short, message) = says(&new, name);
        assert_eq!(short, "False Waiting False False", "{name}");
        assert!(message.starts_with("Stack gov/demo has no valid plan"), "{name}: {message}");
    }
    let deleting = Ground::Deleting { compiled: &moment.plan.exchange, stack: &stack };
    let gone = report(deleting, &moment.seen, &time(NOW + 60));
    assert_eq!(says(&gone, "ExchangeAgreement births-to-app").0, "False Deleting True False");
    assert_eq!(state(&gone, "Member civil"), MembershipState::Deleted);
}

#[test]
fn a_registry_is_ready_when_its_own_units_are_and_no_code_is_taken_for_another() {
    for (ill, births, old) in [("engine-births", "False", "True"), ("engine-old-births", "True", "False")] {
        let mut moment = Moment::of(&world());
        moment.cluster.fell_ill(&find(&moment.plan, "Deployment", ill).key.clone());
        let told = moment.told();
        assert!(says(&told, "Registry births").0.starts_with(births), "{ill}: {told:#?}");
        assert!(says(&told, "Registry old-births").0.starts_with(old), "{ill}: {told:#?}");
        assert!(says(&told, "Registry deaths").0.starts_with("True"));
    }
}

#[test]
fn an_agreement_says_which_layer_enforces_what_and_what_nobody_does() {
    let lines = |objects: &[Value], server: fn(&mut Server)| -> Vec<String> {
        let mut moment = Moment::of(objects);
        moment.plan.exchange.server.as_mut().into_iter().for_each(server);
        match find_status(&moment.told(), "ExchangeAgreement births-to-app") {
            Status::Agreement(status) => {
                status.enforcement.iter().map(|e| format!("{}: {}", e.layer, e.enforces)).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    let agreement = |change: fn(&mut Value)| edited("ExchangeAgreement", "births-to-app", change);
    let inside = "NetworkPolicy: of the pods of UA/GOV/1/app only the declared ones reach the exchange";
    let engine = "pods of agencies reach what answers UA/GOV/2/register/births only through the exchange";
    assert_eq!(
        lines(&world(), |_| ()),
        ["gate: access rights, method and path".to_owned(), format!("{inside}; {engine}")]
    );

    let limited = agreement(|o| o["spec"]["rateLimit"] = json!({ "requests": 10, "per": "Minute" }));
    assert_eq!(lines(&limited, |_| ())[2], "nobody: the limit of 10 requests in 60 s: gate limits no rates");
    assert_eq!(lines(&limited, |server| server.limits_rates = true).len(), 2);

    let consent = agreement(|o| {
        o["spec"]["legalBasis"]["kind"] = json!("Consent");
        o["spec"]["consent"] = json!({ "block": "consent", "agreement": "births" });
    });
    let said = &lines(&consent, |_| ())[2];
    assert!(
        said.starts_with("nobody: consent to `births`: the consuming service asks block consent"),
        "{said}"
    );

    // No policy of the plan closes the pods behind the desk.
    let desk = agreement(|o| o["spec"]["provider"]["service"] = json!("desk"));
    let said = lines(&desk, |_| ());
    assert_eq!(said[1], inside);
    assert!(
        said[2].starts_with("nobody: network paths to UA/GOV/2/register/desk: the plan has none for"),
        "{said:?}"
    );

    // Who runs elsewhere is closed by nobody.
    let outside = edited("Member", "ministry", |o| o["spec"]["subsystems"][0]["pods"] = json!({}));
    let said = lines(&outside, |_| ());
    assert_eq!(said[1], format!("NetworkPolicy: {engine}"));
    assert!(said[2].starts_with("nobody: network paths of UA/GOV/1/app: they declare no pods"), "{said:?}");

    let expired = agreement(|o| o["spec"]["validity"] = json!({ "until": "2020-01-01T00:00:00Z" }));
    assert!(lines(&expired, |_| ()).is_empty(), "what grants nothing is enforced by nobody");
}

#[test]
fn the_status_is_the_same_to_the_byte_when_nothing_happened_and_times_move_with_what_changed() {
    let moment = Moment::of(&world());
    let first = moment.told();
    let moment = moment.after(first.clone());
    let second = moment.told();
    let bytes = |told: &BTreeMap<Subject, Status>| -> Vec<String> {
        told.values().map(|status| serde_json::to_string(status).expect("serialises")).collect()
    };
    assert_eq!(bytes(&first), bytes(&second));
    let mut moment = moment;
    moment.plan.exchange.server = None;
    let third = moment.told();
    let at = |told, name: &str, kind| {
        condition(find_status(told, name), kind).expect("is said").last_transition_time.clone()
    };
    assert_eq!(at(&third, "Member civil", "Ready"), time(NOW + 60));
    assert_eq!(at(&third, "Member civil", "Reconciling"), time(NOW));
    assert_eq!(at(&third, "Registry deaths", "Ready"), time(NOW));
}

#[test]
fn at_most_twenty_findings_and_consumers_are_listed_and_the_rest_is_counted() {
    let many = edited("ExchangeAgreement", "births-to-app", |o| {
        o["spec"]["consumers"] =
            (0..23).map(|i| json!({ "subsystem": format!("GOV/1/none{i:02}") })).collect();
    });
    let (_, message) = says(&Moment::of(&many).told(), "ExchangeAgreement births-to-app");
    assert!(message.starts_with("23 findings: spec.consumers[0].subsystem"), "{message}");
    assert!(message.ends_with("and 3 more"), "{message}");

    let mut wide = edited("Member", "ministry", |o| {
        o["spec"]["subsystems"] = (0..23).map(|i| json!({ "code": format!("app{i:02}") })).collect();
    });
    let agreement = wide.iter_mut().find(|o| o["kind"] == "ExchangeAgreement").expect("is there");
    agreement["spec"]["consumers"] =
        (0..23).map(|i| json!({ "subsystem": format!("GOV/1/app{i:02}") })).collect();
    match find_status(&Moment::of(&wide).told(), "ExchangeAgreement births-to-app") {
        Status::Agreement(status) => {
            assert_eq!((status.consumers.len(), status.more_consumers), (20, Some(3)));
            let network = status.enforcement.iter().find(|e| e.layer == "nobody").expect("is said");
            assert!(network.enforces.contains("UA/GOV/1/app19 and 3 more"), "{}", network.enforces);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stack_that_is_missing_and_one_that_refuses_look_the_same() {
    let stranger = edited("Member", "civil", |o| o["metadata"]["namespace"] = json!("stranger"));
    let moment = Moment::of(&stranger);
    let subject = Subject { kind: "Member", namespace: "stranger".into(), name: "civil".into() };
    let seen = Seen { generation: 1, status: Status::of("Member") };
    let stack = StackId {
        namespace: moment.stack.metadata.namespace.clone().expect("has one"),
        name: moment.stack.metadata.name.clone().expect("has one"),
    };
    assert_eq!(moment.told()[&subject], not_admitted(&subject, &stack, &seen, &time(NOW)));
    let broken = not_understood(&subject, "missing field `class`", &seen, &time(NOW));
    let ready = condition(&broken, "Ready").expect("is said");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Invalid"));
    assert_eq!(ready.message, "spec: is not understood: missing field `class`");
}

#[test]
fn what_changes_while_the_stack_cannot_be_read_waits_and_the_rest_stands() {
    let moment = Moment::of(&world());
    let told = moment.told();
    let (_, before) = told.iter().find(|(s, _)| s.name == "births-to-app").expect("is told");
    let generation = before.observed_generation().expect("is said");
    let says = |generation: i64| {
        let seen = Seen { generation, status: before.clone() };
        stack_not_understood(&moment.plan.stack, &seen, &time(NOW + 60))
    };
    assert_eq!(says(generation), None);
    let told = says(generation + 1).expect("it has changed");
    let ready = told.conditions().iter().find(|c| c.type_ == "Ready").expect("is said");
    assert_eq!((&*ready.status, &*ready.reason), ("False", "Waiting"));
    assert!(ready.message.contains("is not understood"), "{}", ready.message);
    assert_eq!(told.observed_generation(), Some(generation + 1));
    let seen = Seen { generation: generation + 1, status: told };
    assert_eq!(stack_not_understood(&moment.plan.stack, &seen, &time(NOW + 90)), None, "said once");
}
