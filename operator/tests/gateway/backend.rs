//! Services that say what reached them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::serve::Listener;
use axum::{Json, Router};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client::Identity;

/// What reached a service.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reached {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Reached {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// One server in the clear and one with TLS; they end when this is dropped.
pub struct Backends {
    pub http: SocketAddr,
    pub https: SocketAddr,
    hits: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Backends {
    /// Serves; the one with TLS presents `identity`.
    pub fn start(identity: &Identity) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let hits = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(answer).with_state(hits.clone());
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (plain, tls) = (bind(), Tls(bind(), TlsAcceptor::from(Arc::new(server(identity)))));
        let (http, https) = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
        let other = router.clone();
        runtime.spawn(async move { axum::serve(plain, router).await });
        runtime.spawn(async move { axum::serve(tls, other).await });
        Self { http, https, hits, _runtime: runtime }
    }

    /// How many calls have reached them.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn answer(State(hits): State<Arc<AtomicUsize>>, request: Request) -> Response {
    hits.fetch_add(1, Ordering::SeqCst);
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = request.headers().iter();
    let reached = Reached {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
    };
    // Words that only the exchange may say.
    let forged = [("x-road-error", "forged"), ("x-road-id", "forged"), ("x-road-client", "forged")];
    (forged, Json(reached)).into_response()
}

fn server(identity: &Identity) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

/// TLS over TCP; a connection that fails is the next one's business.
struct Tls(TcpListener, TlsAcceptor);

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
