//! `/healthz`, `/readyz` and `/metrics` over plain HTTP, on loopback unless told otherwise.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

#[derive(Clone)]
struct Served {
    metrics: Metrics,
    ready: watch::Receiver<bool>,
}

/// Serves until `stop`. `ready` is true once the process leads or stands by with warm caches.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    ready: watch::Receiver<bool>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving health and metrics");
    axum::serve(listener, router(metrics, ready)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(metrics: Metrics, ready: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(text))
        .with_state(Served { metrics, ready })
}

async fn readiness(State(served): State<Served>) -> impl IntoResponse {
    if *served.ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn text(State(served): State<Served>) -> impl IntoResponse {
    openmetrics(served.metrics.render())
}

/// Metrics as whoever scrapes them expects them: `text` in the format that `prometheus_client` writes.
pub(crate) fn openmetrics(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
