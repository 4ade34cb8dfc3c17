//! What Members point to in their own namespaces, and the Stack's federation in the Stack's: OpenAPI documents, anchors, and
//! which Secrets there are (I/O). None of it is watched, so that all is looked at again from time to time; in a burst of reconciles
//! each is read once. Nothing is read in a namespace that the Stack does not admit, and of a Secret nothing but the names of its
//! keys.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use plinth_api::Stack;
use plinth_plan::exchange::Declared;
use plinth_plan::exchange::tenancy::admits;
use plinth_plan::expr::is_label;
use plinth_plan::model::ObjectKey;
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::clusters::Cluster;
use tokio::time::Instant;

use super::dereference::{Keys, Texts};

/// So long what was read is taken for what is, unless whoever points to it has changed.
const FRESH: Duration = Duration::from_secs(10);
/// What nobody has asked for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Reads under way at the same time.
const IN_FLIGHT: usize = 16;

/// What is pointed to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    kind: Kind,
    namespace: String,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ConfigMap,
    Secret,
}

/// What was read.
#[derive(Clone)]
struct Kept {
    at: Instant,
    /// Digest of who pointed to it.
    by: u64,
    content: Option<Content>,
}

#[derive(Clone)]
enum Content {
    Texts(BTreeMap<String, String>),
    Keys(Vec<String>),
}

/// What was read last. All of it can be read again; losing it costs reads only.
#[derive(Default)]
pub struct Documents {
    kept: Mutex<BTreeMap<Reference, Kept>>,
}

