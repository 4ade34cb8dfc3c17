//! `plinth catalogue freeze`: the present catalogue as a file that later versions of Plinth carry.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use plinth_plan::catalogue::frozen::{self, Label};
use plinth_plan::catalogue::{Catalogue, MOST_BEFORE};

use super::folder::all_entries;
use crate::cli::exit::Exit;
use crate::cli::input::builtin;
use crate::cli::output::note;

/// Where the files are, in the repository.
const FOLDER: &str = "operator/catalogues";

/// Writes the file, and takes away the oldest beyond those that a version carries.
pub fn run(root: &Path, entries: Option<&Path>) -> Result<Exit> {
    let catalogue = match entries {
        None => builtin()?,
        Some(folder) => Catalogue::from_entries(all_entries(folder)?),
    };
    let now = Timestamp::from_second(Timestamp::now().as_second()).context("telling the time")?;
    let folder = root.join(FOLDER);
    let before = kept(&folder)?;
    if let Some(same) = before.iter().find(|label| label.revision == catalogue.revision()) {
        note(&format!("{} is there already", folder.join(same.file_name()).display()));
        return Ok(Exit::Ok);
    }
    let (label, file) = frozen::freeze(&catalogue, &now.to_string()).context("freezing the catalogue")?;
    let path = folder.join(label.file_name());
    fs::write(&path, file).with_context(|| format!("writing {}", path.display()))?;
    note(&format!("wrote {}: {}", path.display(), label.revision));
    for old in before.iter().skip(MOST_BEFORE - 1) {
        let path = folder.join(old.file_name());
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        note(&format!("removed {}: {} is carried no more", path.display(), old.revision));
    }
    Ok(Exit::Ok)
}

/// What is frozen already, the newest first.
fn kept(folder: &Path) -> Result<Vec<Label>> {
    let mut labels = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(frozen::EXTENSION) {
            let file = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            labels.push(frozen::label(&file).map_err(|why| anyhow::anyhow!("{} {why}", path.display()))?);
        }
    }
    labels.sort_by(|one, other| other.frozen_at.cmp(&one.frozen_at));
    Ok(labels)
}
