//! A catalogue as one file: what `plinth catalogue freeze` writes, and what later versions of Plinth carry so that a Stack that is
//! pinned to it is rendered as before. Two lines of JSON, compressed: which catalogue it is, and its entries, templates inlined, in
//! the very form that its revision is the digest of.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use plinth_api::ProductSpec;
use serde::{Deserialize, Serialize};

use super::{Catalogue, Entry};

/// How the file of a frozen catalogue ends.
pub const EXTENSION: &str = "json.gz";

/// Which catalogue a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Label {
    /// Its revision, `sha256:…`.
    pub revision: String,
    /// When it was frozen, RFC 3339 in UTC: the later is the newer.
    pub frozen_at: String,
}

impl Label {
    /// Name of its file.
    pub fn file_name(&self) -> String {
        let digits = self.revision.trim_start_matches("sha256:");
        format!("{}.{EXTENSION}", &digits[..digits.len().min(12)])
    }
}

/// The file of a catalogue. The same catalogue at the same time is the same file to the byte.
///
/// # Errors
/// An entry that cannot be written as JSON.
pub fn freeze(catalogue: &Catalogue, frozen_at: &str) -> io::Result<(Label, Vec<u8>)> {
    let label = Label { revision: catalogue.revision().to_owned(), frozen_at: frozen_at.to_owned() };
    let entries: BTreeMap<&str, &ProductSpec> =
        catalogue.builtin_entries().map(|entry| (entry.name.as_str(), &*entry.spec)).collect();
    let mut file = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    for line in [serde_json::to_vec(&label)?, serde_json::to_vec(&entries)?] {
        file.write_all(&line)?;
        file.write_all(b"\n")?;
    }
    Ok((label, file.finish()?))
}

/// Which catalogue a file says that it is.
///
/// # Errors
/// It is no such file.
pub fn label(file: &[u8]) -> Result<Label, String> {
    let mut line = String::new();
    let read = BufReader::new(GzDecoder::new(file)).read_line(&mut line);
    read.map_err(|error| format!("is no frozen catalogue: {error}"))?;
    serde_json::from_str(&line).map_err(|error| format!("is no frozen catalogue: {error}"))
}

/// The catalogue in a file.
///
/// # Errors
/// It is no such file, this version does not understand it, or it is not what its label says.
pub fn thaw(file: &[u8]) -> Result<Catalogue, String> {
    let mut text = String::new();
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .map_err(|error| format!("is no frozen catalogue: {error}"))?;
    let (label, entries) = text.split_once('\n').ok_or("is no frozen catalogue: it has one line")?;
    let label: Label = serde_json::from_str(label).map_err(|e| format!("is no frozen catalogue: {e}"))?;
    let entries: BTreeMap<String, ProductSpec> =
        serde_json::from_str(entries).map_err(|e| format!("is not understood: {e}"))?;
    let entries = entries.into_iter().map(|(name, spec)| Entry { name, builtin: true, spec: Arc::new(spec) });
    let catalogue = Catalogue::from_entries(entries);
    match catalogue.revision() {
        found if found == label.revision => Ok(catalogue),
        found => Err(format!(
            "says that it is {}, and is {found}: it was altered, or a new field of the catalogue's language is written although \
             it is not set",
            label.revision
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(title: &str) -> Catalogue {
        let spec = ProductSpec { title: title.to_owned(), ..ProductSpec::default() };
        Catalogue::from_entries([Entry { name: "a".to_owned(), builtin: true, spec: spec.into() }])
    }

    #[test]
    fn what_is_frozen_comes_back_as_it_was() {
        let kept = catalogue("A");
        let (label, file) = freeze(&kept, "2026-11-30T12:00:00Z").unwrap();
        assert_eq!(super::label(&file).as_ref(), Ok(&label));
        let thawed = thaw(&file).unwrap();
        assert_eq!((thawed.revision(), thawed.get("a")), (kept.revision(), kept.get("a")));
        assert_eq!(freeze(&kept, "2026-11-30T12:00:00Z").unwrap().1, file, "not the same to the byte");
    }

    #[test]
    fn what_was_altered_is_refused() {
        let (label, _) = freeze(&catalogue("A"), "2026-11-30T12:00:00Z").unwrap();
        let (_, other) = freeze(&catalogue("B"), "2026-11-30T12:00:00Z").unwrap();
        let mut text = String::new();
        GzDecoder::new(&*other).read_to_string(&mut text).unwrap();
        let swapped = text.replace(super::label(&other).unwrap().revision.as_str(), &label.revision);
        let mut file = GzBuilder::new().write(Vec::new(), Compression::fast());
        file.write_all(swapped.as_bytes()).unwrap();
        let wrong = thaw(&file.finish().unwrap()).unwrap_err();
        assert!(wrong.contains("it was altered"), "{wrong}");
        assert!(thaw(b"{}").is_err() && super::label(b"{}").is_err());
    }
}
