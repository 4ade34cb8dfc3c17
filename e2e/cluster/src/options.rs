//! What a caller asks for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::crds;

/// What the cluster's nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Nodes {
    /// None: pods stay Pending.
    None,
    /// So many, played by kwok.
    Simulated(u32),
    /// One that runs containers, on Linux and as root: see [`crate::missing_for_real_node`].
    Real,
}

impl Nodes {
    /// What they are, in a word.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::None => "no",
            Self::Simulated(_) => "simulated",
            Self::Real => "real",
        }
    }
}

/// How to start a control plane.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) name: String,
    pub(crate) nodes: Nodes,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) detach: bool,
    pub(crate) audit: bool,
    pub(crate) gateway_api: bool,
    /// Set, not a flag: a program that never asks for these definitions does not carry them.
    pub(crate) ecosystem: Option<&'static crds::Set>,
}

impl Options {
    /// A control plane of this name, without nodes, with an audit log, that ends with this process.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            nodes: Nodes::None,
            state_dir: None,
            detach: false,
            audit: true,
            gateway_api: false,
            ecosystem: None,
        }
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(self, nodes: Nodes) -> Self {
        Self { nodes, ..self }
    }

    /// The folder of this cluster, instead of `$XDG_STATE_HOME/plinth/clusters/<name>`.
    #[must_use]
    pub fn state_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: Some(dir.into()), ..self }
    }

    /// Whether it outlives this process.
    #[must_use]
    pub fn detach(self, detach: bool) -> Self {
        Self { detach, ..self }
    }

    /// Whether requests are logged to [`crate::ControlPlane::audit_log`].
    #[must_use]
    pub fn audit(self, audit: bool) -> Self {
        Self { audit, ..self }
    }

    /// Whether the kinds of the Gateway API are served; on simulated nodes its Gateways are simulated too.
    #[must_use]
    pub fn gateway_api(self, gateway_api: bool) -> Self {
        Self { gateway_api, ..self }
    }

    /// Whether the kinds of other operators that the catalogue renders are served: cert-manager's, Flux's,
    /// CloudNativePG's, Strimzi's. Their schemas are real; nobody acts on the objects.
    #[must_use]
    pub fn ecosystem(self, ecosystem: bool) -> Self {
        Self { ecosystem: ecosystem.then_some(&crds::ECOSYSTEM), ..self }
    }
}
