//! Go's module proxy: programs, pinned by the recipe's `go.sum`.

use std::path::PathBuf;
use std::process::Command;

use super::Workshop;
use crate::command::run;
use crate::error::{Error, Result};
use crate::recipe::Recipe;

/// Builds a program, and returns the binary.
pub(super) fn program(
    workshop: &Workshop<'_>,
    recipe: &Recipe,
    module: &str,
    package: &str,
    linker_flags: &str,
) -> Result<PathBuf> {
    let folder = workshop.folder()?;
    for name in ["go.mod", "go.sum"] {
        let file = folder.join(name);
        std::fs::write(&file, recipe.file(&format!("{module}/{name}"))?).map_err(Error::io(&file))?;
    }
    let binary = folder.join("program");
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &format!("-s -w {linker_flags}"), "-o"]);
    go.arg(&binary).arg(package).current_dir(&folder);
    // What the user set for other work must not change this build.
    go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly").env("GOWORK", "off");
    run(&mut go, &format!("building {package}"), "golang-go")?;
    Ok(binary)
}
