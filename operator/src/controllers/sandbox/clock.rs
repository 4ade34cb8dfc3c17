//! What time it is: by this machine, and by the API server. A test sets either.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::super::context::Context;

/// Two clocks, each as far ahead of the real one as somebody has set it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    own: Arc<AtomicI64>,
    server: Arc<AtomicI64>,
}

impl Clock {
    /// Sets both: seconds ahead of what they really show.
    pub fn set_ahead(&self, own: i64, server: i64) {
        self.own.store(own, Ordering::Relaxed);
        self.server.store(server, Ordering::Relaxed);
    }

    /// By this machine.
    pub fn now(&self) -> Timestamp {
        ahead(Timestamp::now(), self.own.load(Ordering::Relaxed))
    }

    /// By the API server, as it dates its answers; `None` where it does not answer.
    pub async fn server(&self, context: &Context) -> Option<Timestamp> {
        match context.clusters.home().caller.date().await {
            Ok(date) => Some(ahead(date, self.server.load(Ordering::Relaxed))),
            Err(error) => {
                tracing::warn!(%error, "the API server does not say what time it is");
                None
            }
        }
    }
}

fn ahead(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(time)
}
