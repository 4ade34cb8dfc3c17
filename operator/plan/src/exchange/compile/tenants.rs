//! What Plinth renders into agencies' namespaces: parts of the Stack's plan beside its blocks, made of the same words. Each
//! gets an entry of its own, so that it is resolved, rendered, applied and pruned as every product is.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::names::TENANT_PREFIX;
use plinth_api::v1alpha1::component::{Component, Mount, PerProfile, Port, Probe, Probes, Resources};
use plinth_api::v1alpha1::product::{
    Generator, Maturity, Named, ProductSpec, Provision, Requirement, Role, Route, Secret, SecretKey, Source,
    Version,
};
use plinth_api::v1alpha1::service::{BindingStatus, Programme, Workload};
use plinth_api::v1alpha1::stack::Block;
use serde_json::{Map, Value, json};

use super::services::{IDENTITY, PAYMENTS, blocks_used};
use super::{Compiled, Consumer, Organisation, World};
use crate::catalogue::Entry;
use crate::exchange::declared::{MEMBER, PUBLIC_SERVICE, Subject};
use crate::exchange::id::{MemberId, SubsystemId};
use crate::naming::{dashed, secret_object};
use crate::render::short_digest;
use crate::resolve::namespace_of;

/// Capability of a product that is an exchange.
pub const EXCHANGE: &str = "exchange";
/// Capability of a product that signs people in.
const ISSUER: &str = "oidc-issuer";
/// Output by which an exchange says what it enforces, for people.
const ENFORCES: &str = "enforces";
/// Output by which an exchange says that it limits rates.
const LIMITS_RATES: &str = "limitsRates";
/// Output by which an exchange names the secret that holds its own anchor.
const ANCHOR: &str = "anchor";
/// Output by which a capability says that the product keeps programmes, and is told of them.
const PROGRAMMES: &str = "registersProgrammes";
/// Outputs that are for Plinth, not for whoever is bound; host and port are told of every one.
const UNTOLD: [&str; 6] = ["host", "port", ENFORCES, LIMITS_RATES, ANCHOR, PROGRAMMES];
/// Seconds that a service's container has to start.
const STARTUP_BUDGET: u32 = 300;
/// Where a container finds its bindings; the variable and the form are the Service Binding specification's.
const BINDING_ROOT: &str = "/bindings";

/// The product that is the exchange of a Stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Its block.
    pub block: String,
    /// The product; `None` for one that already runs elsewhere.
    pub product: Option<String>,
    /// Namespace of the block.
    pub namespace: String,
    /// Component that consumers call and that calls the services; `None` where no pods of it are known.
    pub component: Option<String>,
    /// Port that consumers call, in the container.
    pub port: u16,
    /// What it enforces of an agreement, for people; empty where nobody knows.
    pub enforces: String,
    /// It limits rates.
    pub limits_rates: bool,
    /// Name of the Secret with its anchor, by which other instances know it: public, and there where it takes theirs.
    pub anchor: Option<String>,
}

/// A part of the plan in an agency's namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// The object that it is for.
    pub subject: Subject,
    /// The block that stands for it in the plan.
    pub block: Block,
    /// What is rendered.
    pub entry: Entry,
    /// Pods that the agency runs itself.
    pub pods: Vec<OwnPods>,
}

/// Pods that an agency runs itself. They are shut whatever they may call: a grant opens a way, and neither its coming nor
/// its going changes another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnPods {
    /// Their labels.
    pub labels: BTreeMap<String, String>,
    /// Requirements of the entry whose providers they reach.
    pub calls: BTreeSet<String>,
}

