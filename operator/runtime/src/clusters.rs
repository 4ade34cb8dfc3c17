//! Clusters by name, and what each serves. Today there is one, `home`; everything below asks for it by name.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersion;
use kube::discovery::{ApiGroup, Scope};
use kube::{Client, Config};
use tokio::time::Instant;

use crate::call::{CallError, Caller, REQUEST_TIMEOUT, Served, chain};
use crate::metrics::Metrics;
use crate::observe::Observer;

/// Name of the cluster that Plinth itself runs against.
pub const HOME: &str = "home";

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
        let agent = concat!("plinth/", env!("CARGO_PKG_VERSION"));
        config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
        // kube retries 429 and 503 up to 15 times inside one call, minutes long, and the lease may be gone by then.
        // We answer failures with a state, a reason and a later try.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        Ok(config)
    }
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
        let mut bounded = config.clone();
        bounded.read_timeout = Some(REQUEST_TIMEOUT);
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
}

impl Cluster {
    /// A cluster that is watched lazily: nothing is asked before somebody needs it.
    pub fn new(name: impl Into<String>, clients: Clients, metrics: Metrics) -> Arc<Self> {
        let caller = Caller::new(clients.requests.clone(), metrics.clone());
        let kinds = Kinds::new(clients.requests.clone());
        let observer = Observer::new(clients.watches.clone(), caller.clone(), kinds.clone(), metrics);
        Arc::new(Self { name: name.into(), clients, caller, kinds, observer })
    }
}

/// Clusters by name.
#[derive(Clone)]
pub struct Clusters {
    by_name: Arc<BTreeMap<String, Arc<Cluster>>>,
    home: Arc<Cluster>,
}

impl Clusters {
    /// With `home` alone.
    pub fn new(home: Arc<Cluster>) -> Self {
        Self { by_name: Arc::new([(home.name.clone(), home.clone())].into()), home }
    }

    /// The cluster that Plinth itself runs against.
    pub fn home(&self) -> &Arc<Cluster> {
        &self.home
    }

    /// A cluster by name.
    pub fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.by_name.get(name)
    }
}

/// Which kinds a cluster serves, and how. One request teaches a whole group version.
#[derive(Clone)]
pub struct Kinds {
    client: Client,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

struct Known {
    kinds: HashMap<String, Served>,
    asked: Instant,
}

impl Kinds {
    fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
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
        let answer =
            tokio::time::timeout(REQUEST_TIMEOUT, kube::discovery::pinned_group(&self.client, &version));
        let group: ApiGroup = match answer.await {
            Ok(Ok(group)) => group,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(HashMap::new()),
            // A group version without any kind is an error to kube; to us it serves nothing.
            Ok(Err(kube::Error::Discovery(_))) => return Ok(HashMap::new()),
            Ok(Err(kube::Error::Api(status))) => return Err(CallError::Api { status, retry_after: None }),
            Ok(Err(error)) => return Err(CallError::Lost(chain(&error))),
            Err(_) => return Err(CallError::Lost(format!("none within {REQUEST_TIMEOUT:?}"))),
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
