//! What is shown, as watches bring it. Written once for everybody who looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, future};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use plinth_api::names;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::sleep;

use crate::view::{self, Shown};

/// Changes that a slow reader may be behind; beyond it, it is told everything anew.
const BEHIND: usize = 1024;

/// Between two questions whether the API server answers again.
const AGAIN: Duration = Duration::from_secs(2);

/// Identity of what is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Kind.
    pub kind: Shown,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What is told of one object.
#[derive(Clone, Debug)]
pub struct Told {
    /// Which.
    pub id: Id,
    /// JSON text for the page; nothing when the object is gone.
    pub text: Option<Arc<str>>,
}

/// Everything that is shown.
pub struct Cache {
    items: RwLock<BTreeMap<Id, Arc<str>>>,
    changes: broadcast::Sender<Told>,
    listed: watch::Sender<BTreeSet<Shown>>,
    /// Kinds whose watch does not work now.
    failing: watch::Sender<BTreeSet<Shown>>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            items: RwLock::default(),
            changes: broadcast::channel(BEHIND).0,
            listed: watch::channel(BTreeSet::new()).0,
            failing: watch::channel(BTreeSet::new()).0,
        }
    }
}

impl Cache {
    /// Everything as it is now, and what changes from then on: nothing is missing between the two.
    pub fn follow(&self) -> (Vec<Told>, broadcast::Receiver<Told>) {
        let items = self.items.read().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes.subscribe();
        let told = items.iter().map(|(id, text)| Told { id: id.clone(), text: Some(text.clone()) });
        (told.collect(), changes)
    }

    /// Waits until every kind has been listed once.
    pub async fn listed(&self) {
        // The sender is ours: it does not go before we do.
        let _ = self.listed.subscribe().wait_for(|kinds| kinds.len() == Shown::ALL.len()).await;
    }

    /// Kinds whose watch does not work now: what is shown of them is as it was.
    pub fn failing(&self) -> watch::Receiver<BTreeSet<Shown>> {
        self.failing.subscribe()
    }

    fn works(&self, kind: Shown, works: bool) {
        self.failing
            .send_if_modified(|failing| if works { failing.remove(&kind) } else { failing.insert(kind) });
    }

    fn take<K: ResourceExt>(
        &self,
        kind: Shown,
        event: Result<Event<K>, watcher::Error>,
        seen: &mut BTreeSet<Id>,
        view: fn(&K) -> Value,
    ) {
        let id = |object: &K| Id {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                seen.insert(id(&object));
                self.put(id(&object), view(&object));
            }
            Ok(Event::InitDone) => self.only(kind, seen),
            Ok(Event::Apply(object)) => self.put(id(&object), view(&object)),
            Ok(Event::Delete(object)) => self.remove(id(&object)),
            Err(error) => {
                tracing::warn!(%error, kind = kind.as_str(), "the console does not see what changes");
            }
        }
    }

    fn put(&self, id: Id, view: Value) {
        let shown =
            json!({ "kind": id.kind.as_str(), "namespace": id.namespace, "name": id.name, "view": view });
        let text: Arc<str> = shown.to_string().into();
        let mut items = self.items.write().unwrap_or_else(PoisonError::into_inner);
        if items.get(&id).is_some_and(|before| *before == text) {
            return;
        }
        items.insert(id.clone(), text.clone());
        // Nobody may be looking.
        let _ = self.changes.send(Told { id, text: Some(text) });
    }

    fn remove(&self, id: Id) {
        let mut items = self.items.write().unwrap_or_else(PoisonError::into_inner);
        if items.remove(&id).is_some() {
            let _ = self.changes.send(Told { id, text: None });
        }
    }

    /// A list has ended: what was not in it is gone.
    fn only(&self, kind: Shown, seen: &BTreeSet<Id>) {
        let items = self.items.read().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Id> =
            items.keys().filter(|id| id.kind == kind && !seen.contains(id)).cloned().collect();
        drop(items);
        gone.into_iter().for_each(|id| self.remove(id));
        self.listed.send_if_modified(|listed| listed.insert(kind));
    }
}

/// Follows everything that is shown, for as long as it is polled.
pub fn follow(client: &Client, cache: &Arc<Cache>) -> impl Future<Output = ()> + use<> {
    let about_ours =
        Config::default().fields(&format!("involvedObject.apiVersion={}/{}", names::GROUP, names::VERSION));
    let all = Config::default;
    let everything = [
        one(client, all(), Shown::Stack, view::stack, cache).boxed(),
        one(client, all(), Shown::Block, view::block, cache).boxed(),
        one(client, all(), Shown::Operation, view::operation, cache).boxed(),
        one(client, all(), Shown::Sandbox, view::sandbox, cache).boxed(),
        one(client, all(), Shown::Member, view::member, cache).boxed(),
        one(client, all(), Shown::Agreement, view::agreement, cache).boxed(),
        one(client, all(), Shown::Registry, view::registry, cache).boxed(),
        one(client, all(), Shown::Service, view::service, cache).boxed(),
        one(client, about_ours, Shown::Event, view::event, cache).boxed(),
    ];
    async move {
        future::join_all(everything).await;
    }
}

fn one<K>(
    client: &Client,
    config: Config,
    kind: Shown,
    view: fn(&K) -> Value,
    cache: &Arc<Cache>,
) -> impl Future<Output = ()> + use<K>
where
    K: Resource<DynamicType = ()> + ResourceExt + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (cache, client, api) = (cache.clone(), client.clone(), Api::<K>::all(client.clone()));
    async move {
        loop {
            let mut seen = BTreeSet::new();
            let mut failing = false;
            let mut events = std::pin::pin!(watcher(api.clone(), config.clone()).default_backoff());
            loop {
                tokio::select! {
                    event = events.next() => {
                        let Some(event) = event else { return };
                        failing = event.is_err();
                        cache.works(kind, !failing);
                        cache.take(kind, event, &mut seen, view);
                    }
                    // Everything is listed anew at once: a watch that goes on says nothing until something changes.
                    () = answers(&client), if failing => break,
                }
            }
        }
    }
}

/// Waits until the API server answers.
async fn answers(client: &Client) {
    loop {
        sleep(AGAIN).await;
        if client.apiserver_version().await.is_ok() {
            return;
        }
    }
}
