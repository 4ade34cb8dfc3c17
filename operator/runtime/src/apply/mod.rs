//! The only writer of objects. Purpose: carry out [`Action`]s, many at a time, and say what became of each. Decides
//! nothing; what an answer means is in [`classify`], when to try again in [`failures`], both pure.

pub mod classify;
pub mod failures;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use plinth_api::condition::Reason;
use plinth_plan::model::{Action, BlockPlan, Desired, Inventory, ObjectKey, Plan, StackId, UnitId};
use tokio::sync::Semaphore;

use crate::call::{Applying, CallError, Served, Writer};
use crate::clusters::Cluster;
use crate::inventory;
use crate::lease::NotLeader;
use crate::metrics::Metrics;
use crate::observe::ingest::{Ingest, Lean};
use crate::secrets::{self, Sources};
use classify::{Trouble, classify, kind_missing};
pub use failures::Failures;

/// Writes under way at the same time. More gains nothing on a control plane of ordinary size (`e2e/bench`).
pub const IN_FLIGHT: usize = 32;

/// Carries out actions on one cluster.
#[derive(Clone)]
pub struct Applier {
    cluster: Arc<Cluster>,
    writer: Writer,
    permits: Arc<Semaphore>,
    metrics: Metrics,
}

/// What became of one object; the hash is that of the version that was tried.
struct Outcome {
    key: ObjectKey,
    hash: String,
    result: Result<(), Trouble>,
}

/// The actions of one block.
#[derive(Default)]
struct Batch<'a> {
    block: Option<&'a BlockPlan>,
    inventory: Option<&'a Inventory>,
    namespaces: Vec<Job<'a>>,
    rest: Vec<Job<'a>>,
}

#[derive(Clone, Copy)]
struct Job<'a> {
    desired: &'a Desired,
    exists: bool,
    force: bool,
}

impl Applier {
    /// Writes to `cluster` through `writer`.
    pub fn new(cluster: Arc<Cluster>, writer: Writer, metrics: Metrics, in_flight: usize) -> Self {
        Self { cluster, writer, permits: Arc::new(Semaphore::new(in_flight.max(1))), metrics }
    }

    /// For other writes to the same cluster.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The cluster.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Carries out `actions`: blocks side by side, in each block first the inventory, then the namespace, then the rest
    /// at once. What Secrets are composed of is read from `sources`. Failures are kept in `failures`. The answers are in the
    /// cache when this returns. Returns how many writes succeeded.
    ///
    /// # Errors
    /// [`NotLeader`] when the lease was lost: the rest was not written.
    pub async fn execute(
        &self,
        stack: &StackId,
        plan: Option<&Plan>,
        actions: &[Action],
        sources: &Sources,
        failures: &mut Failures,
        now: i64,
    ) -> Result<usize, NotLeader> {
        self.writer.check()?;
        let wanted: HashSet<&ObjectKey> = actions.iter().filter_map(applied).collect();
        // By unit, too: what is imported from another cluster stands in a namespace of the same name.
        let desired: HashMap<(&UnitId, &ObjectKey), &Desired> = plan
            .into_iter()
            .flat_map(Plan::units)
            .flat_map(|unit| unit.objects.iter().map(move |desired| ((&unit.id, &desired.key), desired)))
            .filter(|((_, key), _)| wanted.contains(key))
            .collect();
        let mut batches: BTreeMap<&str, Batch<'_>> = BTreeMap::new();
        let mut deletes = Vec::new();
        for action in actions {
            match action {
                Action::RecordInventory { block, inventory } => {
                    batches.entry(block).or_default().inventory = Some(inventory);
                }
                Action::Apply { unit, key, exists, force } => {
                    let Some(desired) = desired.get(&(unit, key)).copied() else { continue };
                    let job = Job { desired, exists: *exists, force: *force };
                    let batch = batches.entry(&unit.block).or_default();
                    let is_namespace = key.kind == "Namespace" && key.api_version == "v1";
                    if is_namespace { batch.namespaces.push(job) } else { batch.rest.push(job) }
                }
                Action::Delete { key, uid } => deletes.push((key, uid)),
            }
        }
        for (name, batch) in &mut batches {
            batch.block = plan.and_then(|plan| plan.blocks.iter().find(|block| block.name == *name));
        }

        let mut blocks: FuturesUnordered<_> = batches
            .iter()
            .map(|(name, batch)| self.block(stack, name, batch, failures, (sources, now)))
            .collect();
        let mut removals: FuturesUnordered<_> =
            deletes.iter().map(|(key, uid)| self.delete(key, uid)).collect();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(actions.len());
        loop {
            tokio::select! {
                Some(done) = blocks.next() => outcomes.extend(done),
                Some(done) = removals.next() => outcomes.push(done),
                else => break,
            }
        }
        drop(blocks);
        let succeeded = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
        for Outcome { key, hash, result } in outcomes {
            match result {
                Ok(()) if hash.is_empty() => failures.cleared(&key),
                Ok(()) => failures.succeeded(&key, &hash, now),
                Err(trouble) => {
                    self.metrics.failed(trouble.reason.as_str());
                    tracing::debug!(%key, reason = trouble.reason.as_str(), message = trouble.message, "not written");
                    failures.failed(&key, &hash, trouble, now);
                }
            }
        }
        self.writer.check()?;
        Ok(succeeded)
    }

