//! A ConfigMap or a Secret that something points to, read (I/O).

use std::collections::BTreeMap;

use plinth_plan::exchange::references::{Kind, Reference};
use plinth_plan::model::ObjectKey;
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::clusters::Cluster;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// What was read.
#[derive(Clone)]
pub(super) enum Content {
    /// Of a ConfigMap its texts, by key.
    Texts(BTreeMap<String, String>),
    /// Of a Secret the names of its keys; its values are skipped while reading and never held.
    Keys(Vec<String>),
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Data<T> {
    #[serde(default = "BTreeMap::new")]
    data: BTreeMap<String, T>,
}

/// Its content; `None` where there is none of that name.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn read(reference: &Reference, home: &Cluster) -> Result<Option<Content>, CallError> {
    Ok(match reference.kind {
        Kind::ConfigMap => data(reference, home).await?.map(Content::Texts),
        Kind::Secret => {
            let keys: Option<BTreeMap<String, IgnoredAny>> = data(reference, home).await?;
            keys.map(|keys| Content::Keys(keys.into_keys().collect()))
        }
    })
}

async fn data<T: DeserializeOwned>(
    reference: &Reference,
    home: &Cluster,
) -> Result<Option<BTreeMap<String, T>>, CallError> {
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: reference.kind.to_string(),
        namespace: Some(reference.namespace.clone()),
        name: reference.name.clone(),
    };
    let Some(served) = home.kinds.served(&key.api_version, &key.kind).await? else { return Ok(None) };
    let found: Option<Data<T>> = home.caller.get(&served, &key, Answer::Whole).await?;
    Ok(found.map(|found| found.data))
}
