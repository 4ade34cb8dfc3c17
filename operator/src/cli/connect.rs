//! Which cluster a command talks to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use plinth_cluster::ControlPlane;

use super::exit::{Exit, Failure};

/// Name of the cluster that `up` starts where none is given.
pub const DEFAULT_NAME: &str = "plinth";
/// A cluster that says nothing for so long is not there.
const ANSWER: Duration = Duration::from_secs(15);

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// Kubeconfig of the cluster. Without it: KUBECONFIG, then the cluster that `plinth up` started, then
    /// ~/.kube/config, then the pod's own account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// A cluster that answers.
pub struct Connection {
    /// Its client.
    pub client: Client,
    /// How it was found, for people.
    pub origin: String,
}

impl ClusterArgs {
    /// The kubeconfig that the user named, by argument or environment, and which of the two.
    ///
    /// # Errors
    /// It was named and cannot be read.
    pub fn named(&self) -> Result<Option<(Kubeconfig, String)>> {
        if let Some(path) = &self.kubeconfig {
            let read = Kubeconfig::read_from(path).map_err(|error| no_cluster(error, "--kubeconfig"))?;
            return Ok(Some((read, format!("--kubeconfig {}", path.display()))));
        }
        // An empty variable is how a shell says "none".
        if std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty()) {
            return Ok(None);
        }
        let read = Kubeconfig::from_env().map_err(|error| no_cluster(error, "KUBECONFIG"))?;
        let value = std::env::var("KUBECONFIG").unwrap_or_default();
        Ok(read.map(|read| (read, format!("KUBECONFIG={value}"))))
    }

    /// Connects, and makes sure that somebody answers.
    ///
    /// # Errors
    /// No cluster is configured, or it does not answer.
    pub async fn connect(&self) -> Result<Connection> {
        let (config, origin) = match self.named()? {
            Some((kubeconfig, origin)) => (self.config(kubeconfig).await?, origin),
            None => match ControlPlane::attach(DEFAULT_NAME).await {
                Ok(plane) if self.context.is_none() => {
                    let path = plane.kubeconfig();
                    let read =
                        Kubeconfig::read_from(&path).map_err(|error| no_cluster(error, "its kubeconfig"))?;
                    (self.config(read).await?, format!("`plinth up`, {}", path.display()))
                }
                _ => (self.inferred().await?, "~/.kube/config or the pod's own account".to_owned()),
            },
        };
        let server = config.cluster_url.to_string();
        let client = client(config)?;
        let answer = tokio::time::timeout(ANSWER, client.apiserver_version()).await;
        answer
            .map_err(|_| {
                Failure::new(
                    Exit::NoCluster,
                    format!("{server} does not answer within {} s", ANSWER.as_secs()),
                )
            })?
            .with_context(|| format!("the cluster of {origin}"))?;
        Ok(Connection { client, origin })
    }

    /// The configuration of the chosen context.
    ///
    /// # Errors
    /// The context is not in the file, or its credentials cannot be read.
    pub async fn config(&self, kubeconfig: Kubeconfig) -> Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| no_cluster(error, "the kubeconfig"))
    }

    async fn inferred(&self) -> Result<Config> {
        let failed = || {
            Failure::new(Exit::NoCluster, "no cluster is configured").next(
                "give --kubeconfig, set KUBECONFIG, or start a cluster on this machine with `plinth up --detach`",
            )
        };
        match Kubeconfig::read() {
            Ok(kubeconfig) if !kubeconfig.contexts.is_empty() => self.config(kubeconfig).await,
            _ => Config::incluster().map_err(|_| failed().into()),
        }
    }
}

/// A client that gives up: kube waits for ever by default.
///
/// # Errors
/// The TLS configuration does not work.
pub fn client(mut config: Config) -> Result<Client> {
    config.read_timeout = Some(Duration::from_secs(60));
    config.headers.push((
        http::header::USER_AGENT,
        http::HeaderValue::from_static(concat!("plinth-cli/", env!("CARGO_PKG_VERSION"))),
    ));
    Client::try_from(config).context("making a client")
}

fn no_cluster(error: impl std::fmt::Display, origin: &str) -> anyhow::Error {
    Failure::new(Exit::NoCluster, format!("{origin}: {error}"))
        .next("check the file and its current-context with `kubectl config view`")
        .into()
}
