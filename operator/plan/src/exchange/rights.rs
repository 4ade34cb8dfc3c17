//! The rights of an exchange, compiled: what its servers enforce, what `plinth can` answers from, what a test compares.
//! One entry an agreement, so that a changed agreement changes one entry. A call that cannot be decided is denied.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plinth_api::v1alpha1::exchange::Endpoint;
use serde::{Deserialize, Serialize};

use super::endpoint::{covers, segments};
use super::id::{EXCHANGE_PATH, ServiceId, SubsystemId, is_code, trust_domain};

/// Methods that a call may have: those that an agreement can name. TRACE, say, is nobody's to grant.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Everything that a server of the exchange has to know to decide on a call. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rights {
    /// Instance of the exchange.
    pub instance: String,
    /// Its systems: who may present a certificate at all.
    pub subsystems: Vec<SubsystemId>,
    /// Its services, by identifier.
    pub services: BTreeMap<ServiceId, Served>,
    /// What is granted, in the order of the agreements' names.
    pub rights: Vec<Right>,
    /// Instances that are federated with this one: their servers speak for their own systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Served {
    /// What it has; everything where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
}

/// What one agreement grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Right {
    /// The agreement, as `<namespace>/<name>`.
    pub agreement: String,
    /// The service.
    pub service: ServiceId,
    /// Who may call: groups are resolved.
    pub consumers: Vec<SubsystemId>,
    /// Which of its endpoints; all that the service has where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// First moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// First moment at which it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How often each consumer may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// How often a consumer may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// So many requests.
    pub requests: u32,
    /// In so many seconds.
    pub seconds: u32,
}

/// Who calls, as the verified certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A system of this exchange.
    Subsystem(SubsystemId),
    /// A server of another instance, in lower case as certificates have it. It speaks for that instance's systems.
    Peer(String),
}

impl Identity {
    /// The identity of a SPIFFE id `spiffe://<instance>/<class>/<code>/<subsystem>` of this instance, or
    /// `spiffe://<instance>/gateway` of an exchange.
    pub fn of_spiffe(uri: &str, rights: &Rights) -> Option<Self> {
        let rest = uri.strip_prefix("spiffe://")?;
        if let Some(domain) = rest.strip_suffix(EXCHANGE_PATH).filter(|domain| is_code(domain)) {
            return Some(Self::Peer(domain.to_owned()));
        }
        let (domain, path) = rest.split_once('/')?;
        let own = trust_domain(&rights.instance) == domain;
        SubsystemId::within(&rights.instance, path).filter(|_| own).map(Self::Subsystem)
    }
}

/// A call, as it arrives.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path as it stands on the wire, with or without a query.
    pub path: &'a str,
    /// Value of the header `X-Road-Client`; `None` where there is none.
    pub client: Option<&'a str>,
    /// Who presented a certificate; `None` where nobody did.
    pub identity: Option<&'a Identity>,
}

/// What is decided on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'r> {
    /// It may pass.
    Allow {
        /// By which right.
        right: &'r Right,
        /// By which pattern: the agreement's, or the service's where that grants all of it; `None` where neither has any.
        endpoint: Option<&'r Endpoint>,
        /// Who calls.
        client: SubsystemId,
        /// What is called.
        service: ServiceId,
    },
    /// It leaves for another instance, whose own servers decide.
    Forward {
        /// The instance.
        instance: String,
        /// Who calls.
        client: SubsystemId,
        /// What is called.
        service: ServiceId,
    },
    /// It may not.
    Deny(Denial),
}

/// Why a call is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Which layer says so.
    pub layer: Layer,
    /// Why, in a word. It holds nothing of the request: paths carry people's identifiers.
    pub reason: Reason,
    /// One line for whoever called.
    pub message: String,
    /// Who calls, where that is known.
    pub client: Option<SubsystemId>,
    /// What is called, where that is known.
    pub service: Option<ServiceId>,
}

/// What a call is held against, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Layer {
    /// The address.
    Address,
    /// The certificate and the client that the header names.
    Identity,
    /// The service: whether there is one, and whether it has the endpoint.
    Service,
    /// The agreements.
    Agreement,
}

