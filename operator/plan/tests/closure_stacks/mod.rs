//! Stacks that exercise every entry of the catalogue, for the tests of the closure check.

use std::collections::BTreeSet;
use std::path::Path;

use plinth_api::Stack;
use plinth_api::names::LABEL_PART_OF;
use plinth_api::v1alpha1::product::Role;
use plinth_plan::Inputs;
use plinth_plan::catalogue::{Catalogue, ENTRY_FILE, Entry, parse_folder};
use serde_json::{Value, json};

/// A Stack and the products that it shows.
pub struct Case {
    /// What it is about.
    pub name: String,
    /// Entries whose mutation can show here.
    #[allow(dead_code, reason = "each test binary that compiles this file uses its own part")]
    pub products: Vec<String>,
    /// The Stack.
    pub stack: Stack,
}

/// The built-in catalogue, and a product that asks for Redis: no built-in one does.
pub fn catalogue() -> Catalogue {
    let cached = json!({
        "block": "x-cached",
        "title": "Cached",
        "description": "Asks for Redis.",
        "licence": "Apache-2.0",
        "maturity": "stable",
        "asOf": "2026-11-23",
        "sources": [{ "repository": "plinth", "says": "a test" }],
        "versions": [{ "version": "1", "images": { "app": "registry.example/cached:1" } }],
        "requires": [{ "name": "cache", "capability": "redis" }],
        "components": [{
            "name": "cached",
            "image": "app",
            "env": [
                { "name": "REDIS_HOST", "ref": "requires.cache.host" },
                { "name": "REDIS_PORT", "ref": "requires.cache.port" },
                { "name": "REDIS_PASSWORD", "ref": "requires.cache.password" },
            ],
            "resources": { "sandbox": { "cpu": "50m", "memory": "64Mi" } },
            "connects": ["requires.cache"],
        }],
    });
    let cached = serde_json::from_value(cached).expect("the test's Product is well-formed");
    Catalogue::builtin()
        .map(|catalogue| catalogue.with_entries(on_disk()).with_products([("cached".to_owned(), cached)]))
        .unwrap_or_else(|findings| {
            panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
}

/// `CATALOGUE_FOLDER=operator/catalogue`: entries as they are there now, without compiling them in.
fn on_disk() -> Vec<Entry> {
    let Some(folder) = std::env::var_os("CATALOGUE_FOLDER") else { return Vec::new() };
    let folders =
        std::fs::read_dir(folder).expect("the catalogue's folder").flatten().map(|entry| entry.path());
    folders.filter(|path| path.join(ENTRY_FILE).is_file()).map(|path| read(&path)).collect()
}

fn read(folder: &Path) -> Entry {
    let read = |name: &str| {
        let base = if name.contains('/') { folder.parent()? } else { folder };
        std::fs::read_to_string(base.join(name)).ok()
    };
    let text = read(ENTRY_FILE).expect("an entry's folder");
    let entry = parse_folder(&text, &folder.display().to_string(), read);
    Entry { builtin: true, ..entry.unwrap_or_else(|finding| panic!("{finding}")) }
}

fn stack(profile: &str, blocks: Value, backing: Value) -> Stack {
    serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1",
        "kind": "Stack",
        "metadata": { "name": "land", "namespace": "platform" },
        "spec": {
            "country": { "code": "ZZ", "languages": ["en", "fr"], "currencies": ["XTS"] },
            "profile": profile,
            "blocks": blocks,
            "backing": backing,
        },
    }))
    .expect("the test's Stack is well-formed")
}

fn gateway() -> Value {
    json!({ "name": "api-gateway", "product": "envoy-gateway" })
}

fn identity() -> Value {
    json!({ "name": "identity", "product": "keycloak" })
}

fn payments(bulk: bool) -> Value {
    json!({
        "name": "payments",
        "product": "mojaloop",
        "parameters": { "bulkTransfers": bulk, "publishInterop": bulk, "hubName": "NationalHub" },
    })
}

fn registries(open: bool, events: bool) -> Value {
    let schema = json!({ "title": "Person", "type": "object" }).to_string();
    json!({
        "name": "digital-registries",
        "product": "sunbird-rc",
        "parameters": { "openAccess": open, "events": events, "schema": if events { schema } else { String::new() } },
    })
}

fn trust() -> Value {
    json!({ "name": "trust-services", "product": "xroad-central-server" })
}