    async fn block(
        &self,
        stack: &StackId,
        name: &str,
        batch: &Batch<'_>,
        failures: &Failures,
        (sources, now): (&Sources, i64),
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        // An inventory lives beside what it lists. Where the namespace does not exist yet it is the one object that
        // precedes its record; its own labels and claim say whose it is.
        let absent = batch.namespaces.iter().any(|job| !job.exists);
        if absent {
            outcomes.extend(self.all(&batch.namespaces, sources, now).await);
            if outcomes.iter().any(|outcome| outcome.result.is_err()) {
                return outcomes;
            }
        }
        if let Some(wanted) = batch.inventory {
            let namespace = batch.block.and_then(|block| block.namespace.clone());
            let key = inventory::chunk_key(namespace.as_deref().unwrap_or(name), name, 0);
            if failures.waits(&key, now) {
                return outcomes;
            }
            let recorded =
                inventory::record(&self.cluster, &self.writer, stack, name, namespace, wanted).await;
            let failed = recorded.is_err();
            if let Err(trouble) = &recorded {
                // Write-ahead: nothing is owned before it is recorded. No object of the plan is the inventory, so
                // each that waits for it says so.
                let waiting =
                    batch.block.into_iter().flat_map(|block| &block.units).flat_map(|unit| &unit.objects);
                outcomes.extend(waiting.map(|desired| Outcome {
                    key: desired.key.clone(),
                    hash: desired.hash.clone(),
                    result: Err(trouble.clone()),
                }));
            }
            outcomes.push(Outcome { key, hash: String::new(), result: recorded });
            if failed {
                return outcomes;
            }
        }
        if !absent {
            outcomes.extend(self.all(&batch.namespaces, sources, now).await);
        }
        outcomes.extend(self.all(&batch.rest, sources, now).await);
        outcomes
    }

    async fn all(&self, jobs: &[Job<'_>], sources: &Sources, now: i64) -> Vec<Outcome> {
        let outcome = |job: &Job<'_>, result| Outcome {
            key: job.desired.key.clone(),
            hash: job.desired.hash.clone(),
            result,
        };
        let running: FuturesUnordered<_> = jobs
            .iter()
            .map(|job| async move { outcome(job, self.apply(*job, sources, now).await) })
            .collect();
        running.collect().await
    }

    async fn apply(&self, job: Job<'_>, sources: &Sources, now: i64) -> Result<(), Trouble> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let key = &job.desired.key;
        let result = match self.served(key).await? {
            served if !job.desired.secret.is_empty() => {
                let place = secrets::Place { cluster: &self.cluster, writer: &self.writer, sources };
                secrets::apply(place, &served, job.desired, job.force, now).await
            }
            served => self.patch(&served, job).await.map_err(|error| classify(key, &error)),
        };
        if let Err(trouble) = &result
            && trouble.reason == Reason::KindMissing
        {
            self.cluster.kinds.forget(&key.api_version);
        }
        result
    }

    async fn patch(&self, served: &Served, job: Job<'_>) -> Result<(), CallError> {
        let key = &job.desired.key;
        let body = serde_json::to_vec(&job.desired.body)
            .map_err(|error| CallError::Lost(format!("the object cannot be written as JSON: {error}")))?;
        let lean: Lean = self.writer.apply(served, key, body, Applying::rendered(job.force)).await?;
        if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
            self.cluster.observer.wrote(seen);
        }
        Ok(())
    }

    async fn delete(&self, key: &ObjectKey, uid: &str) -> Outcome {
        Outcome { key: key.clone(), hash: String::new(), result: self.try_delete(key, uid).await }
    }

    async fn try_delete(&self, key: &ObjectKey, uid: &str) -> Result<(), Trouble> {
        let _permit = self.permits.acquire().await;
        let served = self.served(key).await?;
        match self.writer.delete(&served, key, uid).await {
            Ok(true) => self.cluster.observer.absent(key),
            Ok(false) => self.cluster.observer.deleting(key, uid),
            Err(error) => return Err(classify(key, &error)),
        }
        Ok(())
    }

    async fn served(&self, key: &ObjectKey) -> Result<Served, Trouble> {
        match self.cluster.kinds.served(&key.api_version, &key.kind).await {
            Ok(Some(served)) => Ok(served),
            Ok(None) => Err(Trouble::new(Reason::KindMissing, kind_missing(key))),
            Err(error) => Err(classify(key, &error)),
        }
    }
}

fn applied(action: &Action) -> Option<&ObjectKey> {
    match action {
        Action::Apply { key, .. } => Some(key),
        _ => None,
    }
}
