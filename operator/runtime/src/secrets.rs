//! Secret values: made, adopted, composed and sent here, and nowhere else. No value is ever logged, put in an error, or
//! kept longer than the request that carries it; what holds one is wiped when dropped and prints as `[secret]`.
//!
//! A generated value is born once. The live Secret is read first and its keys are adopted; the first write is a create,
//! which cannot hit a Secret that appeared meanwhile; after an answer that was lost the Secret is read again before
//! anything else. A write to an existing Secret names the version that was read.

pub mod escrow;
mod random;
mod resolve;
mod sources;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use plinth_api::condition::Reason;
use plinth_api::mutant::Mutant;
use plinth_api::names;
use plinth_plan::certificates;
use plinth_plan::model::{Desired, ObjectKey};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::apply::classify::{Trouble, classify};
use crate::call::{Answer, Applying, CallError, Served, Writer};
use crate::clusters::Cluster;
use crate::observe::ingest::{Ingest, Veiled};
pub use sources::Sources;

/// How often a Secret that changes under our hands is read again within one apply.
const ROUNDS: usize = 4;

/// A value, in base64 as the API wants it.
#[derive(Clone, PartialEq)]
struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Secret {
    fn of(plain: &[u8]) -> Self {
        Self(Zeroizing::new(BASE64.encode(plain)))
    }

    fn plain(&self) -> Option<Zeroizing<Vec<u8>>> {
        BASE64.decode(self.0.as_bytes()).ok().map(Zeroizing::new)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

type Data = BTreeMap<String, Secret>;

/// A Secret as it is on the cluster.
#[derive(Debug, Deserialize)]
struct LiveSecret {
    metadata: LiveMeta,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LiveMeta {
    resource_version: String,
    annotations: BTreeMap<String, String>,
    managed_fields: Vec<Value>,
}

impl LiveSecret {
    fn value(&self, key: &str) -> Option<&Secret> {
        self.data.as_ref()?.get(key)
    }

    /// Whether this is what was to be written: the same recipe, the same values.
    fn is(&self, hash: &str, data: &Data) -> bool {
        self.has(hash) && data.iter().all(|(key, value)| self.value(key) == Some(value))
    }

    /// Whether it was made by this recipe.
    fn has(&self, hash: &str) -> bool {
        self.metadata.annotations.get(names::ANNOTATION_HASH).map(String::as_str) == Some(hash)
    }

    fn revision(&self) -> Option<&str> {
        self.metadata.annotations.get(names::ANNOTATION_REVISION).map(String::as_str)
    }

    fn renew_at(&self) -> Option<i64> {
        let stamped = self.metadata.annotations.get(names::ANNOTATION_RENEW_AT)?;
        stamped.parse::<Timestamp>().ok().map(Timestamp::as_second)
    }
}

/// The object as it is sent: the rendered body with data.
#[derive(Serialize)]
struct Sent<'a> {
    #[serde(flatten)]
    body: &'a Value,
    data: &'a Data,
}

/// What a Secret is to hold, and when something of it is to be made anew.
#[derive(Default)]
struct Content {
    data: Data,
    /// Seconds since the Unix epoch.
    renew_at: Option<i64>,
}

impl Content {
    /// When the first certificate in it ends, in seconds since the Unix epoch. What holds a private key is not looked into.
    fn expires_at(&self) -> Option<i64> {
        let plain = self.data.values().filter_map(Secret::plain);
        plain.filter_map(|plain| certificates::first_end(std::str::from_utf8(&plain).ok()?)).min()
    }
}

/// Where Secrets are written, and where what they are made of is read.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The cluster that they are on.
    pub cluster: &'a Cluster,
    /// The right to write there.
    pub writer: &'a Writer,
    /// Which cluster the Secrets of each namespace are on.
    pub sources: &'a Sources,
}

/// Applies a Secret by its recipe, at a moment in seconds since the Unix epoch.
///
/// # Errors
/// What keeps it, without any value.
pub async fn apply(
    place: Place<'_>,
    served: &Served,
    desired: &Desired,
    force: bool,
    now: i64,
) -> Result<(), Trouble> {
    let Place { cluster, writer, sources } = place;
    let hand = Hand { cluster, writer, sources, served, key: &desired.key, now };
    hand.settle(desired, &Fresh::Missing, None, force).await
}

/// Gives generated keys of a Secret new values: `key`, or all that may change. `revision` names the request: a
/// Secret that carries it already was rotated by an earlier try and is left as it is.
///
/// # Errors
/// What keeps it, without any value.
pub async fn rotate(
    place: Place<'_>,
    desired: &Desired,
    key: Option<&str>,
    revision: &str,
    now: i64,
) -> Result<(), Trouble> {
    let Place { cluster, writer, sources } = place;
    let served = match cluster.kinds.served("v1", "Secret").await {
        Ok(Some(served)) => served,
        Ok(None) => return Err(Trouble::new(Reason::KindMissing, "the cluster serves no Secrets")),
        Err(error) => return Err(classify(&desired.key, &error)),
    };
    let hand = Hand { cluster, writer, sources, served: &served, key: &desired.key, now };
    hand.settle(desired, &Fresh::Rotated(key), Some(revision), true).await
}

/// Which generated keys get a new value.
enum Fresh<'a> {
    /// Those that have none.
    Missing,
    /// This one, or all that may change; and those that have none.
    Rotated(Option<&'a str>),
}

impl Fresh<'_> {
    fn renews(&self, name: &str, renewable: bool) -> bool {
        match self {
            Fresh::Missing => false,
            Fresh::Rotated(Some(key)) => *key == name,
            Fresh::Rotated(None) => renewable,
        }
    }
}

