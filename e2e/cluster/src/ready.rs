//! Waiting, always with an end.

use std::time::{Duration, Instant};

use http::Request;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::error::{Error, Result};
use crate::seed::SIMULATED_LABEL;

const POLL: Duration = Duration::from_millis(50);
/// No single question may eat the whole wait: a server that just starts may accept a connection and say nothing.
const QUESTION: Duration = Duration::from_secs(5);

/// Asks again and again until the answer is yes, and at the end says what the last no was. An outer error ends the wait.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Result<(), String>>,
) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        let last = match tokio::time::timeout(QUESTION, ask()).await {
            Ok(answer) => match answer? {
                Ok(()) => return Ok(()),
                Err(last) => last,
            },
            Err(_) => format!("no answer within {} s", QUESTION.as_secs()),
        };
        if Instant::now() >= end {
            return Err(Error::Timeout { what: what.to_owned(), seconds: limit.as_secs(), last });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the API server and everything that it starts with are ready.
pub(crate) async fn api_server(client: &Client) -> Result<(), String> {
    let request = Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

/// Whether the controller manager works: the account that pods run as by default is its making.
pub(crate) async fn default_account(client: &Client) -> Result<(), String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    match accounts.get_opt("default").await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it does not exist yet".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether so many simulated nodes are Ready, and open to pods.
pub(crate) async fn nodes(client: &Client, wanted: u32) -> Result<(), String> {
    let params = ListParams::default().labels(&format!("{SIMULATED_LABEL}=true"));
    let nodes = Api::<Node>::all(client.clone()).list(&params).await.map_err(|error| error.to_string())?;
    let ready = nodes.items.iter().filter(|node| is_open(node)).count();
    if ready >= wanted as usize { Ok(()) } else { Err(format!("{ready} of {wanted} are ready")) }
}

fn is_open(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let tainted = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).next().is_some();
    ready && !tainted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_and_says_what_it_saw() {
        let mut asked = 0;
        let result = until("the moon", Duration::from_millis(120), async || {
            asked += 1;
            Ok(Err(format!("no {asked}")))
        })
        .await;
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("waited 0 s for the moon: no "), "{message}");
        assert!(asked > 1);
    }
}
