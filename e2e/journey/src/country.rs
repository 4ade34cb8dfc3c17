//! A country that runs on a cluster of this machine, and what is done with its pods.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use plinth_api::names::LABEL_COMPONENT;
use plinth_cluster::ControlPlane;
use serde_json::Value;

use crate::within;

/// Name of the Stack.
pub const STACK: &str = "journey";
/// Its namespace.
pub const STACK_NAMESPACE: &str = "dpi";
/// The domain of its public addresses.
pub const DOMAIN: &str = "journey.example";
/// Public address of the service that the citizen uses.
pub const SERVICE: &str = "https://benefits.journey.example/";
/// Port of the public door.
const HTTPS: u16 = 443;
/// Secret with the certificate that a sandbox makes for its public addresses.
const CERTIFICATE: &str = "envoy-gateway-certificate";
/// Until a pod runs, or there are others in place of pods that were killed.
const REPLACED: Duration = Duration::from_secs(180);

/// What was answered to a call from inside a pod: HTTP status and body; 0 where nobody did.
pub type Answer = (u16, String);

/// A running country.
pub struct Country {
    /// Its cluster.
    pub plane: ControlPlane,
    /// A client of that.
    pub client: Client,
}

impl Country {
    /// The country on a cluster of this machine that runs.
    ///
    /// # Errors
    /// No cluster of that name runs.
    pub async fn attach(cluster: &str) -> Result<Self> {
        let plane =
            ControlPlane::attach(cluster).await.with_context(|| format!("finding cluster {cluster}"))?;
        let client = plane.client().await.context("connecting to the cluster")?;
        Ok(Self { plane, client })
    }

    /// The address of the public door of that block's namespace, and the certificate (PEM) that it shows.
    ///
    /// # Errors
    /// The Gateway has no address in time, or there is no certificate.
    pub async fn door(&self, namespace: &str) -> Result<(SocketAddr, Vec<u8>)> {
        let gateways = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &gateway());
        let address = within(REPLACED, "the Gateway's address", async || {
            let gateway = gateways.get("public").await?;
            let address = gateway.data["status"]["addresses"][0]["value"].as_str();
            address.context("it has none")?.parse::<IpAddr>().context("its address is no number")
        })
        .await?;
        let secrets = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let secret = secrets.get(CERTIFICATE).await.context("reading the public certificate")?;
        let certificate = secret.data.unwrap_or_default().remove("tls.crt");
        let certificate = certificate.with_context(|| format!("Secret {CERTIFICATE} has no certificate"))?;
        Ok((SocketAddr::new(address, HTTPS), certificate.0))
    }

    /// Runs a program in a pod, or in one of a Deployment (`deployment/NAME`), with something on its standard input, and returns
    /// what it printed.
    ///
    /// # Errors
    /// There is no such pod, or the program failed: what it said.
    pub fn run_in(&self, namespace: &str, pod: &str, command: &[&str], input: &str) -> Result<String> {
        let output = self.exec(namespace, pod, command, input)?;
        ensure!(
            output.status.success(),
            "{} in {namespace}/{pod}: {}{}",
            command.first().unwrap_or(&""),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// One call from a pod: a program that prints the status of an answer, and its body.
    ///
    /// # Errors
    /// The program says something else.
    pub fn ask_in(&self, namespace: &str, pod: &str, command: &[&str]) -> Result<Answer> {
        let output = self.exec(namespace, pod, command, "")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some((status, body)) = text.trim_end_matches('\n').split_once(' ') else {
            bail!("{namespace}/{pod}: {output:?}");
        };
        Ok((status.parse()?, body.to_owned()))
    }

    /// Runs a program there, whatever comes of it.
    ///
    /// # Errors
    /// `kubectl` cannot be started.
    fn exec(&self, namespace: &str, pod: &str, command: &[&str], input: &str) -> Result<Output> {
        let mut kubectl = Command::new(self.plane.binaries().kubectl());
        kubectl
            .env("KUBECONFIG", self.plane.kubeconfig())
            .env("HOME", self.plane.state_dir())
            .args(["--namespace", namespace, "exec", "--stdin", pod, "--"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = kubectl.spawn().context("starting kubectl")?;
        if let Some(mut pipe) = running.stdin.take() {
            // A program that has ended reads nothing more; how it ended says why.
            let _ = pipe.write_all(input.as_bytes());
        }
        running.wait_with_output().context("running kubectl")
    }

    /// Makes a pod, and waits until it runs. One of that name that runs already is taken.
    ///
    /// # Errors
    /// It is refused, or does not run in time.
    pub async fn start(&self, namespace: &str, pod: Value) -> Result<()> {
        let pod: Pod = serde_json::from_value(pod).context("a pod")?;
        let name = pod.name_any();
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        match pods.create(&PostParams::default(), &pod).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).with_context(|| format!("making pod {namespace}/{name}")),
        }
        within(REPLACED, &format!("the pod {namespace}/{name} to run"), async || {
            let status = pods.get(&name).await?.status.unwrap_or_default();
            ensure!(status.phase.as_deref() == Some("Running"), "{}", serde_json::to_string(&status)?);
            Ok(())
        })
        .await
    }

    /// Deletes a component's pods without grace, and waits until there are others.
    ///
    /// # Errors
    /// It has none, or there are no others in time.
    pub async fn kill(&self, namespace: &str, component: &str) -> Result<()> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let of = ListParams::default().labels(&format!("{LABEL_COMPONENT}={component}"));
        let uids = async || {
            let found = pods.list(&of).await.with_context(|| format!("listing pods of {component}"))?;
            anyhow::Ok(found.iter().filter_map(ResourceExt::uid).collect::<BTreeSet<_>>())
        };
        let killed = uids().await?;
        ensure!(!killed.is_empty(), "{component} has no pod in {namespace}");
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete_collection(&at_once, &of)
            .await
            .with_context(|| format!("killing pods of {component}"))?;
        within(REPLACED, &format!("others in place of the pods of {component}"), async || {
            let now = uids().await?;
            ensure!(!now.is_empty() && now.is_disjoint(&killed), "{now:?}");
            Ok(())
        })
        .await
    }
}

/// The namespace of a block of [`STACK`].
#[must_use]
pub fn namespace_of(block: &str) -> String {
    format!("{STACK}-{block}")
}

fn gateway() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"))
}
