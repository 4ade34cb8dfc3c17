//! Plinth's own image as it is published: the static program and the public authorities on nothing, once for each platform, under one index; what
//! is in it (SBOM, CycloneDX) and what it was made of (provenance, SLSA v1 in an in-toto statement) attached by `subject`, in one archive in the
//! OCI image layout. The same input is the same bytes, and nothing in it tells the time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci_spec::image::{
    Arch, Descriptor, ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, PlatformBuilder, SCHEMA_VERSION,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::archive::{
    Layer, append, blob, configuration, descriptor, header, hex, json as canonical, layer_descriptor,
    measured,
};
use crate::error::{Error, Result};
use crate::recipe::{Config, Owner};
use crate::tree::{Content, Entry, Node, Tree};

/// Where the program is in the image.
const PROGRAM: &str = "/usr/local/bin/plinth";
/// Where it looks for the authorities that it trusts.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The user that it runs as, as the chart has it.
const USER: u32 = 65532;
const SBOM: &str = "application/vnd.cyclonedx+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// What an artifact of one blob has for its configuration.
const EMPTY: &[u8] = b"{}";

/// A platform that it runs on.
#[derive(Debug, Clone)]
pub struct Platform {
    /// As Go names it: `amd64` or `arm64`.
    pub architecture: String,
    /// The static program.
    pub program: PathBuf,
    /// What it is made of, in CycloneDX's JSON.
    pub sbom: PathBuf,
}

/// What it was made of and by what.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Address of the repository.
    pub repository: String,
    /// Commit that was built, in full.
    pub commit: String,
    /// `Cargo.lock`, which pins every library by its checksum.
    pub lock: PathBuf,
    /// What compiled it, as `rustc 1.95.0`.
    pub compilers: Vec<String>,
}

/// Where it is, and what it is called by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Digest of the index over the platforms.
    pub digest: String,
    /// Digest of each platform's image.
    pub images: BTreeMap<String, String>,
}

/// Blobs by their digest, and what `index.json` names.
#[derive(Default)]
struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    named: Vec<Descriptor>,
}

impl Layout {
    fn add(&mut self, media: MediaType, bytes: Vec<u8>) -> Result<Descriptor> {
        let descriptor = descriptor(media, &bytes)?;
        self.blobs.insert(hex(&bytes), bytes);
        Ok(descriptor)
    }

    /// An artifact of one blob about something else.
    fn attach(&mut self, kind: &str, bytes: Vec<u8>, subject: &Descriptor) -> Result<()> {
        let media = || MediaType::Other(kind.to_owned());
        let config = self.add(MediaType::EmptyJSON, EMPTY.to_vec())?;
        let layer = self.add(media(), bytes)?;
        let about = Descriptor::new(subject.media_type().clone(), subject.size(), subject.digest().clone());
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .artifact_type(media())
            .config(config)
            .layers(vec![layer])
            .subject(about)
            .build()?;
        let mut named = self.add(MediaType::ImageManifest, canonical(&manifest)?)?;
        named.set_artifact_type(Some(media()));
        self.named.push(named);
        Ok(())
    }
}

