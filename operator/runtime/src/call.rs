//! One request to an API server: built here, sent here, its failure understood here. Reads are free for everyone;
//! a write needs a [`Writer`], and a `Writer` looks at the lease first.

use std::fmt;
use std::time::{Duration, Instant};

use http::{Method, Request, header};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::discovery::ApiResource;
use plinth_api::mutant::Mutant;
use plinth_api::names;
use plinth_plan::model::ObjectKey;
use serde::de::DeserializeOwned;

use crate::clusters::pulse::Pulse;
use crate::lease::{Fence, NotLeader};
use crate::metrics::Metrics;

/// Longest time one request to the hub may take. The API server gives up after 60 s; admission webhooks after at most 30 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const APPLY_PATCH: &str = "application/apply-patch+yaml";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Why a request did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server said no.
    #[error("{}", status.message)]
    Api {
        /// What it said.
        status: Box<Status>,
        /// Seconds that it asks to wait.
        retry_after: Option<u32>,
    },
    /// Nothing or garbage came back. A write may have happened or not.
    #[error("no answer from the API server: {0}")]
    Lost(String),
    /// Another process leads: nothing was sent.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
}

impl CallError {
    /// HTTP status, when there was an answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            CallError::Api { status, .. } => Some(status.code),
            _ => None,
        }
    }

    /// The object, or its kind, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, CallError::Api { status, .. } if status.is_not_found())
    }

    /// A create met an object of that name.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, CallError::Api { status, .. } if status.is_already_exists())
    }

    /// A precondition (resourceVersion, uid) no longer holds, or another manager owns a field.
    pub fn is_conflict(&self) -> bool {
        matches!(self, CallError::Api { status, .. } if status.is_conflict())
    }

    /// Whether the write may have happened although no success was seen.
    pub fn is_uncertain(&self) -> bool {
        match self {
            CallError::Lost(_) => true,
            CallError::Api { status, .. } => status.code >= 500,
            CallError::NotLeader(_) => false,
        }
    }
}

/// A kind as a cluster serves it.
#[derive(Clone, Debug)]
pub struct Served {
    /// Group, version, plural.
    pub resource: ApiResource,
    /// Its objects live in namespaces.
    pub namespaced: bool,
}

impl Served {
    /// Collection path of the kind for a namespace.
    fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.resource.group.is_empty() { "/api" } else { "/apis" };
        let api_version = &self.resource.api_version;
        let plural = &self.resource.plural;
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{api_version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{api_version}/{plural}"),
        }
    }

    fn object(&self, key: &ObjectKey) -> String {
        format!("{}/{}", self.collection(key.namespace.as_deref()), key.name)
    }
}

/// What comes back: the whole object, or its metadata only (Secrets: the values never reach us).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything.
    Whole,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Answer {
    fn accept(self) -> &'static str {
        match self {
            Answer::Whole => JSON,
            Answer::Metadata => METADATA,
        }
    }
}

/// Sends requests, bounded in time, counted, each answered with bytes or a [`CallError`].
#[derive(Clone)]
pub struct Caller {
    client: Client,
    metrics: Metrics,
    timeout: Duration,
    pulse: Pulse,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller")
    }
}

impl Caller {
    /// Over `client`, each request within `timeout`; none is sent to a cluster that is known not to answer.
    pub fn new(client: Client, metrics: Metrics, timeout: Duration, pulse: Pulse) -> Self {
        Self { client, metrics, timeout, pulse }
    }

