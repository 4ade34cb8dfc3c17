//! The cluster of `up`: named by the user, found running, or started.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use kube::Client;
use kube::config::Kubeconfig;
use plinth_cluster::{ControlPlane, Nodes as PlaneNodes, Options, clusters_dir};

use super::{Args, Nodes, admission, nodes};
use crate::cli::connect::{self, ClusterArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;
use crate::cli::progress::Stages;

/// The operator's user on a cluster that is started here.
const OPERATOR: &str = "plinth:operator";

/// A cluster.
pub enum Cluster {
    /// The user's: nothing of it is started or stopped here.
    Named {
        /// Where.
        args: ClusterArgs,
        /// Folder for the log and the record of a detached operator.
        dir: PathBuf,
    },
    /// A control plane on this machine.
    Local {
        /// It.
        plane: Box<ControlPlane>,
        /// It ran already: it does not end with this command.
        found: bool,
    },
}

impl Cluster {
    /// In this order: `--kubeconfig`, `KUBECONFIG`, one of that name that runs, a start from the cached build, a build.
    pub async fn find_or_start(args: &Args) -> Result<Self> {
        let named = if args.here { None } else { args.cluster.named()? };
        if let Some((_, origin)) = named {
            if args.nodes != Nodes::Auto {
                note("--nodes says nothing about a cluster that is given: its nodes stay what they are");
            }
            note(&format!("using the cluster of {origin}"));
            let dir = operators_dir(&args.name)?;
            return Ok(Self::Named { args: args.cluster.clone(), dir });
        }
        if let Ok(plane) = ControlPlane::attach(&args.name).await {
            if args.nodes == Nodes::Real && plane.nodes() != PlaneNodes::Real {
                let what = format!("the cluster `{}` runs already, and its nodes are not real", args.name);
                return Err(Failure::new(Exit::Usage, what).next("give another --name").into());
            }
            note(&format!("using the cluster `{}`, which runs already", args.name));
            return Ok(Self::Local { plane: Box::new(plane), found: true });
        }
        let options =
            Options::new(&args.name).nodes(nodes::choose(args.nodes, &args.name)?).detach(args.detach);
        // Always: a cluster that runs on may be given another Stack, and routes are what most of them have.
        let options = options.gateway_api(true);
        let plane = ControlPlane::start(options, &Stages::new()).await?;
        Ok(Self::Local { plane: Box::new(plane), found: false })
    }

    /// It, where it was started on this machine with a real node.
    pub fn real_node(&self) -> Option<&ControlPlane> {
        match self {
            Self::Local { plane, .. } if plane.nodes() == PlaneNodes::Real => Some(plane),
            Self::Local { .. } | Self::Named { .. } => None,
        }
    }

    /// A client of it.
    pub async fn client(&self) -> Result<Client> {
        match self {
            Self::Named { args, .. } => Ok(args.connect().await?.client),
            Self::Local { plane, .. } => {
                let read =
                    Kubeconfig::read_from(plane.kubeconfig()).context("reading the cluster's kubeconfig")?;
                connect::client(ClusterArgs::default().config(read).await?)
            }
        }
    }

    /// Whom the operator runs as.
    pub async fn operator_user(&self, client: &Client) -> Result<String> {
        match self {
            Self::Named { .. } => admission::user(client).await,
            Self::Local { .. } => Ok(OPERATOR.to_owned()),
        }
    }

    /// What the operator connects with. On a cluster of ours it is somebody else than the person at the keyboard, so that
    /// each is held to their own rights and the audit log tells them apart.
    pub fn access(&self) -> Result<ClusterArgs> {
        match self {
            Self::Named { args, .. } => Ok(args.clone()),
            Self::Local { plane, .. } => {
                let kubeconfig = plane.kubeconfig_for(OPERATOR, &["system:masters"])?;
                Ok(ClusterArgs { kubeconfig: Some(kubeconfig), context: None })
            }
        }
    }

    /// Where the operator's log and record lie.
    pub fn dir(&self) -> PathBuf {
        match self {
            Self::Named { dir, .. } => dir.clone(),
            Self::Local { plane, .. } => plane.state_dir().to_path_buf(),
        }
    }

    /// Ends it, if this command started it.
    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Local { plane, found: false } => plane.stop().await.context("stopping the cluster"),
            Self::Local { found: true, .. } | Self::Named { .. } => Ok(()),
        }
    }
}

/// The folder of an operator that runs against a cluster which is not ours.
///
/// # Errors
/// No home is known.
pub fn operators_dir(name: &str) -> Result<PathBuf> {
    let clusters = clusters_dir()?;
    let state = clusters.parent().context("the state folder has no parent")?;
    Ok(state.join("operators").join(name))
}
