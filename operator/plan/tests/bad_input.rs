//! Wrong input: each finding names the field, the value and what is allowed.

use plinth_api::Stack;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, parse};
use serde_json::{Value, json};

/// A product with one of everything that can go wrong.
const PRODUCT: &str = r#"
apiVersion: plinth.dev/v1alpha1
kind: Product
metadata: { name: echo }
spec:
  block: registration
  title: Echo
  description: Answers.
  licence: Apache-2.0
  maturity: reference
  asOf: "2026-11-23"
  sources: [{ repository: none, says: made for this test }]
  versions: [{ version: "1.0", images: { echo: "example.org/echo:1.0" } }]
  parameters:
    - { name: size, type: integer, default: 3, minimum: 1, maximum: 9, description: how many }
    - { name: mode, type: string, default: fast, enum: [fast, safe], description: how }
    - { name: loud, type: boolean, default: false, description: whether }
  components:
    - name: echo
      image: echo
      resources: { sandbox: { cpu: 10m, memory: 16Mi } }
"#;

fn inputs(product: &str) -> Inputs {
    let catalogue = Catalogue::from_entries([parse(product, "echo").expect("the product parses")]);
    Inputs { catalogue, ..Inputs::default() }
}

fn stack(change: impl FnOnce(&mut Value)) -> Stack {
    let mut value = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack",
        "metadata": { "name": "test", "namespace": "dpi" },
        "spec": {
            "country": { "code": "EE" },
            "profile": "sandbox",
            "blocks": [{ "name": "registration", "product": "echo" }],
        },
    });
    change(&mut value);
    serde_json::from_value(value).expect("the stack parses")
}