    /// Whether the API server answers at all: asked also of one that did not a moment ago.
    ///
    /// # Errors
    /// No answer within `limit`, or one that says that it is not ready to serve.
    pub async fn probe(&self, limit: Duration) -> Result<(), CallError> {
        let request = build(Method::GET, "/readyz", &[], "text/plain", JSON, Vec::new())?;
        let answer = tokio::time::timeout(limit, self.exchange(request)).await;
        match answer.unwrap_or_else(|_| Err(CallError::Lost(format!("none within {limit:?}")))) {
            // It knows us not, or lets us not ask: it answers all the same.
            Err(error) if matches!(error.code(), Some(401 | 403)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// What time it is by the API server, as it dates its answers, in whole seconds.
    ///
    /// # Errors
    /// The API server did not answer, or does not say.
    pub async fn date(&self) -> Result<Timestamp, CallError> {
        let request = build(Method::GET, "/version", &[], "application/json", JSON, Vec::new())?;
        let lost = |error: kube::Error| CallError::Lost(chain(&error));
        let answer = tokio::time::timeout(self.timeout, self.client.send(request)).await;
        let response =
            answer.map_err(|_| CallError::Lost(format!("none within {:?}", self.timeout)))?.map_err(lost)?;
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let date =
            date.ok_or_else(|| CallError::Lost("the API server does not date its answers".to_owned()))?;
        Ok(date.timestamp())
    }

    /// A document that is no object, by its path.
    ///
    /// # Errors
    /// The API server refused or did not answer.
    pub async fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let request = build(Method::GET, path, &[], JSON, JSON, Vec::new())?;
        parse(&self.send(request).await?)
    }

    /// One object; `None` when there is none.
    pub async fn get<T: DeserializeOwned>(
        &self,
        served: &Served,
        key: &ObjectKey,
        answer: Answer,
    ) -> Result<Option<T>, CallError> {
        let request = build(Method::GET, &served.object(key), &[], answer.accept(), JSON, Vec::new())?;
        match self.send(request).await {
            Ok(bytes) => parse(&bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Objects of a kind, in one namespace or in all.
    pub async fn list<T: DeserializeOwned>(
        &self,
        served: &Served,
        namespace: Option<&str>,
        query: &[(&str, &str)],
        answer: Answer,
    ) -> Result<T, CallError> {
        let accept = match answer {
            Answer::Whole => JSON,
            Answer::Metadata => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        };
        let request = build(Method::GET, &served.collection(namespace), query, accept, JSON, Vec::new())?;
        parse(&self.send(request).await?)
    }

    async fn send(&self, request: Request<Body>) -> Result<Vec<u8>, CallError> {
        if let Some(why) = self.pulse.silence() {
            return Err(CallError::Lost(why));
        }
        let method = request.method().clone();
        let answer = tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or_else(|_| Err(CallError::Lost(format!("none within {:?}", self.timeout))));
        self.metrics.requested(method.as_str(), answer.as_ref().err().map(CallError::code));
        answer
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Vec<u8>, CallError> {
        let lost = |error: kube::Error| CallError::Lost(chain(&error));
        let response = self.client.send(request).await.map_err(lost)?;
        let code = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.parse().ok());
        let bytes = response.into_body().collect_bytes().await.map_err(lost)?;
        if code.is_success() {
            return Ok(bytes.into());
        }
        let mut status: Status = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            // A path of a kind that is not served, or a proxy in between, answers in plain text.
            let text = String::from_utf8_lossy(&bytes);
            Status::failure(text.trim(), if code.as_u16() == 404 { "NotFound" } else { "" })
        });
        status.code = code.as_u16();
        let asked = status.details.as_ref().map(|d| d.retry_after_seconds).filter(|s| *s > 0);
        Err(CallError::Api { status: Box::new(status), retry_after: retry_after.or(asked) })
    }
}

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub struct Applying<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// Take fields from other managers.
    pub force: bool,
    /// Subresource, `status` say.
    pub subresource: Option<&'a str>,
    /// What comes back.
    pub answer: Answer,
}

impl Applying<'_> {
    /// As Plinth applies what it renders.
    pub fn rendered(force: bool) -> Self {
        Self { manager: names::FIELD_MANAGER, force, subresource: None, answer: Answer::Whole }
    }
}

/// The right to write: a [`Caller`] that looks at the lease before every single write.
#[derive(Clone, Debug)]
pub struct Writer {
    caller: Caller,
    fence: Fence,
}

impl Writer {
    /// Writes as long as `fence` holds.
    pub fn new(caller: Caller, fence: Fence) -> Self {
        Self { caller, fence }
    }

    /// For reads.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether a write would be sent now.
    pub fn check(&self) -> Result<(), NotLeader> {
        self.fence.check()
    }

