//! Writes status, and `BuildingBlock` objects. Purpose: tell the truth with few words: nothing is written that the API
//! server has already, and while work is under way at most once a second, unless `Ready` changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use plinth_api::mutant::Mutant;
use plinth_api::{BuildingBlockSpec, BuildingBlockStatus, Stack, StackStatus, condition, names};
use plinth_plan::exchange::report::Status;
use plinth_plan::model::{Live, ObjectKey, StackId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::classify::kind_missing;
use crate::call::{Answer, Applying, CallError, Served, Writer};
use crate::clusters::Cluster;
use crate::observe::ingest::{Ingest, Lean};
use crate::observe::own;

/// Between two writes of one status.
const EVERY: Duration = Duration::from_secs(1);

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The API server had it.
    Already,
    /// Written.
    Now,
    /// Too soon after the last: come back after so long.
    Later(Duration),
}

/// Writes to the home cluster.
pub struct StatusWriter {
    cluster: Arc<Cluster>,
    writer: Writer,
    memory: Mutex<HashMap<ObjectKey, Memory>>,
}

#[derive(Clone)]
struct Memory {
    at: Instant,
    /// Of a Stack: what the API server answered, and at which version. The watch may lag behind.
    stack: Option<(u64, StackStatus)>,
    /// Of an object of the exchange: what was written, and at which version.
    agency: Option<(u64, Status)>,
}

/// A block as it is to be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Block name.
    pub block: String,
    /// Spec of its `BuildingBlock`.
    pub spec: BuildingBlockSpec,
    /// Status of its `BuildingBlock`.
    pub status: BuildingBlockStatus,
}

impl StatusWriter {
    /// Writes to `cluster` through `writer`.
    pub fn new(cluster: Arc<Cluster>, writer: Writer) -> Self {
        Self { cluster, writer, memory: Mutex::default() }
    }

    /// The Stack with the newest status known: our own last write may not have come back through the watch yet.
    pub fn freshest(&self, stack: &Stack) -> Stack {
        let mut fresh = stack.clone();
        let known = self.recall(&stack_key(&id_of(stack))).and_then(|memory| memory.stack);
        if let Some((version, status)) = known
            && version > version_of(stack.metadata.resource_version.as_deref())
        {
            fresh.status = Some(status);
        }
        fresh
    }

    /// Statuses of the `BuildingBlock`s of a Stack as the API server has them, each with the generation of its object.
    pub fn blocks(&self, stack: &StackId) -> BTreeMap<String, BuildingBlockStatus> {
        let own = self.cluster.observer.store().own(stack);
        let blocks = own.iter().filter(|(key, _)| key.kind == "BuildingBlock");
        let parse = |live: &Live| {
            let block = live.body.pointer("/spec/block").and_then(Value::as_str)?.to_owned();
            let status: BuildingBlockStatus = lenient(&live.body);
            let generation = live.body.pointer("/metadata/generation").and_then(Value::as_i64);
            Some((block, BuildingBlockStatus { observed_generation: generation, ..status }))
        };
        blocks.filter_map(|(_, live)| parse(live)).collect()
    }

    /// Writes a Stack's status. `known` is the Stack as [`Self::freshest`] gave it.
    ///
    /// # Errors
    /// The API server refused or did not answer.
    pub async fn stack(&self, known: &Stack, status: &StackStatus) -> Result<Told, CallError> {
        let key = stack_key(&id_of(known));
        let old = known.status.clone().unwrap_or_default();
        if old == *status && !Mutant::StatusEachTime.lives() {
            return Ok(Told::Already);
        }
        let urgent = readiness(&old.conditions) != readiness(&status.conditions);
        if let Some(wait) = self.too_soon(&key, urgent) {
            return Ok(Told::Later(wait));
        }
        let mut body = serde_json::to_value(status).map_err(unwritable)?;
        // Approval is the Operation's word; applying it here would take it over, and a late watch would take it back.
        if let Some(fields) = body.as_object_mut() {
            fields.remove("approvedHash");
            fields.remove("approvedSteps");
        }
        let lean = match self.apply_status(&key, body, known.metadata.uid.as_deref()).await {
            Err(_) if Mutant::RefusedStatusBelieved.lives() => {
                let stack = Some((u64::MAX, status.clone()));
                self.remember(key, Memory { at: Instant::now(), stack, agency: None });
                return Ok(Told::Now);
            }
            answered => answered?,
        };
        let version = version_of(Some(lean.resource_version()));
        let answer =
            lean.body().get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
        let stack = answer.map(|status| (version, status));
        self.remember(key, Memory { at: Instant::now(), stack, agency: None });
        Ok(Told::Now)
    }

