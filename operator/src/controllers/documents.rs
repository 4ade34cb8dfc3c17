//! What [`plinth_plan::exchange::references`] says that Members and the Stack's federation point to: OpenAPI documents, anchors,
//! and which Secrets there are (I/O). None of it is watched, so that all is looked at again from time to time; in a burst of reconciles
//! each is read once. Of a Secret nothing is kept but the names of its keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use plinth_api::Stack;
use plinth_plan::exchange::Declared;
use plinth_plan::exchange::references::{Reference, references};
use plinth_runtime::call::CallError;
use plinth_runtime::clusters::Cluster;
use tokio::time::Instant;

use super::read::{Content, read};

/// So long what was read is taken for what is, unless whoever points to it has changed.
const FRESH: Duration = Duration::from_secs(10);
/// What nobody has asked for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Reads under way at the same time.
const IN_FLIGHT: usize = 16;

/// What was read.
#[derive(Clone)]
struct Kept {
    at: Instant,
    /// Digest of who pointed to it.
    by: u64,
    content: Option<Content>,
}

/// What was read last. All of it can be read again; losing it costs reads only.
#[derive(Default)]
pub struct Documents {
    kept: Mutex<BTreeMap<Reference, Kept>>,
}

impl Documents {
    /// Fills in what the Stack's federation and the declared Members point to.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn fetch(
        &self,
        stack: &Stack,
        declared: &mut Declared,
        home: &Arc<Cluster>,
    ) -> Result<(), CallError> {
        let (mut documents, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        let reads = references(stack, declared).into_iter().map(|(reference, by)| async move {
            let content = self.content(&reference, by, home).await?;
            Ok::<_, CallError>((reference, content))
        });
        let found: Vec<_> = stream::iter(reads).buffer_unordered(IN_FLIGHT).try_collect().await?;
        for (Reference { namespace, name, .. }, content) in found {
            match content {
                Some(Content::Texts(texts)) => drop(documents.insert((namespace, name), texts)),
                Some(Content::Keys(keys)) => drop(secrets.insert((namespace, name), keys)),
                None => {}
            }
        }
        (declared.documents, declared.secrets) = (Some(documents), Some(secrets));
        Ok(())
    }

    async fn content(
        &self,
        reference: &Reference,
        by: u64,
        home: &Arc<Cluster>,
    ) -> Result<Option<Content>, CallError> {
        let fresh = |kept: &&Kept| kept.by == by && kept.at.elapsed() < FRESH;
        if let Some(kept) = self.lock().get(reference).filter(fresh) {
            return Ok(kept.content.clone());
        }
        let content = readable(reference, home).await?;
        let mut kept = self.lock();
        kept.retain(|_, kept| kept.at.elapsed() < FORGOTTEN);
        kept.insert(reference.clone(), Kept { at: Instant::now(), by, content: content.clone() });
        Ok(content)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Reference, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether anything that is declared points to what is not watched.
pub fn points_outside(stack: &Stack, declared: &Declared) -> bool {
    !references(stack, declared).is_empty()
}

/// One of them, where it exists. One that Plinth may not read is missing too: it stops nobody.
async fn readable(reference: &Reference, home: &Cluster) -> Result<Option<Content>, CallError> {
    match read(reference, home).await {
        Err(CallError::Api { status, .. }) if status.is_forbidden() => {
            tracing::warn!(%reference, "Plinth may not read it; whoever points to it is told that it is missing");
            Ok(None)
        }
        other => other,
    }
}