/// Why a call is denied, for logs and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The method or the path is none of the exchange's, or the path could be read in two ways.
    BadAddress,
    /// There is no `X-Road-Client`, or it is no identifier of a subsystem.
    BadClient,
    /// Nobody presented a certificate of the exchange.
    NoCertificate,
    /// The certificate is another's than the header says.
    NotItsCertificate,
    /// The exchange has no such subsystem.
    NotRegistered,
    /// The other instance is not federated with this one.
    NotFederated,
    /// There is no such service.
    NoService,
    /// The service has no such endpoint.
    NoEndpoint,
    /// No agreement is about this consumer and this service.
    NoAgreement,
    /// There is one, and it does not grant the endpoint.
    NotGranted,
    /// There is one, and it is not in force yet.
    NotYet,
    /// There was one.
    Ended,
}

/// A refusal before it is known whom it concerns.
struct Refusal {
    layer: Layer,
    reason: Reason,
    message: String,
}

impl Refusal {
    fn new(layer: Layer, reason: Reason, message: impl Into<String>) -> Self {
        Self { layer, reason, message: message.into() }
    }

    fn of(self, client: Option<&SubsystemId>, service: Option<&ServiceId>) -> Box<Denial> {
        let Self { layer, reason, message } = self;
        Box::new(Denial { layer, reason, message, client: client.cloned(), service: service.cloned() })
    }
}

impl Layer {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Address, Self::Identity, Self::Service, Self::Agreement];

    /// Its name in answers, logs and counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Identity => "identity",
            Self::Service => "service",
            Self::Agreement => "agreement",
        }
    }
}

