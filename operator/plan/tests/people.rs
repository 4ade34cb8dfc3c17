//! Synthetic people: the same whoever asks, as a country's people are, and loaded by Jobs that tell the truth about how far they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use plinth_api::v1alpha1::people::{People, PeopleOf, PeopleStatus};
use plinth_api::{ProductSpec, Registry, Sandbox, SandboxPolicy, SandboxStatus, Stack, StackStatus};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::Declared;
use plinth_plan::model::*;
use plinth_plan::onboarding::{Content, Document, Known, filled};
use plinth_plan::people::{Person, Portions, Role, Sex, person, progress};
use plinth_plan::sandbox::life::life;
use plinth_plan::sandbox::policy::Terms;
use plinth_plan::sandbox::prospect::prospect;
use plinth_plan::sandbox::status::{Outcome, status};
use plinth_plan::sandbox::template::{declared, exported};
use serde_json::{Value, json};

const MANY: u32 = 10_000;

fn people(country: PeopleOf, seed: u32, amount: u32) -> Vec<Person> {
    (0..amount).map(|number| person(country, seed, number)).collect()
}

/// What a seed gives does not change: sandboxes that were loaded by it are loaded again by it.
#[test]
fn the_first_people_of_each_country_are_who_they_were() {
    let first: BTreeMap<&str, Vec<Person>> =
        PeopleOf::ALL.map(|country| (country.code(), people(country, 7, 4))).into();
    insta::assert_json_snapshot!(first);
}

#[test]
fn a_person_is_the_same_in_whatever_order_and_among_however_many() {
    for country in PeopleOf::ALL {
        let forth = people(country, 7, 100);
        let mut back: Vec<Person> = (0..100).rev().map(|number| person(country, 7, number)).collect();
        back.reverse();
        assert_eq!(forth, back);
        let named = |amount| Portions::of(&People { amount, seed: 7, country }).people(0)[..100].to_vec();
        assert_eq!(named(100), named(MANY));
        assert_ne!(forth, people(country, 8, 100), "another seed is other people");
    }
}

#[test]
fn ten_thousand_people_have_ten_thousand_identifiers_and_accounts() {
    for country in PeopleOf::ALL {
        let all = people(country, 7, MANY);
        let ids: BTreeSet<&str> = all.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids.len(), all.len(), "{country:?}");
        let accounts: Vec<&String> = all.iter().filter_map(|one| one.account.as_ref()).collect();
        assert_eq!(accounts.iter().collect::<BTreeSet<_>>().len(), accounts.len(), "{country:?}");
        let has_ibans = country != PeopleOf::Peru;
        assert!(all.iter().all(|one| one.account.is_some() == (has_ibans && one.role != Role::Child)));
        // By far most names are nobody else's, as in a country.
        let names: BTreeSet<String> =
            all.iter().map(|one| format!("{} {}", one.given_name, one.family_name)).collect();
        assert!(names.len() > all.len() / 3, "{country:?}: {}", names.len());
    }
}

