//! What a cluster has, read and not judged. What may not be read is kept as the reason why it is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use anyhow::{Context as _, Result};
use http::Request;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ResourceQuota, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, ListParams};
use kube::client::Body;
use kube::{Api, Client, Resource, ResourceExt as _};
use plinth_api::names;
use serde::de::DeserializeOwned;

use super::demand::{Amount, Demand};
use crate::cli::apply::Kinds;
use crate::cli::exit::explain_request;

const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// A fact, or why it is not known.
pub type Known<T> = Result<T, String>;

/// What a cluster has.
#[derive(Debug)]
pub struct Facts {
    /// Kinds of the demand, and of Plinth, that are not served.
    pub missing_kinds: BTreeSet<(String, String)>,
    /// Storage classes, and whether each is the default.
    pub storage_classes: Known<BTreeMap<String, bool>>,
    /// Gateway classes; `None` when the kind is not served.
    pub gateway_classes: Known<Option<BTreeSet<String>>>,
    /// Nodes that take pods of this Stack.
    pub nodes: Known<Vec<Room>>,
    /// Nodes that do not.
    pub other_nodes: usize,
    /// Quotas in the demand's namespaces.
    pub quotas: Known<Vec<Quota>>,
    /// Existing namespaces of the demand, and who claimed each.
    pub claimed: Known<BTreeMap<String, Option<String>>>,
    /// DNS Services.
    pub dns: Known<Vec<String>>,
    /// Seconds by which the API server's clock is ahead of this machine's.
    pub clock: Known<i64>,
}

/// What is left on a node.
#[derive(Clone, Debug)]
pub struct Room {
    /// It is played.
    pub simulated: bool,
    /// Allocatable.
    pub all: Amount,
    /// Asked for by pods that are not this Stack's.
    pub used: Amount,
}

/// One limit of a quota.
#[derive(Clone, Debug)]
pub struct Quota {
    /// `namespace/name`.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Resource, as `requests.cpu`.
    pub resource: String,
    /// The limit.
    pub hard: String,
    /// What is used.
    pub used: String,
}

impl Facts {
    /// Reads everything that the checks need.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn gather(client: &Client, demand: &Demand) -> Result<Self> {
        let kinds = Kinds::of(client).await?;
        let own = plinth_api::definitions()
            .into_iter()
            .map(|crd| (format!("{}/{}", names::GROUP, names::VERSION), crd.spec.names.kind));
        let missing_kinds = own
            .chain(demand.kinds.iter().cloned())
            .filter(|(version, kind)| kinds.served(version, kind).is_none());
        let (nodes, pods) = (all::<Node>(client).await, all::<Pod>(client).await);
        let other_nodes =
            nodes.as_ref().map_or(0, |nodes| nodes.iter().filter(|node| !fits(node, demand)).count());
        Ok(Self {
            missing_kinds: missing_kinds.collect(),
            storage_classes: all::<StorageClass>(client)
                .await
                .map(|classes| classes.iter().map(default_class).collect()),
            gateway_classes: gateway_classes(client, &kinds).await,
            nodes: nodes.and_then(|nodes| pods.map(|pods| rooms(&nodes, &pods, demand))),
            other_nodes,
            quotas: all::<ResourceQuota>(client).await.map(|quotas| limits(&quotas, demand)),
            claimed: all::<Namespace>(client).await.map(|namespaces| claimed(&namespaces, demand)),
            dns: dns(client).await,
            clock: clock(client).await,
        })
    }
}

async fn all<K>(client: &Client) -> Known<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let listed = Api::<K>::all(client.clone()).list(&ListParams::default()).await;
    listed.map(|list| list.items).map_err(|error| explain_request(&error))
}

