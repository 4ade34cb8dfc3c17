//! The operator of `up`: inside this process, or a process of its own that outlives it and can be found again.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;
use crate::cli::run;

/// For a graceful end: the lease is given back, the last status written.
const GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// A running operator.
pub enum Operator {
    /// In this process.
    Inside {
        /// Its work.
        task: JoinHandle<Result<()>>,
        /// Asks it to end.
        stop: CancellationToken,
        /// Its log.
        log: PathBuf,
        /// Held while it runs. The kernel lets go of it whatever way this process dies.
        _lock: File,
    },
    /// Inside another `up` of the same cluster.
    Elsewhere {
        /// Its log.
        log: PathBuf,
    },
    /// Started here, to outlive this process.
    Child {
        /// The process.
        child: Child,
        /// Its record.
        record: Record,
    },
    /// Runs already.
    Found(Record),
}

/// What is known of a detached operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Process.
    pid: u32,
    /// An argument of its command line that no other process has: the folder of this record.
    mark: String,
    /// Its log.
    pub log: PathBuf,
}

impl Operator {
    /// Finds the one that runs against this cluster, or starts one.
    pub async fn start(cluster: &Cluster, detach: bool) -> Result<Self> {
        let dir = cluster.dir();
        fs::create_dir_all(dir.join("logs")).with_context(|| format!("creating {}", dir.display()))?;
        if let Some(record) = Record::load(&dir)?.filter(Record::runs) {
            note("using the operator that runs already");
            return Ok(Self::Found(record));
        }
        let log = dir.join("logs").join("operator.log");
        let access = cluster.access()?;
        if !detach {
            let path = dir.join("operator.lock");
            let lock = File::options().create(true).truncate(false).write(true).open(&path);
            let lock = lock.with_context(|| format!("opening {}", path.display()))?;
            if lock.try_lock().is_err() {
                // Two of one name on one host would take each other for themselves.
                note("using the operator of another `plinth up`, and ending with it");
                return Ok(Self::Elsewhere { log });
            }
            run::log_to(&log)?;
            let stop = CancellationToken::new();
            let task = tokio::spawn(run::operate(run::Args::of(access), stop.clone()));
            return Ok(Self::Inside { task, stop, log, _lock: lock });
        }
        let mark = dir.display().to_string();
        let out = File::options().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("opening {}", log.display()))?;
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.args(run::Args::of(access).command_line(&dir)).stdin(Stdio::null());
        command.stdout(out.try_clone().context("the operator's log")?).stderr(out);
        // A Ctrl-C in the terminal is not for it.
        let child = command.process_group(0).spawn().context("starting the operator")?;
        let record = Record { pid: child.id(), mark, log };
        record.save(&dir)?;
        Ok(Self::Child { child, record })
    }

    /// Whether it has just been started: what stands in statuses is then a predecessor's word.
    pub fn is_new(&self) -> bool {
        matches!(self, Self::Inside { .. } | Self::Child { .. })
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        match self {
            Self::Inside { log, .. } | Self::Elsewhere { log } => log,
            Self::Child { record, .. } | Self::Found(record) => &record.log,
        }
    }

    /// Returns when it ended by itself, with the reason.
    pub async fn ended(&mut self) -> anyhow::Error {
        let log = self.log().to_path_buf();
        let why = match self {
            Self::Inside { task, .. } => match task.await {
                Ok(Ok(())) => anyhow!("the operator ended"),
                Ok(Err(error)) => error.context("the operator failed"),
                Err(error) if error.is_panic() => anyhow!("the operator panicked: this is a bug in Plinth"),
                Err(_) => anyhow!("the operator was stopped"),
            },
            Self::Child { child, .. } => loop {
                match child.try_wait() {
                    Ok(None) => tokio::time::sleep(POLL).await,
                    Ok(Some(status)) => break anyhow!("the operator ended ({status})"),
                    Err(error) => break anyhow!("the operator is lost: {error}"),
                }
            },
            // When the other `up` ends, its cluster does too, and that is seen.
            Self::Elsewhere { .. } => std::future::pending().await,
            Self::Found(record) => {
                while record.runs() {
                    tokio::time::sleep(POLL).await;
                }
                anyhow!("the operator that ran already ended")
            }
        };
        let tail = tail(&log);
        why.context(Failure::new(
            Exit::Failed,
            format!("the operator is gone; the end of {}:\n{tail}", log.display()),
        ))
    }

    /// Ends what was started here.
    pub async fn stop(self) {
        match self {
            Self::Inside { mut task, stop, .. } => {
                stop.cancel();
                if !task.is_finished() && tokio::time::timeout(GRACE, &mut task).await.is_err() {
                    task.abort();
                }
            }
            Self::Child { mut child, record } => {
                record.signal(Signal::SIGTERM);
                let until = Instant::now() + GRACE;
                while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                    tokio::time::sleep(POLL).await;
                }
                // Nothing happens when it is gone.
                let _ = child.kill();
                let _ = child.wait();
                Record::remove(&record.dir());
            }
            Self::Elsewhere { .. } | Self::Found(_) => {}
        }
    }

    /// Leaves it running.
    pub fn leave(self) {
        drop(self);
    }
}

