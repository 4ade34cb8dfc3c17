//! What `plinth-node` is told: the other side is `node/host/main.go`.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{NAME, Network, NodeBinaries};
use crate::component::Invocation;
use crate::error::{Error, Result};
use crate::layout::{Layout, private_dir};
use crate::pki;

/// Where the node finds its folders.
const CONFIG: &str = "/run/plinth/config";
const LOGS: &str = "/run/plinth/logs";
const PROGRAMS: &str = "/run/plinth/bin";

/// What names the cluster on the host, where names are short: 8 hexadecimal digits of its folder's hash.
pub(crate) fn mark(layout: &Layout) -> String {
    let digest = Sha256::digest(layout.root().as_os_str().as_encoded_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Where the search for addresses begins.
pub(crate) fn seed(layout: &Layout) -> u8 {
    Sha256::digest(layout.root().as_os_str().as_encoded_bytes())[0]
}

/// The cgroup of all pods, below the root of each hierarchy.
pub(crate) fn cgroup(layout: &Layout) -> String {
    format!("plinth-{}", mark(layout))
}

/// Writes the file, and makes the folders that it names.
pub(crate) fn write_spec(
    layout: &Layout,
    binaries: &NodeBinaries,
    network: Network,
    api_port: u16,
) -> Result<()> {
    let var = layout.node_data().join("var");
    private_dir(&var)?;
    let text = spec(layout, binaries, network, api_port, &var).to_string();
    pki::write(&layout.node_spec(), &text)
}

fn spec(layout: &Layout, binaries: &NodeBinaries, network: Network, api_port: u16, var: &Path) -> Value {
    let mut mounts = vec![
        json!({ "from": var, "to": "/var" }),
        json!({ "from": layout.node_config(), "to": CONFIG, "readOnly": true }),
        json!({ "from": layout.logs(), "to": LOGS }),
    ];
    for (name, folder) in binaries.folders() {
        mounts.push(json!({ "from": folder, "to": format!("{PROGRAMS}/{name}"), "readOnly": true }));
    }
    json!({
        "hostname": NAME,
        "device": format!("plinth{}", mark(layout)),
        "cgroup": cgroup(layout),
        "root": layout.node_root(),
        "hostAddress": format!("{}/30", network.host()),
        "nodeAddress": format!("{}/30", network.node()),
        "ranges": [network.pods(), network.services()],
        "apiPort": api_port,
        "mounts": mounts,
        "processes": [
            process("containerd", "host/containerd", &["--config", &format!("{CONFIG}/containerd.toml")]),
            process("kubelet", "kubernetes/kubelet", &[
                &format!("--config={CONFIG}/kubelet.json"),
                &format!("--kubeconfig={CONFIG}/kubelet.yaml"),
                &format!("--hostname-override={NAME}"),
                &format!("--node-ip={}", network.node()),
            ]),
            process("kube-proxy", "kubernetes/kube-proxy", &[&format!("--config={CONFIG}/kube-proxy.json")]),
            process("kube-router", "policies/kube-router", &[
                &format!("--kubeconfig={CONFIG}/kube-router.yaml"),
                &format!("--hostname-override={NAME}"),
                &format!("--service-cluster-ip-range={}", network.services()),
                "--run-firewall=true",
                "--run-router=false",
                "--run-service-proxy=false",
                "--run-loadbalancer=false",
                "--health-port=0",
            ]),
        ],
    })
}

fn process(name: &str, program: &str, arguments: &[&str]) -> Value {
    let mut args = vec![format!("{PROGRAMS}/{program}")];
    args.extend(arguments.iter().map(|&argument| argument.to_owned()));
    json!({ "name": name, "args": args, "log": format!("{LOGS}/{name}.log") })
}

/// Since when the node runs: it links its file system once it is connected. Now, while it does not.
pub(crate) fn booted(layout: &Layout) -> Timestamp {
    let linked = std::fs::symlink_metadata(layout.node_root()).and_then(|link| link.modified());
    linked.ok().and_then(|at| Timestamp::try_from(at).ok()).unwrap_or_else(Timestamp::now)
}

/// The command line of the node.
///
/// # Errors
/// The programs are not known: the node was recorded without them.
pub(crate) fn invocation(layout: &Layout, binaries: Option<&NodeBinaries>) -> Result<Invocation> {
    let Some(binaries) = binaries else {
        let said = "it has a real node and does not say where its programs are".to_owned();
        return Err(Error::Damaged { path: layout.record(), said });
    };
    Ok(Invocation { program: binaries.plinth_node(), args: vec!["run".into(), layout.node_spec().into()] })
}
