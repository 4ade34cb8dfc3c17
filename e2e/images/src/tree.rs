//! A file system tree as an image has it: names, owners and permissions, in one order, without any time of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{EntryType, Header};

use crate::error::{Error, Result};
use crate::recipe::Owner;

/// When every file was changed last, in seconds since 1970 (2025-01-01): an image does not tell when it was built.
pub const EPOCH: u64 = 1_735_689_600;

/// Files, folders and links by their path, which has no slash at its ends.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Permissions.
    pub mode: u32,
    /// Who owns it.
    pub owner: Owner,
    /// What it is.
    pub node: Node,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Node {
    /// A folder.
    Folder,
    /// A file.
    File(Content),
    /// A symbolic link to this.
    Link(String),
}

/// Where the bytes of a file are; they are read when they are needed.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file of the machine, from an offset on.
    Stored {
        /// The file.
        path: Arc<Path>,
        /// Where they begin.
        offset: u64,
        /// How many.
        length: u64,
    },
}

impl Content {
    /// How many bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stored { length, .. } => *length,
        }
    }

    /// Reads them.
    ///
    /// # Errors
    /// The file that holds them cannot be read.
    pub fn open(&self) -> Result<Box<dyn Read + '_>> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(bytes.as_slice())),
            Self::Stored { path, offset, length } => {
                let mut file = File::open(path).map_err(Error::io(path))?;
                file.seek(SeekFrom::Start(*offset)).map_err(Error::io(path))?;
                Ok(Box::new(file.take(*length)))
            }
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`Content::open`].
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes).map_err(Error::io("content of an image"))?;
        Ok(bytes)
    }

    fn same(&self, other: &Self) -> Result<bool> {
        Ok(self.length() == other.length() && self.bytes()? == other.bytes()?)
    }
}

