//! What agencies declare in files: each object with the document that it stands in, so that whatever is said about it names
//! the file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::Resource;
use plinth_api::v1alpha1::exchange::StackRef;
use plinth_api::{ExchangeAgreement, Member, PublicService, Registry, Stack};
use plinth_plan::exchange::tenancy::target;
use plinth_plan::exchange::{Compiled, Declared, Subject};
use plinth_plan::resolve::stack_id;
use serde_json::Value;

use super::input::{Document, keep};
use super::problem::Problem;

/// Objects of the exchange, and what of Kubernetes they lean on.
#[derive(Debug, Default)]
pub struct Agencies {
    members: Vec<(Document, Member)>,
    agreements: Vec<(Document, ExchangeAgreement)>,
    registries: Vec<(Document, Registry)>,
    services: Vec<(Document, PublicService)>,
    /// Labels of the namespaces; `None` where the files hold none: whom a selector admits is then taken on trust.
    namespaces: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Contents of the ConfigMaps; `None` where the files hold none.
    documents: Option<BTreeMap<(String, String), BTreeMap<String, String>>>,
}

impl Agencies {
    /// Keeps the document where it is of one of the exchange's kinds.
    pub fn keep(&mut self, document: &Document, problems: &mut Vec<Problem>) {
        match document.kind() {
            "Member" => keep(document.clone(), &mut self.members, problems),
            "ExchangeAgreement" => keep(document.clone(), &mut self.agreements, problems),
            "Registry" => keep(document.clone(), &mut self.registries, problems),
            "PublicService" => keep(document.clone(), &mut self.services, problems),
            _ => {}
        }
    }

    /// Remembers the Namespaces and ConfigMaps among the other objects of the files.
    pub fn look_around(&mut self, others: &[Document]) {
        for document in others.iter().filter(|d| d.value["apiVersion"] == "v1") {
            let metadata = &document.value["metadata"];
            let name = text(&metadata["name"]);
            match document.kind() {
                "Namespace" => {
                    drop(self.namespaces.get_or_insert_default().insert(name, texts(&metadata["labels"])));
                }
                "ConfigMap" => {
                    let key = (text(&metadata["namespace"]), name);
                    drop(self.documents.get_or_insert_default().insert(key, texts(&document.value["data"])));
                }
                _ => {}
            }
        }
    }

    /// What a plan is made from.
    pub fn declared(&self, now: Timestamp) -> Declared {
        let mut declared =
            Declared { namespaces: self.namespaces.clone(), now: now.as_second(), ..Declared::default() };
        self.over(&mut declared);
        declared
    }

    /// Lays the files' objects over those of a cluster: what stands in both is what the file says. What they point to is read after.
    pub fn over(&self, declared: &mut Declared) {
        lay(&mut declared.members, &self.members);
        lay(&mut declared.agreements, &self.agreements);
        lay(&mut declared.registries, &self.registries);
        lay(&mut declared.services, &self.services);
        if let (Some(known), Some(own)) = (&mut declared.namespaces, &self.namespaces) {
            known.extend(own.clone());
        }
        if let Some(own) = &self.documents {
            declared.documents.get_or_insert_default().extend(own.clone());
        }
    }

    /// Everything that is wrong with the objects, each with its file. What stands on a cluster alone says so.
    pub fn problems(&self, compiled: &Compiled) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (subject, standing) in &compiled.standing {
            let document = self.document(subject);
            for finding in &standing.findings {
                problems.push(match document {
                    Some(d) => Problem::of_finding(&d.file, &d.object(), &d.value, finding),
                    None => {
                        Problem::of_finding("on the cluster", &subject.to_string(), &Value::Null, finding)
                    }
                });
            }
        }
        problems
    }

    /// One line for each object whose Stack is not among these: nobody has looked at what it refers to.
    pub fn elsewhere(&self, stacks: &[(Document, Stack)]) -> Vec<String> {
        let known: Vec<_> = stacks.iter().map(|(_, stack)| stack_id(stack)).collect();
        let mut lines = Vec::new();
        for (document, reference) in self.references() {
            let namespace = document.value["metadata"]["namespace"].as_str();
            let all_of = |id: &plinth_plan::model::StackId| {
                target(reference, namespace.unwrap_or(&id.namespace)) == *id
            };
            if !known.iter().any(all_of) {
                lines.push(format!(
                    "{}: {}: spec.stackRef: Stack `{}` is not in these files; what the object refers to is not checked",
                    document.file,
                    document.object(),
                    reference.name
                ));
            }
        }
        lines
    }

    /// How many objects there are of each kind that there is.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let counts = [
            ("Member", self.members.len()),
            ("ExchangeAgreement", self.agreements.len()),
            ("Registry", self.registries.len()),
            ("PublicService", self.services.len()),
        ];
        counts.into_iter().filter(|(_, n)| *n > 0).collect()
    }

    fn references(&self) -> impl Iterator<Item = (&Document, &StackRef)> {
        let members = self.members.iter().map(|(d, m)| (d, &m.spec.stack_ref));
        let agreements = self.agreements.iter().map(|(d, a)| (d, &a.spec.stack_ref));
        let registries = self.registries.iter().map(|(d, r)| (d, &r.spec.stack_ref));
        let services = self.services.iter().map(|(d, s)| (d, &s.spec.stack_ref));
        members.chain(agreements).chain(registries).chain(services)
    }

    fn document(&self, subject: &Subject) -> Option<&Document> {
        let own = |document: &&Document| {
            let metadata = &document.value["metadata"];
            document.kind() == subject.kind
                && metadata["name"] == subject.name.as_str()
                && metadata["namespace"].as_str().is_none_or(|namespace| namespace == subject.namespace)
        };
        self.references().map(|(document, _)| document).find(own)
    }
}

/// Puts the files' objects in the place of those of the same name.
fn lay<K: Resource<DynamicType = ()> + Clone>(known: &mut Vec<K>, own: &[(Document, K)]) {
    let same = |one: &K, other: &K| {
        one.meta().name == other.meta().name && one.meta().namespace == other.meta().namespace
    };
    known.retain(|one| !own.iter().any(|(_, other)| same(one, other)));
    known.extend(own.iter().map(|(_, object)| object.clone()));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
