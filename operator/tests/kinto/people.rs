//! Synthetic people as records of a real register: everybody once, as they were made up, however often they are loaded.

use plinth_plan::onboarding::PORTION_VARIABLE;
use plinth_plan::people::Portions;
use serde_json::{Map, Value, json};

use super::postgresql::PostgreSql;
use super::server::Kinto;
use super::steps::{self, Step};
use super::{Country, DESK, base_path, take};

/// The register with so many people of Estonia, whose identifiers its schema has.
fn with_people(amount: u32) -> (Country, Portions) {
    let people = json!({ "amount": amount, "seed": 7, "country": "EE" });
    let mut country = Country::read();
    country.spec("Registry", "persons")["people"] = json!(true);
    country.spec("Stack", "registers")["people"] = people.clone();
    (country, Portions::of(&serde_json::from_value(people).unwrap()))
}

/// The step of the register, and that of its people.
fn steps(country: &Country, url: &str) -> [Step; 2] {
    let order = ["registry", "people"].map(str::to_owned);
    let steps = steps::of_plan(&country.planned(), "kinto", &order, &[], url);
    steps.unwrap_or_else(|why| panic!("{why}")).try_into().unwrap_or_else(|_| panic!("two steps"))
}

/// Loads a portion, as the pod does that Kubernetes gives it to; how many people were made.
fn load(step: &mut Step, portion: u32) -> u32 {
    step.variables.insert(PORTION_VARIABLE.to_owned(), portion.to_string());
    take(step)
}

/// What the register is given of somebody.
fn record(person: &Value) -> Map<String, Value> {
    let known = ["id", "givenName", "familyName", "born", "guardian"];
    let all = person.as_object().expect("a person").clone();
    all.into_iter().filter(|(name, _)| known.contains(&name.as_str())).collect()
}

#[test]
#[ignore = "long, and fetches a product: e2e/all products"]
fn a_hundred_people_are_loaded_once_as_they_were_made_up_and_more_join_them() {
    let (country, portions) = with_people(100);
    let plan = country.planned();
    let database = PostgreSql::start("registry_persons");
    let mut kinto = Kinto::new(&plan, &database.url);
    let [register, mut people] = steps(&country, &kinto.url);
    kinto.prepare(&plan, &register.variables["ADMINISTRATOR_PASSWORD"]);
    kinto.start();
    assert_eq!(take(&register), 3);

    let records = base_path(&plan);
    let held = |kinto: &Kinto, person: &Value| -> Value {
        let id = person["id"].as_str().expect("an identifier");
        let (status, found) = kinto.call("GET", &format!("{records}/{id}"), DESK, None);
        assert_eq!(status, 200, "{person}: {found}");
        found["data"].clone()
    };
    assert_eq!(load(&mut people, 0), 100);
    let before: Vec<Value> = portions.people(0).iter().map(|person| held(&kinto, person)).collect();
    for (person, found) in portions.people(0).iter().zip(&before) {
        let mut found = found.as_object().expect("a record").clone();
        // Kinto's own: when it was written, and which schema it was held against.
        assert!(found.remove("last_modified").is_some() && found.remove("schema").is_some());
        assert_eq!(found, record(person));
    }
    assert!(before.iter().any(|record| record.get("guardian").is_some()), "families");

    // Again: nothing is written, not even the same.
    assert_eq!(load(&mut people, 0), 0);
    let again: Vec<Value> = portions.people(0).iter().map(|person| held(&kinto, person)).collect();
    assert_eq!(again, before);

    // More are asked for: the first stay, with what their agency has made of them since.
    let somebody = portions.people(0)[17].clone();
    let path = format!("{records}/{}", somebody["id"].as_str().unwrap());
    let married = json!({ "data": { "familyName": "Another" } });
    assert_eq!(kinto.call("PATCH", &path, DESK, Some(&married)).0, 200);
    let (more, portions) = with_people(120);
    let [_, mut people] = steps(&more, &kinto.url);
    assert_eq!((load(&mut people, 0), load(&mut people, 1), load(&mut people, 1)), (0, 20, 0));
    assert_eq!(held(&kinto, &somebody)["familyName"], "Another");
    for person in portions.people(1) {
        held(&kinto, &person);
    }
}
