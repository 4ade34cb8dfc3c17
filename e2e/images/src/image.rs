//! From a recipe to an image in the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plinth_cluster::Progress;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::accounts;
use crate::archive;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::source::{self, Workshop};
use crate::tree::{Content, Entry, Node, Tree};

/// Raised when the same recipe makes another image.
const FORMAT: u32 = 1;
const ARCHIVE: &str = "image.tar";
const RECORD: &str = "image.json";
/// How long an image of a file of the caller's is kept after another one was made: whoever imports it is done by then.
const SUPERSEDED: Duration = Duration::from_secs(3600);

/// A built image.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Image {
    /// Its name in the archive, as pods name it after the Stack's image rules.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: String,
    /// The archive, in the OCI image layout.
    pub archive: PathBuf,
    /// Name and version of each of Debian's packages that it has.
    pub packages: Vec<String>,
}

/// Builds images, once for each state of their recipes.
pub struct Images<'a> {
    folder: PathBuf,
    given: BTreeMap<String, PathBuf>,
    progress: &'a dyn Progress,
}

impl<'a> Images<'a> {
    /// Kept in `$XDG_CACHE_HOME/plinth/images`.
    ///
    /// # Errors
    /// There is no such folder, and no home.
    pub fn new(progress: &'a dyn Progress) -> Result<Self> {
        Ok(Self::kept_in(plinth_cluster::cache_dir("images")?, progress))
    }

    /// Kept in another folder.
    pub fn kept_in(folder: PathBuf, progress: &'a dyn Progress) -> Self {
        Self { folder, given: BTreeMap::new(), progress }
    }

    /// Names a file that a recipe leaves to the caller, such as Plinth's own binary.
    #[must_use]
    pub fn given(mut self, name: &str, path: PathBuf) -> Self {
        self.given.insert(name.to_owned(), path);
        self
    }

    /// Returns the image of a recipe, after building it if this user has none of this state of the recipe yet.
    ///
    /// # Errors
    /// There is no such recipe, a program that builds is missing, or a registry does not hand out what is pinned.
    pub fn build(&self, name: &str) -> Result<Image> {
        let recipe = self.known(name)?;
        let chain = recipe.chain()?;
        let folder = self.folder.join(format!("{name}-{}", &self.key(&chain)?[..16]));
        if let Some(image) = recorded(&folder) {
            return Ok(image);
        }
        let stage = format!("Image {name}");
        self.progress.begin(&stage, None);
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let _lock = lock(&self.folder.join(format!("{name}.lock")))?;
        let image = match recorded(&folder) {
            Some(image) => image,
            None => self.make(&chain, &folder, &stage)?,
        };
        // Every build of that file makes another image, and nobody asks for the ones before.
        if chain.iter().any(|recipe| recipe.given().next().is_some()) {
            forget_others(&folder, name);
        }
        self.progress.finish(&stage);
        Ok(image)
    }

    fn known(&self, name: &str) -> Result<Recipe> {
        let images = Recipe::images()?;
        if images.iter().any(|image| image == name) {
            return Recipe::named(name);
        }
        Err(Error::Unknown { name: name.to_owned(), known: images.join(", ") })
    }

