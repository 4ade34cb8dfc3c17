//! Two countries, each with an Envoy, an authoriser and an authority of its own, that come to trust each other and part again
//! while both run.

use plinth_plan::exchange::federation::Anchor;
use serde_json::Value;

use crate::backend::Reached;
use crate::client::{Answer, Identity};
use crate::country::{Country, PERSON};
use crate::exchange::Exchange;
use crate::{BIRTHS, denied, within};

const UA: &str = include_str!("country.yaml");
const EE: &str = include_str!("neighbour.yaml");
const HOST_OF_UA: &str = "exchange.ua.example";
const HOST_OF_EE: &str = "exchange.ee.example";
const PEOPLE: &str = "/r1/EE/GOV/9/register/people";

/// What the first country grants the second.
const ABROAD: &str = "
---
apiVersion: plinth.dev/v1alpha1
kind: ExchangeAgreement
metadata: { name: births-to-neighbour, namespace: civil }
spec:
  stackRef: { name: ua, namespace: dpi }
  provider: { member: civil, subsystem: register, service: births }
  endpoints: [{ method: GET, path: '/records/*' }]
  consumers: [{ subsystem: EE/GOV/9/desk }]
  purpose: { en: to register a child that was born abroad }
  legalBasis: { kind: PublicTask, citation: 'sample treaty, article 2' }
";

/// The two, running, and not federated.
struct Pair {
    ua: Exchange,
    ee: Exchange,
}

impl Pair {
    fn start() -> Self {
        let (ua, ee) = (Exchange::start(&ukraine(&[])), Exchange::start(&estonia(&[])));
        ua.know(HOST_OF_EE, &ee);
        ee.know(HOST_OF_UA, &ua);
        Self { ua, ee }
    }

    /// Each is told the other's anchor.
    fn federate(&self) {
        self.ua.put(&ukraine(&[self.ee.anchor("EE", HOST_OF_EE)]));
        self.ee.put(&estonia(&[self.ua.anchor("UA", HOST_OF_UA)]));
        within("the app reaches the other country", || Some(()).filter(|()| self.people().status == 200));
        within("the desk reaches the other country", || Some(()).filter(|()| self.births().status == 200));
    }

    /// The first country's app asks the second's register.
    fn people(&self) -> Answer {
        call(&self.ua, "UA/GOV/1/app", "GET", &format!("{PEOPLE}/people/{PERSON}"))
    }

    /// The second country's desk asks the first's register.
    fn births(&self) -> Answer {
        call(&self.ee, "EE/GOV/9/desk", "GET", &format!("{BIRTHS}/records/{PERSON}"))
    }

    /// What each serves its own.
    fn domestic(&self) -> [u16; 3] {
        [
            call(&self.ua, "UA/GOV/1/app", "GET", &format!("{BIRTHS}/records/7")).status,
            call(&self.ua, "UA/GOV/1/other", "GET", &format!("{BIRTHS}/records/7")).status,
            call(&self.ee, "EE/GOV/9/desk", "GET", &format!("{PEOPLE}/people/7")).status,
        ]
    }

    fn hits(&self) -> (usize, usize) {
        (self.ua.backends.hits(), self.ee.backends.hits())
    }
}

fn ukraine(anchors: &[Anchor]) -> Country {
    Country::federated(&format!("{UA}{ABROAD}"), anchors)
}

fn estonia(anchors: &[Anchor]) -> Country {
    Country::federated(EE, anchors)
}

fn request(client: &str, method: &str, path: &str) -> String {
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {path} HTTP/1.1\r\nHost: exchange\r\nX-Road-Client: {client}\r\n{length}\r\n")
}

/// One call by a subsystem, at its own country's exchange.
fn call(exchange: &Exchange, client: &str, method: &str, path: &str) -> Answer {
    let (_, own) = client.split_once('/').expect("an instance");
    present(exchange, &exchange.pki.client(own), client, method, path).unwrap()
}

/// One call by whoever has this certificate and says that name.
fn present(
    exchange: &Exchange,
    identity: &Identity,
    client: &str,
    method: &str,
    path: &str,
) -> std::io::Result<Answer> {
    exchange.connect(identity)?.ask(request(client, method, path).as_bytes())
}

