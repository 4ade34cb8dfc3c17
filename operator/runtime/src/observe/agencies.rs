//! What agencies declare, from any namespace: one watch for each kind of the exchange and one for the labels of namespaces.
//! An object wakes the Stack that it names and the one that it named before; what is written to its status wakes nobody.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{Event, watcher};
use kube::{Client, Resource, ResourceExt};
use plinth_api::v1alpha1::exchange::StackRef;
use plinth_api::{ExchangeAgreement, Member, PublicService, Registry};
use plinth_plan::exchange::declared::{AGREEMENT, MEMBER, PUBLIC_SERVICE, REGISTRY};
use plinth_plan::exchange::tenancy::target;
use plinth_plan::exchange::{Declared, Subject};
use plinth_plan::model::StackId;
use serde::de::DeserializeOwned;

use self::names::{Entry, Names};
use super::listing;
use crate::call::chain;

/// Who is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// A Stack that objects name, or named; it may not exist.
    Stack(StackId),
    /// An object that this version of Plinth cannot read.
    Broken(Subject),
    /// An object that does not exist any more: there is nothing to remember of it.
    Gone(Subject),
}

/// A kind that agencies write.
trait AgencyKind:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static
{
    const KIND: &'static str;
    fn stack_ref(&self) -> &StackRef;
}

macro_rules! agency_kind {
    ($kind:ty, $name:expr) => {
        impl AgencyKind for $kind {
            const KIND: &'static str = $name;
            fn stack_ref(&self) -> &StackRef {
                &self.spec.stack_ref
            }
        }
    };
}

agency_kind!(Member, MEMBER);
agency_kind!(ExchangeAgreement, AGREEMENT);
agency_kind!(Registry, REGISTRY);
agency_kind!(PublicService, PUBLIC_SERVICE);

/// Everything that agencies have declared, as the watches show it.
#[derive(Clone)]
pub struct Agencies {
    members: Store<DeserializeGuard<Member>>,
    agreements: Store<DeserializeGuard<ExchangeAgreement>>,
    registries: Store<DeserializeGuard<Registry>>,
    services: Store<DeserializeGuard<PublicService>>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    names: Arc<Mutex<Names>>,
}

impl Agencies {
    /// What is watched, and the work of watching it. `heard` is told whom to look at.
    pub fn watch<F>(client: &Client, heard: F) -> (Self, impl Future<Output = ()> + Send + use<F>)
    where
        F: Fn(Notice) + Send + Sync,
    {
        let (members, members_writer) = store();
        let (agreements, agreements_writer) = store();
        let (registries, registries_writer) = store();
        let (services, services_writer) = store();
        let (namespaces, namespaces_writer) = store();
        let names = Arc::default();
        let agencies = Self { members, agreements, registries, services, namespaces, names };
        let (this, client) = (agencies.clone(), client.clone());
        let work = async move {
            tokio::join!(
                this.follow(&client, members_writer, &heard),
                this.follow(&client, agreements_writer, &heard),
                this.follow(&client, registries_writer, &heard),
                this.follow(&client, services_writer, &heard),
                this.follow_labels(&client, namespaces_writer, &heard),
            );
        };
        (agencies, work)
    }

    /// Waits until everything has been listed once. False when the watches have ended before.
    pub async fn wait_until_listed(&self) -> bool {
        let listed = tokio::try_join!(
            self.members.wait_until_ready(),
            self.agreements.wait_until_ready(),
            self.registries.wait_until_ready(),
            self.services.wait_until_ready(),
            self.namespaces.wait_until_ready(),
        );
        listed.is_ok()
    }

    /// What names a Stack, with the labels of the namespaces that it is in. What it points to has not been read. `now` is in
    /// seconds since the Unix epoch.
    pub fn declared(&self, stack: &StackId, now: i64) -> Declared {
        let mut declared = Declared {
            members: naming(&self.members, stack),
            agreements: naming(&self.agreements, stack),
            registries: naming(&self.registries, stack),
            services: naming(&self.services, stack),
            now,
            ..Declared::default()
        };
        let labels = |name: String| {
            let namespace = self.namespaces.get(&ObjectRef::new(&name))?;
            Some((name, namespace.labels().clone()))
        };
        declared.namespaces = Some(declared.inhabited().into_iter().filter_map(labels).collect());
        declared
    }

    /// Whether a namespace is being deleted, as far as the watch has shown.
    pub fn is_ending(&self, namespace: &str) -> bool {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_some_and(|found| found.metadata.deletion_timestamp.is_some())
    }

