//! A real control plane, hand-made plans, and the loop that the Stack controller runs.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use plinth_api::names;
use plinth_api::v1alpha1::product::Generator;
use plinth_cluster::testing::{self, TestCluster};
use plinth_plan::decide::{Gate, decide, teardown};
use plinth_plan::model::{
    BlockPlan, Decisions, Desired, FOUNDATION, ObjectKey, Observed, Piece, Plan, SecretKeyRef, SecretSource,
    StackId, Unit, UnitId,
};
use plinth_runtime::apply::{Applier, Failures};
use plinth_runtime::call::Writer;
use plinth_runtime::clusters::{Access, Clients, Cluster, HOME};
use plinth_runtime::lease::Fence;
use plinth_runtime::metrics::Metrics;
use plinth_runtime::observe::LookedUp;
use plinth_runtime::secrets::{Place, Sources};
use serde_json::{Value, json};

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Tries until it holds, within [`LIMIT`].
pub async fn eventually<T>(what: &str, attempt: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    testing::eventually(LIMIT, what, attempt).await
}

/// One operator process: its caches, its failures.
pub struct House {
    pub cluster: Arc<Cluster>,
    pub applier: Applier,
    pub writer: Writer,
    pub metrics: Metrics,
    pub failures: Failures,
    /// Seconds added to the clock: failures become due without waiting for it.
    pub later: i64,
    /// Where Secrets are read, where that is not this one cluster.
    pub elsewhere: Option<Sources>,
}

impl House {
    /// A process that has just started, as the administrator of the shared cluster.
    pub async fn start() -> Result<Self> {
        let plane = TestCluster::shared().await?;
        let access = Access { kubeconfig: Some(plane.kubeconfig()), context: None };
        let clients = Clients::new(access.config().await?)?;
        Ok(Self::over(clients, Fence::always()))
    }

    pub fn over(clients: Clients, fence: Fence) -> Self {
        let metrics = Metrics::default();
        let cluster = Cluster::new(HOME, clients, metrics.clone());
        let writer = Writer::new(cluster.caller.clone(), fence);
        let applier = Applier::new(cluster.clone(), writer.clone(), metrics.clone(), 32);
        Self { cluster, applier, writer, metrics, failures: Failures::default(), later: 0, elsewhere: None }
    }

    /// Everything is on this one cluster, unless somebody says otherwise.
    pub fn sources(&self) -> Sources {
        self.elsewhere.clone().unwrap_or_else(|| Sources::hub(self.cluster.clone()))
    }

    /// Where Secrets are rotated.
    pub fn place<'a>(&'a self, sources: &'a Sources) -> Place<'a> {
        Place { cluster: &self.cluster, writer: &self.writer, sources }
    }

    pub fn client(&self) -> Client {
        self.cluster.clients.requests.clone()
    }

    pub async fn observe(&self, stack: &StackId, plan: Option<&Plan>) -> Observed {
        let now = now() + self.later;
        let wanted: Vec<_> = plan.into_iter().flat_map(Plan::objects).collect();
        let mut observed = self.cluster.observer.observe(stack, &wanted, &mut LookedUp::default(), now).await;
        observed.failures = self.failures.view();
        observed
    }

    /// Until nothing is left to write, or nothing of it succeeds. Returns the last decisions and how many writes
    /// succeeded.
    pub async fn converge(&mut self, plan: &Plan) -> Result<(Decisions, usize)> {
        let mut total = 0;
        for _ in 0..40 {
            let observed = self.observe(&plan.stack, Some(plan)).await;
            if let Some(why) = &observed.unreachable {
                bail!("unreachable: {why}");
            }
            let decisions = decide(plan, &observed, &Gate::OPEN);
            if decisions.actions.is_empty() {
                return Ok((decisions, total));
            }
            let actions = &decisions.actions;
            let written = self
                .applier
                .execute(&plan.stack, Some(plan), actions, &self.sources(), &mut self.failures, observed.now)
                .await?;
            total += written;
            if written == 0 {
                let observed = self.observe(&plan.stack, Some(plan)).await;
                return Ok((decide(plan, &observed, &Gate::OPEN), total));
            }
        }
        bail!("it never comes to rest")
    }

