//! Admission policies that come with the kinds: what CEL inside a CRD cannot say, because it needs to know who asks.

use serde_json::{Value, json};

use crate::names;

/// Every admission object, for an operator that runs as the user `operator`.
pub fn objects(operator: &str) -> Vec<Value> {
    let mut objects = author();
    objects.extend(only_the_operator(operator));
    objects
}

/// Stamps [`names::ANNOTATION_AUTHOR`] (and the groups) with who changed the spec of a Stack or asked an Operation. A write
/// that leaves the spec alone keeps the author, so that nobody can put another name there.
fn author() -> Vec<Value> {
    let name = "plinth-author";
    let stamp = |key: &str, value: &str| {
        format!(
            "'{key}': oldObject != null && object.spec == oldObject.spec \
               ? (has(oldObject.metadata.annotations) && '{key}' in oldObject.metadata.annotations \
                   ? oldObject.metadata.annotations['{key}'] : '') \
               : {value}"
        )
    };
    let expression = format!(
        "Object{{metadata: Object.metadata{{annotations: {{{}, {}}}}}}}",
        stamp(names::ANNOTATION_AUTHOR, "request.userInfo.username"),
        stamp(
            names::ANNOTATION_AUTHOR_GROUPS,
            r"(has(request.userInfo.groups) ? request.userInfo.groups.join('\n') : '')",
        ),
    );
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "matchConstraints": {
                    "resourceRules": [{
                        "apiGroups": [names::GROUP],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["stacks", "operations"],
                    }],
                },
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [{
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": { "expression": expression },
                }],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name },
        }),
    ]
}

/// A `BuildingBlock` is written by Plinth alone.
fn only_the_operator(operator: &str) -> Vec<Value> {
    let name = "plinth-building-blocks";
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "matchConstraints": {
                    "resourceRules": [{
                        "apiGroups": [names::GROUP],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["buildingblocks"],
                    }],
                },
                "failurePolicy": "Fail",
                "validations": [{
                    "expression": format!(
                        "request.userInfo.username == '{operator}' || \
                         (oldObject != null && object.spec == oldObject.spec)"
                    ),
                    "message": "spec: a BuildingBlock is written by Plinth alone; change spec.blocks of its Stack",
                    "reason": "Forbidden",
                }],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        }),
    ]
}
