//! Leader election on `coordination.k8s.io/v1`. Purpose: one writer at a time. The election task talks to the API
//! server; what to do with what it sees is decided in [`state`], which is pure. Every write asks the [`Fence`], whose
//! deadline is local, monotonic and shorter than the lease: a leader that is cut off falls silent before another may
//! speak.

pub mod state;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use plinth_api::mutant::Mutant;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::chain;
use crate::metrics::Metrics;
use state::{Candidate, Now, Standing, Timing, View};

/// Another process leads, or this one was cut off for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process does not hold the lease: nothing was written")]
pub struct NotLeader;

/// Says whether this process may write, now.
#[derive(Clone, Debug)]
pub struct Fence {
    /// `None`: no right to write. Otherwise the moment at which it ends unless it is renewed.
    until: watch::Receiver<Option<Instant>>,
    /// Keeps the channel of an unconditional fence open.
    _always: Option<std::sync::Arc<watch::Sender<Option<Instant>>>>,
}

impl Fence {
    /// A fence that always lets through: for command-line tools and tests that share nothing.
    pub fn always() -> Self {
        let forever = Instant::now() + Duration::from_secs(60 * 60 * 24 * 365);
        let (sender, until) = watch::channel(Some(forever));
        Self { until, _always: Some(std::sync::Arc::new(sender)) }
    }

    /// # Errors
    /// [`NotLeader`] when nothing may be written now.
    pub fn check(&self) -> Result<(), NotLeader> {
        if Mutant::FenceIgnored.lives() {
            return Ok(());
        }
        match *self.until.borrow() {
            Some(until) if Instant::now() < until => Ok(()),
            _ => Err(NotLeader),
        }
    }

    /// Resolves once nothing may be written any more, told or not.
    pub async fn expired(&self) {
        let mut until = self.until.clone();
        loop {
            let Some(deadline) = *until.borrow_and_update() else { return };
            tokio::select! {
                biased;
                // A deadline that has passed has passed, whatever is told next.
                () = tokio::time::sleep_until(deadline) => {
                    if self.check().is_err() {
                        return;
                    }
                }
                told = until.changed() => {
                    if told.is_err() {
                        // The election has ended: what was told last holds.
                        tokio::time::sleep_until(deadline).await;
                        return;
                    }
                }
            }
        }
    }

    /// Resolves once this process leads.
    pub async fn gained(&self) {
        let mut until = self.until.clone();
        if until.wait_for(Option::is_some).await.is_err() {
            // The election has ended for good.
            std::future::pending::<()>().await;
        }
    }

    /// Resolves once this process no longer leads.
    pub async fn lost(&self) {
        let mut until = self.until.clone();
        let _ = until.wait_for(Option::is_none).await;
    }
}

/// Who stands for election, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Name of this process. Stable over restarts, so that a restarted process takes its lease back at once.
    pub identity: String,
    /// Clocks.
    pub timing: Timing,
}

/// Stands for election until told to stop.
pub struct Election {
    api: Api<Lease>,
    options: Options,
    until: watch::Sender<Option<Instant>>,
    started: Instant,
    metrics: Metrics,
}

impl Election {
    /// A candidate and the fence of its writes.
    pub fn new(client: kube::Client, options: Options, metrics: Metrics) -> (Self, Fence) {
        let (sender, receiver) = watch::channel(None);
        let election = Self {
            api: Api::namespaced(client, &options.namespace),
            options,
            until: sender,
            started: Instant::now(),
            metrics,
        };
        (election, Fence { until: receiver, _always: None })
    }