    /// Makes the `BuildingBlock`s of a Stack show `shown` and no other block.
    ///
    /// # Errors
    /// The API server refused or did not answer; the other blocks are written all the same.
    pub async fn show(&self, stack: &Stack, shown: &[Shown]) -> Result<Told, CallError> {
        let id = id_of(stack);
        let own = self.cluster.observer.store().own(&id);
        let mut told = Told::Already;
        let mut failed = Ok(());
        let writes = futures::future::join_all(shown.iter().map(|block| self.block(stack, block))).await;
        for write in writes {
            match write {
                Ok(Told::Already) => {}
                Ok(other) => told = later(told, other),
                Err(error) => failed = Err(error),
            }
        }
        for (key, live) in own.iter().filter(|(key, live)| key.kind == "BuildingBlock" && !live.deleting) {
            if shown.iter().all(|block| block_key(&id, &block.block) != *key) {
                let served = self.served(key).await?;
                self.writer.delete(&served, key, &live.uid).await?;
                self.cluster.observer.deleting(key, &live.uid);
            }
        }
        failed.map(|()| told)
    }

    async fn block(&self, stack: &Stack, shown: &Shown) -> Result<Told, CallError> {
        let id = id_of(stack);
        let key = block_key(&id, &shown.block);
        let desired = block_body(stack, &id, &key, &shown.block, &shown.spec)?;
        let mut live = self.cluster.observer.store().object(&key);
        if live.as_ref().is_none_or(|live| !covers(&desired, &live.body)) {
            let served = self.served(&key).await?;
            let bytes = desired.to_string().into_bytes();
            let lean: Lean = self.writer.apply(&served, &key, bytes, Applying::rendered(true)).await?;
            if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
                self.cluster.observer.wrote(seen);
            }
            live = self.cluster.observer.store().object(&key);
        }
        let old: BuildingBlockStatus = live.as_ref().map(|live| lenient(&live.body)).unwrap_or_default();
        if old == shown.status {
            return Ok(Told::Already);
        }
        let urgent = readiness(&old.conditions) != readiness(&shown.status.conditions);
        if let Some(wait) = self.too_soon(&key, urgent) {
            return Ok(Told::Later(wait));
        }
        let status = serde_json::to_value(&shown.status).map_err(unwritable)?;
        let lean = self.apply_status(&key, status, live.as_ref().map(|live| live.uid.as_str())).await?;
        if let Some(seen) = lean.seen(&key.api_version, &key.kind) {
            self.cluster.observer.wrote(seen);
        }
        self.remember(key, Memory { at: Instant::now(), stack: None, agency: None });
        Ok(Told::Now)
    }

    async fn apply_status(
        &self,
        key: &ObjectKey,
        status: Value,
        uid: Option<&str>,
    ) -> Result<Lean, CallError> {
        let served = self.served(key).await?;
        // The uid keeps the status of a Stack that is gone from landing on its successor.
        let body = json!({
            "apiVersion": key.api_version,
            "kind": key.kind,
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": uid },
            "status": status,
        });
        let how = Applying {
            manager: names::STATUS_MANAGER,
            force: true,
            subresource: Some("status"),
            answer: Answer::Whole,
        };
        self.writer.apply(&served, key, body.to_string().into_bytes(), how).await
    }

    /// Records in a Stack's status what was approved, as fields of their own manager. All of it is said each time, for the
    /// version of the Stack that was read: what two people approve at once must not be lost.
    ///
    /// # Errors
    /// The API server refused or did not answer; the Stack has changed since it was read.
    pub async fn approve(
        &self,
        stack: &Stack,
        hash: Option<&str>,
        steps: &[String],
    ) -> Result<(), CallError> {
        let key = stack_key(&id_of(stack));
        let served = self.served(&key).await?;
        let body = json!({
            "apiVersion": key.api_version,
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "uid": stack.metadata.uid,
                "resourceVersion": stack.metadata.resource_version,
            },
            "status": { "approvedHash": hash, "approvedSteps": steps },
        });
        let how = Applying {
            manager: names::FIELD_MANAGER,
            force: true,
            subresource: Some("status"),
            answer: Answer::Whole,
        };
        let lean: Lean = self.writer.apply(&served, &key, body.to_string().into_bytes(), how).await?;
        let version = version_of(Some(lean.resource_version()));
        let status =
            lean.body().get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
        let at = self.recall(&key).map_or_else(Instant::now, |memory| memory.at);
        let stack = status.map(|status| (version, status));
        self.remember(key, Memory { at, stack, agency: None });
        Ok(())
    }

    /// The newest status known of an object of the exchange that was read at `version`: our own last write may not have come
    /// back through the watch yet.
    pub fn newest(&self, key: &ObjectKey, version: Option<&str>, read: Status) -> Status {
        let known = self.recall(key).and_then(|memory| memory.agency);
        known.filter(|(at, _)| *at > version_of(version)).map_or(read, |(_, status)| status)
    }

    /// Writes the status of an object of the exchange. `known` is what [`Self::newest`] gave.
    ///
    /// # Errors
    /// The API server refused or did not answer.
    pub async fn agency(
        &self,
        key: &ObjectKey,
        uid: Option<&str>,
        known: &Status,
        status: &Status,
    ) -> Result<Told, CallError> {
        if known == status {
            return Ok(Told::Already);
        }
        let urgent = readiness(known.conditions()) != readiness(status.conditions());
        if let Some(wait) = self.too_soon(key, urgent) {
            return Ok(Told::Later(wait));
        }
        let body = serde_json::to_value(status).map_err(unwritable)?;
        let lean = self.apply_status(key, body, uid).await?;
        let version = version_of(Some(lean.resource_version()));
        let agency = Some((version, status.clone()));
        self.remember(key.clone(), Memory { at: Instant::now(), stack: None, agency });
        Ok(Told::Now)
    }

    /// Writes any other status by server-side apply; the caller compares.
    ///
    /// # Errors
    /// The API server refused or did not answer.
    pub async fn other(
        &self,
        key: &ObjectKey,
        uid: Option<&str>,
        status: &impl Serialize,
    ) -> Result<(), CallError> {
        let status = serde_json::to_value(status).map_err(unwritable)?;
        self.apply_status(key, status, uid).await.map(|_| ())
    }

    /// Forgets a Stack that is gone.
    pub fn forget(&self, stack: &StackId) {
        self.lock().retain(|key, _| {
            key.namespace.as_ref() != Some(&stack.namespace)
                || (key.name != stack.name && !key.name.starts_with(&format!("{}-", stack.name)))
        });
    }

    /// Forgets an object of the exchange that is gone.
    pub fn forget_object(&self, key: &ObjectKey) {
        self.lock().remove(key);
    }

    async fn served(&self, key: &ObjectKey) -> Result<Served, CallError> {
        let served = self.cluster.kinds.served(&key.api_version, &key.kind).await?;
        served.ok_or_else(|| CallError::Lost(kind_missing(key)))
    }

    fn too_soon(&self, key: &ObjectKey, urgent: bool) -> Option<Duration> {
        let since = self.recall(key)?.at.elapsed();
        (!urgent && since < EVERY).then(|| EVERY - since)
    }

    fn recall(&self, key: &ObjectKey) -> Option<Memory> {
        self.lock().get(key).cloned()
    }

    fn remember(&self, key: ObjectKey, memory: Memory) {
        self.lock().insert(key, memory);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(one: Told, other: Told) -> Told {
    match (one, other) {
        (Told::Later(a), Told::Later(b)) => Told::Later(a.max(b)),
        (Told::Later(wait), _) | (_, Told::Later(wait)) => Told::Later(wait),
        (Told::Now, _) | (_, Told::Now) => Told::Now,
        _ => Told::Already,
    }
}

/// Namespace and name of a Stack.
pub fn id_of(stack: &Stack) -> StackId {
    StackId {
        namespace: stack.metadata.namespace.clone().unwrap_or_default(),
        name: stack.metadata.name.clone().unwrap_or_default(),
    }
}

/// Identity of a Stack as an object.
pub fn stack_key(stack: &StackId) -> ObjectKey {
    let (api_version, kind) = own("Stack");
    ObjectKey { api_version, kind, namespace: Some(stack.namespace.clone()), name: stack.name.clone() }
}

/// Identity of a block's `BuildingBlock`.
pub fn block_key(stack: &StackId, block: &str) -> ObjectKey {
    let (api_version, kind) = own("BuildingBlock");
    let name = format!("{}-{block}", stack.name);
    ObjectKey { api_version, kind, namespace: Some(stack.namespace.clone()), name }
}

fn block_body(
    stack: &Stack,
    id: &StackId,
    key: &ObjectKey,
    block: &str,
    spec: &BuildingBlockSpec,
) -> Result<Value, CallError> {
    let spec = serde_json::to_value(spec).map_err(unwritable)?;
    Ok(json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {
                names::LABEL_MANAGED_BY: names::MANAGED_BY,
                names::LABEL_STACK_NAMESPACE: id.namespace,
                names::LABEL_STACK: id.name,
                names::LABEL_BLOCK: block,
            },
            "ownerReferences": [{
                "apiVersion": stack_key(id).api_version,
                "kind": "Stack",
                "name": id.name,
                "uid": stack.metadata.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    }))
}

/// Everything of `desired` is in `live`.
fn covers(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(name, value)| live.get(name).is_some_and(|live| covers(value, live)))
        }
        (desired, live) => desired == live,
    }
}

fn readiness(conditions: &[Condition]) -> Option<&str> {
    conditions.iter().find(|c| c.type_ == condition::READY).map(|c| c.status.as_str())
}

fn version_of(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn unwritable(error: serde_json::Error) -> CallError {
    CallError::Lost(format!("the status cannot be written as JSON: {error}"))
}

/// A status read leniently: what a newer or older Plinth wrote must not stop this one.
pub fn lenient<T: for<'de> Deserialize<'de> + Default>(body: &Value) -> T {
    body.get("status").cloned().and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default()
}
