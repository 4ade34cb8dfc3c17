//! `plinth up`: from nothing to a Stack that is Ready, in one command.

mod admission;
mod cluster;
mod gateways;
mod images;
mod nodes;
pub mod operator;
mod report;
mod wait;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};
use plinth_plan::model::Plan;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::cluster::Cluster;
pub use self::cluster::operators_dir;
use self::operator::Operator;
use self::report::Report;
use super::apply::{Kinds, apply, apply_own, install};
use super::connect::{ClusterArgs, DEFAULT_NAME};
use super::exit::{Exit, Failure};
use super::input::{Document, Input, Planned};
use super::output::{Out, note};

/// A country in one file, for whoever gives none.
const EXAMPLE: (&str, &str) = ("examples/country.yaml", include_str!("../../../examples/country.yaml"));

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder with the Stack; examples/country.yaml, which this binary carries, when left out.
    file: Option<PathBuf>,
    /// What the nodes of a cluster that is started here are.
    #[arg(long, value_enum, default_value_t = Nodes::Auto)]
    nodes: Nodes,
    /// Return once Ready and leave cluster and operator running. Without it, Ctrl-C stops both.
    #[arg(long)]
    detach: bool,
    /// Name of the cluster that is started here: several live side by side.
    #[arg(long, default_value = DEFAULT_NAME)]
    name: String,
    /// How long to wait until everything is Ready, as `10m` or `90s`.
    #[arg(long, default_value = "10m", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// On a cluster of this machine, whatever the environment names.
    #[arg(skip)]
    here: bool,
}

/// What nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Nodes {
    /// Played by kwok: Ready proves the order, never the content.
    Simulated,
    /// One, with containerd and kubelet, on Linux as root. It has the images that are built from package registries
    /// (docs/images.md), and no other.
    Real,
    /// What the cluster of that name had before; simulated when it is new.
    Auto,
}

/// A time as people write it.
///
/// # Errors
/// It is none, or negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|error| format!("{error}; write it as 10m or 90s"))?;
    Duration::try_from(parsed).map_err(|_| "must not be negative".to_owned())
}

/// What runs because of this command, and is to be ended with it.
#[derive(Default)]
struct Session {
    cluster: Option<Cluster>,
    operator: Option<Operator>,
}

/// How long the parts of coming up took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Until the cluster ran.
    pub cluster: Duration,
    /// Until its node had the images.
    pub images: Duration,
    /// From there until everything was Ready.
    pub ready: Duration,
}

/// How it came up.
struct Came {
    report: Report,
    took: Took,
    exit: Exit,
}

/// Refuses real nodes where there can be none, before anything else is done.
///
/// # Errors
/// What is missing.
pub fn check_real_node() -> Result<()> {
    nodes::check(Nodes::Real)
}

/// Brings a folder's Stack up on a cluster of this machine with a real node, and leaves it running.
///
/// # Errors
/// It is not Ready in time, or cannot be at all.
pub async fn detached(folder: &Path, name: &str, timeout: Duration) -> Result<Took> {
    let args = Args {
        file: Some(folder.to_path_buf()),
        nodes: Nodes::Real,
        detach: true,
        name: name.to_owned(),
        timeout,
        cluster: ClusterArgs::default(),
        here: true,
    };
    let (input, planned) = read(&args)?;
    let mut session = Session::default();
    let came = come_up(&args, &input, &planned, &mut session).await;
    session.leave();
    let came = came?;
    match came.exit {
        Exit::Ok => Ok(came.took),
        exit => Err(Failure::new(exit, format!("not Ready within {} s", timeout.as_secs())).into()),
    }
}

/// A cluster on this machine with simulated nodes and a running operator, both left running: started where it is not there.
///
/// # Errors
/// It cannot be started.
pub async fn ground() -> Result<Client> {
    let args = Args {
        file: None,
        nodes: Nodes::Auto,
        detach: true,
        name: DEFAULT_NAME.to_owned(),
        timeout: Duration::ZERO,
        cluster: ClusterArgs::default(),
        here: true,
    };
    let mut session = Session::default();
    let cluster = session.cluster.insert(Cluster::find_or_start(&args).await?);
    let client = cluster.client().await?;
    install(&client, &plinth_api::definitions()).await?;
    let kinds = Kinds::of(&client).await?;
    admission::ensure(&client, &kinds, &cluster.operator_user(&client).await?).await?;
    for role in plinth_api::rights::people() {
        apply_own(&kinds, &role).await?;
    }
    session.operator = Some(Operator::start(cluster, true).await?);
    session.leave();
    Ok(client)
}

/// Brings everything up; attached, it then waits for Ctrl-C.
pub async fn run(args: Args, out: Out) -> Result<Exit> {
    nodes::check(args.nodes)?;
    // Everything that is wrong with the file is said before minutes are spent on a cluster.
    let (input, planned) = read(&args)?;
    let mut stop = Stop::listen()?;
    let mut session = Session::default();
    let came_up = tokio::select! {
        came = come_up(&args, &input, &planned, &mut session) => came.and_then(|came| {
            out.print(&came.report, |report| report::text(report, out.paint()))?;
            Ok(came.exit)
        }),
        () = stop.wanted() => {
            let what = "interrupted before everything was ready";
            Err(Failure::new(Exit::Interrupted, what).into())
        }
    };
    match came_up {
        Ok(exit) if args.detach => {
            session.leave();
            Ok(exit)
        }
        Ok(Exit::Ok) => {
            let ended = tokio::select! {
                () = stop.wanted() => Ok(Exit::Ok),
                why = ended(&mut session) => Err(why),
            };
            note("stopping");
            session.end().await?;
            ended
        }
        Ok(exit) => session.end().await.map(|()| exit),
        Err(error) => {
            if let Err(also) = session.end().await {
                note(&format!("warning: {also:#}"));
            }
            Err(error)
        }
    }
}