impl Tree {
    /// What a tar archive on this machine holds. Devices, sockets and the like are left out: a container gets its own.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn from_tar(archive: &Path) -> Result<Self> {
        let shared: Arc<Path> = archive.into();
        let mut tree = Self::default();
        let mut hard_links = Vec::new();
        let file = File::open(archive).map_err(Error::io(archive))?;
        let mut reader = tar::Archive::new(file);
        for entry in reader.entries_with_seek().map_err(Error::io(archive))? {
            let entry = entry.map_err(Error::io(archive))?;
            let path = plain(&entry.path().map_err(Error::io(archive))?);
            let header = entry.header();
            let number = |value: std::io::Result<u64>| value.map(|n| n as u32).map_err(Error::io(archive));
            let owner = Owner { user: number(header.uid())?, group: number(header.gid())? };
            let mode = header.mode().map_err(Error::io(archive))? & 0o7777;
            let target = entry.link_name().map_err(Error::io(archive))?;
            let node = match header.entry_type() {
                EntryType::Directory => Node::Folder,
                EntryType::Symlink => Node::Link(target.unwrap_or_default().display().to_string()),
                EntryType::Link => {
                    hard_links.push((path, plain(&target.unwrap_or_default())));
                    continue;
                }
                EntryType::Regular | EntryType::Continuous => Node::File(Content::Stored {
                    path: shared.clone(),
                    offset: entry.raw_file_position(),
                    length: entry.size(),
                }),
                _ => continue,
            };
            tree.insert(&path, Entry { mode, owner, node });
        }
        for (path, target) in hard_links {
            let entry = tree.entries.get(&target).cloned();
            let lacks = || Error::Lacks { what: archive.display().to_string(), path: target.clone() };
            tree.insert(&path, entry.ok_or_else(lacks)?);
        }
        tree.entries.remove("");
        Ok(tree)
    }

    /// What a folder on this machine holds, under a path of the image and with one owner. Of the permissions only that a file
    /// can be run is kept: the rest is what the builder's umask happened to be.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn from_folder(folder: &Path, under: &str, owner: Owner) -> Result<Self> {
        let mut tree = Self::default();
        tree.insert(under, Entry { mode: 0o755, owner, node: Node::Folder });
        tree.add_folder(folder, &plain(Path::new(under)), owner)?;
        Ok(tree)
    }

    fn add_folder(&mut self, folder: &Path, under: &str, owner: Owner) -> Result<()> {
        for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
            let source = entry.map_err(Error::io(folder))?.path();
            let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = format!("{under}/{name}");
            let metadata = source.symlink_metadata().map_err(Error::io(&source))?;
            let kind = metadata.file_type();
            if kind.is_symlink() {
                let target = std::fs::read_link(&source).map_err(Error::io(&source))?;
                let node = Node::Link(target.display().to_string());
                self.insert(&path, Entry { mode: 0o777, owner, node });
            } else if kind.is_dir() {
                self.insert(&path, Entry { mode: 0o755, owner, node: Node::Folder });
                self.add_folder(&source, &path, owner)?;
            } else {
                let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                self.insert(&path, Entry { mode, owner, node: Node::File(stored(&source, metadata.len())) });
            }
        }
        Ok(())
    }

    /// One file of this machine, that can be run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn from_program(source: &Path, path: &str) -> Result<Self> {
        let length = source.metadata().map_err(Error::io(source))?.len();
        let mut tree = Self::default();
        let node = Node::File(stored(source, length));
        tree.insert(path, Entry { mode: 0o755, owner: Owner::default(), node });
        Ok(tree)
    }

    /// Puts an entry at a path.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        self.entries.insert(plain(Path::new(path)), entry);
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&plain(Path::new(path)))
    }

    /// All entries with their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Changes every entry.
    pub fn each(&mut self, mut change: impl FnMut(&mut Entry)) {
        self.entries.values_mut().for_each(&mut change);
    }

    /// Lays another tree over this one.
    pub fn lay(&mut self, over: &Self) {
        for (path, entry) in &over.entries {
            self.entries.insert(path.clone(), entry.clone());
        }
    }

    /// Takes a path and all below it away; of `/a/*` only what is below. A link beside it that leads to it goes too.
    pub fn remove(&mut self, path: &str) {
        let (path, itself) = match path.strip_suffix("/*") {
            Some(folder) => (folder, false),
            None => (path, true),
        };
        let path = plain(Path::new(path));
        let below = format!("{path}/");
        let beside = |candidate: &str, target: &str| {
            itself
                && candidate.rsplit_once('/').is_some_and(|(folder, _)| format!("{folder}/{target}") == path)
        };
        self.entries.retain(|candidate, entry| match &entry.node {
            _ if candidate.starts_with(&below) || (itself && *candidate == path) => false,
            Node::Link(target) => !beside(candidate, target),
            _ => true,
        });
    }

    /// The layer that makes this tree of another: what is new or differs, and a mark for each thing that is gone.
    ///
    /// # Errors
    /// A content cannot be read.
    pub fn over(&self, base: &Self) -> Result<Self> {
        let mut layer = Self::default();
        for (path, entry) in &self.entries {
            let same = match base.entries.get(path) {
                Some(other) => entry.same(other)?,
                None => false,
            };
            if !same {
                layer.entries.insert(path.clone(), entry.clone());
            }
        }
        let gone: BTreeSet<&String> =
            base.entries.keys().filter(|path| !self.entries.contains_key(*path)).collect();
        for path in &gone {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            // The mark of a folder takes all below it away.
            if !gone.contains(&folder.to_owned()) {
                let node = Node::File(Content::Bytes(Vec::new()));
                let mark = Entry { mode: 0o644, owner: Owner::default(), node };
                layer.insert(&format!("{folder}/.wh.{name}"), mark);
            }
        }
        Ok(layer)
    }

    /// Writes it as a tar archive: the same tree is the same bytes.
    ///
    /// # Errors
    /// A content cannot be read, or the archive not be written.
    pub fn write<W: Write>(&self, out: W) -> Result<W> {
        let failed = || Error::io("layer");
        let mut archive = tar::Builder::new(out);
        for (path, entry) in &self.entries {
            let mut header = Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(u64::from(entry.owner.user));
            header.set_gid(u64::from(entry.owner.group));
            header.set_mtime(EPOCH);
            header.set_size(0);
            match &entry.node {
                Node::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    archive
                        .append_data(&mut header, format!("{path}/"), std::io::empty())
                        .map_err(failed())?;
                }
                Node::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, path, target).map_err(failed())?;
                }
                Node::File(content) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(content.length());
                    archive.append_data(&mut header, path, content.open()?).map_err(failed())?;
                }
            }
        }
        archive.into_inner().map_err(failed())
    }
}

