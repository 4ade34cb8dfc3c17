//! A real Kubernetes control plane for Plinth's tests and for `plinth up`.
//!
//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok are built from their Go modules into one
//! binary ([`Build`]), once for each user, and run as child processes ([`ControlPlane`]). Nodes are played by kwok: what
//! becomes Ready on them proves order, never content, and every one of them says so in the label
//! `plinth.dev/simulated`. On Linux as root there can be a real one ([`Nodes::Real`], [`NodeBinaries`]).
//!
//! ```no_run
//! # async fn run() -> Result<(), plinth_cluster::Error> {
//! use plinth_cluster::{ControlPlane, Nodes, Options, Silent};
//!
//! let plane = ControlPlane::start(Options::new("demo").nodes(Nodes::Simulated(3)), &Silent).await?;
//! println!("KUBECONFIG={}", plane.kubeconfig().display());
//! plane.stop().await
//! # }
//! ```

mod build;
mod component;
mod crds;
mod error;
mod layout;
mod node;
mod options;
mod pki;
mod plane;
mod ports;
mod process;
pub mod program;
mod progress;
mod ready;
mod record;
mod seed;
pub mod testing;

pub use build::{Binaries, Build};
pub use component::Component;
pub use error::{Error, Result};
pub use layout::{cache_dir, clusters_dir};
pub use node::{
    GATEWAY_CLASS, GATEWAY_CONTROLLER, GATEWAY_PROXY, NodeBinaries, TOOLBOX, missing as missing_for_real_node,
};
pub use options::{Nodes, Options};
pub use plane::ControlPlane;
pub use ports::free_port;
pub use program::Program;
pub use progress::{Lines, Progress, Silent};

/// The release of Kubernetes that is built and run.
pub const KUBERNETES_VERSION: &str = "v1.37.2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_spawned() {
        fn send<T: Send>(_: fn() -> T) {}
        send(|| ControlPlane::start(Options::new("x"), &Silent));
        send(|| ControlPlane::stop_named("x"));
        send(|| async {
            let plane = ControlPlane::attach("x").await?;
            plane.restart_component(Component::Kwok).await?;
            plane.kill_component(Component::Etcd).await
        });
        send(|| testing::TestCluster::start(Nodes::None));
        send(testing::TestCluster::shared);
    }

    #[test]
    fn the_version_is_the_one_that_is_built_and_simulated() {
        let module = include_str!("../go/go.mod");
        assert!(module.contains(&format!("k8s.io/kubernetes {KUBERNETES_VERSION}\n")));
        let node = include_str!("../stages/node.yaml");
        assert!(node.contains(&format!("kubeletVersion: {KUBERNETES_VERSION}+simulated\n")));
    }
}