impl World<'_> {
    /// The block that is the exchange.
    pub(super) fn server(&self) -> Option<Server> {
        self.stack.spec.blocks.iter().find_map(|block| {
            let namespace = namespace_of(self.stack, &block.name);
            if let Some(external) = &block.external {
                let provides = external.provides.iter().any(|p| p.capability == EXCHANGE);
                return provides.then(|| Server {
                    block: block.name.clone(),
                    namespace,
                    ..Server::default()
                });
            }
            let entry = self.catalogue.get(block.product.as_deref()?)?;
            let provision = entry.spec.provides.iter().find(|p| p.capability == EXCHANGE)?;
            let component = provision.component.as_ref();
            let ports = entry.spec.components.iter().find(|c| Some(&c.name) == component).map(|c| &c.ports);
            let port =
                ports.and_then(|ports| ports.iter().find(|p| Some(&p.name) == provision.port.as_ref()));
            Some(Server {
                block: block.name.clone(),
                product: block.product.clone(),
                namespace,
                component: component.cloned(),
                port: port.map(|p| p.port).unwrap_or_default(),
                enforces: says(provision, ENFORCES).unwrap_or_default().to_owned(),
                limits_rates: says(provision, LIMITS_RATES) == Some("true"),
                anchor: says(provision, ANCHOR).map(|secret| secret_object(entry, secret, None)),
            })
        })
    }

    /// Everything that is rendered into agencies' namespaces.
    pub(super) fn tenants(&self, out: &mut Compiled) {
        let consuming = out.consuming();
        let members = out.members.iter().filter(|(_, m)| !m.spec.disabled);
        let members = members.filter_map(|(id, member)| self.member_part(id, member, &consuming, out));
        let services =
            out.consumers.iter().filter_map(|consumer| self.service_part(consumer, &consuming, out));
        let tenants: Vec<Tenant> = members.chain(services).collect();
        out.tenants = tenants;
    }

    /// How the agency's own pods call the exchange: a Secret for each subsystem that has pods and may call something.
    fn member_part(
        &self,
        id: &MemberId,
        member: &Organisation,
        consuming: &BTreeSet<SubsystemId>,
        out: &Compiled,
    ) -> Option<Tenant> {
        let server = out.server.as_ref()?;
        let mut spec = part_spec(&id.to_string());
        let mut pods = Vec::new();
        for subsystem in member.spec.subsystems.iter().filter(|s| !s.pods.is_empty()) {
            let subsystem_id = id.subsystem(&subsystem.code);
            let labels = subsystem.pods.clone();
            if !consuming.contains(&subsystem_id) {
                pods.push(OwnPods { labels, ..OwnPods::default() });
                continue;
            }
            let requirement = format!("s{}", short_digest(&subsystem_id.to_string()));
            spec.requires.push(asks_exchange(&requirement, &subsystem_id));
            let mut secret = self.binding(&subsystem_id.key(), &requirement, EXCHANGE, &server.block);
            secret.keys.push(text("client", &subsystem_id.to_string()));
            spec.secrets.push(secret);
            pods.push(OwnPods { labels, calls: [requirement].into() });
        }
        let subject =
            Subject { kind: MEMBER, namespace: member.namespace.clone(), name: member.object.clone() };
        let uses = spec.requires.iter().map(|r| (r.name.clone(), server.block.clone())).collect();
        // The provider's pods need their policy as well, whoever calls them.
        let serves = out.services.iter().any(|(service, _)| service.subsystem.member == *id);
        (serves || !pods.is_empty()).then(|| part(subject, EXCHANGE, spec, uses, pods))
    }

    /// What a public service uses, as bindings; and what runs it.
    fn service_part(
        &self,
        consumer: &Consumer,
        consuming: &BTreeSet<SubsystemId>,
        out: &Compiled,
    ) -> Option<Tenant> {
        let mut spec = part_spec(&consumer.name);
        let mut uses = BTreeMap::new();
        let wanted = &consumer.spec.uses;
        for (path, block) in blocks_used(wanted) {
            if path == "spec.uses.services" {
                self.calls_services(consumer, out, &mut spec, &mut uses);
                continue;
            }
            let Some(capability) = self.capability(block) else { continue };
            let requirement = camel(block);
            let mut required = Requirement {
                name: requirement.clone(),
                capability: capability.clone(),
                ..Requirement::default()
            };
            let mut secret = self.binding(block, &requirement, &capability, block);
            match path {
                "spec.uses.identity" => self.signs_in(consumer, &mut required, &mut secret),
                "spec.uses.programme" => secret.keys.extend(wanted.programme.iter().flat_map(programme_keys)),
                _ => {}
            }
            spec.requires.push(required);
            spec.secrets.push(secret);
            uses.insert(requirement, block.to_owned());
        }
        let client = consumer.client.as_ref();
        let granted = client.is_some_and(|client| consuming.contains(client));
        // What is asked of the exchange opens nothing; what is granted does.
        let called = spec.requires.iter().filter(|required| required.capability != EXCHANGE || granted);
        let calls: BTreeSet<String> = called.map(|required| required.name.clone()).collect();
        let mut pods = Vec::new();
        match &consumer.spec.workload {
            Some(workload) => run(&mut spec, consumer, workload, &calls),
            None => {
                let own = client.and_then(|client| out.subsystem(client));
                let labels = own.map(|(_, subsystem)| subsystem.pods.clone()).filter(|pods| !pods.is_empty());
                pods.extend(labels.map(|labels| OwnPods { labels, calls }));
            }
        }
        let subject = Subject {
            kind: PUBLIC_SERVICE,
            namespace: consumer.namespace.clone(),
            name: consumer.name.clone(),
        };
        let empty = spec.requires.is_empty() && spec.components.is_empty();
        (!empty).then(|| part(subject, &consumer.name, spec, uses, pods))
    }

    /// What a service calls the exchange with.
    fn calls_services(
        &self,
        consumer: &Consumer,
        out: &Compiled,
        spec: &mut ProductSpec,
        uses: &mut BTreeMap<String, String>,
    ) {
        let (Some(client), Some(server)) = (&consumer.client, &out.server) else { return };
        spec.requires.push(asks_exchange(EXCHANGE, client));
        let mut secret = self.binding(EXCHANGE, EXCHANGE, EXCHANGE, &server.block);
        secret.keys.push(text("client", &client.to_string()));
        spec.secrets.push(secret);
        uses.insert(EXCHANGE.to_owned(), server.block.clone());
    }

    /// Whom a service signs people in as. An OpenID Connect issuer that takes clients makes it one; at another provider its own
    /// team registers it.
    fn signs_in(&self, consumer: &Consumer, required: &mut Requirement, secret: &mut Secret) {
        secret.keys.push(text("client-id", &client_id(&consumer.namespace, &consumer.name)));
        if required.capability == ISSUER {
            secret.keys.push(SecretKey {
                name: "client-secret".to_owned(),
                generate: Some(Generator { length: 40, ..Generator::default() }),
                ..SecretKey::default()
            });
            let client = issuer_client(consumer, &self.stack.spec.site.domain);
            required.parameters.insert("clients".to_owned(), json!([client]));
        }
        if !consumer.acr_values.is_empty() {
            secret.keys.push(text("acr-values", &consumer.acr_values.join(" ")));
        }
    }

    /// What the block that signs people in knows of a service.
    pub(super) fn sign_in_of(&self, service: &Subject) -> Option<String> {
        let block = self.stack.spec.blocks.iter().find(|block| block.name == IDENTITY)?;
        let provider = block.product.as_deref().unwrap_or("external");
        let id = client_id(&service.namespace, &service.name);
        Some(match self.capability(IDENTITY) {
            Some(capability) if capability == ISSUER && block.product.is_some() => {
                format!("{provider} is told of client `{id}`")
            }
            _ => format!("{provider} is told of no client by Plinth: who runs it has to register `{id}`"),
        })
    }

    /// The product that is told of programmes, where the payments block's is.
    pub(super) fn registers_programmes(&self) -> Option<String> {
        let block = self.stack.spec.blocks.iter().find(|block| block.name == PAYMENTS)?;
        let told = self.provisions(PAYMENTS).iter().any(|p| says(p, PROGRAMMES) == Some("true"));
        block.product.clone().filter(|_| told)
    }

    /// What a service that uses a block is bound to: an OpenID Connect issuer where it is one, else the first capability that
    /// it provides.
    fn capability(&self, block: &str) -> Option<String> {
        let provisions = self.provisions(block);
        let issuer = provisions.iter().find(|provision| provision.capability == ISSUER);
        issuer.or(provisions.first()).map(|provision| provision.capability.clone())
    }

    fn provisions(&self, block: &str) -> Vec<Provision> {
        let block = self.stack.spec.blocks.iter().find(|b| b.name == block);
        let external =
            block.and_then(|b| b.external.as_ref()).into_iter().flat_map(|e| &e.provides).map(|p| {
                let outputs = p.outputs.keys().map(|name| Named { name: name.clone(), ..Named::default() });
                Provision {
                    capability: p.capability.clone(),
                    outputs: outputs.collect(),
                    ..Provision::default()
                }
            });
        let entry = block.and_then(|b| self.catalogue.get(b.product.as_deref()?));
        entry.map_or_else(|| external.collect(), |entry| entry.spec.provides.clone())
    }

    /// A Secret by the Service Binding convention: `type`, `provider`, and what the capability gives.
    fn binding(&self, name: &str, requirement: &str, capability: &str, block: &str) -> Secret {
        let provisions = self.provisions(block);
        let outputs = provisions.iter().filter(|p| p.capability == capability).flat_map(|p| &p.outputs);
        // What opens the product itself is nobody's who only uses it; what was made for the one that asks is its own.
        let own = |output: &&Named| {
            let source = [&output.reference, &output.cel].into_iter().flatten().cloned().collect::<String>();
            !source.contains("secrets.") || source.contains("secrets.client.")
        };
        let told = |output: &&Named| !UNTOLD.contains(&output.name.as_str());
        let mut keys = vec![text("type", capability)];
        let product = self.stack.spec.blocks.iter().find(|b| b.name == block).and_then(|b| b.product.clone());
        keys.push(text("provider", product.as_deref().unwrap_or("external")));
        let names = outputs.filter(own).filter(told).map(|output| output.name.clone());
        for output in ["host".to_owned(), "port".to_owned()].into_iter().chain(names) {
            let at = format!("requires.{requirement}.{output}");
            keys.push(SecretKey {
                name: dashed(&output),
                cel: Some(format!("has({at}) ? string({at}) : ''")),
                ..SecretKey::default()
            });
        }
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.name.clone()));
        Secret { name: name.to_owned(), keys, ..Secret::default() }
    }
}

