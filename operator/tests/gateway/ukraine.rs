//! A whole country behind the real Envoy: `examples/ukraine` as its agencies wrote it, with a certificate for each subsystem
//! and every combination of subsystem, service, method and path. Who may call what is worked out from the declarations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use plinth_api::{PublicService, Registry};
use plinth_plan::exchange::Declared;
use serde_json::Value;

use crate::backend::Reached;
use crate::client::{Answer, Connection};
use crate::country::{Country, Grant, METHODS, PERSON, covered, documents, endpoints, items, text, typed};
use crate::exchange::Exchange;
use crate::within;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ukraine");
/// What no service of the country has.
const NOWHERE: &str = "/nobody/has/this";
/// Subsystems that call at the same time.
const WALKERS: usize = 4;

#[test]
fn every_agreement_of_ukraine_passes_and_every_other_combination_does_not() {
    let country = country();
    let services = services(&country);
    let clients: Vec<String> = country.subsystems().into_iter().map(|(client, _)| client).collect();
    let hosts: BTreeSet<String> = services.iter().filter_map(|service| service.host.clone()).collect();
    let exchange = Exchange::start_with(&country, &hosts.into_iter().collect::<Vec<_>>());
    let walker = Walker { country: &country, exchange: &exchange, services: &services };

    let begin = Instant::now();
    let share = clients.len().div_ceil(WALKERS);
    let walked: Vec<Walked> = std::thread::scope(|scope| {
        let spawned: Vec<_> = clients
            .chunks(share)
            .map(|own| {
                let walker = &walker;
                scope.spawn(move || own.iter().map(|client| walker.walk(client)).collect::<Vec<_>>())
            })
            .collect();
        spawned.into_iter().flat_map(|walk| walk.join().unwrap()).collect()
    });
    let elapsed = begin.elapsed();
    let passed: usize = walked.iter().map(|one| one.passed).sum();
    let refused: usize = walked.iter().map(|one| one.refused).sum();

    // Each agreement has let each of its consumers through, and nobody else.
    let used: BTreeSet<&(String, String)> = walked.iter().flat_map(|one| &one.used).collect();
    let granted: BTreeSet<(String, String)> = services.iter().flat_map(Service::granted).collect();
    assert_eq!(used, granted.iter().collect());
    // Each register answers at a place of its own, and no call arrived anywhere else.
    let reached: BTreeSet<&(String, String)> = walked.iter().flat_map(|one| &one.reached).collect();
    let places: BTreeSet<&str> = reached.iter().map(|(place, _)| place.as_str()).collect();
    let behind: BTreeSet<&str> = reached.iter().map(|(_, behind)| behind.as_str()).collect();
    assert_eq!((reached.len(), reached.len()), (places.len(), behind.len()), "{reached:#?}");
    assert_eq!(exchange.backends.hits(), passed, "services were called that should not have been");
    let agreements: BTreeSet<&str> = granted.iter().map(|(agreement, _)| agreement.as_str()).collect();
    assert!(agreements.len() > 50 && clients.len() > 30 && services.len() > 30, "that is no country");
    let journal = within("all is written down", || {
        Some(exchange.journal()).filter(|journal| journal.len() >= passed + refused)
    });
    let allowed = journal.iter().filter(|line| line["decision"] == "allow");
    assert_eq!(allowed.filter_map(|line| line["agreement"].as_str()).collect::<BTreeSet<_>>(), agreements);
    assert!(!exchange.logs().contains(PERSON), "a person is in a log");

    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    eprintln!(
        "examples/ukraine: {} combinations of {} subsystems, {} services, {} methods and their paths; {passed} allowed by {} \
         agreements, {refused} denied; {:.0} decisions a second through Envoy with mutual TLS ({build} build, {WALKERS} \
         connections)",
        passed + refused,
        clients.len(),
        services.len(),
        METHODS.len(),
        agreements.len(),
        (passed + refused) as f64 / elapsed.as_secs_f64()
    );
}

/// Calls everything as one subsystem.
struct Walker<'a> {
    country: &'a Country,
    exchange: &'a Exchange,
    services: &'a [Service],
}

/// What came of it.
#[derive(Default)]
struct Walked {
    passed: usize,
    refused: usize,
    /// Agreements that let it through, each with the subsystem.
    used: BTreeSet<(String, String)>,
    /// Where calls arrived, and what should be there.
    reached: BTreeSet<(String, String)>,
}

