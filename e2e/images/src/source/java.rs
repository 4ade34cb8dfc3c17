//! Java programs of a recipe's own, compiled against jars of Maven's registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Workshop;
use crate::command::run;
use crate::error::{Error, Result};
use crate::recipe::Recipe;

/// Compiles the files of a recipe's folder, and returns the folder of their classes.
pub(super) fn classes(
    workshop: &Workshop<'_>,
    recipe: &Recipe,
    program: &str,
    libraries: &Path,
    release: u8,
) -> Result<PathBuf> {
    let (sources, classes) = (workshop.folder()?, workshop.folder()?);
    let mut javac = Command::new("javac");
    // What annotations of the jars would run at compile time is none of this build's.
    javac.args(["--release", &release.to_string(), "-proc:none", "-encoding", "UTF-8", "-d"]).arg(&classes);
    javac.arg("-cp").arg(libraries.join("*"));
    for source in recipe.folder(program)? {
        let file = sources.join(source.path().file_name().unwrap_or_default());
        std::fs::write(&file, source.contents()).map_err(Error::io(&file))?;
        javac.arg(file);
    }
    run(&mut javac, &format!("compiling {} of recipe {}", program, recipe.name), "openjdk-17-jdk-headless")?;
    Ok(classes)
}