impl Consumer {
    /// Secrets with what it uses, as its status lists them.
    pub fn bindings(&self, out: &Compiled) -> Vec<BindingStatus> {
        let own = |tenant: &&Tenant| {
            tenant.subject.kind == PUBLIC_SERVICE
                && tenant.subject.namespace == self.namespace
                && tenant.subject.name == self.name
        };
        let secrets = out.tenants.iter().filter(own).flat_map(|tenant| &tenant.entry.spec.secrets);
        let status = |secret: &Secret| BindingStatus {
            name: format!("{}-{}", self.name, secret.name),
            kind: secret.keys.first().and_then(|key| key.value.clone()).unwrap_or_default(),
        };
        secrets.map(status).collect()
    }
}

/// As whom people's sign-in to a service is known at the issuer: short, for names are made of it.
fn client_id(namespace: &str, name: &str) -> String {
    let words: String = name.chars().map(|c| if c == '.' { '-' } else { c }).take(20).collect();
    let digest = short_digest(&format!("{namespace}/{name}"));
    format!("{}-{digest}", words.trim_end_matches('-'))
}

/// What a capability of a product says of itself by a fixed output.
fn says<'p>(provision: &'p Provision, output: &str) -> Option<&'p str> {
    provision.outputs.iter().find(|o| o.name == output)?.value.as_deref()
}

