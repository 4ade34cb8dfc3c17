//! The reference exchange for real: Envoy itself on the files of the entry `gateway-exchange`, the program's own authoriser,
//! mutual TLS with certificates made as the operator makes them, and services that say what reached them. All of it is on
//! loopback. Of what Plinth renders nothing is changed but addresses: hosts and ports of listeners and services become
//! loopback's, folders of the containers become temporary ones.

mod backend;
mod client;
mod country;
mod envoy;
mod exchange;
mod federation;
mod mount;
mod pki;
#[path = "../support/tls.rs"]
mod tls;
mod ukraine;

use std::time::{Duration, Instant};

use plinth_plan::exchange::rights::{Call, Decision, Identity, Rights};
use serde_json::Value;

use client::Answer;
use country::Country;
use exchange::Exchange;

const BIRTHS: &str = "/r1/UA/GOV/2/register/births";
const APP: &str = "GOV/1/app";

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(30);

fn within<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < until, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A request as a well-meaning client writes it.
fn request(method: &str, path: &str, client: &str, more: &str) -> String {
    let length =
        if method == "POST" || method == "PUT" || method == "PATCH" { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {path} HTTP/1.1\r\nHost: exchange\r\nX-Road-Client: UA/{client}\r\n{length}{more}\r\n")
}

/// One call by a subsystem with its own certificate.
fn call(exchange: &Exchange, client: &str, method: &str, path: &str) -> Answer {
    let mut connection = exchange.connect(&exchange.pki.client(client)).unwrap();
    connection.ask(request(method, path, client, "").as_bytes()).unwrap()
}

fn denied(answer: &Answer, layer: &str) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    assert_eq!((answer.status, body["layer"].as_str()), (403, Some(layer)), "{answer:?}");
    assert!(answer.header("x-road-error").is_some() && answer.header("x-road-id").is_some(), "{answer:?}");
    assert_eq!(answer.header("x-road-error"), body["type"].as_str());
}

#[test]
fn every_agreement_passes_and_every_other_combination_does_not() {
    let country = Country::read();
    let exchange = Exchange::start(&country);
    let calls = country.combinations();
    let counted: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let walk = |client: &str| {
            let mut connection = exchange.connect(&exchange.pki.client(client)).unwrap();
            let (mut passed, mut refused) = (0, 0);
            for call in calls.iter().filter(|call| call.client == client) {
                let what = format!("{} {} by {client}", call.method, call.path());
                let asked = request(&call.method, &call.path(), client, "");
                let answer = connection.ask(asked.as_bytes()).unwrap_or_else(|e| panic!("{what}: {e}"));
                match (answer.status, &call.agreement) {
                    (200, Some(_)) => {
                        let is_head = call.method == "HEAD";
                        assert!(is_head || answer.body.contains(&call.reaches), "{what}: {answer:?}");
                        assert_eq!(
                            answer.header("x-road-client"),
                            Some(format!("UA/{client}").as_str()),
                            "{what}"
                        );
                        passed += 1;
                    }
                    (429, Some(agreement)) if agreement == "civil/changes-to-bank" => {
                        assert!(answer.header("retry-after").is_some(), "{what}: {answer:?}");
                    }
                    // It may, and the server there is not who it should be.
                    (503, Some(agreement)) if agreement == "land/maps-to-bank" => {}
                    (403, None) => refused += 1,
                    _ => panic!("{what} is {:?}: {answer:?}", call.agreement),
                }
            }
            (passed, refused)
        };
        let walkers: Vec<_> =
            country.clients().into_iter().map(|client| scope.spawn(move || walk(client))).collect();
        walkers.into_iter().map(|walker| walker.join().unwrap()).collect()
    });
    let (passed, refused) = counted.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(passed > 15 && refused > 500, "{passed} passed and {refused} were refused: that proves little");
    assert_eq!(exchange.backends.hits(), passed, "services were called that should not have been");
    // Each is written down, and by what decided it, never by whom it was about.
    let journal = within("all is written down", || {
        Some(exchange.journal()).filter(|journal| journal.len() >= passed + refused)
    });
    let allowed = |line: &&Value| line["decision"] == "allow";
    assert!(
        journal
            .iter()
            .filter(allowed)
            .all(|line| line["agreement"].is_string() && line["service"].is_string())
    );
    assert!(!exchange.logs().contains(country::PERSON), "a person is in a log");
}

