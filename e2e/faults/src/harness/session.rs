//! What all cases on one control plane share: the kinds it serves, Plinth's own among them, and an eye on every Secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, verbs};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use plinth_api::{Stack, names};
use plinth_cluster::ControlPlane;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::binary;
use super::case::Case;
use super::dump::{Names, secret_values};
use super::example::Example;
use super::operator::Launch;

/// Kinds that Kubernetes makes out of others, with names of its own choice, and those that come and go by themselves.
const DERIVED: [&str; 9] = [
    "ControllerRevision",
    "Endpoints",
    "EndpointSlice",
    "Event",
    "Lease",
    "Pod",
    "PodMetrics",
    "ReplicaSet",
    "PodTemplate",
];
/// How long a definition may take to be served.
const SERVED: Duration = Duration::from_secs(30);
/// Lists under way at the same time.
const LISTS: usize = 8;
/// The user that the operator speaks as.
const USER: &str = "plinth:operator";

/// Every value that a key of a Secret has had.
type Values = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// One control plane, ready for cases.
pub struct Session<'a> {
    /// The control plane.
    pub plane: &'a ControlPlane,
    /// An administrator.
    pub client: Client,
    /// The operator's binary.
    pub binary: PathBuf,
    /// What the operator would have been given.
    pub kubeconfig: PathBuf,
    /// Where logs and histories lie.
    pub dir: PathBuf,
    /// What the operator finds in its environment beside what is always there.
    pub environment: Vec<(String, String)>,
    /// A Stack that lives beside all cases and has nothing to do with them.
    pub(super) neighbour: Option<Names>,
    kinds: Vec<(ApiResource, ApiCapabilities)>,
    values: Values,
    watching: AbortHandle,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A number that no other case of this process has, always of the same length.
pub(crate) fn next_number() -> String {
    format!("{:04}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl<'a> Session<'a> {
    /// Teaches the control plane Plinth's kinds and finds the operator.
    pub async fn new(plane: &'a ControlPlane) -> Result<Self> {
        let binary = binary::plinth().await?;
        let client = plane.client().await?;
        install(&client).await?;
        let kubeconfig = plane.kubeconfig_for(USER, &["system:masters"])?;
        let dir = plane.log_dir().join("cases");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let kinds = kinds(&client).await?;
        let values = Values::default();
        let watching = tokio::spawn(watch_secrets(client.clone(), values.clone())).abort_handle();
        let (environment, neighbour) = (Vec::new(), None);
        Ok(Self { plane, client, binary, kubeconfig, dir, environment, neighbour, kinds, values, watching })
    }

    /// Every operator of a case that starts from now on has this variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// From now on a Stack lives beside all cases: what is done to them must not touch it.
    pub async fn with_neighbour(mut self, example: &Example) -> Result<Self> {
        let number = next_number();
        let names = Names { stack: format!("near-{number}"), home: format!("yard-{number}") };
        Case::neighbour(&self, example, names.clone()).await.context("the Stack beside the cases")?;
        self.neighbour = Some(names);
        Ok(self)
    }

    /// The way to an object.
    pub(super) fn api_of(&self, object: &Value) -> Result<Api<DynamicObject>> {
        let is = |resource: &ApiResource| {
            object["apiVersion"] == resource.api_version.as_str() && object["kind"] == resource.kind.as_str()
        };
        let (resource, _) = self
            .kinds
            .iter()
            .find(|(resource, _)| is(resource))
            .with_context(|| format!("{} is not served", object["kind"]))?;
        Ok(match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        })
    }

    /// The text of every event in these namespaces.
    pub(super) async fn events(&self, namespaces: &BTreeSet<String>) -> Result<String> {
        let mut text = String::new();
        for namespace in namespaces {
            let api = Api::<Event>::namespaced(self.client.clone(), namespace);
            for event in api.list(&ListParams::default()).await? {
                text.push_str(event.message.as_deref().unwrap_or_default());
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// How an operator is started for a case.
    pub fn launch(&self, kubeconfig: &Path, log: &Path) -> Launch {
        Launch::new(&self.binary, kubeconfig, log).envs(self.environment.iter().cloned())
    }

    /// Every object in these namespaces and every labelled one outside of namespaces, without what Kubernetes itself
    /// puts there.
    pub async fn objects(&self, namespaces: &BTreeSet<String>, stack: &str) -> Result<Vec<Value>> {
        let mut lists = Vec::new();
        for (resource, capabilities) in &self.kinds {
            match capabilities.scope {
                Scope::Namespaced => {
                    for namespace in namespaces {
                        let api =
                            Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, resource);
                        lists.push((api, ListParams::default(), resource));
                    }
                }
                Scope::Cluster => {
                    let api = Api::<DynamicObject>::all_with(self.client.clone(), resource);
                    let labels = format!("{}={stack}", names::LABEL_STACK);
                    lists.push((api, ListParams::default().labels(&labels), resource));
                }
            }
        }
        let found: Vec<Vec<Value>> = futures::stream::iter(lists)
            .map(|(api, params, resource)| async move {
                let list = api.list(&params).await.with_context(|| format!("listing {}", resource.plural))?;
                let typed = list.items.into_iter().map(|object| {
                    let mut value = serde_json::to_value(object)?;
                    value["apiVersion"] = resource.api_version.clone().into();
                    value["kind"] = resource.kind.clone().into();
                    Ok(value)
                });
                typed.collect::<Result<Vec<_>>>()
            })
            .buffer_unordered(LISTS)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().filter(|object| !is_given(object)).collect())
    }

    /// The namespaces of a Stack that exist, its own included. One that is on its way out exists.
    pub async fn namespaces(&self, home: &str, stack: &str) -> Result<BTreeSet<String>> {
        let list = Api::<Namespace>::all(self.client.clone()).list(&ListParams::default()).await?;
        let ours = list.items.into_iter().filter_map(|namespace| {
            let name = namespace.metadata.name?;
            let labels = namespace.metadata.labels.unwrap_or_default();
            let prefix = name.strip_prefix(stack).is_some_and(|rest| rest.starts_with('-'));
            (name == home || prefix || labels.get(names::LABEL_STACK).is_some_and(|it| it == stack))
                .then_some(name)
        });
        Ok(ours.collect())
    }

    /// Keys of Secrets in namespaces of this prefix that have had more than one value.
    pub fn changed_values(&self, prefix: &str) -> Vec<String> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = values.iter().filter(|(at, values)| at.starts_with(prefix) && values.len() > 1);
        changed.map(|(at, values)| format!("{at} has had {} values", values.len())).collect()
    }

    /// How many keys of Secrets in namespaces of this prefix were seen.
    pub fn seen_values(&self, prefix: &str) -> usize {
        self.values
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .filter(|at| at.starts_with(prefix))
            .count()
    }

    /// Sends a Stack and everything of it on the way out, without the operator and without waiting: names are not used
    /// twice.
    pub async fn discard(&self, home: &str, stack: &str) -> Result<()> {
        let stacks = Api::<Stack>::namespaced(self.client.clone(), home);
        // The operator of the next case must not find it.
        let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        match stacks.patch(stack, &PatchParams::default(), &free).await {
            Ok(_) => drop(stacks.delete(stack, &DeleteParams::default()).await?),
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error).context("setting the Stack free"),
        }
        let api = Api::<Namespace>::all(self.client.clone());
        for namespace in self.namespaces(home, stack).await? {
            // Pods may hold their namespace for as long as they are given to stop.
            let pods = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(self.client.clone(), &namespace);
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            let _ = pods.delete_collection(&now, &ListParams::default()).await;
            let _ = api.delete(&namespace, &DeleteParams::background()).await;
        }
        Ok(())
    }
}

