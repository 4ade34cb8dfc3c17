//! The real Kinto, prepared, started and told as the plan of `examples/register.yaml` has it: a register that holds real records
//! behind a real API, which the exchange's word on who calls opens, and nothing else does.
//!
//! Long: it fetches Kinto from its package registry once, and needs Python 3.10 or newer and PostgreSQL's programs. `e2e/all
//! products` runs it.

mod people;
mod postgresql;
mod server;
#[path = "../support/steps.rs"]
mod steps;

use k8s_openapi::api::core::v1::Namespace;
use plinth_api::{ExchangeAgreement, Member, Registry, Stack};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::Declared;
use plinth_plan::model::Plan;
use postgresql::PostgreSql;
use regex::Regex;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use server::Kinto;
use steps::Step;

/// Who keeps the register, and who reads it.
const DESK: Option<&str> = Some("ZZ/GOV/100/desk");
const GRANTS: Option<&str> = Some("ZZ/GOV/200/grants");
/// A person's key.
const MARI: &str = "/38001085718";

/// What the country declares, to be changed and planned.
struct Country(Vec<Value>);

impl Country {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/register.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        Self(serde_yaml::Deserializer::from_str(&text).map(|d| Value::deserialize(d).unwrap()).collect())
    }

    fn of<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let own = self.0.iter().filter(|document| document["kind"] == kind);
        own.map(|document| serde_json::from_value(document.clone()).unwrap()).collect()
    }

    fn spec(&mut self, kind: &str, name: &str) -> &mut Value {
        let mut all = self.0.iter_mut();
        let found = all.find(|d| d["kind"] == kind && d["metadata"]["name"] == name);
        &mut found.unwrap_or_else(|| panic!("no {kind} {name}"))["spec"]
    }

    fn planned(&self) -> Plan {
        let namespaces = self.of::<Namespace>("Namespace").into_iter();
        let labels =
            |n: Namespace| (n.metadata.name.unwrap_or_default(), n.metadata.labels.unwrap_or_default());
        let declared = Declared {
            namespaces: Some(namespaces.map(labels).collect()),
            members: self.of::<Member>("Member"),
            registries: self.of::<Registry>("Registry"),
            agreements: self.of::<ExchangeAgreement>("ExchangeAgreement"),
            ..Declared::default()
        };
        let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
        let inputs = Inputs { catalogue, declared, ..Inputs::default() };
        let stack = self.of::<Stack>("Stack").remove(0);
        plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
    }

    /// The one step of the register.
    fn step(&self, url: &str) -> Step {
        let order = ["registry".to_owned()];
        let steps = steps::of_plan(&self.planned(), "kinto", &order, &[], url);
        let mut steps = steps.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(steps.len(), 1);
        steps.remove(0)
    }
}

/// Takes a step; how many of its calls made something.
fn take(step: &Step) -> u32 {
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.said);
    let password = &step.variables["ADMINISTRATOR_PASSWORD"];
    assert!(!ran.said.contains(password.as_str()), "{}", ran.said);
    ran.made
}

/// A file of a ConfigMap of the plan.
fn file(plan: &Plan, map: &str, name: &str) -> String {
    let found = plan.objects().find(|o| o.key.kind == "ConfigMap" && o.key.name == map);
    let text = found.and_then(|o| o.body["data"][name].as_str());
    text.unwrap_or_else(|| panic!("no {map}/{name}")).to_owned()
}

