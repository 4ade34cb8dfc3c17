//! The components of a control plane and the command line of each.

use std::ffi::OsString;
use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::build::Binaries;
use crate::error::Result;
use crate::layout::Layout;
use crate::node::{self, Network, NodeBinaries};
use crate::options::Nodes;
use crate::pki::{self, FRONT_PROXY, Pki, User};
use crate::ports::free_port;
use crate::seed::SIMULATED_LABEL;

/// Between two looks at ports.
const LOOK: Duration = Duration::from_millis(50);

const AUDIT_POLICY: &str = include_str!("../config/audit-policy.yaml");
/// Our own, not kwok's: they carry the behaviours that tests ask for by annotation.
const STAGES: [(&str, &str); 4] = [
    ("stage-node.yaml", include_str!("../stages/node.yaml")),
    ("stage-pod.yaml", include_str!("../stages/pod.yaml")),
    ("stage-volume.yaml", include_str!("../stages/volume.yaml")),
    GATEWAY_STAGE,
];
/// Only where its kinds are served: kwok refuses a stage whose kind it cannot find.
const GATEWAY_STAGE: (&str, &str) = ("stage-gateway.yaml", include_str!("../stages/gateway.yaml"));

/// The kubeconfig of whoever uses the cluster.
pub(crate) const ADMIN: &str = "admin";
/// The kubeconfig of this crate, so that what it asks for is never counted as the user's.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// A component of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// etcd.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// kwok, which plays the nodes.
    Kwok,
    /// A real node: containerd, kubelet, kube-proxy, kube-router, and all that runs in pods.
    Node,
}

impl Component {
    /// All that there are.
    pub const ALL: [Self; 6] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kwok, Self::Node];

    /// Those of a cluster with such nodes, in the order in which they start.
    pub fn of(nodes: Nodes) -> &'static [Self] {
        const CONTROL_PLANE: [Component; 4] =
            [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::Scheduler];
        const SIMULATED: [Component; 5] = with(Component::Kwok);
        const REAL: [Component; 5] = with(Component::Node);
        const fn with(last: Component) -> [Component; 5] {
            let [first, second, third, fourth] = CONTROL_PLANE;
            [first, second, third, fourth, last]
        }
        match nodes {
            Nodes::None => &CONTROL_PLANE,
            Nodes::Simulated(_) => &SIMULATED,
            Nodes::Real => &REAL,
        }
    }

    /// The name of its binary and of its log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::Node => "node",
        }
    }

    /// Whom it is to the API server. Names of the real ones are fixed by Kubernetes' own roles.
    fn user(self) -> Option<User<'static>> {
        match self {
            Self::Etcd | Self::ApiServer | Self::Node => None,
            Self::ControllerManager => Some(User { name: "system:kube-controller-manager", groups: &[] }),
            Self::Scheduler => Some(User { name: "system:kube-scheduler", groups: &[] }),
            Self::Kwok => Some(User { name: "plinth:simulator", groups: &["system:masters"] }),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The ports of one cluster, all on the loopback interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    etcd_client: u16,
    etcd_peer: u16,
}

impl Ports {
    /// Three ports that are free now.
    pub(crate) fn free() -> Result<Self> {
        Ok(Self { api: free_port()?, etcd_client: free_port()?, etcd_peer: free_port()? })
    }

    /// Whether all of them are free now.
    pub(crate) fn are_free(self) -> bool {
        [self.api, self.etcd_client, self.etcd_peer]
            .into_iter()
            .all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
    }

    /// As [`Self::are_free`], at once or within `limit`: who had them may be on the way out. Pods of a real node look for the API
    /// server where it was before.
    pub(crate) async fn become_free(self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !self.are_free() {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    pub(crate) fn server_url(self) -> String {
        format!("https://127.0.0.1:{}", self.api)
    }
}

/// A program and its arguments.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
}

/// What the command lines are made of.
pub(crate) struct Context<'a> {
    pub(crate) name: &'a str,
    pub(crate) layout: &'a Layout,
    pub(crate) binaries: &'a Binaries,
    pub(crate) node_binaries: Option<&'a NodeBinaries>,
    pub(crate) pki: &'a Pki,
    pub(crate) ports: Ports,
    pub(crate) network: Network,
    pub(crate) audit: bool,
    pub(crate) gateway_api: bool,
}

