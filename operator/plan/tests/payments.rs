//! A payment hub that leaves parts of Mojaloop out: what is left out is named nowhere, and what needs it is refused.

mod land;

use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::model::{Finding, Plan};
use serde_json::{Value, json};

fn planned(profile: &str, parameters: Value) -> Result<Plan, Vec<Finding>> {
    let stack = land::stack(
        profile,
        json!([{ "name": "payments", "product": "mojaloop", "parameters": parameters }]),
    );
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:#?}"));
    plinth_plan::plan(&stack, &Inputs { catalogue, ..Inputs::default() })
}

/// Which of these words stand in some object of the plan, be it in a name, a file or a variable.
fn named<'w>(plan: &Plan, words: &[&'w str]) -> Vec<&'w str> {
    let objects: Vec<String> = plan.objects().map(|object| object.body.to_string()).collect();
    words.iter().copied().filter(|word| objects.iter().any(|object| object.contains(word))).collect()
}

fn refusal(profile: &str, parameters: Value) -> String {
    let found = planned(profile, parameters).expect_err("it is not refused");
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_left_out_of_a_hub_is_named_nowhere() {
    let lookup = [
        "account-lookup-service",
        "quoting-service",
        "account_lookup",
        "topic-quotes-post",
        "topic-fx-quotes-get",
    ];
    let settlement = ["central-settlement", "centralsettlement-service", "topic-deferredsettlement-close"];
    let both = [&lookup[..], &settlement[..]].concat();
    let all = planned("sandbox", json!({})).unwrap();
    assert_eq!(named(&all, &both), both);
    let none = planned("sandbox", json!({ "lookupAndQuoting": false, "settlement": false })).unwrap();
    assert_eq!(named(&none, &both), [""; 0]);
    let one = planned("national", json!({ "lookupAndQuoting": false })).unwrap();
    assert_eq!(named(&one, &both), settlement);
}

#[test]
fn what_needs_a_part_that_is_left_out_is_refused_with_what_to_do_instead() {
    let cases = [
        (
            "sandbox",
            json!({ "lookupAndQuoting": false, "oracle": true }),
            "Oracles are asked by account lookup",
        ),
        (
            "sandbox",
            json!({ "lookupAndQuoting": false, "oracles": ["IBAN|XTS|https://accounts.example"] }),
            "Oracles are asked",
        ),
        (
            "sandbox",
            json!({ "settlement": false, "testingToolkit": true }),
            "The testing toolkit calls account lookup",
        ),
        ("national", json!({ "settlement": false }), "nobody would settle them"),
    ];
    for (profile, parameters, why) in cases {
        let said = refusal(profile, parameters.clone());
        assert!(said.contains(why) && said.contains(" Instead: "), "{parameters}: {said}");
    }
}
