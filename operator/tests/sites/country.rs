//! A hub and two sites, each a control plane of its own, and a Stack with a block on each.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use plinth::controllers::cluster::Rhythm;
use plinth::run::Options;
use plinth_api::{BuildingBlock, Stack, WorkloadCluster, names};
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_runtime::clusters::Access;
use serde_json::{Value, json};

use crate::house::{Operator, eventually, prepare};
use crate::wire::Wire;

/// Block, product and site of each block; the first is on the hub.
pub(crate) const BLOCKS: [(&str, &str, Option<&str>); 3] = [
    ("identity", "keycloak", None),
    ("workflow", "operaton", Some("site-a")),
    ("digital-registries", "openspp", Some("site-b")),
];

/// Beats of a test: a real second is long.
pub(crate) const FAST: Rhythm = Rhythm {
    every: Duration::from_secs(1),
    silent: Duration::from_millis(500),
    limit: Duration::from_secs(1),
};

/// Annotation that tests change.
const ROUND: &str = "example.org/round";

pub(crate) struct Site {
    pub(crate) plane: TestCluster,
    pub(crate) client: Client,
    pub(crate) wire: Wire,
}

pub(crate) struct Country {
    pub(crate) hub: TestCluster,
    pub(crate) client: Client,
    pub(crate) a: Site,
    pub(crate) b: Site,
}

impl Country {
    /// The clusters, with the sites made known to the hub. Nothing runs on any of them.
    pub(crate) async fn start() -> Result<Self> {
        let (hub, a, b) = tokio::try_join!(hub(), site(), site())?;
        let client = prepare(&hub).await?;
        let country = Self { hub, client, a, b };
        country.introduce().await?;
        Ok(country)
    }

    /// Tells the hub of the sites, as the files of a country in git do.
    pub(crate) async fn introduce(&self) -> Result<()> {
        for (name, site) in [("site-a", &self.a), ("site-b", &self.b)] {
            self.make_known(name, &site.kubeconfig()?).await?;
        }
        Ok(())
    }

    pub(crate) fn operator(&self, rhythm: Rhythm) -> Operator {
        run(&self.hub, rhythm)
    }

    pub(crate) fn clusters(&self) -> Api<WorkloadCluster> {
        Api::namespaced(self.client.clone(), "dpi")
    }

    pub(crate) fn stacks(&self) -> Api<Stack> {
        Api::namespaced(self.client.clone(), "dpi")
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), "dpi")
    }

    pub(crate) async fn declare(&self) -> Result<()> {
        self.stacks().create(&PostParams::default(), &stack()?).await?;
        Ok(())
    }

    /// Changes the Services of a block.
    pub(crate) async fn change(&self, block: &str, text: &str) -> Result<()> {
        let overrides = json!([{
            "name": "round",
            "match": { "block": block, "kind": "Service" },
            "patch": { "metadata": { "annotations": { ROUND: text } } },
        }]);
        let patch = Patch::Merge(json!({ "spec": { "overrides": overrides } }));
        self.stacks().patch("land", &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Until all Services of a block say so, on the cluster that it is on.
    pub(crate) async fn changed(&self, cluster: &Client, block: &str, text: &str) -> Result<()> {
        let services: Api<Service> = Api::namespaced(cluster.clone(), &format!("land-{block}"));
        eventually("the change is there", async || {
            let services = services.list(&ListParams::default()).await?.items;
            let says = |service: &Service| service.annotations().get(ROUND).is_some_and(|said| said == text);
            Ok((!services.is_empty() && services.iter().all(says)).then_some(()))
        })
        .await
    }

    pub(crate) async fn block(&self, block: &str) -> Result<BuildingBlock> {
        let blocks: Api<BuildingBlock> = Api::namespaced(self.client.clone(), "dpi");
        Ok(blocks.get(&format!("land-{block}")).await?)
    }

    /// Every Secret that Plinth made, on the sites.
    pub(crate) async fn values(&self) -> Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for (site, client) in [("a", &self.a.client), ("b", &self.b.client)] {
            let selector = format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY);
            let found: Api<Secret> = Api::all(client.clone());
            for secret in found.list(&ListParams::default().labels(&selector)).await? {
                let name = secret.metadata.name.context("a name")?;
                values.insert(format!("{site}/{name}"), serde_json::to_string(&secret.data)?);
            }
        }
        Ok(values)
    }
}

/// An operator on a hub.
pub(crate) fn run(hub: &TestCluster, rhythm: Rhythm) -> Operator {
    Operator::run(Options {
        access: Access { kubeconfig: Some(hub.kubeconfig()), context: None },
        identity: Some("me".to_owned()),
        rhythm,
        ..Options::default()
    })
}

/// Status, reason and message of a condition.
pub(crate) fn said(conditions: &Value, kind: &str) -> Option<(String, String, String)> {
    let found = conditions.as_array()?.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Whether a namespace is there.
pub(crate) async fn has_namespace(client: &Client, name: &str) -> Result<bool> {
    Ok(Api::<Namespace>::all(client.clone()).get_opt(name).await?.is_some())
}

impl Site {
    /// What the hub is given: the way through the wire.
    pub(crate) fn kubeconfig(&self) -> Result<String> {
        Ok(self.through_the_wire(&std::fs::read_to_string(self.plane.kubeconfig())?))
    }

    pub(crate) fn through_the_wire(&self, kubeconfig: &str) -> String {
        kubeconfig.replace(&self.plane.server_url(), &self.wire.url())
    }
}

async fn hub() -> Result<TestCluster> {
    Ok(TestCluster::start(Nodes::Simulated(2)).await?)
}

async fn site() -> Result<Site> {
    let plane = TestCluster::start(Nodes::Simulated(2)).await?;
    let (client, wire) = (plane.client().await?, Wire::to(&plane.server_url()).await?);
    Ok(Site { plane, client, wire })
}

fn stack() -> Result<Stack> {
    let blocks: Vec<Value> =
        BLOCKS.iter().map(|(name, product, _)| json!({ "name": name, "product": product })).collect();
    let places: Vec<Value> = BLOCKS
        .iter()
        .filter_map(|(name, _, site)| site.map(|site| json!({ "block": name, "clusters": [site] })))
        .collect();
    let stack = json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "land" },
        "spec": {
            "country": { "code": "EE", "languages": ["et"], "currencies": ["EUR"] },
            "profile": "sandbox",
            "blocks": blocks,
            "placement": { "blocks": places },
            "images": { "refuseMutableTags": false },
            "deletion": { "policy": "Delete", "confirm": "land" },
        },
    });
    Ok(serde_json::from_value(stack)?)
}