/// The rules written once more, as a country's own form would have them.
#[test]
fn every_identifier_says_what_the_person_is_and_ends_in_its_check_digit() {
    let digits = |id: &str| -> Vec<i64> { id.bytes().map(|byte| i64::from(byte - b'0')).collect() };
    let epoch: Date = "1899-12-31".parse().unwrap();
    for one in people(PeopleOf::Ukraine, 7, MANY) {
        let d = digits(&one.id);
        let sum =
            -d[0] + 5 * d[1] + 7 * d[2] + 9 * d[3] + 4 * d[4] + 6 * d[5] + 10 * d[6] + 5 * d[7] + 7 * d[8];
        assert_eq!((d.len(), (sum % 11 + 11) % 11 % 10), (10, d[9]), "{}", one.id);
        assert_eq!(d[8] % 2 == 1, one.sex == Sex::Male, "{}", one.id);
        let days = one.id[..5].parse::<i32>().unwrap();
        assert_eq!(epoch.until(one.born).unwrap().get_days(), days, "{}", one.id);
    }
    for one in people(PeopleOf::Estonia, 7, MANY) {
        let d = digits(&one.id);
        let sum = |weights: [i64; 10]| weights.iter().zip(&d).map(|(w, d)| w * d).sum::<i64>() % 11;
        let first = sum([1, 2, 3, 4, 5, 6, 7, 8, 9, 1]);
        let digit = if first < 10 { first } else { sum([3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 10 };
        assert_eq!((d.len(), digit), (11, d[10]), "{}", one.id);
        let is_male = one.sex == Sex::Male;
        let century = if one.born.year() < 2000 { 3 } else { 5 };
        assert_eq!(d[0], century + i64::from(!is_male), "{}", one.id);
        assert_eq!(one.id[1..7], one.born.strftime("%y%m%d").to_string(), "{}", one.id);
    }
    for one in people(PeopleOf::Peru, 7, MANY) {
        let d = digits(&one.id);
        let sum: i64 = [3, 2, 7, 6, 5, 4, 3, 2].iter().zip(&d).map(|(w, d)| w * d).sum();
        assert_eq!(
            (d.len(), [6, 7, 8, 9, 0, 1, 1, 2, 3, 4, 5][(11 - sum as usize % 11) % 11]),
            (9, d[8]),
            "{}",
            one.id
        );
    }
}

#[test]
fn a_family_lives_together_and_its_children_are_of_an_age_to_be_theirs() {
    for country in PeopleOf::ALL {
        let all = people(country, 7, 4_000);
        let by_id: BTreeMap<&str, &Person> = all.iter().map(|one| (one.id.as_str(), one)).collect();
        let (mut children, mut couples) = (0, 0);
        for one in &all {
            assert_eq!(one.address, by_id[one.household.as_str()].address, "{one:?}");
            if let Some(guardian) = &one.guardian {
                children += 1;
                let guardian = by_id[guardian.as_str()];
                let years = guardian.born.until((jiff::Unit::Year, one.born)).unwrap().get_years();
                assert!((20..=44).contains(&years), "{years}: {one:?} {guardian:?}");
                assert_eq!(guardian.household, one.household);
                if country != PeopleOf::Peru {
                    assert_eq!(guardian.family_name, one.family_name);
                }
            }
            assert_eq!(one.guardian.is_some(), one.role == Role::Child, "{one:?}");
            if let Some(spouse) = &one.spouse {
                couples += 1;
                let spouse = by_id[spouse.as_str()];
                assert_eq!(spouse.spouse.as_ref(), Some(&one.id));
                assert_ne!(spouse.sex, one.sex);
            }
        }
        assert!(children > 800 && couples > 800, "{country:?}: {children} children, {couples} of couples");
    }
}

/// The rule written once more: what a man's children have of his name.
fn of_father(father: &str, sex: Sex) -> String {
    let root = match father {
        "Прохір" => "Прохор",
        "Федір" => "Федор",
        other => other.trim_end_matches(['а', 'о']),
    };
    match (root.strip_suffix('й'), sex) {
        (Some(root), Sex::Male) => format!("{root}йович"),
        (Some(root), Sex::Female) => format!("{root}ївна"),
        (None, Sex::Male) => format!("{root}ович"),
        (None, Sex::Female) => format!("{root}івна"),
    }
}

#[test]
fn children_of_ukraine_have_the_name_of_the_father_whom_they_live_with() {
    let all = people(PeopleOf::Ukraine, 7, 4_000);
    let is_father = |one: &&Person| one.role == Role::Parent && one.sex == Sex::Male;
    let fathers: BTreeMap<&str, &Person> =
        all.iter().filter(is_father).map(|one| (one.household.as_str(), one)).collect();
    let mut held = 0;
    for child in all.iter().filter(|one| one.role == Role::Child) {
        let Some(father) = fathers.get(child.household.as_str()) else { continue };
        held += 1;
        assert_eq!(child.middle_name, Some(of_father(&father.given_name, child.sex)), "{child:?} {father:?}");
    }
    assert!(held > 800, "{held} children who live with their father");
}

#[test]
fn grown_ups_have_a_telephone_number_that_is_nobodys() {
    for country in PeopleOf::ALL {
        let all = people(country, 7, MANY);
        let numbers: BTreeSet<&String> = all.iter().filter_map(|one| one.phone.as_ref()).collect();
        assert_eq!(numbers.len(), all.iter().filter(|one| one.role != Role::Child).count(), "{country:?}");
        // E.164: at most 15 digits; no country code begins with 0.
        let is_nobodys = |number: &&String| {
            number.starts_with('0')
                && number.len() <= 15
                && number.bytes().all(|digit| digit.is_ascii_digit())
        };
        assert!(numbers.iter().all(is_nobodys), "{country:?}: {numbers:?}");
    }
}

/// A product that takes people.
fn bank() -> ProductSpec {
    serde_json::from_value(json!({
        "block": "x-bank", "title": "Bank", "description": "A test.", "licence": "Apache-2.0", "maturity": "stable",
        "asOf": "2026-11-30",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/bank:1" } }],
        "components": [{
            "name": "bank", "description": "Serves.", "image": "app",
            "ports": [{ "name": "http", "port": 8080 }],
            "probes": { "readiness": { "path": "/", "port": "http" } },
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
        }],
        "onboarding": [{
            "name": "people", "description": "Its customers.", "people": true, "connects": ["bank:http"],
            "variables": [{ "name": "URL", "cel": "'http://' + components.bank.host + ':8080'" }],
            "calls": [{
                "name": "customer", "forEach": "people",
                "check": { "url": "{{ env.URL }}/{{ item.id }}" },
                "act": { "method": "POST", "url": "{{ env.URL }}", "body": { "name": "{{ item.familyName }}" } },
            }],
        }],
    }))
    .expect("the test's Product is well-formed")
}

fn stack(people: Value) -> Stack {
    let mut stack = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "land", "namespace": "gov" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] },
            "profile": "sandbox",
            "blocks": [{ "name": "x-bank", "product": "bank" }],
        },
    });
    stack["spec"]["people"] = people;
    serde_json::from_value(stack).expect("the test's Stack is well-formed")
}