fn findings(stack: &Stack, product: &str) -> String {
    match plinth_plan::plan(stack, &inputs(product)) {
        Ok(_) => String::new(),
        Err(findings) => findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn the_unchanged_stack_is_fine() {
    assert_eq!(findings(&stack(|_| {}), PRODUCT), "");
}

#[test]
fn each_wrong_field_is_named_with_its_value_and_what_is_allowed() {
    type Change = fn(&mut Value);
    let cases: &[(&str, Change, &str)] = &[
        (
            "unknown product",
            |s| s["spec"]["blocks"][0]["product"] = json!("ecko"),
            "spec.blocks[registration].product: `ecko` is not in the catalogue; it has echo",
        ),
        (
            "unknown version",
            |s| s["spec"]["blocks"][0]["version"] = json!("2.0"),
            "spec.blocks[registration].version: `2.0` of `echo` is not in the catalogue; it has 1.0",
        ),
        (
            "product in the wrong block",
            |s| s["spec"]["blocks"][0]["name"] = json!("payments"),
            "spec.blocks[payments].product: `echo` plays `registration`, not `payments`",
        ),
        (
            "two blocks of one name",
            |s| s["spec"]["blocks"] = json!([s["spec"]["blocks"][0], s["spec"]["blocks"][0]]),
            "spec.blocks[registration].name: two blocks claim the name `registration`; names are unique",
        ),
        (
            "parameter of the wrong type",
            |s| s["spec"]["blocks"][0]["parameters"] = json!({ "size": "big" }),
            "spec.blocks[registration].parameters.size: is \"big\", must be a whole number",
        ),
        (
            "parameter out of range",
            |s| s["spec"]["blocks"][0]["parameters"] = json!({ "size": 12 }),
            "spec.blocks[registration].parameters.size: is 12, must be from 1 to 9",
        ),
        (
            "parameter outside its list",
            |s| s["spec"]["blocks"][0]["parameters"] = json!({ "mode": "wild" }),
            "spec.blocks[registration].parameters.mode: is \"wild\", must be one of fast, safe",
        ),
        (
            "unknown parameter",
            |s| s["spec"]["blocks"][0]["parameters"] = json!({ "sise": 1 }),
            "spec.blocks[registration].parameters.sise: is no parameter of the product; it has size, mode, loud",
        ),
        (
            "a reference product in production",
            |s| s["spec"]["profile"] = json!("national"),
            "`echo` has maturity reference and spec.profile is national: it is for profile sandbox only",
        ),
        (
            "neither product nor external",
            |s| drop(s["spec"]["blocks"][0].as_object_mut().expect("object").remove("product")),
            "spec.blocks[registration].product: give either product (Plinth installs it) or external (it already runs)",
        ),
        (
            "a catalogue that this binary does not carry",
            |s| s["spec"]["catalogue"] = json!({ "revision": format!("sha256:{}", "0".repeat(64)) }),
            "spec.catalogue.revision: `sha256:0000000000000000000000000000000000000000000000000000000000000000` is not in",
        ),
        (
            "an override that matches nothing",
            |s| s["spec"]["overrides"] = json!([{ "name": "x", "match": { "kind": "Pod" }, "patch": {} }]),
            "spec.overrides[x].match: matches no object; `plinth plan` lists them",
        ),
        (
            "an override of identity",
            |s| {
                s["spec"]["overrides"] = json!([{
                    "name": "x", "match": {}, "patch": { "metadata": { "name": "other" } },
                }]);
            },
            "spec.overrides[x].patch.metadata.name: cannot be overridden",
        ),
        (
            "a moving tag",
            |s| {
                s["spec"]["images"] =
                    json!({ "rewrites": [{ "from": "example.org/echo:1.0", "to": "echo:latest" }] })
            },
            "`echo:latest` has a tag that moves",
        ),
        (
            "a product that is to be replaced by nothing",
            |s| s["spec"]["catalogue"] = json!({ "replaces": ["echo"] }),
            "spec.catalogue.replaces: `echo` is replaced by nothing: apply a Product of that name",
        ),
        (
            "a place for a block that there is none of",
            |s| {
                s["spec"]["placement"] = json!({ "blocks": [{ "block": "registry", "clusters": ["north"] }] })
            },
            "spec.placement.blocks[registry].block: `registry` is no block; allowed are registration",
        ),
        (
            "a cluster that has to have what there is none of",
            |s| s["spec"]["placement"] = json!({ "default": { "capabilities": ["gateway"] } }),
            "spec.placement.default.capabilities: `gateway` is no capability of a cluster; allowed are cert-manager",
        ),
        (
            "a law for a block that there is none of",
            |s| {
                let rule = json!({ "name": "home", "blocks": ["registry"], "jurisdiction": ["EE"] });
                s["spec"]["placement"] = json!({ "residency": [rule] });
            },
            "spec.placement.residency[home].blocks: `registry` is no block; allowed are registration",
        ),
        (
            "no digest where one is required",
            |s| s["spec"]["images"] = json!({ "requireDigest": true }),
            "`example.org/echo:1.0` has no digest and spec.images.requireDigest is true",
        ),
    ];
    for (name, change, expected) in cases {
        let found = findings(&stack(change), PRODUCT);
        assert!(found.contains(expected), "{name}:\n  expected: {expected}\n  found: {found}");
    }
}

#[test]
fn each_wrong_entry_is_named_with_what_exists() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("unknown image", "image: echo", "image: ecko", "version 1.0 has no image `ecko`; it has echo"),
        (
            "template that fails",
            "  components:",
            "  configs: [{ name: c, files: [{ name: f, template: '{{ params.nope }}' }] }]\n  components:",
            "spec.configs[c].files[f]",
        ),
        (
            "expression that fails",
            "      image: echo",
            "      image: echo\n      env: [{ name: A, cel: 'params.size +' }]",
            "spec.components[echo].env[A]: `params.size +` is not a CEL expression",
        ),
        (
            "reference into nothing",
            "      image: echo",
            "      image: echo\n      env: [{ name: A, ref: params.sise }]",
            "spec.components[echo].env[A]: `params.sise`: `params` has no `sise`",
        ),
        (
            "component that waits for itself",
            "      image: echo",
            "      image: echo\n      after: [echo]",
            "components wait for each other: registration/echo -> registration/echo",
        ),
        (
            "component that waits for nobody",
            "      image: echo",
            "      image: echo\n      after: [ecko]",
            "`ecko` is no component; the entry has echo",
        ),
        (
            "object of a kind that is not allowed",
            "  components:",
            "  objects: [{ name: r, object: { apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole } }]\n  components:",
            "rbac.authorization.k8s.io/v1 ClusterRole is not an allowed kind",
        ),
        (
            "a product that cannot be installed",
            "  components:",
            "  unavailable: { reason: It is a drawing., instead: Take echo2. }\n  components:",
            "spec.blocks[registration].product: `echo` cannot be installed: It is a drawing. Instead: Take echo2.",
        ),
        (
            "a choice that the profile refuses",
            "  components:",
            "  refusals: [{ profiles: [sandbox], when: params.size == 3, reason: Three is a mock., instead: Take 4. }]\n  components:",
            "spec.blocks[registration].product: `echo` is refused in profile sandbox: Three is a mock. Instead: Take 4.",
        ),
        (
            "a path out of the cluster to no address",
            "      image: echo",
            "      image: echo\n      egress: [{ ports: [443], to: \"['everywhere']\", reason: test }]",
            "spec.components[echo].egress[0].to: \"everywhere\" is no network range",
        ),
        (
            "a step of an unknown image",
            "      image: echo",
            "      image: echo\n      init: [{ name: first, image: ecko }]",
            "spec.components[echo].init[first].image: version 1.0 has no image `ecko`; it has echo",
        ),
        (
            "a step with the component's name",
            "      image: echo",
            "      image: echo\n      init: [{ name: echo, image: echo }]",
            "spec.components[echo].init[echo]: has the component's own name; name the step otherwise",
        ),
        (
            "a public key of no private one",
            "  components:",
            "  secrets: [{ name: s, keys: [{ name: k, publicKeyOf: p }] }]\n  components:",
            "spec.secrets[s].keys[k]: `p` is no keyPair of secret `s`",
        ),
        (
            "a secret value that is made in two ways",
            "  components:",
            "  secrets: [{ name: s, keys: [{ name: k, generate: {}, keyPair: { algorithm: EcP256 } }] }]\n  components:",
            "spec.secrets[s].keys[k]: give exactly one of generate, keyPair",
        ),
        (
            "secret in a plain variable",
            "  components:",
            "  secrets: [{ name: s, keys: [{ name: k, generate: {} }] }]\n  components:\n    - { name: other, image: echo, resources: { sandbox: { cpu: 1m, memory: 1Mi } }, env: [{ name: A, cel: \"'x' + secrets.s.k\" }] }",
            "mixes text and a secret",
        ),
    ];
    for (name, from, to, expected) in cases {
        let found = findings(&stack(|_| {}), &PRODUCT.replacen(from, to, 1));
        assert!(found.contains(expected), "{name}:\n  expected: {expected}\n  found: {found}");
    }
}

