//! A registry's JSON Schema: what is wrong with it is found; no schema is narrower than itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plinth_plan::exchange::schema::check;
use plinth_plan::exchange::widening::narrowings;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let (one, other) = text.split_once('\n').unwrap_or((text, "true"));
    let Ok(one) = serde_json::from_str::<Value>(one) else { return };
    // What is no schema is refused before two are compared.
    if !check(&one, "spec.schema").is_empty() {
        return;
    }
    assert!(narrowings(&one, &one).is_empty(), "narrower than itself: {one}");
    if let Ok(other) = serde_json::from_str::<Value>(other)
        && check(&other, "spec.schema").is_empty()
    {
        let _ = narrowings(&one, &other);
    }
});
