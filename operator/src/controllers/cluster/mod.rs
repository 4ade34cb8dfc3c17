//! `WorkloadCluster`s: each look is a heartbeat. It reads, and writes only what has changed. What it finds out (that a
//! cluster answers, or does not any more) wakes the Stacks beside it.

mod connect;
mod facts;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action as Next;
use kube::{Resource, ResourceExt};
use plinth_api::condition::Reason;
use plinth_api::{WorkloadCluster, WorkloadClusterStatus, names};
use plinth_plan::model::ObjectKey;
use plinth_plan::status::{ClusterSeen, Looked, workload_cluster};
use plinth_runtime::apply::Applier;
use plinth_runtime::call::CallError;
use plinth_runtime::clusters::ClusterId;
use plinth_runtime::clusters::pulse::Beat;
use plinth_runtime::events::transitions;
use tokio::sync::watch;

use super::claims::{finalizer, key_of, served};
use super::context::{Context, now};
use connect::{Connected, Credentials, Refused};

/// After a beat that was lost for the first time.
const DOUBT: Duration = Duration::from_secs(1);

/// How often clusters are asked whether they answer.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Between two heartbeats of a cluster that answers.
    pub every: Duration,
    /// Between two tries of one that does not.
    pub silent: Duration,
    /// Longest time that a heartbeat may take.
    pub limit: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { every: Duration::from_secs(15), silent: Duration::from_secs(8), limit: Duration::from_secs(5) }
    }
}

impl Rhythm {
    /// Longest time until silence is noticed: the cluster falls silent just after a beat, then two are lost.
    pub fn noticed_within(&self) -> Duration {
        self.every.mul_f64(1.0 + JITTER) + self.limit + DOUBT.mul_f64(1.0 + JITTER) + self.limit
    }
}

/// Part of a pause by which it may be shorter or longer: clusters that came up together are not all asked at the same moment.
const JITTER: f64 = 0.1;

/// What is remembered of the clusters. All of it can be found out again.
pub struct Attended {
    clusters: Mutex<HashMap<ClusterId, Arc<tokio::sync::Mutex<Memory>>>>,
    /// uid of the namespace `kube-system` of each cluster that has answered: two names must not mean one cluster.
    identities: Mutex<BTreeMap<ClusterId, String>>,
    /// How many there are, once they were listed.
    listed: watch::Sender<Option<usize>>,
    /// How many were looked at.
    looked: watch::Sender<usize>,
}

impl Default for Attended {
    fn default() -> Self {
        Self {
            clusters: Mutex::default(),
            identities: Mutex::default(),
            listed: watch::Sender::new(None),
            looked: watch::Sender::new(0),
        }
    }
}

#[derive(Default)]
struct Memory {
    credentials: Option<Credentials>,
    seen: Option<(Instant, ClusterSeen)>,
    /// When it answered last.
    answered: Option<Time>,
    /// What was told last; the watch may lag behind.
    told: Option<WorkloadClusterStatus>,
    /// Generation, labels and claims when the Stacks beside it were woken last.
    heard: Option<(Option<i64>, BTreeMap<String, String>)>,
    looked: bool,
}

impl Attended {
    fn of(&self, id: &ClusterId) -> Arc<tokio::sync::Mutex<Memory>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().clone()
    }

    /// The first list is there, of so many.
    pub fn listed(&self, clusters: usize) {
        self.listed.send_if_modified(|listed| listed.is_none() && listed.replace(clusters).is_none());
    }

    /// Until each cluster of the first list was looked at once.
    pub async fn looked_at(&self) {
        // Both senders live as long as this.
        let listed = self.listed.subscribe().wait_for(Option::is_some).await.ok().and_then(|listed| *listed);
        let clusters = listed.unwrap_or_default();
        let _ = self.looked.subscribe().wait_for(|looked| *looked >= clusters).await;
    }

    fn forget(&self, id: &ClusterId) {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.identities.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// One heartbeat. Never fails: what goes wrong is in the status.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<WorkloadCluster>>,
    context: Arc<Context>,
) -> Result<Next, Infallible> {
    let began = Instant::now();
    context.metrics.reconcile_begins("cluster");
    let id = (guard.namespace().unwrap_or_default(), guard.name_any());
    let memory = context.attended.of(&id);
    let mut memory = memory.lock().await;
    let next = match &guard.0 {
        Ok(cluster) => run(cluster, &id, &mut memory, &context).await,
        Err(invalid) => {
            tracing::warn!(cluster = id.1, %invalid, "a WorkloadCluster is not understood");
            None
        }
    };
    if !std::mem::replace(&mut memory.looked, true) {
        context.attended.looked.send_modify(|looked| *looked += 1);
    }
    context.metrics.reconcile_ended("cluster", began.elapsed());
    Ok(next.map_or_else(Next::await_change, |pause| Next::requeue(jittered(pause))))
}

