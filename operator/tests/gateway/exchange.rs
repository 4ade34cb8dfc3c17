//! The exchange, running: Envoy and the authoriser as the plan has them, and services behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plinth_cluster::free_port;
use plinth_plan::exchange::federation::Anchor;
use serde_json::{Value, json};

use crate::backend::Backends;
use crate::client::{Connection, Identity};
use crate::country::Country;
use crate::mount::Mount;
use crate::pki::{Pki, of_services};
use crate::{envoy, within};

/// A running exchange; its processes end when this is dropped.
pub struct Exchange {
    pub pki: Pki,
    pub backends: Backends,
    places: Places,
    tls: Mount,
    clients: Mount,
    rights: Mount,
    clusters: Mount,
    routes: Mount,
    envoy: Child,
    authoriser: Child,
    authoriser_args: Vec<String>,
}

/// Where things are that are elsewhere in a cluster.
struct Places {
    folder: tempfile::TempDir,
    clients: SocketAddr,
    gateway_health: SocketAddr,
    decisions: SocketAddr,
    authoriser_health: SocketAddr,
    http: SocketAddr,
    https: SocketAddr,
    /// Gateways of other instances, by the host that their anchors name.
    peers: Mutex<BTreeMap<String, SocketAddr>>,
}

impl Places {
    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Folders of the containers.
    fn folders(&self, text: &str) -> String {
        let folder = self.folder.path().display();
        text.replace("/etc/exchange/", &format!("{folder}/exchange/"))
            .replace("/etc/envoy/", &format!("{folder}/envoy/"))
            .replace("/etc/ssl/", &format!("{folder}/ssl/"))
    }

    /// A file of the entry with the places that it has here. An address that is not known here is an error: nothing outside is
    /// called.
    fn file(&self, text: &str) -> String {
        let mut value: Value = serde_yaml::from_str(&self.folders(text)).unwrap();
        self.addresses(&mut value, false);
        value.to_string()
    }

    fn addresses(&self, value: &mut Value, has_tls: bool) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.addresses(item, has_tls)),
            Value::Object(fields) => {
                // A cluster that says how it speaks TLS.
                let has_tls = has_tls
                    || (fields.contains_key("load_assignment") && fields.contains_key("transport_socket"));
                for (name, value) in fields.iter_mut() {
                    if name == "socket_address" {
                        let place = self.place(value, has_tls);
                        *value = json!({ "address": place.ip(), "port_value": place.port() });
                    } else {
                        self.addresses(value, has_tls);
                    }
                }
            }
            _ => {}
        }
    }

    fn place(&self, address: &Value, has_tls: bool) -> SocketAddr {
        let host = address["address"].as_str().unwrap_or_default();
        match (host, address["port_value"].as_u64()) {
            ("0.0.0.0", Some(8443)) => self.clients,
            ("0.0.0.0", Some(8081)) => self.gateway_health,
            (host, Some(9001)) if host.starts_with("authoriser.") => self.decisions,
            (host, Some(8443)) if has_tls && self.peers.lock().unwrap().contains_key(host) => {
                self.peers.lock().unwrap()[host]
            }
            (host, Some(_)) if host.ends_with(".example") && has_tls => self.https,
            (host, Some(_)) if host.ends_with(".svc.cluster.local") && !has_tls => self.http,
            _ => panic!("{address} is no address that is known here"),
        }
    }

    fn files(&self, files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        files.iter().map(|(name, text)| (name.clone(), self.file(text))).collect()
    }

    /// An argument of a command line.
    fn arg(&self, arg: &str) -> String {
        self.folders(arg)
            .replace("0.0.0.0:9001", &self.decisions.to_string())
            .replace("0.0.0.0:9090", &self.authoriser_health.to_string())
    }
}

impl Exchange {
    /// Starts everything, and returns when calls are answered.
    pub fn start(country: &Country) -> Self {
        Self::start_with(country, &["deaths.gov.example", "parcels.gov.example"].map(str::to_owned))
    }

