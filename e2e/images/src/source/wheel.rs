//! Python's registry: wheels, pinned by the hashes that pip checks.

use std::path::PathBuf;
use std::process::Command;

use super::Workshop;
use crate::command::run;
use crate::error::{Error, Result};

/// The content of a wheel.
pub(super) fn unpacked(workshop: &Workshop<'_>, requirements: &[u8]) -> Result<PathBuf> {
    install(workshop, requirements, &["--no-deps"])
}

/// The packages of an application, for a release of Python that need not be this machine's. The programs that pip makes beside
/// them name this machine's Python, and are left out.
pub(super) fn application(workshop: &Workshop<'_>, requirements: &[u8], python: &str) -> Result<PathBuf> {
    let platform = format!("manylinux2014_{}", std::env::consts::ARCH);
    let newer = format!("manylinux_2_28_{}", std::env::consts::ARCH);
    let content = install(
        workshop,
        requirements,
        &[
            "--python-version",
            python,
            "--implementation",
            "cp",
            "--platform",
            &platform,
            "--platform",
            &newer,
        ],
    )?;
    let programs = content.join("bin");
    if programs.is_dir() {
        std::fs::remove_dir_all(&programs).map_err(Error::io(&programs))?;
    }
    Ok(content)
}

fn install(workshop: &Workshop<'_>, requirements: &[u8], more: &[&str]) -> Result<PathBuf> {
    let folder = workshop.folder()?;
    let (file, target) = (folder.join("requirements.txt"), folder.join("content"));
    std::fs::write(&file, requirements).map_err(Error::io(&file))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]).args(more);
    pip.args(["--only-binary", ":all:", "--require-hashes", "-r"]).arg(&file).arg("--target").arg(&target);
    run(&mut pip, "fetching wheels", "python3-pip")?;
    Ok(target)
}
