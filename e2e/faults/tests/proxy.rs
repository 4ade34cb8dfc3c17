//! The proxy between an ordinary client and a real API server: nothing changes but what was asked for.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{ControlPlane, Nodes};
use plinth_faults::fault::{Action, Fault};
use plinth_faults::proxy::{Options, Proxy};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(10);

async fn client(kubeconfig: &str) -> Result<Client> {
    let read: Kubeconfig = serde_yaml::from_str(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static("through-the-proxy/1")));
    Ok(Client::try_from(config)?)
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "key": value } }))
        .expect("a ConfigMap")
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

async fn passes_everything_on(plane: &ControlPlane) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let history = dir.path().join("history.jsonl");
    // Two in a row: the client speaks HTTP/1.1 to the first, the first HTTP/2 to the second.
    let inner =
        Proxy::start(Options { history: Some(history.clone()), ..Options::new(plane.kubeconfig()) }).await?;
    let between = dir.path().join("inner.yaml");
    std::fs::write(&between, inner.kubeconfig())?;
    let outer = Proxy::start(Options::new(&between)).await?;
    let through = client(outer.kubeconfig()).await?;
    let direct = plane.client().await?;

    let mut watch = maps(&through)
        .watch(&WatchParams::default().fields("metadata.name=passed").disable_bookmarks(), "0")
        .await?
        .boxed();
    let created = maps(&through).create(&PostParams::default(), &map("passed", "1")).await?;
    ensure!(maps(&direct).get("passed").await? == created);
    let seen = tokio::time::timeout(LIMIT, watch.try_next()).await.context("the watch is held back")??;
    ensure!(matches!(&seen, Some(WatchEvent::Added(object)) if *object == created), "{seen:?}");

    let params = PatchParams::apply("somebody").force();
    let applied =
        maps(&through).patch("passed", &params, &Patch::Apply(with_type(map("passed", "2")))).await?;
    ensure!(applied.data.context("data")?["key"] == "2");
    let seen = tokio::time::timeout(LIMIT, watch.try_next()).await.context("the watch stopped")??;
    ensure!(matches!(seen, Some(WatchEvent::Modified(_))));

    // Refusals pass as they are.
    let conflict = maps(&through).create(&PostParams::default(), &map("passed", "1")).await;
    ensure!(matches!(conflict, Err(kube::Error::Api(status)) if status.code == 409));
    // Larger than a window of HTTP/2.
    let large = "x".repeat(900 * 1024);
    let stored = maps(&through).create(&PostParams::default(), &map("large", &large)).await?;
    ensure!(stored.data.context("data")?["key"].len() == large.len());
    ensure!(maps(&through).get("large").await?.data.context("data")?["key"] == large);
    maps(&through).delete("passed", &DeleteParams::default()).await?;
    ensure!(maps(&direct).get_opt("passed").await?.is_none());
    // A lease is a write, but not work.
    let lease: Lease = serde_json::from_value(json!({ "metadata": { "name": "lease" } }))?;
    Api::<Lease>::namespaced(through.clone(), "default").create(&PostParams::default(), &lease).await?;

    let keys = |proxy: &Proxy| -> Vec<_> {
        let records = proxy.history().records();
        records.iter().map(|record| (record.k, record.key.to_string(), record.status)).collect()
    };
    let expected = [
        (Some(1), "create core/configmaps default/passed #1".to_owned(), Some(201)),
        (Some(2), "apply core/configmaps default/passed #1".to_owned(), Some(200)),
        (Some(3), "create core/configmaps default/passed #2".to_owned(), Some(409)),
        (Some(4), "create core/configmaps default/large #1".to_owned(), Some(201)),
        (Some(5), "delete core/configmaps default/passed #1".to_owned(), Some(200)),
        (None, "create coordination.k8s.io/leases default/lease #1".to_owned(), Some(201)),
    ];
    ensure!(keys(&outer) == expected, "{:#?}", keys(&outer));
    ensure!(keys(&inner) == expected);
    ensure!(outer.progress().writes == 5 && outer.progress().in_flight == 0);
    let lines = std::fs::read_to_string(&history)?;
    ensure!(
        lines.lines().count() == 6 && lines.contains(r#""key":"apply core/configmaps default/passed #1""#)
    );
    // The server still knows who asked.
    let audit = std::fs::read_to_string(plane.audit_log())?;
    ensure!(audit.lines().any(|line| line.contains("through-the-proxy/1") && line.contains("\"large\"")));
    Ok(())
}

