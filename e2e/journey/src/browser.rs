//! A headless Chromium, driven by WebDriver, that knows the country's public addresses and trusts its public certificate and no other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use plinth_cluster::free_port;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;
use x509_parser::pem::parse_x509_pem;

use crate::within;

/// What drives Chromium.
const DRIVER: &str = "chromedriver";
const CHROMIUM: &str = "chromium";
/// Until the driver has ended its browser.
const ENDS: Duration = Duration::from_secs(5);
/// Longest wait for one page.
const PAGE: Duration = Duration::from_secs(20);
/// Until the driver answers.
const STARTS: Duration = Duration::from_secs(30);

/// A browser with nothing kept; it ends with this.
pub struct Browser {
    _driver: Driver,
    /// What was opened lies here, and goes with it.
    _profile: tempfile::TempDir,
    /// It, by WebDriver.
    pub client: Client,
}

/// Programs that a browser needs and that this machine has not, with Debian's package of each.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    let programs = [(CHROMIUM, "chromium"), (DRIVER, "chromium-driver")];
    programs.into_iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| package).collect()
}

impl Browser {
    /// Opens it. Every host below `domain` is found at `door`, and must show a certificate with the key of `certificate` (PEM).
    ///
    /// # Errors
    /// A program is missing, or does not start in time.
    pub async fn open(domain: &str, door: SocketAddr, certificate: &[u8]) -> Result<Self> {
        let door = format!("--host-resolver-rules=MAP *.{domain} {door}");
        let trust = format!("--ignore-certificate-errors-spki-list={}", key_digest(certificate)?);
        Self::with(&[door, trust]).await
    }

    /// Opens it with further arguments of Chromium's.
    ///
    /// # Errors
    /// A program is missing, or does not start in time.
    pub async fn with(arguments: &[String]) -> Result<Self> {
        let profile = tempfile::tempdir().context("making the browser's folder")?;
        let driver = Driver::start()?;
        let mut options = json!({
            "args": [
                "--headless=new",
                // Chromium's own sandbox does not start for root; the pages are the country's own.
                "--no-sandbox",
                "--disable-gpu",
                "--window-size=900,900",
                format!("--user-data-dir={}", profile.path().display()),
            ],
        });
        if let Some(all) = options["args"].as_array_mut() {
            all.extend(arguments.iter().map(|argument| json!(argument)));
        }
        if let Some(binary) = find(CHROMIUM) {
            options["binary"] = json!(binary);
        }
        let mut capabilities = fantoccini::wd::Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        // What pages and the browser complain of is kept.
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        // A connection that a killed node left behind says nothing any more: the page is asked for again.
        capabilities.insert("timeouts".to_owned(), json!({ "pageLoad": PAGE.as_millis() as u64 }));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let address = format!("http://127.0.0.1:{}", driver.port);
        let client =
            within(STARTS, "the browser to open", async || Ok(builder.connect(&address).await?)).await?;
        Ok(Self { _driver: driver, _profile: profile, client })
    }

    /// What pages and the browser have complained of since this was asked last.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let logged = self.client.issue_cmd(Complaints).await.context("asking for what the browser logged")?;
        let lines = logged.as_array().into_iter().flatten();
        Ok(lines.map(|line| format!("{} {}", line["level"], line["message"])).collect())
    }

    /// Writes what is seen now as a picture (PNG).
    ///
    /// # Errors
    /// The browser is gone, or the file cannot be written.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        let png = self.client.screenshot().await.context("taking a picture of the page")?;
        std::fs::write(file, png).with_context(|| format!("writing {}", file.display()))
    }

    /// Closes it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn close(self) -> Result<()> {
        self.client.clone().close().await.context("closing the browser")
    }
}

/// The log of the browser: Chromium's own command.
#[derive(Debug)]
struct Complaints;

impl WebDriverCompatibleCommand for Complaints {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

/// A running driver. It ends with this, and its browser with it.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    fn start() -> Result<Self> {
        let port = free_port().context("starting the browser's driver")?;
        let mut driver = Command::new(DRIVER);
        driver.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = driver.spawn().with_context(|| format!("starting {DRIVER}"))?;
        Ok(Self { process, port })
    }
}

impl Drop for Driver {
    /// One that is killed would leave its browser behind; asked to end, it ends that first.
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(ENDS));
            let _ =
                stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What Chromium wants of a certificate: SHA-256 of its public key's info, in base64.
fn key_digest(certificate: &[u8]) -> Result<String> {
    let (_, pem) = parse_x509_pem(certificate).context("reading the public certificate")?;
    let certificate = pem.parse_x509().context("reading the public certificate")?;
    Ok(STANDARD.encode(Sha256::digest(certificate.public_key().raw)))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
