//! Observation. Purpose: the state of a cluster without asking for it. One watch a kind, selected by label, started
//! when a plan or an inventory first names the kind; at rest, nothing is read. The pure parts are [`ingest`] (what is
//! kept of an object) and [`store`] (the cache).

pub mod agencies;
pub mod ingest;
mod pod;
pub mod store;
mod triggers;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::Client;
use kube::runtime::watcher::{Config, InitialListStrategy};
use plinth_api::mutant::Mutant;
use plinth_api::names;
use plinth_plan::model::{Desired, Live, ObjectKey, Observed, StackId};
use serde::Deserialize;
use tokio::sync::watch as channel;
use tokio::time::Instant;

use crate::call::{Answer, CallError, Caller, Served};
use crate::clusters::Kinds;
use crate::metrics::Metrics;
use ingest::{Content, Ingest, Lean, Seen, Veiled};
use store::{KindName, Store};
pub use triggers::Triggers;

/// Longest wait for the first list of a kind. What is not listed by then counts as unreachable.
const FIRST_LIST: Duration = Duration::from_secs(20);
/// How long a watch may be down before what it has shown counts as old.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(30);
/// How long "all nodes are simulated" is believed.
const NODES_FOR: Duration = Duration::from_secs(300);
/// How long "there are no nodes" is: they may be coming up.
const NO_NODES_FOR: Duration = Duration::from_secs(5);

/// Kinds that nearly every product is made of. Their watches are opened before the first Stack needs them.
const USUAL: &[(&str, &str)] = &[
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
];

/// Kinds that every Stack needs, whatever its plan: where inventories live, what blocks live in, what holds data, what
/// workloads do not tell.
const ALWAYS: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "Secret"),
];

