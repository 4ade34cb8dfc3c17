//! Accounts of synthetic people at a real Keycloak.

use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::onboarding::PORTION_VARIABLE;
use plinth_plan::people::Portions;
use serde_json::{Value, json};

use super::server::Keycloak;
use super::steps::{self, Step};
use super::take;

/// The step for so many people, in the same realm and with the same administrator, and who they are.
fn step(amount: u32, keycloak: &Keycloak) -> (Step, Portions) {
    let people = json!({ "amount": amount, "seed": 7, "country": "UA" });
    let stack = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "tried", "namespace": "dpi" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] }, "profile": "sandbox", "people": people,
            "blocks": [{ "name": "identity", "product": "keycloak", "parameters": { "realm": keycloak.realm } }],
        },
    });
    let stack: Stack = serde_json::from_value(stack).unwrap();
    let catalogue = Catalogue::builtin().unwrap_or_else(|findings| panic!("{findings:?}"));
    let plan = plinth_plan::plan(&stack, &Inputs { catalogue, ..Inputs::default() });
    let plan = plan.unwrap_or_else(|findings| panic!("{findings:?}"));
    let mut steps = steps::of_plan(&plan, "keycloak", &["people".to_owned()], &[], &keycloak.url).unwrap();
    assert_eq!(steps.len(), 1, "a sandbox that asks for no client has no other step");
    (steps.remove(0), Portions::of(&serde_json::from_value(people).unwrap()))
}

/// Loads a portion; how many calls made something.
fn load(step: &mut Step, portion: u32) -> u32 {
    step.variables.insert(PORTION_VARIABLE.to_owned(), portion.to_string());
    take(std::slice::from_ref(step))
}

/// Everybody has an account, as made up; again nobody is made, and more people join those that are there.
pub fn have_accounts_once(keycloak: &Keycloak) {
    let others = keycloak.users().len();
    let (mut first, portions) = step(100, keycloak);
    assert_eq!((load(&mut first, 0), load(&mut first, 0)), (1, 0));
    let users = keycloak.users();
    assert_eq!(users.len(), others + 100);
    for person in portions.people(0) {
        let user = users.iter().find(|user| user["username"] == person["id"]);
        let user = user.unwrap_or_else(|| panic!("{person} has no account"));
        let held = ["firstName", "lastName", "email"].map(|field| &user[field]);
        assert_eq!(held, ["givenName", "familyName", "email"].map(|field| &person[field]));
        assert_eq!(user["enabled"], true);
    }
    let (mut more, _) = step(150, keycloak);
    assert_eq!((load(&mut more, 0), load(&mut more, 1), load(&mut more, 1)), (0, 1, 0));
    let ids = |users: &[Value]| {
        users.iter().map(|user| user["id"].to_string()).collect::<std::collections::BTreeSet<_>>()
    };
    let after = keycloak.users();
    assert_eq!(after.len(), others + 150);
    assert!(ids(&users).is_subset(&ids(&after)), "who was there is who he was");
}
