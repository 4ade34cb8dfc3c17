//! Unpacks an archive in the OCI image layout, as a container runtime does.

use std::path::{Path, PathBuf};
use std::process::Command;

use plinth_images::Image;
use serde_json::Value;

/// The root file system of an image and its configuration.
pub fn unpacked(image: &Image, into: &Path) -> (PathBuf, Value) {
    let root = into.join(image.digest.replace(':', "-"));
    let fresh = !root.is_dir();
    std::fs::create_dir_all(&root).unwrap();
    let index = json(&image.archive, "index.json");
    let manifest = json(&image.archive, &blob(&index["manifests"][0]["digest"]));
    if fresh {
        for layer in manifest["layers"].as_array().expect("layers") {
            unpack(&image.archive, &blob(&layer["digest"]), &root);
        }
    }
    let configuration = json(&image.archive, &blob(&manifest["config"]["digest"]));
    (root, configuration["config"].clone())
}

fn blob(digest: &Value) -> String {
    format!("blobs/{}", digest.as_str().expect("a digest").replace(':', "/"))
}

fn json(archive: &Path, member: &str) -> Value {
    let read = Command::new("tar").arg("-xOf").arg(archive).arg(member).output().unwrap();
    serde_json::from_slice(&read.stdout).unwrap_or_else(|error| panic!("{member}: {error}"))
}

fn unpack(archive: &Path, member: &str, root: &Path) {
    let script = "set -eu; tar -xOf \"$1\" \"$2\" | tar -x --same-owner --same-permissions -C \"$3\"
        find \"$3\" -name '.wh.*' | while read -r mark; do
            rm -rf \"$(dirname \"$mark\")/$(basename \"$mark\" | cut -c5-)\" \"$mark\"
        done";
    let ran = Command::new("sh").args(["-c", script, "unpack"]).arg(archive).arg(member).arg(root).status();
    assert!(ran.unwrap().success(), "{member} cannot be unpacked");
}