    /// Why an object cannot be read; `None` where it can, or does not exist.
    pub fn broken(&self, subject: &Subject) -> Option<String> {
        fn why<K: AgencyKind>(objects: &Store<DeserializeGuard<K>>, subject: &Subject) -> Option<String> {
            let guard = objects.get(&ObjectRef::new(&subject.name).within(&subject.namespace))?;
            guard.0.as_ref().err().map(ToString::to_string)
        }
        match subject.kind {
            AGREEMENT => why(&self.agreements, subject),
            REGISTRY => why(&self.registries, subject),
            PUBLIC_SERVICE => why(&self.services, subject),
            _ => why(&self.members, subject),
        }
    }

    /// Every Stack that some object names.
    pub fn named(&self) -> BTreeSet<StackId> {
        self.lock().stacks()
    }

    async fn follow<K: AgencyKind>(
        &self,
        client: &Client,
        writer: Writer<DeserializeGuard<K>>,
        heard: &impl Fn(Notice),
    ) {
        let events = watcher(Api::<DeserializeGuard<K>>::all(client.clone()), listing());
        let mut events = std::pin::pin!(events.default_backoff().reflect(writer));
        let mut listed = BTreeSet::new();
        let mut notices = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    let (subject, entry) = named(&object);
                    notices.extend(self.lock().put(subject.clone(), entry));
                    listed.insert(subject);
                }
                // Not before: whoever is woken reads what the list has brought.
                Ok(Event::InitDone) => {
                    notices.extend(self.lock().keep(K::KIND, &listed));
                    notices.drain(..).for_each(heard);
                }
                Ok(Event::Apply(object)) => {
                    let (subject, entry) = named(&object);
                    let woken = self.lock().put(subject, entry);
                    woken.into_iter().for_each(heard);
                }
                Ok(Event::Delete(object)) => {
                    let woken = self.lock().remove(&named(&object).0);
                    woken.into_iter().for_each(heard);
                }
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    kind = K::KIND,
                    "what agencies declare cannot be watched; are Plinth's kinds installed (plinth crds)?"
                ),
            }
        }
    }

    async fn follow_labels(
        &self,
        client: &Client,
        writer: Writer<PartialObjectMeta<Namespace>>,
        heard: &impl Fn(Notice),
    ) {
        let events = watcher(Api::<PartialObjectMeta<Namespace>>::all(client.clone()), listing());
        let events = events.default_backoff().modify(|namespace| {
            namespace.managed_fields_mut().clear();
            namespace.annotations_mut().clear();
        });
        let mut events = std::pin::pin!(events.reflect(writer));
        let mut labels: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::InitApply(namespace) | Event::Apply(namespace)) => {
                    let (name, new) = (namespace.name_any(), namespace.labels().clone());
                    if labels.get(&name) != Some(&new) {
                        let concerned = self.lock().stacks_in(&name);
                        concerned.into_iter().map(Notice::Stack).for_each(heard);
                        labels.insert(name, new);
                    }
                }
                Ok(Event::Delete(namespace)) => drop(labels.remove(&namespace.name_any())),
                Ok(Event::InitDone) => {
                    // What is read of labels is complete only now.
                    self.named().into_iter().map(Notice::Stack).for_each(heard);
                }
                Ok(Event::Init) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), "labels of namespaces cannot be watched");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object, and which Stack it names.
fn named<K: AgencyKind>(object: &DeserializeGuard<K>) -> (Subject, Entry) {
    let meta = object.meta();
    let subject = Subject {
        kind: K::KIND,
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    };
    let spec = object.0.as_ref().ok();
    let entry = Entry {
        stack: spec.map(|spec| target(spec.stack_ref(), &subject.namespace)),
        uid: meta.uid.clone(),
        generation: meta.generation,
        deleting: meta.deletion_timestamp.is_some(),
    };
    (subject, entry)
}

/// Objects of one kind that name a Stack and can be read, in the order of their names.
fn naming<K: AgencyKind>(objects: &Store<DeserializeGuard<K>>, stack: &StackId) -> Vec<K> {
    let names_it = |object: &K| {
        target(object.stack_ref(), object.meta().namespace.as_deref().unwrap_or_default()) == *stack
    };
    let parsed = objects.state().into_iter().filter_map(|guard| {
        let object = guard.0.as_ref().ok()?;
        names_it(object).then(|| object.clone())
    });
    let mut found: Vec<K> = parsed.collect();
    found.sort_by_cached_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    found
}
