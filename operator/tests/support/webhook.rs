//! A receiver of CloudEvents over TLS, as a team would have one.

use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::tls::Tls;

/// It ends when this is dropped.
pub struct Webhook {
    /// Its address.
    pub url: String,
    /// Its certificate, in PEM.
    pub certificate: String,
    heard: Heard,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(u32, Vec<Value>)>>);

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhook {
    /// Starts one that takes only what comes with this token, and nothing at all the first `refusals` times.
    pub async fn start(token: &'static str, refusals: u32) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}/sandboxes", listener.local_addr()?.port());
        let heard = Heard::default();
        heard.0.lock().unwrap().0 = refusals;
        let take = move |State(heard): State<Heard>, headers: HeaderMap, body: Bytes| async move {
            let mut heard = heard.0.lock().unwrap();
            if heard.0 > 0 {
                heard.0 -= 1;
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
            if !is("authorization", &format!("Bearer {token}"))
                || !is("content-type", "application/cloudevents+json")
            {
                return StatusCode::UNAUTHORIZED;
            }
            heard.1.extend(serde_json::from_slice::<Value>(&body));
            StatusCode::NO_CONTENT
        };
        let router = Router::new().route("/sandboxes", axum::routing::post(take)).with_state(heard.clone());
        let listener = Tls::new(listener, &made.cert.pem(), &made.signing_key.serialize_pem());
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, certificate: made.cert.pem(), heard, task })
    }

    /// Types of the events about a sandbox so far, each once.
    pub fn types(&self, sandbox: &str) -> Result<Vec<String>> {
        let heard = self.heard.0.lock().unwrap();
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for event in heard.1.iter().filter(|event| event["data"]["name"] == sandbox) {
            ensure!(
                event["specversion"] == "1.0" && event["data"]["owner"]["contact"].is_string(),
                "{event}"
            );
            let (id, kind) =
                (event["id"].as_str().unwrap_or_default(), event["type"].as_str().unwrap_or_default());
            if !seen.contains(&(id, kind)) {
                seen.push((id, kind));
            }
        }
        Ok(seen.into_iter().map(|(_, kind)| kind.to_owned()).collect())
    }
}