#[test]
fn an_unknown_field_of_an_entry_is_an_error_not_silence() {
    let typo = PRODUCT.replace("maximum: 9", "maximun: 9");
    let error = parse(&typo, "echo").expect_err("the typo is found").to_string();
    assert_eq!(error, "echo: spec.parameters[0].maximun: is not a field of the catalogue's language");
}

#[test]
fn a_provider_that_the_catalogue_does_not_have_is_named_with_those_it_has() {
    let needy =
        PRODUCT.replace("  components:", "  requires: [{ name: db, capability: store }]\n  components:");
    let store = PRODUCT
        .replace("name: echo }", "name: store }")
        .replace("  block: registration\n", "  role: Backing\n  provides: [{ capability: store }]\n");
    let entries = [&needy, &store].map(|text| parse(text, "test").expect("the product parses"));
    let inputs = Inputs { catalogue: Catalogue::from_entries(entries), ..Inputs::default() };
    let operator =
        stack(|s| s["spec"]["backing"] = json!([{ "capability": "store", "provider": "Operator" }]));
    let findings = plinth_plan::plan(&operator, &inputs).expect_err("nobody runs it");
    assert_eq!(
        findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "spec.backing[store].provider: is Operator, and the catalogue has no such provider of `store`; it has Embedded, External"
        ]
    );
}

#[test]
fn a_replacement_takes_the_place_of_a_built_in_product_only_where_the_stack_says_so() {
    let mut built = parse(PRODUCT, "echo").expect("the product parses");
    built.builtin = true;
    let own =
        parse(&PRODUCT.replace("example.org/echo:1.0", "own.example/echo:1.0"), "own").expect("it parses");
    let catalogue = Catalogue::from_entries([built]).with_products([(own.name, (*own.spec).clone())]);
    let inputs = Inputs { catalogue, ..Inputs::default() };
    let image = |stack: &Stack| {
        let plan = plinth_plan::plan(stack, &inputs).expect("a plan");
        let image = |o: &plinth_plan::model::Desired| {
            o.body
                .pointer("/spec/template/spec/containers/0/image")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        plan.objects().find_map(image).expect("a workload")
    };
    assert_eq!(image(&stack(|_| {})), "example.org/echo:1.0");
    let replaced = stack(|s| s["spec"]["catalogue"] = json!({ "replaces": ["echo"] }));
    assert_eq!(image(&replaced), "own.example/echo:1.0");
}

#[test]
fn a_requirement_that_nobody_meets_blocks_the_block_alone() {
    let needy = PRODUCT
        .replace("  components:", "  requires: [{ name: issuer, capability: oidc-issuer }]\n  components:");
    let plan = plinth_plan::plan(&stack(|_| {}), &inputs(&needy)).expect("the Stack itself is valid");
    let blocked = plan.blocks[0].blocked.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(
        blocked.contains("`echo` requires `oidc-issuer` and no block of the Stack provides it"),
        "{blocked}"
    );
    assert!(plan.blocks[0].units.is_empty());
}