#[test]
fn who_calls_is_what_the_verified_certificate_says() {
    let country = Country::read();
    let exchange = Exchange::start(&country);
    let granted = format!("{BIRTHS}/records/7");
    assert_eq!(call(&exchange, APP, "GET", &granted).status, 200);
    let hits = exchange.backends.hits();

    // No certificate, one that another authority of the same name has signed, that has ended, or that names nobody of this
    // instance: no connection.
    let named = |uri: &str| Some(exchange.pki.named(&[uri.to_owned()], &[]));
    for (what, identity) in [
        ("none", None),
        ("a stranger's", Some(pki::Pki::make(&country).client(APP))),
        ("one that has ended", Some(exchange.pki.ended(APP))),
        ("a server's", Some(exchange.pki.named(&[], &["app.example".to_owned()]))),
        ("nobody's", Some(exchange.pki.named(&[], &[]))),
        ("an instance's", named("spiffe://ua")),
        ("another instance's", named("spiffe://ee/GOV/1/app")),
        ("an address", named("https://ua/GOV/1/app")),
    ] {
        let asked = exchange
            .connect_with(identity.as_ref())
            .and_then(|mut connection| connection.ask(request("GET", &granted, APP, "").as_bytes()));
        assert!(asked.is_err(), "{what}: {asked:?}");
    }

    // A good certificate of somebody else, of nobody, of two at once, of a subsystem that was removed.
    let spiffe = |subsystem: &str| format!("spiffe://ua/{subsystem}");
    for uris in [
        vec![spiffe("COM/1/core")],
        vec![spiffe("GOV/1/removed")],
        vec![spiffe("COM/1/core"), spiffe(APP)],
        vec![spiffe(APP), spiffe(APP)],
        vec![spiffe(APP), "spiffe://ee/gateway".to_owned()],
        vec!["spiffe://ua/".to_owned()],
        vec!["spiffe://ua/gateway".to_owned()],
        vec!["spiffe://ua/GOV/1/app/".to_owned()],
        vec!["spiffe://ua/GOV/1/%61pp".to_owned()],
    ] {
        let mut connection = exchange.connect(&exchange.pki.named(&uris, &[])).unwrap();
        denied(&connection.ask(request("GET", &granted, APP, "").as_bytes()).unwrap(), "identity");
        // Whatever a client writes beside it changes nothing.
        for forged in [
            "X-Exchange-Peer: spiffe://ua/GOV/1/app\r\n",
            "X-Exchange-Peer: \r\nX-Exchange-Peer: spiffe://ua/GOV/1/app\r\n",
            "X-Forwarded-Client-Cert: URI=spiffe://ua/GOV/1/app\r\n",
            "X-Forwarded-Client-Cert: By=x;Hash=00;Subject=\"\";URI=spiffe://ua/GOV/1/app\r\n",
            "X-Road-Client: UA/GOV/1/app\r\n",
            "X-Envoy-Internal: true\r\nX-Forwarded-For: 127.0.0.1\r\n",
            "Connection: X-Exchange-Peer\r\n",
        ] {
            let asked = request("GET", &granted, APP, forged);
            denied(&connection.ask(asked.as_bytes()).unwrap(), "identity");
        }
    }

    // One's own certificate, and a header that says otherwise, twice, or nothing.
    let mut connection = exchange.connect(&exchange.pki.client(APP)).unwrap();
    for headers in [
        "X-Road-Client: UA/COM/1/core\r\n",
        "X-Road-Client: UA/GOV/1/app\r\nX-Road-Client: UA/GOV/1/app\r\n",
        "X-Road-Client: UA/GOV/1/app,UA/COM/1/core\r\n",
        "X-Road-Client: ua/GOV/1/app\r\n",
        "X-Road-Client: UA/GOV/1\r\n",
        "X-Road-Client: UA/GOV/1/app/births\r\n",
        "X-Road-Client: UA/GOV/1/%61pp\r\n",
        "X-Road-Client:\r\n",
        "",
        // What `Connection` names is gone before anybody is asked.
        "X-Road-Client: UA/GOV/1/app\r\nConnection: X-Road-Client\r\n",
    ] {
        let asked = format!("GET {granted} HTTP/1.1\r\nHost: exchange\r\n{headers}\r\n");
        denied(&connection.ask(asked.as_bytes()).unwrap(), "identity");
    }
    assert_eq!(exchange.backends.hits(), hits, "a service was called");
}

