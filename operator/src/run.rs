//! `plinth run`: the operator. Stands for election, and while it leads, reconciles; stops writing before it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{Event, watcher};
use kube::runtime::{Config, Controller, WatchStreamExt, predicates};
use kube::{Api, ResourceExt};
use plinth_api::{Operation, Product, Stack, WorkloadCluster};
use plinth_plan::catalogue::Catalogues;
use plinth_plan::model::StackId;
use plinth_runtime::apply::{Applier, IN_FLIGHT};
use plinth_runtime::call::Writer;
use plinth_runtime::clusters::{Access, Clients, Cluster, Clusters, HOME};
use plinth_runtime::events::Events;
use plinth_runtime::lease::state::Timing;
use plinth_runtime::lease::{Election, Fence, Options as LeaseOptions};
use plinth_runtime::metrics::Metrics;
use plinth_runtime::observe::agencies::{Agencies, Notice};
use plinth_runtime::observe::{Triggers, listing};
use plinth_runtime::serve::serve;
use plinth_runtime::status::StatusWriter;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::controllers::certificates::Certificates;
use crate::controllers::cluster::{Attended, Rhythm};
use crate::controllers::context::Context;
use crate::controllers::documents::Documents;
use crate::controllers::sandbox::{Clock, Pace, Sandboxes};
use crate::controllers::{agencies, cluster, operation, sandbox, stack};

/// Name of the Lease.
const LEASE: &str = "plinth";
/// Longest wait for the first answer of every cluster before Stacks are looked at.
const FIRST_LOOK: Duration = Duration::from_secs(6);

/// What `plinth run` takes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which cluster.
    pub access: Access,
    /// Namespace of the Lease; the kubeconfig's (or the pod's own) where nothing is said.
    pub lease_namespace: Option<String>,
    /// Name of this process; `POD_NAME`, or the host's name and the process id, where nothing is said.
    pub identity: Option<String>,
    /// Stacks that are reconciled at the same time.
    pub concurrency: u16,
    /// Writes under way at the same time.
    pub in_flight: usize,
    /// Where health and metrics are served; nowhere when nothing is said.
    pub metrics: Option<SocketAddr>,
    /// Where the console is served; nowhere when nothing is said.
    pub console: Option<SocketAddr>,
    /// Clocks of the election.
    pub timing: Timing,
    /// How often other clusters are asked whether they answer.
    pub rhythm: Rhythm,
    /// Catalogues that Stacks are made from; those of this binary when nothing is said.
    pub catalogues: Option<Arc<Catalogues>>,
    /// How often Sandboxes are looked at.
    pub pace: Pace,
    /// What time it is to Sandboxes.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: Access::default(),
            lease_namespace: None,
            identity: None,
            concurrency: 8,
            in_flight: IN_FLIGHT,
            metrics: None,
            console: None,
            timing: Timing::default(),
            rhythm: Rhythm::default(),
            catalogues: None,
            pace: Pace::default(),
            clock: Clock::default(),
        }
    }
}

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// There are no credentials for a cluster. A cluster that does not answer is waited for.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let signal = stop.clone();
    tokio::spawn(async move {
        signalled().await;
        tracing::info!("stopping: what is under way is finished first");
        signal.cancel();
    });
    run_until(options, stop).await
}

/// Runs until `stop`.
///
/// # Errors
/// As [`run`].
pub async fn run_until(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = Metrics::default();
    let config = options.access.config().await.context("no cluster to run against")?;
    let clients = Clients::new(config)?;
    let namespace =
        options.lease_namespace.clone().unwrap_or_else(|| clients.requests.default_namespace().to_owned());
    let identity = options.identity.clone().unwrap_or_else(own_identity);
    let catalogues = match options.catalogues.clone() {
        Some(catalogues) => catalogues,
        None => Arc::new(Catalogues::builtin().map_err(|findings| {
            anyhow::anyhow!("the catalogues of this binary are broken: {}", findings[0])
        })?),
    };
    metrics.built(env!("CARGO_PKG_VERSION"), catalogues.current().revision());

    // Not the given token: the lease outlives the last write.
    let retire = CancellationToken::new();
    let lease = LeaseOptions {
        namespace,
        name: LEASE.to_owned(),
        identity: identity.clone(),
        timing: options.timing,
    };
    let (election, fence) = Election::new(clients.requests.clone(), lease, metrics.clone());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(election.run(retire.clone()));

    let (ready, is_ready) = watch::channel(false);
    if let Some(address) = options.metrics {
        let (metrics, retire) = (metrics.clone(), retire.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(address, metrics, is_ready, retire).await {
                tracing::error!(%error, %address, "health and metrics are not served");
            }
        });
    }
    if let Some(address) = options.console {
        let clients =
            plinth_console::Clients { requests: clients.requests.clone(), watches: clients.watches.clone() };
        let retire = retire.clone();
        // A standby shows the same: it has watches of its own.
        tokio::spawn(async move {
            if let Err(error) = plinth_console::serve(address, clients, retire).await {
                tracing::error!(%error, %address, "the console is not served");
            }
        });
    }
    // A standby is ready: it can take over.
    ready.send_replace(true);
    let house = House { options, clients, catalogues, identity, fence, metrics };
    while !stop.is_cancelled() {
        tokio::select! {
            () = house.fence.gained() => {}
            () = stop.cancelled() => break,
        }
        house.lead(&stop).await;
    }
    retire.cancel();
    while tasks.join_next().await.is_some() {}
    Ok(())
}

