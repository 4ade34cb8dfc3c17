//! The country of tests that need one for a product or two.

use plinth_api::Stack;
use serde_json::{Value, json};

/// A Stack of this profile with these blocks.
pub fn stack(profile: &str, blocks: Value) -> Stack {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "land", "namespace": "gov" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en"], "currencies": ["XTS"] },
            "profile": profile,
            "site": { "domain": "land.example" },
            "blocks": blocks,
        },
    }))
    .expect("the test's Stack is well-formed")
}
