//! npm's registry: packages that the recipe pins by the registry's checksum, with a lock of all that they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::Workshop;
use crate::command::run;
use crate::error::{Error, Result};

const NPM: &str = "npm";

/// What `npm pack` says of a package.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Packed {
    filename: String,
    integrity: String,
}

/// The content of one package, without what it depends on.
pub(super) fn package(workshop: &Workshop<'_>, package: &str, integrity: &str) -> Result<PathBuf> {
    let folder = workshop.folder()?;
    let mut npm = Command::new("npm");
    npm.args(["pack", "--json", "--ignore-scripts", package]).current_dir(&folder);
    let answer = run(&mut npm, &format!("fetching {package}"), NPM)?;
    let packed: Vec<Packed> = serde_json::from_str(&answer).unwrap_or_default();
    let lacks = || Error::Lacks { what: "the npm registry".to_owned(), path: package.to_owned() };
    let packed = packed.into_iter().next().ok_or_else(lacks)?;
    if packed.integrity != integrity {
        let (what, pinned) = (package.to_owned(), integrity.to_owned());
        return Err(Error::Digest { what, pinned, found: packed.integrity });
    }
    let file = folder.join(&packed.filename);
    run(
        Command::new("tar").arg("-xzf").arg(&file).args(["--no-same-owner", "-C"]).arg(&folder),
        &format!("unpacking {package}"),
        "tar",
    )?;
    Ok(folder.join("package"))
}

/// A package with everything that it needs at run time beside it.
pub(super) struct Application<'a> {
    /// `name@version`.
    pub(super) package: &'a str,
    /// The registry's checksum.
    pub(super) integrity: &'a str,
    /// What it needs, with checksums.
    pub(super) lock: &'a [u8],
    /// Versions that stand for those that it asks for.
    pub(super) instead: &'a BTreeMap<String, String>,
    /// Nothing is compiled.
    pub(super) plain: bool,
    /// The Node that will run it.
    pub(super) node: &'a Path,
}

impl Application<'_> {
    /// The package's folder. What is compiled is compiled for its Node.
    pub(super) fn installed(&self, workshop: &Workshop<'_>) -> Result<PathBuf> {
        let folder = package(workshop, self.package, self.integrity)?;
        let file = folder.join("package-lock.json");
        std::fs::write(&file, self.lock).map_err(Error::io(&file))?;
        let doing = format!("installing what {} needs", self.package);
        let run = |arguments: &[&str]| run(self.npm(&folder).args(arguments), &doing, NPM);
        // The lock has what is needed at run time alone.
        run(&["pkg", "delete", "devDependencies", "scripts.prepare", "scripts.postinstall"])?;
        for (name, version) in self.instead {
            run(&["pkg", "set", &format!("dependencies[{name}]={version}")])?;
        }
        let plain: &[&str] = if self.plain { &["--omit=optional", "--ignore-scripts"] } else { &[] };
        run(&[&["ci", "--omit=dev", "--no-audit", "--no-fund"], plain].concat())?;
        // Not there where a package needs no other.
        let modules = folder.join("node_modules");
        if modules.is_dir() {
            forget_how_it_was_made(&modules)?;
        }
        Ok(folder)
    }

    fn npm(&self, folder: &Path) -> Command {
        let mut npm = Command::new("npm");
        let path = std::env::var("PATH").unwrap_or_default();
        npm.current_dir(folder)
            .env("PATH", format!("{}:{path}", self.node.join("bin").display()))
            // Headers of the Node that will run it, not of the machine's.
            .env("npm_config_nodedir", self.node);
        npm
    }
}

/// Leaves of compiled packages what runs: the rest names folders of this machine.
fn forget_how_it_was_made(modules: &Path) -> Result<()> {
    let find = |arguments: &[&str]| {
        run(Command::new("find").arg(modules).args(arguments), "removing what compilers left", "findutils")
    };
    for left in ["*.o", "*.d", "*.a", "Makefile", "*.mk", "config.gypi"] {
        find(&["-path", "*/build/*", "-type", "f", "-name", left, "-delete"])?;
    }
    find(&["-maxdepth", "1", "-name", ".package-lock.json", "-delete"])?;
    Ok(())
}
