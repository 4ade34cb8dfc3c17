//! The country, running.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt as _};
use plinth_cluster::ControlPlane;

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
/// Until there are others in place of pods that were killed.
const REPLACED: Duration = Duration::from_secs(120);

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

    /// The namespace of a block.
    #[must_use]
    pub fn namespace(block: &str) -> String {
        format!("{STACK}-{block}")
    }

    /// The address of the public door, and the certificate (PEM) that it shows.
    ///
    /// # Errors
    /// The Gateway has no address in time, or there is no certificate.
    pub async fn door(&self) -> Result<(SocketAddr, Vec<u8>)> {
        let namespace = Self::namespace("api-gateway");
        let gateways = Api::<DynamicObject>::namespaced_with(self.client.clone(), &namespace, &gateway());
        let address = within(REPLACED, "the Gateway's address", async || {
            let gateway = gateways.get("public").await?;
            let address = gateway.data["status"]["addresses"][0]["value"].as_str();
            address.context("it has none")?.parse::<IpAddr>().context("its address is no number")
        })
        .await?;
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let secret = secrets.get(CERTIFICATE).await.context("reading the public certificate")?;
        let certificate = secret.data.unwrap_or_default().remove("tls.crt");
        let certificate = certificate.with_context(|| format!("Secret {CERTIFICATE} has no certificate"))?;
        Ok((SocketAddr::new(address, HTTPS), certificate.0))
    }

    /// Runs a program in the first pod of a component, with something on its standard input, and returns what it printed.
    ///
    /// # Errors
    /// There is no such pod, or the program failed: what it said.
    pub async fn run_in(
        &self,
        namespace: &str,
        component: &str,
        command: &[&str],
        input: &str,
    ) -> Result<String> {
        let found = self.pods(namespace, component).await?;
        let pod = found.first().with_context(|| format!("{component} has no pod in {namespace}"))?;
        let output = self.exec(namespace, &pod.name_any(), command, input)?;
        ensure!(
            output.status.success(),
            "{} in {namespace}/{}: {}{}",
            command.first().unwrap_or(&""),
            pod.name_any(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same in one pod, whatever came of it.
    ///
    /// # Errors
    /// `kubectl` cannot be started.
    pub fn exec(&self, namespace: &str, pod: &str, command: &[&str], input: &str) -> Result<Output> {
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

    /// Deletes a component's pods without grace, and waits until there are others.
    ///
    /// # Errors
    /// It has none, or there are no others in time.
    pub async fn kill(&self, block: &str, component: &str) -> Result<()> {
        let namespace = Self::namespace(block);
        let found = self.pods(&namespace, component).await?;
        ensure!(!found.is_empty(), "{component} has no pod in {namespace}");
        let killed: Vec<_> = found.iter().filter_map(kube::ResourceExt::uid).collect();
        let pods = Api::<Pod>::namespaced(self.client.clone(), &namespace);
        for pod in found {
            pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        }
        within(REPLACED, &format!("others in place of the pods of {component}"), async || {
            let now = self.pods(&namespace, component).await?;
            let now: Vec<_> = now.iter().filter_map(kube::ResourceExt::uid).collect();
            if now.is_empty() || now.iter().any(|uid| killed.contains(uid)) {
                bail!("{now:?}");
            }
            Ok(())
        })
        .await
    }

    async fn pods(&self, namespace: &str, component: &str) -> Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let of = ListParams::default().labels(&format!("plinth.dev/component={component}"));
        Ok(pods.list(&of).await.with_context(|| format!("listing pods of {component}"))?.items)
    }
}

fn gateway() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"))
}