impl Walker<'_> {
    fn walk(&self, client: &str) -> Walked {
        let instance = instance(self.country);
        let spiffe = format!("spiffe://{}/{client}", instance.to_lowercase());
        let mut connection = self.exchange.connect(&self.exchange.pki.named(&[spiffe], &[])).unwrap();
        let mut walked = Walked::default();
        for service in self.services {
            for (method, rest) in
                METHODS.iter().flat_map(|m| service.paths.iter().map(move |rest| (*m, rest)))
            {
                let path = format!("/r1/{instance}/{}{rest}", service.id);
                let what = format!("{method} {path} by {client}");
                let asked = format!(
                    "{method} {path} HTTP/1.1\r\nHost: exchange\r\nX-Road-Client: {instance}/{client}\r\n\
                     Content-Length: 0\r\n\r\n"
                );
                let answer = decided(&mut connection, &what, asked.as_bytes());
                match (answer.status, service.allows(client, method, rest)) {
                    (200, Some(agreement)) => {
                        let place = service.place_reached(&what, method, rest, &answer);
                        walked.reached.extend(place.map(|place| (place, service.behind.clone())));
                        walked.used.insert((agreement.to_owned(), client.to_owned()));
                        walked.passed += 1;
                    }
                    (403, None) => walked.refused += 1,
                    (_, expected) => panic!("{what} is {expected:?}: {answer:?}"),
                }
            }
        }
        walked
    }
}

/// The answer to a call. Where the authoriser takes longer than the gateway waits, as on a machine that is busy elsewhere,
/// nothing passes, and the call is made again.
fn decided(connection: &mut Connection, what: &str, asked: &[u8]) -> Answer {
    within(what, || {
        let answer = connection.ask(asked).unwrap_or_else(|e| panic!("{what}: {e}"));
        Some(answer).filter(|answer| answer.status != 503)
    })
}

/// A service as it is declared, with what is granted of it.
struct Service {
    /// `<class>/<code>/<subsystem>/<service>`.
    id: String,
    /// What it has; everything where empty.
    offered: Vec<(String, String)>,
    grants: Vec<Grant>,
    /// Paths that are tried.
    paths: BTreeSet<String>,
    /// Host that answers with TLS, outside.
    host: Option<String>,
    /// Where the call arrives: the beginning of the host, and the path before what was called. Nothing where a block
    /// of the Stack answers.
    place: Option<(String, String)>,
    /// The registry that answers, or the service itself where it has none.
    behind: String,
}

impl Service {
    /// The agreement that lets a call through.
    fn allows(&self, client: &str, method: &str, rest: &str) -> Option<&str> {
        let covers = |patterns: &[(String, String)]| {
            patterns.is_empty() || patterns.iter().any(|pattern| covered(pattern, method, rest))
        };
        let grants = self.grants.iter().filter(|grant| covers(&self.offered) && covers(&grant.endpoints));
        grants.filter(|grant| grant.consumers.contains(client)).map(|grant| grant.agreement.as_str()).next()
    }

    /// Agreements with their consumers.
    fn granted(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let consumers = |grant: &Grant| {
            let agreement = grant.agreement.clone();
            grant.consumers.clone().into_iter().map(move |consumer| (agreement.clone(), consumer))
        };
        self.grants.iter().flat_map(consumers)
    }

    /// It was this service that answered, asked for what was called. Says where; `HEAD` has no body that would.
    fn place_reached(&self, what: &str, method: &str, rest: &str, answer: &Answer) -> Option<String> {
        if method == "HEAD" {
            return None;
        }
        let reached: Reached = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{what}: {e}"));
        let host = reached.header("host").unwrap_or_default();
        assert_eq!(reached.method, method, "{what}");
        if let Some((own, base)) = &self.place {
            let path = format!("{base}{rest}");
            assert!(host.starts_with(own), "{what} arrived at {host}");
            assert_eq!(reached.path, if path.is_empty() { "/" } else { &path }, "{what}");
        }
        let base = reached.path.trim_end_matches('/').strip_suffix(rest);
        Some(format!("{host}{}", base.unwrap_or_else(|| panic!("{what} arrived at {}", reached.path))))
    }
}