    /// The same with services that have a certificate of these names.
    pub fn start_with(country: &Country, names: &[String]) -> Self {
        let binary = envoy::binary();
        let pki = Pki::make(country);
        let (services, identity) = of_services(names);
        let backends = Backends::start(&identity);
        let places = Places {
            folder: tempfile::tempdir().unwrap(),
            clients: free(),
            gateway_health: free(),
            decisions: free(),
            authoriser_health: free(),
            http: backends.http,
            https: backends.https,
            peers: Mutex::default(),
        };
        let mount = |path: &str, files: &BTreeMap<String, String>| Mount::new(places.path(path), files);
        let tls = mount("exchange/tls", &server_files(&pki));
        // The authority of the services is the Stack's own, or a public one that the image brings.
        mount("exchange/trust", &[("ca.crt".to_owned(), services.clone())].into());
        mount("ssl/certs", &[("ca-certificates.crt".to_owned(), services)].into());
        mount("envoy", &places.files(&country.files("gateway")));
        let clusters = mount("exchange/clusters", &places.files(&country.files("clusters")));
        let routes = mount("exchange/routes", &places.files(&country.files("routes")));
        let clients = mount("exchange/clients", &places.files(&country.files("clients")));
        let rights = mount("exchange/rights", &country.files("rights"));

        let authoriser_args: Vec<String> =
            country.args("authoriser").iter().map(|arg| places.arg(arg)).collect();
        let authoriser =
            spawn(Path::new(env!("CARGO_BIN_EXE_plinth")), &authoriser_args, &places, "authoriser");
        let args: Vec<String> = country.args("gateway").iter().map(|arg| places.arg(arg)).collect();
        let envoy = spawn(binary, &args, &places, "envoy");
        let mut exchange = Self {
            pki,
            backends,
            places,
            tls,
            clients,
            rights,
            clusters,
            routes,
            envoy,
            authoriser,
            authoriser_args,
        };
        within("the authoriser is ready", || Some(()).filter(|()| exchange.readiness().0 == 200));
        within("the gateway is ready", || {
            let ended = exchange.envoy.try_wait().unwrap();
            assert!(ended.is_none(), "Envoy has ended: {ended:?}\n{}", exchange.logs());
            Some(()).filter(|()| get(exchange.places.gateway_health, "/readyz").0 == 200)
        });
        exchange
    }

    /// A connection with a client's certificate.
    pub fn connect(&self, identity: &Identity) -> std::io::Result<Connection> {
        self.connect_with(Some(identity))
    }

    /// A connection with a certificate, or none.
    pub fn connect_with(&self, identity: Option<&Identity>) -> std::io::Result<Connection> {
        Connection::tls(self.places.clients, &self.pki.name, self.pki.root(), identity)
    }

    /// Other rights.
    pub fn put_rights(&self, text: &str) {
        self.rights.put(&[("rights.json".to_owned(), text.to_owned())].into());
    }

    /// No rights at all.
    pub fn take_rights_away(&self) {
        self.rights.put(&BTreeMap::new());
    }

    /// Another authority, with everything that it has signed.
    pub fn put_pki(&mut self, pki: Pki) {
        self.tls.put(&server_files(&pki));
        self.pki = pki;
    }

    /// By what other instances know it, under that host.
    pub fn anchor(&self, instance: &str, host: &str) -> Anchor {
        let authorities = self.pki.root().to_owned();
        Anchor { instance: instance.to_owned(), host: host.to_owned(), port: 8443, authorities }
    }

    /// Under that host, the gateway of the other one is found.
    pub fn know(&self, host: &str, other: &Self) {
        self.places.peers.lock().unwrap().insert(host.to_owned(), other.places.clients);
    }

    /// Another country's peers, services and rights.
    pub fn put(&self, country: &Country) {
        self.clients.put(&self.places.files(&country.files("clients")));
        self.put_services(country);
        self.put_rights(&country.rights());
    }

    /// Another country's services.
    pub fn put_services(&self, country: &Country) {
        self.clusters.put(&self.places.files(&country.files("clusters")));
        self.routes.put(&self.places.files(&country.files("routes")));
    }

    /// What the authoriser says to a readiness probe; status 0 where it does not answer.
    pub fn readiness(&self) -> (u16, String) {
        get(self.places.authoriser_health, "/readyz")
    }

