//! The client: one request, one answer. No redirects, no proxy: a block's own Services are called directly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use plinth_api::v1alpha1::onboarding::Part;
use plinth_plan::onboarding::{Answer, Content, Filled};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::time::timeout;

/// One request with its answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const LONGEST_ANSWER: usize = 4 << 20;

/// Why there is no answer.
pub enum Error {
    /// The request cannot be sent.
    Request(String),
    /// Nobody answered, or not to the end.
    Connection(String),
}

/// What requests are sent with.
pub(crate) type Caller = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The client.
pub struct Http(Caller);

impl Http {
    /// A client that trusts these certificates (PEM), or what the system trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
    pub fn new(trusted: Option<&str>) -> Result<Self> {
        Ok(Self(client(trusted)?))
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: &Filled) -> Result<Answer, Error> {
        let request = of(request).map_err(|error| Error::Request(error.to_string()))?;
        let work = async {
            let response = self.0.request(request).await.map_err(|error| chain(&error))?;
            let status = response.status().as_u16();
            let headers = first_of_each(response.headers());
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
            let bytes = body.map_err(|error| chain(error.as_ref()))?.to_bytes();
            Ok(Answer { status, headers, body: read(&bytes) })
        };
        match timeout(PATIENCE, work).await {
            Ok(answer) => answer.map_err(Error::Connection),
            Err(_) => Err(Error::Connection(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

/// A client that trusts these certificates (PEM), or what the system trusts.
pub(crate) fn client(trusted: Option<&str>) -> Result<Caller> {
    let mut roots = RootCertStore::empty();
    match trusted {
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        Some(pem) => {
            let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
            let certificates = certificates.collect::<Result<Vec<_>, _>>().ok().filter(|it| !it.is_empty());
            let certificates = certificates.context("what the step trusts holds no certificate in PEM")?;
            for certificate in certificates {
                roots.add(certificate).context("what the step trusts is no certificate")?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("no version of TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

fn of(filled: &Filled) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let mut request = http::Request::builder().method(filled.method.as_str()).uri(&filled.url);
    let given = |name: &str| filled.headers.keys().any(|header| header.eq_ignore_ascii_case(name));
    if !given("accept") {
        request = request.header("accept", "application/json");
    }
    let (kind, content): (Option<String>, Bytes) = match &filled.content {
        None => (None, Bytes::new()),
        Some(Content::Json(value)) => (Some("application/json".to_owned()), value.to_string().into()),
        Some(Content::Text(text)) => (Some("text/plain".to_owned()), text.clone().into()),
        Some(Content::Parts(parts)) => {
            let boundary = format!("plinth-{:032x}", rand::random::<u128>());
            (Some(format!("multipart/form-data; boundary={boundary}")), multipart(parts, &boundary).into())
        }
        Some(Content::Form(fields)) => {
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            (Some("application/x-www-form-urlencoded".to_owned()), form.into())
        }
    };
    if let Some(kind) = kind.filter(|_| !given("content-type")) {
        request = request.header("content-type", kind);
    }
    let request = filled.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    request.body(Full::new(content))
}

/// The parts of a form, as RFC 7578 has them. The boundary is random, so that no value holds it.
fn multipart(parts: &[Part], boundary: &str) -> String {
    let mut text = String::new();
    for Part { name, value, file_name, content_type } in parts {
        let quoted = |text: &str| text.replace(['"', '\r', '\n'], "_");
        text += &format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", quoted(name));
        if let Some(file) = file_name {
            text += &format!("; filename=\"{}\"", quoted(file));
        }
        if let Some(kind) = content_type {
            text += &format!("\r\ncontent-type: {}", quoted(kind));
        }
        text += &format!("\r\n\r\n{value}\r\n");
    }
    text + &format!("--{boundary}--\r\n")
}

/// Headers by name, in lower case; of several with one name the first.
fn first_of_each(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    let first = |name: &http::HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), text.to_owned()))
    };
    headers.keys().filter_map(first).collect()
}

/// JSON where it is JSON, else a text; null where it is empty.
fn read(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// An error with what caused it: the last word says why.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
