//! What bends first when many people come at once.

mod documents;
mod exchange_world;

use documents::Example;
use exchange_world::{compiled, inputs, object, world};
use kube::ResourceExt;
use plinth_api::Stack;
use plinth_plan::exchange::compile;
use plinth_plan::surge::{Demand, Kind, Rush, Surge, surge};
use serde_json::{Value, json};

/// The small country, changed; 864,000 people a day are ten a second.
fn rush(load: f64, change: impl FnOnce(&mut Vec<Value>)) -> Surge {
    let mut objects = world();
    object(&mut objects, "PublicService", "birth")["spec"]["load"] =
        json!({ "daily": 100, "peakDaily": 864_000 });
    change(&mut objects);
    surge(&compiled(&objects), &inputs(&objects).declared.registries, Rush { load, hours: 24.0 })
}

fn of(surge: &Surge, kind: Kind) -> &Demand {
    surge.demands.iter().find(|demand| demand.kind == kind).unwrap_or_else(|| panic!("{kind:?}: {surge:#?}"))
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn people_times_calls_reach_the_service_its_registry_and_the_agreement() {
    let surge = rush(1.0, |objects| {
        object(objects, "PublicService", "birth")["spec"]["uses"]["services"][0]["callsPerPerson"] = json!(3);
        object(objects, "ExchangeAgreement", "births-to-app")["spec"]["rateLimit"] =
            json!({ "requests": 1200, "per": "Minute" });
    });
    for (kind, name, capacity) in [
        (Kind::Service, "UA/GOV/2/register/births", None),
        (Kind::Registry, "births", None),
        (Kind::Agreement, "civil/births-to-app for UA/GOV/1/app", Some(20.0)),
    ] {
        let demand = of(&surge, kind);
        assert_eq!((demand.name.as_str(), demand.capacity), (name, capacity));
        assert!(is_near(demand.per_second, 30.0), "{demand:?}");
        assert!(is_near(demand.by["app/birth"], 30.0), "{demand:?}");
    }
    assert!(of(&surge, Kind::Agreement).is_over(), "30 come, 20 are let through");
    assert!(!of(&surge, Kind::Registry).is_over(), "nobody says what it bears");
}

#[test]
fn what_bends_at_the_smallest_load_comes_first() {
    let bears = |service: u32, registry: u32| {
        rush(2.0, |objects| {
            let services = &mut object(objects, "Member", "civil")["spec"]["subsystems"][0]["services"];
            services[0]["capacity"] = json!({ "requests": service, "per": "Second" });
            object(objects, "Registry", "births")["spec"]["capacity"] =
                json!({ "requests": registry, "per": "Second" });
        })
    };
    let surge = bears(50, 15);
    assert_eq!(surge.demands[0].kind, Kind::Registry);
    assert!(surge.demands[0].is_over(), "20 come, 15 are borne");
    assert!(is_near(surge.demands[0].bends_at.expect("it says"), 1.5));
    assert!(!of(&surge, Kind::Service).is_over());
    assert_eq!(bears(15, 50).demands[0].kind, Kind::Service);
}

#[test]
fn what_is_not_granted_is_not_called_and_what_says_no_load_is_named() {
    let ungranted = rush(1.0, |objects| objects.retain(|object| object["kind"] != "ExchangeAgreement"));
    assert!(ungranted.demands.is_empty(), "{ungranted:#?}");
    let unsaid = rush(1.0, |objects| {
        drop(
            object(objects, "PublicService", "birth")["spec"]
                .as_object_mut()
                .expect("an object")
                .remove("load"),
        );
    });
    assert_eq!((unsaid.demands.len(), unsaid.unknown), (0, vec!["app/birth".to_owned()]));
}

#[test]
fn half_the_hours_are_twice_the_calls() {
    let objects = {
        let mut objects = world();
        object(&mut objects, "PublicService", "birth")["spec"]["load"] = json!({ "daily": 864_000 });
        objects
    };
    let of_hours = |hours: f64| {
        let registries = inputs(&objects).declared.registries;
        surge(&compiled(&objects), &registries, Rush { load: 1.0, hours }).demands[0].per_second
    };
    assert!(is_near(of_hours(24.0), 10.0) && is_near(of_hours(12.0), 20.0));
}

/// 2.5 million applications in 24 hours are 29 a second, which Ukraine has met.
#[test]
fn ukraines_day_is_what_it_was() {
    let example = Example::all().into_iter().find(|example| example.name == "ukraine").expect("it is there");
    let (stack, inputs) = (example.of::<Stack>().remove(0), example.inputs());
    let compiled = compile(&stack, &inputs.catalogue, &inputs.declared);
    let surge = surge(&compiled, &inputs.declared.registries, Rush { load: 1.0, hours: 24.0 });
    let support = example
        .of::<plinth_api::PublicService>()
        .into_iter()
        .find(|service| service.spec.load.as_ref().is_some_and(|load| load.peak_daily == Some(2_500_000)));
    let support = support.expect("a service is planned for it");
    let name = format!("{}/{}", support.namespace().unwrap_or_default(), support.name_any());
    let most = surge.demands.iter().filter_map(|demand| demand.by.get(&name)).copied().fold(0.0, f64::max);
    assert!((28.9..29.0).contains(&most), "{most}");
}
