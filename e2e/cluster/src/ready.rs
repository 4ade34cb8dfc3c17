//! The questions that a start waits for the answers of.

use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::component::Component;
use crate::node;
use crate::seed::SIMULATED_LABEL;

/// No single question may eat the whole wait: a server that just starts may accept a connection and say nothing.
const LIMIT: Duration = Duration::from_secs(5);

/// Something to wait for. A value and not a closure: futures that hold asynchronous closures cannot be spawned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// Whether the API server and everything that it starts with are ready.
    ApiServer,
    /// Whether the controller manager works: the account that pods run as by default is its making.
    DefaultAccount,
    /// Whether so many simulated nodes are Ready, and open to pods.
    Nodes(u32),
    /// Whether the real node, running since then, is Ready, and pods find each other and keep what they write.
    RealNode(Timestamp),
}

impl Question {
    /// For messages.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::ApiServer => "the API server",
            Self::DefaultAccount => "the service account `default`",
            Self::Nodes(_) => "the simulated nodes",
            Self::RealNode(_) => "a node that is ready for pods",
        }
    }

    /// Whom to blame for a no.
    pub(crate) fn suspect(self) -> Component {
        match self {
            Self::ApiServer => Component::ApiServer,
            Self::DefaultAccount => Component::ControllerManager,
            Self::Nodes(_) => Component::Kwok,
            Self::RealNode(_) => Component::Node,
        }
    }

    /// Asks once; a no says what was seen instead.
    pub(crate) async fn ask(self, client: &Client) -> Result<(), String> {
        let answer = async {
            match self {
                Self::ApiServer => api_server(client).await,
                Self::DefaultAccount => default_account(client).await,
                Self::Nodes(wanted) => nodes(client, wanted).await,
                Self::RealNode(booted) => real_node(client, booted).await,
            }
        };
        let silence = |_| Err(format!("no answer within {} s", LIMIT.as_secs()));
        tokio::time::timeout(LIMIT, answer).await.unwrap_or_else(silence)
    }
}

async fn api_server(client: &Client) -> Result<(), String> {
    let request = Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

async fn default_account(client: &Client) -> Result<(), String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    match accounts.get_opt("default").await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it does not exist yet".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn nodes(client: &Client, wanted: u32) -> Result<(), String> {
    let params = ListParams::default().labels(&format!("{SIMULATED_LABEL}=true"));
    let nodes = Api::<Node>::all(client.clone()).list(&params).await.map_err(|error| error.to_string())?;
    let ready = nodes.items.iter().filter(|node| is_open(node)).count();
    if ready >= wanted as usize { Ok(()) } else { Err(format!("{ready} of {wanted} are ready")) }
}

async fn real_node(client: &Client, booted: Timestamp) -> Result<(), String> {
    match node::waiting_for(client, booted).await {
        Ok(None) => Ok(()),
        Ok(Some(waiting)) => Err(waiting),
        Err(error) => Err(error.to_string()),
    }
}

fn is_open(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let tainted = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).next().is_some();
    ready && !tainted
}
