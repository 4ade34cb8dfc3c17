//! `plinth onboard` against a contract server: a product's API as small as the calls need it. The real products are in
//! suites of their own.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use plinth_api::v1alpha1::people::PeopleOf;
use plinth_plan::people::person;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse/battery";

/// What a product's API does with accounts: a contract, no product.
#[derive(Clone, Default)]
struct Contract {
    accounts: Arc<Mutex<Vec<Value>>>,
    acts: Arc<Mutex<u32>>,
    /// How many requests are refused with 503 before one is answered.
    busy: Arc<Mutex<u32>>,
}

async fn contract(State(server): State<Contract>, request: Request) -> Response {
    {
        let mut busy = server.busy.lock().unwrap();
        if *busy > 0 {
            *busy -= 1;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    }
    let (parts, body) = request.into_parts();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, authorization) = (header("content-type"), header("authorization"));
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let path = parts.uri.path();
    match (parts.method.as_str(), path) {
        ("POST", "/token") if kind == "application/x-www-form-urlencoded" => {
            assert_eq!(text, "password=correct+horse%2Fbattery&user=admin");
            axum::Json(json!({ "token": "a-token-that-nobody-may-read" })).into_response()
        }
        ("GET", "/accounts") if authorization == "Bearer a-token-that-nobody-may-read" => {
            axum::Json(server.accounts.lock().unwrap().clone()).into_response()
        }
        ("POST", "/accounts") if kind == "application/json" => {
            *server.acts.lock().unwrap() += 1;
            server.accounts.lock().unwrap().push(serde_json::from_str(&text).unwrap());
            (StatusCode::CREATED, axum::Json(json!({ "id": 7 }))).into_response()
        }
        ("DELETE", path) if path.starts_with("/accounts/") => {
            *server.acts.lock().unwrap() += 1;
            let mut accounts = server.accounts.lock().unwrap();
            let found = accounts.iter().position(|a| a["owner"] == path["/accounts/".len()..]);
            let gone = found.map(|i| accounts.remove(i));
            gone.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT).into_response()
        }
        // A product that repeats what it was told, as some do.
        _ => {
            (StatusCode::BAD_REQUEST, format!("no {path}: {authorization} {text} {PASSWORD}")).into_response()
        }
    }
}

/// A running contract server.
struct Served {
    url: String,
    server: Contract,
    _runtime: tokio::runtime::Runtime,
}

fn serve(server: Contract) -> Served {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(contract).with_state(server.clone());
    runtime.spawn(async move { axum::serve(listener, router).await });
    Served { url, server, _runtime: runtime }
}

struct Ran {
    code: i32,
    out: String,
    outcome: String,
}

