//! Whose credentials a cluster is reached with: read again when they change, refused when they would do more than open that
//! one cluster.

use anyhow::{Context as _, Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::country::{Country, said};
use crate::house::{condition, eventually};

impl Country {
    /// Makes the Secret of a site say another kubeconfig.
    async fn hand_over(&self, site: &str, kubeconfig: &str) -> Result<()> {
        let patch = Patch::Merge(json!({ "stringData": { "kubeconfig": kubeconfig } }));
        self.secrets().patch(site, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Until a WorkloadCluster is said to be ready or not, for a reason that holds these words.
    async fn says(&self, site: &str, status: &str, words: &str) -> Result<()> {
        eventually("the WorkloadCluster says so", async || {
            let found = self.clusters().get(site).await?.status.unwrap_or_default();
            let ready = said(&serde_json::to_value(&found.conditions)?, "Ready");
            Ok(ready.filter(|(is, _, message)| is == status && message.contains(words)).map(drop))
        })
        .await
        .with_context(|| format!("{site}: {status}, {words}"))
    }
}

/// A kubeconfig that is refused is said, and what was read before goes on being used; the next good one is taken.
pub(crate) async fn are_read_again(country: &Country) -> Result<()> {
    let good = country.a.kubeconfig()?;
    let mut evil: Value = serde_yaml::from_str(&good)?;
    evil["users"][0]["user"] =
        json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": "sh" } });
    country.hand_over("site-a", &serde_yaml::to_string(&evil)?).await?;
    country.says("site-a", "False", "user.exec: runs a program").await?;
    let stack = country.stacks().get("land").await?;
    ensure!(matches!(condition(&stack, "Ready"), Some(("True", ..))), "{:?}", stack.status);

    let other = std::fs::read_to_string(country.a.plane.kubeconfig_for("rotated", &["system:masters"])?)?;
    country.hand_over("site-a", &country.a.through_the_wire(&other)).await?;
    country.says("site-a", "True", "blocks can run").await?;
    eventually("the site is asked by the new name", async || {
        let log = std::fs::read_to_string(country.a.plane.audit_log())?;
        Ok(log.contains("\"username\":\"rotated\"").then_some(()))
    })
    .await
}

/// Two names for one cluster would each take the other's blocks for leftovers.
pub(crate) async fn must_open_a_cluster_of_its_own(country: &Country) -> Result<()> {
    let hub = std::fs::read_to_string(country.hub.kubeconfig())?;
    let cases = [
        ("twin", country.a.kubeconfig()?, "is the same cluster as WorkloadCluster dpi/site-a"),
        ("self", hub, "is the cluster that Plinth itself runs on"),
    ];
    for (name, kubeconfig, words) in cases {
        country.make_known(name, &kubeconfig).await?;
        country.says(name, "False", words).await?;
        country.clusters().delete(name, &DeleteParams::default()).await?;
        eventually("it may go, for nothing runs there", async || {
            Ok(country.clusters().get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
    }
    Ok(())
}

impl Country {
    /// A Secret with a kubeconfig and the WorkloadCluster that names it.
    pub(crate) async fn make_known(&self, name: &str, kubeconfig: &str) -> Result<()> {
        let secret = json!({ "metadata": { "name": name }, "stringData": { "kubeconfig": kubeconfig } });
        self.secrets().create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        let cluster = json!({
            "apiVersion": "plinth.dev/v1alpha1", "kind": "WorkloadCluster", "metadata": { "name": name },
            "spec": { "kubeconfigSecret": { "name": name }, "jurisdiction": "EE", "location": "EE", "site": name },
        });
        self.clusters().create(&PostParams::default(), &serde_json::from_value(cluster)?).await?;
        Ok(())
    }
}