    /// What the authoriser has counted.
    pub fn metrics(&self) -> String {
        get(self.places.authoriser_health, "/metrics").1
    }

    /// How many calls the authoriser was asked about.
    pub fn asked_since_start(&self) -> u64 {
        let metrics = self.metrics();
        let counts = metrics.lines().filter(|line| line.starts_with("plinth_exchange_decisions_total"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// How often the gateway has ended.
    pub fn restarts(&self) -> usize {
        // Signal 0 asks whether it is there.
        usize::from(kill(pid(&self.envoy), None).is_err())
    }

    /// The authoriser stays, and says nothing any more.
    pub fn freeze_authoriser(&self) {
        kill(pid(&self.authoriser), Signal::SIGSTOP).unwrap();
    }

    /// The authoriser goes at once.
    pub fn kill_authoriser(&mut self) {
        self.authoriser.kill().unwrap();
        self.authoriser.wait().unwrap();
    }

    /// Another authoriser in its place.
    pub fn start_authoriser(&mut self) {
        let binary = Path::new(env!("CARGO_BIN_EXE_plinth"));
        self.authoriser = spawn(binary, &self.authoriser_args, &self.places, "authoriser");
    }

    /// Tells the authoriser to stop, as Kubernetes does. Returns its exit code.
    pub fn stop_authoriser(&mut self) -> Option<i32> {
        kill(pid(&self.authoriser), Signal::SIGTERM).unwrap();
        within("the authoriser stops", || self.authoriser.try_wait().unwrap()).code()
    }

    /// Every decision that was written down so far.
    pub fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.places.path("authoriser.out")).unwrap();
        // The last line may be under way.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything that was logged.
    pub fn logs(&self) -> String {
        let names = ["authoriser.out", "authoriser.err", "envoy.out", "envoy.err"];
        names.map(|name| std::fs::read_to_string(self.places.path(name)).unwrap_or_default()).concat()
    }

    /// A connection to the authoriser, and what Envoy would ask there.
    pub fn question(&self, path: &str, peer: &str, client: &str) -> (Connection, Vec<u8>) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: authoriser\r\nX-Road-Client: UA/{client}\r\nX-Exchange-Peer: {peer}\r\n\r\n"
        );
        (Connection::plain(self.places.decisions).unwrap(), request.into_bytes())
    }

    /// How many calls a second are let through, on so many connections at once.
    pub fn load(
        &self,
        connections: usize,
        time: Duration,
        prepared: impl Fn(&Self) -> (Connection, Vec<u8>) + Sync,
    ) -> usize {
        let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let (mut connection, request) = prepared(self);
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(connection.ask(&request).unwrap().status, 200);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
        });
        done.load(Ordering::Relaxed)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        for child in [&mut self.envoy, &mut self.authoriser] {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let logs = self.logs();
            // Calls are lines of JSON, and hide what Envoy says of itself.
            logs.lines().filter(|line| !line.starts_with('{')).for_each(|line| eprintln!("{line}"));
            eprintln!("{}", &logs[logs.floor_char_boundary(logs.len().saturating_sub(6000))..]);
        }
    }
}

/// The gateway's own certificate, and whose clients it takes.
fn server_files(pki: &Pki) -> BTreeMap<String, String> {
    let Identity { certificate, key } = pki.server.clone();
    let files = [("tls.crt", certificate), ("tls.key", key), ("ca.crt", pki.root().to_owned())];
    files.map(|(name, text)| (name.to_owned(), text)).into()
}

/// Starts a program, its output in files.
fn spawn(program: &Path, args: &[String], places: &Places, name: &str) -> Child {
    let log = |end: &str| {
        File::options().create(true).append(true).open(places.path(&format!("{name}.{end}"))).unwrap()
    };
    Command::new(program)
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(log("out"))
        .stderr(log("err"))
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

/// An address that nobody listens on.
fn free() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port().unwrap()).into()
}

/// Status and body; status 0 where nobody answers.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    match Connection::plain(address).and_then(|mut connection| connection.ask(request.as_bytes())) {
        Ok(answer) => (answer.status, answer.body),
        Err(_) => (0, String::new()),
    }
}
