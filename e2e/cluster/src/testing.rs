//! Control planes for tests: alone or shared by the tests of one process, and gone afterwards. Waiting for what they do.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::OnceCell;

use crate::component::Component;
use crate::error::{Error, Result};
use crate::layout::{Layout, clusters_dir};
use crate::options::{Nodes, Options};
use crate::plane::ControlPlane;
use crate::process;
use crate::progress::Lines;

const RUNNING: &str = "test-";
const FAILED: &str = "failed-test-";
/// How long the logs of a failed test are kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Between two tries of [`eventually`].
const PAUSE: Duration = Duration::from_millis(50);

static COUNTER: AtomicU32 = AtomicU32::new(0);
/// A static is never dropped. Its processes end with ours, by the end of their standard input, and its folder is removed
/// by the next process that starts a test cluster.
static SHARED: OnceCell<TestCluster> = OnceCell::const_new();

/// A control plane of one test, removed when this is dropped. When the test panicked its logs stay, and their path is
/// printed. A test that fails by returning an error cannot be told from one that passed: let [`TestCluster::run`] see it.
#[derive(Debug)]
pub struct TestCluster {
    /// Taken by the destructor, which has to end the processes before it removes their files.
    plane: Option<ControlPlane>,
    failed: bool,
}

impl TestCluster {
    /// Starts one in a folder of its own.
    pub async fn start(nodes: Nodes) -> Result<Self> {
        Self::start_with(|options| options.nodes(nodes)).await
    }

    /// Starts one with other options. Name and folder stay its own.
    pub async fn start_with(adjust: impl FnOnce(Options) -> Options) -> Result<Self> {
        remove_stale().await?;
        let name = format!("{RUNNING}{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let plane = ControlPlane::start(adjust(Options::new(name)), &Lines::default()).await?;
        Ok(Self { plane: Some(plane), failed: false })
    }

    /// Starts one, runs the test on it, and keeps the logs when that returns an error.
    pub async fn run<T, E: From<Error>>(
        nodes: Nodes,
        test: impl AsyncFnOnce(&ControlPlane) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut cluster = Self::start(nodes).await?;
        let result = test(&cluster).await;
        cluster.failed = result.is_err();
        result
    }

    /// The one with three simulated nodes that all tests of this process share, started by whichever asks first. Work in
    /// a namespace of your own.
    pub async fn shared() -> Result<&'static Self> {
        SHARED.get_or_try_init(|| Self::start(Nodes::Simulated(3))).await
    }
}

/// Tries until it holds, in short steps, within `limit`.
///
/// # Errors
/// What `attempt` says at once, and `what` was waited for when the time is up.
pub async fn eventually<T, E: From<Error>>(
    limit: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = attempt().await? {
            return Ok(found);
        }
        if started.elapsed() > limit {
            let (what, last) = (what.to_owned(), "not yet".to_owned());
            return Err(Error::Timeout { what, seconds: limit.as_secs(), last }.into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Deref for TestCluster {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        self.plane.as_ref().expect("only the destructor takes it")
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        let Some(plane) = self.plane.take() else { return };
        let dir = plane.state_dir().to_path_buf();
        drop(plane);
        if !self.failed && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&dir);
            return;
        }
        print_tails(&dir);
        match keep_logs(&dir) {
            Ok(kept) => eprintln!("the logs of the control plane are in {}", kept.display()),
            Err(error) => eprintln!("the control plane's folder stays as it is: {error}"),
        }
    }
}

/// The end of every component's log: whoever reads a failed run elsewhere cannot open the files.
fn print_tails(dir: &Path) {
    let layout = Layout::new(dir.to_path_buf());
    for component in Component::ALL {
        let log = layout.log(component);
        if log.exists() {
            eprintln!("-- {component}, last lines:\n{}", process::tail(&log));
        }
    }
}

/// Moves a failed test's folder out of the reach of the next start, without the bulk.
fn keep_logs(dir: &Path) -> Result<PathBuf> {
    let data = dir.join("data");
    std::fs::remove_dir_all(&data).map_err(Error::io(&data))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let kept = dir.with_file_name(name.replacen(RUNNING, FAILED, 1));
    std::fs::rename(dir, &kept).map_err(Error::io(dir))?;
    Ok(kept)
}

/// Removes what test processes that are gone have left, and old logs.
async fn remove_stale() -> Result<()> {
    let clusters = clusters_dir()?;
    let Ok(entries) = std::fs::read_dir(&clusters) else {
        // Nothing was ever started here.
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let stale = match (name.strip_prefix(RUNNING), name.strip_prefix(FAILED)) {
            (Some(rest), _) => owner(rest).is_some_and(|pid| !process::exists(pid)),
            (_, Some(_)) => is_old(&path),
            _ => false,
        };
        if stale {
            // Its processes may have a few seconds left to live. Another test process may be at it too: all that
            // matters is that it is gone in the end.
            let _ = ControlPlane::stop_at(&path).await;
            let _ = std::fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

/// The process in `<pid>-<number>`.
fn owner(rest: &str) -> Option<u32> {
    rest.split_once('-')?.0.parse().ok()
}

fn is_old(path: &Path) -> bool {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT))
}
