//! A country as its agencies declare it: what Plinth makes of it, and, worked out apart from Plinth, who may call what.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::{ExchangeAgreement, Member, Stack};
use plinth_plan::Inputs;
use plinth_plan::catalogue::Catalogue;
use plinth_plan::exchange::Declared;
use plinth_plan::exchange::federation::{ANCHOR, Anchor, step};
use plinth_plan::model::{Plan, SecretSource};
use regex::Regex;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Somebody's number, which is in paths and may be in no log.
pub const PERSON: &str = "38001085718";

pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A country, planned.
pub struct Country {
    pub documents: Vec<Value>,
    plan: Plan,
}

/// A call that could be made.
#[derive(Debug)]
pub struct Case {
    /// Who calls, as `<class>/<code>/<subsystem>`.
    pub client: String,
    /// What, as `<class>/<code>/<subsystem>/<service>`.
    service: String,
    pub method: String,
    rest: String,
    /// The agreement that grants it, as `<namespace>/<name>`.
    pub agreement: Option<String>,
    /// A part of what the service says that reached it.
    pub reaches: String,
}

impl Case {
    /// Where the call goes.
    pub fn path(&self) -> String {
        format!("/r1/UA/{}{}", self.service, self.rest)
    }
}

impl Country {
    /// The country beside this file.
    pub fn read() -> Self {
        Self::of(include_str!("country.yaml"))
    }

    /// A country of these documents, federated with the instances whose anchors are confirmed.
    pub fn federated(country: &str, anchors: &[Anchor]) -> Self {
        let mut documents = documents(country);
        let stack = documents.iter_mut().find(|document| document["kind"] == "Stack").expect("is there");
        let entry = |anchor: &Anchor| json!({ "instance": anchor.instance, "anchor": anchor.instance.to_lowercase() });
        stack["spec"]["exchange"]["federation"] = anchors.iter().map(entry).collect();
        let (mut found, mut approved) = (BTreeMap::new(), BTreeSet::new());
        for anchor in anchors {
            let written = anchor.text().unwrap();
            approved.insert(step(&anchor.instance, &written));
            let key = (text(&stack["metadata"]["namespace"]), anchor.instance.to_lowercase());
            found.insert(key, [(ANCHOR.to_owned(), written)].into());
        }
        // What it grants somebody abroad is wrong until the two are federated.
        Self::made(documents, Declared { documents: Some(found), approved, ..Declared::default() })
    }

    /// One register's service answers elsewhere, and there is another one, which everybody may call.
    pub fn with_service_moved(&self) -> Self {
        let text = include_str!("country.yaml");
        let service = "        - code: changes\n";
        let added = "        - code: weddings\n          backend: { service: births, port: 8080, basePath: /api/v2, pods: { app: births } }\n";
        let agreement =
            text.split("---\n").find(|text| text.contains("name: births-to-app")).expect("is there");
        let granted = agreement
            .replace("births-to-app", "weddings-to-app")
            .replace("service: births", "service: weddings")
            .replace("  endpoints: [{ method: GET, path: \"/records/*\" }]\n", "");
        Self::of(&format!("{}---\n{granted}", text.replace(service, &format!("{added}{service}"))))
    }

    fn of(text: &str) -> Self {
        Self::planned(documents(text), Declared::default())
    }

    /// Plans what the documents declare, all of which is right; `beside` is what of it is not read here.
    pub fn planned(documents: Vec<Value>, beside: Declared) -> Self {
        let country = Self::made(documents, beside);
        for (subject, standing) in &country.plan.exchange.standing {
            assert!(standing.findings.is_empty(), "{subject}: {:?}", standing.findings);
        }
        country
    }

