//! Which Stacks to look at again. Many events become one: the first starts a short wait, the rest ride along. The wait
//! is never prolonged, so that a Stack whose objects never rest is still looked at.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, stream};
use plinth_plan::model::StackId;
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// How long events are collected.
const COLLECT: Duration = Duration::from_millis(60);

/// A set of Stacks that waits to be taken.
#[derive(Clone)]
pub struct Triggers {
    waiting: Arc<Mutex<BTreeSet<StackId>>>,
    notify: Arc<Notify>,
    metrics: Metrics,
}

impl Triggers {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { waiting: Arc::default(), notify: Arc::default(), metrics }
    }

    /// Look at this Stack again, soon.
    pub fn poke(&self, stack: StackId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(stack);
        self.metrics.queued(waiting.len());
        drop(waiting);
        self.notify.notify_one();
    }

    /// Stacks as they are to be looked at. Meant for one consumer at a time.
    pub fn stream(&self) -> impl Stream<Item = StackId> + Send + use<> {
        let this = self.clone();
        stream::unfold((this, Vec::new()), |(this, mut batch): (Self, Vec<StackId>)| async move {
            while batch.is_empty() {
                this.notify.notified().await;
                tokio::time::sleep(COLLECT).await;
                let mut waiting = this.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                batch.extend(std::mem::take(&mut *waiting));
                this.metrics.queued(0);
            }
            batch.pop().map(|stack| (stack, (this, batch)))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn stack(name: &str) -> StackId {
        StackId { namespace: "gov".to_owned(), name: name.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_events_is_one_look() {
        let triggers = Triggers::new(Metrics::default());
        for _ in 0..100 {
            triggers.poke(stack("a"));
        }
        triggers.poke(stack("b"));
        let mut stream = std::pin::pin!(triggers.stream());
        let mut got = [stream.next().await.unwrap(), stream.next().await.unwrap()];
        got.sort();
        assert_eq!(got, [stack("a"), stack("b")]);
        let more = tokio::time::timeout(Duration::from_secs(1), stream.next()).await;
        assert!(more.is_err(), "nothing waits any more");
    }
}
