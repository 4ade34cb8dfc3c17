//! The proxy between an ordinary client and a real API server: nothing changes but what was asked for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use plinth_cluster::testing::TestCluster;
use plinth_cluster::{ControlPlane, Nodes};
use plinth_faults::fault::{Action, ERRORS, Fault};
use plinth_faults::proxy::{Options, Proxy};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(10);
/// What kube's client tries again.
const RETRIED: [u16; 3] = [429, 503, 504];

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

async fn faulty(plane: &ControlPlane, fault: &str) -> Result<(Proxy, Client)> {
    let fault: Fault = fault.parse().map_err(anyhow::Error::msg)?;
    let proxy = Proxy::start(Options { faults: vec![fault], ..Options::new(plane.kubeconfig()) }).await?;
    let client = client(proxy.kubeconfig()).await?;
    Ok((proxy, client))
}

async fn create(client: &Client, name: &str) -> kube::Result<ConfigMap> {
    maps(client).create(&PostParams::default(), &map(name, "1")).await
}

async fn loses_one_answer(plane: &ControlPlane) -> Result<()> {
    for (nth, trigger) in ["2", "create core/configmaps default/lost-b #1"].into_iter().enumerate() {
        let names = ["a", "b", "c"]
            .map(|name| if nth == 0 { format!("{nth}-{name}") } else { format!("lost-{name}") });
        let (proxy, through) = faulty(plane, &format!("lose-response @ {trigger}")).await?;
        let mut answered = Vec::new();
        for name in &names {
            answered.push(create(&through, name).await.is_ok());
        }
        ensure!(answered == [true, false, true], "{trigger}: {answered:?}");
        ensure!(proxy.progress().struck == 1);
        for name in &names {
            ensure!(maps(&through).get_opt(name).await?.is_some(), "{name} was stored");
        }
        ensure!(proxy.history().records()[1].fault == Some(Action::LoseResponse));
    }
    Ok(())
}

async fn kills_after_the_write(plane: &ControlPlane) -> Result<()> {
    let (proxy, through) = faulty(plane, "crash @ 1").await?;
    let mut victim = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn()?;
    proxy.operator_is(victim.id().context("it runs")?);
    ensure!(Api::<Namespace>::all(through.clone()).list(&Default::default()).await.is_ok());
    ensure!(create(&through, "crashed").await.is_err());
    let status = tokio::time::timeout(LIMIT, victim.wait()).await.context("it lives")??;
    ensure!(std::os::unix::process::ExitStatusExt::signal(&status) == Some(9));
    ensure!(maps(&through).get_opt("crashed").await?.is_some() && proxy.progress().crashes == 1);
    // The next process is another incarnation, and nothing happens to it.
    proxy.operator_starts_again();
    proxy.operator_is(std::process::id());
    create(&through, "survived").await?;
    let incarnations: Vec<_> = proxy.history().records().iter().map(|record| record.incarnation).collect();
    ensure!(incarnations == [0, 1]);
    Ok(())
}

async fn answers_in_the_api_servers_place(plane: &ControlPlane) -> Result<()> {
    let direct = plane.client().await?;
    for code in ERRORS {
        let name = format!("refused-{code}");
        let (proxy, through) =
            faulty(plane, &format!("error={code} @ create core/configmaps default/{name}")).await?;
        let first = create(&through, &name).await;
        let records = proxy.history().records();
        ensure!(records[0].status == Some(code) && !records[0].happened(), "{code}: {records:?}");
        // kube's client asks again by itself where the API server says that it is busy; that was the second time.
        if RETRIED.contains(&code) {
            ensure!(first.is_ok() && records.len() == 2 && records[1].happened(), "{code}: {first:?}");
            continue;
        }
        let told = matches!(&first, Err(kube::Error::Api(status)) if status.code == code);
        ensure!(told, "{code}: {first:?}");
        ensure!(maps(&direct).get_opt(&name).await?.is_none(), "{code}: the API server was asked");
        ensure!(create(&through, &name).await.is_ok(), "{code}: once");
    }
    Ok(())
}

