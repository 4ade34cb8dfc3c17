//! A person who looks at the console: an account, its token, and what the console answers to that.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use plinth_cluster::testing::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Until the console says something.
const LIMIT: Duration = Duration::from_secs(180);

/// A service account in `default`, and a token of its.
pub async fn token(client: &Client, name: &str) -> Result<String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let account = json!({ "metadata": { "name": name } });
    accounts.create(&PostParams::default(), &serde_json::from_value(account)?).await?;
    let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let made = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(made.status.context("a token")?.token)
}

/// An answer, as far as it was read.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    body: BufReader<TcpStream>,
}

/// Asks for a page with a token.
pub async fn ask(console: SocketAddr, path: &str, token: &str) -> Result<Answer> {
    let connected = async || Ok::<_, anyhow::Error>(TcpStream::connect(console).await.ok());
    let mut stream = eventually(LIMIT, "the console answers", connected).await?;
    // Of HTTP 1.0, so that a stream comes as it is, in no chunks.
    let request = format!("GET {path} HTTP/1.0\r\nHost: console\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Answer { status: 0, body: BufReader::new(stream) };
    let first = answer.line().await?;
    answer.status = first.split(' ').nth(1).context("a status")?.parse()?;
    while !answer.line().await?.is_empty() {}
    Ok(answer)
}

impl Answer {
    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = timeout(LIMIT, self.body.read_line(&mut line)).await.context("waiting for a line")??;
        ensure!(read > 0, "the console ended the answer");
        Ok(line.trim_end().to_owned())
    }

    /// All of the answer.
    pub async fn rest(mut self) -> Result<String> {
        let mut text = String::new();
        timeout(LIMIT, self.body.read_to_string(&mut text)).await??;
        Ok(text)
    }

    /// The next event: its name, and what it tells.
    pub async fn event(&mut self) -> Result<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.line().await?;
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Ok((name, serde_json::from_str(data)?));
            }
        }
    }

    /// Reads until that object is told like this; everything that was told until then.
    pub async fn until(
        &mut self,
        kind: &str,
        name: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>> {
        let mut told = Vec::new();
        for _ in 0..1000 {
            let (_, one) = self.event().await?;
            let found = one["kind"] == kind && one["name"] == name && holds(&one["view"]);
            told.push(one);
            if found {
                return Ok(told);
            }
        }
        bail!("{kind} {name} is not told as it should be: {:?}", told.last())
    }
}