impl Rights {
    /// Decides on a call at a moment. Rate limits are for whoever counts.
    pub fn decide(&self, call: &Call<'_>, now: Timestamp) -> Decision<'_> {
        match self.allowed(call, now) {
            Ok(decision) => decision,
            Err(denial) => Decision::Deny(*denial),
        }
    }

    fn allowed(&self, call: &Call<'_>, now: Timestamp) -> Result<Decision<'_>, Box<Denial>> {
        if !METHODS.contains(&call.method) {
            let message = format!("the method is none of {}", METHODS.join(", "));
            return Err(Refusal::new(Layer::Address, Reason::BadAddress, message).of(None, None));
        }
        let (service, rest) = addressed(call.path).map_err(|refusal| refusal.of(None, None))?;
        let client = self.client(call).map_err(|refusal| refusal.of(None, Some(&service)))?;
        let target = &service.subsystem.member.instance;
        let decided = if *target == self.instance {
            self.granted(call, &rest, &client, &service, now).map(|(right, endpoint)| (Some(right), endpoint))
        } else if matches!(call.identity, Some(Identity::Subsystem(_))) && self.peers.contains(target) {
            Ok((None, None))
        } else {
            // Nobody's traffic passes through to a third instance.
            let message = format!("instance {target} is not federated with {}", self.instance);
            Err(Refusal::new(Layer::Service, Reason::NotFederated, message))
        };
        match decided {
            Err(refusal) => Err(refusal.of(Some(&client), Some(&service))),
            Ok((Some(right), endpoint)) => Ok(Decision::Allow { right, endpoint, client, service }),
            Ok((None, _)) => Ok(Decision::Forward { instance: target.clone(), client, service }),
        }
    }

    /// The right by which a client may call a service of this instance, and the pattern that covers the call.
    fn granted(
        &self,
        call: &Call<'_>,
        rest: &[String],
        client: &SubsystemId,
        service: &ServiceId,
        now: Timestamp,
    ) -> Result<(&Right, Option<&Endpoint>), Refusal> {
        let Some(served) = self.services.get(service) else {
            let message = format!("there is no service {service}");
            return Err(Refusal::new(Layer::Service, Reason::NoService, message));
        };
        let what = || format!("{} {}", call.method, shown(rest));
        let Some(offered) = covering(&served.endpoints, call.method, rest) else {
            let message = format!("service {service} has no {}", what());
            return Err(Refusal::new(Layer::Service, Reason::NoEndpoint, message));
        };
        let own = |right: &&Right| right.service == *service && right.consumers.contains(client);
        let mut why = (Reason::NoAgreement, format!("no agreement lets {client} call {service}"));
        for right in self.rights.iter().filter(own) {
            let agreement = &right.agreement;
            if let Some(from) = right.from.filter(|from| now < *from) {
                why = (Reason::NotYet, format!("agreement {agreement} is not in force before {from}"));
            } else if let Some(until) = right.until.filter(|until| now >= *until) {
                why = (Reason::Ended, format!("agreement {agreement} has ended at {until}"));
            } else if let Some(granted) = covering(&right.endpoints, call.method, rest) {
                return Ok((right, granted.or(offered)));
            } else {
                why = (Reason::NotGranted, format!("agreement {agreement} does not grant {}", what()));
            }
        }
        Err(Refusal::new(Layer::Agreement, why.0, why.1))
    }

    /// Who calls. The certificate alone says so; the header must say the same, except of a federated server.
    fn client(&self, call: &Call<'_>) -> Result<SubsystemId, Refusal> {
        let refuse = |reason, message: String| Err(Refusal::new(Layer::Identity, reason, message));
        let Some(header) = call.client else {
            return refuse(Reason::BadClient, "the header X-Road-Client is missing".to_owned());
        };
        let named: SubsystemId = match header.parse() {
            Ok(named) => named,
            Err(error) => return refuse(Reason::BadClient, format!("the header X-Road-Client: {error}")),
        };
        match call.identity {
            None => {
                refuse(Reason::NoCertificate, "nobody presented a certificate of the exchange".to_owned())
            }
            Some(Identity::Subsystem(own)) if *own != named => {
                let message = format!("the certificate is {own}'s, the header X-Road-Client says {named}");
                refuse(Reason::NotItsCertificate, message)
            }
            Some(Identity::Subsystem(own)) if !self.subsystems.contains(own) => {
                refuse(Reason::NotRegistered, format!("{own} is not registered"))
            }
            Some(Identity::Subsystem(_)) => Ok(named),
            Some(Identity::Peer(instance)) => {
                let known = self.peers.iter().any(|peer| trust_domain(peer) == *instance);
                if !known {
                    let message = format!("instance {instance} is not federated with {}", self.instance);
                    refuse(Reason::NotFederated, message)
                } else if trust_domain(&named.member.instance) != *instance {
                    let message = format!("a server of instance {instance} cannot speak for {named}");
                    refuse(Reason::NotItsCertificate, message)
                } else {
                    Ok(named)
                }
            }
        }
    }
}

/// Whether patterns cover a call: all of it where there are none, else by which.
fn covering<'e>(endpoints: &'e [Endpoint], method: &str, rest: &[String]) -> Option<Option<&'e Endpoint>> {
    if endpoints.is_empty() {
        return Some(None);
    }
    endpoints.iter().find(|endpoint| covers(endpoint, method, rest)).map(Some)
}

/// The service that a path addresses, X-Road's way (`/r1/INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE[/…]`), and what follows.
fn addressed(path: &str) -> Result<(ServiceId, Vec<String>), Refusal> {
    let bad = |message: String| Refusal::new(Layer::Address, Reason::BadAddress, message);
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    // A service's own root is written with and without a slash at the end.
    let path = path.strip_suffix('/').filter(|p| p.split('/').count() == 7).unwrap_or(path);
    let found = segments(path).map_err(|error| bad(error.to_string()))?;
    let form = || bad("the path is not of the form /r1/INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/…".to_owned());
    match found.as_slice() {
        [version, codes @ ..] if version == "r1" && codes.len() >= 5 => {
            let id = codes[..5].join("/").parse().map_err(|_| form())?;
            Ok((id, codes[5..].to_vec()))
        }
        _ => Err(form()),
    }
}

