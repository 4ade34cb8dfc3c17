//! Go's module proxy: programs, pinned by the recipe's `go.sum`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Workshop;
use crate::command::run;
use crate::error::{Error, Result};
use crate::recipe::Recipe;

const GO: &str = "golang-go";

/// A program of a module.
pub(super) struct Program<'a> {
    /// Folder of the recipe with `go.mod` and `go.sum`.
    pub(super) module: &'a str,
    /// What is built.
    pub(super) package: &'a str,
    /// Flags of the linker, beside our own.
    pub(super) linker_flags: &'a str,
    /// Files that the module lacks, by import path.
    pub(super) adds: &'a BTreeMap<String, String>,
}

impl Program<'_> {
    /// Builds it, and returns the binary.
    pub(super) fn built(&self, workshop: &Workshop<'_>, recipe: &Recipe) -> Result<PathBuf> {
        let folder = workshop.folder()?;
        for name in ["go.mod", "go.sum"] {
            let file = folder.join(name);
            std::fs::write(&file, recipe.file(&format!("{}/{name}", self.module))?)
                .map_err(Error::io(&file))?;
        }
        let binary = folder.join("program");
        let linker_flags = format!("-s -w {}", self.linker_flags);
        let mode = if self.adds.is_empty() { "-mod=readonly" } else { self.vendored(&folder, recipe)? };
        let mut build = go(&folder, mode);
        build.args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &linker_flags, "-o"]);
        run(build.arg(&binary).arg(self.package), &format!("building {}", self.package), GO)?;
        Ok(binary)
    }

    /// Copies what is needed beside `go.mod`, for nothing may be added to what Go keeps for all, and adds the files.
    fn vendored(&self, folder: &Path, recipe: &Recipe) -> Result<&'static str> {
        let doing = format!("fetching the sources of {}", self.package);
        run(go(folder, "-mod=readonly").args(["mod", "vendor"]), &doing, GO)?;
        for (path, name) in self.adds {
            let file = folder.join("vendor").join(path);
            std::fs::write(&file, recipe.file(name)?).map_err(Error::io(&file))?;
        }
        Ok("-mod=vendor")
    }
}

/// What the user set for other work must not change this build.
fn go(folder: &Path, mode: &str) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", mode).env("GOWORK", "off");
    go
}