async fn lasts_for_its_time_and_for_its_content(plane: &ControlPlane) -> Result<()> {
    let (proxy, through) = faulty(plane, "error=500 for=1 @ get core/configmaps default/large #2").await?;
    let gets = async || maps(&through).get("large").await.is_ok();
    ensure!(gets().await, "the first is not meant");
    let began = Instant::now();
    ensure!(!gets().await);
    ensure!(maps(&through).get("lost-a").await.is_ok(), "another is not meant");
    while !gets().await {
        ensure!(began.elapsed() < LIMIT, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(began.elapsed() >= Duration::from_secs(1), "it ended after {:?}", began.elapsed());
    ensure!(proxy.progress().struck == 1 && proxy.history().reads().len() > 3);
    Ok(())
}

async fn delays(plane: &ControlPlane) -> Result<()> {
    let (_proxy, through) = faulty(plane, "delay=1 @ create core/configmaps default/late").await?;
    let began = Instant::now();
    create(&through, "late").await?;
    ensure!(began.elapsed() >= Duration::from_secs(1), "it took {:?}", began.elapsed());
    Ok(())
}

/// What a watch tells of a map that is created when the fault begins, and how long that took.
async fn watched(plane: &ControlPlane, fault: &str, name: &str) -> Result<(Vec<String>, Duration)> {
    let (_proxy, through) =
        faulty(plane, &format!("{fault} @ create core/configmaps default/{name}")).await?;
    let now =
        maps(&through).list(&Default::default()).await?.metadata.resource_version.context("a version")?;
    let mut watch = maps(&through).watch(&WatchParams::default().disable_bookmarks(), &now).await?.boxed();
    let direct = plane.client().await?;
    create(&direct, &format!("{name}-before")).await?;
    let mut told = Vec::new();
    let mut began = Instant::now();
    let ends = async {
        while let Some(event) = watch.next().await {
            match event {
                Ok(WatchEvent::Added(map)) => {
                    let added = map.metadata.name.context("a name")?;
                    if added == name {
                        told.push(added);
                        break;
                    }
                    began = Instant::now();
                    let _ = create(&through, name).await;
                    told.push(added);
                }
                Ok(WatchEvent::Error(status)) => told.push(format!("{} {}", status.code, status.reason)),
                Ok(other) => told.push(format!("{other:?}")),
                Err(_) => told.push("broken".to_owned()),
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LIMIT, ends).await.with_context(|| format!("{fault}: the watch does not end"))??;
    ensure!(maps(&direct).get_opt(name).await?.is_some(), "{fault}: the write was not carried out");
    Ok((told, began.elapsed()))
}

async fn does_harm_to_watches(plane: &ControlPlane) -> Result<()> {
    let (told, _) = watched(plane, "close-watch on=core/configmaps", "closed").await?;
    ensure!(told == ["closed-before"], "{told:?}");
    let (told, _) = watched(plane, "gone on=core/configmaps", "gone").await?;
    ensure!(told == ["gone-before", "410 Expired"], "{told:?}");
    let (told, took) = watched(plane, "hold-watch=1 on=core/configmaps", "held").await?;
    ensure!(told == ["held-before", "held"] && took >= Duration::from_secs(1), "{told:?} after {took:?}");
    let (told, took) = watched(plane, "gone on=core/secrets", "spared").await?;
    ensure!(told == ["spared-before", "spared"] && took < Duration::from_secs(1), "{told:?} after {took:?}");
    let (told, took) = watched(plane, "partition-answers=1", "cut").await?;
    // A watch that breaks ends for the client, too: it asks again.
    ensure!(told == ["cut-before"] && took >= Duration::from_secs(1), "{told:?} after {took:?}");
    Ok(())
}

async fn cuts_everything_off(plane: &ControlPlane) -> Result<()> {
    let (proxy, through) = faulty(plane, "partition=1 @ create core/configmaps default/never").await?;
    let began = Instant::now();
    let (write, read) = tokio::join!(create(&through, "never"), async {
        proxy.history().progress().wait_for(|progress| progress.struck == 1).await?;
        anyhow::Ok(maps(&through).get("large").await)
    });
    ensure!(write.is_err() && read?.is_err() && began.elapsed() >= Duration::from_secs(1));
    ensure!(maps(&plane.client().await?).get_opt("never").await?.is_none(), "it got through");
    ensure!(maps(&through).get("large").await.is_ok(), "it is mended");
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
        answers_in_the_api_servers_place(plane).await.context("errors")?;
        lasts_for_its_time_and_for_its_content(plane).await.context("an error for a while")?;
        delays(plane).await.context("a delay")?;
        does_harm_to_watches(plane).await.context("watches")?;
        cuts_everything_off(plane).await.context("a partition")?;
        lets_nobody_else_in(plane).await.context("strangers")
    })
    .await
}