/// Everything below the folder, planned as a whole.
fn country() -> Country {
    let documents: Vec<Value> = texts(Path::new(FOLDER)).iter().flat_map(|text| documents(text)).collect();
    let fields = |value: &Value| -> BTreeMap<String, String> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    };
    let (mut namespaces, mut files) = (BTreeMap::new(), BTreeMap::new());
    for document in documents.iter().filter(|document| document["apiVersion"] == "v1") {
        let (metadata, name) = (&document["metadata"], text(&document["metadata"]["name"]));
        if document["kind"] == "Namespace" {
            namespaces.insert(name, fields(&metadata["labels"]));
        } else if document["kind"] == "ConfigMap" {
            files.insert((text(&metadata["namespace"]), name), fields(&document["data"]));
        }
    }
    let beside = Declared {
        namespaces: Some(namespaces),
        documents: Some(files),
        registries: typed::<Registry>(&documents, "Registry"),
        services: typed::<PublicService>(&documents, "PublicService"),
        ..Declared::default()
    };
    Country::planned(documents, beside)
}

/// The YAML files of a folder.
fn texts(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.extension().is_some_and(|extension| extension == "yaml") {
        true => vec![std::fs::read_to_string(path).unwrap()],
        false if path.is_dir() => texts(&path),
        false => Vec::new(),
    };
    entries.flat_map(of).collect()
}

/// How the exchange is called.
fn instance(country: &Country) -> String {
    let stack = country.documents.iter().find(|d| d["kind"] == "Stack").expect("the Stack is there");
    text(&stack["spec"]["exchange"]["instance"])
}

/// Every service, read from the Members.
fn services(country: &Country) -> Vec<Service> {
    let mut services = Vec::new();
    for member in country.members() {
        let (spec, namespace) = (&member["spec"], &member["metadata"]["namespace"]);
        for subsystem in items(&spec["subsystems"]) {
            for service in items(&subsystem["services"]) {
                let id =
                    [&spec["class"], &spec["code"], &subsystem["code"], &service["code"]].map(text).join("/");
                let grants = country.grants(&id, subsystem);
                let mut offered = endpoints(&service["endpoints"]);
                offered.extend(operations(country, namespace, &service["openApi"]));
                let patterns = grants.iter().flat_map(|grant| &grant.endpoints).chain(&offered);
                let (host, place) = place(country, namespace, service);
                let behind = service["registry"].as_str().unwrap_or(&id).to_owned();
                services.push(Service { paths: paths(patterns), id, offered, grants, host, place, behind });
            }
        }
    }
    services
}

/// The operations of an OpenAPI document, as endpoints.
fn operations(country: &Country, namespace: &Value, reference: &Value) -> Vec<(String, String)> {
    let Some(key) = reference["key"].as_str() else { return Vec::new() };
    let map = country.documents.iter().find(|d| {
        d["kind"] == "ConfigMap"
            && d["metadata"]["name"] == reference["configMap"]
            && d["metadata"]["namespace"] == *namespace
    });
    let document =
        documents(map.and_then(|map| map["data"][key].as_str()).expect("the document is there")).remove(0);
    let paths = document["paths"].as_object().expect("it has paths");
    let of_path = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
        // A parameter is a segment.
        let segment =
            |segment: &str| if segment.starts_with('{') { "*".to_owned() } else { segment.to_owned() };
        let pattern = path.split('/').map(segment).collect::<Vec<_>>().join("/");
        let methods = METHODS.iter().filter(|method| item.get(method.to_lowercase()).is_some());
        methods.map(|method| ((*method).to_owned(), pattern.clone())).collect()
    };
    paths.iter().flat_map(of_path).collect()
}

/// For each pattern a path that it covers and one below that, and what nobody has.
fn paths<'e>(patterns: impl Iterator<Item = &'e (String, String)>) -> BTreeSet<String> {
    let mut paths: BTreeSet<String> = [NOWHERE.to_owned()].into();
    for (_, pattern) in patterns {
        let path = pattern.replace("**", "a/b").replace('*', PERSON);
        let path = path.trim_end_matches('/').to_owned();
        paths.insert(format!("{path}/more"));
        paths.insert(path);
    }
    paths
}

/// The host outside that answers with TLS, and where a call arrives.
fn place(
    country: &Country,
    namespace: &Value,
    service: &Value,
) -> (Option<String>, Option<(String, String)>) {
    let registry = country.documents.iter().find(|d| {
        d["kind"] == "Registry"
            && d["spec"]["code"] == service["registry"]
            && d["metadata"]["namespace"] == *namespace
    });
    let answers = registry.map_or(&service["backend"], |registry| &registry["spec"]["external"]);
    let base = text(&answers["basePath"]);
    match (answers["host"].as_str(), answers["service"].as_str()) {
        (Some(host), _) => (Some(host.to_owned()), Some((format!("{host}:"), base))),
        (None, Some(service)) => (None, Some((format!("{service}.{}.svc.", text(namespace)), base))),
        (None, None) => (None, None),
    }
}
