//! The proxy. It passes on what it gets, whatever protocol version it comes in, without holding anything back: a watch
//! streams through. Only the answer to a write is complete before it goes on, because a fault strikes between the two.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::config::Kubeconfig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::answers::refusal;
use crate::fault::{Action, Cut, Fault};
use crate::held::Held;
use crate::history::{History, Progress};
use crate::said::Said;
use crate::tls::{Back, Front};
use crate::write::Target;

/// Writes that are not part of the work: the operator renews its lease whatever else it does.
pub const LEASES: &str = "coordination.k8s.io/leases";
/// A server on this machine takes a connection at once or not at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Why a request has no answer.
#[derive(Debug)]
struct Fail(String);

impl std::fmt::Display for Fail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fail {}

fn fail(error: impl std::fmt::Display) -> Fail {
    Fail(error.to_string())
}

type Body = UnsyncBoxBody<Bytes, Fail>;

/// How to start a proxy.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the operator would have been given.
    pub kubeconfig: PathBuf,
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Resources, as `group/resource`, whose writes have no number.
    pub exempt: Vec<String>,
    /// Where the history is written, as JSON lines.
    pub history: Option<PathBuf>,
}

impl Options {
    /// A proxy that only passes on, for whom this kubeconfig speaks.
    pub fn new(kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            kubeconfig: kubeconfig.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            faults: Vec::new(),
            exempt: vec![LEASES.to_owned()],
            history: None,
        }
    }
}

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    kubeconfig: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts one.
    pub async fn start(options: Options) -> Result<Self> {
        let original = Kubeconfig::read_from(&options.kubeconfig)
            .with_context(|| format!("reading {}", options.kubeconfig.display()))?;
        let front = Front::new()?;
        let back = Back::new(&original).await?;
        let listener = TcpListener::bind(options.listen).await.context("listening")?;
        let address = listener.local_addr()?;
        let kubeconfig = front.kubeconfig(&original, &address.to_string())?;
        let file = options.history.as_deref().map(create).transpose()?;
        let shared = Arc::new(Shared {
            upstream: Upstream { back, connection: tokio::sync::Mutex::new(None) },
            history: Arc::new(History::new(options.exempt, options.faults, file)),
            pid: AtomicU32::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, TlsAcceptor::from(front.server), shared.clone()));
        Ok(Self { address, kubeconfig, shared, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// What went through it.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// What has happened so far.
    pub fn progress(&self) -> Progress {
        *self.shared.history.progress().borrow()
    }

    /// Whom a crash kills.
    pub fn operator_is(&self, pid: u32) {
        self.shared.pid.store(pid, Ordering::SeqCst);
    }

    /// Say this before the operator starts again.
    pub fn operator_starts_again(&self) {
        self.shared.pid.store(0, Ordering::SeqCst);
        self.shared.history.reincarnate();
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("creating {}", path.display()))
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    history: Arc<History>,
    /// 0 as long as nobody said.
    pid: AtomicU32,
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    // Owns the connections: they end with the proxy.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, tls.clone(), shared.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let stream = match tls.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "no TLS");
            return;
        }
    };
    let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new()).adaptive_window(true).max_concurrent_streams(1000);
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { shared.pass(request).await }
    });
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(error, "a connection ended early");
    }
}

impl Shared {
    /// An error resets the stream, or closes the connection where there are none: exactly a lost answer.
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Fail> {
        let target = Target::of(request.method(), request.uri(), request.headers());
        match target {
            Some(target) if target.writes() => {
                // On its own: a write that the API server has got is followed to its end, even when the operator dies
                // while another write of its is on the way.
                tokio::spawn(self.write(target, request)).await.map_err(fail)?
            }
            Some(target) => self.read(target, request).await,
            None => {
                let response = self.through(request.map(streamed)).await?;
                Ok(response.map(streamed))
            }
        }
    }

