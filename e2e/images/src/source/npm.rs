//! npm's registry: packages that the recipe pins by the registry's checksum, with a lock of all that they need.

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

/// A package with everything that it needs at run time beside it. What is compiled is compiled for that Node.
pub(super) fn application(
    workshop: &Workshop<'_>,
    name: &str,
    integrity: &str,
    lock: &[u8],
    node: &Path,
) -> Result<PathBuf> {
    let folder = package(workshop, name, integrity)?;
    let file = folder.join("package-lock.json");
    std::fs::write(&file, lock).map_err(Error::io(&file))?;
    let doing = format!("installing what {name} needs");
    let npm = || {
        let mut npm = Command::new("npm");
        let path = std::env::var("PATH").unwrap_or_default();
        npm.current_dir(&folder)
            .env("PATH", format!("{}:{path}", node.join("bin").display()))
            // Headers of the Node that will run it, not of the machine's.
            .env("npm_config_nodedir", node);
        npm
    };
    // The lock has what is needed at run time alone.
    run(
        npm().args(["pkg", "delete", "devDependencies", "scripts.prepare", "scripts.postinstall"]),
        &doing,
        NPM,
    )?;
    run(npm().args(["ci", "--omit=dev", "--no-audit", "--no-fund"]), &doing, NPM)?;
    // Not there where a package needs no other.
    let modules = folder.join("node_modules");
    if modules.is_dir() {
        forget_how_it_was_made(&modules)?;
    }
    Ok(folder)
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