/// Writes the image under this name. `authorities` is a bundle of certificates, PEM.
///
/// # Errors
/// A program is not static or for another machine, an SBOM is none, or a file cannot be read or written.
pub fn write(
    path: &Path,
    reference: &str,
    platforms: &[Platform],
    authorities: &Path,
    origin: &Origin,
) -> Result<Release> {
    let mut layout = Layout::default();
    let trees = platforms.iter().map(|platform| tree(platform, authorities)).collect::<Result<Vec<_>>>()?;
    let mut images: Vec<Descriptor> = Vec::new();
    let mut release = Release { digest: String::new(), images: BTreeMap::new() };
    let mut boms = Vec::new();
    for (platform, tree) in platforms.iter().zip(&trees) {
        let arch = machine(platform)?;
        let layer = measured("the program and the public authorities", tree)?;
        let labels = labels(origin);
        let configuration =
            canonical(&configuration(std::slice::from_ref(&layer), &config(), labels, arch.clone())?)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(layout.add(MediaType::ImageConfig, configuration)?)
            .layers(vec![layer_descriptor(&layer)?])
            .build()?;
        let mut image = layout.add(MediaType::ImageManifest, canonical(&manifest)?)?;
        image.set_platform(Some(PlatformBuilder::default().architecture(arch).os(Os::Linux).build()?));
        release.images.insert(platform.architecture.clone(), image.digest().to_string());
        boms.push((sbom(&platform.sbom)?, image.clone()));
        images.push(image);
    }
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(images)
        .build()?;
    let mut index = layout.add(MediaType::ImageIndex, canonical(&index)?)?;
    release.digest = index.digest().to_string();
    let annotations = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    index.set_annotations(Some(annotations.map(|key| (key.to_owned(), reference.to_owned())).into()));
    layout.named.push(index.clone());
    for (bom, image) in boms {
        layout.attach(SBOM, bom, &image)?;
    }
    layout.attach(STATEMENT, canonical(&statement(reference, &release, platforms, origin)?)?, &index)?;
    lay(path, layout, &trees)?;
    Ok(release)
}

/// The archive: small blobs from memory, layers as they are written.
fn lay(path: &Path, layout: Layout, trees: &[Tree]) -> Result<()> {
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(layout.named)
        .build()?;
    let failed = || Error::io(path);
    let mut archive = tar::Builder::new(BufWriter::new(File::create(path).map_err(failed())?));
    let mut add = |name: &str, bytes: &[u8]| {
        archive.append_data(&mut header(bytes.len() as u64), name, bytes).map_err(failed())
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add("index.json", &canonical(&index)?)?;
    for (digest, bytes) in &layout.blobs {
        add(&blob(digest), bytes)?;
    }
    let mut layers: BTreeMap<String, Layer<'_>> = BTreeMap::new();
    for tree in trees {
        let layer = measured("", tree)?;
        layers.insert(layer.digest.clone(), layer);
    }
    for layer in layers.values() {
        append(&mut archive, layer).map_err(failed())?;
    }
    archive.into_inner().and_then(|mut file| file.flush()).map_err(failed())
}

fn config() -> Config {
    Config { user: Some(USER.to_string()), entrypoint: vec![PROGRAM.to_owned()], ..Config::default() }
}

fn labels(origin: &Origin) -> BTreeMap<String, String> {
    let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    [
        label("title", "plinth"),
        label("licenses", "Apache-2.0"),
        label("source", &origin.repository),
        label("revision", &origin.commit),
    ]
    .into()
}

fn tree(platform: &Platform, authorities: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let entry = |mode, node| Entry { mode, owner: Owner::default(), node };
    for folder in ["/etc", "/etc/ssl", "/etc/ssl/certs", "/usr", "/usr/local", "/usr/local/bin"] {
        tree.insert(folder, entry(0o755, Node::Folder));
    }
    let account = format!("nonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n");
    tree.insert("/etc/passwd", entry(0o644, Node::File(Content::Bytes(account.into_bytes()))));
    let group = format!("nonroot:x:{USER}:\n");
    tree.insert("/etc/group", entry(0o644, Node::File(Content::Bytes(group.into_bytes()))));
    let trusted = std::fs::read(authorities).map_err(Error::io(authorities))?;
    if !trusted.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
        return Err(lacks(authorities, "-----BEGIN CERTIFICATE-----"));
    }
    tree.insert(AUTHORITIES, entry(0o644, Node::File(Content::Bytes(trusted))));
    let length = std::fs::metadata(&platform.program).map_err(Error::io(&platform.program))?.len();
    let stored = Content::Stored { path: Arc::from(platform.program.as_path()), offset: 0, length };
    tree.insert(PROGRAM, entry(0o755, Node::File(stored)));
    Ok(tree)
}

