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

impl Operator {
    /// Starts `plinth run`; what it says is added to `log`.
    pub fn start(binary: &Path, kubeconfig: &Path, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let mut command = ends_with_us(binary);
        // One name over all restarts: a killed operator's lease need not be waited for.
        command.args(["run", "--identity", "faults", "--kubeconfig"]).arg(kubeconfig);
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
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let pid = child.id().context("it has just started")?;
        Ok(Self { child, pid, log: log.to_path_buf() })
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
