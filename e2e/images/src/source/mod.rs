//! What comes from registries, each by the registry's own client and the machine's own settings.

mod debian;
mod golang;
mod java;
mod keystore;
mod maven;
mod npm;
mod wheel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::recipe::{Owner, Recipe, Source};
use crate::tree::Tree;

pub(crate) use debian::{packages, root};

/// Where sources are fetched and built.
pub(crate) struct Workshop<'a> {
    /// What was fetched before, by its digest.
    pub(crate) downloads: &'a Path,
    /// A folder for this image; what trees are made of lies in it until the archive is written.
    pub(crate) work: &'a Path,
    /// Files that the caller named.
    pub(crate) given: &'a BTreeMap<String, PathBuf>,
}

impl Workshop<'_> {
    /// Fetches or builds one source of a recipe.
    ///
    /// # Errors
    /// The registry has it not, has another one than the pinned, or its build fails.
    pub(crate) fn make(&self, recipe: &Recipe, source: &Source) -> Result<Tree> {
        match source {
            Source::MavenArchive { artifact, sha256, into, owner, group_writes } => {
                let mut tree = maven::archive(self, recipe, artifact, sha256, into, *owner)?;
                if *group_writes {
                    tree.each(|entry| entry.mode |= (entry.mode & 0o200) >> 3);
                }
                Ok(tree)
            }
            Source::MavenJars { lock, into } => {
                Tree::from_folder(&maven::jars(self, recipe, lock)?, into, Owner::default())
            }
            Source::Java { program, lock, release, into } => {
                let libraries = maven::jars(self, recipe, lock)?;
                let classes = java::classes(self, recipe, program, &libraries, *release)?;
                Tree::from_folder(&classes, into, Owner::default())
            }
            Source::NpmFile { package, integrity, path, into } => {
                let folder = npm::package(self, package, integrity)?;
                Tree::from_program(&existing(&folder, path, package)?, into)
            }
            Source::NpmApplication {
                package,
                integrity,
                lock,
                node,
                node_integrity,
                into,
                without,
                instead,
                plain,
                owner,
            } => {
                let node = npm::package(self, node, node_integrity)?;
                let lock = recipe.file(lock)?;
                let application =
                    npm::Application { package, integrity, lock, instead, plain: *plain, node: &node };
                let folder = application.installed(self)?;
                let mut tree = Tree::from_folder(&folder, into, *owner)?;
                without.iter().for_each(|path| tree.remove(&format!("{into}/{path}")));
                Ok(tree)
            }
            Source::Go { module, package, linker_flags, adds, into } => {
                let program = golang::Program { module, package, linker_flags, adds };
                Tree::from_program(&program.built(self, recipe)?, into)
            }
            Source::Wheel { requirements, path, into } => {
                let folder = wheel::unpacked(self, recipe.file(requirements)?)?;
                Tree::from_program(&existing(&folder, path, "the wheel")?, into)
            }
            Source::PythonApplication { requirements, python, into } => {
                let folder = wheel::application(self, recipe.file(requirements)?, python)?;
                Tree::from_folder(&folder, into, Owner::default())
            }
            Source::Given { name, into } => {
                let lacks = || Error::NotGiven { image: recipe.name.clone(), name: name.clone() };
                Tree::from_program(self.given.get(name).ok_or_else(lacks)?, into)
            }
        }
    }

    /// A fresh folder.
    fn folder(&self) -> Result<PathBuf> {
        Ok(tempfile::tempdir_in(self.work).map_err(Error::io(self.work))?.keep())
    }
}

fn existing(folder: &Path, path: &str, what: &str) -> Result<PathBuf> {
    let found = folder.join(path);
    if found.is_file() {
        return Ok(found);
    }
    Err(Error::Lacks { what: what.to_owned(), path: path.to_owned() })
}
