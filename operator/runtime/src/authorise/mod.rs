//! The exchange's authoriser: Envoy asks it about every call (external authorisation over HTTP), and it answers from the
//! compiled rights. It decides nothing of its own: what is allowed is in [`plinth_plan::exchange::rights`]; here it is
//! read, counted, answered and written down. What cannot be decided, or cannot be written down, is denied.
//!
//! ```text
//! follow    the rights file -> Rights, read again when it changes; a broken one leaves the last good one in force
//! limit     how often each consumer has called under each agreement
//! answer    what Envoy and the caller are told
//! journal   one line a decision, on standard output
//! metrics, serve
//! ```

pub mod answer;
pub mod follow;
pub mod journal;
pub mod limit;
pub mod metrics;
pub mod serve;

use std::sync::Arc;

use jiff::Timestamp;
use plinth_plan::exchange::rights::{Call, Decision, Identity, Rights};
use tokio::sync::watch;

use self::answer::Verdict;
use self::journal::{Journal, Line};
use self::limit::Limits;
use self::metrics::Metrics;

/// Header by which Envoy says who the verified certificate is of. Envoy sets it itself, over whatever a client sent.
pub const PEER: &str = "x-exchange-peer";
/// X-Road's header of the consumer.
pub const CLIENT: &str = "x-road-client";
/// X-Road's header of the message.
pub const ID: &str = "x-road-id";

/// A call as Envoy tells of it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Path and query, as they stand on the wire.
    pub path: String,
    /// The URI names of the verified certificate; `None` where there is none, or more than one header says so.
    pub peer: Option<String>,
    /// `X-Road-Client`; `None` where there is none, or more than one.
    pub client: Option<String>,
    /// `X-Road-Id`: given by the caller, or made for it.
    pub id: String,
}

/// Decides, counts and writes down. Cheap to clone.
#[derive(Clone)]
pub struct Authoriser {
    rights: watch::Receiver<Option<Arc<Rights>>>,
    limits: Arc<Limits>,
    journal: Journal,
    metrics: Metrics,
    clock: fn() -> Timestamp,
}

impl Authoriser {
    /// Decides by `rights` as they are at that moment, at the time that `clock` says.
    pub fn new(
        rights: watch::Receiver<Option<Arc<Rights>>>,
        limits: Limits,
        journal: Journal,
        metrics: Metrics,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { rights, limits: Arc::new(limits), journal, metrics, clock }
    }

    /// Whether rights were ever read.
    pub fn is_ready(&self) -> bool {
        self.rights.borrow().is_some()
    }

    /// What becomes of a call. It is written down before it is answered: what cannot be, is denied.
    pub fn decide(&self, asked: &Asked) -> Verdict {
        let now = (self.clock)();
        // Held for no longer than it takes to take another reference: the file may change at any moment.
        let rights = self.rights.borrow().clone();
        let verdict = match &rights {
            None => Verdict::without_rights(),
            Some(rights) => self.by(rights, asked, now),
        };
        let verdict = match self.journal.write(Line::of(asked, &verdict, now)) {
            Ok(()) => verdict,
            Err(journal::Full) => Verdict::without_journal(),
        };
        self.metrics.decided(&verdict);
        verdict
    }

    fn by(&self, rights: &Rights, asked: &Asked, now: Timestamp) -> Verdict {
        let identity = asked.peer.as_deref().and_then(|peer| Identity::of_spiffe(peer, rights));
        let call = Call {
            method: &asked.method,
            path: &asked.path,
            client: asked.client.as_deref(),
            identity: identity.as_ref(),
        };
        match rights.decide(&call, now) {
            Decision::Deny(denial) => Verdict::denied(denial),
            Decision::Forward { client, service, .. } => Verdict::forwarded(client, service),
            Decision::Allow { right, endpoint, client, service } => {
                let waits =
                    right.limit.and_then(|limit| self.limits.take(&right.agreement, &client, limit, now));
                match waits {
                    Some(seconds) => Verdict::limited(client, service, &right.agreement, endpoint, seconds),
                    None => Verdict::allowed(client, service, &right.agreement, endpoint),
                }
            }
        }
    }
}