/// An apply names its type.
fn with_type(map: ConfigMap) -> serde_json::Value {
    let mut value = serde_json::to_value(map).expect("a ConfigMap");
    value["apiVersion"] = json!("v1");
    value["kind"] = json!("ConfigMap");
    value
}

async fn faulty(plane: &ControlPlane, trigger: &str, action: Action) -> Result<(Proxy, Client)> {
    let trigger = trigger.parse().map_err(anyhow::Error::msg)?;
    let fault = Some(Fault { trigger, action });
    let proxy = Proxy::start(Options { fault, ..Options::new(plane.kubeconfig()) }).await?;
    let client = client(proxy.kubeconfig()).await?;
    Ok((proxy, client))
}

async fn loses_one_answer(plane: &ControlPlane) -> Result<()> {
    for (nth, trigger) in ["2", "create core/configmaps default/lost-b #1"].into_iter().enumerate() {
        let names = ["a", "b", "c"]
            .map(|name| if nth == 0 { format!("{nth}-{name}") } else { format!("lost-{name}") });
        let (proxy, through) = faulty(plane, trigger, Action::LoseResponse).await?;
        let mut answered = Vec::new();
        for name in &names {
            let create = maps(&through).create(&PostParams::default(), &map(name, "1")).await;
            answered.push(create.is_ok());
        }
        ensure!(answered == [true, false, true], "{trigger}: {answered:?}");
        ensure!(proxy.progress().struck == Some(Action::LoseResponse));
        for name in &names {
            ensure!(maps(&through).get_opt(name).await?.is_some(), "{name} was stored");
        }
        ensure!(proxy.history().records()[1].fault == Some(Action::LoseResponse));
    }
    Ok(())
}

async fn kills_after_the_write(plane: &ControlPlane) -> Result<()> {
    let (proxy, through) = faulty(plane, "1", Action::Crash).await?;
    let mut victim = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn()?;
    proxy.operator_is(victim.id().context("it runs")?);
    ensure!(Api::<Namespace>::all(through.clone()).list(&Default::default()).await.is_ok());
    let create = maps(&through).create(&PostParams::default(), &map("crashed", "1")).await;
    ensure!(create.is_err());
    let status = tokio::time::timeout(LIMIT, victim.wait()).await.context("it lives")??;
    ensure!(std::os::unix::process::ExitStatusExt::signal(&status) == Some(9));
    ensure!(maps(&through).get_opt("crashed").await?.is_some());
    // The next process is another incarnation, and nothing happens to it.
    proxy.operator_starts_again();
    proxy.operator_is(std::process::id());
    maps(&through).create(&PostParams::default(), &map("survived", "1")).await?;
    let incarnations: Vec<_> = proxy.history().records().iter().map(|record| record.incarnation).collect();
    ensure!(incarnations == [0, 1]);
    Ok(())
}

async fn lets_nobody_else_in(plane: &ControlPlane) -> Result<()> {
    let proxy = Proxy::start(Options::new(plane.kubeconfig())).await?;
    let mut config: Kubeconfig = serde_yaml::from_str(proxy.kubeconfig())?;
    for user in config.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
        user.client_certificate_data = None;
        user.client_key_data = None;
    }
    let stranger = client(&serde_yaml::to_string(&config)?).await?;
    ensure!(stranger.apiserver_version().await.is_err());
    Ok(())
}

#[tokio::test]
async fn between_a_client_and_a_real_api_server() -> Result<()> {
    TestCluster::run(Nodes::None, async |plane| -> Result<()> {
        passes_everything_on(plane).await.context("passing on")?;
        loses_one_answer(plane).await.context("losing an answer")?;
        kills_after_the_write(plane).await.context("killing")?;
        lets_nobody_else_in(plane).await.context("strangers")
    })
    .await
}
