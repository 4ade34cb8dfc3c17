//! A watch on its way to the operator: it can be ended, told that it is gone, held back and broken, between two events.

use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::answers::gone_event;
use crate::history::{History, Turn};
use crate::write::Target;

/// One open watch.
pub(crate) struct Held {
    history: Arc<History>,
    target: Target,
    body: Incoming,
    ordered: watch::Receiver<usize>,
    /// Orders that were looked at.
    seen: usize,
    opening: bool,
    /// An event has been begun: nothing may come between.
    within: bool,
    over: bool,
}

impl Held {
    /// `seen` orders had been given when it was asked for.
    pub(crate) fn new(history: Arc<History>, target: Target, body: Incoming, seen: usize) -> Self {
        let ordered = history.ordered();
        Self { history, target, body, ordered, seen, opening: true, within: false, over: false }
    }

    /// Its events.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Frame<Bytes>, String>> {
        futures::stream::unfold(self, |mut held| async move {
            let frame = held.next().await?;
            Some((frame, held))
        })
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, String>> {
        loop {
            if self.over {
                return None;
            }
            if !self.within {
                let opening = std::mem::take(&mut self.opening);
                match self.history.turn(&self.target, &mut self.seen, opening) {
                    Some(Turn::Close) => return None,
                    Some(Turn::Gone) => {
                        self.over = true;
                        return Some(Ok(Frame::data(gone_event())));
                    }
                    Some(Turn::Hold(until)) => sleep_until(Instant::from_std(until)).await,
                    Some(Turn::Break(until)) => {
                        sleep_until(Instant::from_std(until)).await;
                        self.over = true;
                        return Some(Err("cut off".to_owned()));
                    }
                    None => {}
                }
            }
            tokio::select! {
                biased;
                // Not while an event is half sent: the order is obeyed at its end.
                changed = self.ordered.changed(), if !self.within => {
                    // The history lives as long as this.
                    let _ = changed;
                }
                frame = self.body.frame() => {
                    let frame = frame?.map_err(|error| error.to_string());
                    if let Ok(Some(data)) = frame.as_ref().map(Frame::data_ref) {
                        self.within = data.last().is_some_and(|&last| last != b'\n');
                    }
                    return Some(frame);
                }
            }
        }
    }
}