struct House {
    options: Options,
    clients: Clients,
    catalogues: Arc<Catalogues>,
    identity: String,
    fence: Fence,
    metrics: Metrics,
}

impl House {
    /// Reconciles until the lease is lost or `stop`. Caches begin anew with each term: what a predecessor wrote
    /// meanwhile is then seen from the start.
    async fn lead(&self, stop: &CancellationToken) {
        let term = stop.child_token();
        let home = Cluster::new(HOME, self.clients.clone(), self.metrics.clone());
        let writer = Writer::new(home.caller.clone(), self.fence.clone());
        let applier =
            Applier::new(home.clone(), writer.clone(), self.metrics.clone(), self.options.in_flight);
        let client = self.clients.watches.clone();
        let (products, product_writer) = reflector::store::<DeserializeGuard<Product>>();
        let (notices, noticed) = mpsc::unbounded_channel();
        let (declared, following_declared) = Agencies::watch(&client, {
            let (triggers, notices) = (home.observer.triggers().clone(), notices.clone());
            move |notice| match notice {
                Notice::Stack(stack) => triggers.poke(stack),
                // Nobody listens any more when the term has ended.
                other => drop(notices.send(other)),
            }
        });
        let (sites, sites_writer) = reflector::store::<DeserializeGuard<WorkloadCluster>>();
        let (reader, writer_of_stacks) = reflector::store::<DeserializeGuard<Stack>>();
        let (sandboxes, feeds) =
            Sandboxes::new(reader.clone(), self.options.clock.clone(), self.options.pace);
        let context = Arc::new(Context {
            clusters: Clusters::new(home.clone()),
            sites: sites.clone(),
            attended: Attended::default(),
            rhythm: self.options.rhythm,
            errands: TaskTracker::new(),
            fence: self.fence.clone(),
            applier,
            status: StatusWriter::new(home.clone(), writer.clone()),
            events: Events::new(self.clients.requests.clone(), writer, &self.identity),
            metrics: self.metrics.clone(),
            catalogues: self.catalogues.clone(),
            products: products.clone(),
            agencies: declared.clone(),
            documents: Documents::default(),
            certificates: Certificates::default(),
            sandboxes,
            stacks: std::sync::Mutex::default(),
        });

        // Products first: a Stack that is planned without them would be called invalid for a moment.
        let changed = watcher(Api::<DeserializeGuard<Product>>::all(client.clone()), listing())
            .default_backoff()
            .reflect(product_writer)
            .touched_objects()
            .predicate_filter(predicates::generation, predicates_config());
        let (changes, heard) = watch::channel(());
        let ended = term.clone();
        let following = tokio::spawn(async move {
            let mut changed = std::pin::pin!(changed.take_until(ended.cancelled_owned()));
            while let Some(change) = changed.next().await {
                match change {
                    Ok(_) => changes.send_replace(()),
                    Err(error) => {
                        tracing::warn!(%error, "Products cannot be watched; are Plinth's kinds installed (plinth crds)?");
                    }
                }
            }
        });
        let ended = term.clone();
        let following_declared = tokio::spawn(async move {
            tokio::select! {
                () = following_declared => {}
                () = ended.cancelled_owned() => {}
            }
        });
        let attending = tokio::spawn(clusters(&client, &context, (sites.clone(), sites_writer), &term));
        // What agencies have declared is part of every plan, too; and where a block runs, of what is said of it.
        let listed = async {
            let (products, declared, (), ()) = tokio::join!(
                products.wait_until_ready(),
                declared.wait_until_listed(),
                home.observer.warm(),
                looked_at(&context)
            );
            products.is_ok() && declared
        };
        let listed = tokio::select! {
            listed = listed => listed,
            () = self.fence.lost() => false,
            () = stop.cancelled() => false,
        };
        if listed {
            let config = Config::default().concurrency(self.options.concurrency);
            let beside = agencies::outsiders(noticed, reader.clone(), &context);
            let wakes = Wakes { products: heard, missing: notices };
            let stacks = stacks(&client, &context, config.clone(), (reader, writer_of_stacks), wakes, &term);
            let operations = operations(&client, &context, config.clone(), &term);
            let sandboxes = sandbox::control(&client, &context, config, feeds, &term);
            let all = futures::future::join3(stacks, operations, sandboxes);
            let mut all = std::pin::pin!(all);
            let over = async {
                tokio::select! {
                    () = beside => {}
                    () = self.fence.lost() => {}
                }
            };
            tokio::select! {
                _ = &mut all => {}
                () = over => {
                    term.cancel();
                    all.await;
                }
            }
        }
        term.cancel();
        context.errands.close();
        let _ = tokio::join!(following, following_declared, attending, context.errands.wait());
        self.metrics.forget_stacks();
    }
}