    /// Deletes a Stack's objects until nothing is left. Returns what was retained.
    pub async fn tear_down(&mut self, stack: &StackId, delete_data: bool) -> Result<Vec<ObjectKey>> {
        let started = tokio::time::Instant::now();
        loop {
            let observed = self.observe(stack, None).await;
            let state = teardown(stack, &observed, delete_data);
            if state.done {
                return Ok(state.retained);
            }
            if started.elapsed() > LIMIT {
                bail!("not gone within {LIMIT:?}: {:?}", state.waiting_for);
            }
            let (actions, sources) = (&state.actions, self.sources());
            self.applier.execute(stack, None, actions, &sources, &mut self.failures, observed.now).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The time, in seconds since the Unix epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A Stack name that no other test has.
pub fn stack() -> StackId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    StackId { namespace: "default".to_owned(), name: format!("t{}-{number}", std::process::id()) }
}

/// Namespace of the one block of [`plan`].
pub fn namespace(stack: &StackId) -> String {
    format!("{}-identity", stack.name)
}

pub fn key(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

/// An object of block `identity`, labelled and hashed as the renderer does it.
pub fn desired(stack: &StackId, api_version: &str, kind: &str, name: &str, rest: Value) -> Desired {
    let home = namespace(stack);
    let is_namespace = kind == "Namespace";
    let key = key(api_version, kind, (!is_namespace).then_some(&home), name);
    let mut body = rest;
    let hash = format!("{:016x}", fxhash(&format!("{key}{body}")));
    body["apiVersion"] = api_version.into();
    body["kind"] = kind.into();
    body["metadata"]["name"] = name.into();
    if !is_namespace {
        body["metadata"]["namespace"] = home.as_str().into();
    }
    body["metadata"]["labels"] = json!({
        names::LABEL_MANAGED_BY: names::MANAGED_BY,
        names::LABEL_STACK_NAMESPACE: stack.namespace,
        names::LABEL_STACK: stack.name,
        names::LABEL_BLOCK: "identity",
    });
    body["metadata"]["annotations"][names::ANNOTATION_HASH] = hash.as_str().into();
    if is_namespace {
        let owner = format!("{}/{}/identity", stack.namespace, stack.name);
        body["metadata"]["annotations"][names::ANNOTATION_OWNER] = owner.into();
    }
    Desired { key, body, hash, secret: BTreeMap::new(), data: false, startup_budget: None, ready_when: None }
}

fn fxhash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// A Secret by recipe.
pub fn secret(stack: &StackId, name: &str, recipe: BTreeMap<String, SecretSource>) -> Desired {
    let marker = serde_json::to_string(&recipe).unwrap_or_default();
    let mut desired = desired(stack, "v1", "Secret", name, json!({ "type": "Opaque" }));
    desired.hash = format!("{:016x}", fxhash(&format!("{name}{marker}")));
    desired.body["metadata"]["annotations"][names::ANNOTATION_HASH] = desired.hash.as_str().into();
    desired.secret = recipe;
    desired
}

/// The values of a Secret.
pub async fn values(house: &House, namespace: &str, name: &str) -> Result<BTreeMap<String, String>> {
    let secrets: Api<Secret> = Api::namespaced(house.client(), namespace);
    let data = secrets.get(name).await?.data.unwrap_or_default();
    data.into_iter().map(|(key, value)| Ok((key, String::from_utf8(value.0)?))).collect()
}

pub fn generate(permanent: bool) -> SecretSource {
    SecretSource::Generate {
        generator: Generator { length: 32, ..Generator::default() },
        permanent,
        first_start_only: false,
    }
}

pub fn compose(stack: &StackId, before: &str, secret: &str, key: &str) -> SecretSource {
    let reference =
        SecretKeyRef { namespace: namespace(stack), name: secret.to_owned(), key: key.to_owned() };
    SecretSource::Compose { pieces: vec![Piece::Text(before.to_owned()), Piece::Secret(reference)] }
}

/// A plan of one block: its namespace, then one unit for each list of objects.
pub fn plan(stack: &StackId, units: Vec<Vec<Desired>>) -> Plan {
    let id = |name: &str| UnitId { block: "identity".to_owned(), name: name.to_owned() };
    let home = namespace(stack);
    let foundation = Unit {
        id: id(FOUNDATION),
        component: false,
        after: Vec::new(),
        objects: vec![desired(stack, "v1", "Namespace", &home, json!({}))],
        step: None,
    };
    let others = units.into_iter().enumerate().map(|(i, objects)| Unit {
        id: id(&format!("unit-{i}")),
        component: true,
        after: vec![id(FOUNDATION)],
        objects,
        step: None,
    });
    let block = BlockPlan {
        name: "identity".to_owned(),
        product: Some("test".to_owned()),
        namespace: Some(home),
        units: [foundation].into_iter().chain(others).collect(),
        ..BlockPlan::default()
    };
    Plan { stack: stack.clone(), blocks: vec![block], ..Plan::default() }
}

pub fn config(stack: &StackId, name: &str, value: &str) -> Desired {
    desired(stack, "v1", "ConfigMap", name, json!({ "data": { "key": value } }))
}

/// A Deployment without pods.
pub fn deployment(stack: &StackId, name: &str) -> Desired {
    let labels = json!({ "app": name });
    let spec = json!({
        "replicas": 0,
        "selector": { "matchLabels": labels },
        "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "main", "image": "example.org/nothing:1" }] },
        },
    });
    desired(stack, "apps/v1", "Deployment", name, json!({ "spec": spec }))
}