/// `reconcile` has no error.
pub fn on_error(_: Arc<DeserializeGuard<WorkloadCluster>>, error: &Infallible, _: Arc<Context>) -> Next {
    match *error {}
}

/// A WorkloadCluster that is gone: nobody speaks to it any more.
pub fn gone(id: &ClusterId, context: &Context) {
    context.clusters.remove(id);
    context.attended.forget(id);
    context.metrics.forget_cluster(&title(id));
    context.wake(&id.0);
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(1.0 - JITTER..=1.0 + JITTER))
}

/// As logs and metrics name it.
fn title((namespace, name): &ClusterId) -> String {
    format!("{namespace}/{name}")
}

async fn run(
    cluster: &WorkloadCluster,
    id: &ClusterId,
    memory: &mut Memory,
    context: &Context,
) -> Option<Duration> {
    if context.applier.writer().check().is_err() {
        return None;
    }
    let claims = cluster.status.as_ref().map(|status| status.claims.clone()).unwrap_or_default();
    if cluster.metadata.deletion_timestamp.is_some() && claims.is_empty() {
        return let_go(cluster, id, context).await;
    }
    let (looked, pause) = look(cluster, id, memory, context).await;
    if let Some(looked) = looked {
        tell(cluster, &claims, looked, memory, context).await;
    }
    let heard = (cluster.metadata.generation, cluster.labels().clone());
    if memory.heard.as_ref() != Some(&heard) {
        memory.heard = Some(heard);
        context.wake(&id.0);
    }
    Some(pause)
}

/// Credentials, then a heartbeat, then what it says of itself.
async fn look(
    cluster: &WorkloadCluster,
    id: &ClusterId,
    memory: &mut Memory,
    context: &Context,
) -> (Option<Looked>, Duration) {
    let rhythm = context.rhythm;
    let read = connect::credentials(cluster, context).await;
    let known = context.clusters.get(&id.0, &id.1);
    let (fresh, trouble) = match read {
        Ok(read) => {
            let changed = memory.credentials.as_ref() != Some(&read);
            memory.credentials = Some(read);
            (changed, None)
        }
        // The hub does not answer, or another process leads: nothing is known about the cluster.
        Err(Refused::NotNow(why)) => {
            tracing::debug!(cluster = title(id), why, "its credentials cannot be read");
            (false, None)
        }
        Err(Refused::Because(reason, why)) if known.is_none() => {
            return (Some(Looked::Unusable { reason, why }), rhythm.every);
        }
        Err(Refused::Because(reason, why)) => (false, Some((reason, why))),
    };
    let began = Instant::now();
    let (beat, why) = match known.filter(|known| !fresh && known.cluster().pulse.silence().is_none()) {
        Some(known) => steady(&known, id, context).await,
        None => match anew(id, memory, context).await {
            Ok(()) => (Beat::Steady, String::new()),
            Err(Refused::NotNow(why)) => (Beat::Silent, why),
            Err(Refused::Because(reason, why)) => {
                return (Some(Looked::Unusable { reason, why }), rhythm.every);
            }
        },
    };
    context.metrics.heartbeat(&title(id), began.elapsed(), beat != Beat::Silent);
    match beat {
        Beat::Doubtful => (None, DOUBT),
        Beat::Silent => (Some(Looked::Silent { why, last: memory.answered.clone() }), rhythm.silent),
        Beat::Steady => {
            memory.answered = Some(now().1);
            let seen = match context.clusters.get(&id.0, &id.1) {
                Some(hand) => facts::seen(hand.cluster(), &mut memory.seen).await,
                None => ClusterSeen::default(),
            };
            (Some(Looked::Answers { seen, trouble }), rhythm.every)
        }
    }
}

