//! Images on the node. None is pulled: what a pod is to run is imported from an archive.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::NodeBinaries;
use crate::error::{Error, Result};
use crate::layout::Layout;

/// The image that every real node has: `pause`, a few commands of a shell, and what tests run in their pods.
pub const TOOLBOX: &str = "plinth.dev/toolbox:1";
/// The namespace of containerd in which the kubelet looks.
const NAMESPACE: &str = "k8s.io";
/// For an archive of some gigabytes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const POLL: Duration = Duration::from_millis(50);

/// Imports an archive (OCI layout or `docker save`) into the node's containerd, for the kubelet to find.
///
/// # Errors
/// containerd does not answer in time, or refuses the archive.
pub(crate) async fn import(layout: &Layout, binaries: &NodeBinaries, archive: &Path) -> Result<()> {
    let socket = layout.node_root().join("run/containerd/containerd.sock");
    let until = Instant::now() + PATIENCE;
    while !socket.exists() {
        if Instant::now() >= until {
            let what = format!("containerd's socket {}", socket.display());
            return Err(Error::Timeout {
                what,
                seconds: PATIENCE.as_secs(),
                last: "it is not there".to_owned(),
            });
        }
        tokio::time::sleep(POLL).await;
    }
    let mut ctr = Command::new(binaries.ctr());
    ctr.arg("--address").arg(&socket).args(["--namespace", NAMESPACE, "images", "import"]).arg(archive);
    run(ctr.kill_on_drop(true), archive).await
}

/// Packs a program of one file into an image of this tag, under these names below the root. A container without a command
/// runs the first.
///
/// # Errors
/// The program cannot be read, or the archive not written.
pub(crate) async fn pack(
    binaries: &NodeBinaries,
    tag: &str,
    archive: &Path,
    program: &Path,
    names: &[&str],
) -> Result<()> {
    let mut toolbox = Command::new(binaries.toolbox());
    toolbox.args(["image", tag]).arg(archive).arg(program).args(names);
    run(toolbox.kill_on_drop(true), archive).await
}

/// Packs the toolbox into its image.
pub(crate) async fn pack_toolbox(binaries: &NodeBinaries, archive: &Path) -> Result<()> {
    pack(binaries, TOOLBOX, archive, &binaries.toolbox(), &["pause", "toolbox", "bin/sh"]).await
}

async fn run(command: &mut Command, archive: &Path) -> Result<()> {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.map_err(|_| Error::Timeout {
        what: format!("the image {}", archive.display()),
        seconds: PATIENCE.as_secs(),
        last: "not yet".to_owned(),
    })?;
    let output = output.map_err(Error::io(archive))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Image { archive: archive.to_path_buf(), said })
}
