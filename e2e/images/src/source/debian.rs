//! Debian's packages, by mmdebstrap: apt resolves them and checks the archive's signatures.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::keystore;
use crate::command::run;
use crate::error::{Error, Result};
use crate::image::lock;
use crate::tree::{Content, EPOCH, Entry, Node, Tree};

/// The release that images are made of.
const SUITE: &str = "bookworm";
/// Where its parts are when this machine's apt knows none of them.
const UPSTREAM: [(&str, &str); 3] = [
    ("http://deb.debian.org/debian", "bookworm"),
    ("http://deb.debian.org/debian", "bookworm-updates"),
    ("http://deb.debian.org/debian-security", "bookworm-security"),
];
/// What no program reads stays away, but licences. A root that is lost while it is made is made again, so that nothing waits
/// for the disk.
const OPTIONS: [&str; 5] = [
    "force-unsafe-io",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
];
/// What tells of the machine that built, or is another at every build.
const LEFT_OUT: [&str; 16] = [
    "/dev/*",
    "/etc/apt/sources.list",
    "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "/etc/hostname",
    "/etc/machine-id",
    "/etc/resolv.conf",
    "/run/*",
    "/tmp/*",
    // Not left out before: the installation of Java asks for the folders.
    "/usr/share/man/*",
    "/var/cache/apt/*",
    "/var/cache/debconf/config.dat-old",
    "/var/cache/debconf/templates.dat-old",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/apt/lists/*",
    "/var/lib/systemd/random-seed",
    "/var/log/*",
];

/// Java's public authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/java/cacerts";

/// A root file system of Debian's essential packages and these, written to `archive` unless it is there.
///
/// # Errors
/// mmdebstrap is not installed, or the archive has not all packages.
pub(crate) fn root(packages: &BTreeSet<String>, archive: &Path) -> Result<Tree> {
    // Images share what they begin with.
    let _lock = lock(&archive.with_extension("lock"))?;
    if !archive.is_file() {
        // A build that was broken off leaves a file; mmdebstrap wants to make it itself.
        let fresh = archive.with_extension("unfinished");
        if fresh.exists() {
            std::fs::remove_file(&fresh).map_err(Error::io(&fresh))?;
        }
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--format=tar", "--variant=essential", "--aptopt=Acquire::Retries \"3\""]);
        command.args(OPTIONS.map(|option| format!("--dpkgopt={option}")));
        if !packages.is_empty() {
            let names: Vec<&str> = packages.iter().map(String::as_str).collect();
            command.arg(format!("--include={}", names.join(",")));
        }
        command.arg(SUITE).arg(&fresh).args(sources()).env("SOURCE_DATE_EPOCH", EPOCH.to_string());
        run(&mut command, "installing Debian's packages", "mmdebstrap")?;
        std::fs::rename(&fresh, archive).map_err(Error::io(archive))?;
    }
    let mut tree = Tree::from_tar(archive)?;
    LEFT_OUT.iter().for_each(|path| tree.remove(path));
    if let Some(entry) = tree.get(AUTHORITIES)
        && let Node::File(content) = &entry.node
        && let Some(store) = keystore::without_times(&content.bytes()?)
    {
        let entry = Entry { node: Node::File(Content::Bytes(store)), ..entry.clone() };
        tree.insert(AUTHORITIES, entry);
    }
    Ok(tree)
}

/// Lines of a sources.list: the mirrors that this machine's apt has of the release, else Debian's own.
fn sources() -> Vec<String> {
    let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
    let known =
        Command::new("apt-get").args(["indextargets", "--format", format, "Identifier: Packages"]).output();
    let known = known.map(|ran| String::from_utf8_lossy(&ran.stdout).into_owned()).unwrap_or_default();
    let mut lines = BTreeSet::new();
    for line in known.lines() {
        if let [uri, release, "main"] = line.split(' ').collect::<Vec<_>>()[..]
            && UPSTREAM.iter().any(|(_, suite)| *suite == release)
        {
            lines.insert(format!("deb {uri} {release} main"));
        }
    }
    if !lines.iter().any(|line| line.ends_with(&format!(" {SUITE} main"))) {
        lines = UPSTREAM.iter().map(|(uri, release)| format!("deb {uri} {release} main")).collect();
    }
    lines.into_iter().collect()
}

/// Name and version of every package of a root file system.
///
/// # Errors
/// Its list of packages cannot be read.
pub(crate) fn packages(root: &Tree) -> Result<Vec<String>> {
    let Some(Node::File(status)) = root.get("/var/lib/dpkg/status").map(|entry| &entry.node) else {
        return Ok(Vec::new());
    };
    let status = String::from_utf8_lossy(&status.bytes()?).into_owned();
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let of = |paragraph: &str| format!("{} {}", field(paragraph, "Package:"), field(paragraph, "Version:"));
    Ok(status.split("\n\n").filter(|paragraph| paragraph.starts_with("Package:")).map(of).collect())
}
