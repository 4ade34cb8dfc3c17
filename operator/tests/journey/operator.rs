//! The operator's process.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::Pid;
use serde_json::Value;

use super::{World, plinth};

/// Kills it, as a lost machine would.
pub fn kill(world: &World<'_>) -> Result<()> {
    let file = world.country.plane.state_dir().join("operator.json");
    let record = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let record: Value = serde_json::from_str(&record)?;
    let pid = record["pid"].as_i64().context("the operator's record names no process")?;
    signal(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL).context("killing the operator")
}

/// Starts another one, as people would.
pub fn start(world: &World<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    plinth_journey::unpack(folder.path())?;
    let folder = folder.path().to_string_lossy();
    plinth(&["up", &folder, "--nodes", "real", "--detach", "--name", world.name, "-o", "json"]).map(drop)
}