fn default_class(class: &StorageClass) -> (String, bool) {
    (class.name_any(), class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true"))
}

async fn gateway_classes(client: &Client, kinds: &Kinds) -> Known<Option<BTreeSet<String>>> {
    let Some((resource, _)) = kinds.served("gateway.networking.k8s.io/v1", "GatewayClass") else {
        return Ok(None);
    };
    let classes =
        Api::<DynamicObject>::all_with(client.clone(), &resource).list_metadata(&ListParams::default()).await;
    classes
        .map(|list| Some(list.items.iter().map(kube::ResourceExt::name_any).collect()))
        .map_err(|error| explain_request(&error))
}

fn fits(node: &Node, demand: &Demand) -> bool {
    let spec = node.spec.as_ref();
    let closed = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    let taints = spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let tainted = taints.into_iter().any(|taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute");
    !closed
        && !tainted
        && demand.node_selector.iter().all(|(key, value)| node.labels().get(key) == Some(value))
}

fn rooms(nodes: &[Node], pods: &[Pod], demand: &Demand) -> Vec<Room> {
    let mut rooms: BTreeMap<String, Room> = nodes
        .iter()
        .filter(|node| fits(node, demand))
        .map(|node| {
            let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
            let all = Amount::of(&serde_json::to_value(allocatable).unwrap_or_default());
            let simulated = node.labels().contains_key(names::LABEL_SIMULATED_NODE);
            (node.name_any(), Room { simulated, all, used: Amount::default() })
        })
        .collect();
    for pod in pods {
        let label = |name: &str| pod.labels().get(name).map(String::as_str);
        let own = label(names::LABEL_STACK) == Some(&demand.stack.name)
            && label(names::LABEL_STACK_NAMESPACE) == Some(&demand.stack.namespace);
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        if let (false, false, Some(room)) =
            (own, matches!(phase, Some("Succeeded" | "Failed")), node.and_then(|node| rooms.get_mut(node)))
        {
            room.used = room.used.plus(Amount::of_pod(&serde_json::to_value(&pod.spec).unwrap_or_default()));
        }
    }
    rooms.into_values().collect()
}

fn limits(quotas: &[ResourceQuota], demand: &Demand) -> Vec<Quota> {
    let mut limits = Vec::new();
    for quota in quotas {
        let namespace = quota.namespace().unwrap_or_default();
        if !demand.namespaces.contains_key(&namespace) {
            continue;
        }
        let used = quota.status.as_ref().and_then(|status| status.used.as_ref());
        for (resource, hard) in quota.spec.iter().flat_map(|spec| spec.hard.iter().flatten()) {
            limits.push(Quota {
                name: format!("{namespace}/{}", quota.name_any()),
                namespace: namespace.clone(),
                resource: resource.clone(),
                hard: hard.0.clone(),
                used: used
                    .and_then(|used| used.get(resource))
                    .map_or_else(|| "0".to_owned(), |used| used.0.clone()),
            });
        }
    }
    limits
}

fn claimed(namespaces: &[Namespace], demand: &Demand) -> BTreeMap<String, Option<String>> {
    namespaces
        .iter()
        .filter(|namespace| demand.namespaces.contains_key(&namespace.name_any()))
        .map(|namespace| {
            (namespace.name_any(), namespace.annotations().get(names::ANNOTATION_OWNER).cloned())
        })
        .collect()
}

async fn dns(client: &Client) -> Known<Vec<String>> {
    // CoreDNS carries kube-dns' label, so that this finds both.
    let labelled = ListParams::default().labels("k8s-app in (kube-dns,coredns)");
    let listed = Api::<Service>::all(client.clone()).list(&labelled).await;
    let name =
        |service: &Service| format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any());
    listed.map(|list| list.items.iter().map(name).collect()).map_err(|error| explain_request(&error))
}

async fn clock(client: &Client) -> Known<i64> {
    let read = async {
        let request = Request::get("/version").body(Body::empty()).context("making a request")?;
        let response = client.send(request).await?;
        let date = response.headers().get(http::header::DATE).context("the API server sends no date")?;
        let date = date.to_str().context("the API server's date")?;
        let theirs = jiff::fmt::rfc2822::parse(date).context("the API server's date")?.timestamp();
        anyhow::Ok(theirs.as_second() - Timestamp::now().as_second())
    };
    read.await.map_err(|error| format!("{error:#}"))
}
