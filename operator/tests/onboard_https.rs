//! `plinth onboard` against a contract server with a certificate of its own: trust, parts, calls that are left out, and what
//! is handed over. No product: the real ones are in suites of their own.

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tls::Tls;
use tokio::net::TcpListener;

const SEAL: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const LICENCE: &str = "a-licence-that-nobody-may-read";

/// What was asked: method and path, content type, text.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

async fn answer(State(asked): State<Asked>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let kind = parts.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let what = format!("{} {}", parts.method, parts.uri.path());
    asked.lock().unwrap().push((what, kind.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    match parts.uri.path() {
        "/login" => (StatusCode::OK, [("set-cookie", "session=abc")], "").into_response(),
        "/licences" => axum::Json(json!({ "licence": LICENCE })).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

struct Served {
    url: String,
    certificate: String,
    asked: Asked,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let asked = Asked::default();
        let router = Router::new().fallback(answer).with_state(asked.clone());
        let listener = Tls::new(listener, &made.cert.pem(), &made.signing_key.serialize_pem());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, certificate: made.cert.pem(), asked, _runtime: runtime }
    }

    /// Runs a step; what it said and the message of its pod.
    fn onboard(&self, certificate: &str, document: Value) -> (i32, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let (file, outcome) = (folder.path().join("onboarding.json"), folder.path().join("outcome"));
        std::fs::write(&file, document.to_string()).unwrap();
        std::fs::write(&outcome, "").unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_plinth"))
            .args(["onboard".as_ref(), file.as_os_str(), "--outcome".as_ref(), outcome.as_os_str()])
            .env_clear()
            .envs([("URL", self.url.as_str()), ("CA", certificate), ("PLINTH_SEAL", SEAL)])
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
        assert!(!said.contains(LICENCE), "{said}");
        (ran.status.code().expect("it ends by itself"), said, std::fs::read_to_string(outcome).unwrap())
    }
}

fn document(calls: Value) -> Value {
    json!({
        "name": "licence", "budgetSeconds": 1, "variables": ["URL", "CA"], "secrets": [], "trust": "CA",
        "handsOver": ["licence"], "calls": calls,
    })
}

fn licence() -> Value {
    json!({ "name": "licence", "act": { "method": "POST", "url": "{{ env.URL }}/licences" },
            "capture": { "licence": "response.body.licence" } })
}

#[test]
fn what_is_captured_is_handed_over_sealed_and_never_said() {
    let served = Served::start();
    let (code, said, message) = served.onboard(&served.certificate, document(json!([licence()])));
    assert_eq!(code, 0, "{said}");
    assert!(message.starts_with("licence: 0 made, 0 adopted\n") && !message.contains(LICENCE), "{message}");
    let opened = plinth_runtime::onboard::opened(&message, SEAL).expect("the seal opens it");
    assert_eq!(&*opened["licence"], LICENCE);
}

#[test]
fn a_server_is_trusted_by_its_certificate_alone() {
    let served = Served::start();
    let other = Served::start();
    let (code, said, message) = served.onboard(&other.certificate, document(json!([licence()])));
    assert_eq!(code, 1, "{said}");
    assert!(message.contains("licence: failed: POST https://localhost:"), "{message}");
    assert!(message.to_lowercase().contains("certificate"), "{message}");
    assert!(served.asked.lock().unwrap().is_empty(), "nothing was said to a stranger");
    let (code, _, message) = served.onboard("no certificate", document(json!([licence()])));
    assert_eq!((code, message.as_str()), (1, "what the step trusts holds no certificate in PEM"));
}

#[test]
fn texts_parts_headers_and_calls_that_are_left_out() {
    let served = Served::start();
    let calls = json!([
        { "name": "log-in", "act": { "method": "POST", "url": "{{ env.URL }}/login" },
          "capture": { "cookie": "response.headers['set-cookie']" } },
        { "name": "never", "when": "captured.cookie == ''", "act": { "method": "POST", "url": "{{ env.URL }}/never" },
          "capture": { "never": "'x'" } },
        { "name": "anchor", "when": "!has(captured.never)",
          "act": { "method": "PUT", "url": "{{ env.URL }}/anchor", "headers": { "content-type": "application/octet-stream" },
                   "text": "<anchor at='{{ now }}'/>" } },
        { "name": "sign", "act": { "method": "POST", "url": "{{ env.URL }}/sign", "multipart": [
            { "name": "type", "value": "auth" },
            { "name": "file", "value": "{{ captured.cookie }}", "fileName": "a.csr", "contentType": "text/plain" },
        ] } },
        licence(),
    ]);
    let (code, said, _) = served.onboard(&served.certificate, document(calls));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("never: left out\nanchor: done\n"), "{said}");
    let asked = served.asked.lock().unwrap();
    let paths: Vec<&str> = asked.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(paths, ["POST /login", "PUT /anchor", "POST /sign", "POST /licences"]);
    let (_, kind, text) = &asked[1];
    assert_eq!(kind, "application/octet-stream");
    let moment = text.trim_start_matches("<anchor at='").trim_end_matches("'/>");
    assert!(moment.len() == 24 && moment.ends_with('Z'), "{text}");
    let (_, kind, text) = &asked[2];
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
    let wanted = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"type\"\r\n\r\nauth\r\n--{boundary}\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a.csr\"\r\ncontent-type: text/plain\r\n\r\n\
         session=abc\r\n--{boundary}--\r\n"
    );
    assert_eq!(*text, wanted);
}
