//! Backups in object storage: what `plinth store` does in a Job, beside the container that dumps or restores. A dump is
//! encrypted and sent as it comes, in parts; nothing of it is ever on a disk, and no more than three parts in memory. What
//! is fetched is believed only when its size, its digest and its encryption all say that it is what was sent.

mod fetch;
mod pipe;
mod s3;
mod send;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use plinth_plan::backup::{CA_FILE, Document, FILE, Manifest};

pub use self::fetch::{Opened, check, fetch, secrets};
pub use self::s3::Store;
pub use self::send::{moment_of, send};

/// Account of the object storage.
pub struct Account {
    /// Name.
    pub access_key: String,
    /// Secret key.
    pub secret_key: zeroize::Zeroizing<String>,
}

/// What a Job is told, and its object storage.
///
/// # Errors
/// The file cannot be read, or what is in it is no such document.
pub fn told(folder: &Path, account: Account) -> Result<(Document, Store)> {
    let path = folder.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let document: Document =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let trusted = std::fs::read_to_string(folder.join(CA_FILE)).ok();
    let store = Store::new(&document.place, &account, trusted.as_deref())?;
    Ok((document, store))
}

/// The backups that there are, oldest first: those with a manifest.
///
/// # Errors
/// The storage refused or did not answer.
pub async fn list(document: &Document, store: &Store) -> Result<Vec<String>> {
    let objects = store.list(&document.place.path).await?;
    let mut ids: Vec<String> =
        objects.iter().filter_map(|object| document.place.id_of(object)).map(str::to_owned).collect();
    ids.sort();
    Ok(ids)
}

/// What a backup says of itself; of the newest where none is named.
///
/// # Errors
/// There is none, it cannot be read, or it is of something else than what is asked for.
pub async fn manifest(document: &Document, store: &Store, id: Option<&str>) -> Result<Manifest> {
    let newest = match id {
        Some(id) => id.to_owned(),
        None => {
            let place = &document.place;
            let none = || format!("there is no backup in bucket {} under {}", place.bucket, place.path);
            list(document, store).await?.pop().with_context(none)?
        }
    };
    let object = document.place.manifest(&newest);
    let text =
        store.read(&object).await?.with_context(|| format!("there is no backup {newest}: no {object}"))?;
    let manifest: Manifest = serde_json::from_slice(&text).with_context(|| format!("{object} is damaged"))?;
    if manifest.form != Manifest::FORM {
        bail!("{object} has form {}, this program reads form {}", manifest.form, Manifest::FORM);
    }
    let same = |one: &str, other: &str| one == other;
    let (is, wanted) = (&manifest.of, &document.of);
    if manifest.id != newest || !same(&is.requirement, &wanted.requirement) || !same(&is.block, &wanted.block)
    {
        bail!(
            "{object} is a backup {} of {}/{}, not what its name says",
            manifest.id,
            is.block,
            is.requirement
        );
    }
    if is.product != wanted.product {
        bail!("backup {newest} was taken from `{}`, and `{}` serves by now", is.product, wanted.product);
    }
    Ok(manifest)
}
