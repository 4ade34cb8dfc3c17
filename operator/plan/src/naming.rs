//! How names of objects are made of names of the catalogue.

use crate::catalogue::Entry;

/// Name of the Secret object of a secret of an entry.
pub fn secret_object(entry: &Entry, secret: &str, key: Option<&str>) -> String {
    keyed(&format!("{}-{secret}", entry.name), key)
}

/// `<name>` or `<name>-<key>`.
pub fn keyed(name: &str, key: Option<&str>) -> String {
    match key {
        None => name.to_owned(),
        Some(key) => format!("{name}-{key}"),
    }
}

/// A name as expressions like it, `idaKeys`, as objects have to have it: `ida-keys`.
pub fn dashed(name: &str) -> String {
    let mut dashed = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.push(letter.to_ascii_lowercase());
    }
    dashed
}
