//! Entries in folders, as the built-in ones are: `product.yaml`, the files it names, and `stacks.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use plinth_api::Stack;
use plinth_plan::catalogue::{Catalogue, ENTRY_FILE, Entry, SAMPLES_FILE, parse_folder, parse_samples};
use plinth_plan::model::Finding;

use crate::cli::exit::{Exit, Failure};
use crate::cli::input::builtin;
use crate::cli::problem::Problem;

/// What is to be looked at.
pub struct Subjects {
    /// The catalogue with the entries of the folders in it.
    pub catalogue: Catalogue,
    /// Names of the entries that are looked at.
    pub names: Vec<String>,
    /// The Stacks that show each.
    pub samples: BTreeMap<String, Vec<Stack>>,
    /// What is wrong with files before anything else can be said.
    pub problems: Vec<Problem>,
}

/// The entries of these folders, or the built-in ones where there is none. Entries in the folders beside them are part of
/// the catalogue too: products of one collection build on each other.
///
/// # Errors
/// A folder that cannot be read.
pub fn subjects(folders: &[PathBuf]) -> Result<Subjects> {
    if folders.is_empty() {
        let catalogue = builtin()?;
        let names = catalogue.entries().map(|entry| entry.name.clone()).collect();
        let samples = Catalogue::samples()
            .map_err(|findings| Failure::invalid(findings.into_iter().map(|f| problem(&f)).collect()))?;
        return Ok(Subjects { catalogue, names, samples, problems: Vec::new() });
    }
    let mut entries = BTreeMap::new();
    let mut subjects =
        // Whoever repairs a built-in entry must be able to test it.
        Subjects { catalogue: builtin().unwrap_or_default(), names: Vec::new(), samples: BTreeMap::new(), problems: Vec::new() };
    for folder in folders {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        for sibling in siblings(&folder)? {
            // One that does not parse is its own author's matter.
            if let Ok(Some(entry)) = entry_of(&sibling) {
                entries.insert(entry.name.clone(), entry);
            }
        }
    }
    for folder in folders {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        match entry_of(&folder) {
            Ok(Some(entry)) => {
                subjects.names.push(entry.name.clone());
                match samples_of(&folder) {
                    Ok(stacks) => drop(subjects.samples.insert(entry.name.clone(), stacks)),
                    Err(finding) => subjects.problems.push(problem(&finding)),
                }
                entries.insert(entry.name.clone(), entry);
            }
            Ok(None) => {
                let what = format!("{} has no {ENTRY_FILE}", folder.display());
                return Err(Failure::new(Exit::InvalidInput, what)
                    .next("plinth catalogue new NAME starts an entry")
                    .into());
            }
            Err(finding) => subjects.problems.push(problem(&finding)),
        }
    }
    subjects.catalogue = subjects.catalogue.with_entries(entries.into_values());
    Ok(subjects)
}

/// The entries of every folder in a folder, as the built-in ones.
///
/// # Errors
/// A folder that cannot be read, an entry that does not parse.
pub fn all_entries(folder: &Path) -> Result<Vec<Entry>> {
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for folder in folders(folder)? {
        match entry_of(&folder) {
            Ok(Some(entry)) => entries.push(Entry { builtin: true, ..entry }),
            Ok(None) => {}
            Err(finding) => problems.push(problem(&finding)),
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(Failure::invalid(problems).into()) }
}

/// A finding as a problem of a file.
pub fn problem(finding: &Finding) -> Problem {
    let (file, path) = finding.path.split_once(": ").unwrap_or((&finding.path, ""));
    Problem { path: path.to_owned(), ..Problem::of_file(file, finding.message.clone()) }
}

fn siblings(folder: &Path) -> Result<Vec<PathBuf>> {
    folder.parent().map_or(Ok(Vec::new()), folders)
}

/// Folders with an entry.
fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent).with_context(|| parent.display().to_string())? {
        let path = entry?.path();
        if path.join(ENTRY_FILE).is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn entry_of(folder: &Path) -> Result<Option<Entry>, Finding> {
    let path = folder.join(ENTRY_FILE);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let read = |name: &str| {
        let base = if name.contains('/') { folder.parent()? } else { folder };
        fs::read_to_string(base.join(name)).ok()
    };
    parse_folder(&text, &path.display().to_string(), read).map(Some)
}

fn samples_of(folder: &Path) -> Result<Vec<Stack>, Finding> {
    let path = folder.join(SAMPLES_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse_samples(&text, &path.display().to_string()),
        Err(_) => Ok(Vec::new()),
    }
}

/// Today, `YYYY-MM-DD`, by the clock of this machine.
pub fn today() -> String {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}
