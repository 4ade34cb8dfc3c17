//! Objects of an example's folder, as `kubectl apply` would take them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use kube::api::{DynamicObject, PostParams};
use kube::discovery::ApiResource;
use kube::{Api, Client};
use plinth_api::names;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Every object of an example's folder, the Stack's author stamped as admission would.
pub(crate) fn documents(example: &str) -> Result<Vec<Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
    let mut objects = Vec::new();
    for file in files(&folder)? {
        let text = std::fs::read_to_string(&file)?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let mut object = Value::deserialize(document).with_context(|| file.display().to_string())?;
            if object["kind"] == "Stack" {
                object["metadata"]["annotations"] = json!({ names::ANNOTATION_AUTHOR: "anna" });
            }
            objects.push(object);
        }
    }
    objects.retain(|object| !object.is_null());
    ensure!(!objects.is_empty(), "{} holds nothing", folder.display());
    Ok(objects)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The resource of an object's kind.
pub(crate) fn resource(object: &Value) -> ApiResource {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let kind = kube::core::GroupVersionKind::gvk(group, version, text("kind"));
    ApiResource::from_gvk(&kind)
}

pub(crate) async fn create(client: &Client, object: &Value) -> Result<()> {
    let resource = resource(object);
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    match api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await {
        // The Stack's own namespace is there already.
        Err(kube::Error::Api(status)) if status.code == 409 && object["kind"] == "Namespace" => Ok(()),
        other => {
            other?;
            Ok(())
        }
    }
}
