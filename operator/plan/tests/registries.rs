//! Registries that a block runs: each has an engine, a database and a user of its own, and the hundredth costs as much as
//! the first.

mod land;

use std::collections::BTreeMap;
use std::time::Instant;

use plinth_api::{Member, Registry, Stack};
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::Declared;
use plinth_plan::exchange::applied::recorded;
use plinth_plan::model::{ObjectKey, Plan};
use plinth_plan::{Inputs, closure};
use serde_json::{Value, json};

fn stack(profile: &str, parameters: &Value) -> Stack {
    land::stack(
        profile,
        json!([
            { "name": "identity", "product": "keycloak" },
            { "name": "digital-registries", "product": "sunbird-rc", "parameters": parameters },
        ]),
    )
}

fn registry(code: &str) -> Registry {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Registry",
        "metadata": { "name": code, "namespace": "gov" },
        "spec": {
            "stackRef": { "name": "land" },
            "code": code,
            "owner": "agency",
            "block": "digital-registries",
            "classification": "personal",
            "schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "additionalProperties": false,
                "required": ["name"],
                "properties": {
                    "name": { "type": "string", "description": "It's \"the\" name." },
                    "born": { "type": "string", "format": "date" },
                    "parent": { "$ref": "#" },
                    "place": { "$ref": "#/$defs/place" },
                },
                "$defs": { "place": { "type": "object", "properties": { "city": { "$ref": "#/properties/name" } } } },
            },
            "indexes": [["born"], ["name", "born"]],
        },
    }))
    .expect("the test's Registry is well-formed")
}

fn agency() -> Member {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Member",
        "metadata": { "name": "agency", "namespace": "gov" },
        "spec": { "stackRef": { "name": "land" }, "class": "GOV", "code": "1" },
    }))
    .expect("the test's Member is well-formed")
}

fn inputs(codes: &[String]) -> Inputs {
    let registries = codes.iter().map(|code| registry(code)).collect();
    let declared = Declared { members: vec![agency()], registries, ..Declared::default() };
    Inputs { catalogue: Catalogue::builtin().expect("the catalogue parses"), declared, ..Inputs::default() }
}

fn planned(stack: &Stack, inputs: &Inputs) -> Plan {
    plinth_plan::plan(stack, inputs).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn codes(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("registry-{i:03}")).collect()
}

fn file(plan: &Plan, config: &str) -> Value {
    let object = plan.objects().find(|o| o.key.kind == "ConfigMap" && o.key.name == config).unwrap();
    let text = object.body["data"]["entity.json"].as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn each_registry_runs_on_its_own() {
    let choices = json!({
        "credentials": true, "claims": true, "encryption": true, "idGeneration": true, "events": true,
        "notifications": true,
    });
    for (profile, parameters) in [
        ("sandbox", json!({})),
        ("sandbox", json!({ "openAccess": true })),
        ("standard", choices.clone()),
        ("national", json!({})),
    ] {
        let stack = stack(profile, &parameters);
        let inputs = inputs(&["births".to_owned(), "civil-status".to_owned()]);
        let plan = planned(&stack, &inputs);
        for (code, entity, database) in [
            ("births", "Births", "registry_births"),
            ("civil-status", "CivilStatus", "registry_civil_status"),
        ] {
            let unit =
                plan.units().find(|u| u.id.name == format!("engine-{code}")).expect("it has an engine");
            let text = serde_json::to_string(&unit.objects).unwrap();
            assert!(text.contains(&format!("postgresql-claim-data-{code}")), "{text}");
            let secret =
                plan.objects().find(|o| o.key.name == format!("postgresql-claim-data-{code}")).unwrap();
            assert!(secret.data && serde_json::to_string(&secret.secret).unwrap().contains(database));
            assert_eq!(file(&plan, &format!("sunbird-rc-record-{code}"))["title"], entity);
        }
        let found: Vec<String> =
            closure::check(&plan, &stack, &inputs).iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::<String>::new(), "{profile} {parameters}");
    }
}

#[test]
fn a_record_is_told_to_the_engine_in_its_own_form() {
    let plan = planned(&stack("sandbox", &json!({})), &inputs(&["civil-status".to_owned()]));
    let file = file(&plan, "sunbird-rc-record-civil-status");
    assert_eq!(file["properties"], json!({ "CivilStatus": { "$ref": "#/definitions/CivilStatus" } }));
    assert_eq!(file["required"], json!(["CivilStatus"]));
    let record = &file["definitions"]["CivilStatus"];
    assert_eq!(record["required"], json!(["name"]));
    assert_eq!(record["properties"]["name"]["description"], "It's \"the\" name.");
    assert_eq!(record["properties"]["parent"]["$ref"], "#/definitions/CivilStatus");
    assert_eq!(record["properties"]["place"]["$ref"], "#/definitions/CivilStatus/$defs/place");
    let city = &record["$defs"]["place"]["properties"]["city"]["$ref"];
    assert_eq!(city, "#/definitions/CivilStatus/properties/name");
    assert!(record.get("$schema").is_none());
    // Every reference leads somewhere in the file.
    for reference in [&record["properties"]["parent"], &record["properties"]["place"]] {
        let pointer = reference["$ref"].as_str().unwrap().trim_start_matches('#');
        assert!(file.pointer(pointer).is_some(), "{pointer}");
    }
    assert_eq!(file["_osConfig"]["indexFields"], json!(["born", "(name, born)"]));
    assert_eq!(file["_osConfig"]["roles"], json!(["registry-civil-status"]));
}