/// A claim on the exchange: a subsystem that calls it.
fn asks_exchange(name: &str, client: &SubsystemId) -> Requirement {
    Requirement {
        name: name.to_owned(),
        capability: EXCHANGE.to_owned(),
        parameters: Map::from_iter([
            ("client".to_owned(), json!(client)),
            ("spiffe".to_owned(), json!(client.spiffe())),
        ]),
        ..Requirement::default()
    }
}

/// The client of a service, as an issuer is asked for it.
fn issuer_client(consumer: &Consumer, domain: &str) -> Value {
    let host = consumer.spec.workload.as_ref().and_then(|workload| workload.host.as_ref());
    let own = host.map(|host| format!("https://{host}.{domain}"));
    let mut redirects = consumer.spec.redirect_uris.clone();
    redirects.extend(own.iter().map(|origin| format!("{origin}/*")));
    json!({
        "id": client_id(&consumer.namespace, &consumer.name),
        "name": consumer.spec.title.values().next().unwrap_or(&consumer.name),
        "secret": "${secrets.identity['client-secret']}",
        "redirectUris": redirects,
        "webOrigins": own.into_iter().collect::<Vec<_>>(),
        "standardFlow": true,
    })
}

/// The container of a service, with its bindings below the root that it is told.
fn run(spec: &mut ProductSpec, consumer: &Consumer, workload: &Workload, calls: &BTreeSet<String>) {
    let port = Port { name: "http".to_owned(), port: workload.port, service_port: None };
    let probe = Probe {
        path: workload.health.clone(),
        port: Some("http".to_owned()),
        timeout_seconds: Some(5),
        ..Probe::default()
    };
    // A busy node is no reason to begin again.
    let liveness = Probe { failure_threshold: Some(6), ..probe.clone() };
    let bindings = spec.secrets.iter().map(|secret| Mount {
        path: format!("{BINDING_ROOT}/{}", secret.name),
        secret: Some(secret.name.clone()),
        ..Mount::default()
    });
    let scratch = Mount { path: "/tmp".to_owned(), scratch: Some("tmp".to_owned()), ..Mount::default() };
    let root = ("SERVICE_BINDING_ROOT".to_owned(), BINDING_ROOT.to_owned());
    let env = workload.env.clone().into_iter().chain([root]);
    let resources = Resources {
        cpu: "100m".to_owned(),
        memory: "128Mi".to_owned(),
        memory_limit: Some("512Mi".to_owned()),
        ..Resources::default()
    };
    spec.components.push(Component {
        name: consumer.name.clone(),
        description: Some("The service.".to_owned()),
        image: "app".to_owned(),
        ports: vec![port],
        probes: Probes { readiness: Some(probe), liveness: Some(liveness), startup: None },
        startup_budget_seconds: Some(STARTUP_BUDGET),
        replicas: PerProfile { sandbox: Some(workload.replicas.unwrap_or(1)), ..PerProfile::default() },
        resources: PerProfile { sandbox: Some(resources), ..PerProfile::default() },
        env: env.map(|(name, value)| Named { name, value: Some(value), ..Named::default() }).collect(),
        mounts: bindings.chain([scratch]).collect(),
        connects: calls.iter().map(|requirement| format!("requires.{requirement}")).collect(),
        ..Component::default()
    });
    spec.versions[0].images.insert("app".to_owned(), workload.image.clone());
    spec.routes.extend(workload.host.iter().map(|host| Route {
        name: consumer.name.clone(),
        host: host.clone(),
        component: consumer.name.clone(),
        port: "http".to_owned(),
        ..Route::default()
    }));
}