impl Documents {
    /// Fills in what the Stack's federation and the declared Members point to.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn fetch(
        &self,
        stack: &Stack,
        declared: &mut Declared,
        home: &Arc<Cluster>,
    ) -> Result<(), CallError> {
        let (mut documents, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        let reads = wanted(stack, declared).into_iter().map(|(reference, by)| async move {
            let content = self.content(&reference, by, home).await?;
            Ok::<_, CallError>((reference, content))
        });
        let found: Vec<_> = stream::iter(reads).buffer_unordered(IN_FLIGHT).try_collect().await?;
        for (Reference { namespace, name, .. }, content) in found {
            match content {
                Some(Content::Texts(texts)) => drop(documents.insert((namespace, name), texts)),
                Some(Content::Keys(keys)) => drop(secrets.insert((namespace, name), keys)),
                None => {}
            }
        }
        (declared.documents, declared.secrets) = (Some(documents), Some(secrets));
        Ok(())
    }

    async fn content(
        &self,
        reference: &Reference,
        by: u64,
        home: &Arc<Cluster>,
    ) -> Result<Option<Content>, CallError> {
        let fresh = |kept: &&Kept| kept.by == by && kept.at.elapsed() < FRESH;
        if let Some(kept) = self.lock().get(reference).filter(fresh) {
            return Ok(kept.content.clone());
        }
        let content = read(reference, home).await?;
        let mut kept = self.lock();
        kept.retain(|_, kept| kept.at.elapsed() < FORGOTTEN);
        kept.insert(reference.clone(), Kept { at: Instant::now(), by, content: content.clone() });
        Ok(content)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Reference, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether anything that is declared points to what is not watched.
pub fn points_outside(stack: &Stack, declared: &Declared) -> bool {
    anchors(stack).next().is_some()
        || declared.members.iter().any(|member| references(member).next().is_some())
}

/// What the Stack and Members of admitted namespaces point to, with a digest of who does.
fn wanted(stack: &Stack, declared: &Declared) -> BTreeMap<Reference, u64> {
    let mut wanted: BTreeMap<Reference, DefaultHasher> = BTreeMap::new();
    let own = stack.namespace().unwrap_or_default();
    for name in anchors(stack).filter(|name| is_name(name)) {
        let reference = Reference { kind: Kind::ConfigMap, namespace: own.clone(), name: name.clone() };
        (stack.uid(), stack.metadata.generation).hash(wanted.entry(reference).or_default());
    }
    for member in &declared.members {
        let namespace = member.namespace().unwrap_or_default();
        let labels = declared.namespaces.as_ref().and_then(|namespaces| namespaces.get(&namespace));
        if !admits(stack, &namespace, labels) {
            continue;
        }
        // A name goes into an address: what is none leads nowhere.
        for (kind, name) in references(member).filter(|(_, name)| is_name(name)) {
            let reference = Reference { kind, namespace: namespace.clone(), name: name.clone() };
            let asked = (member.name_any(), member.uid(), member.metadata.generation);
            asked.hash(wanted.entry(reference).or_default());
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

fn references(member: &plinth_api::Member) -> impl Iterator<Item = (Kind, &String)> {
    let services = member.spec.subsystems.iter().flat_map(|subsystem| &subsystem.services);
    let documents = services.filter_map(|service| service.open_api.as_ref()).map(|api| &api.config_map);
    let participant = member.spec.participant.iter();
    let secrets = participant.filter_map(|participant| participant.certificates.as_ref());
    documents.map(|name| (Kind::ConfigMap, name)).chain(secrets.map(|name| (Kind::Secret, name)))
}

/// One of them, where it exists. One that Plinth may not read is missing too: it stops nobody.
async fn read(reference: &Reference, home: &Arc<Cluster>) -> Result<Option<Content>, CallError> {
    let kind = match reference.kind {
        Kind::ConfigMap => "ConfigMap",
        Kind::Secret => "Secret",
    };
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some(reference.namespace.clone()),
        name: reference.name.clone(),
    };
    let Some(served) = home.kinds.served(&key.api_version, &key.kind).await? else { return Ok(None) };
    let found = match reference.kind {
        Kind::ConfigMap => {
            let found: Result<Option<Texts>, _> = home.caller.get(&served, &key, Answer::Whole).await;
            found.map(|found| found.map(|texts| Content::Texts(texts.data)))
        }
        Kind::Secret => {
            let found: Result<Option<Keys>, _> = home.caller.get(&served, &key, Answer::Whole).await;
            found.map(|found| found.map(|keys| Content::Keys(keys.data.into_keys().collect())))
        }
    };
    match found {
        Err(CallError::Api { status, .. }) if status.is_forbidden() => {
            tracing::warn!(%key, "Plinth may not read it; whoever points to it is told that it is missing");
            Ok(None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use plinth_api::{Member, StackSpec};
    use serde_json::{Value, json};

    use super::*;

    fn member(namespace: &str, name: &str, generation: i64, spec: Value) -> Member {
        let mut spec = spec;
        for (field, value) in
            [("stackRef", json!({ "name": "s" })), ("class", json!("GOV")), ("code", json!("1"))]
        {
            spec[field] = value;
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

    #[test]
    fn nothing_is_read_in_a_namespace_that_is_not_admitted() {
        let paying = json!({ "participant": { "id": "p", "currencies": ["EUR"], "certificates": "tls" } });
        let yes: BTreeMap<String, String> = [("dpi".to_owned(), "yes".to_owned())].into();
        let declared = Declared {
            namespaces: Some([("tax".to_owned(), yes), ("stranger".to_owned(), [].into())].into()),
            members: vec![
                member("tax", "tax", 1, serving("api")),
                member("tax", "bank", 1, paying),
                member("stranger", "stranger", 1, serving("secrets-of-others")),
                member("unknown", "unknown", 1, serving("secrets-of-others")),
                member("dpi", "own", 1, serving("own")),
                member("dpi", "climber", 1, serving("../secrets/admin")),
                member("dpi", "asker", 1, serving("own?watch=true")),
            ],
            ..Declared::default()
        };
        let wanted = wanted(&stack(), &declared);
        let names: Vec<(Kind, &str)> = wanted.keys().map(|r| (r.kind, r.name.as_str())).collect();
        assert_eq!(names, [(Kind::ConfigMap, "own"), (Kind::ConfigMap, "api"), (Kind::Secret, "tls")]);
    }

    #[test]
    fn who_points_to_something_and_changes_has_it_read_again() {
        let at = |generation| {
            let members = vec![member("dpi", "own", generation, serving("own"))];
            wanted(&stack(), &Declared { members, ..Declared::default() })
        };
        assert_eq!(at(1), at(1));
        assert_ne!(at(1), at(2));
        assert!(points_outside(
            &stack(),
            &Declared { members: vec![member("dpi", "own", 1, serving("own"))], ..Declared::default() }
        ));
        assert!(!points_outside(
            &stack(),
            &Declared { members: vec![member("dpi", "own", 1, json!({}))], ..Declared::default() }
        ));
    }

    #[test]
    fn an_anchor_is_read_beside_its_stack_and_nowhere_else() {
        let mut stack = stack();
        stack.spec.exchange = serde_json::from_value(json!({ "federation": [
            { "instance": "EE", "anchor": "anchor-ee" },
            { "instance": "LV", "anchor": "../../dpi-ee/configmaps/anchor-lv" },
        ] }))
        .unwrap();
        let wanted = wanted(&stack, &Declared::default());
        let read: Vec<(&str, &str)> =
            wanted.keys().map(|r| (r.namespace.as_str(), r.name.as_str())).collect();
        assert_eq!(read, [("dpi", "anchor-ee")]);
        assert!(points_outside(&stack, &Declared::default()));
    }
}
