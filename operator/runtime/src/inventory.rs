//! What Plinth owns, written down before it is owned: ConfigMaps `plinth-inventory-<n>` in the block's namespace, read
//! through the watch. Every write names the version it replaces, so that a list we have not seen is never overwritten
//! by one made without it.

use plinth_api::condition::Reason;
use plinth_api::names;
use plinth_plan::model::{Inventory, InventoryEntry, ObjectKey, StackId};
use serde_json::{Value, json};

use crate::apply::classify::{Trouble, classify, kind_missing};
use crate::call::{Answer, CallError, Served, Writer};
use crate::clusters::Cluster;
use crate::observe::ingest::{Chunk, Content, Ingest, Lean};
use crate::observe::read_seen;

/// How the names of chunks begin.
pub const CHUNK: &str = "plinth-inventory-";
/// An object may have 1 MiB in etcd, the ConfigMap's own fields included.
const CHUNK_BYTES: usize = 700 * 1024;

/// Identity of the `index`-th chunk of a block in its namespace. In an agency's namespace there are several.
pub fn chunk_key(namespace: &str, block: &str, index: usize) -> ObjectKey {
    let part = if block.starts_with(names::TENANT_PREFIX) { format!("{block}-") } else { String::new() };
    ObjectKey {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: format!("{CHUNK}{part}{index}"),
    }
}

/// Makes the inventory of a block say `wanted`. `namespace` is where it lives when there is none yet.
///
/// # Errors
/// Some chunk was not written: nothing that it lists may be written either.
pub async fn record(
    cluster: &Cluster,
    writer: &Writer,
    stack: &StackId,
    block: &str,
    namespace: Option<String>,
    wanted: &Inventory,
) -> Result<(), Trouble> {
    let present = cluster.observer.store().chunks(stack, block);
    if let Some((key, why)) = present.iter().find_map(|(key, chunk)| Some((key, chunk.broken.as_ref()?))) {
        let message =
            format!("the inventory {key} cannot be read ({why}); restore it, nothing is written until then");
        return Err(Trouble::new(Reason::Invalid, message));
    }
    let home = present.first().and_then(|(key, _)| key.namespace.clone()).or(namespace);
    let Some(home) = home else {
        return Err(Trouble::new(
            Reason::Waiting,
            format!("block {block} has no namespace to keep its inventory in"),
        ));
    };
    let first = chunk_key(&home, block, 0);
    let failed = |key: &ObjectKey, error: &CallError| {
        let trouble = classify(key, error);
        Trouble { message: format!("its inventory cannot be written: {}", trouble.message), ..trouble }
    };
    let served = match cluster.kinds.served("v1", "ConfigMap").await {
        Ok(Some(served)) => served,
        Ok(None) => return Err(Trouble::new(Reason::KindMissing, kind_missing(&first))),
        Err(error) => return Err(failed(&first, &error)),
    };
    let wanted = split(&wanted.entries).map_err(|error| {
        Trouble::new(Reason::Invalid, format!("its inventory cannot be written as JSON: {error}"))
    })?;
    // Later chunks first: an entry that moves to an earlier chunk is for a moment in both, never in none.
    for (index, text) in wanted.iter().enumerate().rev() {
        let key = chunk_key(&home, block, index);
        let known = present.iter().find(|(known, _)| *known == key).map(|(_, chunk)| chunk);
        if known.and_then(Chunk::text).as_ref() == Some(text) {
            continue;
        }
        let body = body(&key, stack, block, index, text, known);
        put(cluster, writer, &served, &key, (&body, text), known)
            .await
            .map_err(|error| failed(&key, &error))?;
    }
    for (key, _) in present.iter().filter(|(_, chunk)| chunk.index >= wanted.len()) {
        remove(cluster, writer, &served, key).await.map_err(|error| failed(key, &error))?;
    }
    Ok(())
}

