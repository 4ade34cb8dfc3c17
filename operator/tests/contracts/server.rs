//! A contract as a server on loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

use crate::contract::{Answered, Asked, Contract};

/// Bytes that a request may have.
const LARGEST: usize = 8 << 20;

/// A running contract server; it ends when this is dropped.
pub struct Served {
    /// Its origin.
    pub url: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    contract: Arc<Contract>,
    state: Mutex<Map<String, Value>>,
    misfits: Mutex<Vec<String>>,
}

/// Serves a contract, in the state in which it begins.
pub fn serve(contract: Arc<Contract>) -> Served {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = Mutex::new(contract.state.clone());
    let shared = Arc::new(Shared { contract, state, misfits: Mutex::default() });
    let router = Router::new().fallback(answer).with_state(shared.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    Served { url, shared, _runtime: runtime }
}

impl Served {
    /// The state that it is in.
    pub fn state(&self) -> Map<String, Value> {
        self.shared.state.lock().unwrap().clone()
    }

    /// The requests since the last call that did not fit, and why.
    pub fn misfits(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.misfits.lock().unwrap())
    }
}

async fn answer(State(server): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        content: axum::body::to_bytes(body, LARGEST).await.unwrap().to_vec(),
    };
    let answered = server.contract.answer(&mut server.state.lock().unwrap(), &asked);
    match answered {
        Ok(Answered { status, headers, content }) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(content)).unwrap()
        }
        Err(why) => {
            let content = String::from_utf8_lossy(&asked.content);
            let misfit = format!("{} {}: {why}: {content}", asked.method, parts.uri);
            server.misfits.lock().unwrap().push(misfit);
            (StatusCode::BAD_REQUEST, why).into_response()
        }
    }
}