impl Context<'_> {
    /// Writes the files that the components read. They name ports, so each attempt writes them again.
    pub(crate) fn write_config(&self) -> Result<()> {
        let server = self.ports.server_url();
        for component in Component::ALL {
            if let Some(user) = component.user() {
                let path = self.layout.kubeconfig(component.name());
                self.pki.kubeconfig(&path, self.name, &server, &user)?;
            }
        }
        for (stem, name) in [(ADMIN, "plinth:admin"), (BOOTSTRAP, "plinth:bootstrap")] {
            let user = User { name, groups: &["system:masters"] };
            self.pki.kubeconfig(&self.layout.kubeconfig(stem), self.name, &server, &user)?;
        }
        let config = self.layout.config();
        pki::write(&config.join("audit-policy.yaml"), AUDIT_POLICY)?;
        pki::write(&self.scheduler_config(), &self.scheduler_settings())?;
        for (file, text) in STAGES {
            pki::write(&config.join(file), text)?;
        }
        if let Some(binaries) = self.node_binaries {
            node::write_settings(self.layout, self.pki, self.name, self.network, self.ports)?;
            node::write_spec(self.layout, binaries, self.network, self.ports.api)?;
        }
        Ok(())
    }

    fn scheduler_config(&self) -> PathBuf {
        self.layout.config().join("scheduler.yaml")
    }

    fn scheduler_settings(&self) -> String {
        // JSON is YAML, and quotes the path by itself.
        let settings = serde_json::json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {
                "kubeconfig": self.layout.kubeconfig(Component::Scheduler.name()),
                "qps": 1000,
                "burst": 2000,
            },
            "leaderElection": { "leaderElect": false },
            "podInitialBackoffSeconds": 1,
            "podMaxBackoffSeconds": 2,
        });
        settings.to_string()
    }

    pub(crate) fn invocation(&self, component: Component) -> Result<Invocation> {
        let args = match component {
            Component::Etcd => self.etcd(),
            Component::ApiServer => self.api_server(),
            Component::ControllerManager => self.controller_manager(),
            Component::Scheduler => {
                Flags::default().path("config", &self.scheduler_config()).flag("secure-port", 0)
            }
            Component::Kwok => self.kwok(),
            Component::Node => return node::invocation(self.layout, self.node_binaries),
        };
        Ok(Invocation { program: self.binaries.path(component), args: args.0 })
    }

    fn etcd(&self) -> Flags {
        let (cert, key) = self.pki.files("etcd");
        let client = format!("https://127.0.0.1:{}", self.ports.etcd_client);
        let peer = format!("https://127.0.0.1:{}", self.ports.etcd_peer);
        Flags::default()
            .flag("name", "etcd")
            .path("data-dir", &self.layout.data().join("etcd"))
            .flag("listen-client-urls", &client)
            .flag("advertise-client-urls", &client)
            .flag("listen-peer-urls", &peer)
            .flag("initial-advertise-peer-urls", &peer)
            .flag("initial-cluster", format!("etcd={peer}"))
            .path("cert-file", &cert)
            .path("key-file", &key)
            .path("trusted-ca-file", &self.pki.ca_cert())
            .flag("client-cert-auth", true)
            .path("peer-cert-file", &cert)
            .path("peer-key-file", &key)
            .path("peer-trusted-ca-file", &self.pki.ca_cert())
            .flag("peer-client-cert-auth", true)
            // A crash of the machine may lose data of this cluster; a crash of etcd does not.
            .flag("unsafe-no-fsync", true)
            .flag("quota-backend-bytes", 8_u64 << 30)
            .flag("log-level", "warn")
    }

    fn api_server(&self) -> Flags {
        let (etcd_cert, etcd_key) = self.pki.files("etcd");
        let (cert, key) = self.pki.files("kube-apiserver");
        let mut flags = Flags::default()
            .flag("etcd-servers", format!("https://127.0.0.1:{}", self.ports.etcd_client))
            .path("etcd-cafile", &self.pki.ca_cert())
            .path("etcd-certfile", &etcd_cert)
            .path("etcd-keyfile", &etcd_key)
            .flag("bind-address", "127.0.0.1")
            // Without it the server looks for a default route, which a machine without a network does not have.
            .flag("advertise-address", self.network.host())
            .flag("secure-port", self.ports.api)
            .path("tls-cert-file", &cert)
            .path("tls-private-key-file", &key)
            .path("client-ca-file", &self.pki.ca_cert())
            .flag("authorization-mode", "Node,RBAC")
            .flag("enable-admission-plugins", "NodeRestriction")
            .flag("anonymous-auth", false)
            .flag("allow-privileged", true)
            .flag("service-cluster-ip-range", self.network.services())
            .flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local")
            .path("service-account-key-file", &self.pki.service_account_public_key())
            .path("service-account-signing-key-file", &self.pki.service_account_key())
            .flag("profiling", false);
        flags = match self.network {
            // Kubernetes refuses loopback addresses as endpoints, and no pod could reach this one.
            Network::Simulated => flags.flag("endpoint-reconciler-type", "none"),
            Network::Real { .. } => self.beyond_the_host(flags),
        };
        if self.audit {
            flags = flags
                .path("audit-policy-file", &self.layout.config().join("audit-policy.yaml"))
                .path("audit-log-path", &self.layout.audit_log())
                // Lines are counted: none may be dropped, buffered or rotated away.
                .flag("audit-log-mode", "blocking")
                .flag("audit-log-maxsize", 100_000);
        }
        flags
    }

    /// How the API server speaks to kubelets, and to servers behind it that run in pods.
    fn beyond_the_host(&self, flags: Flags) -> Flags {
        let (kubelet_cert, kubelet_key) = self.pki.files("kubelet-client");
        let (proxy_cert, proxy_key) = self.pki.files("front-proxy");
        flags
            // The host cannot look up the node's name.
            .flag("kubelet-preferred-address-types", "InternalIP")
            .path("kubelet-certificate-authority", &self.pki.ca_cert())
            .path("kubelet-client-certificate", &kubelet_cert)
            .path("kubelet-client-key", &kubelet_key)
            .path("proxy-client-cert-file", &proxy_cert)
            .path("proxy-client-key-file", &proxy_key)
            .path("requestheader-client-ca-file", &self.pki.ca_cert())
            .flag("requestheader-allowed-names", FRONT_PROXY)
            .flag("requestheader-username-headers", "X-Remote-User")
            .flag("requestheader-group-headers", "X-Remote-Group")
            .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
            // No rule for Services applies to the host's own processes.
            .flag("enable-aggregator-routing", true)
    }

    fn controller_manager(&self) -> Flags {
        let mut flags = Flags::default()
            .path("kubeconfig", &self.layout.kubeconfig(Component::ControllerManager.name()))
            .flag("secure-port", 0)
            .flag("leader-elect", false)
            .flag("use-service-account-credentials", true)
            .path("service-account-private-key-file", &self.pki.service_account_key())
            .path("root-ca-file", &self.pki.ca_cert())
            .path("cluster-signing-cert-file", &self.pki.ca_cert())
            .path("cluster-signing-key-file", &self.pki.ca_key())
            .flag("service-cluster-ip-range", self.network.services())
            .flag("cluster-cidr", self.network.pods())
            // The defaults (20 and 30) would make the waiting of a test that of the client's own throttle.
            .flag("kube-api-qps", 1000)
            .flag("kube-api-burst", 2000)
            .flag("profiling", false);
        for syncs in
            ["deployment", "replicaset", "statefulset", "endpoint", "service-endpoint", "namespace", "gc"]
        {
            flags = flags.flag(&format!("concurrent-{syncs}-syncs"), 20);
        }
        flags
    }

    fn kwok(&self) -> Flags {
        let mut flags = Flags::default()
            .path("kubeconfig", &self.layout.kubeconfig(Component::Kwok.name()))
            .flag("manage-all-nodes", false)
            .flag("manage-nodes-with-label-selector", format!("{SIMULATED_LABEL}=true"))
            .flag("node-lease-duration-seconds", 0)
            .flag("cidr", self.network.pods())
            .flag("node-ip", self.network.node());
        for (file, _) in STAGES.into_iter().filter(|stage| self.gateway_api || *stage != GATEWAY_STAGE) {
            flags = flags.path("config", &self.layout.config().join(file));
        }
        flags
    }
}

/// Arguments of the form `--name=value`.
#[derive(Default)]
struct Flags(Vec<OsString>);

impl Flags {
    fn flag(self, name: &str, value: impl fmt::Display) -> Self {
        self.path(name, Path::new(&value.to_string()))
    }

    fn path(mut self, name: &str, value: &Path) -> Self {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        self.0.push(argument);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_three_and_free() {
        let ports = Ports::free().unwrap();
        assert!(ports.are_free());
        let _held = TcpListener::bind(("127.0.0.1", ports.api)).unwrap();
        assert!(!ports.are_free());
        assert_ne!(ports.api, ports.etcd_client);
        assert_ne!(ports.etcd_client, ports.etcd_peer);
    }
}