/// The machine that a program is for: the one that the platform says, and nothing loads it.
fn machine(platform: &Platform) -> Result<Arch> {
    /// `PT_INTERP`: who loads it.
    const INTERPRETER: u32 = 3;
    let path = &platform.program;
    let (arch, number) = match platform.architecture.as_str() {
        "amd64" => (Arch::Amd64, 62),
        "arm64" => (Arch::ARM64, 183),
        other => {
            return Err(Error::Release {
                path: path.clone(),
                said: format!("{other} is no platform; amd64 and arm64 are"),
            });
        }
    };
    let wrong = |said: String| Error::Release { path: path.clone(), said };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(1 << 16).read_to_end(&mut bytes)).map_err(Error::io(path))?;
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err(wrong("is no program for 64 bits (ELF, little-endian)".to_owned()));
    }
    let read = |at: usize, length: usize| {
        let field = bytes.get(at..at + length)?;
        Some(field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let found = read(18, 2).unwrap_or_default();
    if found != number {
        return Err(wrong(format!("is for machine {found} (ELF), not for {}", platform.architecture)));
    }
    let (table, size, count) = (read(32, 8), read(54, 2), read(56, 2));
    let (Some(table), Some(size), Some(count)) = (table, size, count) else {
        return Err(wrong("ends within its header".to_owned()));
    };
    let entry = |index: u64| read(usize::try_from(table + index * size).ok()?, 4);
    if (0..count).any(|index| entry(index) == Some(u64::from(INTERPRETER))) {
        return Err(wrong("is not static: it names a loader, and the image has none".to_owned()));
    }
    Ok(arch)
}

fn sbom(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let bom: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Error::Release { path: path.to_owned(), said: format!("is no JSON: {error}") })?;
    if bom["bomFormat"] != "CycloneDX" || bom["components"].as_array().is_none_or(Vec::is_empty) {
        return Err(lacks(path, "components in CycloneDX's JSON"));
    }
    canonical(&bom)
}

/// An in-toto statement with SLSA's provenance. It is not signed: whoever publishes it does that with a key of theirs.
fn statement(reference: &str, release: &Release, platforms: &[Platform], origin: &Origin) -> Result<Value> {
    let sha256 = |digest: &str| json!({ "sha256": digest.trim_start_matches("sha256:") });
    let of_file = |path: &Path| {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Ok::<_, Error>(json!({ "sha256": format!("{:x}", Sha256::digest(bytes)) }))
    };
    let mut subject = vec![json!({ "name": reference, "digest": sha256(&release.digest) })];
    for (architecture, digest) in &release.images {
        subject
            .push(json!({ "name": format!("{reference} (linux/{architecture})"), "digest": sha256(digest) }));
    }
    let Origin { repository, commit, lock, compilers } = origin;
    let mut programs = Vec::new();
    for platform in platforms {
        let name = format!("linux/{}{PROGRAM}", platform.architecture);
        programs.push(json!({ "name": name, "digest": of_file(&platform.program)? }));
    }
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": format!("{repository}/e2e/images/release/v1"),
                "externalParameters": {
                    "source": format!("git+{repository}@{commit}"),
                    "platforms": release.images.keys().map(|name| format!("linux/{name}")).collect::<Vec<_>>(),
                },
                "internalParameters": { "compilers": compilers },
                "resolvedDependencies": [
                    { "uri": format!("git+{repository}@{commit}"), "digest": { "gitCommit": commit } },
                    { "uri": format!("git+{repository}@{commit}#Cargo.lock"), "digest": of_file(lock)? },
                ],
            },
            "runDetails": {
                "builder": { "id": format!("{repository}/e2e/images/examples/release.rs") },
                "byproducts": programs,
            },
        },
    }))
}

fn lacks(what: &Path, path: &str) -> Error {
    Error::Lacks { what: what.display().to_string(), path: path.to_owned() }
}