/// Until every WorkloadCluster was looked at once, within a limit: a restart of Plinth alone makes no Stack unknown.
async fn looked_at(context: &Context) {
    if tokio::time::timeout(FIRST_LOOK, context.attended.looked_at()).await.is_err() {
        tracing::info!("not every WorkloadCluster has answered; the others do not wait for it");
    }
}

fn clusters(
    client: &kube::Client,
    context: &Arc<Context>,
    (reader, writer): (
        Store<DeserializeGuard<WorkloadCluster>>,
        StoreWriter<DeserializeGuard<WorkloadCluster>>,
    ),
    term: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let leaving = context.clone();
    let changed = watcher(Api::<DeserializeGuard<WorkloadCluster>>::all(client.clone()), listing())
        .default_backoff()
        .reflect(writer)
        .inspect_ok(move |event| match event {
            Event::Delete(gone) => {
                cluster::gone(&(gone.namespace().unwrap_or_default(), gone.name_any()), &leaving);
            }
            Event::InitDone => leaving.attended.listed(leaving.sites.len()),
            Event::Init | Event::InitApply(_) | Event::Apply(_) => {}
        })
        .applied_objects()
        // Our own status writes wake nobody; a claim that goes may be what a deletion has waited for.
        .predicate_filter(cluster_changes, predicates_config());
    // Each look is bounded in time, and one that takes long must not hold up another cluster's: no limit to how many.
    let nothing_begun = nothing_begun(reader.clone(), term.clone());
    Controller::for_stream(changed, reader)
        .with_config(Config::default().concurrency(0))
        .graceful_shutdown_on(term.clone().cancelled_owned())
        .run(cluster::reconcile, cluster::on_error, context.clone())
        .take_until(nothing_begun)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "cluster controller");
            }
        })
}

/// What of a WorkloadCluster has to change for another look before its time.
fn cluster_changes(cluster: &DeserializeGuard<WorkloadCluster>) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use kube::Resource;
    let meta = cluster.meta();
    let mut hash = DefaultHasher::new();
    (meta.uid.as_ref(), meta.generation, meta.labels.as_ref()).hash(&mut hash);
    let claims = cluster.0.as_ref().ok().and_then(|cluster| Some(&cluster.status.as_ref()?.claims));
    for claim in claims.into_iter().flatten() {
        (&claim.stack, &claim.blocks).hash(&mut hash);
    }
    Some(hash.finish())
}

/// What wakes Stacks beside their own changes, and who is told of those that do not exist.
struct Wakes {
    products: watch::Receiver<()>,
    missing: mpsc::UnboundedSender<Notice>,
}

fn stacks(
    client: &kube::Client,
    context: &Arc<Context>,
    config: Config,
    (reader, writer): (Store<DeserializeGuard<Stack>>, StoreWriter<DeserializeGuard<Stack>>),
    wakes: Wakes,
    term: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (triggers, made_for) = (context.clusters.home().observer.triggers().clone(), context.clone());
    let (listed, mut is_listed) = watch::channel(false);
    let changed = watcher(Api::<DeserializeGuard<Stack>>::all(client.clone()), listing())
        .default_backoff()
        .reflect(writer)
        .inspect_ok(whoever_named_it(triggers.clone(), context.agencies.clone(), listed))
        .inspect_ok(move |event| made_for.sandboxes.heard(event))
        .applied_objects()
        // Our own status writes wake nobody.
        .predicate_filter(stack_changes, predicates_config());
    let known = reader.clone();
    // Before the first list, none is known to be missing. (Not `wait_until_ready`: a store wakes one waiter, and the
    // controller is that one.)
    let first_list = async move { is_listed.wait_for(|listed| *listed).await.map(drop) };
    let pokes = stream::once(first_list).flat_map(move |_| triggers.stream());
    let pokes = pokes.filter_map(move |id| {
        let stack = ObjectRef::new(&id.name).within(&id.namespace);
        let there = known.get(&stack).is_some();
        if !there {
            // Nobody listens any more when the term has ended.
            let _ = wakes.missing.send(Notice::Stack(id));
        }
        std::future::ready(there.then_some(stack))
    });
    let products = stream::unfold(wakes.products, |mut products| async move {
        products.changed().await.ok().map(|()| ((), products))
    });
    let nothing_begun = nothing_begun(reader.clone(), term.clone());
    Controller::for_stream(changed, reader)
        .with_config(config)
        .reconcile_on(pokes)
        .reconcile_all_on(products)
        .graceful_shutdown_on(term.clone().cancelled_owned())
        .run(stack::reconcile, stack::on_error, context.clone())
        .take_until(nothing_begun)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "stack controller");
            }
        })
}