    async fn read(
        self: Arc<Self>,
        target: Target,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Fail> {
        let admitted = self.history.read(&target);
        if let Some(refused) = self.before(admitted.action, &target).await {
            self.history.answered(&admitted, Some(refused.status().as_u16()));
            return Ok(refused);
        }
        let answer = self.through(request.map(streamed)).await;
        self.history.answered(&admitted, answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        if let Some(action @ (Action::Crash | Action::LoseResponse)) = admitted.action {
            return Err(self.strike(action));
        }
        let answer = answer?;
        if target.verb != "watch" || !answer.status().is_success() {
            return Ok(answer.map(streamed));
        }
        let history = self.history.clone();
        Ok(answer.map(|body| {
            StreamBody::new(Held::new(history, target, body, admitted.orders).stream())
                .map_err(fail)
                .boxed_unsync()
        }))
    }

    async fn write(
        self: Arc<Self>,
        mut target: Target,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Fail> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(fail)?.to_bytes();
        target.name_from(&body);
        let admitted = self.history.admit(&target, Said::of(&target, &body));
        if let Some(refused) = self.before(admitted.action, &target).await {
            self.history.answered(&admitted, Some(refused.status().as_u16()));
            return Ok(refused);
        }
        let answer = self.forward(Request::from_parts(head, full(body))).await;
        self.history.answered(&admitted, answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        self.barred(&[Cut::Both, Cut::Answers]).await?;
        match admitted.action {
            Some(action @ (Action::Crash | Action::LoseResponse)) => Err(self.strike(action)),
            _ => answer,
        }
    }

    /// What happens before the API server is asked, and instead.
    async fn before(&self, action: Option<Action>, target: &Target) -> Option<Response<Body>> {
        match action {
            Some(Action::Error(code)) => {
                Some(refusal(code, target).map(|body| body.map_err(|never| match never {}).boxed_unsync()))
            }
            Some(Action::Delay(seconds)) => {
                tokio::time::sleep(Duration::from_secs(seconds.into())).await;
                None
            }
            _ => None,
        }
    }

    /// Asks the API server, unless it is cut off; the answer comes back complete.
    async fn forward(&self, request: Request<Body>) -> Result<Response<Body>, Fail> {
        self.barred(&[Cut::Both]).await?;
        let (head, body) = self.upstream.send(request).await?.into_parts();
        let body = body.collect().await.map_err(fail)?.to_bytes();
        Ok(Response::from_parts(head, full(body)))
    }

    /// Asks the API server, unless it is cut off; the answer comes back as it comes, unless that is.
    async fn through(&self, request: Request<Body>) -> Result<Response<Incoming>, Fail> {
        self.barred(&[Cut::Both]).await?;
        let answer = self.upstream.send(request).await;
        self.barred(&[Cut::Both, Cut::Answers]).await?;
        answer
    }

    /// While one of these is cut, whoever comes waits until it is mended, and is then reset.
    async fn barred(&self, by: &[Cut]) -> Result<(), Fail> {
        match self.history.cut() {
            Some((cut, until)) if by.contains(&cut) => {
                tokio::time::sleep_until(until.into()).await;
                Err(fail("cut off"))
            }
            _ => Ok(()),
        }
    }

    fn strike(&self, action: Action) -> Fail {
        if action == Action::Crash {
            match self.pid.load(Ordering::SeqCst) {
                0 => tracing::error!("nobody said which process to kill"),
                pid => {
                    if let Err(error) = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL) {
                        tracing::error!(%error, pid, "the operator was not killed");
                    }
                }
            }
            self.history.crashed();
        }
        fail("the fault that was asked for")
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn streamed(body: Incoming) -> Body {
    body.map_err(fail).boxed_unsync()
}

/// One HTTP/2 connection to the API server, made again when it breaks.
struct Upstream {
    back: Back,
    connection: tokio::sync::Mutex<Option<SendRequest<Body>>>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({})", self.back.authority)
    }
}

impl Upstream {
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Fail> {
        let request = self.addressed(request)?;
        let mut connection = self.connection().await?;
        connection.send_request(request).await.map_err(fail)
    }

    /// The request as it goes on: for this server, in HTTP/2, without what belongs to the connection it came by.
    fn addressed(&self, request: Request<Body>) -> Result<Request<Body>, Fail> {
        let (mut head, body) = request.into_parts();
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(http::uri::Scheme::HTTPS);
        uri.authority = Some(self.back.authority.parse().map_err(fail)?);
        uri.path_and_query =
            head.uri.path_and_query().cloned().or(Some(http::uri::PathAndQuery::from_static("/")));
        head.uri = Uri::from_parts(uri).map_err(fail)?;
        head.version = Version::HTTP_2;
        strip(&mut head.headers);
        head.headers.remove(header::HOST);
        Ok(Request::from_parts(head, body))
    }

    async fn connection(&self) -> Result<SendRequest<Body>, Fail> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = tokio::time::timeout(CONNECT, self.connect()).await.map_err(fail)?.map_err(fail)?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<SendRequest<Body>> {
        let stream = TcpStream::connect((self.back.host.as_str(), self.back.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.back.host.clone())?;
        let stream = TlsConnector::from(self.back.client.clone()).connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .adaptive_window(true)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the API server ended");
            }
        });
        Ok(sender)
    }
}

/// Headers that speak of one connection; HTTP/2 does not allow them.
fn strip(headers: &mut HeaderMap) {
    const HOP: [HeaderName; 6] = [
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ];
    for name in HOP {
        headers.remove(name);
    }
}
