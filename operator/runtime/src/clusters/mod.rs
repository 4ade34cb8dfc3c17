//! Clusters, and what each serves: the hub, on which Plinth itself runs, and a `WorkloadCluster` each for the others. Each
//! has clients, limits and caches of its own, so that one that is slow or silent is slow or silent alone.

pub mod kubeconfig;
pub mod pulse;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersion;
use kube::discovery::{ApiGroup, Scope};
use kube::{Client, Config};
use tokio::time::Instant;

use crate::apply::Applier;
use crate::call::{CallError, Caller, REQUEST_TIMEOUT, Served, chain};
use crate::metrics::Metrics;
use crate::observe::{Observer, Triggers};
use pulse::Pulse;

/// Name of the cluster that Plinth itself runs against.
pub const HOME: &str = "home";

/// Longest time that one request to another cluster may take. A shorter one than at home: what does not answer there must
/// not hold up its own Stacks for long either.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that a connection to another cluster may take.
const REMOTE_CONNECT: Duration = Duration::from_secs(3);

/// How long a kind is believed to be missing before the cluster is asked again.
const MISSING_FOR: Duration = Duration::from_secs(10);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

/// Where the credentials of a cluster come from.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Kubeconfig file; without one, `KUBECONFIG`, `~/.kube/config`, then the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context in it.
    pub context: Option<String>,
}

impl Access {
    /// The client configuration, as Plinth wants it.
    ///
    /// # Errors
    /// There is no kubeconfig, or it is not understood.
    pub async fn config(&self) -> Result<Config, ConnectError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let failed = |error: &dyn std::error::Error| ConnectError(chain(error));
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|e| failed(&e))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|e| failed(&e))?
            }
            None if self.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|e| failed(&e))?
            }
            None => Config::infer().await.map_err(|e| failed(&e))?,
        };
        ours(&mut config);
        config.connect_timeout = Some(Duration::from_secs(5));
        Ok(config)
    }
}

/// How Plinth speaks to any cluster.
fn ours(config: &mut Config) {
    let agent = concat!("plinth/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    // kube retries 429 and 503 up to 15 times inside one call, minutes long, and the lease may be gone by then.
    // We answer failures with a state, a reason and a later try.
    config.default_retry = false;
}

/// The client configuration from a kubeconfig that stands in a Secret.
///
/// # Errors
/// What of it is refused or not understood: the field and what is allowed, never a value.
pub async fn config_from(kubeconfig: &str) -> Result<Config, ConnectError> {
    let parsed = kubeconfig::parse(kubeconfig).map_err(ConnectError)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(parsed, &options).await;
    // The causes of this error may repeat what they could not read.
    let mut config =
        config.map_err(|_| ConnectError("its certificates or keys cannot be read".to_owned()))?;
    ours(&mut config);
    config.connect_timeout = Some(REMOTE_CONNECT);
    Ok(config)
}

/// The two clients of a cluster. kube speaks HTTP/1.1: every request under way has a connection of its own, watches
/// for good, so that a burst of writes never waits behind a watch.
#[derive(Clone)]
pub struct Clients {
    /// For requests: a server that falls silent is noticed.
    pub requests: Client,
    /// For watches: silence is normal there, the watcher has its own idle limit.
    pub watches: Client,
}

impl Clients {
    /// From a configuration made by [`Access::config`].
    ///
    /// # Errors
    /// Certificates or credentials cannot be used.
    pub fn new(config: Config) -> Result<Self, ConnectError> {
        Self::within(REQUEST_TIMEOUT, config)
    }

    fn within(timeout: Duration, config: Config) -> Result<Self, ConnectError> {
        let mut bounded = config.clone();
        bounded.read_timeout = Some(timeout);
        bounded.reset_reader_on_write = true;
        let client = |config| Client::try_from(config).map_err(|error| ConnectError(chain(&error)));
        Ok(Self { requests: client(bounded)?, watches: client(config)? })
    }
}

/// One cluster.
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its clients.
    pub clients: Clients,
    /// For reads.
    pub caller: Caller,
    /// What it serves.
    pub kinds: Kinds,
    /// What runs on it.
    pub observer: Observer,
    /// Whether it answers; the hub always counts as answering, for who asks runs there.
    pub pulse: Pulse,
}

impl Cluster {
    /// The hub. It is watched lazily: nothing is asked before somebody needs it.
    pub fn new(name: impl Into<String>, clients: Clients, metrics: Metrics) -> Arc<Self> {
        let triggers = Triggers::new(metrics.clone());
        Arc::new(Self::with(name.into(), clients, REQUEST_TIMEOUT, metrics, triggers))
    }

