//! Telling somebody outside the cluster. One request, one receipt: no redirects, no cookies, nothing of the answer is kept.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;

use crate::onboard::http::client;

/// A receiver that takes longer has not heard.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells an event to a receiver. `trusted` holds certificates in PEM; without it the system's are trusted.
///
/// # Errors
/// It was not heard. The sentence holds neither address nor token: either may be a secret.
pub async fn tell(
    url: &str,
    trusted: Option<&str>,
    token: Option<&str>,
    event: &serde_json::Value,
) -> Result<(), String> {
    let client = client(trusted).map_err(|_| "caBundle holds no certificate in PEM".to_owned())?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/cloudevents+json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(event.to_string())));
    let request =
        request.map_err(|_| "url or token cannot be sent: look for spaces and line ends".to_owned())?;
    match tokio::time::timeout(PATIENCE, client.request(request)).await {
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) if error.is_connect() => {
            Err("no connection: address, certificate or network policy".to_owned())
        }
        Ok(Err(_)) => Err("the connection broke off".to_owned()),
        Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
        Ok(Ok(answer)) => Err(format!("it answered {}", answer.status().as_u16())),
    }
}
