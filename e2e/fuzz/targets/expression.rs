//! CEL and templates of an entry: each ends, with a value or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plinth_plan::expr::Scope;
use serde_json::{Value, json};

fuzz_target!(|source: &str| {
    let Value::Object(vars) = json!({
        "params": { "replicas": 2, "host": "id.example", "flags": [true, false], "nested": { "a": [1, "x", null] } },
        "stack": { "name": "novaria", "namespace": "default" },
        "profile": "standard",
    }) else {
        return;
    };
    let scope = Scope::new(vars);
    let _ = scope.cel(source);
    let _ = scope.expression(source);
    let _ = scope.template("fuzzed", source);
    let _ = scope.embedded(&Value::String(source.to_owned()), "spec");
});