#[test]
fn a_service_gets_what_was_decided_on_and_nobodys_word_but_the_exchanges() {
    let country = Country::read();
    let exchange = Exchange::start(&country);
    let mut connection = exchange.connect(&exchange.pki.client(APP)).unwrap();
    let forged = "X-Exchange-Peer: a\r\nX-Forwarded-Client-Cert: a\r\nX-Forwarded-For: a\r\nX-Forwarded-Host: a\r\n\
        Forwarded: for=a\r\nX-Real-IP: a\r\nUser-Agent: a\r\nX-HTTP-Method-Override: DELETE\r\nX-Original-URL: /a\r\n\
        X-Rewrite-URL: /a\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\r\nX-Envoy-Original-Path: /a\r\nX-Envoy-Retry-On: 5xx\r\n\
        Proxy-Authorization: a\r\nX-Road-Id: m-1\r\nX-Road-UserId: UA1\r\nAuthorization: Bearer a\r\nX-Other: kept\r\n";
    let asked = request("GET", &format!("{BIRTHS}/records/7%20a?full=1&a=/../b"), APP, forged);
    let answer = connection.ask(asked.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let reached: backend::Reached = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (reached.method.as_str(), reached.path.as_str()),
        ("GET", "/api/v1/records/7%20a?full=1&a=/../b")
    );
    let names: Vec<&str> = reached.headers.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["authorization", "host", "x-other", "x-road-client", "x-road-id", "x-road-userid"];
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{names:?}");
    assert_eq!(reached.header("host"), Some("births.civil.svc.cluster.local:8080"));
    assert_eq!(reached.header("x-road-client"), Some("UA/GOV/1/app"));
    // The service's own words on what only the exchange says are gone.
    assert_eq!(answer.header("x-road-error"), None, "{answer:?}");
    assert_eq!(answer.header("x-road-id"), Some("m-1"));
    assert_eq!(answer.header("x-road-client"), Some("UA/GOV/1/app"));
    assert_eq!(answer.header("x-road-service"), Some("UA/GOV/2/register/births"));
    let other = call(&exchange, APP, "GET", &format!("{BIRTHS}/records/7"));
    assert_eq!(
        other.header("x-road-id").map(str::len),
        Some(36),
        "a message without a name gets one: {other:?}"
    );
}

