//! Envoy Gateway on a real node: what acts on Gateways and their routes. It is not of every node's start, for few clusters ask
//! for it and its kinds are large.

use kube::core::DynamicObject;

use super::objects::{put_all, read};
use crate::crds;
use crate::error::Result;
use crate::plane::ControlPlane;
use crate::progress::Progress;

/// The controller's image as its makers name it. What ends connections before a proxy ends is a program of it too.
pub const GATEWAY_CONTROLLER: &str = "docker.io/envoyproxy/gateway:v1.9.1";
/// The proxies' image as its makers name it.
pub const GATEWAY_PROXY: &str = "docker.io/envoyproxy/envoy:distroless-v1.40.0";
/// The class of the Gateways that it acts on.
pub const GATEWAY_CLASS: &str = "eg";

const FILE: (&str, &str) = ("gateways.yaml", include_str!("../../node/objects/gateways.yaml"));

impl ControlPlane {
    /// Installs Envoy Gateway beside the Gateway API, which has to be served: its kinds, its controller, the class
    /// [`GATEWAY_CLASS`]. Both images must have been imported, under these names. Whether it comes up is seen of the Gateways.
    ///
    /// # Errors
    /// The nodes are not real, its kinds cannot be had, or the API server refuses something.
    pub async fn serve_gateways(&self, controller: &str, proxy: &str, progress: &dyn Progress) -> Result<()> {
        self.node_programs()?;
        let client = self.bootstrap_client().await?;
        crds::install(&client, &crds::ensure(&crds::ENVOY_GATEWAY, progress).await?).await?;
        put_all(&client, objects(controller, proxy)?).await
    }
}

fn objects(controller: &str, proxy: &str) -> Result<Vec<DynamicObject>> {
    let (name, text) = FILE;
    read(name, text, &[("${CONTROLLER}", controller), ("${PROXY}", proxy), ("${CLASS}", GATEWAY_CLASS)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_objects_and_nothing_is_left_to_fill_in() {
        let objects = objects("controller:1", "proxy:1").unwrap();
        assert!(objects.iter().all(|object| object.types.is_some() && object.metadata.name.is_some()));
        assert!(!serde_json::to_string(&objects).unwrap().contains("${"));
    }
}
