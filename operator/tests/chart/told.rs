//! What the guide and the runbooks say is run by this suite: as it stands there, by Helm and kubectl, on the real node.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use plinth_cluster::ControlPlane;

use super::page::{ask, token};
use super::ran::{Block, Desk, blocks, commands};
use super::tools::tool;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// As a page names this suite.
const HERE: &str = "e2e/all chart";
const CONSOLE: &str = "docs/guide/console.md";

/// A reader of the guide, before a real node.
pub(crate) struct Guide(Desk);

impl Guide {
    /// Whoever installs the chart has an image of their own, and an API server on this port.
    pub(crate) async fn of(cluster: &ControlPlane, image: &str) -> Result<Self> {
        let root = Path::new(ROOT).canonicalize()?;
        let mut desk = Desk::new(&root, Some(&cluster.binaries().kubectl()), Some(cluster.kubeconfig()))?;
        desk.lay("helm", &format!("exec {} \"$@\"", tool("helm").await?.get_program().display()))?;
        let port = cluster.server_url().rsplit(':').next().unwrap_or_default().to_owned();
        let install = format!(
            "helm install plinth charts/plinth --timeout=5m --set {image} --set 'networkPolicy.apiServerPorts={{443,{port}}}'"
        );
        let nodes: Api<Node> = Api::all(cluster.client().await?);
        let node = nodes.list(&ListParams::default()).await?.items.first().context("a node")?.name_any();
        desk.words = vec![("helm install plinth charts/plinth", install.leak()), ("NODE", node.leak())];
        Ok(Self(desk))
    }

    /// Runs the blocks of a page that are said to be run here.
    pub(crate) async fn follow(&self, page: &str) -> Result<()> {
        for block in said_to_run_here(page)? {
            for (command, answer) in commands(&block) {
                self.0.run(&block, &command, &answer, &[]).await?;
                println!("seen: {page}:{}: {command}", block.line);
            }
        }
        Ok(())
    }

    /// The console by way of the chart: the page is there, and what an account may not list is not.
    pub(crate) async fn console_is_served(&self, client: &Client) -> Result<()> {
        let [block] = &said_to_run_here(CONSOLE)?[..] else {
            anyhow::bail!("{CONSOLE}: one block is said to run in {HERE}");
        };
        let [(upgrade, _), (forward, _)] = &commands(block)[..] else {
            anyhow::bail!("{CONSOLE}:{}: is no upgrade and a way to a port", block.line);
        };
        self.0.run(block, upgrade, &[], &[]).await?;
        let rolled = "kubectl -n plinth-system rollout status deployment/plinth --timeout=180s";
        let (code, said) = self.0.bash(rolled).await?;
        ensure!(code == 0, "{rolled}: {said}");
        let port =
            forward.rsplit_once(' ').and_then(|(_, ports)| ports.split(':').next()).context("a port")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
        let _forwarded = self.0.begins(forward)?;
        let token = token(client, "somebody").await?;
        let page = ask(address, "/", &token).await?.rest().await?;
        ensure!(page.contains("<title>Plinth</title>"), "{page}");
        let mut stream = ask(address, "/api/stream", &token).await?;
        ensure!(stream.status == 200, "the stream answers {}", stream.status);
        let (first, told) = stream.event().await?;
        ensure!(!told.to_string().contains("hello"), "who may list nothing is told {first}: {told}");
        println!("seen: {CONSOLE}:{}: {upgrade}; {forward}", block.line);
        Ok(())
    }
}

/// Blocks of a page that name this suite.
fn said_to_run_here(page: &str) -> Result<Vec<Block>> {
    let text = std::fs::read_to_string(Path::new(ROOT).join(page)).with_context(|| page.to_owned())?;
    let here = |block: &Block| block.elsewhere.as_ref().is_some_and(|(suite, _)| suite == HERE);
    let blocks: Vec<Block> = blocks(page, &text).into_iter().filter(here).collect();
    ensure!(!blocks.is_empty(), "{page}: no block says that {HERE} runs it");
    Ok(blocks)
}