#[test]
fn what_could_be_read_in_two_ways_reaches_nobody() {
    let country = Country::read();
    let exchange = Exchange::start(&country);
    // Of deaths.v2 everything is granted to it: only how the call is written can keep it out.
    let (client, service) = ("GOV/1/backoffice", "/r1/UA/GOV/2/register/deaths.v2");
    assert_eq!(call(&exchange, client, "DELETE", &format!("{service}/a/b?c=//%2F..")).status, 200);
    let hits = exchange.backends.hits();
    let identity = exchange.pki.client(client);
    let refused = |what: &str, raw: &str| {
        let answer = exchange.connect(&identity).and_then(|mut connection| connection.ask(raw.as_bytes()));
        if let Ok(answer) = answer {
            assert!((400..=505).contains(&answer.status), "{what}: {answer:?}");
        }
        assert_eq!(exchange.backends.hits(), hits, "{what} reached a service");
    };
    for path in [
        format!("{service}/a%2Fb"),
        format!("{service}/a%2fb"),
        format!("{service}/a%5Cb"),
        format!("{service}/a\\b"),
        format!("{service}/a%252Fb"),
        format!("{service}/../births/records/7"),
        format!("{service}/%2e%2e/births/records/7"),
        format!("{service}/%2E./x"),
        format!("{service}/./a"),
        format!("{service}//a"),
        format!("{service}/a/"),
        format!("{service}/a;b"),
        format!("{service}/a%3Bb"),
        format!("{service}/a%00"),
        format!("{service}/a%"),
        format!("{service}/a%zz"),
        format!("{service}/%ff"),
        format!("{service}/a#b"),
        format!("{service}/a b"),
        format!("{service}/\u{e9}"),
        format!("/{service}/a"),
        format!("//exchange{service}/a"),
        format!("/.{service}/a"),
        format!("/x/..{service}/a"),
        format!("{service}x/a"),
        "/r1/UA/GOV/2/register/%64eaths.v2/a".to_owned(),
        "/r1/UA/GOV/2/register/DEATHS.V2/a".to_owned(),
        "/R1/UA/GOV/2/register/deaths.v2/a".to_owned(),
        "/r1/UA/GOV/2/register".to_owned(),
        "/r1%2FUA/GOV/2/register/deaths.v2/a".to_owned(),
        "/".to_owned(),
        "*".to_owned(),
        "/readyz".to_owned(),
        "/metrics".to_owned(),
        format!("http://exchange{service}/a"),
        format!("https://elsewhere{service}/a"),
    ] {
        refused(&path, &request("GET", &path, client, ""));
    }
    for method in ["TRACE", "CONNECT", "get", "PROPFIND", "FOO"] {
        refused(method, &request(method, &format!("{service}/a"), client, ""));
    }
    refused("CONNECT to a host", &request("CONNECT", "deaths.gov.example:443", client, ""));
    for (what, more) in [
        ("two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        ("unknown coding", "Transfer-Encoding: xchunked\r\n"),
        ("coding twice", "Transfer-Encoding: chunked, identity\r\n"),
        ("underscores", "X_Road_Client: UA/COM/1/core\r\n"),
        ("websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        ("space before the colon", "X-Other : a\r\n"),
        ("many headers", &"X-Other: a\r\n".repeat(150)),
        ("a large header", &format!("X-Other: {}\r\n", "a".repeat(40_000))),
    ] {
        refused(what, &request("GET", &format!("{service}/a"), client, more));
    }
    refused("HTTP/1.0", &request("GET", &format!("{service}/a"), client, "").replace("HTTP/1.1", "HTTP/1.0"));
    refused(
        "no host",
        &request("GET", &format!("{service}/a"), client, "").replace("Host: exchange\r\n", ""),
    );
    // A request behind another one, in what some server might take for its body, is a request of its own.
    let inner = request("GET", &format!("{BIRTHS}/records/7"), client, "");
    let outer = request("GET", &format!("{service}/a"), client, "Transfer-Encoding: chunked\r\n");
    let mut connection = exchange.connect(&identity).unwrap();
    assert_eq!(connection.ask(format!("{outer}0\r\n\r\n{inner}").as_bytes()).unwrap().status, 200);
    denied(&connection.ask(b"").unwrap(), "agreement");
    assert_eq!(exchange.backends.hits(), hits + 1);
}

#[test]
fn a_change_takes_effect_without_a_restart() {
    let country = Country::read();
    let exchange = Exchange::start(&country);
    let granted = format!("{BIRTHS}/records/7");
    let mut connection = exchange.connect(&exchange.pki.client(APP)).unwrap();
    let mut ask = || connection.ask(request("GET", &granted, APP, "").as_bytes()).unwrap();
    assert_eq!(ask().status, 200);

    // An agreement is withdrawn, and comes back.
    let mut rights: Rights = serde_json::from_str(&country.rights()).unwrap();
    let all = rights.clone();
    rights.rights.retain(|right| right.agreement != "civil/births-to-app");
    exchange.put_rights(&serde_json::to_string(&rights).unwrap());
    denied(&within("it is withdrawn", || Some(ask()).filter(|answer| answer.status != 200)), "agreement");
    exchange.put_rights(&serde_json::to_string(&all).unwrap());
    within("it is back", || Some(()).filter(|()| ask().status == 200));

    // It ends on time: the moment is in it, no file changes then.
    let mut ending = all.clone();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    for right in ending.rights.iter_mut().filter(|right| right.agreement == "civil/births-to-app") {
        right.until = Some(until);
    }
    exchange.put_rights(&serde_json::to_string(&ending).unwrap());
    let answer = within("it has ended", || Some(ask()).filter(|answer| answer.status != 200));
    assert!(jiff::Timestamp::now() >= until && answer.body.contains("\"ended\""), "{answer:?}");

    // What is broken leaves the last good rights in force, and says so.
    exchange.put_rights(&serde_json::to_string(&all).unwrap());
    within("it is back", || Some(()).filter(|()| ask().status == 200));
    exchange.put_rights("{\"instance\": ");
    within("it is noticed", || Some(()).filter(|()| exchange.readiness().1.contains("last good rights")));
    assert_eq!((ask().status, exchange.readiness().0), (200, 200));

    // A service moves, and a new one comes: the gateway's own files.
    let moved = country.with_service_moved();
    exchange.put_services(&moved);
    exchange.put_rights(&moved.rights());
    let path = "/r1/UA/GOV/2/register/weddings/a";
    let answer = within("the new service answers", || {
        Some(call(&exchange, APP, "GET", path)).filter(|answer| answer.status == 200)
    });
    assert!(answer.body.contains("/api/v2/a"), "{answer:?}");
    assert_eq!(exchange.restarts(), 0);
}

#[test]
fn another_authority_is_believed_without_a_restart_and_the_one_before_no_longer() {
    let country = Country::read();
    let mut exchange = Exchange::start(&country);
    let granted = format!("{BIRTHS}/records/7");
    let before = exchange.pki.client(APP);
    assert_eq!(call(&exchange, APP, "GET", &granted).status, 200);
    exchange.put_pki(pki::Pki::make(&country));
    let asked = |identity: &client::Identity| {
        let mut connection = exchange.connect(identity)?;
        connection.ask(request("GET", &granted, APP, "").as_bytes())
    };
    let after = exchange.pki.client(APP);
    within("the new one is believed", || asked(&after).ok().filter(|answer| answer.status == 200));
    assert!(asked(&before).is_err());
    assert_eq!(exchange.restarts(), 0);
}

#[test]
fn what_cannot_be_decided_does_not_pass() {
    let country = Country::read();
    let mut exchange = Exchange::start(&country);
    let granted = format!("{BIRTHS}/records/7");
    assert_eq!(call(&exchange, APP, "GET", &granted).status, 200);
    let hits = exchange.backends.hits();

    exchange.freeze_authoriser();
    assert_eq!(call(&exchange, APP, "GET", &granted).status, 503, "the authoriser hangs");
    exchange.kill_authoriser();
    assert_eq!(call(&exchange, APP, "GET", &granted).status, 503, "the authoriser is gone");

    // One that has no rights yet is not ready, and lets nobody pass.
    exchange.take_rights_away();
    exchange.start_authoriser();
    within("it answers", || Some(()).filter(|()| exchange.readiness().0 == 503));
    let answer = within("it is asked again", || {
        Some(call(&exchange, APP, "GET", &granted)).filter(|_| exchange.asked_since_start() > 0)
    });
    assert_eq!(answer.status, 503);
    assert_eq!(exchange.backends.hits(), hits, "a service was called");

    exchange.put_rights(&country.rights());
    within("it has rights", || Some(()).filter(|()| call(&exchange, APP, "GET", &granted).status == 200));
    assert_eq!(exchange.readiness().0, 200);
}

#[test]
fn a_consumer_calls_no_more_often_than_agreed_and_is_told_when_to_come_again() {
    let country = Country::read();
    let exchange = Exchange::start(&country);
    let path = "/r1/UA/GOV/2/register/changes";
    let answers: Vec<Answer> = (0..8).map(|_| call(&exchange, "COM/1/core", "GET", path)).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    let seconds: u64 = answers[7].header("retry-after").and_then(|s| s.parse().ok()).unwrap();
    assert!((600..=720).contains(&seconds), "5 an hour: {seconds}");
    assert!(answers[7].body.contains("\"limit\""), "{:?}", answers[7]);
    let metrics = exchange.metrics();
    assert!(metrics.contains("decisions_total{decision=\"limit\",layer=\"limit\"} 3"), "{metrics}");
}

#[test]
fn a_stopped_authoriser_has_written_everything_down() {
    let country = Country::read();
    let mut exchange = Exchange::start(&country);
    for _ in 0..50 {
        assert_eq!(call(&exchange, APP, "GET", &format!("{BIRTHS}/records/7")).status, 200);
    }
    assert_eq!(exchange.stop_authoriser(), Some(0), "it ends by itself");
    assert_eq!(exchange.journal().iter().filter(|line| line["decision"] == "allow").count(), 50);
}

/// Not asserted, for machines differ: shown with `--nocapture`.
#[test]
fn decisions_a_second_are_printed() {
    let country = Country::read();
    let rights: Rights = serde_json::from_str(&country.rights()).unwrap();
    let identity = Identity::of_spiffe("spiffe://ua/GOV/1/app", &rights);
    let path = format!("{BIRTHS}/records/7");
    let (second, now) = (Duration::from_secs(1), jiff::Timestamp::now());
    let begin = Instant::now();
    let mut decided = 0_u32;
    while begin.elapsed() < second {
        for _ in 0..1000 {
            let call = Call {
                method: "GET",
                path: &path,
                client: Some("UA/GOV/1/app"),
                identity: identity.as_ref(),
            };
            assert!(matches!(rights.decide(&call, now), Decision::Allow { .. }));
            decided += 1;
        }
    }
    let exchange = Exchange::start(&country);
    let asked = exchange.load(4, second, |exchange| exchange.question(&path, "spiffe://ua/GOV/1/app", APP));
    let passed = exchange.load(4, second, |exchange| {
        let connection = exchange.connect(&exchange.pki.client(APP)).unwrap();
        (connection, request("GET", &path, APP, "").into_bytes())
    });
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    eprintln!(
        "decisions a second ({build} build, 4 connections, {} agreements): {decided} in the rights alone, {asked} by the \
         authoriser over HTTP, {passed} calls through Envoy with mutual TLS to a service and back",
        rights.rights.len()
    );
}
