//! What the host sees of a node, and what it must never see.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// What bears a cluster's name on the host.
#[derive(Debug)]
pub struct Traces {
    /// Its folder, its network device, its cgroup.
    names: Vec<String>,
}

impl Traces {
    /// Of the cluster in this folder, which has a real node.
    pub fn of(folder: &Path) -> Result<Self> {
        let spec: Value = serde_json::from_slice(&std::fs::read(folder.join("config/node.json"))?)?;
        let name = |field: &str| spec[field].as_str().map(str::to_owned).context("a field of the node's");
        Ok(Self { names: vec![folder.to_string_lossy().into_owned(), name("device")?, name("cgroup")?] })
    }

    /// Everything there is now: mounts, interfaces, routes, cgroups, processes.
    pub fn now(&self) -> Result<BTreeSet<String>> {
        let mut lines = BTreeSet::new();
        for (what, file) in [("mount", "/proc/self/mountinfo"), ("route", "/proc/net/route")] {
            lines.extend(std::fs::read_to_string(file)?.lines().map(|line| format!("{what} {line}")));
        }
        lines.extend(names_in("/sys/class/net").map(|name| format!("interface {name}")));
        for hierarchy in names_in("/sys/fs/cgroup") {
            let folder = PathBuf::from("/sys/fs/cgroup").join(hierarchy);
            lines.extend(names_in(&folder).map(|name| format!("cgroup {}/{name}", folder.display())));
        }
        for process in names_in("/proc") {
            let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            lines.insert(format!("process {process} {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
        lines.retain(|line| self.names.iter().any(|name| line.contains(name)));
        Ok(lines)
    }
}

/// What all clusters of a host share, and no cluster may change: rules of packets, settings of the kernel, the folders
/// that a node's programs use by default.
pub fn shared() -> Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for setting in ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/ipv4/ip_forward"] {
        let value = std::fs::read_to_string(Path::new("/proc/sys").join(setting))?;
        lines.insert(format!("setting {setting} {}", value.trim()));
    }
    for folder in ["/run/containerd", "/run/netns", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods"] {
        lines.extend(names_in(folder).map(|name| format!("{folder}/{name}")));
    }
    for (program, arguments) in
        [("nft", &["list", "tables"][..]), ("iptables-save", &[]), ("ipset", &["list", "-name"])]
    {
        let output = Command::new(program).args(arguments).output().context(program)?;
        ensure!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // iptables-save says when it ran, and counts packets.
        let rules = text.lines().filter(|line| !line.starts_with(['#', ':']));
        lines.extend(rules.map(|line| format!("{program}: {line}")));
    }
    Ok(lines)
}

fn names_in(folder: impl AsRef<Path>) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