/// Plinth's kinds, served and usable.
pub async fn install(client: &Client) -> Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let definitions = plinth_api::definitions();
    for definition in &definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        let patch = Patch::Apply(definition);
        api.patch(&name, &PatchParams::apply("plinth-faults").force(), &patch)
            .await
            .with_context(|| format!("applying the definition of {name}"))?;
    }
    let end = Instant::now() + SERVED;
    for definition in &definitions {
        let name = definition.metadata.name.clone().unwrap_or_default();
        while !is_established(&api.get(&name).await?) {
            ensure!(Instant::now() < end, "{name} is not served within {} s", SERVED.as_secs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// Every kind that a run may leave something of.
async fn kinds(client: &Client) -> Result<Vec<(ApiResource, ApiCapabilities)>> {
    let discovery = Discovery::new(client.clone()).run().await.context("discovery")?;
    let mut kinds = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if capabilities.supports_operation(verbs::LIST) && !DERIVED.contains(&resource.kind.as_str()) {
                kinds.push((resource, capabilities));
            }
        }
    }
    Ok(kinds)
}

/// What every namespace has.
fn is_given(object: &Value) -> bool {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match object["kind"].as_str() {
        Some("ConfigMap") => name == "kube-root-ca.crt",
        Some("ServiceAccount") => name == "default",
        _ => false,
    }
}

async fn watch_secrets(client: Client, values: Values) {
    let secrets =
        watcher(Api::<Secret>::all(client), watcher::Config::default()).default_backoff().touched_objects();
    let mut secrets = std::pin::pin!(secrets);
    while let Some(secret) = secrets.next().await {
        let Ok(Ok(secret)) = secret.map(serde_json::to_value) else { continue };
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, digest) in secret_values(&secret) {
            values.entry(at).or_default().insert(digest);
        }
    }
}

/// A file of the repository, from its root.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
