//! Who asks, and what they may see: the API server's own word on both, believed for half a minute.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::view::Shown;

/// How long an answer of the API server is believed: a right that was taken back ends this late.
const BELIEVED: Duration = Duration::from_secs(30);
/// Answers that are kept; more people than this are asked for again.
const KEPT: usize = 10_000;
/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// Somebody who is known to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    /// User name.
    pub name: String,
    groups: Vec<String>,
    uid: Option<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no token, or the cluster does not know it.
    #[error(
        "no valid token: give one that this cluster takes, such as that of `kubectl create token ACCOUNT`"
    )]
    Unknown,
    /// The API server could not be asked.
    #[error("the API server cannot be asked who that is: {0}")]
    Unasked(#[from] kube::Error),
}

/// Asks the API server.
pub struct Access {
    client: Client,
    people: Believed<[u8; 32], Option<Person>>,
    rights: Believed<(Person, Shown, Option<String>), bool>,
}

impl Access {
    /// By this client, which may create `tokenreviews` and `subjectaccessreviews`.
    pub fn new(client: Client) -> Self {
        Self { client, people: Believed::default(), rights: Believed::default() }
    }

    /// Whose token that is. It is kept nowhere, only its digest.
    ///
    /// # Errors
    /// The cluster does not know it, or cannot be asked.
    pub async fn person(&self, token: &str) -> Result<Person, Refused> {
        if token.is_empty() || token.len() > LONGEST {
            return Err(Refused::Unknown);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.people.get(&digest) {
            return known.ok_or(Refused::Unknown);
        }
        let person = self.review(token).await?;
        self.people.put(digest, person.clone());
        person.ok_or(Refused::Unknown)
    }

    async fn review(&self, token: &str) -> Result<Option<Person>, kube::Error> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed =
            Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let status = reviewed.status.unwrap_or_default();
        if status.authenticated != Some(true) {
            return Ok(None);
        }
        let UserInfo { username, groups, uid, extra } = status.user.unwrap_or_default();
        Ok(username.filter(|name| !name.is_empty()).map(|name| Person {
            name,
            groups: groups.unwrap_or_default(),
            uid,
            extra: extra.unwrap_or_default(),
        }))
    }

    /// Whether the person may list that kind there, or everywhere. Who cannot be asked about sees nothing.
    pub async fn may_see(&self, person: &Person, kind: Shown, namespace: &str) -> bool {
        self.may_list(person, kind, None).await || self.may_list(person, kind, Some(namespace)).await
    }

    async fn may_list(&self, person: &Person, kind: Shown, namespace: Option<&str>) -> bool {
        let question = (person.clone(), kind, namespace.map(str::to_owned));
        if let Some(answer) = self.rights.get(&question) {
            return answer;
        }
        match self.ask(person, kind, namespace).await {
            Ok(answer) => {
                self.rights.put(question, answer);
                answer
            }
            Err(error) => {
                tracing::warn!(%error, "the API server cannot be asked what a person may see");
                false
            }
        }
    }

    async fn ask(&self, person: &Person, kind: Shown, namespace: Option<&str>) -> Result<bool, kube::Error> {
        let (group, resource) = kind.resource();
        let spec = SubjectAccessReviewSpec {
            user: Some(person.name.clone()),
            groups: Some(person.groups.clone()),
            uid: person.uid.clone(),
            extra: Some(person.extra.clone()),
            resource_attributes: Some(ResourceAttributes {
                verb: Some("list".to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}

/// Answers with the moment from which they count no more.
struct Believed<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Believed<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Believed<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = answers.get(key)?;
        (Instant::now() < *until).then(|| answer.clone())
    }

    fn put(&self, key: K, answer: V) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= KEPT {
            let now = Instant::now();
            answers.retain(|_, (until, _)| now < *until);
        }
        if answers.len() >= KEPT {
            answers.clear();
        }
        answers.insert(key, (Instant::now() + BELIEVED, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_believed_for_half_a_minute() {
        let believed = Believed::default();
        believed.put("right", true);
        tokio::time::advance(BELIEVED - Duration::from_millis(1)).await;
        assert_eq!(believed.get(&"right"), Some(true));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(believed.get(&"right"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn many_answers_do_not_fill_the_memory() {
        let believed = Believed::default();
        for key in 0..3 * KEPT {
            believed.put(key, ());
        }
        assert!(believed.0.lock().unwrap().len() <= KEPT);
    }
}
