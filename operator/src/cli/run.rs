//! `plinth run`: the operator, in a pod, on a laptop, or inside `plinth up`.

use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use plinth::run::{Options, own_identity, run, run_until};
use plinth_runtime::clusters::Access;
use plinth_runtime::traces;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::connect::ClusterArgs;
use super::exit::Exit;

/// Ours in full, kube's own warnings; `RUST_LOG` says otherwise.
const LOG: &str = "info,kube=warn,hyper=warn,tower=warn";

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Namespace of the Lease by which one of several operators leads; the kubeconfig's, or the pod's own, when left out.
    #[arg(long, env = "PLINTH_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// Name of this process in the Lease; POD_NAME, or the host's name and the process id, when left out.
    #[arg(long, env = "PLINTH_IDENTITY", value_name = "NAME")]
    identity: Option<String>,
    /// Stacks that are reconciled at the same time.
    #[arg(long, default_value_t = Options::default().concurrency, value_name = "N")]
    concurrency: u16,
    /// Writes to the API server under way at the same time.
    #[arg(long, default_value_t = Options::default().in_flight, value_name = "N")]
    in_flight: usize,
    /// Address on which health and metrics are served, as 127.0.0.1:8080; nowhere when left out.
    #[arg(long, env = "PLINTH_METRICS", value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Address on which the console is served, as 127.0.0.1:8090, in plain HTTP: what is in front of it ends TLS. Nowhere when left
    /// out.
    #[arg(long, env = "PLINTH_CONSOLE", value_name = "ADDRESS")]
    console: Option<SocketAddr>,
    /// Address of a collector that takes traces over OTLP (HTTP), as http://127.0.0.1:4318: one a change of a Stack, until the last of its
    /// objects is ready. Nobody is told when left out.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp: Option<String>,
    /// How the log is written to standard error. The default is `text` on a terminal and `json` everywhere else.
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Folder of the `up` that started it: how `down` recognises the process.
    #[arg(long, hide = true)]
    started_by: Option<PathBuf>,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Args {
    /// For `up`: this cluster, and nothing that a second operator on this machine would collide with.
    pub fn of(cluster: ClusterArgs) -> Self {
        let Options { concurrency, in_flight, .. } = Options::default();
        Self {
            cluster,
            lease_namespace: None,
            // There is one operator here; by a name of its own, a restarted one takes the lease back at once.
            identity: Some("up".to_owned()),
            concurrency,
            in_flight,
            metrics: None,
            console: None,
            otlp: None,
            log_format: None,
            started_by: None,
        }
    }

    /// The same as a command line, for a process of its own.
    pub fn command_line(&self, started_by: &Path) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["run".into(), "--log-format".into(), "text".into()];
        if let Some(identity) = &self.identity {
            line.extend(["--identity".into(), identity.into()]);
        }
        if let Some(kubeconfig) = &self.cluster.kubeconfig {
            line.extend(["--kubeconfig".into(), kubeconfig.into()]);
        }
        if let Some(context) = &self.cluster.context {
            line.extend(["--context".into(), context.into()]);
        }
        line.extend(["--started-by".into(), started_by.into()]);
        line
    }

    fn options(&self) -> Options {
        Options {
            access: Access {
                kubeconfig: self.cluster.kubeconfig.clone(),
                context: self.cluster.context.clone(),
            },
            lease_namespace: self.lease_namespace.clone(),
            identity: self.identity.clone(),
            concurrency: self.concurrency,
            in_flight: self.in_flight,
            metrics: self.metrics,
            console: self.console,
            ..Options::default()
        }
    }
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn main(args: Args) -> Result<Exit> {
    let default = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let format = args.log_format.unwrap_or(default);
    let mut options = args.options();
    let traces = match args.otlp.as_deref().filter(|address| !address.is_empty()) {
        None => {
            start_log(format)?;
            None
        }
        Some(address) => {
            // The collector and the Lease know the process by the same name.
            let identity = options.identity.get_or_insert_with(own_identity);
            let (layer, traces) =
                traces::layer(address, identity, env!("CARGO_PKG_VERSION")).context("--otlp")?;
            started(Registry::default().with(layer).with(log(format)))?;
            Some(traces)
        }
    };
    run(options).await?;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    Ok(Exit::Ok)
}

/// Starts the log of this process, on standard error.
pub fn start_log(format: LogFormat) -> Result<()> {
    started(Registry::default().with(log(format)))
}

/// The log on standard error.
fn log<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter()).boxed(),
        LogFormat::Json => log.json().with_filter(filter()).boxed(),
    }
}

/// Runs until told to stop.
pub async fn operate(args: Args, stop: CancellationToken) -> Result<()> {
    run_until(args.options(), stop).await
}

/// Sends the log of this process to a file: the terminal belongs to the progress.
pub fn log_to(path: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::sync::Mutex::new(file));
    started(Registry::default().with(log.with_filter(filter())))
}

fn started(subscriber: impl SubscriberInitExt) -> Result<()> {
    subscriber.try_init().map_err(|error| anyhow!("starting the log: {error}"))
}

/// What is written of what happens. Spans that are sent to a collector are none of its lines.
fn filter<S: tracing::Subscriber>() -> impl Filter<S> {
    let named = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    named.and(filter_fn(|metadata| metadata.target() != traces::TARGET))
}
