//! What can go wrong, each in a sentence that says what to do next.

use std::path::{Path, PathBuf};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a control plane could not be built, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no Go toolchain.
    #[error(
        "{what}: comes from Go modules and `go` was not found: install Go {required} or newer (https://go.dev/dl) and put it on \
         PATH"
    )]
    GoMissing {
        /// What needs it.
        what: &'static str,
        /// The oldest release that will do.
        required: String,
    },
    /// There is a Go toolchain, but it refuses the module.
    #[error("{what}: this Go toolchain cannot build it, Go {required} or newer is needed: {said}")]
    GoTooOld {
        /// What needs a newer one.
        what: &'static str,
        /// The oldest release that will do.
        required: String,
        /// What `go` said.
        said: String,
    },
    /// The build ran and failed.
    #[error("building {what} failed ({status}); the last lines of {}:\n{tail}", .log.display())]
    BuildFailed {
        /// What was built.
        what: &'static str,
        /// How `go` ended.
        status: String,
        /// The whole output.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The definitions of another project's kinds could not be had.
    #[error(
        "copying custom resource definitions out of {module} (pinned in e2e/cluster/crds/go.mod) failed: {said}"
    )]
    Definitions {
        /// The Go module.
        module: String,
        /// What is wrong.
        said: String,
    },
    /// A component did not do what it was waited for.
    #[error("{component} {what}; the last lines of {}:\n{tail}", .log.display())]
    Component {
        /// The component at fault.
        component: &'static str,
        /// What it did or did not do.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// Something else did not happen in time.
    #[error("waited {seconds} s for {what}: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// What was seen last.
        last: String,
    },
    /// There is no running cluster of that name.
    #[error("no cluster runs from {}", .0.display())]
    NotRunning(PathBuf),
    /// This machine cannot have a real node.
    #[error("a real node cannot run here; missing: {0}")]
    NoRealNode(String),
    /// The cluster exists with nodes of another kind.
    #[error(
        "the cluster in {} was made with {was} nodes and keeps its addresses: delete it first (`plinth down --purge`), or give \
         another name",
        .folder.display()
    )]
    OtherNodes {
        /// Its folder.
        folder: PathBuf,
        /// What its nodes are.
        was: &'static str,
    },
    /// The addresses of a cluster are not to be had.
    #[error(
        "this machine already has routes into {0}: remove them, or delete the cluster (`plinth down --purge`)"
    )]
    NoAddresses(String),
    /// A real node that ended has left something on the host.
    #[error("what a real node has left cannot be removed: {0}")]
    Leftover(String),
    /// There is no real node to do it on.
    #[error("only a cluster with a real node takes images")]
    NoNode,
    /// An image could not be made or imported.
    #[error("image {}: {said}", .archive.display())]
    Image {
        /// The archive.
        archive: PathBuf,
        /// What the tool said.
        said: String,
    },
    /// A name that cannot be a folder and a context at once.
    #[error(
        "{0:?} cannot name a cluster: use 1 to 40 lower-case letters, digits and dashes, with a letter or digit at both ends"
    )]
    BadName(String),
    /// Neither the XDG folder nor a home is known.
    #[error("no folder to keep {0} in: set HOME or the XDG variable for it")]
    NoHome(&'static str),
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// More groups than a certificate can name.
    #[error("a client certificate holds at most two groups here, not {0}")]
    TooManyGroups(usize),
    /// A file of ours does not hold what we wrote.
    #[error("{}: {said}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// The API server answered with an error.
    #[error("{doing}: {source}")]
    Api {
        /// What was being done.
        doing: String,
        /// What the server said.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// For `map_err` on requests.
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }
}
