//! Two doors: one where Envoy asks, on which every path is a question, and one for probes and metrics. They are never the
//! same: a caller chooses its path, and must not be able to ask for a page that says yes.

use std::future::IntoFuture as _;
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use jiff::Timestamp;
use rand::TryRngCore;
use rand::rngs::OsRng;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::follow::Follow;
use super::journal::Journal;
use super::limit::Limits;
use super::metrics::Metrics;
use super::{Asked, Authoriser, CLIENT, ID, PEER};
use crate::serve::openmetrics;

/// Longest `X-Road-Id` that is taken over.
const LONGEST_ID: usize = 128;

/// What an authoriser is started with.
pub struct Options {
    /// The rights file.
    pub rights: PathBuf,
    /// Where Envoy asks.
    pub decisions: TcpListener,
    /// Where probes and metrics are answered.
    pub health: TcpListener,
    /// How many authorisers share each limit.
    pub replicas: u32,
}

/// Serves until `stop`; what is under way is answered, and what was decided is written down, before it returns.
///
/// # Errors
/// A door cannot be served, or the operating system gives no thread.
pub async fn serve(options: Options, stop: CancellationToken) -> std::io::Result<()> {
    let metrics = Metrics::default();
    let (follow, rights) = Follow::new(options.rights, metrics.clone());
    let (journal, writer) = Journal::new(std::io::stdout())?;
    let limits = Limits::new(options.replicas);
    let authoriser = Authoriser::new(rights, limits, journal, metrics.clone(), Timestamp::now);
    tracing::info!(
        decisions = %options.decisions.local_addr()?,
        health = %options.health.local_addr()?,
        "answering"
    );
    let follow = tokio::spawn(follow.run(stop.clone()));
    let health = health(authoriser.clone(), metrics);
    // Answers are small: one that waits to be sent together with another keeps a call waiting.
    let asked = options.decisions.tap_io(|connection| drop(connection.set_nodelay(true)));
    let stopped = || stop.clone().cancelled_owned();
    let doors = tokio::try_join!(
        axum::serve(asked, decisions(authoriser)).with_graceful_shutdown(stopped()).into_future(),
        axum::serve(options.health, health).with_graceful_shutdown(stopped()).into_future(),
    );
    stop.cancel();
    // It has no error, and ends with `stop`; with the doors gone, nobody holds the journal any more.
    let _ = follow.await;
    let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    doors.map(|_| ())
}

/// The door where Envoy asks.
pub fn decisions(authoriser: Authoriser) -> Router {
    Router::new().fallback(decide).with_state(authoriser)
}

async fn decide(State(authoriser): State<Authoriser>, request: Request<Body>) -> Response<Body> {
    let asked = asked(&request);
    let verdict = authoriser.decide(&asked);
    verdict.response(&asked.id)
}

fn asked(request: &Request<Body>) -> Asked {
    let uri = request.uri();
    // Envoy asks with a path. A whole address is none of the exchange's.
    let path = match (uri.authority(), uri.path_and_query()) {
        (None, Some(path)) => path.as_str(),
        _ => "",
    };
    let id = one(request.headers(), ID).filter(|id| is_id(id)).map_or_else(made, str::to_owned);
    Asked {
        method: request.method().as_str().to_owned(),
        path: path.to_owned(),
        peer: one(request.headers(), PEER).map(str::to_owned),
        client: one(request.headers(), CLIENT).map(str::to_owned),
        id,
    }
}

/// The value of a header that is there once; what is said twice is not said at all.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A name for a message whose sender gave none: a UUID, version 4. PR-REST 4.3 has the exchange make one.
fn made() -> String {
    let mut bytes = [0_u8; 16];
    // Without random numbers it is no secret that is lost, but the difference between two messages.
    let _ = OsRng.try_fill_bytes(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[derive(Clone)]
struct Health {
    authoriser: Authoriser,
    metrics: Metrics,
}

/// The door for probes and metrics.
fn health(authoriser: Authoriser, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(text))
        .with_state(Health { authoriser, metrics })
}

async fn readiness(State(health): State<Health>) -> impl IntoResponse {
    match (health.authoriser.is_ready(), health.metrics.is_broken()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "no rights were read yet\n"),
        (true, true) => (StatusCode::OK, "ok, by the last good rights: the newest cannot be read\n"),
        (true, false) => (StatusCode::OK, "ok\n"),
    }
}

async fn text(State(health): State<Health>) -> impl IntoResponse {
    openmetrics(health.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(build: impl FnOnce(axum::http::request::Builder) -> axum::http::request::Builder) -> Asked {
        asked(&build(Request::builder()).body(Body::empty()).unwrap())
    }

    #[test]
    fn what_is_said_twice_is_not_said_at_all() {
        let asked = request(|r| {
            r.uri("/r1/x")
                .header(CLIENT, "UA/GOV/1/app")
                .header(CLIENT, "UA/GOV/1/app")
                .header(PEER, "spiffe://ua")
        });
        assert_eq!((asked.client, asked.peer.as_deref()), (None, Some("spiffe://ua")));
    }

    #[test]
    fn a_message_without_a_usable_name_gets_one_of_its_own() {
        let first = request(|r| r.uri("/"));
        let second = request(|r| r.uri("/").header(ID, "a b"));
        for asked in [&first, &second, &request(|r| r.uri("/").header(ID, "x".repeat(129)))] {
            assert_eq!(asked.id.len(), 36, "{}", asked.id);
        }
        assert_ne!(first.id, second.id);
        assert_eq!(request(|r| r.uri("/").header(ID, "m-1")).id, "m-1");
    }

    #[test]
    fn a_whole_address_is_no_path() {
        assert_eq!(request(|r| r.uri("http://elsewhere/r1/UA/GOV/2/civil/births")).path, "");
    }
}
