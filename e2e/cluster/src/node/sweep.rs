//! Removing what a node that was killed has left on the host.

use std::process::Command;

use super::NodeBinaries;
use crate::error::{Error, Result};
use crate::layout::Layout;

/// Removes the cluster's cgroup with all that runs in it, and its network device; nothing when there is nothing. The
/// rest is gone with the last of the node's processes.
///
/// # Errors
/// Something of it stays; the message names it.
pub(crate) fn sweep(layout: &Layout, binaries: &NodeBinaries) -> Result<()> {
    let spec = layout.node_spec();
    if !spec.exists() {
        return Ok(());
    }
    let program = binaries.plinth_node();
    let output = Command::new(&program).arg("sweep").arg(&spec).output().map_err(Error::io(&program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Leftover(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
