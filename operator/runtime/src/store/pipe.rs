//! The folder that the containers of a pod share, and the named pipe in it (`Dump` in the catalogue's language says who writes
//! what). Pipes block, so that they are read and written in threads of their own.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::time::{Instant, sleep};

/// What is to be there soon is looked for so often.
const EVERY: Duration = Duration::from_millis(200);
/// What the other container writes at its end is there within so long.
const SOON: Duration = Duration::from_secs(120);

/// The shared folder.
#[derive(Clone)]
pub struct Shared(PathBuf);

impl Shared {
    /// The folder at that path.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Makes the pipe. Users of all containers of the pod may use it: they share a group.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn make_pipe(&self) -> Result<()> {
        let path = self.0.join("stream");
        // Beside its name first: whoever waits for it finds it with its rights.
        let beside = self.0.join(".stream");
        let _ = std::fs::remove_file(&beside);
        mkfifo(&beside, Mode::from_bits_truncate(0o660))
            .with_context(|| format!("making {}", path.display()))?;
        std::fs::set_permissions(&beside, Permissions::from_mode(0o660))?;
        std::fs::rename(&beside, &path).with_context(|| format!("making {}", path.display()))
    }

    /// Opens the pipe for reading; blocks until somebody writes.
    pub fn reader(&self) -> std::io::Result<File> {
        File::open(self.0.join("stream"))
    }

    /// Opens the pipe for writing; blocks until somebody reads.
    pub fn writer(&self) -> std::io::Result<File> {
        OpenOptions::new().write(true).open(self.0.join("stream"))
    }

    /// Waits until the other container has said that all of it is there.
    ///
    /// # Errors
    /// It gave up, or says nothing.
    pub async fn whole(&self) -> Result<()> {
        let end = Instant::now() + SOON;
        while !self.has("whole") {
            if self.has("failed") {
                bail!("the dump failed: the log of the container beside this one says why");
            }
            if Instant::now() > end {
                bail!("the dump has ended without being whole");
            }
            sleep(EVERY).await;
        }
        Ok(())
    }

    /// Ends when the other container has given up; never otherwise.
    pub async fn given_up(&self) -> anyhow::Error {
        while !self.has("failed") {
            sleep(EVERY).await;
        }
        anyhow::anyhow!("the container beside this one has given up: its log says why")
    }

    /// The rows that were counted, by table.
    ///
    /// # Errors
    /// There are none, or a line is not a name, a tab and a number.
    pub fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let text =
            std::fs::read_to_string(self.0.join("counts")).context("reading the counts of the dump")?;
        let line = |line: &str| {
            let (name, number) = line.rsplit_once('\t')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        let lines =
            text.lines().map(|text| line(text).with_context(|| format!("`{text}` is no name with a number")));
        lines.collect()
    }

    /// Says how many rows there have to be.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn say_counts(&self, counts: &BTreeMap<String, u64>) -> Result<()> {
        // Keys of the map are in the order of their bytes, as in the C locale.
        let lines: String = counts.iter().map(|(name, rows)| format!("{name}\t{rows}\n")).collect();
        std::fs::write(self.0.join("counts"), lines).context("writing the counts of the backup")
    }

    /// Says that all of it has been written.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn say_whole(&self) -> Result<()> {
        std::fs::write(self.0.join("whole"), "").context("saying that the backup is whole")
    }

    /// Says that nothing more comes. Who stands before the pipe by now is let through to its end.
    pub fn say_failed(&self) {
        let _ = std::fs::write(self.0.join("failed"), "");
        let nobody_waits =
            OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(self.0.join("stream"));
        drop(nobody_waits);
    }

    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }
}
