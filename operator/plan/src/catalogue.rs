//! The catalogue: built-in entries, carried in the binary, and the user's own `Product` objects.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use plinth_api::ProductSpec;
use plinth_api::v1alpha1::product::Role;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::Finding;

static BUILTIN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../catalogue");

/// A catalogue entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Product name.
    pub name: String,
    /// Comes with the binary.
    pub builtin: bool,
    /// What it says, templates inlined.
    pub spec: ProductSpec,
}

/// Every product that a Stack can name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
    revision: String,
}

impl Catalogue {
    /// The entries that the binary carries.
    ///
    /// # Errors
    /// Every entry that does not parse, with the field at fault.
    pub fn builtin() -> Result<Self, Vec<Finding>> {
        let mut entries = Vec::new();
        let mut findings = Vec::new();
        for folder in BUILTIN.dirs() {
            let Some(file) = folder.get_file(folder.path().join("product.yaml")) else { continue };
            let path = file.path().display().to_string();
            let parsed = file
                .contents_utf8()
                .ok_or_else(|| Finding { path: path.clone(), message: "is not UTF-8".to_owned() })
                .and_then(|text| parse(text, &path))
                .and_then(|mut entry| {
                    entry.builtin = true;
                    inline_files(&mut entry, folder, &path)?;
                    Ok(entry)
                });
            match parsed {
                Ok(entry) => entries.push(entry),
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() { Ok(Self::from_entries(entries)) } else { Err(findings) }
    }

    /// A catalogue of these entries.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: BTreeMap<String, Entry> =
            entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        let mut digest = Sha256::new();
        for entry in entries.values() {
            digest.update(serde_json::to_vec(&entry.spec).unwrap_or_default());
        }
        let revision = format!("sha256:{}", hex(&digest.finalize()));
        Self { entries, revision }
    }

    /// This catalogue with the user's own products added. The revision stays: it names the built-in part.
    ///
    /// # Errors
    /// A product that carries the name of a built-in one.
    pub fn with_products(
        mut self,
        products: impl IntoIterator<Item = (String, ProductSpec)>,
    ) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        for (name, spec) in products {
            if self.entries.get(&name).is_some_and(|entry| entry.builtin) {
                findings.push(Finding {
                    path: format!("Product/{name}"),
                    message: format!("`{name}` is the name of a built-in product; choose another name"),
                });
                continue;
            }
            self.entries.insert(name.clone(), Entry { name, builtin: false, spec });
        }
        if findings.is_empty() { Ok(self) } else { Err(findings) }
    }

    /// Digest of the built-in entries, `sha256:…`.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Every entry, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The backing service that provides a capability.
    pub fn backing(&self, capability: &str) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.spec.role == Role::Backing && provides(entry, capability))
    }

    /// Products (of blocks) that provide a capability.
    pub fn providers(&self, capability: &str) -> Vec<&Entry> {
        self.entries
            .values()
            .filter(|entry| entry.spec.role == Role::Block && provides(entry, capability))
            .collect()
    }
}

fn provides(entry: &Entry, capability: &str) -> bool {
    entry.spec.provides.iter().any(|p| p.capability == capability)
}

/// Parse one entry. Unknown fields are errors: a typo must not be silence.
///
/// # Errors
/// The field at fault.
pub fn parse(text: &str, path: &str) -> Result<Entry, Finding> {
    let at = |path: String, message: String| Finding { path, message };
    let source: Value =
        serde_yaml::from_str(text).map_err(|e| at(path.to_owned(), format!("is not YAML: {e}")))?;
    for (field, expected) in [("apiVersion", "plinth.dev/v1alpha1"), ("kind", "Product")] {
        let found = source.get(field).and_then(Value::as_str).unwrap_or("nothing");
        if found != expected {
            return Err(at(format!("{path}: {field}"), format!("is `{found}`, must be `{expected}`")));
        }
    }
    let name = source
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .ok_or_else(|| at(format!("{path}: metadata.name"), "is missing".to_owned()))?;
    let given = source.get("spec").cloned().unwrap_or_default();
    let spec: ProductSpec = serde_path_to_error::deserialize(given.clone())
        .map_err(|e| at(format!("{path}: spec.{}", e.path()), e.inner().to_string()))?;
    let understood = serde_json::to_value(&spec).unwrap_or_default();
    if let Some(field) = unknown_field(&given, &understood, "spec") {
        return Err(at(format!("{path}: {field}"), "is not a field of the catalogue's language".to_owned()));
    }
    Ok(Entry { name: name.to_owned(), builtin: false, spec })
}

/// The first field that was given but not understood. An empty value may be dropped on the way back.
pub fn unknown_field(given: &Value, understood: &Value, path: &str) -> Option<String> {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            given.iter().find_map(|(key, value)| match understood.get(key) {
                Some(twin) => unknown_field(value, twin, &format!("{path}.{key}")),
                None if is_empty(value) => None,
                None => Some(format!("{path}.{key}")),
            })
        }
        (Value::Array(given), Value::Array(understood)) => given
            .iter()
            .zip(understood)
            .enumerate()
            .find_map(|(i, (value, twin))| unknown_field(value, twin, &format!("{path}[{i}]"))),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.values().all(is_empty),
        _ => false,
    }
}

fn inline_files(entry: &mut Entry, folder: &Dir<'_>, path: &str) -> Result<(), Finding> {
    for config in &mut entry.spec.configs {
        for file in &mut config.files {
            let Some(name) = file.file.take() else { continue };
            let text = folder
                .get_file(folder.path().join(&name))
                .and_then(|f| f.contents_utf8())
                .ok_or_else(|| Finding {
                    path: format!("{path}: spec.configs[{}].files[{}].file", config.name, file.name),
                    message: format!("`{name}` does not exist beside the entry"),
                })?;
            file.template = Some(text.to_owned());
        }
    }
    Ok(())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
