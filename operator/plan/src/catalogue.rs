//! The catalogue: built-in entries, carried in the binary, and the user's own `Product` objects.

mod carried;
pub mod frozen;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use include_dir::{Dir, include_dir};
use plinth_api::v1alpha1::product::Role;
use plinth_api::v1alpha1::stack::{Profile, Provider};
use plinth_api::{ProductSpec, Stack};
use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::Finding;

pub use carried::{Catalogues, MOST_BEFORE, is_revision};

/// The entry of a folder.
pub const ENTRY_FILE: &str = "product.yaml";
/// The Stacks that show it at work.
pub const SAMPLES_FILE: &str = "stacks.yaml";

static BUILTIN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../catalogue");

/// A catalogue entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Product name.
    pub name: String,
    /// Comes with the binary.
    pub builtin: bool,
    /// What it says, templates inlined. Shared: a catalogue is copied with one entry changed, and MOSIP's alone is large.
    pub spec: Arc<ProductSpec>,
}

/// Every product that a Stack can name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    entries: BTreeMap<String, Entry>,
    /// The user's own products that carry the name of a built-in one.
    replacements: BTreeMap<String, Entry>,
    revision: OnceLock<String>,
}

impl Catalogue {
    /// The entries of this version's own catalogue.
    ///
    /// # Errors
    /// Every entry that does not parse, with the field at fault.
    pub fn builtin() -> Result<Self, Vec<Finding>> {
        let mut entries = Vec::new();
        let mut findings = Vec::new();
        for folder in BUILTIN.dirs() {
            let read = |name: &str| match name.contains('/') {
                true => BUILTIN.get_file(name).and_then(|file| file.contents_utf8()).map(str::to_owned),
                false => file_of(folder, name).map(str::to_owned),
            };
            let Some(text) = file_of(folder, ENTRY_FILE) else { continue };
            match parse_folder(text, &folder.path().join(ENTRY_FILE).display().to_string(), read) {
                Ok(mut entry) => {
                    entry.builtin = true;
                    entries.push(entry);
                }
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() { Ok(Self::from_entries(entries)) } else { Err(findings) }
    }

    /// The Stacks beside the built-in entries, by product: each shows its product at work. One without a profile is for
    /// all of them.
    ///
    /// # Errors
    /// Every file that does not parse.
    pub fn samples() -> Result<BTreeMap<String, Vec<Stack>>, Vec<Finding>> {
        let mut samples = BTreeMap::new();
        let mut findings = Vec::new();
        for folder in BUILTIN.dirs() {
            let Some(text) = file_of(folder, SAMPLES_FILE) else { continue };
            let path = folder.path().join(SAMPLES_FILE).display().to_string();
            match parse_samples(text, &path) {
                Ok(stacks) => drop(samples.insert(folder.path().display().to_string(), stacks)),
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() { Ok(samples) } else { Err(findings) }
    }

    /// This catalogue with these entries in the place of those of the same name. The revision stays, as with products.
    pub fn with_entries(mut self, entries: impl IntoIterator<Item = Entry>) -> Self {
        self.entries.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
        self
    }

    /// A catalogue of these entries.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries = entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        Self { entries, replacements: BTreeMap::new(), revision: OnceLock::new() }
    }

    /// This catalogue with the user's own products added. One that carries the name of a built-in one takes its place only
    /// in Stacks that say so. The revision stays: it names the built-in part.
    pub fn with_products(mut self, products: impl IntoIterator<Item = (String, ProductSpec)>) -> Self {
        for (name, spec) in products {
            let built = self.entries.get(&name).is_some_and(|entry| entry.builtin);
            let place = if built { &mut self.replacements } else { &mut self.entries };
            place.insert(name.clone(), Entry { name, builtin: false, spec: spec.into() });
        }
        self
    }

    /// Whether a product of the user's own could take the place of the built-in one of that name.
    pub fn has_replacement(&self, name: &str) -> bool {
        self.replacements.contains_key(name)
    }

    /// The entry of that name in a Stack that has these built-in ones replaced.
    pub fn get_replaced(&self, name: &str, replaced: &[String]) -> Option<&Entry> {
        let own = replaced.iter().any(|other| other == name).then(|| self.replacements.get(name)).flatten();
        own.or_else(|| self.get(name))
    }

    /// Digest of the built-in entries, `sha256:…`.
    pub fn revision(&self) -> &str {
        self.revision.get_or_init(|| {
            let mut digest = Sha256::new();
            for entry in self.builtin_entries() {
                digest.update(serde_json::to_vec(&*entry.spec).unwrap_or_default());
            }
            format!("sha256:{}", hex(&digest.finalize()))
        })
    }

    /// The entries that its revision is the digest of.
    pub fn builtin_entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| entry.builtin)
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Every entry, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The backing service that provides a capability, run by that provider.
    pub fn backing(&self, capability: &str, provider: Provider) -> Option<&Entry> {
        self.backings(capability).find(|entry| entry.spec.provider == provider)
    }

    /// Whether a capability is one of backing services, whoever runs them.
    pub fn is_backing(&self, capability: &str) -> bool {
        self.backings(capability).next().is_some()
    }

    /// Who can run the backing service of a capability.
    pub fn backing_providers(&self, capability: &str) -> Vec<&'static str> {
        let own = self.backings(capability).map(|entry| entry.spec.provider.as_str());
        own.chain([Provider::External.as_str()]).collect()
    }

    /// The backing services that provide a capability, the built-in ones first.
    pub fn backings(&self, capability: &str) -> impl Iterator<Item = &Entry> {
        let all = move |builtin: bool| {
            self.entries.values().filter(move |e| {
                e.builtin == builtin && e.spec.role == Role::Backing && provides(e, capability)
            })
        };
        // A product of one's own adds a provider; it never takes the place of a built-in one unasked.
        all(true).chain(all(false))
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
    Ok(Entry { name: name.to_owned(), builtin: false, spec: spec.into() })
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

fn file_of<'a>(folder: &'a Dir<'a>, name: &str) -> Option<&'a str> {
    folder.get_file(folder.path().join(name)).and_then(|file| file.contents_utf8())
}

/// Parse the entry of a folder; `read` gives the files beside it, whose text takes the place of their names, and those of
/// the folders beside the entry's own, as `<folder>/<name>`.
///
/// # Errors
/// The field at fault, or the file that is missing.
pub fn parse_folder(text: &str, path: &str, read: impl Fn(&str) -> Option<String>) -> Result<Entry, Finding> {
    let mut entry = parse(text, path)?;
    for config in &mut Arc::make_mut(&mut entry.spec).configs {
        for file in &mut config.files {
            let Some(name) = file.file.take() else { continue };
            let wrong = |message: String| Finding {
                path: format!("{path}: spec.configs[{}].files[{}].file", config.name, file.name),
                message,
            };
            let segments: Vec<&str> = name.split('/').collect();
            if segments.len() > 2
                || segments.iter().any(|segment| segment.is_empty() || segment.starts_with('.'))
            {
                return Err(wrong(format!(
                    "`{name}` must be FILE, or FOLDER/FILE of an entry beside this one"
                )));
            }
            file.template =
                Some(read(&name).ok_or_else(|| wrong(format!("`{name}` does not exist beside the entry")))?);
        }
    }
    Ok(entry)
}

/// Parse the Stacks beside an entry. A Stack without a profile stands for one of each, named after it.
///
/// # Errors
/// The document at fault.
pub fn parse_samples(text: &str, path: &str) -> Result<Vec<Stack>, Finding> {
    let mut stacks = Vec::new();
    for (i, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let wrong = |message: String| Finding { path: format!("{path}: document {}", i + 1), message };
        let source = Value::deserialize(document).map_err(|e| wrong(format!("is not YAML: {e}")))?;
        if source.is_null() {
            continue;
        }
        let parse = |source: Value| -> Result<Stack, Finding> {
            serde_path_to_error::deserialize(source)
                .map_err(|e| wrong(format!("{}: {}", e.path(), e.inner())))
        };
        if source.pointer("/spec/profile").is_some() {
            stacks.push(parse(source)?);
            continue;
        }
        for profile in [Profile::Sandbox, Profile::Standard, Profile::National] {
            let mut stack = parse(source.clone())?;
            stack.spec.profile = profile;
            stacks.push(stack);
        }
    }
    Ok(stacks)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str) -> Result<Entry, Finding> {
        let text = serde_json::json!({
            "apiVersion": "plinth.dev/v1alpha1",
            "kind": "Product",
            "metadata": { "name": "a" },
            "spec": {
                "block": "x-a", "title": "A", "description": "A test.", "licence": "Apache-2.0",
                "maturity": "stable", "asOf": "2026-11-24", "sources": [], "versions": [],
                "configs": [{ "name": "c", "files": [{ "name": "f", "file": file }] }],
            },
        });
        parse_folder(&text.to_string(), "a/product.yaml", |name| Some(format!("text of {name}")))
    }

    #[test]
    fn a_file_is_read_from_the_entry_and_from_those_beside_it() {
        for file in ["move.sh", "postgresql/move.sh"] {
            let entry = entry(file).unwrap();
            let wanted = format!("text of {file}");
            assert_eq!(entry.spec.configs[0].files[0].template.as_deref(), Some(wanted.as_str()));
        }
    }

    #[test]
    fn a_file_elsewhere_is_refused_with_the_field() {
        for file in ["../../etc/passwd", "../b/f", "/etc/passwd", "a/b/c", "b/", ".git/config"] {
            let found = entry(file).unwrap_err();
            assert_eq!(found.path, "a/product.yaml: spec.configs[c].files[f].file");
            assert!(found.message.starts_with(&format!("`{file}` must be FILE")), "{}", found.message);
        }
    }
}