fn reason(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    body["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn countries_serve_each_other_as_the_provider_has_agreed_and_part_without_a_restart() {
    let pair = Pair::start();
    let before = pair.domestic();
    assert_eq!(before, [200, 403, 200]);
    assert_eq!(
        (reason(&pair.people()), reason(&pair.births())),
        ("notFederated".into(), "notFederated".into())
    );

    pair.federate();
    assert_eq!(pair.domestic(), before);
    // What reaches the service says who calls, by the word of the country that knows it.
    let answer = pair.people();
    let reached: Reached = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (reached.path.as_str(), reached.header("x-road-client")),
        (format!("/v1/people/{PERSON}").as_str(), Some("UA/GOV/1/app"))
    );
    assert_eq!(reached.header("x-road-id"), answer.header("x-road-id"), "one message, one name");
    assert_eq!(answer.header("x-road-error"), None, "a service cannot say it across the border either");

    // The provider's country decides: who, and what. Its refusal comes through as its own.
    let hits = pair.hits();
    for (client, method, path) in [
        ("UA/GOV/1/backoffice", "GET", "/people/7"),
        ("UA/COM/1/core", "GET", "/people/7"),
        ("UA/GOV/1/app", "POST", "/people/7"),
        ("UA/GOV/1/app", "GET", "/people/7/photograph"),
    ] {
        denied(&call(&pair.ua, client, method, &format!("{PEOPLE}{path}")), "agreement");
    }
    denied(&call(&pair.ua, "UA/GOV/1/app", "GET", "/r1/EE/GOV/9/register/none"), "service");
    denied(&call(&pair.ee, "EE/GOV/9/register", "GET", &format!("{BIRTHS}/records/7")), "agreement");
    assert_eq!(pair.hits(), hits, "a service was called");
    // Both have written it down: one that it left, the other by which agreement it passed. Nobody has written whom it was about.
    let written = |exchange: &Exchange, decision: &str, client: &str| {
        within("it is written down", || {
            let journal = exchange.journal();
            journal.into_iter().find(|line| line["decision"] == decision && line["client"] == client)
        })
    };
    assert_eq!(written(&pair.ua, "forward", "UA/GOV/1/app")["layer"], "federation");
    assert_eq!(written(&pair.ee, "allow", "UA/GOV/1/app")["agreement"], "population/people-to-neighbour");
    assert!(!pair.ua.logs().contains(PERSON) && !pair.ee.logs().contains(PERSON), "a person is in a log");

    // One of them withdraws. A connection that is open does not outlive it.
    let gateway = pair.ee.pki.named(&["spiffe://ee/gateway".to_owned()], &[]);
    let mut open = pair.ua.connect(&gateway).unwrap();
    let asked = request("EE/GOV/9/desk", "GET", &format!("{BIRTHS}/records/7"));
    assert_eq!(open.ask(asked.as_bytes()).unwrap().status, 200);
    pair.ua.put(&ukraine(&[]));
    within("nothing leaves", || Some(()).filter(|()| reason(&pair.people()) == "notFederated"));
    within("nothing comes in", || Some(()).filter(|()| pair.births().status != 200));
    assert!(open.ask(asked.as_bytes()).map_or(true, |answer| answer.status == 403));
    within("its certificates open no connection", || {
        present(&pair.ua, &gateway, "EE/GOV/9/desk", "GET", &format!("{BIRTHS}/records/7")).err()
    });
    assert_eq!(pair.domestic(), before);
    assert_eq!((pair.ua.restarts(), pair.ee.restarts()), (0, 0));
}

#[test]
fn a_peer_speaks_for_its_own_systems_and_for_nobody_else() {
    let pair = Pair::start();
    let stranger = Exchange::start(&estonia(&[]));
    pair.federate();
    let (ua, ee) = (&pair.ua, &pair.ee.pki);
    let granted = format!("{BIRTHS}/records/7");
    let named = |pki: &crate::pki::Pki, uri: &str| pki.named(&[uri.to_owned()], &[]);
    let hits = pair.hits();

    // An authority is believed about its own instance alone: no other certificate of it opens a connection.
    for (what, identity) in [
        ("a subsystem of ours", named(ee, "spiffe://ua/GOV/1/app")),
        ("our own exchange", named(ee, "spiffe://ua/gateway")),
        ("a third country", named(ee, "spiffe://lv/gateway")),
        (
            "a subsystem of ours before its own",
            ee.named(&["spiffe://ua/GOV/1/app".into(), "spiffe://ee/gateway".into()], &[]),
        ),
        ("the peer, by ours", named(&ua.pki, "spiffe://ee/gateway")),
        ("the peer, by a stranger of the same name", named(&stranger.pki, "spiffe://ee/gateway")),
        ("a third country, by its own", named(&stranger.pki, "spiffe://lv/gateway")),
    ] {
        for client in ["UA/GOV/1/app", "EE/GOV/9/desk", "LV/GOV/9/desk"] {
            let asked = present(ua, &identity, client, "GET", &granted);
            assert!(asked.is_err(), "{what} as {client}: {asked:?}");
        }
    }

    // A connection that the peer may open says who it is, and the header may say no other.
    let gateway = named(ee, "spiffe://ee/gateway");
    for (what, identity, client) in [
        ("the peer as ours", &gateway, "UA/GOV/1/app"),
        ("the peer as a third country's", &gateway, "LV/GOV/9/desk"),
        ("the peer as nobody", &gateway, "EE"),
        ("its subsystem without its gateway", &named(ee, "spiffe://ee/GOV/9/desk"), "EE/GOV/9/desk"),
        ("its subsystem as ours", &named(ee, "spiffe://ee/GOV/1/app"), "UA/GOV/1/app"),
        (
            "two at once",
            &ee.named(&["spiffe://ee/gateway".into(), "spiffe://ua/GOV/1/app".into()], &[]),
            "UA/GOV/1/app",
        ),
    ] {
        let answer = present(ua, identity, client, "GET", &granted).unwrap();
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        denied(&answer, "identity");
    }
    // Nobody's traffic passes through: neither on to a third country nor back to its own.
    for path in ["/r1/LV/GOV/9/register/people/people/7", &format!("{PEOPLE}/people/7")] {
        let answer = present(ua, &gateway, "EE/GOV/9/desk", "GET", path).unwrap();
        assert_eq!((answer.status, reason(&answer).as_str()), (403, "notFederated"), "{path}");
    }
    denied(&call(ua, "UA/GOV/1/app", "GET", "/r1/LV/GOV/9/register/people"), "service");
    assert_eq!(pair.hits(), hits, "a service was called");

    // Whoever stands where the peer's gateway should be has to be it: a stranger of the same name is told nothing.
    ua.know(HOST_OF_EE, &stranger);
    ua.put(&ukraine(&[pair.ee.anchor("EE", HOST_OF_EE)]));
    within("it is not spoken to", || Some(()).filter(|()| pair.people().status == 503));
    // Until the gateway knew, a call may still have gone the old way.
    let hits = pair.hits();
    assert_eq!(pair.people().status, 503);
    assert_eq!((pair.hits(), stranger.backends.hits()), (hits, 0), "a service was called");
}
