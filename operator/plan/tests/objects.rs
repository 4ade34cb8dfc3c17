//! Parameters that are lists of objects: checked field by field, with defaults filled in, and one instance for each.

use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, parse};
use plinth_plan::model::Plan;
use serde_json::{Value, json};

/// A product that writes down what it is given.
const PRODUCT: &str = r#"
apiVersion: plinth.dev/v1alpha1
kind: Product
metadata: { name: bank }
spec:
  block: x-bank
  title: Bank
  description: Counts.
  licence: Apache-2.0
  maturity: stable
  asOf: "2026-11-23"
  sources: [{ repository: none, says: made for this test }]
  versions: [{ version: "1.0", images: { bank: "example.org/bank:1.0" } }]
  parameters:
    - name: banks
      type: objects
      description: who takes part
      default: []
      fields:
        - { name: name, type: string, description: name, pattern: "[a-z]+" }
        - { name: currency, type: string, description: what it deals in, enum: [XTS, XXX], default: XTS }
        - { name: limit, type: integer, description: how much, minimum: 0, maximum: 9 }
        - { name: open, type: boolean, description: whether, default: true }
        - { name: networks, type: strings, description: where from, default: [] }
  configs:
    - name: bank
      forEach: { list: params.banks, key: item.name }
      files:
        - { name: bank.txt, template: "{{ item.name }} {{ item.currency }} {{ item.limit }} {{ item.open|tojson }} {{ item.networks|length }}" }
  components:
    - name: bank
      forEach: { list: params.banks, key: item.name }
      image: bank
      resources: { sandbox: { cpu: 10m, memory: 16Mi } }
      env: [{ name: LIMIT, ref: item.limit }]
      mounts: [{ path: /etc/bank, config: bank }]
"#;

fn planned(product: &str, banks: &Value) -> Result<Plan, String> {
    let stack: Stack = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "test", "namespace": "dpi" },
        "spec": {
            "country": { "code": "ZZ" },
            "profile": "sandbox",
            "blocks": [{ "name": "x-bank", "product": "bank", "parameters": { "banks": banks } }],
        },
    }))
    .expect("the Stack parses");
    let catalogue = Catalogue::from_entries([parse(product, "bank").expect("the product parses")]);
    plinth_plan::plan(&stack, &Inputs { catalogue, ..Inputs::default() })
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_object_has_an_instance_of_its_own_with_its_defaults_filled_in() {
    let banks = json!([
        { "name": "green", "limit": 5 },
        { "name": "blue", "limit": 0, "currency": "XXX", "open": false, "networks": ["192.0.2.0/24"] },
    ]);
    let plan = planned(PRODUCT, &banks).expect("a plan");
    let text = |name: &str| {
        let config = plan.objects().find(|o| o.key.kind == "ConfigMap" && o.key.name == name);
        config.unwrap_or_else(|| panic!("no {name}")).body["data"]["bank.txt"].clone()
    };
    assert_eq!(text("bank-bank-green"), "green XTS 5 true 0");
    assert_eq!(text("bank-bank-blue"), "blue XXX 0 false 1");
    assert!(plan.units().any(|unit| unit.id.name == "bank-green"));
    assert_eq!(
        planned(PRODUCT, &json!([])).expect("a plan").units().filter(|unit| unit.component).count(),
        0
    );
}

#[test]
fn what_is_wrong_with_an_object_is_named_with_its_place() {
    let at = "spec.blocks[x-bank].parameters.banks";
    for (banks, wanted) in [
        (json!("green"), ": is \"green\", must be a list of objects"),
        (json!(["green"]), "[0]: is \"green\", must be an object"),
        (json!([{ "name": "green" }]), "[0].limit: is required: how much"),
        (json!([{ "limit": 1 }]), "[0].name: is required: name"),
        (json!([{ "name": "Green", "limit": 1 }]), "[0].name: is \"Green\", must be of the form [a-z]+"),
        (json!([{ "name": "green", "limit": 10 }]), "[0].limit: is 10, must be from 0 to 9"),
        (json!([{ "name": "green", "limit": "1" }]), "[0].limit: is \"1\", must be a whole number"),
        (
            json!([{ "name": "green", "limit": 1, "currency": "ABC" }]),
            "[0].currency: is \"ABC\", must be one of XTS, XXX",
        ),
        (
            json!([{ "name": "green", "limit": 1, "networks": "all" }]),
            "[0].networks: is \"all\", must be a list of texts",
        ),
        (
            json!([{ "name": "green", "limit": 1, "cap": 1 }]),
            "[0].cap: is no field of its objects; it has name, currency, limit, open, networks",
        ),
        (
            json!([{ "name": "green", "limit": 1 }, { "name": "green", "limit": 2 }]),
            "[1].name: is \"green\" once more; names must differ",
        ),
    ] {
        let found = planned(PRODUCT, &banks).err().unwrap_or_default();
        assert!(found.contains(&format!("{at}{wanted}")), "{banks}: {found}");
    }
}

#[test]
fn objects_that_nothing_tells_apart_are_refused() {
    for nameless in ["name: title, type: string", "name: name, type: strings"] {
        let product = PRODUCT.replace("name: name, type: string", nameless);
        let found = planned(&product, &json!([])).err().unwrap_or_default();
        assert!(found.contains("the product declares no field `name` for it"), "{found}");
    }
}