fn planned(stack: &Stack, product: ProductSpec) -> Result<Plan, Vec<Finding>> {
    let catalogue = Catalogue::default().with_products([("bank".to_owned(), product)]);
    plinth_plan::plan(stack, &Inputs { catalogue, ..Inputs::default() })
}

fn asked(amount: u32) -> Value {
    json!({ "amount": amount, "seed": 7, "country": "UA" })
}

#[test]
fn people_are_loaded_by_a_job_with_a_pod_for_each_portion_only_where_some_are_asked_for() {
    let plan = planned(&stack(asked(250)), bank()).unwrap();
    let unit = plan.units().find(|unit| unit.id.name == "onboard-people").expect("the step");
    let job = &unit.job().expect("its Job").body["spec"];
    assert_eq!(
        (&job["completionMode"], &job["completions"], &job["parallelism"]),
        (&json!("Indexed"), &json!(3), &json!(1))
    );
    let map =
        plan.objects().find(|o| o.key.kind == "ConfigMap" && o.key.name.contains("onboard-people")).unwrap();
    let document: Document =
        serde_json::from_str(map.body["data"]["onboarding.json"].as_str().unwrap()).unwrap();
    let portions = document.people.expect("people");
    assert_eq!((portions.amount, portions.size, portions.seed), (250, 100, 7));
    assert!(!map.body.to_string().contains(&portions.people(0)[0]["id"].to_string()), "nobody stands in it");

    let none = planned(&stack(Value::Null), bank()).unwrap();
    assert!(none.units().all(|unit| !unit.id.name.contains("people")));
}

#[test]
fn a_call_that_nobody_could_make_of_a_person_is_found_while_planning() {
    // Nobody has a nickname, and children have no account.
    for text in ["{{ item.nickname }}", "{{ item.account }}"] {
        let mut product = serde_json::to_value(bank()).unwrap();
        product["onboarding"][0]["calls"][0]["act"]["body"]["name"] = json!(text);
        let found = planned(&stack(asked(100)), serde_json::from_value(product).unwrap()).unwrap_err();
        assert!(found.iter().any(|finding| finding.message.contains("act.body.name")), "{text}: {found:?}");
    }
}

