//! What can go wrong, each in a sentence that says what to do next.

use std::path::{Path, PathBuf};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no recipe of that name.
    #[error("`{name}` is no image; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names of all images.
        known: String,
    },
    /// A recipe says what cannot be.
    #[error("recipes/{recipe}/image.yaml: {said}")]
    Recipe {
        /// The recipe.
        recipe: String,
        /// Field, value, and what is allowed.
        said: String,
    },
    /// A program that does a part of the work is not installed.
    #[error("{doing} needs `{tool}`, which was not found: install it and put it on PATH (Debian: {package})")]
    ToolMissing {
        /// What was being done.
        doing: String,
        /// The program.
        tool: String,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A program ran and failed.
    #[error("{doing} failed ({status}); the last lines:\n{tail}")]
    Failed {
        /// What was being done.
        doing: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        tail: String,
    },
    /// What a registry handed out is not what the recipe pins.
    #[error("{what} has the digest {found}, and the recipe pins {pinned}: nothing was made of it")]
    Digest {
        /// What was fetched.
        what: String,
        /// The recipe's.
        pinned: String,
        /// Of what came.
        found: String,
    },
    /// An image has a file that only the caller can give.
    #[error("image `{image}` is made of a file of yours, `{name}`: name it (--given {name}=PATH)")]
    NotGiven {
        /// The image.
        image: String,
        /// The recipe's word for the file.
        name: String,
    },
    /// What should be in an archive or package is not there.
    #[error("{what} has no `{path}`")]
    Lacks {
        /// The archive, package or folder.
        what: String,
        /// What was looked for.
        path: String,
    },
    /// What the published image is to be made of is not what it has to be.
    #[error("{}: {said}", .path.display())]
    Release {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        said: String,
    },
    /// There is no folder to keep images in.
    #[error(transparent)]
    Cache(#[from] plinth_cluster::Error),
    /// The description of an image could not be put together.
    #[error("image description: {0}")]
    Description(#[from] oci_spec::OciSpecError),
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }
}
