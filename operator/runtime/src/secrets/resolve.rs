//! The values of one Secret, by its recipe: first what is adopted or made, then what is made of that, then what is told by
//! Jobs, then what is composed of all and of other Secrets.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use plinth_api::condition::Reason;
use plinth_plan::model::{Certificate, Desired, Escrow, ObjectKey, Piece, SecretKeyRef, SecretSource};
use zeroize::Zeroizing;

use super::escrow;
use super::random::generate;
use super::{Content, Data, Fresh, Hand, LiveSecret, Secret};
use crate::apply::classify::{Trouble, classify};
use crate::call::Answer;
use crate::certificates::{self, Authority};
use crate::{handover, keys};

/// Seconds until a Secret is looked at again whose source was due and had not been made anew yet.
const SOON: i64 = 60;

/// Other Secrets, read once.
type Others<'a> = BTreeMap<(&'a str, &'a str), Option<LiveSecret>>;

impl Hand<'_> {
    /// Every value: adopted, made, taken from elsewhere or composed.
    ///
    /// # Errors
    /// What keeps one, without any value.
    pub(super) async fn resolve(
        &self,
        desired: &Desired,
        live: Option<&LiveSecret>,
        fresh: &Fresh<'_>,
    ) -> Result<Content, Trouble> {
        let mut content = Content::default();
        let mut others = Others::new();
        for (name, source) in &desired.secret {
            let renewed = fresh.renews(name, source.is_renewable());
            let adopted = || live.and_then(|live| live.value(name)).filter(|_| !renewed).cloned();
            let value = match source {
                SecretSource::Generate { generator, .. } => match adopted() {
                    Some(value) => value,
                    None => Secret::of(&generate(generator)?),
                },
                SecretSource::KeyPair { algorithm, .. } => match adopted() {
                    Some(value) => value,
                    None => Secret::of(keys::private_key(*algorithm).await?.as_bytes()),
                },
                _ => continue,
            };
            content.data.insert(name.clone(), value);
        }
        self.of_keys(desired, live, &mut content, &mut others).await?;
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
            content.data.insert(name.clone(), value);
        }
        self.escrowed(desired, live, &mut content, &mut others).await?;
        for (name, source) in &desired.secret {
            let SecretSource::Serving(wanted) = source else { continue };
            let (value, due) = self.serving(wanted, &mut others).await?;
            content.renew_at = content.renew_at.into_iter().chain(due).min();
            content.data.insert(name.clone(), value);
        }
        for (name, source) in &desired.secret {
            let SecretSource::Compose { pieces } = source else { continue };
            let mut plain = Zeroizing::new(Vec::new());
            for piece in pieces {
                match piece {
                    Piece::Text(text) => plain.extend_from_slice(text.as_bytes()),
                    Piece::Secret(wanted) => {
                        plain.extend_from_slice(&self.fetch(wanted, &content.data, &mut others).await?);
                        // What is made of something that ends follows what is made in its place.
                        let place = (wanted.namespace.as_str(), wanted.name.as_str());
                        let source = others.get(&place).and_then(Option::as_ref);
                        let due = source.and_then(LiveSecret::renew_at).map(|at| at.max(self.now + SOON));
                        content.renew_at = content.renew_at.into_iter().chain(due).min();
                    }
                }
            }
            content.data.insert(name.clone(), Secret::of(&plain));
        }
        Ok(content)
    }

    /// Public halves and certificates of the Secret's own private keys. What signs others in the same Secret comes first.
    async fn of_keys<'k>(
        &self,
        desired: &'k Desired,
        live: Option<&LiveSecret>,
        content: &mut Content,
        others: &mut Others<'k>,
    ) -> Result<(), Trouble> {
        let is_signed =
            |source: &SecretSource| matches!(source, SecretSource::Certificate(c) if c.signed_by.is_some());
        let (signed, own): (Vec<_>, Vec<_>) =
            desired.secret.iter().partition(|(_, source)| is_signed(source));
        for (name, source) in own.into_iter().chain(signed) {
            let (SecretSource::PublicKey { of } | SecretSource::Certificate(Certificate { of, .. })) = source
            else {
                continue;
            };
            let invalid =
                |what: String| Trouble::new(Reason::Invalid, format!("key {of} of {}: {what}", self.key));
            let private = content.data.get(of).ok_or_else(|| invalid("is no private key".to_owned()))?;
            let private = private.plain().ok_or_else(|| invalid("is not base64".to_owned()))?;
            let value = match source {
                SecretSource::Certificate(wanted) => {
                    let known = live.and_then(|live| live.value(name)).and_then(Secret::plain);
                    let made = self.certificate(wanted, &private, known, content, others).await?;
                    if wanted.days.is_some() {
                        let due = certificates::renewal(&made).map_err(invalid)?;
                        content.renew_at = content.renew_at.into_iter().chain([due]).min();
                    }
                    Secret::of(&made)
                }
                _ => Secret::of(keys::public_key(&private).map_err(invalid)?.as_bytes()),
            };
            content.data.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The certificate that is there, or a new one.
    async fn certificate<'k>(
        &self,
        wanted: &'k Certificate,
        private: &[u8],
        known: Option<Zeroizing<Vec<u8>>>,
        content: &Content,
        others: &mut Others<'k>,
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let signer = match &wanted.signed_by {
            None => None,
            Some(signer) => Some((
                self.fetch(&signer.certificate, &content.data, others).await?,
                self.fetch(&signer.key, &content.data, others).await?,
            )),
        };
        let authority = signer.as_ref().map(|(certificate, key)| Authority { certificate, key });
        let stays = |known: &Zeroizing<Vec<u8>>| {
            certificates::stays(wanted, known, private, authority.map(|a| a.certificate), self.now)
        };
        if let Some(known) = known.filter(stays) {
            return Ok(known);
        }
        let made = certificates::issue(wanted, private, authority, self.now);
        made.map(|pem| Zeroizing::new(pem.into_bytes())).map_err(|what| {
            let message = format!("a certificate of key {} of {}: {what}", wanted.of, self.key);
            Trouble::new(Reason::Invalid, message)
        })
    }

    /// Other values, encrypted: what is there stays while the digest beside it is that of the same values. Encrypted anew each
    /// time, it would never be the same.
    async fn escrowed<'k>(
        &self,
        desired: &'k Desired,
        live: Option<&LiveSecret>,
        content: &mut Content,
        others: &mut Others<'k>,
    ) -> Result<(), Trouble> {
        let mut same = true;
        let of_part = |wanted: Escrow| {
            desired.secret.iter().filter_map(move |(name, source)| match source {
                SecretSource::Escrowed { keys, recipients, part } if *part == wanted => {
                    Some((name, keys, recipients))
                }
                _ => None,
            })
        };
        for (name, keys, recipients) in of_part(Escrow::Digest) {
            let values = self.all(keys, content, others).await?;
            let digest = Secret::of(escrow::digest(&values, recipients).as_bytes());
            same &= live.and_then(|live| live.value(name)) == Some(&digest);
            content.data.insert(name.clone(), digest);
        }
        for (name, keys, recipients) in of_part(Escrow::Archive) {
            let known = live.and_then(|live| live.value(name)).filter(|_| same).cloned();
            let value = match known {
                Some(known) => known,
                None => {
                    let values = self.all(keys, content, others).await?;
                    let sealed = escrow::sealed(&values, recipients);
                    Secret::of(
                        &sealed
                            .map_err(|what| Trouble::new(Reason::Invalid, format!("{}: {what}", self.key)))?,
                    )
                }
            };
            content.data.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Values of other Secrets, with their places.
    async fn all<'k>(
        &self,
        keys: &'k [SecretKeyRef],
        content: &Content,
        others: &mut Others<'k>,
    ) -> Result<Vec<(&'k SecretKeyRef, Zeroizing<Vec<u8>>)>, Trouble> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push((key, self.fetch(key, &content.data, others).await?));
        }
        Ok(values)
    }

    /// A value that a step has handed over, as long as one of its pods is there to tell.
    async fn captured<'k>(
        &self,
        job: &str,
        name: &str,
        seal: &'k SecretKeyRef,
        others: &mut Others<'k>,
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
        others: &mut Others<'k>,
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let is_own = Some(&wanted.namespace) == self.key.namespace.as_ref() && wanted.name == self.key.name;
        let found = match is_own {
            true => own.get(&wanted.key),
            false => self.other(wanted, others).await?.and_then(|live| live.value(&wanted.key)),
        };
        let place = format!("key {} of Secret {}/{}", wanted.key, wanted.namespace, wanted.name);
        let Some(value) = found else {
            return Err(Trouble::new(Reason::Waiting, format!("waits for {place}")));
        };
        value.plain().ok_or_else(|| Trouble::new(Reason::Invalid, format!("{place} is not base64")))
    }

    /// A value as it is on the side that serves, and when that is made anew.
    async fn serving<'k>(
        &self,
        wanted: &'k SecretKeyRef,
        others: &mut Others<'k>,
    ) -> Result<(Secret, Option<i64>), Trouble> {
        let now = self.now;
        let found = self.other(wanted, others).await?;
        let value = found.and_then(|live| live.value(&wanted.key)).cloned().ok_or_else(|| {
            let SecretKeyRef { namespace, name, key } = wanted;
            let message = format!("waits for key {key} of Secret {namespace}/{name} on the side that serves");
            Trouble::new(Reason::Waiting, message)
        })?;
        Ok((value, found.and_then(LiveSecret::renew_at).map(|at| at.max(now + SOON))))
    }

    /// A Secret on the cluster that its namespace is on, read once.
    async fn other<'k, 'o>(
        &self,
        wanted: &'k SecretKeyRef,
        others: &'o mut Others<'k>,
    ) -> Result<Option<&'o LiveSecret>, Trouble> {
        let place = (wanted.namespace.as_str(), wanted.name.as_str());
        if let Entry::Vacant(slot) = others.entry(place) {
            let key = ObjectKey {
                api_version: "v1".to_owned(),
                kind: "Secret".to_owned(),
                namespace: Some(wanted.namespace.clone()),
                name: wanted.name.clone(),
            };
            let home = self.sources.of(&wanted.namespace)?;
            // Every cluster serves Secrets in the same way.
            let read = home.caller.get(self.served, &key, Answer::Whole).await;
            slot.insert(read.map_err(|error| classify(&key, &error))?);
        }
        Ok(others.get(&place).and_then(Option::as_ref))
    }
}