/// What is seen where the Job has completed these portions.
fn seen(plan: &Plan, completed: &str) -> Observed {
    let job = plan.units().find_map(|unit| unit.step.as_ref().and_then(|_| unit.job())).expect("the Job");
    let mut body = job.body.clone();
    body["status"] = json!({ "completedIndexes": completed });
    let live = Live { body: Arc::new(body), ..Live::default() };
    Observed { live: [(job.key.clone(), live)].into(), ..Observed::default() }
}

#[test]
fn what_is_loaded_is_what_the_job_has_completed_and_nobody_on_simulated_nodes() {
    let stack = stack(asked(250));
    let plan = planned(&stack, bank()).unwrap();
    let told = |observed: &Observed| progress(&stack, &plan, observed).expect("people are asked for");
    assert_eq!((told(&Observed::default()).loaded, told(&Observed::default()).amount), (0, 250));
    let half = told(&seen(&plan, "0,2"));
    assert_eq!((half.loaded, half.by[0].block.as_str(), half.by[0].loaded), (150, "x-bank", 150));
    assert_eq!((told(&seen(&plan, "0-2")).loaded, half.message.clone()), (250, None));

    let simulated = told(&Observed { simulated: true, ..seen(&plan, "0-2") });
    assert_eq!(simulated.loaded, 0);
    assert!(simulated.message.expect("why").contains("simulated"));

    // A cluster that does not answer has lost nobody.
    let mut known = stack.clone();
    known.status = Some(StackStatus { people: Some(half.clone()), ..StackStatus::default() });
    let silent = Observed { unreachable: Some("no route".to_owned()), ..Observed::default() };
    assert_eq!(progress(&known, &plan, &silent).map(|status| status.loaded), Some(150));
}

#[test]
fn a_stack_that_takes_nobody_says_so() {
    let mut deaf = bank();
    deaf.onboarding.clear();
    let stack = stack(asked(10));
    let plan = planned(&stack, deaf).unwrap();
    let PeopleStatus { loaded, message, .. } = progress(&stack, &plan, &Observed::default()).unwrap();
    assert_eq!(loaded, 0);
    assert!(message.expect("why").contains("nothing of it takes people"));
}

#[test]
fn a_register_takes_people_by_the_properties_of_its_schema() {
    let registry = |people: bool| -> Registry {
        serde_json::from_value(json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "Registry", "metadata": { "name": "persons", "namespace": "gov" },
            "spec": {
                "stackRef": { "name": "land" }, "code": "persons", "owner": "civil", "block": "digital-registries",
                "classification": "personal", "people": people,
                "schema": { "type": "object", "properties": { "id": { "type": "string" }, "born": { "type": "string" } } },
            },
        }))
        .unwrap()
    };
    let member = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Member", "metadata": { "name": "civil", "namespace": "gov" },
        "spec": { "stackRef": { "name": "land" }, "class": "GOV", "code": "1", "names": { "en": "Civil" } },
    });
    let mut stack = stack(asked(10));
    stack.spec.blocks = serde_json::from_value(json!([
        { "name": "digital-registries", "product": "kinto" }, { "name": "information-mediator", "product": "gateway-exchange" },
    ]))
    .unwrap();
    stack.spec.exchange = serde_json::from_value(
        json!({ "bindings": [{ "namespace": "gov", "members": ["GOV/1"], "registries": ["persons"] }] }),
    )
    .unwrap();
    let steps = |people: bool| -> Vec<String> {
        let declared = Declared {
            members: vec![serde_json::from_value(member.clone()).unwrap()],
            registries: vec![registry(people)],
            ..Declared::default()
        };
        let catalogue = Catalogue::builtin().unwrap();
        let plan = plinth_plan::plan(&stack, &Inputs { catalogue, declared, ..Inputs::default() });
        let plan = plan.unwrap_or_else(|findings| panic!("{findings:?}"));
        let steps = plan.units().filter(|unit| unit.step.is_some());
        let properties = |unit: &Unit| {
            let env =
                unit.job().expect("a Job").body["spec"]["template"]["spec"]["containers"][0]["env"].clone();
            let found = env.as_array().into_iter().flatten().find(|one| one["name"] == "PROPERTIES").cloned();
            found.map(|one| one["value"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
        };
        steps.map(|unit| format!("{} {}", unit.id.name, properties(unit))).collect()
    };
    assert_eq!(steps(false), ["onboard-registry-persons "]);
    assert_eq!(steps(true), ["onboard-registry-persons ", "onboard-people-persons born id"]);
}

fn sandbox(change: Value) -> Sandbox {
    let mut spec = json!({
        "owner": { "team": "t", "contact": "t@example", "groups": ["oidc:t"] }, "ttl": "14d", "template": "cash-transfer",
    });
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Sandbox", "metadata": { "name": "s", "namespace": "dpi" }, "spec": spec,
    }))
    .unwrap()
}

