//! Metrics: everything continuous. Status records transitions only.

mod sandboxes;
mod stacks;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::v1alpha1::backup::BackupSummary;
use plinth_plan::model::StackId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub use self::sandboxes::SandboxSight;
use self::sandboxes::Sandboxes;
pub use self::stacks::Sight;
use self::stacks::Stacks;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    verb: &'static str,
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    catalogue: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DatabaseLabels {
    namespace: String,
    stack: String,
    /// `<block>/<requirement>`.
    database: String,
}

/// Every metric, cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    build: Family<BuildLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    write_durations: Family<VerbLabels, Histogram, fn() -> Histogram>,
    reconciles: Family<ControllerLabels, Counter>,
    durations: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    running: Family<ControllerLabels, Gauge>,
    queue: Gauge,
    leader: Gauge,
    objects: Family<ClusterLabels, Gauge>,
    reachable: Family<ClusterLabels, Gauge>,
    heartbeats: Family<ClusterLabels, Histogram, fn() -> Histogram>,
    stacks: Stacks,
    sandboxes: Sandboxes,
    backed_up: Family<DatabaseLabels, Gauge>,
    proven: Family<DatabaseLabels, Gauge>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.002, 2.0, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("plinth");
        let build = Family::default();
        registry.register("build_info", "1, with the version of Plinth and of its catalogue", build.clone());
        let requests = Family::default();
        registry.register("requests", "Requests to API servers, by method and outcome", requests.clone());
        let writes = Family::default();
        registry.register("writes", "Mutating requests, by verb, kind and outcome", writes.clone());
        let write_durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register(
            "write_duration_seconds",
            "Time from sending a mutating request to its answer, by verb",
            write_durations.clone(),
        );
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles that ended", reconciles.clone());
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register(
            "reconcile_duration_seconds",
            "Time from begin to end of a reconcile",
            durations.clone(),
        );
        let failures = Family::default();
        registry.register("failures", "Failed writes, by reason", failures.clone());
        let running = Family::default();
        registry.register("reconciles_running", "Reconciles under way", running.clone());
        let queue = Gauge::default();
        registry.register("queue_depth", "Stacks that wait for a reconcile", queue.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 while this process holds the lease", leader.clone());
        let objects = Family::default();
        registry.register("cached_objects", "Objects in the watch caches, by cluster", objects.clone());
        let reachable = Family::default();
        registry.register("cluster_reachable", "1 while the cluster answers", reachable.clone());
        let heartbeats = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register(
            "cluster_heartbeat_duration_seconds",
            "Time until a cluster has answered its heartbeat, or was given up",
            heartbeats.clone(),
        );
        let stacks = Stacks::default();
        stacks.register(&mut registry);
        let sandboxes = Sandboxes::default();
        sandboxes.register(&mut registry);
        let backed_up = Family::default();
        let words =
            "Seconds since the Unix epoch of the last whole backup of a database, 0 where there is none";
        registry.register("backup_last_success_timestamp_seconds", words, backed_up.clone());
        let proven = Family::default();
        let words = "Seconds since the Unix epoch at which a backup was last brought back with every row, 0 where none was";
        registry.register("restore_last_proven_timestamp_seconds", words, proven.clone());
        Self {
            registry: Arc::new(registry),
            build,
            requests,
            writes,
            write_durations,
            reconciles,
            durations,
            failures,
            running,
            queue,
            leader,
            objects,
            reachable,
            heartbeats,
            stacks,
            sandboxes,
            backed_up,
            proven,
        }
    }
}

impl Metrics {
    /// Which Plinth this is.
    pub fn built(&self, version: &'static str, catalogue: &str) {
        self.build.get_or_create(&BuildLabels { version, catalogue: catalogue.to_owned() }).set(1);
    }

    /// A request was answered, or not; `error` is the HTTP status of a failure, where there was one.
    pub fn requested(&self, method: &str, error: Option<Option<u16>>) {
        let labels = RequestLabels { method: method.to_owned(), outcome: outcome(error) };
        self.requests.get_or_create(&labels).inc();
    }

    /// A write ended after so long; `error` as in [`Self::requested`].
    pub fn wrote(&self, verb: &'static str, kind: &str, error: Option<Option<u16>>, took: Duration) {
        self.write_durations.get_or_create(&VerbLabels { verb }).observe(took.as_secs_f64());
        let labels = WriteLabels { verb, kind: kind.to_owned(), outcome: outcome(error) };
        self.writes.get_or_create(&labels).inc();
    }

    /// A Stack as it is at the end of a reconcile.
    pub fn stack(&self, id: &StackId, sight: &Sight) {
        self.stacks.show(id, sight);
    }

    /// A Stack is gone.
    pub fn forget(&self, id: &StackId) {
        self.stacks.forget(id);
    }

    /// What is known of a Sandbox, `namespace/name`.
    pub fn sandbox(&self, id: &str, sight: &SandboxSight) {
        self.sandboxes.show(id, sight);
    }

    /// A Sandbox is gone.
    pub fn forget_sandbox(&self, id: &str) {
        self.sandboxes.forget(id);
    }

    /// Another process leads: what was last known here is no longer what is.
    pub fn forget_stacks(&self) {
        self.stacks.forget_all();
        self.sandboxes.forget_all();
    }

    /// A reconcile begins.
    pub fn reconcile_begins(&self, controller: &'static str) {
        self.running.get_or_create(&ControllerLabels { controller }).inc();
    }

    /// A reconcile ended.
    pub fn reconcile_ended(&self, controller: &'static str, took: Duration) {
        let labels = ControllerLabels { controller };
        self.running.get_or_create(&labels).dec();
        self.reconciles.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A write failed for `reason`.
    pub fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&FailureLabels { reason }).inc();
    }

    /// Stacks that wait to be looked at.
    pub fn queued(&self, waiting: usize) {
        self.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Whether this process leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many objects of a cluster are cached.
    pub fn cached(&self, cluster: &str, objects: usize) {
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        self.objects.get_or_create(&labels).set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// A heartbeat of a cluster ended, and whether the cluster counts as answering.
    pub fn heartbeat(&self, cluster: &str, took: Duration, answers: bool) {
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        self.heartbeats.get_or_create(&labels).observe(took.as_secs_f64());
        self.reachable.get_or_create(&labels).set(i64::from(answers));
    }

    /// A cluster is gone: nothing is said of it any more.
    pub fn forget_cluster(&self, cluster: &str) {
        let labels = ClusterLabels { cluster: cluster.to_owned() };
        self.objects.remove(&labels);
        self.reachable.remove(&labels);
        self.heartbeats.remove(&labels);
    }

    /// What is known of the backups of a Stack.
    pub fn backups(&self, stack: &StackId, known: &[BackupSummary]) {
        let seconds = |time: Option<&Time>| time.map_or(0, |time| time.0.as_second());
        for database in known {
            let labels = DatabaseLabels {
                namespace: stack.namespace.clone(),
                stack: stack.name.clone(),
                database: database.name.clone(),
            };
            self.backed_up.get_or_create(&labels).set(seconds(database.last_backup.as_ref()));
            self.proven.get_or_create(&labels).set(seconds(database.last_proven.as_ref()));
        }
    }

    /// All of them in OpenMetrics text.
    pub fn render(&self) -> String {
        text(&self.registry)
    }
}

fn outcome(error: Option<Option<u16>>) -> String {
    match error {
        None => "ok".to_owned(),
        Some(Some(code)) => code.to_string(),
        Some(None) => "lost".to_owned(),
    }
}

/// Every metric of a registry in OpenMetrics text.
pub(crate) fn text(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, registry);
    text
}