impl Record {
    fn path(dir: &Path) -> PathBuf {
        dir.join("operator.json")
    }

    fn dir(&self) -> PathBuf {
        PathBuf::from(&self.mark)
    }

    /// The record in a folder.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn load(dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(dir);
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
            Ok(bytes) => {
                let read =
                    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?;
                Ok(Some(read))
            }
        }
    }

    fn save(&self, dir: &Path) -> Result<()> {
        let path = Self::path(dir);
        let text = serde_json::to_vec_pretty(self).context("writing the operator's record")?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn remove(dir: &Path) {
        // Already gone is as good.
        let _ = fs::remove_file(Self::path(dir));
    }

    /// Whether it runs, and is ours: a pid alone may have been given to somebody else since.
    pub fn runs(&self) -> bool {
        command_line(self.pid).is_some_and(|line| {
            let mark = self.mark.as_bytes();
            line.windows(mark.len()).any(|window| window == mark)
        })
    }

    fn signal(&self, signal: Signal) {
        if self.runs()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            // It may have ended since; then there is nothing left to do.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Ends a detached operator, kindly at first. Returns whether it ran.
    pub async fn end(self) -> bool {
        let ran = self.runs();
        for (nth, limit) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GRACE)] {
            self.signal(nth);
            let until = Instant::now() + limit;
            while self.runs() && Instant::now() < until {
                tokio::time::sleep(POLL).await;
            }
        }
        Self::remove(&self.dir());
        ran
    }
}

#[cfg(target_os = "linux")]
fn command_line(pid: u32) -> Option<Vec<u8>> {
    // A process that ended and is not reaped yet has an empty one.
    fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())
}

#[cfg(not(target_os = "linux"))]
fn command_line(pid: u32) -> Option<Vec<u8>> {
    let output = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(output.stdout).filter(|line| output.status.success() && !line.is_empty())
}

fn tail(log: &Path) -> String {
    const LINES: usize = 12;
    let Ok(bytes) = fs::read(log) else { return "(no log)".to_owned() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_with_our_pid_is_not_ours() {
        let record =
            |mark: &str| Record { pid: std::process::id(), mark: mark.to_owned(), log: PathBuf::new() };
        assert!(!record("/nowhere/clusters/plinth").runs());
        let own = std::env::args().next().unwrap();
        assert!(record(&own).runs());
    }

    #[test]
    fn a_record_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(dir.path()).unwrap(), None);
        let record = Record { pid: 1, mark: dir.path().display().to_string(), log: "log".into() };
        record.save(dir.path()).unwrap();
        assert_eq!(Record::load(dir.path()).unwrap(), Some(record));
    }
}
