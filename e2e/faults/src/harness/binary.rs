//! Where the operator's binary comes from.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Names the binary to test, instead of the one of this checkout.
pub const VARIABLE: &str = "PLINTH_BIN";

static BUILT: OnceCell<PathBuf> = OnceCell::const_new();

/// The operator's binary: the one that [`VARIABLE`] names, or that of this checkout in the profile of this process.
pub async fn plinth() -> Result<PathBuf> {
    BUILT.get_or_try_init(find).await.cloned()
}

async fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).map(PathBuf::from) {
        ensure!(named.is_file(), "{VARIABLE} names {}, which is no file", named.display());
        return Ok(named);
    }
    let profile = profile_dir(&std::env::current_exe()?)?;
    let binary = profile.join("plinth");
    // Another set of packages has other features of its dependencies: to build again what `cargo test --workspace` has
    // just built would take minutes.
    if !is_fresh(&binary) {
        build(&profile).await?;
    }
    ensure!(binary.is_file(), "cargo has built no {}", binary.display());
    Ok(binary)
}

/// `<target>/<profile>`, from a binary in it or a test in its `deps`.
fn profile_dir(own: &Path) -> Result<PathBuf> {
    let dir = own.parent().context("this binary is in no folder")?;
    let inner = dir.file_name().is_some_and(|name| name == "deps" || name == "examples");
    Ok(if inner { dir.parent().context("deps is in no folder")?.to_path_buf() } else { dir.to_path_buf() })
}

async fn build(profile: &Path) -> Result<()> {
    let target = profile.parent().context("the profile's folder is in no target folder")?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--package", "plinth", "--target-dir"]).arg(target);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).kill_on_drop(true);
    match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") => {}
        Some(name) => drop(command.args(["--profile", name])),
        None => bail!("{} is no profile's folder", profile.display()),
    }
    let status = command.status().await.context("running cargo")?;
    ensure!(status.success(), "cargo build --package plinth: {status}");
    Ok(())
}

/// Whether no source that went into the binary is younger.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let Ok(built) = modified(binary) else { return false };
    let younger = |source: &PathBuf| modified(source).unwrap_or(SystemTime::now()) > built;
    let sources = sources(binary);
    !sources.is_empty() && !sources.iter().any(younger)
}

/// What cargo lists beside the binary. Where it was built for a test of its own package there is no list: then
/// everything in the operator's folder counts.
fn sources(binary: &Path) -> Vec<PathBuf> {
    if let Ok(list) = std::fs::read_to_string(binary.with_extension("d")) {
        let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
        return sources.split_whitespace().map(PathBuf::from).collect();
    }
    let (mut files, mut folders) =
        (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../operator")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_found_from_a_test_and_from_a_binary() {
        for own in ["/t/debug/deps/faults-1", "/t/debug/plinth-bench", "/t/debug/examples/x"] {
            assert_eq!(profile_dir(Path::new(own)).unwrap(), Path::new("/t/debug"));
        }
    }

    #[test]
    fn a_binary_older_than_a_source_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let (binary, source) = (dir.path().join("plinth"), dir.path().join("main.rs"));
        std::fs::write(&source, "").unwrap();
        assert!(!is_fresh(&binary), "there is none");
        std::fs::write(&binary, "").unwrap();
        std::fs::write(binary.with_extension("d"), format!("{}: {}\n", binary.display(), source.display()))
            .unwrap();
        assert!(is_fresh(&binary));
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&source).unwrap().set_modified(later).unwrap();
        assert!(!is_fresh(&binary));
    }
}
