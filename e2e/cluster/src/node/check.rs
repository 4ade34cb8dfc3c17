//! Whether this machine can have a real node.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Error, Result};

/// What `CapEff` of a process has to hold, by the kernel's numbers.
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];
/// Programs of the distribution, and the package that has each. Debian's names.
const PROGRAMS: [(&str, &str); 4] =
    [("runc", "runc"), ("nft", "nftables"), ("iptables", "iptables"), ("ipset", "ipset")];
/// Where the node looks for them.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Why this machine cannot have a real node: each thing that is missing, in words. Empty when it can.
pub fn missing() -> Vec<String> {
    if !cfg!(target_os = "linux") {
        return vec![format!("Linux (this is {})", std::env::consts::OS)];
    }
    let mut missing = Vec::new();
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
        missing.push("root (run it with sudo)".to_owned());
    }
    missing.extend(capabilities());
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    if !read("/proc/filesystems").lines().any(|line| line.ends_with("\toverlay")) {
        missing.push("the file system overlay (modprobe overlay)".to_owned());
    }
    if !read("/proc/self/mounts").lines().any(|line| line.contains(" cgroup")) {
        missing.push("cgroups (none are mounted)".to_owned());
    }
    missing.extend(programs());
    missing
}

fn capabilities() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let lacking: Vec<_> =
        CAPABILITIES.iter().filter(|(bit, _)| mask >> bit & 1 == 0).map(|(_, name)| *name).collect();
    (!lacking.is_empty()).then(|| lacking.join(", "))
}

/// One line for all of them, because one command installs them.
fn programs() -> Option<String> {
    let found = |name: &str| FOLDERS.iter().any(|folder| Path::new(folder).join(name).exists());
    let lacking: Vec<_> = PROGRAMS.iter().filter(|(name, _)| !found(name)).collect();
    if lacking.is_empty() {
        return None;
    }
    let names: Vec<_> = lacking.iter().map(|(name, _)| *name).collect();
    let packages: Vec<_> = lacking.iter().map(|(_, package)| *package).collect();
    Some(format!("{} (on Debian: apt-get install {})", names.join(", "), packages.join(" ")))
}

/// Refuses with everything that is missing at once.
///
/// # Errors
/// Something is.
pub(crate) fn check() -> Result<()> {
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { Err(Error::NoRealNode(missing.join("; "))) }
}