    fn made(documents: Vec<Value>, beside: Declared) -> Self {
        let stack: Stack = typed(&documents, "Stack").remove(0);
        let declared = Declared {
            members: typed::<Member>(&documents, "Member"),
            agreements: typed::<ExchangeAgreement>(&documents, "ExchangeAgreement"),
            now: jiff::Timestamp::now().as_second(),
            ..beside
        };
        let inputs = Inputs { catalogue: Catalogue::builtin().unwrap(), declared, ..Inputs::default() };
        let plan = plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| {
            panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
        Self { documents, plan }
    }

    /// Its instance identifier.
    pub fn instance(&self) -> &str {
        &self.plan.exchange.instance
    }

    fn object(&self, kind: &str, name: &str) -> &Value {
        let found = self.plan.objects().find(|o| o.key.kind == kind && o.key.name == name);
        &found.unwrap_or_else(|| panic!("the plan has no {kind} {name}")).body
    }

    /// The files of a configuration of the entry.
    pub fn files(&self, config: &str) -> BTreeMap<String, String> {
        let data = &self.object("ConfigMap", &format!("gateway-exchange-{config}"))["data"];
        serde_json::from_value(data.clone()).unwrap()
    }

    /// The compiled rights.
    pub fn rights(&self) -> String {
        self.files("rights")["rights.json"].clone()
    }

    /// How a key of a Secret is made.
    pub fn secret(&self, name: &str, key: &str) -> SecretSource {
        let found = self.plan.objects().find(|o| o.key.kind == "Secret" && o.key.name == name);
        found.and_then(|o| o.secret.get(key)).unwrap_or_else(|| panic!("no {key} in {name}")).clone()
    }

    /// The command line of a component's container, its variables put in.
    pub fn args(&self, component: &str) -> Vec<String> {
        let container = &self.object("Deployment", component)["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().into_iter().flatten();
        let variables: Vec<(String, &str)> = variables
            .filter_map(|v| Some((format!("$({})", v["name"].as_str()?), v["value"].as_str()?)))
            .collect();
        let put_in = |arg: &Value| {
            let arg = arg.as_str().unwrap_or_default().to_owned();
            variables.iter().fold(arg, |arg, (name, value)| arg.replace(name, value))
        };
        container["args"].as_array().into_iter().flatten().map(put_in).collect()
    }

    /// Every subsystem.
    pub fn clients(&self) -> Vec<&'static str> {
        // Names live as long as the test: they go into threads.
        let names = self.subsystems().into_iter().map(|(name, _)| name);
        names.map(|name| &*Box::leak(name.into_boxed_str())).collect()
    }

    pub fn members(&self) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(|document| document["kind"] == "Member")
    }

