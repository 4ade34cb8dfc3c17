//! An image as one file: the OCI image layout in a tar archive, as `ctr image import` and `skopeo` read it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::str::FromStr;

use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, Digest as Name, HistoryBuilder,
    ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, RootFsBuilder,
    SCHEMA_VERSION,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::Header;

use crate::error::{Error, Result};
use crate::recipe::Config;
use crate::tree::{EPOCH, Tree};

/// Where programs are looked for, where a recipe says nothing.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A layer, measured.
pub(crate) struct Layer<'a> {
    tree: &'a Tree,
    /// Its digest, in hexadecimal digits.
    pub digest: String,
    size: u64,
    made_by: &'a str,
}

/// Counts and hashes what is written.
struct Meter {
    hash: Sha256,
    size: u64,
}

impl Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes an image of these layers under this name, and returns its digest. Layers stay uncompressed: nothing is sent
/// anywhere, and packing takes longer than reading.
///
/// # Errors
/// A layer cannot be read, or the file not be written.
pub(crate) fn write(
    path: &Path,
    reference: &str,
    layers: &[(String, Tree)],
    config: &Config,
    labels: BTreeMap<String, String>,
) -> Result<String> {
    let layers: Vec<Layer<'_>> =
        layers.iter().map(|(made_by, tree)| measured(made_by, tree)).collect::<Result<_>>()?;
    let configuration = json(&configuration(&layers, config, labels, architecture())?)?;
    let manifest = json(
        &ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(descriptor(MediaType::ImageConfig, &configuration)?)
            .layers(layers.iter().map(layer_descriptor).collect::<Result<Vec<_>>>()?)
            .build()?,
    )?;
    let mut named = descriptor(MediaType::ImageManifest, &manifest)?;
    // The one that containerd names an image by, and the specification's.
    let annotations = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    named.set_annotations(Some(annotations.map(|key| (key.to_owned(), reference.to_owned())).into()));
    let digest = named.digest().to_string();
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![named])
        .build()?;
    let file = BufWriter::new(File::create(path).map_err(Error::io(path))?);
    let mut archive = tar::Builder::new(file);
    let failed = || Error::io(path);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = header(bytes.len() as u64);
        archive.append_data(&mut header, name, bytes).map_err(failed())
    };
    add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    add("index.json", &json(&index)?)?;
    add(&blob(&hex(&configuration)), &configuration)?;
    add(&blob(&hex(&manifest)), &manifest)?;
    let mut seen = Vec::new();
    for layer in &layers {
        if !seen.contains(&&layer.digest) {
            append(&mut archive, layer).map_err(failed())?;
            seen.push(&layer.digest);
        }
    }
    archive.into_inner().and_then(|mut file| file.flush()).map_err(failed())?;
    Ok(digest)
}

pub(crate) fn measured<'a>(made_by: &'a str, tree: &'a Tree) -> Result<Layer<'a>> {
    let meter = tree.write(Meter { hash: Sha256::new(), size: 0 })?;
    Ok(Layer { tree, digest: format!("{:x}", meter.hash.finalize()), size: meter.size, made_by })
}

/// The header comes before the bytes, so the layer is written a second time: it was measured, not kept.
pub(crate) fn append<W: Write>(archive: &mut tar::Builder<W>, layer: &Layer<'_>) -> std::io::Result<()> {
    let mut header = header(layer.size);
    header.set_path(blob(&layer.digest))?;
    header.set_cksum();
    let out = archive.get_mut();
    out.write_all(header.as_bytes())?;
    let out = layer.tree.write(out).map_err(std::io::Error::other)?;
    let rest = layer.size % 512;
    if rest > 0 {
        out.write_all(&vec![0; 512 - rest as usize])?;
    }
    Ok(())
}

pub(crate) fn configuration(
    layers: &[Layer<'_>],
    config: &Config,
    labels: BTreeMap<String, String>,
    machine: Arch,
) -> Result<oci_spec::image::ImageConfiguration> {
    let mut env = vec![format!("PATH={PATH}")];
    if let Some(path) = config.env.get("PATH") {
        env = vec![format!("PATH={path}")];
    }
    env.extend(
        config.env.iter().filter(|(name, _)| *name != "PATH").map(|(name, value)| format!("{name}={value}")),
    );
    let mut run = ConfigBuilder::default()
        .env(env)
        .labels(labels.into_iter().collect::<std::collections::HashMap<_, _>>())
        .exposed_ports(config.ports.iter().map(|port| format!("{port}/tcp")).collect::<Vec<_>>())
        .volumes(config.volumes.clone());
    if let Some(user) = &config.user {
        run = run.user(user.clone());
    }
    if let Some(workdir) = &config.workdir {
        run = run.working_dir(workdir.clone());
    }
    if !config.entrypoint.is_empty() {
        run = run.entrypoint(config.entrypoint.clone());
    }
    if !config.cmd.is_empty() {
        run = run.cmd(config.cmd.clone());
    }
    let history = |layer: &Layer<'_>| HistoryBuilder::default().created_by(layer.made_by).build();
    Ok(ImageConfigurationBuilder::default()
        .architecture(machine)
        .os(Os::Linux)
        .config(run.build()?)
        .rootfs(
            RootFsBuilder::default()
                .typ("layers")
                .diff_ids(layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect::<Vec<_>>())
                .build()?,
        )
        .history(layers.iter().map(history).collect::<Result<Vec<_>, _>>()?)
        .build()?)
}

fn architecture() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::ARM64 } else { Arch::Amd64 }
}

pub(crate) fn layer_descriptor(layer: &Layer<'_>) -> Result<Descriptor> {
    Ok(DescriptorBuilder::default()
        .media_type(MediaType::ImageLayer)
        .digest(Name::from_str(&format!("sha256:{}", layer.digest))?)
        .size(layer.size)
        .build()?)
}

pub(crate) fn descriptor(media: MediaType, bytes: &[u8]) -> Result<Descriptor> {
    Ok(DescriptorBuilder::default()
        .media_type(media)
        .digest(Name::from_str(&format!("sha256:{}", hex(bytes)))?)
        .size(bytes.len() as u64)
        .build()?)
}

/// With fields in order: the specification's types keep labels and the like in maps that have none.
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(value).map_err(oci_spec::OciSpecError::from)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value).map_err(oci_spec::OciSpecError::from)?)
}

pub(crate) fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(EPOCH);
    header.set_size(size);
    header
}

pub(crate) fn blob(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Entry, Node};

    #[test]
    fn the_same_layers_and_settings_are_the_same_bytes() {
        let mut tree = Tree::default();
        let node = Node::File(Content::Bytes(b"text".to_vec()));
        tree.insert("/file", Entry { mode: 0o644, owner: crate::recipe::Owner::default(), node });
        let layers = [("a".to_owned(), tree.clone()), ("b".to_owned(), tree)];
        let text = "abcdefgh".chars().map(|c| (c.to_string(), c.to_string()));
        let labels: BTreeMap<String, String> = text.collect();
        let config = Config {
            volumes: labels.keys().map(|name| format!("/{name}")).collect(),
            ports: (1..9).collect(),
            ..Config::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let build = |name: &str| {
            let path = folder.path().join(name);
            let digest = write(&path, "plinth.local/x:1", &layers, &config, labels.clone()).unwrap();
            (digest, std::fs::read(path).unwrap())
        };
        let first = build("first");
        for name in ["second", "third", "fourth"] {
            assert!(build(name) == first, "{name} differs");
        }
    }
}