/// The heartbeat of a cluster that has answered so far.
async fn steady(known: &Applier, id: &ClusterId, context: &Context) -> (Beat, String) {
    let cluster = known.cluster();
    let answer = cluster.caller.probe(context.rhythm.limit).await.map_err(|error| error.to_string());
    let why = answer.as_ref().err().cloned().unwrap_or_default();
    let beat = cluster.pulse.beat(answer);
    if beat == Beat::Silent {
        tracing::warn!(cluster = title(id), why, "does not answer any more");
        cluster.observer.rest();
        context.wake(&id.0);
    }
    (beat, why)
}

/// A connection that was not there before, or was silent: everything begins anew, so that nothing old is believed.
async fn anew(id: &ClusterId, memory: &mut Memory, context: &Context) -> Result<(), Refused> {
    let Some(credentials) = &memory.credentials else {
        return Err(Refused::NotNow("its credentials were not read yet".to_owned()));
    };
    let Connected { hand, identity } = connect::connect(id, credentials, context).await?;
    connect::adopt(id, hand.cluster(), context).await?;
    let mut identities = context.attended.identities.lock().unwrap_or_else(PoisonError::into_inner);
    identities.insert(id.clone(), identity);
    drop(identities);
    memory.seen = None;
    context.clusters.put(id.clone(), hand);
    tracing::info!(cluster = title(id), "answers");
    context.wake(&id.0);
    Ok(())
}

/// Writes the status when something has changed.
async fn tell(
    cluster: &WorkloadCluster,
    claims: &[plinth_api::v1alpha1::cluster::ClusterClaim],
    looked: Looked,
    memory: &mut Memory,
    context: &Context,
) {
    let mut known = cluster.clone();
    if let Some(told) = &memory.told {
        known.status = Some(told.clone());
    }
    let before = known.status.clone().unwrap_or_default();
    let status = workload_cluster(&known, claims, looked, &now().1);
    if status == (WorkloadClusterStatus { claims: Vec::new(), ..before.clone() }) {
        return;
    }
    let key = key_of(&cluster.namespace().unwrap_or_default(), &cluster.name_any());
    match context.status.other(&key, cluster.metadata.uid.as_deref(), &status).await {
        Ok(()) => {
            let changed = transitions(&before.conditions, &status.conditions);
            memory.told = Some(status);
            context.publish(&cluster.object_ref(&()), changed).await;
            context.wake(&cluster.namespace().unwrap_or_default());
        }
        Err(error) if error.is_not_found() || error.is_conflict() => {}
        Err(CallError::NotLeader(_)) => {}
        Err(error) => tracing::warn!(%key, %error, "its status cannot be written; it is tried again"),
    }
}

/// Nothing is on it: it may go, and its credentials with it.
async fn let_go(cluster: &WorkloadCluster, id: &ClusterId, context: &Context) -> Option<Duration> {
    let key = key_of(&id.0, &id.1);
    let ours = |finalizer: &String| finalizer == names::FINALIZER;
    if cluster.finalizers().iter().any(ours)
        && let Err(error) = free(cluster, &key, context).await
    {
        tracing::warn!(%key, %error, "its finalizer cannot be removed; it is tried again");
        return Some(DOUBT);
    }
    gone(id, context);
    None
}

async fn free(cluster: &WorkloadCluster, key: &ObjectKey, context: &Context) -> Result<(), CallError> {
    connect::unpin(cluster, None, context).await?;
    let Some(served) = served(key, context).await? else { return Ok(()) };
    finalizer(key, cluster.metadata.uid.as_deref(), false, &served, context).await
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Api { status, .. } if matches!(status.code, 401 | 403) => {
                Refused::Because(Reason::Denied, error.to_string())
            }
            _ => Refused::NotNow(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_noticed_well_within_the_minute_that_is_promised() {
        assert!(Rhythm::default().noticed_within() < Duration::from_secs(30));
    }
}
