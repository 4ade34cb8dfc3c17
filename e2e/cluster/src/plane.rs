//! A control plane: started, found again, hurt on purpose, stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::build::{Binaries, Programs};
use crate::component::{ADMIN, BOOTSTRAP, Component, Context, Invocation, Ports};
use crate::crds;
use crate::error::{Error, Result};
use crate::layout::{Layout, check_name, clusters_dir};
use crate::node::{self, Network, NodeBinaries};
use crate::options::{Nodes, Options};
use crate::pki::{Pki, User};
use crate::process::{self, GRACE, Process};
use crate::progress::Progress;
use crate::ready::Question;
use crate::record::{Lock, Record};
use crate::seed::seed;

const STAGE: &str = "Starting the control plane";
/// Another process may just be starting or stopping the same cluster.
const LOCK: Duration = Duration::from_secs(150);
/// Generous: on a small machine that compiles at the same time, seconds become a minute.
const READY: Duration = Duration::from_secs(120);
/// How long a cluster waits for the ports that it had before.
const PORTS: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// Between the choice of a port and its use, somebody else may take it.
const ATTEMPTS: u32 = 5;

/// Without these, there is no API.
const API_SERVER: [Component; 2] = [Component::Etcd, Component::ApiServer];

/// A running control plane. Unless detached, or found rather than started, it ends when this is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    layout: Layout,
    binaries: Binaries,
    /// Of a real node.
    node_binaries: Option<NodeBinaries>,
    name: String,
    ports: Ports,
    network: Network,
    nodes: Nodes,
    audit: bool,
    gateway_api: bool,
    /// Whether dropping this ends the processes.
    owned: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: Record,
    processes: BTreeMap<Component, Process>,
}

impl State {
    /// Whether there is an API server to be waited for.
    fn serves(&mut self, layout: &Layout) -> bool {
        API_SERVER.into_iter().all(|needed| self.alive(needed, layout))
    }

    fn alive(&mut self, component: Component, layout: &Layout) -> bool {
        self.processes.get_mut(&component).is_some_and(|process| process.alive(layout))
    }

    /// The rest of the record stays: the cluster comes back on the same ports, so that kubeconfigs stay valid.
    fn forget_processes(&mut self, layout: &Layout) -> Result<()> {
        self.record.pids.clear();
        self.record.save(layout)
    }
}

impl ControlPlane {
    /// Builds what has to be built, starts everything and returns once pods can be created and the nodes are Ready.
    ///
    /// A cluster of that name that runs already is returned as it is, whoever started it. One that was stopped comes
    /// back with its data, its certificates and, where they are free, its ports.
    pub async fn start(options: Options, progress: &dyn Progress) -> Result<Self> {
        check_name(&options.name)?;
        if options.nodes == Nodes::Real {
            node::check()?;
        }
        let programs = Programs::ensure(options.nodes, progress).await?;
        let mut definitions = Vec::new();
        for set in options.gateway_api.then_some(&crds::GATEWAY_API).into_iter().chain(options.ecosystem) {
            definitions.extend(crds::ensure(set, progress).await?);
        }
        let layout = layout(&options.name, options.state_dir.clone())?;
        layout.create()?;
        let _lock = Lock::take(&layout.lock(), LOCK).await?;
        let mut before = None;
        if let Some(record) = Record::load(&layout)? {
            let earlier = Self::recorded(&layout, record);
            if earlier.runs().await {
                earlier.wait_ready(progress).await?;
                return Ok(earlier);
            }
            before = Some((earlier.ports, earlier.addresses_for(options.nodes)?));
            earlier.end_all().await?;
        }
        let network = match before {
            Some((_, network)) => network,
            None => new_addresses(options.nodes, &layout)?,
        };
        network.check()?;
        let pki = Pki::ensure(&layout, network)?;
        let mut ports = match before {
            Some((ports, _)) if ports.become_free(PORTS).await => ports,
            _ => Ports::free()?,
        };
        progress.begin(STAGE, Some(steps(options.nodes)));
        for attempt in 1.. {
            let mut plane = Self::new(&options, &layout, &programs, ports, network);
            match plane.boot(&pki, &definitions, progress).await {
                Ok(()) => {
                    progress.finish(STAGE);
                    // Only now may it outlive us: a start that is given up halfway leaves nothing.
                    plane.owned = !options.detach;
                    return Ok(plane);
                }
                Err(error) => {
                    plane.end_all().await?;
                    if attempt == ATTEMPTS || ports.are_free() {
                        return Err(error);
                    }
                    tracing::info!(%error, "a port was taken in the meantime: trying others");
                    ports = Ports::free()?;
                }
            }
        }
        unreachable!("the loop returns at the last attempt")
    }