    /// Server-side apply, strict about unknown fields.
    pub async fn apply<T: DeserializeOwned>(
        &self,
        served: &Served,
        key: &ObjectKey,
        body: Vec<u8>,
        how: Applying<'_>,
    ) -> Result<T, CallError> {
        let mut path = served.object(key);
        if let Some(subresource) = how.subresource {
            path = format!("{path}/{subresource}");
        }
        let query = [
            ("fieldManager", how.manager),
            ("fieldValidation", "Strict"),
            ("force", if how.force { "true" } else { "false" }),
        ];
        let request = build(Method::PATCH, &path, &query, how.answer.accept(), APPLY_PATCH, body)?;
        self.write("apply", &key.kind, request).await.and_then(|bytes| parse(&bytes))
    }

    /// Create; an existing object is an error.
    pub async fn create<T: DeserializeOwned>(
        &self,
        served: &Served,
        key: &ObjectKey,
        body: Vec<u8>,
        answer: Answer,
    ) -> Result<T, CallError> {
        let path = served.collection(key.namespace.as_deref());
        let query = [("fieldManager", names::FIELD_MANAGER), ("fieldValidation", "Strict")];
        let request = build(Method::POST, &path, &query, answer.accept(), JSON, body)?;
        self.write("create", &key.kind, request).await.and_then(|bytes| parse(&bytes))
    }

    /// Replace; the body carries the resourceVersion that must still be there.
    pub async fn replace<T: DeserializeOwned>(
        &self,
        served: &Served,
        key: &ObjectKey,
        body: Vec<u8>,
        answer: Answer,
    ) -> Result<T, CallError> {
        let query = [("fieldManager", names::FIELD_MANAGER), ("fieldValidation", "Strict")];
        let request = build(Method::PUT, &served.object(key), &query, answer.accept(), JSON, body)?;
        self.write("replace", &key.kind, request).await.and_then(|bytes| parse(&bytes))
    }

    /// JSON merge patch.
    pub async fn merge<T: DeserializeOwned>(
        &self,
        served: &Served,
        key: &ObjectKey,
        body: Vec<u8>,
        answer: Answer,
    ) -> Result<T, CallError> {
        let query = [("fieldManager", names::FIELD_MANAGER)];
        let request = build(Method::PATCH, &served.object(key), &query, answer.accept(), MERGE_PATCH, body)?;
        self.write("patch", &key.kind, request).await.and_then(|bytes| parse(&bytes))
    }

    /// Delete with a uid precondition. True when the object is gone already; otherwise the watch tells how it goes on.
    pub async fn delete(&self, served: &Served, key: &ObjectKey, uid: &str) -> Result<bool, CallError> {
        let options = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid },
        });
        let body = if Mutant::DeleteByName.lives() { Vec::new() } else { options.to_string().into_bytes() };
        let request = build(Method::DELETE, &served.object(key), &[], METADATA, JSON, body)?;
        match self.write("delete", &key.kind, request).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_not_found() => Ok(true),
            // A namespace that terminates already, or the name belongs to an object with another uid by now.
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        verb: &'static str,
        kind: &str,
        request: Request<Body>,
    ) -> Result<Vec<u8>, CallError> {
        self.fence.check()?;
        let began = Instant::now();
        let result = tokio::select! {
            biased;
            // A process that stood still between the look and the sending must not send when it goes on.
            () = self.fence.expired() => {
                Err(CallError::Lost("the lease ran out while it was under way".to_owned()))
            }
            result = self.caller.send(request) => result,
        };
        let error = result.as_ref().err().map(CallError::code);
        self.caller.metrics.wrote(verb, kind, error, began.elapsed());
        result
    }
}

fn build(
    method: Method,
    path: &str,
    query: &[(&str, &str)],
    accept: &str,
    content: &str,
    body: Vec<u8>,
) -> Result<Request<Body>, CallError> {
    let mut uri = path.to_owned();
    for (i, (name, value)) in query.iter().enumerate() {
        uri.push(if i == 0 { '?' } else { '&' });
        uri.push_str(name);
        uri.push('=');
        uri.push_str(&escape(value));
    }
    Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, accept)
        .header(header::CONTENT_TYPE, content)
        .body(Body::from(body))
        .map_err(|error| CallError::Lost(format!("the request cannot be built: {error}")))
}

/// Percent-encodes everything but the unreserved characters.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The parse error names line and column, never content: the answer may be a Secret.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(bytes).map_err(|e| {
        CallError::Lost(format!("its answer is not understood (line {}, column {})", e.line(), e.column()))
    })
}

/// An error with its causes: hyper's top level alone says next to nothing.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
