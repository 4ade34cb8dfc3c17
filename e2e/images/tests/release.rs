//! Plinth's own image as it is published, made of small stand-ins for the programs: what the archive holds, and what is refused.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plinth_images::release::{Origin, Platform, Release, write};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const REFERENCE: &str = "ghcr.io/plinth-dev/plinth:0.1.0";

/// The header of a program for a machine, and of its parts these.
fn program(machine: u16, parts: &[u32]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(machine.to_le_bytes());
    bytes.resize(32, 0);
    bytes.extend(64_u64.to_le_bytes());
    bytes.resize(54, 0);
    bytes.extend(56_u16.to_le_bytes());
    bytes.extend(u16::try_from(parts.len()).unwrap().to_le_bytes());
    for (index, part) in parts.iter().enumerate() {
        bytes.resize(64 + index * 56, 0);
        bytes.extend(part.to_le_bytes());
    }
    bytes.resize(64 + parts.len() * 56, 0);
    bytes
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn platform(&self, architecture: &str, program: &[u8]) -> Platform {
        let bom = json!({ "bomFormat": "CycloneDX", "components": [{ "name": architecture }] });
        Platform {
            architecture: architecture.to_owned(),
            program: self.put(&format!("plinth-{architecture}"), program),
            sbom: self.put(&format!("{architecture}.json"), bom.to_string().as_bytes()),
        }
    }

    fn write(&self, name: &str, platforms: &[Platform]) -> Result<(Release, Vec<u8>), String> {
        let authorities =
            self.put("ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let origin = Origin {
            repository: "https://example.org/plinth".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            lock: self.put("Cargo.lock", b"version = 4\n"),
            compilers: vec!["rustc 1.95.0".to_owned()],
        };
        let path = self.0.path().join(name);
        let release = write(&path, REFERENCE, platforms, &authorities, &origin).map_err(|e| e.to_string())?;
        Ok((release, std::fs::read(path).unwrap()))
    }
}

fn both(files: &Files) -> Vec<Platform> {
    vec![files.platform("amd64", &program(62, &[1, 2])), files.platform("arm64", &program(183, &[1]))]
}

/// Files of an archive by their names; each blob is what its name says.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if let Some(digest) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(format!("{:x}", Sha256::digest(&bytes)), digest, "{name} is another blob");
        }
        assert!(files.insert(name.clone(), bytes).is_none(), "{name} is there twice");
    }
    files
}

/// What a descriptor leads to, of the size that it says.
fn led<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let bytes =
        files.get(&format!("blobs/sha256/{digest}")).unwrap_or_else(|| panic!("{descriptor} leads nowhere"));
    assert_eq!(descriptor["size"], bytes.len(), "{descriptor}");
    bytes
}

fn read(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Value {
    serde_json::from_slice(led(files, descriptor)).unwrap()
}

#[test]
fn one_index_leads_to_an_image_for_each_platform_and_everything_is_what_its_digest_says() {
    let files = Files::new();
    let (release, archive) = files.write("image.tar", &both(&files)).unwrap();
    let files = unpacked(&archive);
    let named: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let manifests = named["manifests"].as_array().unwrap();
    let index =
        manifests.iter().find(|one| one["annotations"]["org.opencontainers.image.ref.name"] == REFERENCE);
    let index = index.expect("the index has the name");
    assert_eq!(index["digest"], release.digest);
    let images = read(&files, index);
    let images = images["manifests"].as_array().unwrap();
    let platforms: Vec<_> = images.iter().map(|image| image["platform"].clone()).collect();
    let linux = |architecture: &str| json!({ "architecture": architecture, "os": "linux" });
    assert_eq!(platforms, [linux("amd64"), linux("arm64")]);
    for (image, machine) in images.iter().zip([62, 183]) {
        let manifest = read(&files, image);
        let config = read(&files, &manifest["config"]);
        assert_eq!(config["config"]["User"], "65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/local/bin/plinth"]));
        assert_eq!(config["architecture"], image["platform"]["architecture"]);
        assert!(config["created"].is_null(), "it tells the time: {config}");
        let [layer] = &manifest["layers"].as_array().unwrap()[..] else { panic!("{manifest}") };
        assert_eq!(config["rootfs"]["diff_ids"], json!([layer["digest"]]));
        let layer = unpacked(led(&files, layer));
        let names: Vec<&str> = layer.keys().map(|name| name.trim_end_matches('/')).collect();
        let files = ["etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/local/bin/plinth"];
        assert!(files.iter().all(|file| names.contains(file)) && names.len() == 10, "{names:?}");
        assert_eq!(layer["usr/local/bin/plinth"][18], machine);
    }
}

#[test]
fn what_is_in_it_and_what_it_was_made_of_is_attached() {
    let files = Files::new();
    let (release, archive) = files.write("image.tar", &both(&files)).unwrap();
    let files = unpacked(&archive);
    let named: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let of = |kind: &str| -> Vec<(Value, Value)> {
        let named = named["manifests"].as_array().unwrap();
        let attached = named.iter().filter(|one| one["artifactType"] == kind).map(|one| read(&files, one));
        attached.map(|manifest| (manifest["subject"].clone(), read(&files, &manifest["layers"][0]))).collect()
    };
    let boms = of("application/vnd.cyclonedx+json");
    let about: Vec<&Value> = boms.iter().map(|(subject, _)| &subject["digest"]).collect();
    assert_eq!(about, release.images.values().collect::<Vec<_>>());
    assert_eq!(boms[1].1["components"][0]["name"], "arm64");

    let [(subject, statement)] = &of("application/vnd.in-toto+json")[..] else { panic!("{named}") };
    assert_eq!(subject["digest"], release.digest);
    let digests: Vec<String> = statement["subject"].as_array().unwrap().iter().map(digest_of).collect();
    let mut expected = vec![release.digest.clone()];
    expected.extend(release.images.values().cloned());
    assert_eq!(digests, expected);
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let made_of = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    assert_eq!(made_of[0]["digest"]["gitCommit"], "0123456789abcdef0123456789abcdef01234567");
}

fn digest_of(subject: &Value) -> String {
    format!("sha256:{}", subject["digest"]["sha256"].as_str().unwrap())
}

#[test]
fn the_same_programs_are_the_same_bytes() {
    let files = Files::new();
    let first = files.write("first.tar", &both(&files)).unwrap();
    assert!(first == files.write("second.tar", &both(&files)).unwrap(), "the second differs");
}

#[test]
fn a_program_that_something_has_to_load_is_refused_by_name() {
    let files = Files::new();
    for (architecture, bytes, said) in [
        ("amd64", program(62, &[1, 3]), "is not static"),
        ("amd64", program(183, &[1]), "is for machine 183"),
        ("amd64", b"#!/bin/sh\n".to_vec(), "is no program"),
        ("s390x", program(62, &[1]), "s390x is no platform"),
    ] {
        let platform = files.platform(architecture, &bytes);
        let error = files.write("image.tar", std::slice::from_ref(&platform)).unwrap_err();
        let name = platform.program.file_name().and_then(|name| Path::new(name).to_str()).unwrap();
        assert!(error.contains(said) && error.contains(name), "{error}");
    }
}
