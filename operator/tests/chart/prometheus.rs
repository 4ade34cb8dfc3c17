//! Prometheus of Debian's package, which scrapes a running operator and is asked what the dashboard asks.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Api;
use kube::api::PostParams;
use plinth::run::Options;
use plinth_api::Stack;
use plinth_cluster::testing::{TestCluster, eventually};
use plinth_cluster::{Nodes, free_port};
use plinth_runtime::clusters::Access;
use serde_json::Value;

use super::CHART;
use super::house::{Operator, prepare, ready, smallest};
use super::tools::said;

/// Names a folder with `prometheus` and `promtool`.
const VARIABLE: &str = "PLINTH_PROMETHEUS";
const LIMIT: Duration = Duration::from_secs(60);

/// A command of one of the package's programs.
pub(crate) fn program(name: &str) -> Result<Command> {
    let folder = match std::env::var_os(VARIABLE) {
        Some(given) => PathBuf::from(given),
        None => unpacked()?,
    };
    Ok(Command::new(folder.join(name)))
}

/// The package's programs, without installing it: it would start a service.
fn unpacked() -> Result<PathBuf> {
    let cache = plinth_cluster::cache_dir("prometheus")?;
    let folder = cache.join("usr/bin");
    if folder.join("promtool").is_file() {
        return Ok(folder);
    }
    let advice = format!("this test needs Prometheus: Debian's package, or a folder named in {VARIABLE}");
    let parent = cache.parent().context("a folder inside the cache")?;
    std::fs::create_dir_all(parent)?;
    let fresh = tempfile::tempdir_in(parent)?;
    said(Command::new("apt-get").args(["download", "prometheus"]).current_dir(&fresh)).context(advice)?;
    let package =
        std::fs::read_dir(&fresh)?.flatten().map(|entry| entry.path()).next().context("a package")?;
    said(Command::new("dpkg-deb").arg("-x").arg(&package).arg(fresh.path().join("package")))?;
    // Whoever comes at the same time finds it whole or not at all.
    if std::fs::rename(fresh.path().join("package"), &cache).is_err() {
        ensure!(folder.is_dir(), "{} cannot be written", cache.display());
    }
    Ok(folder)
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Scrapes the operator on a port every second.
    fn start(folder: &Path, target: u16, port: u16) -> Result<Self> {
        let config = folder.join("prometheus.yaml");
        std::fs::write(
            &config,
            format!(
                "scrape_configs:\n- job_name: plinth\n  scrape_interval: 1s\n  honor_labels: true\n  static_configs:\n  - targets: ['127.0.0.1:{target}']\n"
            ),
        )?;
        let address = format!("127.0.0.1:{port}");
        let child = program("prometheus")?
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log"))?)
            .spawn()
            .context("prometheus")?;
        Ok(Self { child, address })
    }

    /// What a query gives, as Prometheus' own client prints it.
    fn asked(&self, query: &str) -> Result<Vec<Value>> {
        let mut promtool = program("promtool")?;
        promtool.args(["query", "instant", "-o", "json"]).arg(format!("http://{}", self.address)).arg(query);
        Ok(serde_json::from_str(&said(&mut promtool)?)?)
    }

    /// Asks until there is an answer, and it is a number.
    async fn finds(&self, query: &str) -> Result<()> {
        let mut last = Vec::new();
        let found: Result<()> = eventually(LIMIT, query, async || {
            // Until the server has started it answers nothing.
            last = self.asked(query).unwrap_or_default();
            let is_number = |series: &Value| series["value"][1] != "NaN";
            Ok((!last.is_empty() && last.iter().all(is_number)).then_some(()))
        })
        .await;
        found.with_context(|| format!("{last:?}"))
    }
}

/// Every query of the dashboard, with the choice of everything.
fn queries() -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(Path::new(CHART).join("files/dashboard.yaml"))?;
    let dashboard: Value = serde_yaml::from_str(&text)?;
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().context("expr")?;
            let query = query.replace("$namespace", ".*").replace("$stack", ".*");
            queries.push((panel["title"].as_str().unwrap_or_default().to_owned(), query));
        }
    }
    ensure!(queries.len() > 10, "{queries:?}");
    Ok(queries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Prometheus, which is fetched: e2e/all chart"]
async fn every_query_of_the_dashboard_finds_what_a_running_operator_exports() -> Result<()> {
    let cluster = TestCluster::start(Nodes::Simulated(2)).await?;
    let client = prepare(&cluster).await?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "dpi");
    // The exchange has certificates of its own making, which are renewed.
    let mut wanted = smallest()?;
    let exchange = serde_json::json!({ "name": "information-mediator", "product": "gateway-exchange" });
    wanted.spec.blocks.push(serde_json::from_value(exchange)?);
    let (operators, server) = (free_port()?, free_port()?);
    let operator = Operator::run(Options {
        access: Access { kubeconfig: Some(cluster.kubeconfig()), context: None },
        identity: Some("me".to_owned()),
        metrics: Some(([127, 0, 0, 1], operators).into()),
        ..Options::default()
    });
    let folder = tempfile::tempdir()?;
    let prometheus = Server::start(folder.path(), operators, server)?;
    // What happened before the first scrape has no rate.
    prometheus.finds("plinth_leader == 1").await?;
    stacks.create(&PostParams::default(), &wanted).await?;
    ready(&stacks, "small").await?;

    let queries = queries()?;
    for (panel, query) in &queries {
        prometheus.finds(query).await.with_context(|| panel.clone())?;
    }
    let is_ready = prometheus.asked("plinth_stack_condition{condition=\"Ready\", stack=\"small\"}")?;
    ensure!(is_ready.len() == 1 && is_ready[0]["value"][1] == "1", "{is_ready:?}");
    let blocks = prometheus.asked("sum(plinth_blocks{state=\"Ready\"})")?;
    ensure!(blocks[0]["value"][1] == "2", "{blocks:?}");
    println!("seen: {} queries, each with an answer", queries.len());
    operator.stop().await
}
