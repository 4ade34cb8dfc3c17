//! What a cluster with a real node has beside Kubernetes itself: names, metrics, volumes, and the rights of the node's
//! programs. Everything runs from the toolbox's image, with the programs of the host shown to it: an image of a hundred
//! megabytes for each cluster would cost its start seconds.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, TypeMeta};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;

use super::{NAME, Network, TOOLBOX};
use crate::error::{Error, Result};

const FILES: [(&str, &str); 4] = [
    ("rights.yaml", include_str!("../../node/objects/rights.yaml")),
    ("names.yaml", include_str!("../../node/objects/names.yaml")),
    ("volumes.yaml", include_str!("../../node/objects/volumes.yaml")),
    ("metrics.yaml", include_str!("../../node/objects/metrics.yaml")),
];
/// Without these, a pod finds nobody by name and keeps nothing. Metrics come a quarter of a minute later.
const NEEDED: [(&str, &str); 2] =
    [("kube-system", "coredns"), ("local-path-storage", "local-path-provisioner")];

/// Creates them. A cluster that starts again has them already, which is as good.
pub(crate) async fn apply(client: &Client, network: Network) -> Result<()> {
    put_all(client, objects(network)?).await
}

fn objects(network: Network) -> Result<Vec<DynamicObject>> {
    let dns = network.dns_service().to_string();
    let mut objects = Vec::new();
    for (file, text) in FILES {
        objects.extend(read(file, text, &[("${TOOLBOX}", TOOLBOX), ("${DNS}", &dns)])?);
    }
    Ok(objects)
}

/// The objects of a file, with what it leaves open filled in.
pub(super) fn read(file: &str, text: &str, open: &[(&str, &str)]) -> Result<Vec<DynamicObject>> {
    let text = open.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let documents = serde_yaml::Deserializer::from_str(&text).map(DynamicObject::deserialize);
    let damaged = |error: serde_yaml::Error| Error::Damaged { path: file.into(), said: error.to_string() };
    documents.map(|object| object.map_err(damaged)).collect()
}

/// Creates objects one after the other, or brings them up to date.
pub(super) async fn put_all(client: &Client, objects: Vec<DynamicObject>) -> Result<()> {
    for object in objects {
        put(client, object).await?;
    }
    Ok(())
}

async fn put(client: &Client, object: DynamicObject) -> Result<()> {
    let TypeMeta { api_version, kind } = object.types.clone().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    let params = PatchParams::apply("plinth-cluster").force();
    api.patch(&name, &params, &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(Error::api(format!("creating {kind} {name}")))
}

/// What is still waited for before pods can be used, `None` when nothing is. After a restart, what the API server has
/// of the node and its pods is at first what was true before it: nothing from before `booted` is believed.
pub(crate) async fn waiting_for(client: &Client, booted: Timestamp) -> Result<Option<String>, kube::Error> {
    let Some(node) = Api::<Node>::all(client.clone()).get_opt(NAME).await? else {
        return Ok(Some(format!("the node {NAME} has not registered")));
    };
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    match ready {
        Some(condition) if condition.status == "True" => {}
        condition => {
            let said = condition.and_then(|condition| condition.message.clone()).unwrap_or_default();
            return Ok(Some(format!("the node {NAME} is not Ready: {said}")));
        }
    }
    let here = ListParams::default().fields(&format!("spec.nodeName={NAME}"));
    let pods = Api::<Pod>::all(client.clone()).list(&here).await?;
    if let Some(pod) = pods.iter().find(|pod| is_from_before(pod, booted)) {
        return Ok(Some(format!("pod {} is from before the node's start", pod.name_any())));
    }
    for (namespace, name) in NEEDED {
        let deployment = Api::<Deployment>::namespaced(client.clone(), namespace).get_opt(name).await?;
        let available = deployment.and_then(|deployment| deployment.status?.available_replicas).unwrap_or(0);
        if available < 1 {
            return Ok(Some(format!("{namespace}/{name} is not available")));
        }
    }
    Ok(None)
}

/// Whether the pod is said to run, in a container that ended with an earlier run of the node.
fn is_from_before(pod: &Pod, booted: Timestamp) -> bool {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let running =
        containers.filter_map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    // Kubernetes counts whole seconds.
    running.into_iter().any(|started| started.0.as_second() < booted.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_objects_and_nothing_is_left_to_fill_in() {
        let objects = objects(Network::Real { block: 70 }).unwrap();
        assert!(objects.iter().all(|object| object.types.is_some() && object.metadata.name.is_some()));
        assert!(!serde_json::to_string(&objects).unwrap().contains("${"));
    }
}
