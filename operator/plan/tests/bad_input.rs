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
