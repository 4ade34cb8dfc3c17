//! A process of the operator.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// How long it may take to stop when asked.
const GRACE: Duration = Duration::from_secs(20);
/// After SIGKILL only the kernel is left to be waited for.
const KILLED: Duration = Duration::from_secs(10);

/// The unmodified binary, running. It is killed when this is dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    pid: u32,
    log: PathBuf,
}

/// How the operator is started.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    kubeconfig: PathBuf,
    log: PathBuf,
    identity: String,
    environment: Vec<(String, String)>,
}

impl Launch {
    /// `plinth run` of this binary; what it says is added to `log`.
    pub fn new(binary: &Path, kubeconfig: &Path, log: &Path) -> Self {
        Self {
            binary: binary.to_path_buf(),
            kubeconfig: kubeconfig.to_path_buf(),
            log: log.to_path_buf(),
            // One name over all restarts: a killed operator's lease need not be waited for.
            identity: "faults".to_owned(),
            environment: Vec::new(),
        }
    }

    /// Its name in the lease, where there is more than one operator.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = identity.into();
        self
    }

    /// One more variable in its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// More variables in its environment.
    #[must_use]
    pub fn envs(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Starts it.
    pub fn start(&self) -> Result<Operator> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))?;
        let mut command = ends_with_us(&self.binary);
        command.args(["run", "--identity", &self.identity, "--kubeconfig"]).arg(&self.kubeconfig);
        // What a developer has set for other work must not change the run.
        for variable in [
            "KUBECONFIG",
            "PLINTH_LEASE_NAMESPACE",
            "PLINTH_METRICS",
            "RUST_LOG",
            "HTTPS_PROXY",
            "https_proxy",
        ] {
            command.env_remove(variable);
        }
        if let Some(level) = std::env::var_os("PLINTH_TEST_LOG") {
            command.env("RUST_LOG", level);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {}", self.binary.display()))?;
        let pid = child.id().context("it has just started")?;
        Ok(Operator { child, pid, log: self.log.clone() })
    }
}

impl Operator {
    /// Starts `plinth run`; what it says is added to `log`.
    pub fn start(binary: &Path, kubeconfig: &Path, log: &Path) -> Result<Self> {
        Launch::new(binary, kubeconfig, log).start()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it writes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Fails when it has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(
            ended.is_none(),
            "the operator ended by itself ({}); its log is {}, the last lines:\n{}",
            ended.map(|status| status.to_string()).unwrap_or_default(),
            self.log.display(),
            self.last_words(),
        );
        Ok(())
    }

    /// Waits for the end that the proxy has brought about.
    pub async fn killed(&mut self) -> Result<()> {
        let status = tokio::time::timeout(KILLED, self.child.wait())
            .await
            .context("the operator outlives SIGKILL")??;
        ensure!(status.signal() == Some(9), "the operator ended by itself: {status}");
        Ok(())
    }

    /// Asks it to stop, and fails when it does not, or not in peace.
    pub async fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid.cast_signed()), Signal::SIGTERM).context("SIGTERM")?;
        let status = tokio::time::timeout(GRACE, self.child.wait()).await;
        let status = status.with_context(|| {
            format!(
                "the operator does not stop within {} s of SIGTERM; its log is {}",
                GRACE.as_secs(),
                self.log.display()
            )
        })??;
        ensure!(status.success(), "the operator stopped with {status}; its log is {}", self.log.display());
        Ok(())
    }
}

/// A test process that is itself killed drops nothing. util-linux, where it is there, makes the kernel end the operator
/// then; the process stays the same.
fn ends_with_us(binary: &Path) -> Command {
    const HELPER: &str = "/usr/bin/setpriv";
    if !Path::new(HELPER).is_file() {
        return Command::new(binary);
    }
    let mut command = Command::new(HELPER);
    command.args(["--pdeathsig", "KILL"]).arg(binary);
    command
}
