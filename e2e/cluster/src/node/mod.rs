//! A real node: containerd, kubelet, kube-proxy and the enforcer of NetworkPolicies in namespaces of their own
//! (`node/host`), and what a cluster has beside them.

mod check;
mod gateways;
mod image;
mod network;
mod objects;
mod programs;
mod settings;
mod spec;
mod sweep;

pub(crate) use check::check;
pub use check::missing;
pub use gateways::{GATEWAY_CLASS, GATEWAY_CONTROLLER, GATEWAY_PROXY};
pub use image::TOOLBOX;
pub(crate) use image::{import, pack, pack_toolbox};
pub(crate) use network::Network;
pub(crate) use objects::{apply, waiting_for};
pub use programs::NodeBinaries;
pub(crate) use settings::write_settings;
pub(crate) use spec::{booted, invocation, seed, write_spec};
pub(crate) use sweep::sweep;

/// The node's name.
pub(crate) const NAME: &str = "node-0";
