//! Two control planes: a Secret is composed on one of what was born on the other, and a cluster that is known not to answer
//! is not waited for.

mod support;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plinth_api::condition::Reason;
use plinth_cluster::Nodes;
use plinth_cluster::testing::TestCluster;
use plinth_plan::model::{Plan, StackId};
use plinth_runtime::clusters::{Access, Clients, Cluster, config_from};
use plinth_runtime::lease::Fence;
use plinth_runtime::secrets::Sources;
use tokio::time::Instant;

use support::{House, compose, generate, namespace, plan, secret, stack, values};

/// A Stack whose block is on the site, and one on the hub that is made of its password.
struct Pair {
    born: StackId,
    copied: StackId,
    there: Plan,
    here: Plan,
}

impl Pair {
    fn new() -> Self {
        let (born, copied) = (stack(), stack());
        let there =
            plan(&born, vec![vec![secret(&born, "db", [("password".to_owned(), generate(false))].into())]]);
        let url = [("url".to_owned(), compose(&born, "db://", "db", "password"))].into();
        let here = plan(&copied, vec![vec![secret(&copied, "reader", url)]]);
        Self { born, copied, there, here }
    }

    /// Both in one plan, the first on WorkloadCluster site-a.
    fn sources(&self, hub: &House, site: Option<Arc<Cluster>>) -> Sources {
        let mut blocks = self.there.blocks.clone();
        blocks[0].cluster = Some("site-a".to_owned());
        blocks.extend(self.here.blocks.clone());
        let whole = Plan { blocks, ..Plan::default() };
        Sources::of_plan(hub.cluster.clone(), &whole, |_| site.clone())
    }
}

async fn site(plane: &TestCluster) -> Result<House> {
    let access = Access { kubeconfig: Some(plane.kubeconfig()), context: None };
    Ok(House::over(Clients::new(access.config().await?)?, Fence::always()))
}

/// Another cluster as the operator reaches it: by what stands in a Secret.
async fn remote(plane: &TestCluster, hub: &House) -> Result<Arc<Cluster>> {
    let config = config_from(&std::fs::read_to_string(plane.kubeconfig())?).await?;
    let triggers = hub.cluster.observer.triggers().clone();
    Ok(Cluster::remote("default/site-a", config, hub.metrics.clone(), triggers)?)
}

#[tokio::test]
async fn a_secret_is_composed_of_one_that_was_born_on_another_cluster() -> Result<()> {
    let plane = TestCluster::start(Nodes::None).await?;
    let (mut hub, mut site) = (House::start().await?, site(&plane).await?);
    let pair = Pair::new();

    // Before the site has answered the copy waits, and says for what.
    hub.elsewhere = Some(pair.sources(&hub, None));
    hub.converge(&pair.here).await?;
    let failure = hub.failures.view().into_values().next().context("a failure")?;
    ensure!(failure.reason == Reason::Waiting, "{failure:?}");
    ensure!(failure.message.contains("WorkloadCluster site-a"), "{failure:?}");

    site.converge(&pair.there).await?;
    let born = values(&site, &namespace(&pair.born), "db").await?;
    hub.elsewhere = Some(pair.sources(&hub, Some(remote(&plane, &hub).await?)));
    hub.later = 60;
    hub.converge(&pair.here).await?;
    let copied = values(&hub, &namespace(&pair.copied), "reader").await?;
    ensure!(copied["url"] == format!("db://{}", born["password"]));
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_is_known_to_be_silent_is_not_waited_for() -> Result<()> {
    let plane = TestCluster::start(Nodes::None).await?;
    let mut hub = House::start().await?;
    let pair = Pair::new();
    let cluster = remote(&plane, &hub).await?;
    cluster.pulse.beat(Err("the cable was cut".to_owned()));
    cluster.pulse.beat(Err("the cable was cut".to_owned()));
    hub.elsewhere = Some(pair.sources(&hub, Some(cluster)));
    let began = Instant::now();
    hub.converge(&pair.here).await?;
    ensure!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let failure = hub.failures.view().into_values().next().context("a failure")?;
    ensure!(failure.message.contains("the cable was cut"), "{failure:?}");
    Ok(())
}
