//! Secret values: made, adopted, composed and sent here, and nowhere else. No value is ever logged, put in an error, or
//! kept longer than the request that carries it; what holds one is wiped when dropped and prints as `[secret]`.
//!
//! A generated value is born once. The live Secret is read first and its keys are adopted; the first write is a create,
//! which cannot hit a Secret that appeared meanwhile; after an answer that was lost the Secret is read again before
//! anything else. A write to an existing Secret names the version that was read.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use plinth_api::condition::Reason;
use plinth_api::names;
use plinth_api::v1alpha1::product::{Alphabet, Generator};
use plinth_plan::model::{Desired, ObjectKey, Piece, SecretKeyRef, SecretSource};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::apply::classify::{Trouble, classify};
use crate::call::{Answer, Applying, CallError, Served, Writer};
use crate::clusters::Cluster;
use crate::handover;
use crate::keys;
use crate::observe::ingest::{Ingest, Veiled};

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
        self.metadata.annotations.get(names::ANNOTATION_HASH).map(String::as_str) == Some(hash)
            && data.iter().all(|(key, value)| self.value(key) == Some(value))
    }

    fn revision(&self) -> Option<&str> {
        self.metadata.annotations.get(names::ANNOTATION_REVISION).map(String::as_str)
    }
}

/// The object as it is sent: the rendered body with data.
#[derive(Serialize)]
struct Sent<'a> {
    #[serde(flatten)]
    body: &'a Value,
    data: &'a Data,
}

/// Applies a Secret by its recipe.
///
/// # Errors
/// What keeps it, without any value.
pub async fn apply(
    cluster: &Cluster,
    writer: &Writer,
    served: &Served,
    desired: &Desired,
    force: bool,
) -> Result<(), Trouble> {
    let hand = Hand { cluster, writer, served, key: &desired.key };
    hand.settle(desired, &Fresh::Missing, None, force).await
}

/// Gives generated keys of a Secret new values: `key`, or all that are not permanent. `revision` names the request: a
/// Secret that carries it already was rotated by an earlier try and is left as it is.
///
/// # Errors
/// What keeps it, without any value.
pub async fn rotate(
    cluster: &Cluster,
    writer: &Writer,
    desired: &Desired,
    key: Option<&str>,
    revision: &str,
) -> Result<(), Trouble> {
    let served = match cluster.kinds.served("v1", "Secret").await {
        Ok(Some(served)) => served,
        Ok(None) => return Err(Trouble::new(Reason::KindMissing, "the cluster serves no Secrets")),
        Err(error) => return Err(classify(&desired.key, &error)),
    };
    let hand = Hand { cluster, writer, served: &served, key: &desired.key };
    hand.settle(desired, &Fresh::Rotated(key), Some(revision), true).await
}

/// Which generated keys get a new value.
enum Fresh<'a> {
    /// Those that have none.
    Missing,
    /// This one, or all that are not permanent; and those that have none.
    Rotated(Option<&'a str>),
}

impl Fresh<'_> {
    fn renews(&self, name: &str, permanent: bool) -> bool {
        match self {
            Fresh::Missing => false,
            Fresh::Rotated(Some(key)) => *key == name,
            Fresh::Rotated(None) => !permanent,
        }
    }
}