/// The watches of one cluster and what they have shown.
#[derive(Clone)]
pub struct Observer {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: String,
    client: Client,
    caller: Caller,
    kinds: Kinds,
    store: Arc<Store>,
    triggers: Triggers,
    metrics: Metrics,
    watches: Mutex<BTreeMap<KindName, Watch>>,
    definitions: Mutex<Option<Task>>,
    /// Stacks that lack a kind: looked at again when a CustomResourceDefinition changes.
    lacking: Mutex<BTreeSet<StackId>>,
    nodes: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

struct Watch {
    health: channel::Receiver<Health>,
    _task: Task,
}

/// How a watch is doing.
#[derive(Clone, Debug, Default)]
struct Health {
    /// The first list is complete.
    listed: bool,
    /// Since when it does not run, and why.
    error: Option<(Instant, String)>,
}

impl Health {
    /// Why the cluster counts as unreachable, when the watch has been down for too long to be a hiccup.
    fn down(&self) -> Option<&str> {
        let (since, error) = self.error.as_ref()?;
        (since.elapsed() > UNREACHABLE_AFTER).then_some(error.as_str())
    }
}

/// A task that ends with its owner.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Kinds that could not be observed.
#[derive(Clone, Debug, Default)]
struct Gaps {
    missing: BTreeSet<KindName>,
    unreachable: Option<String>,
}

/// Objects that carry no label of ours and were looked up one by one; kept for one reconcile.
#[derive(Debug, Default)]
pub struct LookedUp(BTreeMap<ObjectKey, Option<Live>>);

impl Observer {
    pub(crate) fn new(
        cluster: String,
        client: Client,
        caller: Caller,
        kinds: Kinds,
        metrics: Metrics,
        triggers: Triggers,
    ) -> Self {
        let inner = Inner {
            cluster,
            client,
            caller,
            kinds,
            store: Arc::default(),
            triggers,
            metrics,
            watches: Mutex::default(),
            definitions: Mutex::default(),
            lacking: Mutex::default(),
            nodes: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The cache.
    pub fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// Stacks to look at again.
    pub fn triggers(&self) -> &Triggers {
        &self.inner.triggers
    }

    /// Opens the watches that nearly every Stack needs, so that the first one does not wait for them. What cannot be
    /// watched is said when a Stack asks for it.
    pub async fn warm(&self) {
        let mut kinds: BTreeSet<KindName> =
            ALWAYS.iter().chain(USUAL).map(|(v, k)| ((*v).to_owned(), (*k).to_owned())).collect();
        kinds.insert(own("BuildingBlock"));
        self.ensure(&kinds).await;
    }

    /// What is on this cluster, for one Stack. `wanted`, what is planned here, names the kinds to look at; without any
    /// (teardown) the inventories do.
    pub async fn observe(
        &self,
        stack: &StackId,
        wanted: &[&Desired],
        looked_up: &mut LookedUp,
        now: i64,
    ) -> Observed {
        let mut kinds: BTreeSet<KindName> =
            ALWAYS.iter().map(|(v, k)| ((*v).to_owned(), (*k).to_owned())).collect();
        kinds.insert(own("BuildingBlock"));
        // Inventories first: they name further kinds.
        let mut gaps = self.ensure(&kinds).await;
        let mut more = self.inner.store.inventoried_kinds(stack);
        for desired in wanted {
            let (version, kind) = (&desired.key.api_version, &desired.key.kind);
            if !more.contains(&(version.clone(), kind.clone())) {
                more.insert((version.clone(), kind.clone()));
            }
        }
        let more = self.ensure(&more).await;
        gaps.missing.extend(more.missing);
        gaps.unreachable = gaps.unreachable.or(more.unreachable);
        self.note_lacking(stack, &gaps);

        let mut observed = self.inner.store.snapshot(stack);
        show_secret_types(wanted, &mut observed);
        match self.look_up(wanted, &observed, looked_up).await {
            Ok(found) => observed.live.extend(found),
            Err(error) => gaps.unreachable = gaps.unreachable.or(Some(error.to_string())),
        }
        match self.simulated().await {
            Ok(simulated) => observed.simulated = simulated,
            Err(error) => gaps.unreachable = gaps.unreachable.or(Some(error.to_string())),
        }
        observed.missing_kinds = gaps.missing;
        observed.unreachable = gaps.unreachable;
        observed.now = now;
        self.inner.metrics.cached(&self.inner.cluster, self.inner.store.len());
        observed
    }

    /// Watches every kind and waits for its first list.
    async fn ensure(&self, kinds: &BTreeSet<KindName>) -> Gaps {
        let mut gaps = Gaps::default();
        let mut waiting: FuturesUnordered<_> = kinds.iter().map(|kind| self.ensure_one(kind)).collect();
        while let Some((kind, result)) = waiting.next().await {
            match result {
                Ok(true) => {}
                Ok(false) => {
                    gaps.missing.insert(kind.clone());
                }
                Err(reason) => gaps.unreachable = Some(reason),
            }
        }
        gaps
    }

    async fn ensure_one<'a>(&self, kind: &'a KindName) -> (&'a KindName, Result<bool, String>) {
        let running = self.running(kind);
        let mut health = match running {
            Some(health) => health,
            None => match self.inner.kinds.served(&kind.0, &kind.1).await {
                Ok(Some(served)) => self.start(kind, served),
                Ok(None) => return (kind, Ok(false)),
                Err(error) => return (kind, Err(error.to_string())),
            },
        };
        // The guard that `wait_for` returns has to go before the state is read.
        let listed = async { health.wait_for(|health| health.listed).await.is_ok() };
        let answered = match tokio::time::timeout(FIRST_LIST, listed).await {
            Ok(true) => Ok(true),
            Ok(false) => Err("the watch ended".to_owned()),
            Err(_) => Ok(false),
        };
        let state = health.borrow();
        let why = match answered {
            Ok(true) => match state.down() {
                None => return (kind, Ok(true)),
                Some(error) => error.to_owned(),
            },
            Ok(false) => match &state.error {
                Some((_, error)) => error.clone(),
                None => format!("no answer within {FIRST_LIST:?}"),
            },
            Err(why) => why,
        };
        if Mutant::ListErrorIsEmpty.lives() {
            return (kind, Ok(true));
        }
        (kind, Err(format!("{} cannot be watched: {why}", kind.1)))
    }

    /// The watch of a kind, unless it has ended: then the kind was removed, and whether it is back is asked anew.
    fn running(&self, kind: &KindName) -> Option<channel::Receiver<Health>> {
        let mut watches = self.lock_watches();
        let health = watches.get(kind)?.health.clone();
        if health.has_changed().is_err() {
            watches.remove(kind);
            return None;
        }
        Some(health)
    }

    fn start(&self, kind: &KindName, served: Served) -> channel::Receiver<Health> {
        let mut watches = self.lock_watches();
        if let Some(watch) = watches.get(kind) {
            return watch.health.clone();
        }
        let (sender, health) = channel::channel(Health::default());
        let task = watch::Task {
            client: self.inner.client.clone(),
            caller: self.inner.caller.clone(),
            kinds: self.inner.kinds.clone(),
            store: self.inner.store.clone(),
            triggers: self.inner.triggers.clone(),
            kind: kind.clone(),
            served,
            health: sender,
        };
        let task = Task(tokio::spawn(task.run()));
        watches.insert(kind.clone(), Watch { health: health.clone(), _task: task });
        health
    }

    fn lock_watches(&self) -> std::sync::MutexGuard<'_, BTreeMap<KindName, Watch>> {
        self.inner.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A Stack that lacks a kind is looked at again when one may have come.
    fn note_lacking(&self, stack: &StackId, gaps: &Gaps) {
        let mut lacking = self.inner.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        if gaps.missing.is_empty() {
            lacking.remove(stack);
            return;
        }
        lacking.insert(stack.clone());
        drop(lacking);
        let mut definitions = self.inner.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        if definitions.is_none() {
            // A weak handle: the task must not keep its own owner alive.
            let weak = Arc::downgrade(&self.inner);
            let changed = move || {
                let Some(inner) = weak.upgrade() else { return };
                inner.kinds.forget_all();
                for stack in inner.lacking.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    inner.triggers.poke(stack.clone());
                }
            };
            *definitions = Some(Task(tokio::spawn(watch::definitions(self.inner.client.clone(), changed))));
        }
    }

