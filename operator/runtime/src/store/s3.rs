//! Object storage with the interface of S3, by signed addresses (Signature Version 4). What is sent carries its MD5, as S3
//! demands of objects that are locked.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use jiff::{Span, Timestamp};
use md5::{Digest as _, Md5};
use plinth_api::v1alpha1::backup::ObjectLock;
use plinth_plan::backup::Place;
use rusty_s3::actions::{CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tokio::time::{sleep, timeout};

use super::Account;
use crate::onboard::http::{Caller, chain, client};

/// A signed address is good for so long: it is used at once.
const GOOD_FOR: Duration = Duration::from_secs(900);
/// One part is sent, or an answer has begun, within so long.
const PATIENCE: Duration = Duration::from_secs(300);
/// Tries of one request, and the wait before the second; each further wait is twice as long.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Characters of a refusal that a message quotes.
const LONGEST_QUOTE: usize = 300;

/// A bucket.
pub struct Store {
    bucket: Bucket,
    credentials: Credentials,
    caller: Caller,
    lock: Option<ObjectLock>,
}

/// An answer: what it says about itself, and its body as it comes.
pub struct Answered {
    status: StatusCode,
    headers: http::HeaderMap,
    body: hyper::body::Incoming,
}

impl Answered {
    /// Bytes that were promised.
    pub fn length(&self) -> Option<u64> {
        self.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame =
                timeout(PATIENCE, self.body.frame()).await.context("the storage has stopped to answer")?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| anyhow::anyhow!("the answer broke off: {}", chain(&error)))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    async fn whole(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

/// A request that can be sent again.
struct Request {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Store {
    /// A bucket with an account; it trusts these certificates (PEM), or what the system trusts.
    ///
    /// # Errors
    /// The address is none, or the certificates are none.
    pub fn new(place: &Place, account: &Account, trusted: Option<&str>) -> Result<Self> {
        let endpoint =
            place.endpoint.parse().with_context(|| format!("`{}` is no address", place.endpoint))?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, place.bucket.clone(), place.region.clone())?;
        let credentials = Credentials::new(&account.access_key, &**account.secret_key);
        Ok(Self { bucket, credentials, caller: client(trusted)?, lock: place.object_lock.clone() })
    }

    /// Writes a small object.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn write(&self, object: &str, content: Vec<u8>) -> Result<()> {
        let mut action = self.bucket.put_object(Some(&self.credentials), object);
        let headers =
            self.locked().into_iter().chain([("content-md5", digest(&content))]).collect::<Vec<_>>();
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.clone());
        }
        let url = action.sign(GOOD_FOR).to_string();
        let request = Request { method: Method::PUT, url, headers, body: content.into() };
        self.done(&request, &format!("writing {object}")).await.map(drop)
    }

    /// Reads a small object; `None` where there is none.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn read(&self, object: &str) -> Result<Option<Vec<u8>>> {
        match self.open(object).await? {
            None => Ok(None),
            Some(answer) => answer.whole().await.map(Some).with_context(|| format!("reading {object}")),
        }
    }

    /// Reads an object as it comes; `None` where there is none.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn open(&self, object: &str) -> Result<Option<Answered>> {
        let url = self.bucket.get_object(Some(&self.credentials), object).sign(GOOD_FOR).to_string();
        let request = Request { method: Method::GET, url, headers: Vec::new(), body: Bytes::new() };
        let answer = self.asked(&request).await.with_context(|| format!("reading {object}"))?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer)),
            _ => Err(refused(answer).await).with_context(|| format!("reading {object}")),
        }
    }

    /// Names of the objects that begin so.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
            action.with_prefix(prefix);
            if let Some(token) = next.take() {
                action.with_continuation_token(token);
            }
            let url = action.sign(GOOD_FOR).to_string();
            let request = Request { method: Method::GET, url, headers: Vec::new(), body: Bytes::new() };
            let what = format!("listing {prefix}");
            let text = self.done(&request, &what).await?.whole().await?;
            let page = ListObjectsV2::parse_response(&String::from_utf8_lossy(&text))
                .with_context(|| format!("{what}: the answer is no list"))?;
            names.extend(page.contents.into_iter().map(|object| object.key));
            next = page.next_continuation_token;
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    /// Deletes an object, if it is there and may be.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn delete(&self, object: &str) -> Result<()> {
        let url = self.bucket.delete_object(Some(&self.credentials), object).sign(GOOD_FOR).to_string();
        let request = Request { method: Method::DELETE, url, headers: Vec::new(), body: Bytes::new() };
        self.done(&request, &format!("deleting {object}")).await.map(drop)
    }

    /// Begins an object of several parts.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn begin<'a>(&'a self, object: &'a str) -> Result<Upload<'a>> {
        let mut action = self.bucket.create_multipart_upload(Some(&self.credentials), object);
        let headers = self.locked();
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.clone());
        }
        let url = action.sign(GOOD_FOR).to_string();
        let request = Request { method: Method::POST, url, headers, body: Bytes::new() };
        let what = format!("beginning {object}");
        let text = self.done(&request, &what).await?.whole().await?;
        let begun = CreateMultipartUpload::parse_response(&String::from_utf8_lossy(&text))
            .with_context(|| format!("{what}: the answer names no upload"))?;
        Ok(Upload { store: self, object, id: begun.upload_id().to_owned(), tags: Vec::new() })
    }

    /// What says that an object cannot be changed, and until when.
    fn locked(&self) -> Vec<(&'static str, String)> {
        let Some(lock) = &self.lock else { return Vec::new() };
        let hours = Span::new().hours(i64::from(lock.days) * 24);
        let until = Timestamp::now().checked_add(hours).unwrap_or(Timestamp::MAX);
        vec![
            ("x-amz-object-lock-mode", lock.mode.as_header().to_owned()),
            ("x-amz-object-lock-retain-until-date", until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ]
    }

    /// A request whose answer says yes.
    async fn done(&self, request: &Request, what: &str) -> Result<Answered> {
        let answer = self.asked(request).await.with_context(|| what.to_owned())?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(refused(answer).await).with_context(|| what.to_owned())
    }

    /// An answer of any kind; who does not answer, or is busy, is asked again.
    async fn asked(&self, request: &Request) -> Result<Answered> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let trouble = match timeout(PATIENCE, self.ask(request)).await {
                Ok(Ok(answer)) if is_busy(answer.status) && attempt < TRIES => answer.status.to_string(),
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) => trouble,
                Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            if attempt == TRIES {
                bail!("{trouble} ({TRIES} tries)");
            }
            tracing::debug!(%trouble, attempt, "the storage is asked again");
            sleep(wait).await;
            wait *= 2;
            attempt += 1;
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answered, String> {
        let mut sent = http::Request::builder().method(request.method.clone()).uri(&request.url);
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        let sent = sent.body(Full::new(request.body.clone())).map_err(|error| error.to_string())?;
        let answer = self.caller.request(sent).await.map_err(|error| chain(&error))?;
        let (head, body) = answer.into_parts();
        Ok(Answered { status: head.status, headers: head.headers, body })
    }
}

