//! Admission policies that come with the kinds: what CEL inside a CRD cannot say, because it needs to know who asks.

use serde_json::{Value, json};

use crate::names;

/// How the API server's names of service accounts begin.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Every admission object, for an operator that runs as the user `operator`. A person who runs it is not confined to what is
/// Plinth's: the same person may administer the cluster.
pub fn objects(operator: &str) -> Vec<Value> {
    let mut objects = author();
    objects.extend(only_the_operator(operator));
    if operator.starts_with(SERVICE_ACCOUNT) {
        objects.extend(confined(operator));
        objects.extend(only_of_sandboxes(operator));
    }
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
                "matchConstraints": of_ours(&["CREATE", "UPDATE"], &["stacks", "operations"]),
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
    denying(
        name,
        json!({
            "matchConstraints": of_ours(&["CREATE", "UPDATE"], &["buildingblocks"]),
            "failurePolicy": "Fail",
            "validations": [{
                "expression": format!(
                    "request.userInfo.username == '{operator}' || \
                     (oldObject != null && object.spec == oldObject.spec)"
                ),
                "message": "spec: a BuildingBlock is written by Plinth alone; change spec.blocks of its Stack",
                "reason": "Forbidden",
            }],
        }),
    )
}

/// Writes to kinds of Plinth's.
fn of_ours(operations: &[&str], resources: &[&str]) -> Value {
    json!({
        "resourceRules": [{
            "apiGroups": [names::GROUP],
            "apiVersions": ["*"],
            "operations": operations,
            "resources": resources,
        }],
    })
}

/// A policy, and that what it says is refused for everything that it matches.
fn denying(name: &str, spec: Value) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": spec,
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        }),
    ]
}

/// The operator writes what carries its label, and takes over nothing but what is in a namespace of a block or was handed over. RBAC
/// cannot say that: it knows no labels. The one thing that it may do to somebody else's object is to hold a Secret by a finalizer: the
/// credentials of a cluster where something runs.
pub fn confined(operator: &str) -> Vec<Value> {
    let name = "plinth-operator";
    let (label, ours, owner) = (names::LABEL_MANAGED_BY, names::MANAGED_BY, names::ANNOTATION_OWNER);
    let labelled = |object: &str| {
        format!(
            "has({object}.metadata.labels) && '{label}' in {object}.metadata.labels && \
             {object}.metadata.labels['{label}'] == '{ours}'"
        )
    };
    let handed_over = format!(
        "request.kind.kind == 'Namespace' && has(oldObject.metadata.annotations) && \
         '{owner}' in oldObject.metadata.annotations"
    );
    // Whose it is and what it holds stay as they are: only finalizers, and a label by which it is found again, change.
    let whose = format!("metadata.?labels[?'{label}']");
    let same = ["?data", "?type", "metadata.?annotations", "metadata.?ownerReferences", &whose]
        .map(|field| format!("object.{field} == oldObject.{field}"));
    let holds = format!(
        "request.operation == 'UPDATE' && request.resource.group == '' && request.resource.resource == 'secrets' && {}",
        same.join(" && ")
    );
    let own_groups = format!("['{}', 'events.k8s.io', 'coordination.k8s.io']", names::GROUP);
    denying(
        name,
        json!({
            "matchConstraints": {
                "resourceRules": [{
                    "apiGroups": ["*"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": ["*"],
                }],
            },
            "matchConditions": [
                { "name": "operator", "expression": format!("request.userInfo.username == '{operator}'") },
                { "name": "rendered", "expression": format!("!(request.resource.group in {own_groups})") },
                { "name": "stored", "expression": "!(request.resource.resource in ['subjectaccessreviews', 'selfsubjectreviews', 'tokenreviews'])" },
            ],
            "failurePolicy": "Fail",
            "variables": [{ "name": "holds", "expression": holds }],
            "validations": [
                {
                    "expression": format!("object == null || variables.holds || ({})", labelled("object")),
                    "message": format!("Plinth writes only what carries the label {label}={ours}"),
                    "reason": "Forbidden",
                },
                {
                    "expression": format!(
                        "oldObject == null || variables.holds || ({}) || ({handed_over}) || (namespaceObject != null && {})",
                        labelled("oldObject"), labelled("namespaceObject"),
                    ),
                    "message": "it exists and is not Plinth's: delete it, or choose another name",
                    "reason": "Forbidden",
                },
                {
                    "expression": format!(
                        "object == null || request.resource.resource != 'rolebindings' || \
                         (object.roleRef.kind == 'ClusterRole' && object.roleRef.name == '{}')",
                        names::VIEWER_ROLE,
                    ),
                    "message": format!("Plinth binds no role but {}", names::VIEWER_ROLE),
                    "reason": "Forbidden",
                },
            ],
        }),
    )
}

/// What the operator makes and deletes of that which a country declares is a Sandbox's own: Stacks, and what a template declares
/// beside one.
fn only_of_sandboxes(operator: &str) -> Vec<Value> {
    let name = "plinth-sandboxes-alone";
    let is_a_sandboxes = |object: &str| {
        format!(
            "({object} == null || (has({object}.metadata.annotations) && '{}' in {object}.metadata.annotations))",
            names::ANNOTATION_SANDBOX
        )
    };
    let mut constraints = of_ours(&["CREATE", "DELETE"], &["stacks"]);
    if let Some(rules) = constraints["resourceRules"].as_array_mut() {
        let beside = of_ours(&["CREATE", "UPDATE"], &["members", "registries"]);
        rules.push(beside["resourceRules"][0].clone());
    }
    denying(
        name,
        json!({
            "matchConstraints": constraints,
            "matchConditions": [
                { "name": "operator", "expression": format!("request.userInfo.username == '{operator}'") },
            ],
            "failurePolicy": "Fail",
            "validations": [{
                "expression": format!("{} && {}", is_a_sandboxes("oldObject"), is_a_sandboxes("object")),
                "message": "Plinth makes and deletes nothing that is declared but a Sandbox's own",
                "reason": "Forbidden",
            }],
        }),
    )
}
