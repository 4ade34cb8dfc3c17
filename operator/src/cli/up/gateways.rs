//! Gateways on a real node that was started here: whoever owns a cluster installs what acts on them, and this one has nobody else.

use anyhow::{Context as _, Result};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use plinth_cluster::{GATEWAY_CLASS, GATEWAY_CONTROLLER, GATEWAY_PROXY};
use plinth_plan::model::{Desired, Plan};
use serde::Serialize;

use super::cluster::Cluster;
use super::images::give_standing_for;
use crate::cli::input::Planned;
use crate::cli::output::note;
use crate::cli::progress::Stages;

const GROUP: &str = "gateway.networking.k8s.io";

/// Where a Gateway is reached.
#[derive(Debug, PartialEq, Serialize)]
pub struct Door {
    /// Namespace and name.
    pub gateway: String,
    /// Its address on this machine.
    pub address: String,
    /// A host of the routes that lead through it.
    pub host: String,
}

/// Installs Envoy Gateway where a plan asks for a Gateway of its class, and says which Gateways nobody will act on.
///
/// # Errors
/// One of its images cannot be built or imported, or it cannot be installed.
pub async fn serve(cluster: &Cluster, planned: &[Planned]) -> Result<()> {
    let Some(plane) = cluster.real_node() else { return Ok(()) };
    let (ours, others): (Vec<_>, Vec<_>) =
        of_kind(planned, "Gateway").partition(|gateway| class(gateway) == GATEWAY_CLASS);
    for gateway in others {
        note(&format!(
            "warning: {} is of class `{}`, and nobody acts on it here: leave out spec.site.gatewayClass, or name `{GATEWAY_CLASS}`",
            gateway.key,
            class(gateway)
        ));
    }
    if ours.is_empty() {
        return Ok(());
    }
    let controller = give_standing_for(plane, GATEWAY_CONTROLLER).await?;
    let proxy = give_standing_for(plane, GATEWAY_PROXY).await?;
    plane
        .serve_gateways(&controller, &proxy, &Stages::new())
        .await
        .context("installing Envoy Gateway, which acts on Gateways")
}

/// Where the Gateways of the plans are reached: on a real node, and as far as they have an address.
///
/// # Errors
/// The API server does not answer.
pub async fn doors(cluster: &Cluster, client: &Client, planned: &[Planned]) -> Result<Vec<Door>> {
    let mut doors = Vec::new();
    if cluster.real_node().is_none() {
        return Ok(doors);
    }
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Gateway"));
    for gateway in of_kind(planned, "Gateway") {
        let (namespace, name) = (gateway.key.namespace.as_deref().unwrap_or_default(), &gateway.key.name);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
        let live = api.get_opt(name).await.with_context(|| format!("reading {}", gateway.key))?;
        let address =
            live.and_then(|live| Some(live.data.pointer("/status/addresses/0/value")?.as_str()?.to_owned()));
        let host = of_kind(planned, "HTTPRoute").find_map(|route| host_through(route, namespace, name));
        if let (Some(address), Some(host)) = (address, host) {
            doors.push(Door { gateway: format!("{namespace}/{name}"), address, host });
        }
    }
    Ok(doors)
}

/// The first host of a route that leads through this Gateway.
fn host_through(route: &Desired, namespace: &str, name: &str) -> Option<String> {
    let spec = &route.body["spec"];
    let parent = &spec["parentRefs"][0];
    (parent["namespace"] == namespace && parent["name"] == name)
        .then(|| spec["hostnames"][0].as_str().map(str::to_owned))?
}

fn of_kind<'p>(planned: &'p [Planned], kind: &'static str) -> impl Iterator<Item = &'p Desired> {
    let objects = planned.iter().flat_map(|planned: &Planned| Plan::objects(&planned.plan));
    objects.filter(move |object| object.key.kind == kind && object.key.api_version.starts_with(GROUP))
}

fn class(gateway: &Desired) -> &str {
    gateway.body["spec"]["gatewayClassName"].as_str().unwrap_or_default()
}
