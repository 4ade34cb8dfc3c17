//! Builds Plinth's own image as it is published, from a commit: `target/release-image/plinth.tar`, in the OCI image layout.
//!
//! `cargo run -p plinth-images --example release`
//!
//! What it needs: rustup with the targets below, `cargo-zigbuild` and `ziglang` (both in Python's registry) as the C compiler and linker for every
//! platform, `cargo-cyclonedx`, and a bundle of public authorities (Debian: ca-certificates).
//!
//! `--again amd64` builds that platform a second time, in another folder that is empty, and says whether the same bytes come of it; `--result`
//! keeps what was seen as JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use plinth_images::release::{Origin, Platform, Release, write};
use serde_json::{Value, json};

/// Where the sources, what is compiled and cargo's home are said to be: paths of the machine that builds are none of the program's.
const SOURCES: &str = "/plinth";
const COMPILED: &str = "/compiled";
const CARGO: &str = "/cargo";

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Platforms, as Go names them.
    #[arg(long, default_values = ["amd64", "arm64"])]
    platforms: Vec<String>,
    /// Platforms that are built once more in another folder, and compared.
    #[arg(long)]
    again: Vec<String>,
    /// Commit that is built; nothing else of the work tree is.
    #[arg(long, default_value = "HEAD")]
    commit: String,
    /// Folder for sources, what is compiled, and the archive.
    #[arg(long, default_value = "target/release-image")]
    out: PathBuf,
    /// File for what was seen.
    #[arg(long)]
    result: Option<PathBuf>,
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
    let stranger = arguments.again.iter().find(|platform| !arguments.platforms.contains(platform));
    ensure!(stranger.is_none(), "--again {}: is none of --platforms", stranger.cloned().unwrap_or_default());
    let commit = said(
        Command::new("git").args(["rev-parse", "--verify"]).arg(format!("{}^{{commit}}", arguments.commit)),
    )?;
    let first = Built::at(&out, &arguments.platforms, &commit, &arguments)?;
    println!("{} {}", arguments.reference, first.release.digest);
    for (architecture, digest) in &first.release.images {
        println!("  linux/{architecture} {digest}");
    }
    println!("  {}", first.archive.display());
    let again = match arguments.again.is_empty() {
        true => None,
        false => Some(anew(&out.join("again"), &commit, &arguments)?),
    };
    let same = again.as_ref().map(|again| first.equals(again)).transpose()?;
    if let Some(file) = &arguments.result {
        let result = json!({
            "commit": commit,
            "image": arguments.reference,
            "digest": first.release.digest,
            "megabytes": megabytes(&first.archive)?,
            "platforms": first.told()?,
            "runs": runs(&first, &out)?,
            "built again": again.as_ref().map(Built::told).transpose()?,
            "the same bytes": same,
        });
        std::fs::write(file, serde_json::to_string_pretty(&result)? + "\n")
            .with_context(|| format!("writing {}", file.display()))?;
    }
    ensure!(same != Some(false), "the second build differs: compare {0} and {0}/again", out.display());
    Ok(())
}

/// A build in a folder of its own, of which nothing was there before.
fn anew(folder: &Path, commit: &str, arguments: &Arguments) -> Result<Built> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    Built::at(folder, &arguments.again, commit, arguments)
}

/// What a build left in a folder.
struct Built {
    platforms: Vec<Platform>,
    /// How long each took.
    seconds: Vec<u64>,
    archive: PathBuf,
    release: Release,
}

impl Built {
    fn at(out: &Path, architectures: &[String], commit: &str, arguments: &Arguments) -> Result<Self> {
        let sources = sources(out, commit)?;
        let (mut platforms, mut seconds) = (Vec::new(), Vec::new());
        for architecture in architectures {
            let began = Instant::now();
            platforms.push(built(architecture, &sources, out, commit)?);
            seconds.push(began.elapsed().as_secs());
        }
        let origin = Origin {
            repository: arguments.repository.clone(),
            commit: commit.to_owned(),
            lock: sources.join("Cargo.lock"),
            compilers: compilers()?,
        };
        let archive = out.join("plinth.tar");
        let release = write(&archive, &arguments.reference, &platforms, &arguments.authorities, &origin)?;
        Ok(Self { platforms, seconds, archive, release })
    }

    /// Whether another build came to the same: image by image, and the whole archive where both have the same platforms.
    fn equals(&self, other: &Self) -> Result<bool> {
        let all = self.release.images.len() == other.release.images.len();
        let mut same = !all || std::fs::read(&self.archive)? == std::fs::read(&other.archive)?;
        for platform in &other.platforms {
            let name = &platform.architecture;
            same &= self.release.images.get(name) == other.release.images.get(name);
            let mine = self.platforms.iter().find(|one| one.architecture == *name);
            let mine = mine.map(|one| std::fs::read(&one.sbom)).transpose()?;
            same &= mine == Some(std::fs::read(&platform.sbom)?);
        }
        Ok(same)
    }

