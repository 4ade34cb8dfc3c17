//! The country's declaration.

use std::path::Path;

use anyhow::{Context as _, Result};
use include_dir::{Dir, include_dir};

static EXAMPLE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../examples/journey");

/// Writes the files of `examples/journey` into a folder, which is made.
///
/// # Errors
/// The folder cannot be written.
pub fn unpack(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    EXAMPLE.extract(folder).with_context(|| format!("writing into {}", folder.display()))
}