fn foreign_trust() -> Value {
    let provides: Vec<Value> = ["trust", "registration", "ocsp", "timestamping"]
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let outputs = if *name == "trust" { json!({ "anchor": "<anchor/>" }) } else { json!({}) };
            json!({
                "capability": format!("exchange-{name}"),
                "host": format!("{name}.exchange.example"),
                "port": 4000 + i,
                "outputs": outputs,
            })
        })
        .collect();
    json!({ "name": "trust-services", "external": { "provides": provides } })
}

fn mediator() -> Value {
    json!({ "name": "information-mediator", "product": "xroad-security-server" })
}

fn foreign_postgresql() -> Value {
    json!([{
        "capability": "postgresql",
        "provider": "External",
        "external": {
            "capability": "postgresql",
            "host": "db.example",
            "port": 6432,
            "credentialsSecret": "databases",
            "cidrs": ["192.0.2.0/24"],
        },
    }])
}

/// One Stack a product and profile, those with the product's switches thrown, and one with everything.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for profile in ["sandbox", "standard", "national"] {
        let mut case = |name: &str, products: &[&'static str], blocks: Value, backing: Value| {
            cases.push(Case {
                name: format!("{name}, {profile}"),
                products: products.iter().map(|product| (*product).to_owned()).collect(),
                stack: stack(profile, blocks, backing),
            });
        };
        case("keycloak", &["keycloak", "postgresql"], json!([identity(), gateway()]), json!([]));
        case("keycloak elsewhere", &["keycloak"], json!([identity()]), foreign_postgresql());
        case("mojaloop", &["mojaloop", "mysql", "kafka"], json!([payments(false)]), json!([]));
        case(
            "mojaloop with bulk",
            &["mojaloop", "mysql", "kafka", "mongodb", "envoy-gateway"],
            json!([payments(true), gateway()]),
            json!([]),
        );
        case(
            "sunbird-rc",
            &["sunbird-rc", "keycloak", "postgresql", "kafka"],
            json!([registries(false, true), identity(), gateway()]),
            json!([]),
        );
        case("sunbird-rc, open", &["sunbird-rc"], json!([registries(true, false)]), json!([]));
        // The test CA is refused outside sandboxes.
        let trust = if profile == "sandbox" { trust() } else { foreign_trust() };
        case(
            "x-road",
            &["xroad-security-server", "xroad-central-server", "postgresql"],
            json!([mediator(), trust.clone()]),
            json!([]),
        );
        case(
            "x-road, foreign trust",
            &["xroad-security-server"],
            json!([mediator(), foreign_trust()]),
            json!([]),
        );
        case(
            "envoy-gateway",
            &["envoy-gateway"],
            json!([{ "name": "api-gateway", "product": "envoy-gateway", "parameters": { "certificateIssuer": "country-ca" } }]),
            json!([]),
        );
        case("redis", &["redis", "cached"], json!([{ "name": "x-cached", "product": "cached" }]), json!([]));
        case(
            "everything",
            &[],
            json!([gateway(), identity(), payments(true), registries(false, true), mediator(), trust]),
            json!([]),
        );
    }
    cases.extend(samples());
    cases
}

/// The Stacks beside the entries.
pub fn samples() -> Vec<Case> {
    let samples = Catalogue::samples().unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let of_product = |(product, stacks): (String, Vec<Stack>)| {
        stacks.into_iter().map(move |stack| Case {
            name: format!(
                "{product}: {}, {}",
                stack.metadata.name.as_deref().unwrap_or_default(),
                stack.spec.profile.as_str()
            ),
            products: vec![product.clone()],
            stack,
        })
    };
    let mut cases: Vec<Case> = samples.into_iter().flat_map(of_product).collect();
    show_backing(&mut cases);
    cases
}

/// Backing services that no Stack above is about are shown by the first sandbox that brings them.
fn show_backing(cases: &mut [Case]) {
    let inputs = Inputs { catalogue: catalogue(), ..Inputs::default() };
    let mut shown: BTreeSet<String> =
        ["postgresql", "mysql", "kafka", "redis", "mongodb"].map(str::to_owned).into();
    shown.extend(cases.iter().flat_map(|case| case.products.clone()));
    for case in cases.iter_mut().filter(|case| case.name.ends_with(", sandbox")) {
        let Ok(plan) = plinth_plan::plan(&case.stack, &inputs) else { continue };
        let parts = plan.objects().filter_map(|o| o.body["metadata"]["labels"][LABEL_PART_OF].as_str());
        for part in parts {
            let backing = inputs.catalogue.get(part).is_some_and(|entry| entry.spec.role == Role::Backing);
            if backing && shown.insert(part.to_owned()) {
                case.products.push(part.to_owned());
            }
        }
    }
}
