//! What a browser is told: everything that the person may see, then each change, as server-sent events.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _, stream};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::Console;
use crate::access::{Person, Refused};
use crate::cache::Told;
use crate::view::Shown;

/// After this long a stream ends and the browser asks again: a token that has ended meanwhile lets nobody in.
const LASTS: Duration = Duration::from_secs(300);

/// `GET /api/stream`, with the person's token as `Authorization: Bearer`.
pub async fn stream(State(console): State<Console>, headers: HeaderMap) -> Response {
    match console.access.person(bearer(&headers)).await {
        Ok(person) => {
            console.cache.listed().await;
            Sse::new(told(console, person)).keep_alive(KeepAlive::default()).into_response()
        }
        Err(refused) => {
            let status = match refused {
                Refused::Unknown => StatusCode::UNAUTHORIZED,
                Refused::Unasked(_) => StatusCode::BAD_GATEWAY,
            };
            (status, [(header::CACHE_CONTROL, "no-store")], format!("{refused}\n")).into_response()
        }
    }
}

fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().trim()
}

/// What one browser is told, one event after the other.
struct Telling {
    console: Console,
    person: Person,
    ends: Instant,
    /// `None` before everything was told.
    changes: Option<Receiver<Told>>,
    failing: watch::Receiver<BTreeSet<Shown>>,
}

fn told(console: Console, person: Person) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut failing = console.cache.failing();
    failing.mark_changed();
    let telling = Telling { console, person, ends: Instant::now() + LASTS, changes: None, failing };
    stream::unfold(telling, |mut telling| async move {
        let event = telling.next().await?;
        Some((Ok(event), telling))
    })
}

impl Telling {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let Some(changes) = &mut self.changes else { return Some(self.everything().await) };
            let told = tokio::select! {
                told = changes.recv() => told,
                // The cache, which sends it, does not go before the stream.
                Ok(()) = self.failing.changed() => return Some(self.working()),
                () = sleep_until(self.ends) => return None,
            };
            match told {
                Ok(told) if self.may_see(&told).await => return Some(change(&told)),
                Ok(_) => {}
                // Too many at once: everything is told anew.
                Err(RecvError::Lagged(_)) => self.changes = None,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn everything(&mut self) -> Event {
        let (items, changes) = self.console.cache.follow();
        self.changes = Some(changes);
        let this = &*self;
        let seen = stream::iter(items)
            .filter_map(|told| async move { if this.may_see(&told).await { told.text } else { None } });
        let seen: Vec<_> = seen.collect().await;
        let person = json!(self.person.name);
        Event::default()
            .event("everything")
            .data(format!(r#"{{"person":{person},"items":[{}]}}"#, seen.join(",")))
    }

    /// Whether the API server tells of changes.
    fn working(&mut self) -> Event {
        let works = self.failing.borrow_and_update().is_empty();
        Event::default().event("cluster").data(json!({ "answers": works }).to_string())
    }

    fn may_see(&self, told: &Told) -> impl Future<Output = bool> {
        let (access, person) = (&self.console.access, &self.person);
        let (kind, namespace) = (told.id.kind, told.id.namespace.clone());
        async move { access.may_see(person, kind, &namespace).await }
    }
}

fn change(told: &Told) -> Event {
    match &told.text {
        Some(text) => Event::default().event("change").data(&**text),
        None => {
            let id = json!({ "kind": told.id.kind.as_str(), "namespace": told.id.namespace, "name": told.id.name });
            Event::default().event("gone").data(id.to_string())
        }
    }
}
