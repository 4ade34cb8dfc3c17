//! What the node's programs read: their settings, their certificates, their way to the API server.

use std::path::Path;

use serde_json::{Value, json};

use super::image::TOOLBOX;
use super::spec::cgroup;
use super::{NAME, Network};
use crate::component::Ports;
use crate::error::{Error, Result};
use crate::layout::{Layout, private_dir};
use crate::pki::{self, Pki, User};

const CONTAINERD: &str = include_str!("../../node/config/containerd.toml");
/// The folder of these files, as the node sees it.
const CONFIG: &str = "/run/plinth/config";
const CONTAINERD_SOCKET: &str = "unix:///run/containerd/containerd.sock";

/// Writes the files of one start. They name ports, so each start writes them again.
pub(crate) fn write_settings(
    layout: &Layout,
    pki: &Pki,
    cluster: &str,
    network: Network,
    ports: Ports,
) -> Result<()> {
    let dir = layout.node_config();
    private_dir(&dir.join("cni"))?;
    write(&dir.join("containerd.toml"), &CONTAINERD.replace("${SANDBOX}", TOOLBOX))?;
    write(&dir.join("cni/10-plinth.conflist"), &cni(network).to_string())?;
    write(&dir.join("kubelet.json"), &kubelet(layout, network).to_string())?;
    write(&dir.join("kube-proxy.json"), &kube_proxy(network).to_string())?;
    // A name server of the host's could not be reached, and what it answers would differ from machine to machine.
    write(&dir.join("resolv.conf"), "")?;
    let (cert, key) = pki.server("kubelet", &[NAME, &network.node().to_string()])?;
    for (from, to) in [(pki.ca_cert(), "ca.crt"), (cert, "kubelet.crt"), (key, "kubelet.key")] {
        write(&dir.join(to), &std::fs::read_to_string(&from).map_err(Error::io(&from))?)?;
    }
    let server = format!("https://{}:{}", network.host(), ports.api);
    for (file, name, groups) in [
        ("kubelet.yaml", format!("system:node:{NAME}"), &["system:nodes"][..]),
        ("kube-proxy.yaml", "system:kube-proxy".to_owned(), &[]),
        ("kube-router.yaml", "plinth:network-policies".to_owned(), &[]),
    ] {
        pki.kubeconfig(&dir.join(file), cluster, &server, &User { name: &name, groups })?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    pki::write(path, text)
}

/// Each pod has a cable of its own to the node and no bridge to other pods, so that whatever it says is routed, and
/// passes where Services and policies are applied.
fn cni(network: Network) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "plinth",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/var/lib/cni/networks",
                    "ranges": [[{ "subnet": network.pods() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true }, "backend": "nftables" },
        ],
    })
}

fn kubelet(layout: &Layout, network: Network) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node(),
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": format!("{CONFIG}/ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": format!("{CONFIG}/kubelet.crt"),
        "tlsPrivateKeyFile": format!("{CONFIG}/kubelet.key"),
        "containerRuntimeEndpoint": CONTAINERD_SOCKET,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", cgroup(layout)),
        // What the node runs on belongs to somebody else, and has what it has.
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "clusterDNS": [network.dns_service()],
        "clusterDomain": "cluster.local",
        "resolvConf": format!("{CONFIG}/resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "maxPods": 250,
        "podPidsLimit": 4096,
        // An image that is collected cannot be pulled again: there is no registry.
        "imageGCHighThresholdPercent": 100,
        "imageMaximumGCAge": "0s",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        // A status that changes is sent at once all the same.
        "nodeStatusReportFrequency": "1m",
        "shutdownGracePeriod": "0s",
    })
}

fn kube_proxy(network: Network) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": NAME,
        "clusterCIDR": network.pods(),
        "clientConnection": { "kubeconfig": format!("{CONFIG}/kube-proxy.yaml") },
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nftables": { "minSyncPeriod": "100ms" },
        // The kernel's table of connections is the host's.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
    })
}