async fn put(
    cluster: &Cluster,
    writer: &Writer,
    served: &Served,
    key: &ObjectKey,
    (body, text): (&Value, &str),
    known: Option<&Chunk>,
) -> Result<(), CallError> {
    let bytes = body.to_string().into_bytes();
    let result: Result<Lean, CallError> = match known {
        Some(_) => writer.replace(served, key, bytes, Answer::Whole).await,
        None => writer.create(served, key, bytes, Answer::Whole).await,
    };
    match result {
        Ok(lean) => {
            if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
                cluster.observer.wrote(seen);
            }
            Ok(())
        }
        Err(error) => {
            // What stands there now (our own write with a lost answer, or somebody's) is what the next decision needs.
            let Ok(Some(seen)) = read_seen(&cluster.caller, served, key).await else { return Err(error) };
            let stored =
                matches!(&seen.content, Content::Inventory(chunk) if chunk.text().as_deref() == Some(text));
            cluster.observer.wrote(seen);
            if stored { Ok(()) } else { Err(error) }
        }
    }
}

async fn remove(
    cluster: &Cluster,
    writer: &Writer,
    served: &Served,
    key: &ObjectKey,
) -> Result<(), CallError> {
    let lean: Option<Lean> = cluster.caller.get(served, key, Answer::Whole).await?;
    let uid = lean.as_ref().and_then(|lean| lean.body().pointer("/metadata/uid")).and_then(Value::as_str);
    if let Some(uid) = uid {
        writer.delete(served, key, uid).await?;
    }
    cluster.observer.absent(key);
    Ok(())
}

/// Compact JSON lists, each small enough for one ConfigMap. No entries, no chunks.
fn split(entries: &[InventoryEntry]) -> serde_json::Result<Vec<String>> {
    let mut chunks: Vec<String> = Vec::new();
    for entry in entries {
        let text = serde_json::to_string(entry)?;
        match chunks.last_mut() {
            Some(chunk) if chunk.len() + text.len() < CHUNK_BYTES => {
                chunk.push(',');
                chunk.push_str(&text);
            }
            _ => chunks.push(format!("[{text}")),
        }
    }
    for chunk in &mut chunks {
        chunk.push(']');
    }
    Ok(chunks)
}

fn body(
    key: &ObjectKey,
    stack: &StackId,
    block: &str,
    index: usize,
    text: &str,
    known: Option<&Chunk>,
) -> Value {
    let mut body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {
                names::LABEL_MANAGED_BY: names::MANAGED_BY,
                names::LABEL_STACK_NAMESPACE: stack.namespace,
                names::LABEL_STACK: stack.name,
                names::LABEL_BLOCK: block,
                names::LABEL_INVENTORY: index.to_string(),
            },
        },
        "data": { "entries": text },
    });
    if let Some(chunk) = known {
        body["metadata"]["resourceVersion"] = chunk.resource_version.as_str().into();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(n: usize) -> Vec<InventoryEntry> {
        let key = |i| ObjectKey {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("novaria-payments".to_owned()),
            name: format!("component-with-a-long-name-{i}"),
        };
        (0..n).map(|i| InventoryEntry { key: key(i), data: i % 7 == 0 }).collect()
    }

    #[test]
    fn ten_thousand_objects_fit_into_chunks_and_come_back_in_order() {
        let all = entries(10_000);
        let chunks = split(&all).unwrap();
        assert!(chunks.len() > 1);
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
        let back: Vec<InventoryEntry> =
            chunks.iter().flat_map(|chunk| serde_json::from_str::<Vec<_>>(chunk).unwrap()).collect();
        assert_eq!(back, all);
    }

    #[test]
    fn one_chunk_is_what_serde_writes_so_that_an_equal_list_is_recognised() {
        let all = entries(3);
        assert_eq!(split(&all).unwrap(), [serde_json::to_string(&all).unwrap()]);
        assert!(split(&[]).unwrap().is_empty());
    }
}