fn read(args: &Args) -> Result<(Input, Vec<Planned>)> {
    let again = || match &args.file {
        Some(path) => Input::read(path),
        None => Input::of_text(EXAMPLE.0, EXAMPLE.1),
    };
    let planned = again()?.some_plans(args.file.as_deref().unwrap_or(std::path::Path::new(EXAMPLE.0)));
    if args.file.as_deref() == Some(std::path::Path::new("-")) {
        return Err(
            Failure::new(Exit::Usage, "`up` needs a file: standard input can be read only once").into()
        );
    }
    Ok((again()?, planned?))
}

/// Everything up to Ready. What is started is put into the session at once, so that it is ended whatever happens.
async fn come_up(args: &Args, input: &Input, planned: &[Planned], session: &mut Session) -> Result<Came> {
    let began = Instant::now();
    let cluster = session.cluster.insert(Cluster::find_or_start(args).await?);
    let client = cluster.client().await?;
    let started = began.elapsed();
    install(&client, &plinth_api::definitions()).await?;
    let kinds = Kinds::of(&client).await?;
    warn_of_missing_kinds(&kinds, planned);
    admission::ensure(&client, &kinds, &cluster.operator_user(&client).await?).await?;
    images::import(cluster, planned).await?;
    let imported = began.elapsed();
    gateways::serve(cluster, planned).await?;
    let operator = session.operator.insert(Operator::start(cluster, args.detach).await?);
    put(&client, &kinds, input).await?;

    let plans: Vec<&Plan> = planned.iter().map(|planned| &planned.plan).collect();
    let waited = wait::until_ready(&client, &plans, operator, args.timeout).await?;
    let doors = gateways::doors(cluster, &client, planned).await?;
    let report = Report::of(cluster, operator, waited.trees, doors, args);
    let took = Took { cluster: started, images: imported - started, ready: began.elapsed() - imported };
    if let Some(why) = waited.gave_up {
        note(&format!("error: {why}"));
        if args.detach {
            note(
                "  next: everything is left running; watch it with `plinth status --watch`, end it with `plinth down`",
            );
        }
        return Ok(Came { report, took, exit: Exit::NotReady });
    }
    Ok(Came { report, took, exit: Exit::Ok })
}

fn warn_of_missing_kinds(kinds: &Kinds, planned: &[Planned]) {
    let mut missing: Vec<String> = planned
        .iter()
        .flat_map(|Planned { plan, .. }: &Planned| Plan::objects(plan))
        .filter(|object| kinds.served(&object.key.api_version, &object.key.kind).is_none())
        .map(|object| format!("{} ({})", object.key.kind, object.key.api_version))
        .collect();
    missing.sort();
    missing.dedup();
    if !missing.is_empty() {
        note(&format!(
            "warning: the cluster does not serve {}; what needs them will wait",
            missing.join(", ")
        ));
    }
}

/// Namespaces, then everything that the Stacks refer to, then Products, then Stacks.
async fn put(client: &Client, kinds: &Kinds, input: &Input) -> Result<()> {
    let (first, others): (Vec<&Document>, Vec<_>) =
        input.others.iter().partition(|d| d.kind() == "Namespace");
    for document in first {
        apply(kinds, &clean(&document.value)).await?;
    }
    let products = input.products.iter().map(|(document, _)| document);
    let stacks = input.stacks.iter().map(|(document, _)| document);
    for document in others.into_iter().chain(products).chain(stacks) {
        let mut object = clean(&document.value);
        if document.kind() == "Stack" && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!("default");
        }
        if let Some(namespace) = object["metadata"]["namespace"].as_str() {
            ensure_namespace(client, namespace).await?;
        }
        apply(kinds, &object).await?;
    }
    Ok(())
}

/// Without what only the API server may write, so that the output of `kubectl get -o yaml` can be applied.
fn clean(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in
            ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"]
        {
            metadata.remove(field);
        }
    }
    object
}

async fn ensure_namespace(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_metadata_opt(name).await.with_context(|| format!("reading Namespace {name}"))?.is_some()
    {
        return Ok(());
    }
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    match namespaces.create(&PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("creating Namespace {name}")),
    }
}

/// Waits until the operator ends although nobody asked it to, and says why.
async fn ended(session: &mut Session) -> anyhow::Error {
    match &mut session.operator {
        Some(operator) => operator.ended().await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Ends what this command started, the operator first: it writes its last status to the cluster.
    async fn end(self) -> Result<()> {
        if let Some(operator) = self.operator {
            operator.stop().await;
        }
        match self.cluster {
            Some(cluster) => cluster.stop().await,
            None => Ok(()),
        }
    }

    /// Leaves everything running.
    fn leave(self) {
        if let Some(operator) = self.operator {
            operator.leave();
        }
    }
}

/// Ctrl-C and SIGTERM.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Listens for them from now on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Returns when one of them came.
    pub async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn what_kubectl_prints_can_be_applied() {
        let printed = json!({ "metadata": { "name": "a", "uid": "u", "resourceVersion": "1" }, "spec": {}, "status": {} });
        assert_eq!(clean(&printed), json!({ "metadata": { "name": "a" }, "spec": {} }));
    }
}
