//! A catalogue entry of one's own: whatever a `Product` says, it is an entry or an error, and a Stack of it has a plan or
//! findings.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, parse};
use serde_json::json;

static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::builtin().expect("the catalogue is sound"));

fuzz_target!(|text: &str| {
    let Ok(entry) = parse(text, "product.yaml") else { return };
    let Some(version) = entry.spec.versions.iter().map(|v| v.version.clone()).next() else { return };
    let stack = json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "fuzzed", "namespace": "default", "uid": "0" },
        "spec": {
            "country": { "code": "EE" },
            "blocks": [{ "name": entry.spec.block.as_deref().unwrap_or("x-fuzzed"), "product": entry.name, "version": version }],
        },
    });
    let Ok(stack) = serde_json::from_value::<Stack>(stack) else { return };
    let inputs = Inputs { catalogue: BUILTIN.clone().with_entries([entry]), ..Inputs::default() };
    let _ = plinth_plan::plan(&stack, &inputs);
});
