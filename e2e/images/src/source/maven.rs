//! Maven's registry: artifacts that the recipe pins by their SHA-256.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::Workshop;
use crate::command::run;
use crate::error::{Error, Result};
use crate::recipe::{Owner, Recipe};
use crate::tree::Tree;

/// The registry, where the machine names no mirror of it.
const REGISTRY: &str = "https://repo.maven.apache.org/maven2";
/// Names a mirror.
const VARIABLE: &str = "PLINTH_MAVEN";

/// An archive, without its first folder.
pub(super) fn archive(
    workshop: &Workshop<'_>,
    recipe: &Recipe,
    artifact: &str,
    sha256: &str,
    into: &str,
    owner: Owner,
) -> Result<Tree> {
    let file = fetched(workshop, recipe, artifact, "tar.gz", sha256)?;
    let folder = workshop.folder()?;
    let reader = GzDecoder::new(File::open(&file).map_err(Error::io(&file))?);
    tar::Archive::new(reader).unpack(&folder).map_err(Error::io(&file))?;
    let mut inside = std::fs::read_dir(&folder).map_err(Error::io(&folder))?;
    let first =
        inside.next().ok_or_else(|| Error::Lacks { what: artifact.to_owned(), path: "a folder".into() })?;
    Tree::from_folder(&first.map_err(Error::io(&folder))?.path(), into, owner)
}

/// All jars of a lock, in one folder.
pub(super) fn jars(workshop: &Workshop<'_>, recipe: &Recipe, lock: &str) -> Result<PathBuf> {
    let folder = workshop.folder()?;
    let text = String::from_utf8_lossy(recipe.file(lock)?);
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((artifact, sha256)) = line.split_once(' ') else {
            return Err(recipe.wrong(format!("{lock}: `{line}` is not `group:artifact:version sha256`")));
        };
        let file = fetched(workshop, recipe, artifact, "jar", sha256)?;
        let (_, name, version) = coordinates(recipe, artifact)?;
        let target = folder.join(format!("{name}-{version}.jar"));
        std::fs::copy(&file, &target).map_err(Error::io(&target))?;
    }
    Ok(folder)
}

fn coordinates<'a>(recipe: &Recipe, artifact: &'a str) -> Result<(&'a str, &'a str, &'a str)> {
    match artifact.split(':').collect::<Vec<_>>()[..] {
        [group, name, version] => Ok((group, name, version)),
        _ => Err(recipe.wrong(format!("`{artifact}` is not `group:artifact:version`"))),
    }
}

/// The file of an artifact; fetched where it was not before.
fn fetched(
    workshop: &Workshop<'_>,
    recipe: &Recipe,
    artifact: &str,
    kind: &str,
    sha256: &str,
) -> Result<PathBuf> {
    let kept = workshop.downloads.join(sha256);
    if kept.is_file() {
        return Ok(kept);
    }
    let (group, name, version) = coordinates(recipe, artifact)?;
    let registry = std::env::var(VARIABLE).unwrap_or_else(|_| REGISTRY.to_owned());
    let group = group.replace('.', "/");
    let url = format!("{registry}/{group}/{name}/{version}/{name}-{version}.{kind}");
    let fresh = workshop.folder()?.join("file");
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--silent",
        "--show-error",
        "--location",
        "--retry",
        "3",
        "--max-time",
        "900",
        "-o",
    ]);
    run(curl.arg(&fresh).arg(url), &format!("fetching {artifact}"), "curl")?;
    let found = digest_of(&fresh)?;
    if found != sha256 {
        return Err(Error::Digest { what: artifact.to_owned(), pinned: sha256.to_owned(), found });
    }
    std::fs::rename(&fresh, &kept).map_err(Error::io(&kept))?;
    Ok(kept)
}

/// SHA-256 of a file, in hexadecimal.
fn digest_of(path: &PathBuf) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(Error::io(path))?;
        if read == 0 {
            return Ok(format!("{:x}", hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}
