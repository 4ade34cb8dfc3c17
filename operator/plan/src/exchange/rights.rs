//! The rights of an exchange, compiled: what its servers enforce, what `plinth can` answers from, what a test compares.
//! One entry an agreement, so that a changed agreement changes one entry. A call that cannot be decided is denied.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use plinth_api::v1alpha1::exchange::Endpoint;
use serde::{Deserialize, Serialize};

use super::endpoint::{covers, segments};
use super::id::{ServiceId, SubsystemId};

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
    /// The identity of a SPIFFE id `spiffe://<instance>/<class>/<code>/<subsystem>`, or `spiffe://<instance>` of a server.
    pub fn of_spiffe(uri: &str, rights: &Rights) -> Option<Self> {
        let rest = uri.strip_prefix("spiffe://")?;
        match rest.split_once('/') {
            None | Some((_, "")) => Some(Self::Peer(rest.trim_end_matches('/').to_owned())),
            Some((domain, path)) => {
                let own = rights.instance.to_ascii_lowercase() == domain;
                let id = SubsystemId::within(&rights.instance, path).filter(|_| own)?;
                Some(Self::Subsystem(id))
            }
        }
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
        /// Who calls.
        client: SubsystemId,
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
    /// One line.
    pub message: String,
    /// Who calls, where that is known.
    pub client: Option<SubsystemId>,
    /// What is called, where that is known.
    pub service: Option<ServiceId>,
}

/// What a call is held against, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::Identity => "identity",
            Self::Service => "service",
            Self::Agreement => "agreement",
        })
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
        let deny = |layer, message: String, client: Option<&SubsystemId>, service: Option<&ServiceId>| {
            Box::new(Denial { layer, message, client: client.cloned(), service: service.cloned() })
        };
        let (service, rest) =
            addressed(call.path).map_err(|message| deny(Layer::Address, message, None, None))?;
        let client =
            self.client(call).map_err(|message| deny(Layer::Identity, message, None, Some(&service)))?;
        let target = &service.subsystem.member.instance;
        if *target != self.instance {
            if !matches!(call.identity, Some(Identity::Subsystem(_))) || !self.peers.contains(target) {
                let message = format!("instance {target} is not federated with {}", self.instance);
                return Err(deny(Layer::Service, message, Some(&client), Some(&service)));
            }
            return Ok(Decision::Forward { instance: target.clone(), client, service });
        }
        let denied = |layer, message: String| deny(layer, message, Some(&client), Some(&service));
        let Some(served) = self.services.get(&service) else {
            return Err(denied(Layer::Service, format!("there is no service {service}")));
        };
        let has = |endpoints: &[Endpoint]| {
            endpoints.is_empty() || endpoints.iter().any(|e| covers(e, call.method, &rest))
        };
        if !has(&served.endpoints) {
            let message = format!("service {service} has no {} {}", call.method, shown(&rest));
            return Err(denied(Layer::Service, message));
        }
        let own = |right: &&Right| right.service == service && right.consumers.contains(&client);
        let mut why = format!("no agreement lets {client} call {service}");
        for right in self.rights.iter().filter(own) {
            if !has(&right.endpoints) {
                why =
                    format!("agreement {} does not grant {} {}", right.agreement, call.method, shown(&rest));
            } else if let Some(from) = right.from.filter(|from| now < *from) {
                why = format!("agreement {} is not in force before {from}", right.agreement);
            } else if let Some(until) = right.until.filter(|until| now >= *until) {
                why = format!("agreement {} has ended at {until}", right.agreement);
            } else {
                return Ok(Decision::Allow { right, client });
            }
        }
        Err(denied(Layer::Agreement, why))
    }

    /// Who calls. The certificate alone says so; the header must say the same, except of a federated server.
    fn client(&self, call: &Call<'_>) -> Result<SubsystemId, String> {
        let header = call.client.ok_or("the header X-Road-Client is missing")?;
        let named: SubsystemId = header.parse().map_err(|e| format!("the header X-Road-Client: {e}"))?;
        match call.identity {
            None => Err("nobody presented a certificate".to_owned()),
            Some(Identity::Subsystem(own)) if *own != named => {
                Err(format!("the certificate is {own}'s, the header X-Road-Client says {named}"))
            }
            Some(Identity::Subsystem(own)) if !self.subsystems.contains(own) => {
                Err(format!("{own} is not registered"))
            }
            Some(Identity::Subsystem(_)) => Ok(named),
            Some(Identity::Peer(instance)) => {
                let known = self.peers.iter().any(|peer| peer.to_ascii_lowercase() == *instance);
                if !known {
                    Err(format!("instance {instance} is not federated with {}", self.instance))
                } else if named.member.instance.to_ascii_lowercase() != *instance {
                    Err(format!("a server of instance {instance} cannot speak for {named}"))
                } else {
                    Ok(named)
                }
            }
        }
    }
}

/// The service that a path addresses, X-Road's way (`/r1/INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE[/…]`), and what follows.
fn addressed(path: &str) -> Result<(ServiceId, Vec<String>), String> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    // A service's own root is written with and without a slash at the end.
    let path = path.strip_suffix('/').filter(|p| p.split('/').count() == 7).unwrap_or(path);
    let found = segments(path).map_err(|error| error.to_string())?;
    let form = "the path is not of the form /r1/INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE/…";
    match found.as_slice() {
        [version, codes @ ..] if version == "r1" && codes.len() >= 5 => {
            let id = codes[..5].join("/").parse().map_err(|_| form.to_owned())?;
            Ok((id, codes[5..].to_vec()))
        }
        _ => Err(form.to_owned()),
    }
}

fn shown(segments: &[String]) -> String {
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
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
            Decision::Allow { right, client } => format!("{client} by {}", right.agreement),
            Decision::Forward { instance, .. } => format!("forward {instance}"),
            Decision::Deny(denial) => format!("{}: {}", denial.layer, denial.message),
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
    fn a_federated_server_speaks_for_its_own_instance_alone() {
        let path = "/r1/UA/GOV/2/civil/births/records/7";
        for (identity, client, path, said) in [
            ("spiffe://ee", "EE/GOV/9/desk", path, "EE/GOV/9/desk by"),
            ("spiffe://ee", "UA/GOV/1/app", path, "identity: a server of"),
            ("spiffe://lv", "LV/GOV/9/desk", path, "identity: instance lv is not"),
            (APP, "UA/GOV/1/app", "/r1/EE/GOV/9/population/people", "forward EE"),
            (APP, "UA/GOV/1/app", "/r1/LV/GOV/9/population/people", "service: instance LV is not"),
            // Nobody's traffic passes through to a third instance.
            ("spiffe://ee", "EE/GOV/9/desk", "/r1/EE/GOV/9/population/people", "service: instance EE"),
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
