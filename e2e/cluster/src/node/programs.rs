//! The programs of a real node: four Go modules, because what they are built from does not agree.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::KUBERNETES_VERSION;
use crate::error::Result;
use crate::program::Program;
use crate::progress::Progress;

const HOST: [(&str, &str); 12] = [
    ("go.mod", include_str!("../../node/host/go.mod")),
    ("go.sum", include_str!("../../node/host/go.sum")),
    ("cgroups.go", include_str!("../../node/host/cgroups.go")),
    ("host.go", include_str!("../../node/host/host.go")),
    ("inside.go", include_str!("../../node/host/inside.go")),
    ("main.go", include_str!("../../node/host/main.go")),
    ("network.go", include_str!("../../node/host/network.go")),
    ("supervise.go", include_str!("../../node/host/supervise.go")),
    ("toolbox/image.go", include_str!("../../node/host/toolbox/image.go")),
    ("toolbox/main.go", include_str!("../../node/host/toolbox/main.go")),
    ("toolbox/probe.go", include_str!("../../node/host/toolbox/probe.go")),
    ("toolbox/shell.go", include_str!("../../node/host/toolbox/shell.go")),
];
const KUBERNETES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../node/kubernetes/go.mod")),
    ("go.sum", include_str!("../../node/kubernetes/go.sum")),
    ("main.go", include_str!("../../node/kubernetes/main.go")),
];
const ADDONS: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../node/addons/go.mod")),
    ("go.sum", include_str!("../../node/addons/go.sum")),
    ("coredns/main.go", include_str!("../../node/addons/coredns/main.go")),
];
const POLICIES: [(&str, &str); 7] = [
    ("go.mod", include_str!("../../node/policies/go.mod")),
    ("go.sum", include_str!("../../node/policies/go.sum")),
    ("blocks.go", include_str!("../../node/policies/blocks.go")),
    ("client.go", include_str!("../../node/policies/client.go")),
    ("halves.go", include_str!("../../node/policies/halves.go")),
    ("main.go", include_str!("../../node/policies/main.go")),
    ("names.go", include_str!("../../node/policies/names.go")),
];
/// All builds lie side by side, each in a folder of its sources' hash.
const FOLDER: &str = "node";

/// Where the programs of a real node are: a folder for each module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeBinaries {
    /// plinth-node, containerd and its shim, ctr, the CNI plugins, the toolbox.
    pub(crate) host: PathBuf,
    /// kubelet and kube-proxy.
    pub(crate) kubernetes: PathBuf,
    /// CoreDNS, metrics-server, local-path-provisioner.
    pub(crate) addons: PathBuf,
    /// kube-router, of which the enforcer of NetworkPolicies is used.
    pub(crate) policies: PathBuf,
}

impl NodeBinaries {
    /// Returns the programs, after building those that this user does not have yet: see [`Program::ensure`].
    ///
    /// # Errors
    /// As [`Program::ensure`].
    pub async fn ensure(progress: &dyn Progress) -> Result<Self> {
        Ok(Self {
            kubernetes: kubernetes().ensure(progress).await?,
            host: host().ensure(progress).await?,
            addons: addons().ensure(progress).await?,
            policies: policies().ensure(progress).await?,
        })
    }

    /// What starts a node and cleans up after it.
    pub(crate) fn plinth_node(&self) -> PathBuf {
        self.host.join("plinth-node")
    }

    /// What the node's own image is made of.
    pub(crate) fn toolbox(&self) -> PathBuf {
        self.host.join("toolbox")
    }

    /// containerd's client.
    pub(crate) fn ctr(&self) -> PathBuf {
        self.host.join("ctr")
    }

    /// Each folder, with the name that the node knows it by.
    pub(crate) fn folders(&self) -> [(&'static str, &Path); 4] {
        [
            ("host", &self.host),
            ("kubernetes", &self.kubernetes),
            ("addons", &self.addons),
            ("policies", &self.policies),
        ]
    }
}

fn host() -> Program {
    Program {
        title: "containerd and the CNI plugins",
        folder: FOLDER,
        binary: "plinth-node",
        packages: &[".", "./toolbox", "tool"],
        links: Vec::new(),
        sources: &HOST,
        linker_flags: "-s -w".to_owned(),
    }
}

fn kubernetes() -> Program {
    Program {
        title: "kubelet and kube-proxy",
        folder: FOLDER,
        binary: "plinth-node-kubernetes",
        packages: &[],
        links: vec!["kubelet", "kube-proxy"],
        sources: &KUBERNETES,
        linker_flags: format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"),
    }
}

fn addons() -> Program {
    Program {
        title: "CoreDNS, metrics-server and the volume provisioner",
        folder: FOLDER,
        binary: "coredns",
        packages: &["./coredns", "tool"],
        links: Vec::new(),
        sources: &ADDONS,
        linker_flags: "-s -w".to_owned(),
    }
}

fn policies() -> Program {
    Program {
        title: "kube-router, which enforces NetworkPolicies",
        folder: FOLDER,
        binary: "kube-router",
        packages: &[],
        links: Vec::new(),
        sources: &POLICIES,
        linker_flags: "-s -w".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::assert_all_named;

    #[test]
    fn the_sources_are_all_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        assert_all_named(&HOST, &folder.join("host"));
        assert_all_named(&KUBERNETES, &folder.join("kubernetes"));
        assert_all_named(&ADDONS, &folder.join("addons"));
        assert_all_named(&POLICIES, &folder.join("policies"));
    }

    #[test]
    fn the_node_has_the_version_of_the_control_plane() {
        assert!(KUBERNETES[0].1.contains(&format!("k8s.io/kubernetes {KUBERNETES_VERSION}\n")));
    }
}
