//! What Members point to in their own namespaces, and the Stack's federation in the Stack's: OpenAPI documents, anchors,
//! certificates. Whoever reads it, the operator and the command line alike, reads exactly this: nothing in a namespace that the
//! Stack does not admit, and nothing for the Members of another Stack.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use kube::ResourceExt;
use plinth_api::{Member, Stack};

use super::declared::Declared;
use super::tenancy::target;
use crate::expr::is_label;
use crate::resolve::stack_id;

/// An object that is pointed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What can be pointed to: what holds data in the core of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Everything that is pointed to, with a digest of who does: one that has changed wants it read anew.
pub fn references(stack: &Stack, declared: &Declared) -> BTreeMap<Reference, u64> {
    let mut wanted: BTreeMap<Reference, DefaultHasher> = BTreeMap::new();
    let own = stack_id(stack);
    // A name goes into an address: what is none leads nowhere.
    for name in anchors(stack).filter(|name| is_name(name)) {
        let (namespace, name) = (own.namespace.clone(), name.clone());
        let reference = Reference { kind: Kind::ConfigMap, namespace, name };
        (stack.uid(), stack.metadata.generation).hash(wanted.entry(reference).or_default());
    }
    for member in &declared.members {
        let namespace = member.namespace().unwrap_or_else(|| own.namespace.clone());
        if target(&member.spec.stack_ref, &namespace) != own || !declared.admits(stack, &namespace) {
            continue;
        }
        for (kind, name) in of_member(member).filter(|(_, name)| is_name(name)) {
            let reference = Reference { kind, namespace: namespace.clone(), name: name.clone() };
            let asks = (member.name_any(), member.uid(), member.metadata.generation);
            asks.hash(wanted.entry(reference).or_default());
        }
    }
    wanted.into_iter().map(|(reference, digest)| (reference, digest.finish())).collect()
}

/// Whether the text can be the name of an object: a DNS subdomain.
fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn anchors(stack: &Stack) -> impl Iterator<Item = &String> {
    stack.spec.exchange.iter().flat_map(|exchange| &exchange.federation).map(|entry| &entry.anchor)
}

fn of_member(member: &Member) -> impl Iterator<Item = (Kind, &String)> {
    let services = member.spec.subsystems.iter().flat_map(|subsystem| &subsystem.services);
    let documents = services.filter_map(|service| service.open_api.as_ref()).map(|api| &api.config_map);
    let participant = member.spec.participant.iter();
    let secrets = participant.filter_map(|participant| participant.certificates.as_ref());
    documents.map(|name| (Kind::ConfigMap, name)).chain(secrets.map(|name| (Kind::Secret, name)))
}

#[cfg(test)]
mod tests {
    use plinth_api::StackSpec;
    use serde_json::{Value, json};

    use super::*;

    fn member(namespace: &str, name: &str, generation: i64, mut spec: Value) -> Member {
        let stack = json!({ "name": "s", "namespace": "dpi" });
        for (field, value) in [("stackRef", stack), ("class", json!("GOV")), ("code", json!("1"))] {
            if spec[field].is_null() {
                spec[field] = value;
            }
        }
        let mut member = Member::new(name, serde_json::from_value(spec).unwrap());
        member.metadata.namespace = Some(namespace.to_owned());
        member.metadata.generation = Some(generation);
        member
    }

    fn serving(document: &str) -> Value {
        json!({ "subsystems": [{ "code": "a", "services": [
            { "code": "b", "openApi": { "configMap": document, "key": "k" } },
        ] }] })
    }

    fn stack() -> Stack {
        let mut stack = Stack::new("s", StackSpec::default());
        stack.metadata.namespace = Some("dpi".to_owned());
        stack.spec.tenants = serde_json::from_value(json!({
            "from": "Selector", "selector": { "matchLabels": { "dpi": "yes" } },
        }))
        .unwrap();
        stack
    }

    fn of(members: Vec<Member>) -> BTreeMap<Reference, u64> {
        let yes: BTreeMap<String, String> = [("dpi".to_owned(), "yes".to_owned())].into();
        let namespaces = Some([("tax".to_owned(), yes), ("stranger".to_owned(), [].into())].into());
        references(&stack(), &Declared { namespaces, members, ..Declared::default() })
    }

    #[test]
    fn nothing_is_read_in_a_namespace_that_is_not_admitted_or_for_another_stack() {
        let paying = json!({ "participant": { "id": "p", "currencies": ["EUR"], "certificates": "tls" } });
        let mut elsewhere = serving("of-another-stack");
        elsewhere["stackRef"] = json!({ "name": "other", "namespace": "dpi" });
        let wanted = of(vec![
            member("tax", "tax", 1, serving("api")),
            member("tax", "bank", 1, paying),
            member("tax", "elsewhere", 1, elsewhere),
            member("stranger", "stranger", 1, serving("secrets-of-others")),
            member("unknown", "unknown", 1, serving("secrets-of-others")),
            member("dpi", "own", 1, serving("own")),
            member("dpi", "climber", 1, serving("../secrets/admin")),
            member("dpi", "asker", 1, serving("own?watch=true")),
        ]);
        let read: Vec<String> = wanted.keys().map(ToString::to_string).collect();
        assert_eq!(read, ["ConfigMap dpi/own", "ConfigMap tax/api", "Secret tax/tls"]);
    }

    #[test]
    fn who_points_to_something_and_changes_has_it_read_again() {
        let at = |generation| of(vec![member("dpi", "own", generation, serving("own"))]);
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
        assert!(of(vec![member("dpi", "own", 1, json!({}))]).is_empty());
    }

    #[test]
    fn an_anchor_is_read_beside_its_stack_and_nowhere_else() {
        let mut stack = stack();
        stack.spec.exchange = serde_json::from_value(json!({ "federation": [
            { "instance": "EE", "anchor": "anchor-ee" },
            { "instance": "LV", "anchor": "../../dpi-ee/configmaps/anchor-lv" },
        ] }))
        .unwrap();
        let wanted = references(&stack, &Declared::default());
        let read: Vec<String> = wanted.keys().map(ToString::to_string).collect();
        assert_eq!(read, ["ConfigMap dpi/anchor-ee"]);
    }
}