    fn told(&self) -> Result<Value> {
        let mut told = serde_json::Map::new();
        for (platform, seconds) in self.platforms.iter().zip(&self.seconds) {
            let bom: Value = serde_json::from_slice(&std::fs::read(&platform.sbom)?)?;
            told.insert(
                platform.architecture.clone(),
                json!({
                    "digest": self.release.images[&platform.architecture],
                    "megabytes of the program": megabytes(&platform.program)?,
                    "components of the SBOM": bom["components"].as_array().map(Vec::len),
                    "seconds": seconds,
                }),
            );
        }
        Ok(told.into())
    }
}

fn megabytes(file: &Path) -> Result<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a tenth of a megabyte is told")]
    let tenths = (std::fs::metadata(file)?.len() as f64 / 100_000.0).round();
    Ok(tenths / 10.0)
}

/// The program of this machine's kind does something, with nothing of this machine but the sources.
fn runs(built: &Built, out: &Path) -> Result<Value> {
    let mine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let Some(platform) = built.platforms.iter().find(|platform| platform.architecture == mine) else {
        return Ok(Value::Null);
    };
    let run = |words: &[&str]| {
        let mut plinth = Command::new(&platform.program);
        said(plinth.args(words).env_clear().current_dir(out.join("sources")))
    };
    let plan = run(&["plan", "-f", "examples/country.yaml"])?;
    ensure!(!plan.is_empty(), "plinth plan -f examples/country.yaml says nothing");
    Ok(json!({
        "plinth --version": run(&["--version"])?,
        "plinth plan -f examples/country.yaml": format!("{} lines", plan.lines().count()),
    }))
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
    // Of the same commit every build is the same: no path of this machine, no time but the commit's. Of several that fit the last counts.
    let epoch = said(Command::new("git").args(["show", "-s", "--format=%ct", commit]))?;
    done(Command::new("cargo").args(["fetch", "--locked", "--target", target]).current_dir(sources))?;
    let mut called = libraries()?;
    called.extend([(compiled.clone(), COMPILED), (sources.to_owned(), SOURCES)]);
    let flags: Vec<String> =
        called.iter().map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display())).collect();
    let environment = BTreeMap::from([
        ("RUSTFLAGS", flags.join(" ")),
        ("SOURCE_DATE_EPOCH", epoch),
        ("CARGO_INCREMENTAL", "0".to_owned()),
        ("CARGO_TARGET_DIR", compiled.display().to_string()),
    ]);
    let mut cargo = Command::new("cargo");
    cargo.args(["zigbuild", "--release", "--locked", "--bin", "plinth", "--target", target]);
    done(cargo.current_dir(sources).envs(&environment))?;
    let program = compiled.join(target).join("release/plinth");
    names_no_path(&program, &called)?;
    let mut cyclonedx = Command::new("cargo");
    cyclonedx.args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--target", target]);
    cyclonedx.args(["--no-build-deps", "--override-filename"]).arg(format!("plinth-{architecture}"));
    done(cyclonedx.current_dir(sources.join("operator")).envs(&environment))?;
    let sbom = sources.join(format!("operator/plinth-{architecture}.json"));
    ensure!(sbom.exists(), "cargo-cyclonedx has written no {}", sbom.display());
    // It names what is ours by where it lies.
    let told = std::fs::read_to_string(&sbom)?
        .replace(&format!("file://{}", sources.display()), &format!("file://{SOURCES}"));
    std::fs::write(&sbom, told)?;
    names_no_path(&sbom, &called)?;
    Ok(Platform { architecture: architecture.to_owned(), program, sbom })
}

/// Where libraries lie, and what that is called. A registry's folder is named by its address, and a mirror has another one.
fn libraries() -> Result<Vec<(PathBuf, &'static str)>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?)
            .join(".cargo"),
    };
    let mut called = vec![(home.clone(), CARGO)];
    for registry in
        std::fs::read_dir(home.join("registry/src")).context("cargo fetch left no registry/src")?
    {
        called.push((registry?.path(), CARGO));
    }
    Ok(called)
}

/// That no path of the machine that built it is in a file.
fn names_no_path(file: &Path, called: &[(PathBuf, &str)]) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    for (path, name) in called {
        let path = path.as_os_str().as_encoded_bytes();
        let found = bytes.windows(path.len()).position(|window| window == path);
        if let Some(at) = found {
            let around = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 160)]).into_owned();
            anyhow::bail!("{} says {around:?}, which should be {name}", file.display());
        }
    }
    Ok(())
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