/// What a Sandbox says of its people where its Stack is this one.
fn said(sandbox: &Sandbox, stack: &Stack) -> Option<PeopleStatus> {
    let terms = Terms::of([], "dpi");
    let course = terms.course(&sandbox.spec, jiff::Timestamp::UNIX_EPOCH).unwrap();
    let life = life(&course, &SandboxStatus::default(), false, jiff::Timestamp::UNIX_EPOCH);
    let outcome =
        Outcome::Living { life: &life, stack: Some(stack), cost: None, credentials: false, doubt: None };
    status(sandbox, outcome, jiff::Timestamp::UNIX_EPOCH).people
}

#[test]
fn a_sandbox_says_what_its_stack_says_of_these_people_and_not_of_others() {
    let mut stack = stack(asked(250));
    let loaded = PeopleStatus { amount: 250, loaded: 250, ..PeopleStatus::default() };
    stack.status = Some(StackStatus { people: Some(loaded.clone()), ..StackStatus::default() });
    assert_eq!(said(&sandbox(json!({ "people": asked(250) })), &stack), Some(loaded));
    let others = json!({ "people": { "amount": 250, "seed": 8, "country": "UA" } });
    assert_eq!(said(&sandbox(others), &stack).map(|people| people.loaded), Some(0));
    assert_eq!(said(&sandbox(json!({})), &stack), None);
}

/// The document of the step that loads people into a block of a template's sandbox.
fn document_of(template: &str, block: &str, step: &str) -> Document {
    let sandbox = sandbox(json!({ "template": template, "people": asked(250) }));
    let catalogue = Catalogue::builtin().unwrap();
    let seen = prospect(&sandbox, None, &Terms::of([], "dpi"), &catalogue, 0, jiff::Timestamp::UNIX_EPOCH);
    let plan = seen.unwrap_or_else(|findings| panic!("{findings:?}")).plan;
    let unit = plan.units().find(|unit| unit.id.block == block && unit.id.name == step);
    let unit = unit.unwrap_or_else(|| panic!("no {step}"));
    let job = &unit.job().expect("its Job").body["spec"];
    assert_eq!((&job["completionMode"], &job["completions"]), (&json!("Indexed"), &json!(3)), "progress");
    let own = plan.units().filter(|unit| unit.id.block == block).flat_map(|unit| &unit.objects);
    let mut maps = own.filter(|o| o.key.kind == "ConfigMap" && o.key.name.contains(step));
    let map = maps.next().expect("its file");
    serde_json::from_str(map.body["data"]["onboarding.json"].as_str().expect("a text")).expect("a document")
}

