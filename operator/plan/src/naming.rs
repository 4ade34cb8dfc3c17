//! How names of objects are made of names of the catalogue.

use crate::catalogue::Entry;
use crate::render::short_digest;

/// Name of the Secret object of a secret of an entry.
pub fn secret_object(entry: &Entry, secret: &str, key: Option<&str>) -> String {
    keyed(&format!("{}-{secret}", entry.name), key)
}

/// What one element of a requirement is called: `<requirement>-<key>`, shortened where a Job could not carry it.
pub fn claimed(requirement: &str, key: Option<&str>) -> String {
    const MOST: usize = 30;
    let name = keyed(requirement, key);
    if key.is_none() || name.len() <= MOST {
        return name;
    }
    let words: String = name.chars().take(MOST - 9).collect();
    format!("{}-{}", words.trim_end_matches('-'), short_digest(&name))
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
