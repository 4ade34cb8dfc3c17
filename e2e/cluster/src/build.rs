//! The control plane's binary, and what else a cluster is started from.

use std::path::{Path, PathBuf};

use crate::KUBERNETES_VERSION;
use crate::component::Component;
use crate::error::Result;
use crate::node::NodeBinaries;
use crate::options::Nodes;
use crate::program::Program;
use crate::progress::Progress;

const SOURCES: [(&str, &str); 5] = [
    ("go.mod", include_str!("../go/go.mod")),
    ("go.sum", include_str!("../go/go.sum")),
    ("kwok.go", include_str!("../go/kwok.go")),
    ("main.go", include_str!("../go/main.go")),
    ("parent.go", include_str!("../go/parent.go")),
];

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
}

impl Build {
    /// Returns the binaries, after building them if this user has none of these sources yet: see [`Program::ensure`].
    ///
    /// # Errors
    /// As [`Program::ensure`].
    pub async fn ensure(progress: &dyn Progress) -> Result<Binaries> {
        Ok(Binaries { dir: program().ensure(progress).await? })
    }
}

/// One file is built; the components are links to it.
fn program() -> Program {
    Program {
        title: "Kubernetes",
        folder: "cluster",
        binary: "plinth-cluster",
        packages: &[],
        links: Component::of(Nodes::Simulated(0)).iter().map(Component::name).chain(["kubectl"]).collect(),
        sources: &SOURCES,
        // Without a version, kubectl and the API server cannot parse their own.
        linker_flags: format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"),
    }
}

/// What a cluster is started from.
pub(crate) struct Programs {
    pub(crate) control_plane: Binaries,
    pub(crate) node: Option<NodeBinaries>,
}

impl Programs {
    pub(crate) async fn ensure(nodes: Nodes, progress: &dyn Progress) -> Result<Self> {
        let control_plane = Build::ensure(progress).await?;
        let node = match nodes {
            Nodes::Real => Some(NodeBinaries::ensure(progress).await?),
            Nodes::None | Nodes::Simulated(_) => None,
        };
        Ok(Self { control_plane, node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{assert_all_named, required};

    #[test]
    fn the_key_is_a_hash_and_the_sources_are_all_there() {
        assert_eq!(program().key().len(), 64);
        assert_eq!(program().key(), program().key());
        assert_all_named(&SOURCES, &Path::new(env!("CARGO_MANIFEST_DIR")).join("go"));
        assert!(required(&SOURCES).starts_with("1."));
    }
}
