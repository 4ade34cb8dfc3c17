//! When certificates end that a Stack points to, read from time to time (I/O). None of them is watched, and of a Secret only the keys
//! that are named as certificates are kept while it is parsed: no private key is ever held.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{StreamExt as _, stream};
use plinth_api::Stack;
use plinth_plan::certificates::{CERTIFICATE_KEY, Pointed, first_end, pointed};
use plinth_plan::exchange::Declared;
use plinth_plan::exchange::references::Kind;
use plinth_plan::model::{ObjectKey, Plan};
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::clusters::Cluster;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use tokio::time::{Instant, timeout};

use super::reach::{PATIENCE, Reach};

/// So often each is read, and a Stack that points to one is looked at.
const EVERY: Duration = Duration::from_secs(300);
/// What nobody has asked for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Reads under way at the same time.
const IN_FLIGHT: usize = 8;

/// A namespace of Stacks, since WorkloadClusters are known by their names there, and what is pointed to.
type Place = (String, Pointed);
/// When it was read, and when it ends.
type Read = BTreeMap<Place, (Instant, Option<i64>)>;

/// When each ends, as it was read last. All of it can be read again; losing it costs reads only.
#[derive(Default)]
pub struct Certificates {
    kept: Mutex<Read>,
}

impl Certificates {
    /// The ends of those that a Stack points to, and when to look again. One that is missing, or may not be read, is left out:
    /// whoever needs it says so.
    pub(super) async fn ends(
        &self,
        stack: &Stack,
        plan: &Plan,
        declared: &Declared,
        reach: &Reach,
        home: &Arc<Cluster>,
    ) -> (BTreeMap<Pointed, i64>, Option<Duration>) {
        let namespace = &plan.stack.namespace;
        let all = pointed(stack, plan, declared);
        let again = (!all.is_empty()).then_some(EVERY);
        let looks = all.into_iter().map(|pointed| async move {
            let place = (namespace.clone(), pointed);
            let end = match self.fresh(&place) {
                Some(known) => known,
                None => self.look(place.clone(), reach, home).await,
            };
            Some((place.1, end?))
        });
        let looks = stream::iter(looks).buffer_unordered(IN_FLIGHT);
        (looks.filter_map(std::future::ready).collect().await, again)
    }

    fn fresh(&self, place: &Place) -> Option<Option<i64>> {
        self.lock().get(place).filter(|(at, _)| at.elapsed() < EVERY).map(|(_, end)| *end)
    }

    /// What is there now; what was there last where nobody answers.
    async fn look(&self, place: Place, reach: &Reach, home: &Arc<Cluster>) -> Option<i64> {
        let known = self.lock().get(&place).and_then(|(_, end)| *end);
        let cluster = match &place.1.cluster {
            None => home.clone(),
            Some(name) => reach.answering(name)?,
        };
        let end = match timeout(PATIENCE, end(&place.1, &cluster)).await {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => {
                tracing::debug!(reference = %place.1.reference, %error, "a certificate cannot be read");
                known
            }
            Err(_) => known,
        };
        let mut kept = self.lock();
        kept.retain(|_, (at, _)| at.elapsed() < FORGOTTEN);
        kept.insert(place, (Instant::now(), end));
        end
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Read> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the first certificate of an object ends.
async fn end(pointed: &Pointed, cluster: &Cluster) -> Result<Option<i64>, CallError> {
    let reference = &pointed.reference;
    let key = ObjectKey {
        api_version: "v1".to_owned(),
        kind: reference.kind.to_string(),
        namespace: Some(reference.namespace.clone()),
        name: reference.name.clone(),
    };
    let Some(served) = cluster.kinds.served(&key.api_version, &key.kind).await? else { return Ok(None) };
    let found: Option<Holder> = cluster.caller.get(&served, &key, Answer::Whole).await?;
    let texts = found.map(|found| found.data.0).unwrap_or_default();
    let ends = texts.into_iter().filter_map(|text| match reference.kind {
        Kind::ConfigMap => first_end(&text),
        Kind::Secret => first_end(std::str::from_utf8(&BASE64.decode(text).ok()?).ok()?),
    });
    Ok(ends.min())
}

#[derive(serde::Deserialize)]
struct Holder {
    #[serde(default)]
    data: Texts,
}

/// Values whose key is named as a certificate's; every other one is skipped while it is parsed.
#[derive(Debug, Default)]
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("data of a Secret or a ConfigMap")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key.ends_with(CERTIFICATE_KEY) {
                        texts.push(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_nothing_is_held_but_its_certificates() {
        let secret = r#"{ "data": { "tls.crt": "AAAA", "tls.key": "aHVudGVyMg==", "ca.crt": "BBBB", "both.pem": "x" } }"#;
        let holder: Holder = serde_json::from_str(secret).unwrap();
        assert_eq!(holder.data.0, ["AAAA", "BBBB"]);
        assert!(serde_json::from_str::<Holder>(r#"{ "kind": "Secret" }"#).unwrap().data.0.is_empty());
    }
}
