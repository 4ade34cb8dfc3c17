//! The objects a cluster starts with: its simulated nodes and the class of their volumes.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::{Error, Result};

/// On everything that is not what it seems.
pub(crate) const SIMULATED_LABEL: &str = "plinth.dev/simulated";
const PROVISIONER: &str = "simulated.plinth.dev";

/// Creates the nodes and their storage class. A cluster that starts again has them already, which is as good.
pub(crate) async fn seed(client: &Client, nodes: u32) -> Result<()> {
    let labels = json!({ SIMULATED_LABEL: "true" });
    apply::<CSIDriver>(
        client,
        json!({
            "metadata": { "name": PROVISIONER, "labels": labels },
            // Nothing has to be attached, so nothing waits for an attacher that does not exist.
            "spec": { "attachRequired": false, "podInfoOnMount": false },
        }),
    )
    .await?;
    apply::<StorageClass>(
        client,
        json!({
            "metadata": {
                "name": "simulated",
                "labels": labels,
                "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        }),
    )
    .await?;
    for nth in 0..nodes {
        let name = format!("simulated-{nth}");
        apply::<Node>(
            client,
            json!({
                "metadata": {
                    "name": name,
                    "labels": {
                        SIMULATED_LABEL: "true",
                        "kubernetes.io/arch": "amd64",
                        "kubernetes.io/hostname": name,
                        "kubernetes.io/os": "linux",
                        // Three zones, as a country's data centres would be spread over.
                        "topology.kubernetes.io/region": "simulated",
                        "topology.kubernetes.io/zone": format!("simulated-{}", (b'a' + (nth % 3) as u8) as char),
                    },
                },
            }),
        )
        .await?;
    }
    Ok(())
}

async fn apply<K>(client: &Client, mut object: serde_json::Value) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let params = PatchParams::apply("plinth-cluster").force();
    Api::<K>::all(client.clone())
        .patch(&name, &params, &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(Error::api(format!("creating {} {name}", K::kind(&()))))
}