/// What the exchange puts the service's paths behind.
fn base_path(plan: &Plan) -> String {
    let routes = file(plan, "gateway-exchange-routes", "routes.yaml");
    let rewrite = Regex::new(r#"prefix_rewrite: "(/[^"]*[^/"])","#).unwrap();
    rewrite.captures(&routes).unwrap_or_else(|| panic!("{routes}"))[1].to_owned()
}

fn person(name: &str) -> Value {
    json!({ "data": { "givenName": name, "familyName": "Tamm", "born": "1980-01-08" } })
}

#[test]
#[ignore = "long, and fetches a product: e2e/all products"]
fn a_register_holds_records_that_its_own_agency_keeps_and_others_read_through_the_exchange() {
    let mut country = Country::read();
    let plan = country.planned();
    let mut database = PostgreSql::start("registry_persons");
    let mut kinto = Kinto::new(&plan, &database.url);
    let step = country.step(&kinto.url);
    let password = step.variables["ADMINISTRATOR_PASSWORD"].clone();

    // Prepared twice: tables, administrator and indexes are made once.
    let first = kinto.prepare(&plan, &password);
    assert_eq!(first.matches(": made").count(), 2, "{first}");
    let again = kinto.prepare(&plan, &password);
    assert_eq!((again.matches(": made").count(), again.matches(": is there").count()), (0, 2), "{again}");
    kinto.start();

    // Told twice: made, then adopted.
    assert_eq!(take(&step), 3);
    assert_eq!(take(&step), 0);

    let records = base_path(&plan);
    let call = |kinto: &Kinto, method: &str, rest: &str, client: Option<&str>, body: Option<&Value>| {
        kinto.call(method, &format!("{records}{rest}"), client, body)
    };

    // Its agency writes; a key is one person's.
    let (status, made) = kinto.create(&format!("{records}{MARI}"), DESK, &person("Mari"));
    assert_eq!(status, 201, "{made}");
    let (status, _) = kinto.create(&format!("{records}{MARI}"), DESK, &person("Another"));
    assert_eq!(status, 412, "the key is taken");
    for (rest, wrong) in [
        ("/3800108571", person("Short")),
        ("/38001085719", json!({ "data": { "givenName": "Mari", "familyName": "Tamm" } })),
        ("/38001085719", json!({ "data": { "givenName": "", "familyName": "Tamm", "born": "1980-01-08" } })),
        ("/38001085719", json!({ "data": { "givenName": "M", "familyName": "T", "born": "1", "more": 1 } })),
    ] {
        let (status, said) = call(&kinto, "PUT", rest, DESK, Some(&wrong));
        assert_eq!((status, &said["errno"]), (400, &json!(107)), "{rest} {wrong}: {said}");
    }

    // Others read by key and by property, and do not write.
    let (status, found) = call(&kinto, "GET", MARI, GRANTS, None);
    assert_eq!((status, &found["data"]["givenName"]), (200, &json!("Mari")), "{found}");
    let (_, found) = call(&kinto, "GET", "?familyName=Tamm&givenName=Mari", GRANTS, None);
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(call(&kinto, "GET", "/39999999999", GRANTS, None).0, 404);
    for (method, rest, body) in [
        ("PUT", MARI, Some(person("Forged"))),
        ("PATCH", MARI, Some(json!({ "data": { "givenName": "Forged" } }))),
        ("POST", "", Some(person("Forged"))),
        ("DELETE", MARI, None),
    ] {
        assert_eq!(call(&kinto, method, rest, GRANTS, body.as_ref()).0, 403, "{method}");
    }

    // Nobody is somebody: no name, a name that rights give to others, the administrator's without the password.
    assert_eq!(call(&kinto, "GET", MARI, None, None).0, 401);
    for forged in ["account:admin", "xroad:ZZ/GOV/100/desk", "/buckets/registry/groups/keepers"] {
        assert_eq!(call(&kinto, "PUT", MARI, Some(forged), Some(&person("Forged"))).0, 403, "{forged}");
    }
    assert_eq!(kinto.administer("GET", "/v1/buckets/registry", "another").0, 401);

    // Records go one by one, and a register does not go at all.
    let collection = records.strip_suffix("/records").unwrap();
    for path in [records.as_str(), collection, "/v1/buckets/registry", "/v1/buckets"] {
        assert_eq!(kinto.administer("DELETE", path, &password).0, 405, "{path}");
        assert_eq!(kinto.call("DELETE", path, DESK, None).0, 405, "{path}");
    }

    // A wider schema takes more, and what stands stays as it is.
    let before = call(&kinto, "GET", MARI, GRANTS, None).1["data"].clone();
    let schema = &mut country.spec("Registry", "persons")["schema"];
    schema["properties"]["died"] = json!({ "type": "string", "format": "date" });
    // An agency's text is a text, whatever it looks like.
    let odd = "{{ env.ADMINISTRATOR_PASSWORD }} {% raw %} $(ADMINISTRATOR_PASSWORD) \"it's\"";
    schema["description"] = json!(odd);
    let widened = country.step(&kinto.url);
    assert_eq!((take(&widened), take(&widened)), (1, 0));
    let held = kinto.administer("GET", collection, &password).1;
    assert_eq!(held["data"]["schema"]["description"], odd);
    assert_eq!(call(&kinto, "GET", MARI, GRANTS, None).1["data"], before);
    let died = json!({ "data": { "died": "2026-11-01" } });
    assert_eq!(call(&kinto, "PATCH", MARI, DESK, Some(&died)).0, 200);

    // Another system of the agency writes once it is declared.
    let archive = Some("ZZ/GOV/100/archive");
    let born = json!({ "data": { "born": "1980-01-09" } });
    assert_eq!(call(&kinto, "PATCH", MARI, archive, Some(&born)).0, 403);
    let systems = country.spec("Member", "civil")["subsystems"].as_array_mut().unwrap();
    systems.push(json!({ "code": "archive", "names": { "en": "Archive", "fr": "Archives" } }));
    let joined = country.step(&kinto.url);
    assert_eq!((take(&joined), take(&joined)), (1, 0));
    assert_eq!(call(&kinto, "PATCH", MARI, archive, Some(&born)).0, 200);

    // Who changed what is written down.
    let history = kinto.administer("GET", "/v1/buckets/registry/history?record_id=38001085718", &password).1;
    let entries = history["data"].as_array().expect("entries").iter();
    let who: Vec<(&str, &str)> =
        entries.filter_map(|e| Some((e["user_id"].as_str()?, e["action"].as_str()?))).collect();
    let (desk, archive) = ("xroad:ZZ/GOV/100/desk", "xroad:ZZ/GOV/100/archive");
    assert_eq!(who, [(archive, "update"), (desk, "update"), (desk, "create")]);

    // Engine and database are killed, and nothing is lost.
    let before = call(&kinto, "GET", MARI, GRANTS, None).1["data"].clone();
    kinto.kill();
    database.crash();
    kinto.start();
    assert_eq!(call(&kinto, "GET", MARI, GRANTS, None).1["data"], before);
    assert_eq!(take(&joined), 0);
}

/// Kubernetes puts variables into the texts of those that come after them.
#[test]
fn an_agencys_schema_is_the_first_variable_so_that_it_can_name_no_other() {
    let plan = Country::read().planned();
    let job = plan.units().find(|unit| unit.id.name == "onboard-registry-persons").and_then(|u| u.job());
    let env = &job.expect("the step").body["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(env[0]["name"], "SCHEMA");
    assert!(env[0]["value"].as_str().unwrap().contains("familyName"));
}
