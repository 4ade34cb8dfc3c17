//! Where everything lies. Binaries, data and logs never share a folder: a folder called "etcd" beside a binary called
//! "etcd" has hung a start before.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::component::Component;
use crate::error::{Error, Result};

/// The folder that holds one folder for each named cluster, `$XDG_STATE_HOME/plinth/clusters`.
pub fn clusters_dir() -> Result<PathBuf> {
    Ok(xdg("XDG_STATE_HOME", ".local/state", "clusters")?.join("clusters"))
}

/// The folder that holds one folder for each build of a program, or for each program that a test fetches:
/// `$XDG_CACHE_HOME/plinth/<folder>`.
pub fn cache_dir(folder: &str) -> Result<PathBuf> {
    Ok(xdg("XDG_CACHE_HOME", ".cache", "the build")?.join(folder))
}

fn xdg(variable: &str, below_home: &str, what: &'static str) -> Result<PathBuf> {
    // The XDG specification says that a relative path is to be ignored.
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    Ok(base.ok_or(Error::NoHome(what))?.join("plinth"))
}

/// A name becomes a folder, a kubeconfig context and a part of messages.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (1..=40).contains(&name.len())
        && name.chars().all(|c| plain(c) || c == '-')
        && name.starts_with(plain)
        && name.ends_with(plain);
    if good { Ok(()) } else { Err(Error::BadName(name.to_owned())) }
}

/// Creates a folder that only its owner may look into: keys and the whole content of the cluster lie there.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::io(path))
}

/// The folder of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn create(&self) -> Result<()> {
        for dir in
            [&self.root, &self.data(), &self.logs(), &self.certs(), &self.kubeconfigs(), &self.config()]
        {
            private_dir(dir)?;
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    pub(crate) fn kubeconfigs(&self) -> PathBuf {
        self.root.join("kubeconfigs")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    pub(crate) fn record(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.log")
    }

    pub(crate) fn log(&self, component: Component) -> PathBuf {
        self.logs().join(format!("{component}.log"))
    }

    /// What the node's programs read.
    pub(crate) fn node_config(&self) -> PathBuf {
        self.config().join("node")
    }

    /// What `plinth-node` reads.
    pub(crate) fn node_spec(&self) -> PathBuf {
        self.config().join("node.json")
    }

    /// What a real node keeps: its /var, which holds images, containers and volumes.
    pub(crate) fn node_data(&self) -> PathBuf {
        self.data().join("node")
    }

    /// A link to the file system of the node while it runs.
    pub(crate) fn node_root(&self) -> PathBuf {
        self.root.join("node")
    }

    pub(crate) fn kubeconfig(&self, stem: &str) -> PathBuf {
        self.kubeconfigs().join(format!("{stem}.yaml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "demo", "hub-1", "test-123-4"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a b", &"a".repeat(41)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