#[test]
fn grown_ups_of_a_payments_hub_are_told_to_account_lookup_each_at_one_of_its_banks() {
    for template in ["payments-hub", "everything"] {
        let document = document_of(template, "payments", "onboard-people");
        let [call] = document.calls.as_slice() else { panic!("{document:?}") };
        let people = document.people.expect("people").people(0);
        let env = json!({ "ORACLE_URL": "http://oracle", "FSPS": "peoplesbank savingsbank" });
        let env = env.as_object().expect("variables").clone();
        let known = Known { env, people: Some(people.clone()), ..Known::default() };
        let told = known.elements(call.for_each.as_deref().expect("for each of them")).unwrap();
        let grown = people.iter().filter(|one| one["role"] != "child").count();
        assert_eq!(told.len(), grown);
        let mut banks = BTreeMap::new();
        for one in told {
            let number = one["phone"].as_str().expect("a number").to_owned();
            let known = Known { item: Some(one), ..known.clone() };
            let act = filled(call.act.as_ref().expect("an act"), &known.scope()).unwrap();
            assert_eq!(act.url, format!("http://oracle/participants/MSISDN/{number}"));
            let Some(Content::Json(body)) = act.content else { panic!("{act:?}") };
            *banks.entry(body["fspId"].as_str().expect("a bank").to_owned()).or_insert(0) += 1;
        }
        assert!(banks.len() == 2 && banks.values().all(|of| *of > grown / 4), "{template}: {banks:?}");
    }
}

#[test]
fn the_register_of_a_civil_registration_takes_people_and_does_not_go_home() {
    let people = document_of("civil-registration", "digital-registries", "onboard-people-persons");
    assert_eq!(people.people.map(|people| people.amount), Some(250));
    let sandbox = sandbox(json!({ "template": "civil-registration", "people": asked(250) }));
    let stack = foreseen(&sandbox, &[]).unwrap();
    let binding = &stack.spec.exchange.as_ref().expect("an exchange").bindings[0];
    assert_eq!(Some(&binding.namespace), stack.metadata.namespace.as_ref());
    assert_eq!(
        (&binding.members[..], &binding.registries[..]),
        (&["GOV/100".to_owned()][..], &["persons".to_owned()][..])
    );
    assert_eq!(exported(&stack, "country", "gov").0.spec.exchange, None);

    // Everybody of every country is a record by the register's own schema.
    let schema = &declared(&sandbox).registries[0].spec.schema;
    let validator = jsonschema::validator_for(&Value::Object(schema.clone())).expect("a schema");
    let names = schema["properties"].as_object().expect("properties");
    for country in PeopleOf::ALL {
        for one in (0..1000).map(|number| serde_json::to_value(person(country, 7, number)).unwrap()) {
            let mut record = one.as_object().expect("a person").clone();
            record.retain(|name, _| names.contains_key(name));
            let record = Value::Object(record);
            let wrong: Vec<String> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{record}: {wrong:?}");
        }
    }
}

fn foreseen(sandbox: &Sandbox, policies: &[SandboxPolicy]) -> Result<Stack, String> {
    let catalogue = Catalogue::builtin().unwrap();
    let terms = Terms::of(policies, "dpi");
    let seen = prospect(sandbox, None, &terms, &catalogue, 0, jiff::Timestamp::UNIX_EPOCH);
    seen.map(|seen| seen.stack).map_err(|findings| findings[0].to_string())
}

#[test]
fn a_sandbox_asks_for_as_many_people_as_its_policy_allows_where_a_product_takes_them() {
    let people = |amount: u32| json!({ "people": asked(amount) });
    let stack = foreseen(&sandbox(people(10_000)), &[]).unwrap();
    assert_eq!(stack.spec.people.as_ref().map(|people| people.amount), Some(10_000));
    let why = foreseen(&sandbox(people(10_001)), &[]).unwrap_err();
    assert!(why.contains("spec.people.amount") && why.contains("allows: 10000"), "{why}");
    let policy = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "SandboxPolicy", "metadata": { "name": "few" }, "spec": { "maxPeople": 0 },
    });
    let why = foreseen(&sandbox(people(1)), &[serde_json::from_value(policy).unwrap()]).unwrap_err();
    assert!(why.contains("few allows: 0"), "{why}");
    let deaf = json!({ "people": asked(1), "template": "data-exchange" });
    let why = foreseen(&sandbox(deaf), &[]).unwrap_err();
    assert!(
        why.contains("spec.people: none of its products takes people; those that do: ")
            && why.contains("kinto"),
        "{why}"
    );

    let (home, _) = exported(&stack, "country", "gov");
    assert_eq!(home.spec.people, None, "nobody who is made up goes home");
}
