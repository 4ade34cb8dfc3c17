//! A control plane of its own for each measurement: a fresh etcd, and nobody else on it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use plinth_api::{Product, Stack, condition};
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{Component, Nodes};
use plinth_faults::harness::audit::Audit;
use plinth_faults::harness::operator::Operator;
use plinth_faults::harness::{binary, session};
use serde_json::json;

use crate::set::Set;
use crate::usage::Usage;

/// Until a Stack must be Ready.
const LIMIT: Duration = Duration::from_secs(600);
/// Controllers and caches that look at what is new.
const SETTLE: Duration = Duration::from_secs(2);
/// Until the operator must have begun to watch.
const START: Duration = Duration::from_secs(60);

/// A control plane.
pub struct Bed {
    plane: TestCluster,
    /// An administrator.
    pub client: Client,
}

/// The processor time of everything at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The operator's.
    pub operator: Usage,
    /// API server and etcd together.
    pub server_cpu: f64,
}

impl Bed {
    /// A fresh one.
    pub async fn new(nodes: Nodes) -> Result<Self> {
        let gateways = nodes != Nodes::None;
        let plane = TestCluster::start_with(|options| options.nodes(nodes).gateway_api(gateways)).await?;
        let client = plane.client().await?;
        Ok(Self { plane, client })
    }

    /// Everything that the Stack needs and is not measured: the kinds, its Products, its namespace. The floor gets it too:
    /// an API server that has served nothing yet is slower.
    pub async fn furnish(&self, set: &Set) -> Result<()> {
        session::install(&self.client).await?;
        for product in &set.products {
            Api::<Product>::all(self.client.clone()).create(&PostParams::default(), product).await?;
        }
        let home = json!({ "metadata": { "name": set.stack.namespace().unwrap_or_default() } });
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(home)?).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    /// Furnishes it and starts an operator, which then has seen that there is nothing to do.
    pub async fn prepare(&self, set: &Set) -> Result<Operator> {
        self.furnish(set).await?;
        let kubeconfig = self.plane.kubeconfig_for("plinth:operator", &["system:masters"])?;
        let audit = self.audit().await?;
        let log = self.plane.log_dir().join("operator.log");
        let mut operator = Operator::start(&binary::plinth().await?, &kubeconfig, &log)?;
        let end = Instant::now() + START;
        // A watch is logged when it ends, so the lease is what tells that it leads.
        loop {
            let requests = audit.requests("plinth/").await?;
            if requests
                .iter()
                .any(|request| request.verb == "create" && request.object().contains("/leases "))
            {
                break;
            }
            operator.check()?;
            ensure!(
                Instant::now() < end,
                "the operator takes no lease; its last words:\n{}",
                operator.last_words()
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(operator)
    }

    /// Creates the Stack and returns how long it took until a watch has seen it Ready.
    pub async fn converge(&self, set: &Set, operator: &mut Operator) -> Result<Duration> {
        let api = Api::<Stack>::namespaced(self.client.clone(), &set.stack.namespace().unwrap_or_default());
        let stacks = watcher(api.clone(), watcher::Config::default()).default_backoff().touched_objects();
        let mut stacks = std::pin::pin!(stacks);
        // The watch is there before the Stack.
        let quiet = tokio::time::timeout(Duration::from_millis(300), stacks.next()).await;
        ensure!(quiet.is_err(), "there is a Stack already");
        let began = Instant::now();
        api.create(&PostParams::default(), &set.stack).await?;
        let mut last = "nothing yet".to_owned();
        while began.elapsed() < LIMIT {
            tokio::select! {
                seen = stacks.next() => {
                    let stack = seen.context("the watch has ended")??;
                    let status = stack.status.clone().unwrap_or_default();
                    let ready = status.conditions.iter().find(|it| it.type_ == condition::READY);
                    if let Some(ready) = ready {
                        last = format!("Ready={} {}: {}", ready.status, ready.reason, ready.message);
                        if ready.status == "True" && status.observed_generation == stack.metadata.generation {
                            return Ok(began.elapsed());
                        }
                    }
                }
                () = tokio::time::sleep(Duration::from_secs(1)) => operator.check()?,
            }
        }
        bail!(
            "not Ready within {} s: {last}; the operator's last words:\n{}",
            LIMIT.as_secs(),
            operator.last_words()
        )
    }

    /// What has been used so far.
    pub async fn moment(&self, operator: &Operator) -> Result<Moment> {
        let mut server_cpu = 0.0;
        for component in [Component::ApiServer, Component::Etcd] {
            let pid = self.plane.pid(component).await.context("a part of the control plane has ended")?;
            server_cpu += Usage::of(pid)?.cpu_seconds;
        }
        Ok(Moment { operator: Usage::of(operator.pid())?, server_cpu })
    }

    /// The audit log from now on.
    pub async fn audit(&self) -> Result<Audit> {
        Audit::from_now(self.plane.audit_log()).await
    }
}