impl Ran {
    fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// Runs the program as the Job does, and looks for secrets in everything that it says.
fn onboard(url: &str, budget: u32, calls: Value) -> Ran {
    onboard_with(url, budget, calls, json!({}), &[])
}

/// The same with more in the step's file, and more variables.
fn onboard_with(url: &str, budget: u32, calls: Value, more: Value, variables: &[(&str, &str)]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut document = json!({
        "name": "accounts", "budgetSeconds": budget,
        "variables": ["URL", "USER", "PASSWORD"], "secrets": ["PASSWORD"], "calls": calls,
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let outcome = file("outcome", "an older and much longer outcome that has to be gone afterwards");
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_plinth"))
        .arg("onboard")
        .arg(file("onboarding.json", &document.to_string()))
        .arg("--outcome")
        .arg(&outcome)
        .env_clear()
        .envs([("URL", url), ("USER", "admin"), ("PASSWORD", PASSWORD)])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let ran = Ran {
        code: status.code().expect("it ends by itself"),
        out: String::from_utf8(stdout).unwrap(),
        outcome: std::fs::read_to_string(outcome).unwrap(),
    };
    let err = String::from_utf8(stderr).unwrap();
    for said in [&ran.out, &ran.outcome, &err] {
        for secret in [PASSWORD, "battery", "correct+horse", "a-token-that-nobody-may-read"] {
            assert!(!said.contains(secret), "`{secret}` is in what it says:\n{said}");
        }
    }
    ran
}

fn accounts() -> Value {
    let headers = json!({ "authorization": "Bearer {{ captured.token }}" });
    json!([
        {
            "name": "log-in",
            "act": {
                "method": "POST", "url": "{{ env.URL }}/token",
                "form": { "user": "{{ env.USER }}", "password": "{{ env.PASSWORD }}" },
            },
            "capture": { "token": "response.body.token" },
        },
        {
            "name": "hub-account",
            "check": { "url": "{{ env.URL }}/accounts", "headers": headers },
            "exists": "response.body.exists(a, a.owner == env.USER)",
            "act": {
                "method": "POST", "url": "{{ env.URL }}/accounts",
                "body": { "owner": "{{ env.USER }}", "limit": "{{ 5 }}" },
            },
            "expect": [201],
        },
    ])
}

#[test]
fn the_contract_is_created_once_and_adopted_ever_after() {
    let served = serve(Contract::default());
    let first = onboard(&served.url, 30, accounts());
    assert_eq!((first.code, first.outcome.as_str()), (0, "accounts: 1 made, 0 adopted"), "{}", first.out);
    assert_eq!(first.lines(), ["log-in: done", "hub-account: made", "accounts: 1 made, 0 adopted"]);
    assert_eq!(*served.server.accounts.lock().unwrap(), [json!({ "owner": "admin", "limit": 5 })]);

    let second = onboard(&served.url, 30, accounts());
    assert_eq!(second.lines(), ["log-in: done", "hub-account: adopted", "accounts: 0 made, 1 adopted"]);
    assert_eq!(*served.server.acts.lock().unwrap(), 1, "the second run acts no more");
}

#[test]
fn a_pod_loads_the_people_of_its_portion_once_and_nobody_else() {
    let served = serve(Contract::default());
    let calls = json!([accounts()[0], {
        "name": "customer",
        "forEach": "people",
        "check": {
            "url": "{{ env.URL }}/accounts", "headers": { "authorization": "Bearer {{ captured.token }}" },
        },
        "exists": "response.body.exists(a, a.owner == item.id)",
        "act": { "method": "POST", "url": "{{ env.URL }}/accounts", "body": { "owner": "{{ item.id }}" } },
    }]);
    let people = json!({ "people": { "country": "UA", "seed": 7, "amount": 110, "size": 100 } });
    let load =
        |variables: &[(&str, &str)]| onboard_with(&served.url, 30, calls.clone(), people.clone(), variables);
    let last = [("JOB_COMPLETION_INDEX", "1")];
    assert_eq!(load(&last).outcome, "accounts: 10 made, 0 adopted");
    let portion = (100..110).map(|number| person(PeopleOf::Ukraine, 7, number).id);
    let wanted: Vec<Value> = portion.map(|id| json!({ "owner": id })).collect();
    assert_eq!(*served.server.accounts.lock().unwrap(), wanted);
    assert_eq!(load(&last).outcome, "accounts: 0 made, 10 adopted");

    for (variables, wanted) in [
        (&[][..], "variable JOB_COMPLETION_INDEX is not set"),
        (&[("JOB_COMPLETION_INDEX", "one")], "is `one`, no number"),
        (&[("JOB_COMPLETION_INDEX", "2")], "there is no portion 2 of 2"),
    ] {
        let ran = load(variables);
        assert!(ran.code != 0 && ran.outcome.contains(wanted), "{wanted}: {}", ran.outcome);
    }
    assert_eq!(*served.server.acts.lock().unwrap(), 10, "nobody else");
}

/// Takes away the accounts of everybody else, and enters who they were.
fn others_away() -> Value {
    let headers = json!({ "authorization": "Bearer {{ captured.token }}" });
    json!([
        accounts()[0],
        {
            "name": "others",
            "check": { "url": "{{ env.URL }}/accounts", "headers": headers },
            "capture": { "others": "response.body.filter(a, a.owner != env.USER)" },
        },
        {
            "name": "away",
            "forEach": "captured.others",
            "check": { "url": "{{ env.URL }}/accounts", "headers": headers },
            "exists": "!response.body.exists(a, a.owner == item.owner)",
            "act": { "method": "DELETE", "url": "{{ env.URL }}/accounts/{{ item.owner }}" },
            "expect": [204],
            "capture": { "gone": "item.owner" },
        },
        {
            "name": "told",
            "when": "size(captured.gone) > 0",
            "act": {
                "method": "POST", "url": "{{ env.URL }}/accounts",
                "body": { "owner": "admin", "instead": "{{ captured.gone }}" },
            },
        },
    ])
}

#[test]
fn a_call_is_made_for_each_element_of_what_an_answer_lists_and_for_no_other() {
    let account = |owner: &str| json!({ "owner": owner });
    let mine = || vec![account("admin"), account("zoe"), account("ann"), account("admin")];
    let served = serve(Contract { accounts: Arc::new(Mutex::new(mine())), ..Contract::default() });
    let first = onboard(&served.url, 30, others_away());
    let lines = [
        "log-in: done",
        "others: found",
        "away[0]: made",
        "away[1]: made",
        "told: done",
        "accounts: 2 made, 0 adopted",
    ];
    assert_eq!(first.lines(), lines, "{}", first.outcome);
    let told = json!({ "owner": "admin", "instead": ["zoe", "ann"] });
    assert_eq!(*served.server.accounts.lock().unwrap(), [account("admin"), account("admin"), told]);

    let second = onboard(&served.url, 30, others_away());
    assert_eq!(
        second.lines(),
        ["log-in: done", "others: found", "told: left out", "accounts: 0 made, 0 adopted"]
    );
    assert_eq!(*served.server.acts.lock().unwrap(), 3, "the second run acts no more");
}

#[test]
fn the_element_whose_call_is_refused_is_named() {
    let served = serve(Contract::default());
    let calls = json!([{
        "name": "pay", "forEach": "['ann', 'zoe'].filter(n, n != env.USER)",
        "act": { "method": "POST", "url": "{{ env.URL }}/{{ 'accounts' if item == 'ann' else 'nothing' }}", "body": {} },
    }]);
    let ran = onboard(&served.url, 30, calls);
    assert_eq!((ran.code, ran.lines()[0]), (1, "pay[0]: done"));
    assert!(ran.outcome.starts_with("pay[1]: failed: POST "), "{}", ran.outcome);
    let calls = json!([{ "name": "odd", "forEach": "env.USER", "act": { "url": "{{ env.URL }}" } }]);
    let ran = onboard(&served.url, 30, calls);
    assert_eq!(ran.outcome, "odd: failed: forEach: `env.USER`: is \"admin\", must be a list");
}

#[test]
fn a_busy_contract_server_is_asked_again() {
    let served = serve(Contract { busy: Arc::new(Mutex::new(2)), ..Contract::default() });
    let ran = onboard(&served.url, 30, accounts());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.lines()[0].starts_with("log-in: waits 500 ms: POST http://127.0.0.1"), "{}", ran.out);
    assert!(ran.lines()[1].starts_with("log-in: waits 1000 ms"), "{}", ran.out);
    assert_eq!(ran.lines()[2], "log-in: done");
}

#[test]
fn nobody_there_is_waited_for_until_the_time_is_up() {
    let ran = onboard("http://127.0.0.1:9", 1, accounts());
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.outcome.starts_with("log-in: failed: POST http://127.0.0.1:9/token: "), "{}", ran.outcome);
    assert!(ran.outcome.ends_with("the step's time is up"), "{}", ran.outcome);
}

#[test]
fn a_refusal_of_the_contract_server_ends_it_at_once_and_names_the_call() {
    let served = serve(Contract::default());
    let calls = json!([
        { "name": "first", "act": { "method": "POST", "url": "{{ env.URL }}/accounts", "body": {} } },
        {
            "name": "refused",
            "act": {
                "method": "PUT", "url": "{{ env.URL }}/limits",
                "headers": { "authorization": "{{ env.PASSWORD }}" },
                "body": { "password": "{{ env.PASSWORD }}" },
            },
        },
        { "name": "never", "act": { "method": "POST", "url": "{{ env.URL }}/accounts", "body": {} } },
    ]);
    let before = std::time::Instant::now();
    let ran = onboard(&served.url, 60, calls);
    assert!(before.elapsed().as_secs() < 10, "it does not try again");
    assert_eq!((ran.code, ran.lines()[0]), (1, "first: done"));
    let wanted = format!(
        "refused: failed: PUT {}/limits answered 400: no /limits: *** {{\"password\":\"***\"}} ***",
        served.url
    );
    assert_eq!(ran.outcome, wanted);
    assert_eq!(ran.lines()[1], wanted);
    assert_eq!(*served.server.acts.lock().unwrap(), 1, "what comes after a failure is not done");
}

#[test]
fn a_call_that_only_looks_waits_for_what_it_looks_for() {
    let served = serve(Contract { busy: Arc::new(Mutex::new(1)), ..Contract::default() });
    let calls = json!([{ "name": "looks", "check": { "url": "{{ env.URL }}/nothing" }, "exists": "response.status == 400" }]);
    let ran = onboard(&served.url, 30, calls);
    assert_eq!((ran.code, ran.outcome.as_str()), (0, "accounts: 0 made, 0 adopted"), "{}", ran.out);
}

#[test]
fn a_file_that_is_not_understood_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("onboarding.json");
    std::fs::write(&file, r#"{ "name": "x", "budgetSeconds": 1, "calls": [], "more": 1 }"#).unwrap();
    let ran = support::plinth(&["onboard", file.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("onboarding.json"), "{}", ran.err);
}