    /// Acquires, renews, loses and acquires again, until `stop`; then releases the lease, so that the next process
    /// need not wait for it to expire. Stop it last, after the last write.
    pub async fn run(self, stop: CancellationToken) {
        let mut candidate = Candidate::new(self.options.identity.clone(), self.options.timing);
        loop {
            let pause = self.turn(&mut candidate).await;
            self.publish(&candidate);
            let jittered = pause.mul_f64(rand::random_range(0.8..1.1));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                () = stop.cancelled() => break,
            }
        }
        self.until.send_replace(None);
        self.metrics.leading(false);
        self.release(&candidate).await;
    }

    /// One round: renew as the leader, look and perhaps take as a standby. Returns how long to wait for the next.
    async fn turn(&self, candidate: &mut Candidate) -> Duration {
        let timing = self.options.timing;
        if let Some(record) = candidate.renewal(self.now()) {
            self.write(candidate, record).await;
            // A renewal that failed is tried again soon: the deadline does not wait.
            return if candidate.is_current(self.now()) { timing.retry } else { timing.retry / 4 };
        }
        let seen = match self.bounded(self.api.get_opt(&self.options.name)).await {
            Ok(lease) => lease.as_ref().map(view),
            Err(error) => {
                tracing::warn!(%error, "the lease cannot be read");
                return timing.retry;
            }
        };
        match candidate.stand(seen.as_ref(), self.now()) {
            Standing::Take(record) => {
                self.write(candidate, record).await;
                timing.retry
            }
            Standing::Wait { holder } => {
                tracing::debug!(holder, "another process leads");
                timing.retry
            }
        }
    }

    async fn write(&self, candidate: &mut Candidate, record: state::Record) {
        let sent = self.now();
        let lease = self.lease(&record, sent);
        let params = PostParams::default();
        let result = if record.resource_version.is_some() {
            self.bounded(self.api.replace(&self.options.name, &params, &lease)).await
        } else {
            self.bounded(self.api.create(&params, &lease)).await
        };
        let won = match result {
            Ok(lease) => candidate.written(&view(&lease), sent),
            // The answer may have been lost after the write: what stands in the lease decides.
            Err(error) => match self.bounded(self.api.get_opt(&self.options.name)).await {
                Ok(Some(lease)) => candidate.settle(&view(&lease), sent),
                Ok(None) => {
                    candidate.vanished();
                    false
                }
                Err(_) => {
                    tracing::warn!(%error, "the lease cannot be renewed");
                    return;
                }
            },
        };
        if won && !record.renewal {
            tracing::info!(identity = self.options.identity, "leading");
        }
    }

    /// Tells the fence. Called after every round, so that a loss is told at most one round late; the deadline inside
    /// the fence needs no telling.
    fn publish(&self, candidate: &Candidate) {
        let until = candidate.until(self.now()).map(|until| self.started + until);
        if until.is_none() && self.until.borrow().is_some() {
            tracing::warn!(identity = self.options.identity, "no longer leading");
        }
        self.metrics.leading(until.is_some());
        self.until.send_replace(until);
    }

    async fn release(&self, candidate: &Candidate) {
        let Some(record) = candidate.release() else { return };
        let mut lease = self.lease(&record, self.now());
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        if let Err(error) =
            self.bounded(self.api.replace(&self.options.name, &PostParams::default(), &lease)).await
        {
            tracing::warn!(%error, "the lease cannot be released; it expires by itself");
        }
    }

    fn lease(&self, record: &state::Record, sent: Now) -> Lease {
        let seconds = i32::try_from(self.options.timing.duration.as_secs().max(1)).unwrap_or(i32::MAX);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.options.name.clone()),
                namespace: Some(self.options.namespace.clone()),
                resource_version: record.resource_version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.options.identity.clone()),
                lease_duration_seconds: Some(seconds),
                acquire_time: Some(MicroTime(record.acquired.unwrap_or(sent.wall))),
                renew_time: Some(MicroTime(sent.wall)),
                lease_transitions: Some(record.transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    fn now(&self) -> Now {
        // The API server keeps microseconds; a session is recognised by what comes back.
        let micros = jiff::Timestamp::now().as_microsecond();
        Now {
            mono: self.started.elapsed(),
            wall: jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        }
    }

    async fn bounded<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
        let limit = self.options.timing.deadline / 3;
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(|error| chain(&error)),
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }
}

fn view(lease: &Lease) -> View {
    let spec = lease.spec.clone().unwrap_or_default();
    View {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        renewed: spec.renew_time.map(|time| time.0),
        acquired: spec.acquire_time.map(|time| time.0),
        duration: Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0)),
        transitions: spec.lease_transitions.unwrap_or(0),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
