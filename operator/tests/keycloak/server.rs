//! Keycloak itself, on loopback: its distribution from the Maven registry, pinned by its digest, unpacked once into a cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plinth_cluster::free_port;
use serde_json::Value;

/// Version of the catalogue's entry.
const VERSION: &str = "26.4.7";
/// SHA-256 of the distribution.
const DIGEST: &str = "aca60ab72ae4d67adc6b8fe7fca5e08d16a6bb5e4a4f2ebb54050e3f5503fd2b";
/// Names an unpacked distribution.
const VARIABLE: &str = "PLINTH_KEYCLOAK";
/// The registry, where the machine names no mirror of it.
const REGISTRY: &str = "https://repo.maven.apache.org/maven2";
/// The first start builds the server.
const LIMIT: Duration = Duration::from_secs(240);

/// A running server; it ends with this.
pub struct Keycloak {
    process: Child,
    folder: tempfile::TempDir,
    /// Where it answers.
    pub url: String,
    /// The realm that the country has.
    pub realm: String,
    admin: (String, String),
}

impl Keycloak {
    /// Starts it with a realm and its first administrator, and waits until it answers.
    pub fn start(realm: &str, admin: &(String, String)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("keycloak");
        // A copy: the first start writes into it.
        run(Command::new("cp").arg("-r").arg(distribution()).arg(&home));
        std::fs::create_dir_all(home.join("data/import")).unwrap();
        std::fs::write(home.join("data/import/realm.json"), realm).unwrap();
        let (port, management) = (free_port().unwrap(), free_port().unwrap());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(home.join("bin/kc.sh"))
            .args(["start-dev", "--import-realm", "--health-enabled=true", "--http-host=127.0.0.1"])
            .args([format!("--http-port={port}"), format!("--http-management-port={management}")])
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", &admin.0)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", &admin.1)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("kc.sh: {error}; this test needs Java 17 or newer"));
        let parsed: Value = serde_json::from_str(realm).unwrap();
        let realm = parsed["realm"].as_str().expect("a name").to_owned();
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { process, folder, url, realm, admin: admin.clone() };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let end = Instant::now() + LIMIT;
        loop {
            if get(&format!("{}/realms/{}", self.url, self.realm), None).is_some() {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > end {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("Keycloak does not answer ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Identifiers of the realm's clients.
    pub fn clients(&self) -> BTreeSet<String> {
        let clients = self.administer("clients?max=10000");
        let ids = clients.as_array().into_iter().flatten().filter_map(|c| c["clientId"].as_str());
        ids.map(str::to_owned).collect()
    }

    /// The realm's accounts of people.
    pub fn users(&self) -> Vec<Value> {
        self.administer("users?max=10000").as_array().cloned().unwrap_or_default()
    }

    /// What the administrator reads of the realm.
    fn administer(&self, path: &str) -> Value {
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", &self.admin.0),
            ("password", &self.admin.1),
        ];
        let answer = post(&format!("{}/realms/master/protocol/openid-connect/token", self.url), &form);
        let token = answer.expect("a token of the administrator")["access_token"].clone();
        let url = format!("{}/admin/realms/{}/{path}", self.url, self.realm);
        get(&url, token.as_str()).unwrap_or_else(|| panic!("{path}"))
    }

    /// What a client's own token says; `None` where its secret is refused.
    pub fn token(&self, client: &str, secret: &str) -> Option<Value> {
        let form = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
        let url = format!("{}/realms/{}/protocol/openid-connect/token", self.url, self.realm);
        let answer = post(&url, &form)?;
        let claims = answer["access_token"].as_str()?.split('.').nth(1)?;
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // kc.sh becomes the server itself (exec), so that this is the one process that there is.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The unpacked distribution; fetched where the cache has none.
fn distribution() -> PathBuf {
    if let Some(given) = std::env::var_os(VARIABLE) {
        return given.into();
    }
    let folder = plinth_cluster::cache_dir(&format!("keycloak-{VERSION}")).unwrap();
    if !folder.is_dir() {
        fetch(&folder);
    }
    folder
}

/// Into a folder beside it first: whoever comes at the same time finds it whole or not at all.
fn fetch(folder: &Path) {
    let cache = folder.parent().expect("a folder inside the cache");
    std::fs::create_dir_all(cache).unwrap();
    let fresh = tempfile::tempdir_in(cache).unwrap();
    let name = format!("keycloak-quarkus-dist-{VERSION}.tar.gz");
    let file = fresh.path().join(&name);
    let url = format!("{REGISTRY}/org/keycloak/keycloak-quarkus-dist/{VERSION}/{name}");
    eprintln!("fetching Keycloak {VERSION} (159 MB), once");
    run(Command::new("curl")
        .args(["--fail", "--silent", "--show-error", "--location", "-o"])
        .arg(&file)
        .arg(url));
    let digest = Command::new("sha256sum").arg(&file).output().unwrap();
    let digest = String::from_utf8_lossy(&digest.stdout).into_owned();
    assert!(digest.starts_with(DIGEST), "another archive than the pinned one: {digest}");
    run(Command::new("tar").arg("-xzf").arg(&file).arg("-C").arg(fresh.path()));
    if std::fs::rename(fresh.path().join(format!("keycloak-{VERSION}")), folder).is_err() {
        assert!(folder.is_dir(), "{} cannot be written", folder.display());
    }
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn get(url: &str, token: Option<&str>) -> Option<Value> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--max-time", "20", url]);
    // Read from standard input: nothing secret stands in a list of processes.
    answered(
        curl,
        token.map(|token| format!("header = \"Authorization: Bearer {token}\"")).unwrap_or_default(),
    )
}

fn post(url: &str, form: &[(&str, &str)]) -> Option<Value> {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--max-time", "20", url]);
    answered(curl, format!("data = \"{body}\""))
}

fn answered(mut curl: Command, config: String) -> Option<Value> {
    use std::io::Write as _;
    let mut running = curl
        .args(["--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("curl: {error}"));
    running.stdin.take().expect("piped").write_all(config.as_bytes()).unwrap();
    let ran = running.wait_with_output().unwrap();
    if !ran.status.success() {
        return None;
    }
    serde_json::from_slice(&ran.stdout).ok()
}
