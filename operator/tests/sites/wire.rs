//! A wire to a server that can be cut in the ways in which networks are: nothing passes, or one direction only. Connections
//! stay as they are; whoever speaks into a cut wire hears nothing, as with a host that is gone.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passes {
    /// Everything.
    All,
    /// What is said to the server, and no answer.
    Questions,
    /// Nothing.
    Nothing,
}

/// A wire; it ends when this is dropped.
pub(crate) struct Wire {
    address: SocketAddr,
    passes: watch::Sender<Passes>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// A wire to `https://host:port`.
    pub(crate) async fn to(server: &str) -> Result<Self> {
        let server = server.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (passes, passing) = watch::channel(Passes::All);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, server.clone(), passing.clone()));
            }
        });
        Ok(Self { address, passes, _tasks: tasks })
    }

    /// The address that leads through it.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn set(&self, passes: Passes) {
        self.passes.send_replace(passes);
    }
}

async fn connection(near: TcpStream, server: String, passing: watch::Receiver<Passes>) -> Result<()> {
    let far = TcpStream::connect(&server).await.context("the server is gone")?;
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let asks = copy(from_near, to_far, passing.clone(), |passes| passes != Passes::Nothing);
    let answers = copy(from_far, to_near, passing, |passes| passes == Passes::All);
    // The end of either direction is the end of both.
    tokio::select! {
        ended = asks => ended,
        ended = answers => ended,
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut passing: watch::Receiver<Passes>,
    passes: impl Fn(Passes) -> bool,
) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        passing.wait_for(|now| passes(*now)).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