/// One Secret under work.
struct Hand<'a> {
    cluster: &'a Cluster,
    writer: &'a Writer,
    sources: &'a Sources,
    served: &'a Served,
    key: &'a ObjectKey,
    now: i64,
}

impl Hand<'_> {
    /// Reads, resolves and writes until one write is answered. `request` names a rotation; without one the revision that
    /// the Secret carries stays.
    async fn settle(
        &self,
        desired: &Desired,
        fresh: &Fresh<'_>,
        request: Option<&str>,
        force: bool,
    ) -> Result<(), Trouble> {
        let mut last = None;
        for _ in 0..ROUNDS {
            let live = self.read().await?;
            let carried = live.as_ref().and_then(LiveSecret::revision);
            if request.is_some() && carried == request {
                return Ok(());
            }
            let again = last.is_some() && Mutant::SecretAnewAfterLostAnswer.lives();
            let anew = live.as_ref().is_some_and(|live| !live.has(&desired.hash))
                && Mutant::SecretAnewWithNewVersion.lives();
            let known = live.as_ref().filter(|_| !again && !anew);
            let content = self.resolve(desired, known, fresh).await?;
            if last.is_some() && live.as_ref().is_some_and(|live| live.is(&desired.hash, &content.data)) {
                // It was our own write, only its answer was lost. Another one would leave other field owners behind.
                return self.look().await;
            }
            let result = match &live {
                None => self.create(&stamped(&desired.body, request, &content), &content.data).await,
                Some(live) => {
                    let body = stamped(&desired.body, request.or(carried), &content);
                    self.update(body, &content.data, live, force).await
                }
            };
            match result {
                Ok(()) => return Ok(()),
                // Somebody was faster, or the answer was lost: what is there now decides, and is adopted.
                Err(error) if error.is_already_exists() || error.is_uncertain() || is_stale(&error) => {
                    last = Some(error);
                }
                Err(error) => return Err(told(classify(self.key, &error), &content.data)),
            }
        }
        Err(match last {
            Some(error) => classify(self.key, &error),
            None => Trouble::new(Reason::ApplyFailed, "changes too fast to be written; it is tried again"),
        })
    }

    async fn read(&self) -> Result<Option<LiveSecret>, Trouble> {
        let read = self.cluster.caller.get(self.served, self.key, Answer::Whole).await;
        read.map_err(|error| classify(self.key, &error))
    }

    /// What is there enters the cache, as if it had just been written.
    async fn look(&self) -> Result<(), Trouble> {
        let read = self.cluster.caller.get(self.served, self.key, Answer::Metadata).await;
        if let Some(veiled) = read.map_err(|error| classify(self.key, &error))? {
            self.seen(veiled);
        }
        Ok(())
    }

    async fn create(&self, body: &Value, data: &Data) -> Result<(), CallError> {
        let bytes = encode(&Sent { body, data })?;
        if Mutant::SecretInLog.lives() {
            tracing::info!(secret = %self.key, data = %String::from_utf8_lossy(&bytes), "made");
        }
        let veiled: Veiled = self.writer.create(self.served, self.key, bytes, Answer::Metadata).await?;
        self.seen(veiled);
        Ok(())
    }

    async fn update(
        &self,
        mut body: Value,
        data: &Data,
        live: &LiveSecret,
        force: bool,
    ) -> Result<(), CallError> {
        let version = self.own_by_apply(live).await?;
        body["metadata"]["resourceVersion"] = version.into();
        let bytes = encode(&Sent { body: &body, data })?;
        let how = Applying { answer: Answer::Metadata, ..Applying::rendered(force) };
        let veiled: Veiled = self.writer.apply(self.served, self.key, bytes, how).await?;
        self.seen(veiled);
        Ok(())
    }

    /// A create makes us a manager by Update; an apply beside it could never remove a key again. So the first apply
    /// after a create turns the one into the other, as kubectl does when it moves to server-side apply. Returns the
    /// version after it.
    async fn own_by_apply(&self, live: &LiveSecret) -> Result<String, CallError> {
        let ours = |entry: &Value| {
            entry["manager"] == names::FIELD_MANAGER
                && entry["operation"] == "Update"
                && entry["subresource"].is_null()
        };
        let fields = &live.metadata.managed_fields;
        let has_apply =
            fields.iter().any(|e| e["manager"] == names::FIELD_MANAGER && e["operation"] == "Apply");
        if !fields.iter().any(ours) {
            return Ok(live.metadata.resource_version.clone());
        }
        let entries: Vec<Value> = fields
            .iter()
            // Beside an entry of ours by Apply the other has nothing that the coming apply will not own anyway.
            .filter(|entry| !(has_apply && ours(entry)))
            .map(|entry| {
                let mut entry = entry.clone();
                if ours(&entry) {
                    entry["operation"] = "Apply".into();
                }
                entry
            })
            .collect();
        let patch = serde_json::json!({
            "metadata": { "resourceVersion": live.metadata.resource_version, "managedFields": entries },
        });
        let bytes = patch.to_string().into_bytes();
        let veiled: Veiled = self.writer.merge(self.served, self.key, bytes, Answer::Metadata).await?;
        Ok(veiled.resource_version().to_owned())
    }

    fn seen(&self, veiled: Veiled) {
        if let Some(seen) = veiled.seen(&self.key.api_version, &self.key.kind) {
            self.cluster.observer.wrote(seen);
        }
    }
}