    /// Finds the running cluster of this name.
    pub async fn attach(name: &str) -> Result<Self> {
        check_name(name)?;
        Self::attach_at(&clusters_dir()?.join(name)).await
    }

    /// Finds the cluster that runs from this folder.
    pub async fn attach_at(state_dir: &Path) -> Result<Self> {
        let layout = Layout::new(state_dir.to_path_buf());
        let Some(record) = Record::load(&layout)? else {
            return Err(Error::NotRunning(state_dir.to_path_buf()));
        };
        let plane = Self::recorded(&layout, record);
        if plane.runs().await { Ok(plane) } else { Err(Error::NotRunning(state_dir.to_path_buf())) }
    }

    /// What the nodes of the cluster of this name were when it was last started; `None` when it never was.
    pub fn nodes_before(name: &str) -> Result<Option<Nodes>> {
        check_name(name)?;
        let record = Record::load(&Layout::new(clusters_dir()?.join(name)))?;
        Ok(record.map(|record| record.nodes))
    }

    /// Stops the cluster of this name, whoever started it, and keeps its data. Exactly the recorded processes are ended, each after a look
    /// at its command line.
    pub async fn stop_named(name: &str) -> Result<()> {
        check_name(name)?;
        Self::stop_at(&clusters_dir()?.join(name)).await
    }

    /// Stops the cluster that runs from this folder.
    pub async fn stop_at(state_dir: &Path) -> Result<()> {
        let layout = Layout::new(state_dir.to_path_buf());
        match Record::load(&layout)? {
            Some(record) if !record.pids.is_empty() => Self::recorded(&layout, record).stop().await,
            _ => Err(Error::NotRunning(state_dir.to_path_buf())),
        }
    }

