//! A folder as the kubelet mounts a ConfigMap or a Secret: every file is a link through `..data`, and a change is one rename
//! of that link.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A mounted folder.
pub struct Mount {
    pub path: PathBuf,
    versions: AtomicU32,
}

impl Mount {
    /// With these files.
    pub fn new(path: PathBuf, files: &BTreeMap<String, String>) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mount = Self { path, versions: AtomicU32::new(0) };
        for name in files.keys() {
            symlink(Path::new("..data").join(name), mount.path.join(name)).unwrap();
        }
        mount.put(files);
        mount
    }

    /// Another content, at once.
    pub fn put(&self, files: &BTreeMap<String, String>) {
        let version = format!("..{}", self.versions.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir(self.path.join(&version)).unwrap();
        for (name, text) in files {
            std::fs::write(self.path.join(&version).join(name), text).unwrap();
        }
        let link = self.path.join("..data_tmp");
        symlink(&version, &link).unwrap();
        std::fs::rename(&link, self.path.join("..data")).unwrap();
    }
}
