//! Child processes of a cluster: started so that they end with their parent, or so that they outlive it; found again by
//! the record; ended only when they are certainly ours.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::component::{Component, Invocation};
use crate::error::{Error, Result};
use crate::layout::Layout;

/// How long a component may take to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// After SIGKILL only the kernel is left to be waited for.
const KILL: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// One running component.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Ours to reap. Its standard input, where piped, is the line by which it learns of our death.
    child: Option<Child>,
}

impl Process {
    pub(crate) fn spawn(
        invocation: &Invocation,
        component: Component,
        layout: &Layout,
        detach: bool,
    ) -> Result<Self> {
        let log = layout.log(component);
        let out = fs::OpenOptions::new().create(true).append(true).open(&log).map_err(Error::io(&log))?;
        let err = out.try_clone().map_err(Error::io(&log))?;
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.args)
            .current_dir(layout.data())
            // etcd reads its whole configuration from ETCD_ variables, kwok from its folder in the home.
            .env_clear()
            .env("HOME", layout.data())
            // Heaps this small are collected all the time; a third more memory saves a sixth of the processor.
            .env("GOGC", "200")
            .stdout(out)
            .stderr(err)
            // A Ctrl-C in the terminal is for us; the components are then ended in order.
            .process_group(0);
        if detach {
            command.stdin(Stdio::null());
        } else {
            command.stdin(Stdio::piped()).env("PLINTH_EXIT_ON_STDIN_EOF", "1");
        }
        let child = command.spawn().map_err(Error::io(&invocation.program))?;
        Ok(Self { pid: child.id(), child: Some(child) })
    }

    /// A process that somebody else started.
    pub(crate) fn recorded(pid: u32) -> Self {
        Self { pid, child: None }
    }

    pub(crate) fn alive(&mut self, layout: &Layout) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => is_ours(self.pid, layout),
        }
    }

    /// Whether it was killed and the kernel has not taken it apart yet: until then it may hold its port.
    fn is_ending(&self) -> bool {
        self.child.is_none() && is_ending(self.pid)
    }

    pub(crate) fn signal(&mut self, signal: Signal, layout: &Layout) {
        if self.alive(layout)
            && let Ok(pid) = i32::try_from(self.pid)
        {
            // It may have ended since; then there is nothing left to do.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    pub(crate) async fn gone_within(&mut self, limit: Duration, layout: &Layout) -> bool {
        let until = Instant::now() + limit;
        while self.alive(layout) || self.is_ending() {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// Ends it, kindly at first, and returns once it is gone.
    pub(crate) async fn end(&mut self, layout: &Layout) {
        self.signal(Signal::SIGTERM, layout);
        if !self.gone_within(GRACE, layout).await {
            self.end_now(layout).await;
        }
    }

    pub(crate) async fn end_now(&mut self, layout: &Layout) {
        self.signal(Signal::SIGKILL, layout);
        if !self.gone_within(KILL, layout).await {
            tracing::warn!(pid = self.pid, "a component survives SIGKILL: the kernel is stuck on it");
        }
    }

    /// For destructors: asks a child of ours to end, and kills it when it does not.
    pub(crate) fn end_and_reap(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Ok(pid) = i32::try_from(self.pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let until = Instant::now() + GRACE;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(POLL);
        }
        self.kill_and_reap();
    }

    /// For destructors, where nothing can be awaited: kills and reaps a child of ours.
    pub(crate) fn kill_and_reap(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether this process runs for the cluster in this folder: every component has the folder in its arguments. A pid alone
/// may have been given to somebody else.
pub(crate) fn is_ours(pid: u32, layout: &Layout) -> bool {
    let folder = layout.root().as_os_str().as_encoded_bytes();
    command_line(pid).is_some_and(|line| line.windows(folder.len()).any(|window| window == folder))
}

/// Whether any process has this pid.
pub(crate) fn exists(pid: u32) -> bool {
    command_line(pid).is_some()
}

#[cfg(target_os = "linux")]
fn command_line(pid: u32) -> Option<Vec<u8>> {
    // A process that ended and is not reaped yet has an empty one.
    fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())
}

/// A process loses its command line before its files. One that only waits to be reaped has neither.
#[cfg(target_os = "linux")]
fn is_ending(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let has_ended =
        |stat: &str| stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    let mut states =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    command_line(pid).is_none() && states.any(|stat| !has_ended(&stat))
}

#[cfg(not(target_os = "linux"))]
fn is_ending(_pid: u32) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn command_line(pid: u32) -> Option<Vec<u8>> {
    let output = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(output.stdout).filter(|line| output.status.success() && !line.is_empty())
}

/// The last lines of a log, for error messages.
pub(crate) fn tail(log: &Path) -> String {
    const BYTES: u64 = 4096;
    const LINES: usize = 12;
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(unreadable: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_not_ours() {
        let layout = Layout::new("/nowhere/clusters/x".into());
        assert!(exists(std::process::id()));
        assert!(!is_ours(std::process::id(), &layout));
        assert!(!exists(u32::MAX - 1));
        assert!(!is_ending(std::process::id()) && !is_ending(u32::MAX - 1));
    }

    #[test]
    fn the_tail_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let text: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        fs::write(&log, text).unwrap();
        assert!(tail(&log).ends_with("line 998\nline 999"));
        assert_eq!(tail(&log).lines().count(), 12);
        assert!(tail(&dir.path().join("none")).starts_with("(unreadable"));
    }
}