/// One Secret under work.
struct Hand<'a> {
    cluster: &'a Cluster,
    writer: &'a Writer,
    served: &'a Served,
    key: &'a ObjectKey,
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
            let data = self.resolve(desired, live.as_ref(), fresh).await?;
            if last.is_some() && live.as_ref().is_some_and(|live| live.is(&desired.hash, &data)) {
                // It was our own write, only its answer was lost. Another one would leave other field owners behind.
                return self.look().await;
            }
            let result = match &live {
                None => self.create(&with_revision(&desired.body, request), &data).await,
                Some(live) => self.update(&desired.body, &data, live, request.or(carried), force).await,
            };
            match result {
                Ok(()) => return Ok(()),
                // Somebody was faster, or the answer was lost: what is there now decides, and is adopted.
                Err(error) if error.is_already_exists() || error.is_uncertain() || is_stale(&error) => {
                    last = Some(error);
                }
                Err(error) => return Err(classify(self.key, &error)),
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

    async fn resolve(
        &self,
        desired: &Desired,
        live: Option<&LiveSecret>,
        fresh: &Fresh<'_>,
    ) -> Result<Data, Trouble> {
        let mut data = Data::new();
        let mut others: BTreeMap<(&str, &str), Option<LiveSecret>> = BTreeMap::new();
        for (name, source) in &desired.secret {
            let adopted = |permanent: bool| {
                live.and_then(|live| live.value(name)).filter(|_| !fresh.renews(name, permanent)).cloned()
            };
            let value = match source {
                SecretSource::Generate { generator, permanent } => match adopted(*permanent) {
                    Some(value) => value,
                    None => generate(generator)?,
                },
                SecretSource::KeyPair { algorithm, permanent } => match adopted(*permanent) {
                    Some(value) => value,
                    None => Secret::of(keys::private_key(*algorithm).await?.as_bytes()),
                },
                _ => continue,
            };
            data.insert(name.clone(), value);
        }
        for (name, source) in &desired.secret {
            let (of, certificate) = match source {
                SecretSource::PublicKey { of } => (of, None),
                SecretSource::Certificate { of, common_name, dns_names } => {
                    (of, Some((common_name, dns_names)))
                }
                _ => continue,
            };
            let private = data.get(of).cloned();
            let kept = private.is_some() && live.and_then(|live| live.value(of)) == private.as_ref();
            let known = live.and_then(|live| live.value(name)).filter(|_| kept && certificate.is_some());
            let value = match (known, &private) {
                (Some(certificate), _) => certificate.clone(),
                (None, None) => return Err(Trouble::new(Reason::Invalid, format!("{of} is no private key"))),
                (None, Some(private)) => {
                    let pem = private.plain().ok_or_else(|| {
                        Trouble::new(Reason::Invalid, format!("key {of} of {} is not base64", self.key))
                    })?;
                    let text = match certificate {
                        None => keys::public_key(&pem),
                        Some((common_name, names)) => keys::certificate(&pem, common_name, names),
                    };
                    Secret::of(
                        text.map_err(|what| {
                            Trouble::new(Reason::Invalid, format!("key {of} of {}: {what}", self.key))
                        })?
                        .as_bytes(),
                    )
                }
            };
            data.insert(name.clone(), value);
        }
        for (name, source) in &desired.secret {
            let SecretSource::Captured { job, value, seal, .. } = source else { continue };
            let told = self.captured(job, value, seal, &mut others).await?;
            let known = told.or_else(|| live.and_then(|live| live.value(name)).cloned());
            let value = match known {
                Some(value) => value,
                None if self.is_simulated().await? => Secret::of(handover::simulated(value).as_bytes()),
                None => {
                    let message = format!(
                        "no pod of Job {}/{job} tells `{value}` any more; delete the Job, it is then run again",
                        seal.namespace
                    );
                    return Err(Trouble::new(Reason::Waiting, message));
                }
            };
            data.insert(name.clone(), value);
        }
        for (name, source) in &desired.secret {
            let SecretSource::Compose { pieces } = source else { continue };
            let mut plain = Zeroizing::new(Vec::new());
            for piece in pieces {
                match piece {
                    Piece::Text(text) => plain.extend_from_slice(text.as_bytes()),
                    Piece::Secret(wanted) => {
                        plain.extend_from_slice(&self.fetch(wanted, &data, &mut others).await?)
                    }
                }
            }
            data.insert(name.clone(), Secret::of(&plain));
        }
        Ok(data)
    }

    /// A value that a step has handed over, as long as one of its pods is there to tell.
    async fn captured<'k>(
        &self,
        job: &str,
        name: &str,
        seal: &'k SecretKeyRef,
        others: &mut BTreeMap<(&'k str, &'k str), Option<LiveSecret>>,
    ) -> Result<Option<Secret>, Trouble> {
        let key = self.fetch(seal, &Data::new(), others).await?;
        let key = Zeroizing::new(String::from_utf8_lossy(&key).into_owned());
        let job = ObjectKey {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
            namespace: Some(seal.namespace.clone()),
            name: job.to_owned(),
        };
        let told = handover::read(self.cluster, &job, &key).await?;
        Ok(told.as_ref().and_then(|values| values.get(name)).map(|value| Secret::of(value.as_bytes())))
    }

    async fn is_simulated(&self) -> Result<bool, Trouble> {
        self.cluster.observer.simulated().await.map_err(|error| classify(self.key, &error))
    }

    /// A value that another value is composed of: from this Secret as it is about to be, or from another one as it is.
    async fn fetch<'k>(
        &self,
        wanted: &'k SecretKeyRef,
        own: &Data,
        others: &mut BTreeMap<(&'k str, &'k str), Option<LiveSecret>>,
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let is_own = Some(&wanted.namespace) == self.key.namespace.as_ref() && wanted.name == self.key.name;
        let found = if is_own {
            own.get(&wanted.key)
        } else {
            let place = (wanted.namespace.as_str(), wanted.name.as_str());
            if let std::collections::btree_map::Entry::Vacant(slot) = others.entry(place) {
                let key = ObjectKey {
                    api_version: "v1".to_owned(),
                    kind: "Secret".to_owned(),
                    namespace: Some(wanted.namespace.clone()),
                    name: wanted.name.clone(),
                };
                let read = self.cluster.caller.get(self.served, &key, Answer::Whole).await;
                slot.insert(read.map_err(|error| classify(&key, &error))?);
            }
            others.get(&place).and_then(Option::as_ref).and_then(|live| live.value(&wanted.key))
        };
        let place = format!("key {} of Secret {}/{}", wanted.key, wanted.namespace, wanted.name);
        let Some(value) = found else {
            return Err(Trouble::new(Reason::Waiting, format!("waits for {place}")));
        };
        value.plain().ok_or_else(|| Trouble::new(Reason::Invalid, format!("{place} is not base64")))
    }

    async fn create(&self, body: &Value, data: &Data) -> Result<(), CallError> {
        let bytes = encode(&Sent { body, data })?;
        let veiled: Veiled = self.writer.create(self.served, self.key, bytes, Answer::Metadata).await?;
        self.seen(veiled);
        Ok(())
    }

    async fn update(
        &self,
        body: &Value,
        data: &Data,
        live: &LiveSecret,
        revision: Option<&str>,
        force: bool,
    ) -> Result<(), CallError> {
        let version = self.own_by_apply(live).await?;
        let mut body = with_revision(body, revision);
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

/// The revision is part of what we apply, or the next apply would take it away.
fn with_revision(body: &Value, revision: Option<&str>) -> Value {
    let mut body = body.clone();
    if let Some(revision) = revision {
        body["metadata"]["annotations"][names::ANNOTATION_REVISION] = revision.into();
    }
    body
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

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";

fn generate(generator: &Generator) -> Result<Secret, Trouble> {
    let everything: Vec<u8> = [UPPER, LOWER, DIGITS].concat();
    let length = usize::from(generator.length);
    let value = match generator.alphabet {
        Alphabet::Alphanumeric => random(&everything, length)?,
        Alphabet::Hex => random(HEX, length)?,
        Alphabet::Digits => random(DIGITS, length)?,
        Alphabet::Pin => loop {
            // Drawn again as a whole, so that no place is more likely to hold a digit than another.
            let value = random(&everything, length.max(3))?;
            let has = |set: &[u8]| value.iter().any(|byte| set.contains(byte));
            if has(UPPER) && has(LOWER) && has(DIGITS) {
                break value;
            }
        },
    };
    Ok(Secret::of(&value))
}

/// Characters from the operating system's generator, each equally likely: bytes beyond the last full turn of the
/// alphabet are thrown away.
fn random(alphabet: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let limit = 256 - 256 % alphabet.len();
    let mut value = Zeroizing::new(Vec::with_capacity(length));
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while value.len() < length {
        OsRng.try_fill_bytes(bytes.as_mut_slice()).map_err(|error| {
            Trouble::new(
                Reason::ApplyFailed,
                format!("the operating system gives no random numbers: {error}"),
            )
        })?;
        let left = length - value.len();
        let usable = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit);
        value.extend(usable.map(|byte| alphabet[byte % alphabet.len()]).take(left));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(alphabet: Alphabet, length: u16) -> String {
        let secret = generate(&Generator { alphabet, length }).unwrap();
        String::from_utf8(secret.plain().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn generated_values_have_the_length_and_the_characters_that_were_asked_for() {
        for length in [4, 32, 512] {
            assert!(made(Alphabet::Hex, length).bytes().all(|b| HEX.contains(&b)));
            assert!(made(Alphabet::Digits, length).bytes().all(|b| DIGITS.contains(&b)));
            assert_eq!(made(Alphabet::Alphanumeric, length).len(), usize::from(length));
            let pin = made(Alphabet::Pin, length);
            let has = |set: &[u8]| pin.bytes().any(|byte| set.contains(&byte));
            assert!(has(UPPER) && has(LOWER) && has(DIGITS), "length {length}");
        }
    }

    #[test]
    fn two_generated_values_differ() {
        assert_ne!(made(Alphabet::Alphanumeric, 32), made(Alphabet::Alphanumeric, 32));
    }

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
    fn a_rotation_spares_permanent_keys_unless_they_are_named() {
        assert!(!Fresh::Rotated(None).renews("salt", true));
        assert!(Fresh::Rotated(None).renews("password", false));
        assert!(Fresh::Rotated(Some("password")).renews("password", false));
        assert!(!Fresh::Rotated(Some("password")).renews("other", false));
        assert!(!Fresh::Missing.renews("password", false));
    }
}
