//! The web console: a country's blocks at a glance, and from there down to the object at fault. It reads, and writes nothing.
//!
//! ```text
//! watches (I/O) -> view (pure) -> cache -> access (who may see it) -> stream -> the page in web/
//! ```
//!
//! A person sees what their Kubernetes account may list, no more: each request carries their token, which the API server
//! reviews, and each namespace is asked for by a `SubjectAccessReview`. What is shown comes from watches that this process
//! has once, however many people look: a browser that is open costs the API server nothing but those reviews.

mod access;
mod cache;
mod pages;
mod stream;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use access::Access;
use cache::Cache;

/// What the console talks to: one client for requests, another for watches, whose silence is normal.
#[derive(Clone)]
pub struct Clients {
    /// For reviews of tokens and rights.
    pub requests: Client,
    /// For what is shown.
    pub watches: Client,
}

#[derive(Clone)]
struct Console {
    cache: Arc<Cache>,
    access: Arc<Access>,
}

/// Serves until `stop`, plain HTTP: whatever stands in front of it, a gateway or `kubectl port-forward`, ends TLS.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(address: SocketAddr, clients: Clients, stop: CancellationToken) -> std::io::Result<()> {
    serve_at(TcpListener::bind(address).await?, clients, stop).await
}

/// The same behind a door that is open already.
///
/// # Errors
/// It cannot be served.
pub async fn serve_at(
    listener: TcpListener,
    clients: Clients,
    stop: CancellationToken,
) -> std::io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "serving the console");
    let cache = Arc::new(Cache::default());
    let following = cache::follow(&clients.watches, &cache);
    let access = Arc::new(Access::new(clients.requests));
    let router = router(Console { cache, access });
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = std::future::IntoFuture::into_future(served) => served,
        () = following => Ok(()),
        // Streams have no end of their own; what they tell is told again to whoever asks next.
        () = stop.cancelled_owned() => Ok(()),
    }
}

fn router(console: Console) -> Router {
    pages::router().route("/api/stream", get(stream::stream)).with_state(console)
}
