//! `examples/multi-site` as its folder stands, on four control planes: the hub, two sites and an embassy.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use plinth_api::{ExchangeAgreement, Stack, WorkloadCluster};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::country::{FAST, has_namespace, run, said};
use crate::documents::{create, documents};
use crate::house::{eventually, prepare, ready};

/// Where each block is to be, by what the example asks for.
const PLACES: [(&str, Option<&str>); 7] = [
    ("api-gateway", None),
    ("identity", None),
    ("digital-registries", Some("south")),
    ("information-mediator", Some("south")),
    ("workflow", Some("north")),
    ("x-gateway-north", Some("north")),
    ("x-consular-registries", Some("embassy")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn the_country_on_four_clusters_comes_up_and_its_agreements_hold_across_them() -> Result<()> {
    let start = || TestCluster::start_with(|options| options.nodes(Nodes::Simulated(2)).gateway_api(true));
    let (hub, north, south, embassy) = tokio::try_join!(start(), start(), start(), start())?;
    let client = prepare(&hub).await?;
    for plane in [&hub, &north, &south, &embassy] {
        multicluster_services(&plane.client().await?).await?;
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "dpi");
    for (name, plane) in [("north", &north), ("south", &south), ("embassy", &embassy)] {
        let kubeconfig = std::fs::read_to_string(plane.kubeconfig())?;
        let secret = json!({ "metadata": { "name": format!("{name}-kubeconfig") }, "stringData": { "kubeconfig": kubeconfig } });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
    }
    let mut objects = documents("multi-site")?;
    objects.sort_by_key(|object| object["kind"] != "Namespace");
    for object in &mut objects {
        // No inventory writes ClusterProfiles here.
        if object["kind"] == "WorkloadCluster" && object["spec"]["kubeconfigSecret"].is_null() {
            let spec = object["spec"].as_object_mut().context("a spec")?;
            spec.remove("clusterProfile");
            spec.insert("kubeconfigSecret".to_owned(), json!({ "name": "embassy-kubeconfig" }));
        }
        create(&client, object).await.with_context(|| object["metadata"].to_string())?;
    }

    let operator = run(&hub, FAST);
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    let stack = ready(&stacks, "estate").await?;
    let blocks = stack.status.unwrap_or_default().blocks;
    for (block, cluster) in PLACES {
        let found = blocks.iter().find(|found| found.name == block).with_context(|| block.to_owned())?;
        ensure!(found.cluster.as_deref() == cluster, "{block}: {found:?}");
        let plane = match cluster {
            None => &hub,
            Some("north") => &north,
            Some("south") => &south,
            Some(_) => &embassy,
        };
        ensure!(has_namespace(&plane.client().await?, &format!("estate-{block}")).await?, "{block}");
    }
    let clusters: Api<WorkloadCluster> = Api::namespaced(client.clone(), "dpi");
    for cluster in clusters.list(&ListParams::default()).await? {
        let capabilities = cluster.status.and_then(|status| status.capabilities).unwrap_or_default();
        ensure!(capabilities.iter().any(|name| name == "mcs-api"), "{capabilities:?}");
    }
    agreed(&client, "civil").await?;
    operator.stop().await
}

/// Until every agreement in a namespace is in force.
async fn agreed(client: &Client, namespace: &str) -> Result<()> {
    let agreements: Api<ExchangeAgreement> = Api::namespaced(client.clone(), namespace);
    eventually("the agreements hold", async || {
        let all = agreements.list(&ListParams::default()).await?.items;
        let holds = |agreement: &ExchangeAgreement| {
            let conditions = agreement.status.as_ref().map(|status| serde_json::to_value(&status.conditions));
            conditions
                .and_then(Result::ok)
                .and_then(|all| said(&all, "Ready"))
                .is_some_and(|(is, ..)| is == "True")
        };
        Ok((!all.is_empty() && all.iter().all(holds)).then_some(()))
    })
    .await
}

/// Multicluster Services as a cluster serves them: the kinds alone, for nobody acts on them here.
async fn multicluster_services(client: &Client) -> Result<()> {
    let group = "multicluster.x-k8s.io";
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for (kind, plural) in [("ServiceExport", "serviceexports"), ("ServiceImport", "serviceimports")] {
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition: Value = json!({
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural },
                "versions": [{
                    "name": "v1alpha1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
                }],
            },
        });
        definitions.create(&PostParams::default(), &serde_json::from_value(definition)?).await?;
    }
    Ok(())
}