impl Entry {
    fn same(&self, other: &Self) -> Result<bool> {
        Ok(self.mode == other.mode
            && self.owner == other.owner
            && match (&self.node, &other.node) {
                (Node::Folder, Node::Folder) => true,
                (Node::Link(one), Node::Link(two)) => one == two,
                (Node::File(one), Node::File(two)) => one.same(two)?,
                _ => false,
            })
    }
}

fn stored(path: &Path, length: u64) -> Content {
    Content::Stored { path: PathBuf::from(path).into(), offset: 0, length }
}

/// A path as the keys have it.
fn plain(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = text.strip_prefix("./").unwrap_or(&text).trim_matches('/');
    if text == "." { String::new() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, text) in files {
            let node = Node::File(Content::Bytes(text.as_bytes().to_vec()));
            tree.insert(path, Entry { mode: 0o644, owner: Owner::default(), node });
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn a_layer_holds_what_is_new_or_differs_and_a_mark_for_what_is_gone() {
        let base = tree(&[("/etc/a", "1"), ("/etc/b", "1"), ("/etc/c", "1"), ("/opt", ""), ("/opt/x", "1")]);
        let next = tree(&[("/etc/a", "1"), ("/etc/b", "2"), ("/etc/d", "1")]);
        let layer = next.over(&base).unwrap();
        assert_eq!(paths(&layer), [".wh.opt", "etc/.wh.c", "etc/b", "etc/d"]);
        assert_eq!(paths(&base.over(&base).unwrap()), Vec::<&str>::new());
    }

    #[test]
    fn another_owner_or_other_permissions_are_a_difference() {
        let base = tree(&[("/a", "1")]);
        let (mut owned, mut hidden) = (base.clone(), base.clone());
        owned.each(|entry| entry.owner.user = 999);
        hidden.each(|entry| entry.mode = 0o600);
        for changed in [owned, hidden] {
            assert_eq!(paths(&changed.over(&base).unwrap()), ["a"]);
        }
    }

    #[test]
    fn the_order_of_making_leaves_no_trace_in_the_archive() {
        let one = tree(&[("/a", "1"), ("/b/c", "2")]).write(Vec::new()).unwrap();
        let two = tree(&[("/b/c", "2"), ("/a", "1")]).write(Vec::new()).unwrap();
        assert_eq!(one, two);
    }

    #[test]
    fn what_is_written_is_read_back_with_its_owners_permissions_and_links() {
        let mut tree = tree(&[("/a/file", "text")]);
        let owner = Owner { user: 999, group: 7 };
        tree.insert("/a", Entry { mode: 0o2750, owner, node: Node::Folder });
        tree.insert("/a/link", Entry { mode: 0o777, owner, node: Node::Link("file".to_owned()) });
        let file = tempfile::NamedTempFile::new().unwrap();
        tree.write(file.reopen().unwrap()).unwrap();
        let read = Tree::from_tar(file.path()).unwrap();
        assert_eq!(paths(&read), ["a", "a/file", "a/link"]);
        assert_eq!(paths(&read.over(&tree).unwrap()), Vec::<&str>::new());
    }

    #[test]
    fn what_is_removed_takes_links_beside_it_along() {
        let mut tree = tree(&[("/etc/key.pem", "1"), ("/etc/other", "1"), ("/log/a", "1"), ("/logs", "1")]);
        let node = Node::Link("key.pem".to_owned());
        tree.insert("/etc/0a1b.0", Entry { mode: 0o777, owner: Owner::default(), node });
        tree.remove("/etc/key.pem");
        tree.remove("/log/*");
        assert_eq!(paths(&tree), ["etc/other", "logs"]);
    }
}
