//! Go programs of this repository: each is built once for each state of its sources, and kept for its user.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::error::{Error, Result};
use crate::layout::{cache_dir, private_dir};
use crate::process::tail;
use crate::progress::Progress;
use crate::record::Lock;

const DOWNLOAD: &str = "Downloading Go modules";
/// Somebody else's build may be under way; a cold one takes minutes on a small machine.
const OTHER_BUILD: Duration = Duration::from_secs(45 * 60);

/// One Go module and what is built of it.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it is, as a person reads it while waiting.
    pub title: &'static str,
    /// Folder of its builds: `$XDG_CACHE_HOME/plinth/<folder>`.
    pub folder: &'static str,
    /// File name of the binary.
    pub binary: &'static str,
    /// What is built, each package a binary of its own name beside the others; the module's own one when empty.
    pub packages: &'static [&'static str],
    /// Further names, of links to it.
    pub links: Vec<&'static str>,
    /// Path and text of each source, named one by one, so that cargo notices a change and a stray file beside them changes
    /// nothing. The first is `go.mod`.
    pub sources: &'static [(&'static str, &'static str)],
    /// Flags of the linker.
    pub linker_flags: String,
}

impl Program {
    /// Returns the folder with the binary, after building it if this user has none of these sources yet.
    ///
    /// The folder is named by the sources and flags alone: a machine that has the build needs no Go, and a newer Go is no
    /// reason to spend the minutes again. Dropping the future ends the build.
    ///
    /// # Errors
    /// There is no Go that will do, no network for the modules, or the build fails.
    pub async fn ensure(&self, progress: &dyn Progress) -> Result<PathBuf> {
        let builds = cache_dir(self.folder)?;
        let dir = builds.join(self.key());
        let complete = || dir.join(self.binary).is_file();
        if complete() {
            return Ok(dir);
        }
        private_dir(&builds)?;
        let _lock = self.lock(&builds.join("lock"), progress).await?;
        if complete() {
            return Ok(dir);
        }
        // In the same file system as its destination, so that the rename is atomic.
        let work =
            tempfile::Builder::new().prefix("building-").tempdir_in(&builds).map_err(Error::io(&builds))?;
        let (source, out) = (work.path().join("source"), work.path().join("out"));
        for dir in [&source, &out] {
            private_dir(dir)?;
        }
        for (name, text) in self.sources {
            let path = source.join(name);
            private_dir(path.parent().unwrap_or(&source))?;
            std::fs::write(&path, text).map_err(Error::io(&path))?;
        }
        self.check_toolchain(&source).await?;
        self.build(&source, &out, &builds.join("build.log"), progress).await?;
        for name in &self.links {
            std::os::unix::fs::symlink(self.binary, out.join(name)).map_err(Error::io(&out))?;
        }
        // Pods are shown this folder and not those above it, which stay closed; they run as other users.
        std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o755)).map_err(Error::io(&out))?;
        std::fs::rename(&out, &dir).map_err(Error::io(&dir))?;
        Ok(dir)
    }

    async fn lock(&self, path: &Path, progress: &dyn Progress) -> Result<Lock> {
        if let Some(lock) = Lock::try_take(path)? {
            return Ok(lock);
        }
        let other = format!("Waiting for another build of {}", self.title);
        progress.begin(&other, None);
        let lock = Lock::take(path, OTHER_BUILD).await?;
        progress.finish(&other);
        Ok(lock)
    }

    /// A hash of everything that decides what is built.
    pub(crate) fn key(&self) -> String {
        let mut hash = Sha256::new();
        for (name, text) in self.sources {
            hash.update(format!("{name} {}\n{text}", text.len()));
        }
        hash.update(&self.linker_flags);
        self.packages.iter().for_each(|package| hash.update(package));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    async fn check_toolchain(&self, source: &Path) -> Result<()> {
        let required = required(self.sources);
        match go(source).args(["list", "-m"]).output().await {
            Err(error) => Err(not_started(error, self.title, self.sources)),
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(Error::GoTooOld { what: self.title, required, said })
            }
        }
    }

    async fn build(&self, source: &Path, out: &Path, log: &Path, progress: &dyn Progress) -> Result<()> {
        let packages = self.count_packages(source, log, progress).await?;
        let stage = format!("Building {}", self.title);
        progress.begin(&stage, Some(packages));
        let mut command = go(source);
        command
            .args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", &self.linker_flags, "-o"])
            .arg(if self.packages.is_empty() { out.join(self.binary) } else { out.to_path_buf() })
            .args(self.patterns());
        let mut done = 0;
        let compiled = self.run(&mut command, log, |line| {
            done += 1;
            // The main package is compiled last; what follows is the linker, which counts nothing.
            let detail = if line.starts_with("plinth.dev/") { "linking" } else { line };
            progress.advance(&stage, done, detail);
        });
        compiled.await?;
        progress.finish(&stage);
        Ok(())
    }

    fn patterns(&self) -> &'static [&'static str] {
        if self.packages.is_empty() { &["."] } else { self.packages }
    }

    /// Loads the module graph, which downloads what is missing, and counts what there is to compile.
    async fn count_packages(&self, source: &Path, log: &Path, progress: &dyn Progress) -> Result<u64> {
        progress.begin(DOWNLOAD, None);
        let mut downloads = 0;
        let mut command = go(source);
        command.args(["list", "-deps"]).args(self.patterns());
        let packages = self.run(&mut command, log, |line| {
            if let Some(module) = line.strip_prefix("go: downloading ") {
                downloads += 1;
                progress.advance(DOWNLOAD, downloads, module);
            }
        });
        let packages = packages.await?;
        progress.finish(DOWNLOAD);
        Ok(packages.lines().count() as u64)
    }

    /// Runs `go`, hands on each line of its standard error, and returns its standard output.
    async fn run(&self, command: &mut Command, log: &Path, mut heard: impl FnMut(&str)) -> Result<String> {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Error::io("go"))?;
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
        if status.success() { Ok(text) } else { Err(self.failed(status, log)) }
    }

    fn failed(&self, status: ExitStatus, log: &Path) -> Error {
        let (status, log_path) = (status.to_string(), log.to_path_buf());
        Error::BuildFailed { what: self.title, status, log: log_path, tail: tail(log) }
    }
}

/// The `go` line of go.mod: the toolchain itself enforces it.
pub(crate) fn required(sources: &[(&str, &str)]) -> String {
    let module = sources.first().map_or("", |(_, text)| text);
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
pub(crate) fn not_started(error: std::io::Error, what: &'static str, sources: &[(&str, &str)]) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::GoMissing { what, required: required(sources) };
    }
    Error::io("go")(error)
}

/// For tests: fails unless the sources are all that a folder has.
///
/// # Panics
/// A file is missing, or is not named.
pub fn assert_all_named(sources: &[(&str, &str)], folder: &Path) {
    let mut on_disk = files(folder, "");
    on_disk.sort();
    let mut named: Vec<_> = sources.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(on_disk, named);
}

/// The paths of all files below a folder.
fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the sources") {
        let entry = entry.expect("readable");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            found.push(name);
        }
    }
    found
}
