//! Volumes of a pod as folders of this machine.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use plinth_plan::model::SecretSource;
use serde_json::Value;

use super::World;

/// What is mounted where: the path on this machine, the path in the container, and whether it is only read.
pub struct Mount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

/// Mounts of a container, made as the kubelet makes them: scratch and claims belong to the group of the pod.
pub fn mounts(
    world: &World,
    component: &str,
    container: &Value,
    volumes: &Value,
    group: Option<u32>,
) -> Vec<Mount> {
    let list = container["volumeMounts"].as_array().cloned().unwrap_or_default();
    let mount = |wanted: &Value| {
        let name = wanted["name"].as_str().expect("a name");
        let folder = folder(world, component, name);
        if !folder.is_dir() {
            std::fs::create_dir_all(&folder).unwrap();
            fill(world, &folder, volumes, name, group);
        }
        Mount {
            source: wanted["subPath"].as_str().map_or(folder.clone(), |path| folder.join(path)),
            target: wanted["mountPath"].as_str().expect("a path").to_owned(),
            read_only: wanted["readOnly"] == Value::Bool(true),
        }
    };
    list.iter().map(mount).collect()
}

/// Where a volume is on this machine.
pub fn folder(world: &World, component: &str, name: &str) -> PathBuf {
    world.folder.path().join("volumes").join(component).join(name)
}

fn fill(world: &World, folder: &Path, volumes: &Value, name: &str, group: Option<u32>) {
    let volume = volumes.as_array().and_then(|all| all.iter().find(|volume| volume["name"] == name));
    let of = |kind: &str, field: &str| volume.and_then(|volume| volume[kind][field].as_str());
    if let Some(config) = of("configMap", "name") {
        let object = world.object("ConfigMap", |found| found == config);
        for (file, text) in object.body["data"].as_object().into_iter().flatten() {
            std::fs::write(folder.join(file), text.as_str().expect("text")).unwrap();
        }
    } else if let Some(secret) = of("secret", "secretName") {
        let object = world.object("Secret", |found| found == secret);
        let items = volume.and_then(|volume| volume["secret"]["items"].as_array());
        let wanted = |key: &str| items.is_none_or(|items| items.iter().any(|item| item["key"] == key));
        for (key, source) in object.secret.iter().filter(|(key, _)| wanted(key)) {
            let value = world.secret(secret, key);
            // An archive is bytes, kept as a character each.
            let bytes = match source {
                SecretSource::Escrowed { .. } => value.chars().map(|c| c as u8).collect(),
                _ => value.into_bytes(),
            };
            std::fs::write(folder.join(key), bytes).unwrap();
        }
    } else {
        chown(folder, None, group).unwrap();
        let mode = if group.is_some() { 0o2775 } else { 0o777 };
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}