/// A Stack that is gone is looked at once more, for the sake of the objects that name it; so is every one that is named, when
/// Stacks are listed anew.
fn whoever_named_it(
    triggers: Triggers,
    agencies: Agencies,
    listed: watch::Sender<bool>,
) -> impl Fn(&Event<DeserializeGuard<Stack>>) {
    move |event| match event {
        Event::Delete(stack) => triggers
            .poke(StackId { namespace: stack.namespace().unwrap_or_default(), name: stack.name_any() }),
        Event::InitDone => {
            agencies.named().into_iter().for_each(|stack| triggers.poke(stack));
            listed.send_replace(true);
        }
        Event::Init | Event::InitApply(_) | Event::Apply(_) => {}
    }
}

fn operations(
    client: &kube::Client,
    context: &Arc<Context>,
    config: Config,
    term: &CancellationToken,
) -> impl Future<Output = ()> + use<> {
    let (reader, writer) = reflector::store::<DeserializeGuard<Operation>>();
    let changed = watcher(Api::<DeserializeGuard<Operation>>::all(client.clone()), listing())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation, predicates_config());
    let nothing_begun = nothing_begun(reader.clone(), term.clone());
    Controller::for_stream(changed, reader)
        .with_config(config)
        .graceful_shutdown_on(term.clone().cancelled_owned())
        .run(operation::reconcile, operation::on_error, context.clone())
        .take_until(nothing_begun)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "operation controller");
            }
        })
}

/// Resolves when the term ends before the first list of a kind has come. A controller begins nothing before that list, and does not
/// ask for it any more once it is told to stop: it would never end, and this process would neither stop nor lead again.
pub(crate) async fn nothing_begun<K>(store: Store<K>, term: CancellationToken)
where
    K: reflector::Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    term.cancelled().await;
    if store.wait_until_ready().now_or_never().is_some() {
        std::future::pending::<()>().await;
    }
}

/// The cache of a predicate must outlive any pause between two events, or a status write of ours looks like news.
pub(crate) fn predicates_config() -> kube::runtime::PredicateConfig {
    kube::runtime::PredicateConfig::default().ttl(std::time::Duration::from_secs(60 * 60 * 24 * 7))
}

/// What of a Stack has to change for a reconcile: its spec or deletion (both move the generation), its annotations, an
/// approval, our finalizer when somebody takes it off. Not when we add it: that reconcile goes on in the same breath.
fn stack_changes(stack: &DeserializeGuard<Stack>) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use kube::Resource;
    let meta = stack.meta();
    let mut hash = DefaultHasher::new();
    (meta.uid.as_ref(), meta.generation, meta.annotations.as_ref()).hash(&mut hash);
    let approved = stack.0.as_ref().ok().and_then(|stack| stack.status.as_ref()?.approved_hash.as_ref());
    approved.hash(&mut hash);
    let status = stack.0.as_ref().ok().and_then(|stack| stack.status.as_ref());
    let looked_at = status.is_some_and(|status| status.observed_generation.is_some());
    let held = stack.finalizers().iter().any(|finalizer| finalizer == plinth_api::names::FINALIZER);
    (looked_at && !held).hash(&mut hash);
    Some(hash.finish())
}

/// Until SIGTERM or Ctrl-C.
pub async fn signalled() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}

/// In a pod its name: no two processes share it, and a restarted container takes its lease back at once. Elsewhere two
/// operators may run on one host, and each must be somebody else.
pub fn own_identity() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    named("POD_NAME").unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .or_else(|| named("HOSTNAME"))
            .unwrap_or_else(|| "plinth".to_owned());
        format!("{host}_{}", std::process::id())
    })
}