    /// Cluster-scoped objects that the plan wants and the caches lack may exist without our labels: a namespace that
    /// is somebody else's must be seen before the first write, not after.
    async fn look_up(
        &self,
        wanted: &[&Desired],
        observed: &Observed,
        looked_up: &mut LookedUp,
    ) -> Result<BTreeMap<ObjectKey, Live>, CallError> {
        let wanted: Vec<&ObjectKey> = wanted
            .iter()
            .map(|desired| &desired.key)
            .filter(|key| key.namespace.is_none() && !observed.live.contains_key(*key))
            .collect();
        let mut reads: FuturesUnordered<_> = wanted
            .iter()
            .filter(|key| !looked_up.0.contains_key(**key))
            .map(|key| async move { Ok::<_, CallError>(((*key).clone(), self.read(key).await?)) })
            .collect();
        while let Some(read) = reads.next().await {
            let (key, live) = read?;
            looked_up.0.insert(key, live);
        }
        drop(reads);
        let found = wanted.into_iter().filter_map(|key| {
            let live = looked_up.0.get(key).cloned().flatten()?;
            Some((key.clone(), live))
        });
        Ok(found.collect())
    }

    /// One object by GET, whoever's it is. Secrets come without values.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn read(&self, key: &ObjectKey) -> Result<Option<Live>, CallError> {
        let Some(served) = self.inner.kinds.served(&key.api_version, &key.kind).await? else {
            return Ok(None);
        };
        let seen = read_seen(&self.inner.caller, &served, key).await?;
        Ok(seen.and_then(|seen| match seen.content {
            Content::Object(live) => Some(live),
            _ => None,
        }))
    }

    /// The namespaces of a Stack's blocks, from the cache once the watch has listed them. Our own writes are in it.
    ///
    /// # Errors
    /// They are not known, and why: an empty list would say that nothing runs.
    pub async fn namespaces(&self, stack: &StackId) -> Result<Vec<Live>, CallError> {
        self.listed(stack, "Namespace").await
    }

    /// The ConfigMaps of a Stack's blocks, but for inventories, as [`Self::namespaces`] has those.
    ///
    /// # Errors
    /// As [`Self::namespaces`].
    pub async fn config_maps(&self, stack: &StackId) -> Result<Vec<Live>, CallError> {
        self.listed(stack, "ConfigMap").await
    }

    /// The namespaces of every Stack's blocks, with whose each is, as [`Self::namespaces`] has those of one.
    ///
    /// # Errors
    /// As [`Self::namespaces`].
    pub async fn everyones_namespaces(&self) -> Result<Vec<(StackId, Live)>, CallError> {
        let kind = ("v1".to_owned(), "Namespace".to_owned());
        self.known(&kind).await?;
        Ok(self.inner.store.all_of_kind(&kind))
    }

    async fn listed(&self, stack: &StackId, name: &str) -> Result<Vec<Live>, CallError> {
        let kind = ("v1".to_owned(), name.to_owned());
        self.known(&kind).await?;
        Ok(self.inner.store.of_kind(stack, &kind))
    }

    /// Until the cache knows all objects of a kind.
    async fn known(&self, kind: &KindName) -> Result<(), CallError> {
        match self.ensure_one(kind).await.1 {
            Ok(true) => Ok(()),
            Ok(false) => Err(CallError::Lost(format!("{} is not served", kind.1))),
            Err(why) => Err(CallError::Lost(why)),
        }
    }

