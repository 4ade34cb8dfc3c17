//! Letters to the webhook of a SandboxPolicy: each goes its way beside the reconcile, which a slow receiver must not hold up, and the
//! next look reads what became of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use plinth_api::v1alpha1::sandbox_policy::{TokenReference, Webhook};
use plinth_api::{Sandbox, SandboxStatus};
use plinth_plan::sandbox::id;
use plinth_plan::sandbox::notice::{Delivery, Due, due, event};
use plinth_runtime::webhook;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::secret::{secret_key, values};
use crate::controllers::context::Context;

/// Letters on their way at the same time.
const AT_A_TIME: usize = 8;
/// Pause after the first failure; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(5);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(600);

/// One letter a sandbox: what is due comes one after the other.
pub(super) struct Letters {
    all: Mutex<HashMap<String, Letter>>,
    permits: Arc<Semaphore>,
}

#[derive(Clone)]
struct Letter {
    due: Due,
    state: State,
    failures: u32,
}

#[derive(Clone)]
enum State {
    Underway,
    Heard,
    Failed { policy: String, why: String, again: Instant },
}

impl Default for Letters {
    fn default() -> Self {
        Self { all: Mutex::default(), permits: Arc::new(Semaphore::new(AT_A_TIME)) }
    }
}

impl Letters {
    /// What became of the last letter about a sandbox; nothing while it is on its way.
    pub(super) fn delivery(&self, id: &str) -> Option<Delivery> {
        let letter = self.recall(id)?;
        match letter.state {
            State::Underway => None,
            State::Heard => Some(Delivery::Heard(letter.due)),
            State::Failed { policy, why, .. } => Some(Delivery::Failed { policy, due: letter.due, why }),
        }
    }

    /// A sandbox that is gone has nothing to tell.
    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn recall(&self, id: &str) -> Option<Letter> {
        self.lock().get(id).cloned()
    }

    fn put(&self, id: &str, letter: Letter) {
        self.lock().insert(id.to_owned(), letter);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Letter>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is due, unless it is on its way; returns when to come back for it.
pub(super) async fn attend(sandbox: &Sandbox, status: &SandboxStatus, context: &Context) -> Option<Duration> {
    let sandboxes = &context.sandboxes;
    let letters = sandboxes.letters.clone();
    let id = id(sandbox);
    let terms = sandboxes.terms(&sandbox.namespace().unwrap_or_default());
    let (Some(due), Some((policy, webhook))) = (due(status), terms.webhook()) else {
        letters.forget(&id);
        return None;
    };
    let before = letters.recall(&id).filter(|letter| letter.due == due);
    match before.as_ref().map(|letter| &letter.state) {
        Some(State::Underway) => return None,
        Some(State::Failed { again, .. }) if *again > Instant::now() => {
            return Some(again.saturating_duration_since(Instant::now()));
        }
        _ => {}
    }
    let failures = before.map_or(0, |letter| letter.failures);
    letters.put(&id, Letter { due: due.clone(), state: State::Underway, failures });
    let event = event(sandbox, status, &due, whole_seconds(sandboxes.clock.now()));
    let token = token(webhook.token.as_ref(), context).await;
    let (policy, webhook, changed) = (policy.to_owned(), webhook.clone(), sandboxes.changed.clone());
    let whom = ObjectRef::new(&sandbox.name_any()).within(&sandbox.namespace().unwrap_or_default());
    tokio::spawn(async move {
        // The semaphore is never closed.
        let _permit = letters.permits.clone().acquire_owned().await;
        let told = match token {
            Ok(token) => tell(&webhook, token, &event).await,
            Err(why) => Err(why),
        };
        let letter = match told {
            Ok(()) => Letter { due, state: State::Heard, failures: 0 },
            Err(why) => {
                let pause = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
                let state = State::Failed { policy, why, again: Instant::now() + pause };
                Letter { due, state, failures: failures + 1 }
            }
        };
        letters.put(&id, letter);
        // Nobody listens any more when the term has ended.
        let _ = changed.send(whom);
    });
    None
}

async fn tell(
    webhook: &Webhook,
    token: Option<Zeroizing<String>>,
    event: &serde_json::Value,
) -> Result<(), String> {
    let token = token.as_deref().map(String::as_str);
    webhook::tell(&webhook.url, webhook.ca_bundle.as_deref(), token, event).await
}

/// The token of a webhook, read each time: it may have been replaced.
async fn token(
    wanted: Option<&TokenReference>,
    context: &Context,
) -> Result<Option<Zeroizing<String>>, String> {
    let Some(TokenReference { namespace, name, key }) = wanted else { return Ok(None) };
    let place = || format!("key {key} of Secret {namespace}/{name}");
    let found = values(&secret_key(namespace, name), context).await;
    let found = found.map_err(|error| format!("its token, {}, cannot be read: {error}", place()))?;
    let token = found.and_then(|mut values| values.remove(key)).map(|bytes| String::from_utf8(bytes.0));
    match token {
        Some(Ok(token)) => Ok(Some(Zeroizing::new(token))),
        _ => Err(format!("its token is missing: {}", place())),
    }
}

fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