    /// Subsystems as `<class>/<code>/<subsystem>`, each with its declaration.
    pub fn subsystems(&self) -> Vec<(String, &Value)> {
        let of = |member: &'_ Value| {
            format!("{}/{}", text(&member["spec"]["class"]), text(&member["spec"]["code"]))
        };
        self.members()
            .flat_map(|member| items(&member["spec"]["subsystems"]).map(move |s| (member, s)))
            .map(|(member, subsystem)| (format!("{}/{}", of(member), text(&subsystem["code"])), subsystem))
            .collect()
    }

    /// Every subsystem with every service, every method, and paths that are granted, that are near to one, and others.
    pub fn combinations(&self) -> Vec<Case> {
        let subsystems = self.subsystems();
        let mut cases = Vec::new();
        for (provider, subsystem) in &subsystems {
            for service in items(&subsystem["services"]) {
                let id = format!("{provider}/{}", text(&service["code"]));
                let grants = self.grants(&id, subsystem);
                let patterns = grants.iter().flat_map(|grant| grant.endpoints.clone());
                let offered = endpoints(&service["endpoints"]);
                let rests = samples(patterns.chain(offered.clone()).map(|(_, path)| path));
                for (client, _) in &subsystems {
                    for method in METHODS {
                        for rest in &rests {
                            let covers = |patterns: &[(String, String)]| {
                                patterns.is_empty() || patterns.iter().any(|p| covered(p, method, rest))
                            };
                            let grant = grants.iter().find(|grant| {
                                covers(&offered)
                                    && covers(&grant.endpoints)
                                    && grant.consumers.contains(client)
                            });
                            let base = service["backend"]["basePath"].as_str().unwrap_or_default();
                            let reached = format!("{base}{rest}");
                            cases.push(Case {
                                client: client.clone(),
                                service: id.clone(),
                                method: method.to_owned(),
                                rest: rest.clone(),
                                agreement: grant.map(|grant| grant.agreement.clone()),
                                reaches: format!(
                                    "\"path\":\"{}\"",
                                    if reached.is_empty() { "/" } else { &reached }
                                ),
                            });
                        }
                    }
                }
            }
        }
        cases
    }

    /// What is granted of a service, read from the agreements as they are written.
    pub fn grants(&self, service: &str, provider: &Value) -> Vec<Grant> {
        let now = jiff::Timestamp::now();
        let agreements = self.documents.iter().filter(|document| document["kind"] == "ExchangeAgreement");
        let mut grants = Vec::new();
        for agreement in agreements {
            let (meta, spec) = (&agreement["metadata"], &agreement["spec"]);
            let member = self.members().find(|member| {
                member["metadata"]["name"] == spec["provider"]["member"]
                    && member["metadata"]["namespace"] == meta["namespace"]
            });
            let member = &member.expect("its member is there")["spec"];
            let provided = &spec["provider"];
            let id =
                [&member["class"], &member["code"], &provided["subsystem"], &provided["service"]].map(text);
            let moment = |field: &str| {
                spec["validity"][field].as_str().map(|at| at.parse::<jiff::Timestamp>().unwrap())
            };
            let is_now = moment("from").is_none_or(|from| from <= now)
                && moment("until").is_none_or(|until| now < until);
            if id.join("/") != service || !is_now {
                continue;
            }
            let stack = self.documents.iter().find(|document| document["kind"] == "Stack").expect("is there");
            let group = |groups: &Value, code: &Value| {
                let found = items(groups).find(|group| group["code"] == *code);
                found.map(|group| items(&group["members"]).map(text).collect()).unwrap_or_default()
            };
            let consumers = items(&spec["consumers"]).flat_map(|consumer| -> Vec<String> {
                if consumer["subsystem"].is_string() {
                    vec![text(&consumer["subsystem"])]
                } else if consumer["localGroup"].is_string() {
                    group(&provider["localGroups"], &consumer["localGroup"])
                } else {
                    group(&stack["spec"]["exchange"]["globalGroups"], &consumer["globalGroup"])
                }
            });
            grants.push(Grant {
                agreement: format!("{}/{}", text(&meta["namespace"]), text(&meta["name"])),
                consumers: consumers.collect(),
                endpoints: endpoints(&spec["endpoints"]),
            });
        }
        grants
    }
}

/// An agreement that is in force.
pub struct Grant {
    /// As `<namespace>/<name>`.
    pub agreement: String,
    /// Subsystems, groups resolved.
    pub consumers: BTreeSet<String>,
    /// Methods and patterns of paths; everything where empty.
    pub endpoints: Vec<(String, String)>,
}

/// The documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|d| Value::deserialize(d).unwrap()).collect()
}

/// The documents of a kind.
pub fn typed<T: DeserializeOwned>(documents: &[Value], kind: &str) -> Vec<T> {
    let found = documents.iter().filter(|document| document["kind"] == kind);
    found.map(|document| serde_json::from_value(document.clone()).unwrap()).collect()
}

pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn endpoints(value: &Value) -> Vec<(String, String)> {
    items(value).map(|endpoint| (text(&endpoint["method"]), text(&endpoint["path"]))).collect()
}

/// Paths that patterns cover, paths that they nearly cover, and others.
fn samples(patterns: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut rests: BTreeSet<String> = ["", "/other", "/a/b"].map(str::to_owned).into();
    for pattern in patterns {
        for many in ["a", "a/b"] {
            let path = pattern.replace("**", many).replace('*', PERSON);
            let path = path.trim_end_matches('/').to_owned();
            rests.insert(format!("{path}/more"));
            rests.insert(path);
        }
        rests.insert(pattern.replace("/**", "").replace('*', PERSON).trim_end_matches('/').to_owned());
    }
    rests
}

/// Whether a pattern covers a call, by another way than the product's.
pub fn covered((method, path): &(String, String), wanted: &str, rest: &str) -> bool {
    let source =
        regex::escape(path.trim_end_matches('/')).replace(r"/\*\*", "(/.*)?").replace(r"\*", "[^/]+");
    (method == "*" || method == wanted) && Regex::new(&format!("^{source}$")).unwrap().is_match(rest)
}