/// What differs between two plans: objects that are new, and objects that have changed.
fn difference(before: &Plan, after: &Plan) -> (Vec<ObjectKey>, Vec<ObjectKey>) {
    let hashes = |plan: &Plan| -> BTreeMap<ObjectKey, String> {
        plan.objects().map(|o| (o.key.clone(), o.hash.clone())).collect()
    };
    let (before, after) = (hashes(before), hashes(after));
    assert!(before.keys().all(|key| after.contains_key(key)), "nothing goes away");
    let new = after.keys().filter(|key| !before.contains_key(*key)).cloned().collect();
    let differs = |(key, hash): (&ObjectKey, &String)| (before.get(key)? != hash).then(|| key.clone());
    (new, after.iter().filter_map(differs).collect())
}

#[test]
fn the_hundred_and_first_registry_costs_as_many_writes_as_the_first() {
    let stack = stack("standard", &json!({ "credentials": true, "events": true, "encryption": true }));
    let plan = |count: usize| planned(&stack, &inputs(&codes(count)));
    let (first, first_changed) = difference(&plan(0), &plan(1));
    let hundred = plan(100);
    let (last, last_changed) = difference(&hundred, &plan(101));
    println!(
        "a registry adds {} objects and changes {}: {last:#?} {last_changed:#?}",
        last.len(),
        last_changed.len()
    );
    assert_eq!(last.len(), first.len());
    assert_eq!(last_changed.len(), first_changed.len(), "{first_changed:#?} {last_changed:#?}");
    // Only who may call the services that all share.
    assert!(last_changed.iter().all(|key| key.kind == "NetworkPolicy"), "{last_changed:#?}");
    let began = Instant::now();
    let again = planned(&stack, &inputs(&codes(100)));
    println!("100 registries, {} objects: planned in {:?}", again.objects().count(), began.elapsed());
    assert_eq!(again.hash, hundred.hash);
}

#[test]
fn what_a_registry_says_wrong_is_said_on_it_and_stops_no_other() {
    let mut inputs = inputs(&["births".to_owned(), "deaths".to_owned()]);
    inputs.declared.registries[0].spec.indexes = vec![vec!["nam".to_owned()]];
    let plan = planned(&stack("sandbox", &json!({})), &inputs);
    let engines: Vec<&str> =
        plan.units().map(|u| u.id.name.as_str()).filter(|name| name.starts_with("engine-")).collect();
    assert_eq!(engines, ["engine-deaths"]);
    let said: Vec<String> =
        plan.exchange.standing.values().flat_map(|s| &s.findings).map(ToString::to_string).collect();
    assert_eq!(
        said,
        ["spec.indexes[0][0]: `nam` is no property of a record; it has born, name, parent, place"]
    );
}

/// A product that is told where services answer.
fn told() -> plinth_api::ProductSpec {
    serde_json::from_value(json!({
        "block": "x-told",
        "title": "Told",
        "description": "A test.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-29",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": {} }],
        "configs": [{ "name": "told", "files": [{
            "name": "urls", "template": "{% for service in exchange.services %}{{ service.url }}\n{% endfor %}",
        }] }],
    }))
    .expect("the test's Product is well-formed")
}

#[test]
fn a_service_that_a_registry_answers_leads_to_its_own_engine() {
    let mut stack = stack("sandbox", &json!({}));
    let block = json!({ "name": "x-told", "product": "told" });
    stack.spec.blocks.push(serde_json::from_value(block).unwrap());
    let mut inputs = inputs(&["births".to_owned(), "civil-status".to_owned()]);
    inputs.catalogue = inputs.catalogue.with_products([("told".to_owned(), told())]);
    let services = json!([{ "code": "civil", "services": [
        { "code": "births", "registry": "births" }, { "code": "status", "registry": "civil-status" },
    ] }]);
    inputs.declared.members[0].spec.subsystems = serde_json::from_value(services).unwrap();
    let plan = planned(&stack, &inputs);
    let urls = plan.objects().find(|o| o.key.name == "told-told").unwrap().body["data"]["urls"].clone();
    let domain = "land-digital-registries.svc.cluster.local:8081";
    let wanted = format!(
        "http://engine-births.{domain}/api/v1/Births\nhttp://engine-civil-status.{domain}/api/v1/CivilStatus\n"
    );
    assert_eq!(urls, wanted);
}

#[test]
fn a_schema_that_narrows_waits_and_the_registry_keeps_the_one_that_it_has() {
    let (stack, mut inputs) = (stack("sandbox", &json!({})), inputs(&["births".to_owned()]));
    let first = planned(&stack, &inputs);
    let records = || first.objects().filter(|o| o.key.name == "registry-schema-births");
    assert!(records().all(|record| record.data), "it stays as long as the records do");
    inputs.declared.applied = recorded(records().map(|record| &record.body));
    assert_eq!(inputs.declared.applied.len(), 1);
    assert_eq!(planned(&stack, &inputs).hash, first.hash, "what stands changes nothing");

    inputs.declared.registries[0].spec.schema["required"] = json!(["name", "born"]);
    let held = planned(&stack, &inputs);
    assert_eq!(held.hash, first.hash);
    let said: Vec<String> =
        held.exchange.standing.values().flat_map(|s| &s.findings).map(ToString::to_string).collect();
    assert_eq!(said[0], "spec.schema.required: `born` becomes required: records without it may exist");
    let steps: Vec<String> = held.held_steps().collect();
    assert_eq!(steps.len(), 1);

    inputs.declared.approved = steps.into_iter().collect();
    let confirmed = planned(&stack, &inputs);
    let (new, changed) = difference(&first, &confirmed);
    let mut names: Vec<&str> = changed.iter().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        (new.len(), names),
        (0, vec!["engine-births", "registry-schema-births", "sunbird-rc-record-births"])
    );
}