    /// A hash of everything that decides what is built, but the versions of Debian's packages.
    fn key(&self, chain: &[Recipe]) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(format!("{FORMAT} {}\n", std::env::consts::ARCH));
        for recipe in chain {
            recipe.hash(&mut hash);
        }
        for (name, path) in &self.given {
            if chain.iter().any(|recipe| recipe.given().any(|used| used == name)) {
                hash.update(Sha256::digest(std::fs::read(path).map_err(Error::io(path))?));
            }
        }
        Ok(format!("{:x}", hash.finalize()))
    }

    fn make(&self, chain: &[Recipe], folder: &Path, stage: &str) -> Result<Image> {
        let (roots, downloads) = (self.folder.join("roots"), self.folder.join("downloads"));
        for dir in [&roots, &downloads] {
            std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        }
        let work = tempfile::Builder::new()
            .prefix("building-")
            .tempdir_in(&self.folder)
            .map_err(Error::io(&self.folder))?;
        let workshop = Workshop { downloads: &downloads, work: work.path(), given: &self.given };
        let (layers, root) = self.layers(chain, &workshop, &roots, stage)?;
        self.progress.advance(stage, 0, "writing the archive");
        let last = &chain[chain.len() - 1];
        let fresh = work.path().join("image");
        std::fs::create_dir_all(&fresh).map_err(Error::io(&fresh))?;
        let reference = last.reference().ok_or_else(|| last.wrong("upstream: an image needs one"))?;
        let written = archive::write(&fresh.join(ARCHIVE), &reference, &layers, &last.config, labels(last))?;
        let packages = source::packages(&root)?;
        let made = Image { reference, digest: written, archive: folder.join(ARCHIVE), packages };
        let record = fresh.join(RECORD);
        let text = serde_json::to_vec_pretty(&made).map_err(|error| Error::io(&record)(error.into()))?;
        std::fs::write(&record, text).map_err(Error::io(&record))?;
        std::fs::rename(&fresh, folder).map_err(Error::io(folder))?;
        Ok(made)
    }

    /// The layers of a chain of recipes, each with the words of who made it, and the root file system of Debian's packages.
    fn layers(
        &self,
        chain: &[Recipe],
        workshop: &Workshop<'_>,
        roots: &Path,
        stage: &str,
    ) -> Result<(Vec<(String, Tree)>, Tree)> {
        let mut packages = BTreeSet::new();
        let mut root = Tree::default();
        let mut image = Tree::default();
        let mut layers = Vec::new();
        for recipe in chain {
            packages.extend(recipe.debian.iter().cloned());
            if !recipe.debian.is_empty() || recipe.base.is_none() {
                self.progress.advance(stage, 0, &format!("Debian's packages of {}", recipe.name));
                let next = source::root(&packages, &roots.join(format!("{}.tar", key_of(&packages))))?;
                let mut next = renumbered(next, recipe)?;
                recipe.without.iter().for_each(|path| next.remove(path));
                layers.push((format!("Debian packages of {}", recipe.name), next.over(&root)?));
                image.lay(&next);
                root = next;
            }
            let own = self.own(recipe, workshop, &image, stage)?;
            if own.iter().next().is_some() {
                image.lay(&own);
                layers.push((format!("recipe {}", recipe.name), own));
            }
        }
        Ok((layers, root))
    }

    /// What a recipe adds beside Debian's packages.
    fn own(&self, recipe: &Recipe, workshop: &Workshop<'_>, image: &Tree, stage: &str) -> Result<Tree> {
        let mut own = accounts::files(&recipe.accounts, image)?;
        for source in &recipe.sources {
            self.progress.advance(stage, 0, source.into());
            own.lay(&workshop.make(recipe, source)?);
        }
        for place in &recipe.files {
            let node = match (&place.file, &place.link) {
                (Some(file), _) => Node::File(Content::Bytes(recipe.file(file)?.to_vec())),
                (None, Some(target)) => Node::Link(target.clone()),
                (None, None) => Node::Folder,
            };
            let mode = place.permissions().unwrap_or(0o755);
            own.insert(&place.path, Entry { mode, owner: place.owner, node });
        }
        Ok(own)
    }
}

/// Waits until nobody else makes the same: it is there then. The lock ends with the file, also when a process is killed.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(Error::io(path))?;
    file.lock().map_err(Error::io(path))?;
    Ok(file)
}

/// Files of Debian's packages under the numbers that the recipe gives their users.
fn renumbered(mut root: Tree, recipe: &Recipe) -> Result<Tree> {
    let moves = accounts::moves(&recipe.accounts, &root)?;
    root.each(|entry| {
        for (from, to) in &moves {
            if entry.owner.user == from.user {
                entry.owner.user = to.user;
            }
            if entry.owner.group == from.group {
                entry.owner.group = to.group;
            }
        }
    });
    Ok(root)
}

fn labels(recipe: &Recipe) -> BTreeMap<String, String> {
    let text = |text: &str| text.to_owned();
    let upstream = recipe.upstream.clone().unwrap_or_default();
    BTreeMap::from([
        (text("org.opencontainers.image.title"), recipe.title.clone()),
        (text("plinth.dev/stands-for"), upstream),
    ])
}

fn key_of(packages: &BTreeSet<String>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT}\n"));
    packages.iter().for_each(|name| hash.update(format!("{name}\n")));
    format!("{:x}", hash.finalize())[..16].to_owned()
}

/// Removes images of other states of a recipe that are older than [`SUPERSEDED`]. What cannot be removed is tried again next time.
fn forget_others(kept: &Path, name: &str) {
    let Some(others) = kept.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else { return };
    for path in others.flatten().map(|entry| entry.path()).filter(|path| path != kept) {
        let is_of = path.file_name().and_then(|file| file.to_str()?.strip_prefix(name)?.strip_prefix('-'));
        let is_state = is_of.is_some_and(|key| key.len() == 16 && key.chars().all(|c| c.is_ascii_hexdigit()));
        let age =
            std::fs::metadata(&path).and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
        if is_state && age.is_some_and(|age| age > SUPERSEDED) {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// What an earlier build wrote down, where its archive is still there.
fn recorded(folder: &Path) -> Option<Image> {
    let text = std::fs::read(folder.join(RECORD)).ok()?;
    let image: Image = serde_json::from_slice(&text).ok()?;
    // The folder may have been moved with the whole cache.
    let archive = folder.join(ARCHIVE);
    archive.is_file().then_some(Image { archive, ..image })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn images_of_other_states_go_when_they_are_old_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, age: Duration| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            File::open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let (old, young) = (SUPERSEDED * 2, Duration::ZERO);
        let kept = made("plinth-0123456789abcdef", old);
        let spent = made("plinth-fedcba9876543210", old);
        let others = [
            made("plinth-00112233445566aa", young),
            made("plinth-web-0123456789abcdef", old),
            made("roots", old),
        ];
        forget_others(&kept, "plinth");
        assert!(!spent.exists());
        assert!(kept.exists() && others.iter().all(|path| path.exists()));
    }
}
