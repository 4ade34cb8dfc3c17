//! Builds Plinth's own image as it is published, from a commit: `target/release-image/plinth.tar`, in the OCI image layout.
//!
//! `cargo run -p plinth-images --example release`
//!
//! What it needs: rustup with the targets below, `cargo-zigbuild` and `ziglang` (both in Python's registry) as the C compiler and linker for every
//! platform, `cargo-cyclonedx`, and a bundle of public authorities (Debian: ca-certificates).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use plinth_images::release::{Origin, Platform, write};

/// Where the sources are and where the program is said to come from: paths of the machine that builds are none of the program's.
const SOURCES: &str = "/plinth";

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Platforms, as Go names them.
    #[arg(long, default_values = ["amd64", "arm64"])]
    platforms: Vec<String>,
    /// Commit that is built; nothing else of the work tree is.
    #[arg(long, default_value = "HEAD")]
    commit: String,
    /// Folder for sources, what is compiled, and the archive.
    #[arg(long, default_value = "target/release-image")]
    out: PathBuf,
    /// Name of the image.
    #[arg(long, default_value = concat!("ghcr.io/plinth-dev/plinth:", env!("CARGO_PKG_VERSION")))]
    reference: String,
    /// Address of the repository, for who wants to know what it was made of.
    #[arg(long, default_value = "https://github.com/plinth-dev/plinth")]
    repository: String,
    /// Public authorities, PEM.
    #[arg(long, default_value = "/etc/ssl/certs/ca-certificates.crt")]
    authorities: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let out = std::path::absolute(&arguments.out)?;
    let commit = said(
        Command::new("git").args(["rev-parse", "--verify"]).arg(format!("{}^{{commit}}", arguments.commit)),
    )?;
    let sources = sources(&out, &commit)?;
    let mut platforms = Vec::new();
    for architecture in &arguments.platforms {
        platforms.push(built(architecture, &sources, &out, &commit)?);
    }
    let origin = Origin {
        repository: arguments.repository,
        commit,
        lock: sources.join("Cargo.lock"),
        compilers: compilers()?,
    };
    let archive = out.join("plinth.tar");
    let release = write(&archive, &arguments.reference, &platforms, &arguments.authorities, &origin)?;
    println!("{} {}", arguments.reference, release.digest);
    for (architecture, digest) in &release.images {
        println!("  linux/{architecture} {digest}");
    }
    println!("  {}", archive.display());
    Ok(())
}

/// The files of a commit, alone.
fn sources(out: &Path, commit: &str) -> Result<PathBuf> {
    let folder = out.join("sources");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let archive = out.join("sources.tar");
    done(Command::new("git").args(["archive", "--format=tar", "-o"]).arg(&archive).arg(commit))?;
    done(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
    Ok(folder)
}

/// The static program for a platform, and what it is made of.
fn built(architecture: &str, sources: &Path, out: &Path, commit: &str) -> Result<Platform> {
    let target = match architecture {
        "amd64" => "x86_64-unknown-linux-musl",
        "arm64" => "aarch64-unknown-linux-musl",
        other => anyhow::bail!("--platforms {other}: is none; amd64 and arm64 are"),
    };
    let compiled = out.join("compiled");
    // Of the same commit every build is the same: no path of this machine, no time but the commit's.
    let epoch = said(Command::new("git").args(["show", "-s", "--format=%ct", commit]))?;
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let flags =
        format!("--remap-path-prefix={}={SOURCES} --remap-path-prefix={home}=/cargo", sources.display());
    let environment = BTreeMap::from([
        ("RUSTFLAGS", flags),
        ("SOURCE_DATE_EPOCH", epoch),
        ("CARGO_INCREMENTAL", "0".to_owned()),
        ("CARGO_TARGET_DIR", compiled.display().to_string()),
    ]);
    let mut cargo = Command::new("cargo");
    cargo.args(["zigbuild", "--release", "--locked", "--bin", "plinth", "--target", target]);
    done(cargo.current_dir(sources).envs(&environment))?;
    let program = compiled.join(target).join("release/plinth");
    let mut cyclonedx = Command::new("cargo");
    cyclonedx.args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", target]);
    cyclonedx.args(["--no-build-deps", "--override-filename"]).arg(format!("plinth-{architecture}"));
    done(cyclonedx.current_dir(sources.join("operator")).envs(&environment))?;
    let sbom = sources.join(format!("operator/plinth-{architecture}.json"));
    ensure!(sbom.exists(), "cargo-cyclonedx has written no {}", sbom.display());
    Ok(Platform { architecture: architecture.to_owned(), program, sbom })
}

fn compilers() -> Result<Vec<String>> {
    Ok(vec![
        said(Command::new("rustc").arg("--version"))?,
        said(Command::new("cargo-zigbuild").arg("--version"))?,
        format!("zig {}", said(Command::new("python3").args(["-m", "ziglang", "version"]))?),
    ])
}

fn done(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