/// The empty entry of a part.
fn part_spec(title: &str) -> ProductSpec {
    let source = Source {
        repository: "declared".to_owned(),
        says: "What its object says.".to_owned(),
        ..Source::default()
    };
    ProductSpec {
        role: Role::Block,
        block: Some(String::new()),
        title: title.to_owned(),
        description: "A part of the plan in an agency's namespace.".to_owned(),
        maturity: Maturity::Stable,
        sources: vec![source],
        versions: vec![Version { version: "1".to_owned(), ..Version::default() }],
        ..ProductSpec::default()
    }
}

fn part(
    subject: Subject,
    name: &str,
    spec: ProductSpec,
    uses: BTreeMap<String, String>,
    pods: Vec<OwnPods>,
) -> Tenant {
    let words: String = subject.name.chars().map(|c| if c == '.' { '-' } else { c }).take(18).collect();
    let digest = short_digest(&format!("{subject}"));
    let block = Block {
        name: format!("{TENANT_PREFIX}{}-{digest}", words.trim_end_matches('-')),
        product: Some(name.to_owned()),
        uses,
        ..Block::default()
    };
    let entry = Entry { name: name.to_owned(), builtin: false, spec: spec.into() };
    Tenant { subject, block, entry, pods }
}

/// What a service has to say to the payments block when it pays, and what it has to hold itself to: who makes a batch and who
/// releases it, whether a guardian may be paid, how soon failed and returned payments are brought together with the batch.
fn programme_keys(programme: &Programme) -> Vec<SecretKey> {
    let mut keys = vec![
        text("programme", &programme.code),
        text("institution", &programme.institution),
        text("currency", &programme.currency),
        text("account-mapper", &programme.account_mapper),
        text("maker", &programme.batch.maker),
        text("checker", &programme.batch.checker),
        text("guardians", if programme.guardians { "true" } else { "false" }),
        text("reconcile-hours", &programme.reconcile_hours.to_string()),
    ];
    keys.extend(programme.participant.as_ref().map(|participant| text("participant", participant)));
    keys.extend(programme.account.as_ref().map(|account| text("account", account)));
    keys
}

fn text(name: &str, value: &str) -> SecretKey {
    SecretKey { name: name.to_owned(), value: Some(value.to_owned()), ..SecretKey::default() }
}

/// `e-signature` as expressions can say it: `eSignature`.
fn camel(block: &str) -> String {
    let mut words = block.split('-');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// What the exchange may call: what answers the services that some agreement grants.
pub(crate) fn called(out: &Compiled) -> impl Iterator<Item = &super::Where> {
    let granted: BTreeSet<_> = out.grants.iter().map(|grant| &grant.right.service).collect();
    let offers = out.services.iter().filter(move |(id, _)| granted.contains(id));
    offers.map(|(_, offer)| &offer.backend)
}