    /// Stops the cluster of this name if it runs, and deletes everything it kept.
    pub async fn delete_named(name: &str) -> Result<()> {
        match Self::stop_named(name).await {
            Ok(()) | Err(Error::NotRunning(_)) => {}
            Err(error) => return Err(error),
        }
        let dir = clusters_dir()?.join(name);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&dir)(error)),
            _ => Ok(()),
        }
    }

    /// Ends every component in order, waits until all are gone, and keeps data and logs.
    pub async fn stop(self) -> Result<()> {
        let _lock = Lock::take(&self.layout.lock(), LOCK).await?;
        self.end_all().await
    }

    /// The name of the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its nodes are.
    pub fn nodes(&self) -> Nodes {
        self.nodes
    }

    /// The kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig(ADMIN)
    }

    /// Writes a kubeconfig, with a client certificate of its own, for any user and at most two groups.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let pki = Pki::ensure(&self.layout, self.network)?;
        // The name of a user may hold anything, that of a file may not.
        let plain: String = user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let digest = Sha256::digest(format!("{user}\n{groups:?}"));
        let path = self
            .layout
            .kubeconfig(&format!("user-{plain}-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]));
        pki.kubeconfig(&path, &self.name, &self.server_url(), &User { name: user, groups })?;
        Ok(path)
    }

    /// A client that speaks as the administrator. It belongs to the runtime it is made in.
    pub async fn client(&self) -> Result<Client> {
        client_from(&self.kubeconfig()).await
    }

    /// The API server's address.
    pub fn server_url(&self) -> String {
        self.ports.server_url()
    }

    /// One JSON line for each completed request, except the control plane's own reads. A line is written right after the
    /// answer has been sent, so let a counter be still before it is read.
    pub fn audit_log(&self) -> PathBuf {
        self.layout.audit_log()
    }

    /// The folder with one log for each component.
    pub fn log_dir(&self) -> PathBuf {
        self.layout.logs()
    }

    /// The folder of the cluster.
    pub fn state_dir(&self) -> &Path {
        self.layout.root()
    }

    /// The binaries it runs, kubectl among them.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The process of a component, `None` while it does not run.
    pub async fn pid(&self, component: Component) -> Option<u32> {
        let mut state = self.state.lock().await;
        let process = state.processes.get_mut(&component)?;
        process.alive(&self.layout).then_some(process.pid)
    }

    /// Kills a component with SIGKILL and waits until it is gone.
    pub async fn kill_component(&self, component: Component) -> Result<()> {
        let mut state = self.state.lock().await;
        if let Some(process) = state.processes.get_mut(&component) {
            process.end_now(&self.layout).await;
        }
        Ok(())
    }

    /// Ends a component, unless it is dead already, starts it again on its port and waits until the API server is ready,
    /// unless that or etcd was killed and is still to be restarted. A real node then is Ready again too, and none of its
    /// pods is reported as it was before.
    ///
    /// On a cluster that was found and is not detached, the new process ends with the caller, not with the owner.
    pub async fn restart_component(&self, component: Component) -> Result<()> {
        let pki = Pki::ensure(&self.layout, self.network)?;
        let serves = {
            let mut state = self.state.lock().await;
            if let Some(process) = state.processes.get_mut(&component) {
                process.end(&self.layout).await;
            }
            state.serves(&self.layout)
        };
        if component == Component::Kwok && serves {
            self.wait(Question::ApiServer).await?;
        }
        let restarted = Timestamp::now();
        self.spawn_all(&pki, &[component]).await?;
        let serves = self.state.lock().await.serves(&self.layout);
        if !serves {
            return Ok(());
        }
        self.wait(Question::ApiServer).await?;
        if component == Component::Node {
            self.wait(Question::RealNode(restarted)).await?;
        }
        Ok(())
    }

    fn new(options: &Options, layout: &Layout, programs: &Programs, ports: Ports, network: Network) -> Self {
        let record = Record {
            name: options.name.clone(),
            owner: (!options.detach).then(std::process::id),
            audit: options.audit,
            gateway_api: options.gateway_api,
            nodes: options.nodes,
            ports,
            network,
            binaries: programs.control_plane.dir().to_path_buf(),
            node_binaries: programs.node.clone(),
            pids: BTreeMap::new(),
        };
        let mut plane = Self::recorded(layout, record);
        plane.owned = true;
        plane
    }

    fn recorded(layout: &Layout, record: Record) -> Self {
        let processes = record.pids.iter().map(|(&component, &pid)| (component, Process::recorded(pid)));
        Self {
            layout: layout.clone(),
            binaries: Binaries::at(record.binaries.clone()),
            node_binaries: record.node_binaries.clone(),
            name: record.name.clone(),
            ports: record.ports,
            network: record.network,
            nodes: record.nodes,
            audit: record.audit,
            gateway_api: record.gateway_api,
            owned: false,
            state: Mutex::new(State { processes: processes.collect(), record }),
        }
    }

    /// Whether all of it runs. A cluster whose owner died is dying too, however alive it looks for the moment.
    async fn runs(&self) -> bool {
        let mut state = self.state.lock().await;
        let orphaned = state.record.owner.is_some_and(|owner| !process::exists(owner));
        !orphaned
            && !state.processes.is_empty()
            && state.processes.values_mut().all(|process| process.alive(&self.layout))
    }

    async fn boot(&self, pki: &Pki, definitions: &[PathBuf], progress: &dyn Progress) -> Result<()> {
        self.context(pki).write_config()?;
        progress.advance(STAGE, 0, "etcd and the API server");
        self.spawn_all(pki, &API_SERVER).await?;
        self.wait(Question::ApiServer).await?;
        if !definitions.is_empty() {
            crds::install(&self.bootstrap_client().await?, definitions).await?;
        }
        progress.advance(STAGE, 2, "the controllers and the scheduler");
        self.spawn_all(pki, &[Component::ControllerManager, Component::Scheduler]).await?;
        match self.nodes {
            Nodes::None => {}
            Nodes::Simulated(count) => {
                let client = self.bootstrap_client().await?;
                self.spawn_all(pki, &[Component::Kwok]).await?;
                seed(&client, count).await?;
            }
            Nodes::Real => self.start_node(pki, progress).await?,
        }
        self.wait_controllers(progress).await
    }

    async fn start_node(&self, pki: &Pki, progress: &dyn Progress) -> Result<()> {
        progress.advance(STAGE, 4, "the node");
        node::apply(&self.bootstrap_client().await?, self.network).await?;
        let archive = self.layout.config().join("toolbox.tar");
        node::pack_toolbox(self.node_programs()?, &archive).await?;
        self.spawn_all(pki, &[Component::Node]).await?;
        self.import_image(&archive).await
    }

    /// Imports an image archive (OCI layout or `docker save`) into the real node's containerd, under the names that the
    /// archive gives it. A pod finds it with `imagePullPolicy` Never or IfNotPresent.
    ///
    /// # Errors
    /// The nodes are not real, or containerd refuses the archive.
    pub async fn import_image(&self, archive: &Path) -> Result<()> {
        node::import(&self.layout, self.node_programs()?, archive).await
    }

    /// Packs a program of one file, linked statically, into an image of this tag and imports it: under these names below
    /// the root, of which a container without a command runs the first.
    ///
    /// # Errors
    /// As [`Self::import_image`]; or the program cannot be read.
    pub async fn import_program(&self, tag: &str, program: &Path, names: &[&str]) -> Result<()> {
        let archive =
            tempfile::Builder::new().suffix(".tar").tempfile().map_err(Error::io("a temporary file"))?;
        node::pack(self.node_programs()?, tag, archive.path(), program, names).await?;
        self.import_image(archive.path()).await
    }

    pub(crate) fn node_programs(&self) -> Result<&NodeBinaries> {
        self.node_binaries.as_ref().ok_or(Error::NoNode)
    }

    /// The addresses that the cluster keeps, if its nodes are still of the kind that they were made for.
    fn addresses_for(&self, nodes: Nodes) -> Result<Network> {
        let real = self.nodes == Nodes::Real;
        if real == (nodes == Nodes::Real) {
            return Ok(self.network);
        }
        Err(Error::OtherNodes { folder: self.layout.root().to_path_buf(), was: self.nodes.kind() })
    }

    /// For a cluster that was found: somebody else may have hurt it.
    async fn wait_ready(&self, progress: &dyn Progress) -> Result<()> {
        progress.begin(STAGE, Some(steps(self.nodes)));
        self.wait(Question::ApiServer).await?;
        self.wait_controllers(progress).await?;
        progress.finish(STAGE);
        Ok(())
    }

    async fn wait_controllers(&self, progress: &dyn Progress) -> Result<()> {
        self.wait(Question::DefaultAccount).await?;
        match self.nodes {
            Nodes::None => {}
            Nodes::Simulated(count) => {
                progress.advance(STAGE, 4, "the simulated nodes");
                self.wait(Question::Nodes(count)).await?;
            }
            Nodes::Real => {
                progress.advance(STAGE, 4, "the node, names and volumes");
                self.wait(Question::RealNode(node::booted(&self.layout))).await?;
            }
        }
        progress.advance(STAGE, steps(self.nodes), "ready");
        Ok(())
    }

    /// A client whose requests are not counted as the user's.
    pub(crate) async fn bootstrap_client(&self) -> Result<Client> {
        client_from(&self.layout.kubeconfig(BOOTSTRAP)).await
    }

    /// Asks again and again until the answer is yes. At the end, or as soon as a component that is needed for it has died,
    /// blames that one, or else the one that is asked.
    async fn wait(&self, question: Question) -> Result<()> {
        let client = self.bootstrap_client().await?;
        let end = Instant::now() + READY;
        loop {
            if let Some(dead) = self.dead_of(question.suspect()).await {
                return Err(self.blame(dead, "ended".to_owned()));
            }
            let Err(seen) = question.ask(&client).await else { return Ok(()) };
            if Instant::now() >= end {
                let seconds = READY.as_secs();
                let what = format!("did not provide {} within {seconds} s ({seen})", question.what());
                return Err(self.blame(question.suspect(), what));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The first component, of those that this one needs and itself, that does not run.
    async fn dead_of(&self, component: Component) -> Option<Component> {
        let mut state = self.state.lock().await;
        API_SERVER.into_iter().chain([component]).find(|&needed| !state.alive(needed, &self.layout))
    }

    fn blame(&self, component: Component, what: String) -> Error {
        let log = self.layout.log(component);
        let tail = process::tail(&log);
        Error::Component { component: component.name(), what, log, tail }
    }

    fn context<'a>(&'a self, pki: &'a Pki) -> Context<'a> {
        let Self { name, layout, binaries, node_binaries, ports, network, audit, gateway_api, .. } = self;
        Context {
            name,
            layout,
            binaries,
            node_binaries: node_binaries.as_ref(),
            pki,
            ports: *ports,
            network: *network,
            audit: *audit,
            gateway_api: *gateway_api,
        }
    }

    async fn spawn_all(&self, pki: &Pki, components: &[Component]) -> Result<()> {
        let mut state = self.state.lock().await;
        components.iter().try_for_each(|&component| self.spawn(&mut state, pki, component))
    }

    fn spawn(&self, state: &mut State, pki: &Pki, component: Component) -> Result<()> {
        let invocation: Invocation = self.context(pki).invocation(component)?;
        let detached = state.record.owner.is_none();
        let process = Process::spawn(&invocation, component, &self.layout, detached)?;
        state.record.pids.insert(component, process.pid);
        state.processes.insert(component, process);
        state.record.save(&self.layout)
    }

    async fn end_all(&self) -> Result<()> {
        let mut state = self.state.lock().await;
        let etcd = state.processes.remove(&Component::Etcd);
        // All at once; then etcd, which the API server still writes to on its way out.
        for process in state.processes.values_mut() {
            process.signal(Signal::SIGTERM, &self.layout);
        }
        for process in state.processes.values_mut() {
            if !process.gone_within(GRACE, &self.layout).await {
                process.end_now(&self.layout).await;
            }
        }
        if let Some(mut etcd) = etcd {
            etcd.end(&self.layout).await;
        }
        state.processes.clear();
        self.sweep()?;
        state.forget_processes(&self.layout)
    }

    /// A node that was killed has cleaned up nothing.
    fn sweep(&self) -> Result<()> {
        self.node_binaries.as_ref().map_or(Ok(()), |binaries| node::sweep(&self.layout, binaries))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        let state = self.state.get_mut();
        if state.processes.is_empty() {
            return;
        }
        // etcd writes ahead, so that even a killed cluster starts again.
        if let Some(mut node) = state.processes.remove(&Component::Node) {
            // The folder is about to be removed, and the node's processes write there.
            node.end_and_reap();
        }
        state.processes.values_mut().for_each(Process::kill_and_reap);
        let sweep = self.node_binaries.as_ref().map(|binaries| node::sweep(&self.layout, binaries));
        if let Some(Err(error)) = sweep {
            tracing::warn!(%error, "the node has left something");
            return;
        }
        if let Err(error) = state.forget_processes(&self.layout) {
            tracing::warn!(%error, "the record names processes that ended");
        }
    }
}

fn new_addresses(nodes: Nodes, layout: &Layout) -> Result<Network> {
    match nodes {
        Nodes::Real => Network::free(node::seed(layout)),
        Nodes::None | Nodes::Simulated(_) => Ok(Network::default()),
    }
}

/// How many steps a start has, for whoever watches.
fn steps(nodes: Nodes) -> u64 {
    Component::of(nodes).len() as u64
}

fn layout(name: &str, state_dir: Option<PathBuf>) -> Result<Layout> {
    let dir = match state_dir {
        // The folder is how a process is recognised as ours, whatever the current folder of whoever looks.
        Some(dir) => std::path::absolute(&dir).map_err(Error::io(&dir))?,
        None => clusters_dir()?.join(name),
    };
    Ok(Layout::new(dir))
}

async fn client_from(kubeconfig: &Path) -> Result<Client> {
    let damaged = |error: kube::config::KubeconfigError| Error::Damaged {
        path: kubeconfig.to_path_buf(),
        said: error.to_string(),
    };
    let read = Kubeconfig::read_from(kubeconfig).map_err(damaged)?;
    let mut config =
        kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(damaged)?;
    // kube sends none by itself, and the audit log is read by it.
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("plinth-cluster")));
    // The server is on this machine, whatever proxy leads out of it.
    config.proxy_url = None;
    Client::try_from(config).map_err(Error::api("making a client"))
}
