//! Builds the control plane's binary, once for each state of the Go sources.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::KUBERNETES_VERSION;
use crate::component::Component;
use crate::error::{Error, Result};
use crate::layout::{builds_dir, private_dir};
use crate::process::tail;
use crate::progress::Progress;
use crate::record::Lock;

/// Named one by one, so that cargo notices a change and a stray file beside them changes nothing.
const SOURCES: [(&str, &str); 5] = [
    ("go.mod", include_str!("../go/go.mod")),
    ("go.sum", include_str!("../go/go.sum")),
    ("kwok.go", include_str!("../go/kwok.go")),
    ("main.go", include_str!("../go/main.go")),
    ("parent.go", include_str!("../go/parent.go")),
];

/// The one file that is built; the components are links to it.
const BINARY: &str = "plinth-cluster";
const OTHER: &str = "Waiting for another build of Kubernetes";
const DOWNLOAD: &str = "Downloading Go modules";
const COMPILE: &str = "Building Kubernetes";
/// Somebody else's build may be under way; a cold one takes minutes on a small machine.
const OTHER_BUILD: Duration = Duration::from_secs(45 * 60);

/// Makes the binaries.
#[derive(Debug)]
pub struct Build;

/// A finished build.
#[derive(Debug, Clone)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// Those that a running cluster was started from.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder that holds them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The binary of a component.
    pub fn path(&self, component: Component) -> PathBuf {
        self.dir.join(component.name())
    }

    /// kubectl, of the same release.
    pub fn kubectl(&self) -> PathBuf {
        self.dir.join("kubectl")
    }

    fn complete(&self) -> bool {
        self.dir.join(BINARY).is_file()
    }
}

impl Build {
    /// Returns the binaries, after building them if this user has none of these sources yet.
    ///
    /// The folder is named by the sources and flags alone: a machine that has the build needs no Go, and a newer Go is no
    /// reason to spend the minutes again. Dropping the future ends the build.
    pub async fn ensure(progress: &dyn Progress) -> Result<Binaries> {
        let builds = builds_dir()?;
        let binaries = Binaries { dir: builds.join(key()) };
        if binaries.complete() {
            return Ok(binaries);
        }
        private_dir(&builds)?;
        let _lock = lock(&builds.join("lock"), progress).await?;
        if binaries.complete() {
            return Ok(binaries);
        }
        // In the same file system as its destination, so that the rename is atomic.
        let work =
            tempfile::Builder::new().prefix("building-").tempdir_in(&builds).map_err(Error::io(&builds))?;
        let (source, out) = (work.path().join("source"), work.path().join("out"));
        for dir in [&source, &out] {
            private_dir(dir)?;
        }
        for (name, text) in SOURCES {
            std::fs::write(source.join(name), text).map_err(Error::io(&source))?;
        }
        check_toolchain(&source).await?;
        let log = builds.join("build.log");
        progress.begin(COMPILE, Some(count_packages(&source, &log, progress).await?));
        compile(&source, &out.join(BINARY), &log, progress).await?;
        for name in Component::ALL.iter().map(Component::name).chain(["kubectl"]) {
            std::os::unix::fs::symlink(BINARY, out.join(name)).map_err(Error::io(&out))?;
        }
        std::fs::rename(&out, &binaries.dir).map_err(Error::io(&binaries.dir))?;
        progress.finish(COMPILE);
        Ok(binaries)
    }
}

async fn lock(path: &Path, progress: &dyn Progress) -> Result<Lock> {
    if let Some(lock) = Lock::try_take(path)? {
        return Ok(lock);
    }
    progress.begin(OTHER, None);
    let lock = Lock::take(path, OTHER_BUILD).await?;
    progress.finish(OTHER);
    Ok(lock)
}

fn linker_flags() -> String {
    // Without a version, kubectl and the API server cannot parse their own.
    format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}")
}

fn key() -> String {
    let mut hash = Sha256::new();
    for (name, text) in SOURCES {
        hash.update(format!("{name} {}\n{text}", text.len()));
    }
    hash.update(linker_flags());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `go` line of go.mod: the toolchain itself enforces it.
fn required() -> String {
    let module = SOURCES[0].1;
    module.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("(see go.mod)").to_owned()
}

/// `go`, in that folder, with nothing of the user's settings.
pub(crate) fn go(source: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        // What the user set for other work must not change this build.
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Why `go` did not start.
pub(crate) fn not_started(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::GoMissing { required: required() };
    }
    Error::io("go")(error)
}

async fn check_toolchain(source: &Path) -> Result<()> {
    match go(source).args(["list", "-m"]).output().await {
        Err(error) => Err(not_started(error)),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Error::GoTooOld { required: required(), said })
        }
    }
}

/// Loads the module graph, which downloads what is missing, and counts what there is to compile.
async fn count_packages(source: &Path, log: &Path, progress: &dyn Progress) -> Result<u64> {
    progress.begin(DOWNLOAD, None);
    let mut downloads = 0;
    let mut command = go(source);
    command.args(["list", "-deps", "."]);
    let packages = run(&mut command, log, |line| {
        if let Some(module) = line.strip_prefix("go: downloading ") {
            downloads += 1;
            progress.advance(DOWNLOAD, downloads, module);
        }
    });
    let packages = packages.await?;
    progress.finish(DOWNLOAD);
    Ok(packages.lines().count() as u64)
}

async fn compile(source: &Path, out: &Path, log: &Path, progress: &dyn Progress) -> Result<()> {
    let mut command = go(source);
    command
        .args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", &linker_flags(), "-o"])
        .arg(out)
        .arg(".");
    let mut done = 0;
    let compiled = run(&mut command, log, |line| {
        done += 1;
        // The main package is compiled last; what follows is the linker, which counts nothing.
        let detail = if line.starts_with("plinth.dev/") { "linking" } else { line };
        progress.advance(COMPILE, done, detail);
    });
    compiled.await.map(drop)
}

/// Runs `go`, hands on each line of its standard error, and returns its standard output.
async fn run(command: &mut Command, log: &Path, mut heard: impl FnMut(&str)) -> Result<String> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Error::io("go"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut output = tokio::fs::File::from_std(File::create(log).map_err(Error::io(log))?);
    let listen = async {
        let mut lines = BufReader::new(stderr.expect("it is piped")).lines();
        while let Some(line) = lines.next_line().await? {
            output.write_all(format!("{line}\n").as_bytes()).await?;
            heard(&line);
        }
        output.flush().await
    };
    let mut text = String::new();
    let mut stdout = stdout.expect("it is piped");
    // Both at once: a pipe that nobody reads stops its writer.
    tokio::try_join!(listen, stdout.read_to_string(&mut text)).map_err(Error::io("go"))?;
    let status = child.wait().await.map_err(Error::io("go"))?;
    if status.success() { Ok(text) } else { Err(failed(status, log)) }
}

fn failed(status: ExitStatus, log: &Path) -> Error {
    Error::BuildFailed { status: status.to_string(), log: log.to_path_buf(), tail: tail(log) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_a_hash_and_the_sources_are_all_there() {
        assert_eq!(key().len(), 64);
        assert_eq!(key(), key());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let on_disk = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut on_disk: Vec<_> = on_disk.map(|name| name.into_string().unwrap()).collect();
        on_disk.sort();
        assert_eq!(on_disk, SOURCES.map(|(name, _)| name));
        assert!(required().starts_with("1."));
    }
}