    /// Another cluster, from a configuration made by [`config_from`]. What changes there wakes the Stacks through
    /// `triggers`.
    ///
    /// # Errors
    /// Certificates or credentials cannot be used.
    pub fn remote(
        name: impl Into<String>,
        config: Config,
        metrics: Metrics,
        triggers: Triggers,
    ) -> Result<Arc<Self>, ConnectError> {
        let clients = Clients::within(REMOTE_TIMEOUT, config)?;
        Ok(Arc::new(Self::with(name.into(), clients, REMOTE_TIMEOUT, metrics, triggers)))
    }

    fn with(name: String, clients: Clients, timeout: Duration, metrics: Metrics, triggers: Triggers) -> Self {
        let pulse = Pulse::default();
        let caller = Caller::new(clients.requests.clone(), metrics.clone(), timeout, pulse.clone());
        let kinds = Kinds::new(clients.requests.clone(), timeout, pulse.clone());
        let observer = Observer::new(
            name.clone(),
            clients.watches.clone(),
            caller.clone(),
            kinds.clone(),
            metrics,
            triggers,
        );
        Self { name, clients, caller, kinds, observer, pulse }
    }
}

/// Namespace and name of a `WorkloadCluster`.
pub type ClusterId = (String, String);

/// The hub, and every other cluster that has answered at least once.
#[derive(Clone)]
pub struct Clusters {
    home: Arc<Cluster>,
    others: Arc<RwLock<BTreeMap<ClusterId, Applier>>>,
}

impl Clusters {
    /// With `home` alone.
    pub fn new(home: Arc<Cluster>) -> Self {
        Self { home, others: Arc::default() }
    }

    /// The cluster that Plinth itself runs against.
    pub fn home(&self) -> &Arc<Cluster> {
        &self.home
    }

    /// The cluster of a `WorkloadCluster`, and the hand that writes to it.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Applier> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        others.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// From now on this is it; what was known of an earlier connection goes.
    pub fn put(&self, id: ClusterId, applier: Applier) {
        self.others.write().unwrap_or_else(PoisonError::into_inner).insert(id, applier);
    }

    /// Nobody has to do with it any more.
    pub fn remove(&self, id: &ClusterId) {
        self.others.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// Which kinds a cluster serves, and how. One request teaches a whole group version.
#[derive(Clone)]
pub struct Kinds {
    client: Client,
    timeout: Duration,
    pulse: Pulse,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

struct Known {
    kinds: HashMap<String, Served>,
    asked: Instant,
}

impl Kinds {
    fn new(client: Client, timeout: Duration, pulse: Pulse) -> Self {
        Self { client, timeout, pulse, known: Arc::default() }
    }

    /// How the cluster serves a kind; `None` when it does not.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn served(&self, api_version: &str, kind: &str) -> Result<Option<Served>, CallError> {
        if let Some(known) = self.lock().get(api_version) {
            let served = known.kinds.get(kind);
            if served.is_some() || known.asked.elapsed() < MISSING_FOR {
                return Ok(served.cloned());
            }
        }
        let kinds = self.ask(api_version).await?;
        let served = kinds.get(kind).cloned();
        self.lock().insert(api_version.to_owned(), Known { kinds, asked: Instant::now() });
        Ok(served)
    }

    /// A kind that was served is gone, or one that was missing may have come: ask again at the next need.
    pub fn forget(&self, api_version: &str) {
        self.lock().remove(api_version);
    }

    /// CustomResourceDefinitions changed: everything may be different.
    pub fn forget_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, api_version: &str) -> Result<HashMap<String, Served>, CallError> {
        let version: GroupVersion = api_version
            .parse()
            .map_err(|_| CallError::Lost(format!("{api_version} is not an apiVersion")))?;
        if let Some(why) = self.pulse.silence() {
            return Err(CallError::Lost(why));
        }
        let answer =
            tokio::time::timeout(self.timeout, kube::discovery::pinned_group(&self.client, &version));
        let group: ApiGroup = match answer.await {
            Ok(Ok(group)) => group,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(HashMap::new()),
            // A group version without any kind is an error to kube; to us it serves nothing.
            Ok(Err(kube::Error::Discovery(_))) => return Ok(HashMap::new()),
            Ok(Err(kube::Error::Api(status))) => return Err(CallError::Api { status, retry_after: None }),
            Ok(Err(error)) => return Err(CallError::Lost(chain(&error))),
            Err(_) => return Err(CallError::Lost(format!("none within {:?}", self.timeout))),
        };
        let resources = group.versioned_resources(&version.version);
        Ok(resources
            .into_iter()
            .map(|(resource, capabilities)| {
                let namespaced = capabilities.scope == Scope::Namespaced;
                (resource.kind.clone(), Served { resource, namespaced })
            })
            .collect())
    }
}