/// An object of several parts that is being sent.
pub struct Upload<'a> {
    store: &'a Store,
    object: &'a str,
    id: String,
    tags: Vec<String>,
}

impl Upload<'_> {
    /// Sends the next part.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn part(&mut self, content: Bytes) -> Result<()> {
        let number = u16::try_from(self.tags.len() + 1).context("more parts than S3 takes")?;
        let Self { store, object, id, .. } = self;
        let mut action = store.bucket.upload_part(Some(&store.credentials), object, number, id);
        let md5 = digest(&content);
        action.headers_mut().insert("content-md5", md5.clone());
        let url = action.sign(GOOD_FOR).to_string();
        let headers = vec![("content-md5", md5)];
        let request = Request { method: Method::PUT, url, headers, body: content };
        let what = format!("sending part {number} of {object}");
        let answer = store.done(&request, &what).await?;
        let tag = answer.headers.get(http::header::ETAG).and_then(|tag| tag.to_str().ok());
        self.tags.push(tag.with_context(|| format!("{what}: the answer has no ETag"))?.to_owned());
        Ok(())
    }

    /// Makes the object of its parts: until then there is none.
    ///
    /// # Errors
    /// The storage refused or did not answer.
    pub async fn complete(self) -> Result<()> {
        let Self { store, object, id, tags } = &self;
        let tags = tags.iter().map(String::as_str);
        let action = store.bucket.complete_multipart_upload(Some(&store.credentials), object, id, tags);
        let url = action.sign(GOOD_FOR).to_string();
        let request = Request { method: Method::POST, url, headers: Vec::new(), body: action.body().into() };
        let what = format!("completing {object}");
        let text = store.done(&request, &what).await?.whole().await?;
        // A refusal may come after the answer has begun well.
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains("<Error>") {
            bail!("{what}: {}", quoted(&text));
        }
        Ok(())
    }

    /// Gives it up: its parts go.
    pub async fn abort(self) {
        let Self { store, object, id, .. } = &self;
        let action = store.bucket.abort_multipart_upload(Some(&store.credentials), object, id);
        let url = action.sign(GOOD_FOR).to_string();
        let request = Request { method: Method::DELETE, url, headers: Vec::new(), body: Bytes::new() };
        if let Err(error) = store.done(&request, &format!("giving up {object}")).await {
            tracing::warn!(%error, "parts that nobody needs stay in the bucket");
        }
    }
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Why the storage refused, in its words.
async fn refused(answer: Answered) -> anyhow::Error {
    let status = answer.status;
    let text = answer.whole().await.unwrap_or_default();
    anyhow::anyhow!("the storage says {status}: {}", quoted(&String::from_utf8_lossy(&text)))
}

fn quoted(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(LONGEST_QUOTE).collect()
}

fn digest(content: &[u8]) -> String {
    BASE64.encode(Md5::digest(content))
}
