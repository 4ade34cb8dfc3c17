//! Plans from the catalogues of earlier versions. A digest that changes is a newer Plinth that writes to workloads of a Stack that asked for
//! nothing: what is rendered anew needs a place in the catalogue, not in the renderer.

use std::collections::BTreeMap;

use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogues;
use serde::Deserialize as _;
use serde_json::Value;

/// Examples with one Stack and nothing that agencies declare.
const EXAMPLES: [&str; 3] = ["smallest", "country", "nation"];

#[test]
fn an_earlier_catalogue_is_rendered_as_it_was() {
    let carried = Catalogues::builtin().expect("the catalogues are whole");
    let mut plans = BTreeMap::new();
    for (revision, _) in carried.revisions().skip(1) {
        let catalogue = carried.get(revision).expect("it is understood").clone();
        let inputs = Inputs { catalogue, ..Inputs::default() };
        for example in EXAMPLES {
            let plan = plinth_plan::plan(&stack(example), &inputs).expect("a plan");
            plans.insert(format!("{example} by {}", &revision[.."sha256:".len() + 12]), plan.hash);
        }
    }
    insta::assert_json_snapshot!(plans);
}

fn stack(example: &str) -> Stack {
    let path = format!("{}/../../examples/{example}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the example is there");
    let documents = serde_yaml::Deserializer::from_str(&text);
    let values = documents.map(|document| Value::deserialize(document).expect("YAML"));
    let found = values.into_iter().find(|value| value["kind"] == "Stack").expect("a Stack");
    serde_json::from_value(found).expect("a Stack")
}
