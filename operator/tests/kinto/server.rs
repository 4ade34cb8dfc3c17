//! Kinto itself, on loopback: its packages from the Python registry, pinned by their digests, installed once into a cache.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plinth_cluster::free_port;
use plinth_plan::model::Plan;
use serde_json::Value;

use crate::file;

/// Version of the catalogue's entry.
const VERSION: &str = "26.5.0";
/// What is installed, each package with its digests: what the image of the end-to-end tests is made of, too.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/images/recipes/kinto/requirements.txt");
/// Names a virtual environment in which it is installed.
const VARIABLE: &str = "PLINTH_KINTO";
/// A start on a busy machine: Python reads some thousand files.
const LIMIT: Duration = Duration::from_secs(180);

/// An engine; it ends with this.
pub struct Kinto {
    process: Option<Child>,
    home: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    storage: String,
    /// Where it answers.
    pub url: String,
}

impl Kinto {
    /// An engine with the settings of a plan, on a database.
    pub fn new(plan: &Plan, storage: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The container's every address is loopback here.
        let settings = file(plan, "kinto-engine", "kinto.ini").replace("host = 0.0.0.0", "host = 127.0.0.1");
        std::fs::write(folder.path().join("kinto.ini"), settings).unwrap();
        let port = free_port().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        Self { process: None, home: installed(), folder, port, storage: storage.to_owned(), url }
    }

    /// Does what the Job before it does; what that says.
    pub fn prepare(&self, plan: &Plan, password: &str) -> String {
        for name in ["prepare.sh", "reached.py", "indexes.py", "indexes.json"] {
            let text = file(plan, "kinto-prepare-persons", name);
            std::fs::write(self.folder.path().join(name), text).unwrap();
        }
        let mut job = self.command("sh");
        job.arg(self.folder.path().join("prepare.sh")).env("ADMINISTRATOR_PASSWORD", password);
        run(&mut job)
    }

    /// Starts it, and waits until it and its database answer.
    pub fn start(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.command("kinto");
        command.args(["start", "--port", &self.port.to_string()]);
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let process = self.process.insert(process);
        let end = Instant::now() + LIMIT;
        while call(&["--request", "GET", &format!("{}/v1/__heartbeat__", self.url)], "").0 != 200 {
            let ended = process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > end {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("Kinto does not answer ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// A program of it with its settings, as the pods have them.
    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let own = self.home.join("bin");
        let found = own.join(program);
        let mut command = Command::new(if found.is_file() { found } else { program.into() });
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", own.display()))
            .env("KINTO_INI", self.folder.path().join("kinto.ini"))
            .env("KINTO_STORAGE_URL", &self.storage)
            .env("KINTO_PERMISSION_URL", &self.storage)
            .env("KINTO_USERID_HMAC_SECRET", "0123456789abcdef")
            .stdin(Stdio::null());
        command
    }

    /// Calls as the exchange does for a client; status and answer.
    pub fn call(&self, method: &str, path: &str, client: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let who = client.map(|client| format!("X-Road-Client: {client}"));
        self.send(method, path, who.into_iter(), body)
    }

    /// Makes a record for a client, where there is none.
    pub fn create(&self, path: &str, client: Option<&str>, body: &Value) -> (u16, Value) {
        let who = client.map(|client| format!("X-Road-Client: {client}"));
        self.send("PUT", path, who.into_iter().chain(["If-None-Match: *".to_owned()]), Some(body))
    }

    /// Calls as the administrator.
    pub fn administer(&self, method: &str, path: &str, password: &str) -> (u16, Value) {
        let credentials = format!("admin:{password}");
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
        self.send(method, path, [format!("Authorization: Basic {encoded}")].into_iter(), None)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: impl Iterator<Item = String>,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.url);
        let mut arguments = vec!["--request".to_owned(), method.to_owned(), url];
        let json = body.map(|_| "Content-Type: application/json".to_owned());
        arguments.extend(headers.chain(json).flat_map(|header| ["--header".to_owned(), header]));
        if body.is_some() {
            arguments.extend(["--data-binary", "@-"].map(str::to_owned));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        call(&arguments, &body.map(Value::to_string).unwrap_or_default())
    }
}

impl Drop for Kinto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Status and answer of a request; 0 where nobody answers.
fn call(arguments: &[&str], body: &str) -> (u16, Value) {
    let mut curl = Command::new("curl")
        .args(["--silent", "--max-time", "60", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("curl: {error}"));
    // Curl that has nothing to send does not read.
    let _ = curl.stdin.take().expect("piped").write_all(body.as_bytes());
    let answered = curl.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&answered.stdout);
    let (answer, status) = text.rsplit_once('\n').unwrap_or_default();
    (status.parse().unwrap_or_default(), serde_json::from_str(answer).unwrap_or_default())
}

/// The virtual environment; made where the cache has none.
fn installed() -> PathBuf {
    if let Some(given) = std::env::var_os(VARIABLE) {
        return given.into();
    }
    let folder = plinth_cluster::cache_dir(&format!("kinto-{VERSION}")).unwrap();
    let whole = folder.join("installed");
    if !whole.is_file() {
        install(&folder);
        std::fs::write(whole, VERSION).unwrap();
    }
    folder
}

/// At its place, for a virtual environment cannot be moved; what a broken run has left is made anew.
fn install(folder: &Path) {
    eprintln!("installing Kinto {VERSION} (20 MB), once");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
    run(Command::new(folder.join("bin/pip")).args([
        "install",
        "--quiet",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
        PACKAGES,
    ]));
}

/// Standard output and error of what has to succeed.
fn run(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{:?}: {said}", command.get_program());
    said
}