    /// Volume claims in a namespace, whoever made them: asked before the namespace is deleted, since a claim without our
    /// labels holds data all the same and no watch shows it.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn claims(&self, namespace: &str) -> Result<BTreeMap<ObjectKey, Live>, CallError> {
        #[derive(Deserialize)]
        struct List {
            items: Option<Vec<Lean>>,
        }
        let (version, kind) = ("v1", "PersistentVolumeClaim");
        let Some(served) = self.inner.kinds.served(version, kind).await? else { return Ok(BTreeMap::new()) };
        let list: List = self.inner.caller.list(&served, Some(namespace), &[], Answer::Whole).await?;
        let seen = list.items.into_iter().flatten().filter_map(|claim| claim.seen(version, kind));
        Ok(seen
            .filter_map(|seen| match seen.content {
                Content::Object(live) => Some((seen.key, live)),
                _ => None,
            })
            .collect())
    }

    /// What was seen last, of a cluster that does not answer.
    pub fn last_seen(&self, stack: &StackId, wanted: &[&Desired], why: String, now: i64) -> Observed {
        let mut observed = self.inner.store.snapshot(stack);
        show_secret_types(wanted, &mut observed);
        Observed { unreachable: Some(why), now, ..observed }
    }

    /// Ends the watches of a cluster that does not answer; what they have shown stays.
    pub fn rest(&self) {
        self.lock_watches().clear();
        self.inner.definitions.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// An answer to a write of ours.
    pub fn wrote(&self, seen: Seen) {
        let kind = (seen.key.api_version.clone(), seen.key.kind.clone());
        self.inner.store.wrote(&kind, seen);
    }

    /// A read found nothing.
    pub fn absent(&self, key: &ObjectKey) {
        self.inner.store.absent(&(key.api_version.clone(), key.kind.clone()), key);
    }

    /// A delete of ours was accepted; the watch says when it is done.
    pub fn deleting(&self, key: &ObjectKey, uid: &str) {
        self.inner.store.deleting(&(key.api_version.clone(), key.kind.clone()), key, uid);
    }

    /// Whether every node is simulated. Two reads of at most one line each, believed for a while.
    pub(crate) async fn simulated(&self) -> Result<bool, CallError> {
        let mut cached = self.inner.nodes.lock().await;
        if let Some((until, simulated)) = *cached
            && Instant::now() < until
        {
            return Ok(simulated);
        }
        let Some(served) = self.inner.kinds.served("v1", "Node").await? else { return Ok(false) };
        let label = names::LABEL_SIMULATED_NODE;
        let without = format!("!{label}");
        let (simulated, real) = futures::try_join!(self.any(&served, label), self.any(&served, &without))?;
        let believed = if simulated || real { NODES_FOR } else { NO_NODES_FOR };
        *cached = Some((Instant::now() + believed, simulated && !real));
        Ok(simulated && !real)
    }

    async fn any(&self, served: &Served, selector: &str) -> Result<bool, CallError> {
        #[derive(Deserialize)]
        struct List {
            /// An empty list of metadata is `null`.
            items: Option<Vec<serde::de::IgnoredAny>>,
        }
        let query = [("limit", "1"), ("labelSelector", selector)];
        let list: List = self.inner.caller.list(served, None, &query, Answer::Metadata).await?;
        Ok(list.items.is_some_and(|items| !items.is_empty()))
    }
}

/// Metadata does not tell a Secret's type. It cannot change once the Secret exists, so an applied Secret has the one that
/// was applied.
fn show_secret_types(wanted: &[&Desired], observed: &mut Observed) {
    for desired in wanted.iter().filter(|desired| desired.key.kind == "Secret") {
        let Some(wanted) = desired.body.get("type") else { continue };
        let Some(live) = observed.live.get_mut(&desired.key) else { continue };
        if let Some(body) = Arc::make_mut(&mut live.body).as_object_mut() {
            body.entry("type").or_insert_with(|| wanted.clone());
        }
    }
}

/// A watch that begins with a list in the same stream.
pub fn listing() -> Config {
    Config { initial_list_strategy: InitialListStrategy::StreamingList, ..Config::default() }
}

/// `(apiVersion, kind)` of one of Plinth's own kinds.
pub fn own(kind: &str) -> KindName {
    (format!("{}/{}", names::GROUP, names::VERSION), kind.to_owned())
}

pub(crate) async fn read_seen(
    caller: &Caller,
    served: &Served,
    key: &ObjectKey,
) -> Result<Option<Seen>, CallError> {
    if key.kind == "Secret" && key.api_version == "v1" {
        let veiled: Option<Veiled> = caller.get(served, key, Answer::Metadata).await?;
        return Ok(veiled.and_then(|veiled| veiled.seen(&key.api_version, &key.kind)));
    }
    let lean: Option<Lean> = caller.get(served, key, Answer::Whole).await?;
    Ok(lean.and_then(|lean| lean.seen(&key.api_version, &key.kind)))
}
