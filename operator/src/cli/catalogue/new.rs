//! `plinth catalogue new`: an entry that works, to be changed line by line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use plinth_plan::catalogue::{ENTRY_FILE, SAMPLES_FILE};
use serde::Serialize;

use super::folder::today;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Out;

#[derive(Debug, Serialize)]
struct Made {
    folder: PathBuf,
    files: Vec<&'static str>,
}

/// Makes a folder with an entry and a Stack. A folder that exists is left as it is.
pub fn run(name: &str, dir: &Path, out: Out) -> Result<Exit> {
    let fits = name.len() <= 38
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        let what = format!(
            "`{name}` is no product name: at most 38 lower-case letters, digits and '-', starting with a letter"
        );
        return Err(Failure::new(Exit::Usage, what).into());
    }
    let folder = dir.join(name);
    if folder.exists() {
        return Err(Failure::new(Exit::InvalidInput, format!("{} exists", folder.display()))
            .next("choose another name, or another --dir")
            .into());
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let today = today();
    for (file, text) in [(ENTRY_FILE, ENTRY), (SAMPLES_FILE, STACKS)] {
        let path = folder.join(file);
        let text = text.replace("NAME", name).replace("TODAY", &today);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let made = Made { folder, files: vec![ENTRY_FILE, SAMPLES_FILE] };
    out.print(&made, |made| {
        format!(
            "{} has {}\nnext: write down what the product really needs, then\n  plinth catalogue test {}",
            made.folder.display(),
            made.files.join(" and "),
            made.folder.display()
        )
    })?;
    Ok(Exit::Ok)
}

const ENTRY: &str = include_str!("new-product.yaml");
const STACKS: &str = include_str!("new-stacks.yaml");
