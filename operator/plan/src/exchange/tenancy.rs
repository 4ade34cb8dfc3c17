//! Which namespaces a Stack admits, and which codes it binds to them. Refused and missing look the same to whoever asks.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use plinth_api::Stack;
use plinth_api::v1alpha1::exchange::{Binding, StackRef};
use plinth_api::v1alpha1::stack::TenantsFrom;

use crate::model::StackId;
use crate::resolve::stack_id;

/// The Stack that an object in `namespace` refers to.
pub fn target(reference: &StackRef, namespace: &str) -> StackId {
    StackId {
        namespace: reference.namespace.clone().unwrap_or_else(|| namespace.to_owned()),
        name: reference.name.clone(),
    }
}

/// What is said when a Stack is not there, and when it does not admit: nobody learns which of the two.
pub fn outside(stack: &StackId, namespace: &str) -> String {
    format!(
        "Stack {stack} does not exist or does not admit namespace `{namespace}`; its team admits namespaces in \
         spec.tenants"
    )
}

/// Whether the Stack admits objects of a namespace. `labels` are the namespace's; `None` when it is not known.
pub fn admits(stack: &Stack, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
    if stack_id(stack).namespace == namespace {
        return true;
    }
    match stack.spec.tenants.from {
        TenantsFrom::Same => false,
        TenantsFrom::All => true,
        TenantsFrom::Selector => stack
            .spec
            .tenants
            .selector
            .as_ref()
            .is_some_and(|selector| labels.is_some_and(|labels| selects(selector, labels))),
    }
}

/// As Kubernetes selects: an empty selector selects everything, an operator that is not known nothing.
pub(crate) fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(name, value)| labels.get(name) == Some(value));
    let expression = |rule: &LabelSelectorRequirement| {
        let value = labels.get(&rule.key);
        let listed = value.is_some_and(|value| rule.values.iter().flatten().any(|v| v == value));
        match rule.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    };
    equal && selector.match_expressions.iter().flatten().all(expression)
}

/// Whether the Stack binds a code to a namespace. The Stack's own namespace needs no binding: who writes there could bind.
pub fn binds(stack: &Stack, namespace: &str, codes: impl Fn(&Binding) -> &[String], code: &str) -> bool {
    let bindings = stack.spec.exchange.iter().flat_map(|exchange| &exchange.bindings);
    let mut holders = bindings.filter(|binding| codes(binding).iter().any(|bound| bound == code));
    match holders.next() {
        Some(binding) => binding.namespace == namespace,
        None => stack_id(stack).namespace == namespace,
    }
}

#[cfg(test)]
mod tests {
    use plinth_api::StackSpec;
    use plinth_api::v1alpha1::exchange::Exchange;
    use plinth_api::v1alpha1::stack::Tenants;
    use serde_json::json;

    use super::*;

    fn stack(tenants: serde_json::Value) -> Stack {
        let mut stack = Stack::new("s", StackSpec::default());
        stack.metadata.namespace = Some("dpi".to_owned());
        stack.spec.tenants = serde_json::from_value::<Tenants>(tenants).unwrap();
        let binding = |namespace: &str, code: &str| Binding {
            namespace: namespace.to_owned(),
            members: vec![code.to_owned()],
            ..Binding::default()
        };
        let bindings = vec![binding("health", "GOV/1"), binding("tax", "GOV/2")];
        stack.spec.exchange = Some(Exchange { bindings, ..Exchange::default() });
        stack
    }

    #[test]
    fn a_namespace_is_admitted_as_the_stack_says() {
        let labels = |text: &str| -> BTreeMap<String, String> {
            text.split(',')
                .filter_map(|l| l.split_once('='))
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect()
        };
        let selector = json!({ "from": "Selector", "selector": {
            "matchLabels": { "dpi": "yes" },
            "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["test"] }],
        } });
        for (tenants, namespace, known, admitted) in [
            (json!({}), "dpi", None, true),
            (json!({}), "health", Some("dpi=yes"), false),
            (json!({ "from": "All" }), "health", None, true),
            (selector.clone(), "health", Some("dpi=yes"), true),
            (selector.clone(), "health", Some("dpi=yes,tier=test"), false),
            (selector.clone(), "health", Some("dpi=no"), false),
            (selector, "health", None, false),
            (json!({ "from": "Selector" }), "health", Some("dpi=yes"), false),
            (
                json!({ "from": "Selector", "selector": { "matchExpressions": [{ "key": "a", "operator": "Is" }] } }),
                "health",
                Some("a=b"),
                false,
            ),
        ] {
            let labels = known.map(labels);
            assert_eq!(
                admits(&stack(tenants.clone()), namespace, labels.as_ref()),
                admitted,
                "{tenants} {known:?}"
            );
        }
    }

    #[test]
    fn a_code_is_whose_the_stack_says_and_the_first_who_claims_it_never_wins() {
        let stack = stack(json!({}));
        let bound = |namespace: &str, code: &str| binds(&stack, namespace, |b| &b.members, code);
        assert!(bound("health", "GOV/1"));
        assert!(!bound("tax", "GOV/1"));
        assert!(!bound("tax", "GOV/3"));
        assert!(bound("dpi", "GOV/3"), "who writes beside the Stack could bind it");
        assert!(!bound("dpi", "GOV/1"), "what is bound is not the Stack's own");
    }
}
