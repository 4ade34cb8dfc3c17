//! A Stack, as a person writes it: a plan or findings, never the end of the operator.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use plinth_api::Stack;
use plinth_plan::Inputs;

static INPUTS: LazyLock<Inputs> = LazyLock::new(Inputs::default);

fuzz_target!(|text: &str| {
    let Ok(stack) = serde_yaml::from_str::<Stack>(text) else { return };
    let _ = plinth_plan::plan(&stack, &INPUTS);
});