/// What is noted on the Secret is part of what we apply, or the next apply would take it away.
fn stamped(body: &Value, revision: Option<&str>, content: &Content) -> Value {
    let mut body = body.clone();
    let moment = |at| Timestamp::from_second(at).ok().map(|at| at.to_string());
    let notes = [
        (names::ANNOTATION_REVISION, revision.map(str::to_owned)),
        (names::ANNOTATION_RENEW_AT, content.renew_at.and_then(moment)),
        (names::ANNOTATION_EXPIRES_AT, content.expires_at().and_then(moment)),
    ];
    for (name, value) in notes {
        if let Some(value) = value {
            body["metadata"]["annotations"][name] = value.into();
        }
    }
    body
}

/// The trouble as it is reported.
fn told(trouble: Trouble, data: &Data) -> Trouble {
    if Mutant::SecretInStatus.lives() {
        let values: Vec<&str> = data.values().map(|secret| secret.0.as_str()).collect();
        return Trouble { message: format!("{} ({})", trouble.message, values.join(", ")), ..trouble };
    }
    trouble
}

fn encode(sent: &Sent<'_>) -> Result<Vec<u8>, CallError> {
    serde_json::to_vec(sent).map_err(|_| CallError::Lost("the Secret cannot be written as JSON".to_owned()))
}

/// The version that we named is no longer there. Another manager's claim on a field is a different conflict.
fn is_stale(error: &CallError) -> bool {
    let CallError::Api { status, .. } = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    error.is_conflict() && !causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_does_not_print() {
        let secret = Secret::of(b"hunter2");
        let live = LiveSecret {
            metadata: LiveMeta::default(),
            data: Some([("password".to_owned(), secret.clone())].into()),
        };
        let text = format!("{secret:?} {live:?}");
        assert!(!text.contains("hunter2") && !text.contains(&*secret.0), "{text}");
        assert!(text.contains("[secret]"));
    }

    #[test]
    fn a_rotation_spares_keys_that_may_not_change_unless_they_are_named() {
        assert!(!Fresh::Rotated(None).renews("salt", false));
        assert!(Fresh::Rotated(None).renews("password", true));
        assert!(Fresh::Rotated(Some("password")).renews("password", true));
        assert!(!Fresh::Rotated(Some("password")).renews("other", true));
        assert!(!Fresh::Missing.renews("password", true));
    }
}