fn shown(segments: &[String]) -> String {
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn rights() -> Rights {
        let endpoint = |method: &str, path: &str| Endpoint { method: method.into(), path: path.into() };
        let right = |agreement: &str, service: &str| Right {
            agreement: agreement.into(),
            service: id(service),
            consumers: vec![id("UA/GOV/1/app"), id("EE/GOV/9/desk")],
            endpoints: Vec::new(),
            from: None,
            until: None,
            limit: None,
        };
        Rights {
            instance: "UA".into(),
            subsystems: vec![id("UA/GOV/1/app"), id("UA/GOV/1/other")],
            services: [
                (id("UA/GOV/2/civil/births"), Served { endpoints: vec![endpoint("GET", "/records/*")] }),
                (id("UA/GOV/2/civil/old"), Served::default()),
                (id("UA/GOV/2/civil/soon"), Served::default()),
                (id("UA/GOV/2/civil/part"), Served::default()),
            ]
            .into(),
            rights: vec![
                right("civil/births", "UA/GOV/2/civil/births"),
                Right {
                    until: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                    ..right("civil/old", "UA/GOV/2/civil/old")
                },
                Right {
                    from: Some("2027-01-01T00:00:00Z".parse().unwrap()),
                    ..right("civil/soon", "UA/GOV/2/civil/soon")
                },
                Right {
                    endpoints: vec![endpoint("GET", "/a")],
                    ..right("civil/part", "UA/GOV/2/civil/part")
                },
            ],
            peers: vec!["EE".into()],
        }
    }

    fn decide(identity: &str, client: &str, method: &str, path: &str) -> String {
        let rights = rights();
        let identity = Identity::of_spiffe(identity, &rights);
        let call = Call { method, path, client: Some(client), identity: identity.as_ref() };
        match rights.decide(&call, "2026-06-01T00:00:00Z".parse().unwrap()) {
            Decision::Allow { right, client, .. } => format!("{client} by {}", right.agreement),
            Decision::Forward { instance, .. } => format!("forward {instance}"),
            Decision::Deny(denial) => format!("{}: {}", denial.layer.word(), denial.message),
        }
    }

    const APP: &str = "spiffe://ua/GOV/1/app";

    #[test]
    fn what_is_agreed_may_pass_and_nothing_else() {
        let births = "/r1/UA/GOV/2/civil/births";
        for (identity, client, method, path, said) in [
            (
                APP,
                "UA/GOV/1/app",
                "GET",
                format!("{births}/records/7?full=1"),
                "UA/GOV/1/app by civil/births",
            ),
            (APP, "UA/GOV/1/app", "POST", format!("{births}/records/7"), "service: "),
            (
                APP,
                "UA/GOV/1/app",
                "TRACE",
                "/r1/UA/GOV/2/civil/soon".into(),
                "address: the method is none of",
            ),
            (APP, "UA/GOV/1/app", "get", format!("{births}/records/7"), "address: "),
            (APP, "UA/GOV/1/app", "GET", format!("{births}/records"), "service: "),
            (APP, "UA/GOV/1/app", "GET", format!("{births}/records/7/.."), "address: "),
            (APP, "UA/GOV/1/app", "GET", format!("{births}/records/a%2Fb"), "address: "),
            (APP, "UA/GOV/1/app", "GET", "/r1/UA/GOV/2/civil".into(), "address: "),
            (APP, "UA/GOV/1/app", "GET", "/r2/UA/GOV/2/civil/births/records/7".into(), "address: "),
            (APP, "UA/GOV/1/app", "GET", "/r1/UA/GOV/2/civil/none".into(), "service: "),
            (APP, "UA/GOV/1/other", "GET", format!("{births}/records/7"), "identity: the certificate is"),
            (
                "spiffe://ua/GOV/1/other",
                "UA/GOV/1/other",
                "GET",
                format!("{births}/records/7"),
                "agreement: no",
            ),
            (
                "spiffe://ua/GOV/1/gone",
                "UA/GOV/1/gone",
                "GET",
                format!("{births}/records/7"),
                "identity: UA/GOV/1/gone is not",
            ),
            (
                "spiffe://xx/GOV/1/app",
                "UA/GOV/1/app",
                "GET",
                format!("{births}/records/7"),
                "identity: nobody",
            ),
            ("nonsense", "UA/GOV/1/app", "GET", format!("{births}/records/7"), "identity: nobody"),
            (
                APP,
                "UA/GOV/1/app",
                "GET",
                "/r1/UA/GOV/2/civil/old".into(),
                "agreement: agreement civil/old has ended",
            ),
            (
                APP,
                "UA/GOV/1/app",
                "GET",
                "/r1/UA/GOV/2/civil/soon/".into(),
                "agreement: agreement civil/soon is not",
            ),
            (APP, "UA/GOV/1/app", "GET", "/r1/UA/GOV/2/civil/part/a".into(), "UA/GOV/1/app by civil/part"),
            (
                APP,
                "UA/GOV/1/app",
                "GET",
                "/r1/UA/GOV/2/civil/part/b".into(),
                "agreement: agreement civil/part does not",
            ),
        ] {
            let seen = decide(identity, client, method, &path);
            assert!(seen.starts_with(said), "{identity} {client} {method} {path}: {seen}");
        }
    }

    #[test]
    fn a_decision_says_by_which_pattern_and_a_denial_why_without_a_word_of_the_request() {
        let rights = rights();
        let identity = Identity::of_spiffe(APP, &rights);
        let decide = |path: &str| {
            let call =
                Call { method: "GET", path, client: Some("UA/GOV/1/app"), identity: identity.as_ref() };
            match rights.decide(&call, "2026-06-01T00:00:00Z".parse().unwrap()) {
                Decision::Allow { endpoint: Some(endpoint), .. } => endpoint.path.clone(),
                Decision::Deny(denial) => serde_json::to_value(denial.reason).unwrap().to_string(),
                other => panic!("{other:?}"),
            }
        };
        let service = "/r1/UA/GOV/2/civil";
        assert_eq!(decide(&format!("{service}/births/records/38001085718")), "/records/*");
        assert_eq!(decide(&format!("{service}/part/a")), "/a");
        assert_eq!(decide(&format!("{service}/births/people/38001085718")), "\"noEndpoint\"");
        assert_eq!(decide(&format!("{service}/old/38001085718")), "\"ended\"");
    }

    #[test]
    fn a_federated_server_speaks_for_its_own_instance_alone() {
        let path = "/r1/UA/GOV/2/civil/births/records/7";
        for (identity, client, path, said) in [
            ("spiffe://ee/gateway", "EE/GOV/9/desk", path, "EE/GOV/9/desk by"),
            ("spiffe://ee/gateway", "UA/GOV/1/app", path, "identity: a server of"),
            ("spiffe://ee/gateway", "LV/GOV/9/desk", path, "identity: a server of"),
            ("spiffe://lv/gateway", "LV/GOV/9/desk", path, "identity: instance lv is not"),
            // Its systems speak through its server, and never by themselves.
            ("spiffe://ee/GOV/9/desk", "EE/GOV/9/desk", path, "identity: nobody"),
            ("spiffe://ee", "EE/GOV/9/desk", path, "identity: nobody"),
            ("spiffe://ee/", "EE/GOV/9/desk", path, "identity: nobody"),
            ("spiffe://ee/x/gateway", "EE/GOV/9/desk", path, "identity: nobody"),
            ("spiffe://ee,spiffe://ua/gateway", "EE/GOV/9/desk", path, "identity: nobody"),
            // This exchange is no client of its own.
            ("spiffe://ua/gateway", "UA/GOV/1/app", path, "identity: instance ua is not"),
            (APP, "UA/GOV/1/app", "/r1/EE/GOV/9/population/people", "forward EE"),
            (APP, "UA/GOV/1/app", "/r1/LV/GOV/9/population/people", "service: instance LV is not"),
            // Nobody's traffic passes through to a third instance.
            (
                "spiffe://ee/gateway",
                "EE/GOV/9/desk",
                "/r1/EE/GOV/9/population/people",
                "service: instance EE",
            ),
            (
                "spiffe://ee/gateway",
                "EE/GOV/9/desk",
                "/r1/LV/GOV/9/population/people",
                "service: instance LV",
            ),
        ] {
            let seen = decide(identity, client, "GET", path);
            assert!(seen.starts_with(said), "{identity} {client} {path}: {seen}");
        }
    }

    #[test]
    fn rights_are_read_as_they_are_written() {
        let text = serde_json::to_string(&rights()).unwrap();
        assert_eq!(serde_json::from_str::<Rights>(&text).unwrap(), rights());
        assert!(serde_json::from_str::<Rights>(&text.replace("\"rights\"", "\"right\"")).is_err());
    }
}
