//! Services that say what reached them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::client::Identity;
use crate::tls::Tls;

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
        let (plain, tls) = (bind(), bind());
        let (http, https) = (plain.local_addr().unwrap(), tls.local_addr().unwrap());
        let tls = Tls::new(tls, &identity.certificate, &identity.key);
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
