//! Certificates as the operator makes them: by the recipes that the plan has for the exchange's authority and its server, and
//! by the same recipe for each consumer.

use plinth_plan::model::{Certificate, SecretSource};
use plinth_runtime::certificates::{Authority, issue};

use crate::client::Identity;
use crate::country::Country;

const DAY: i64 = 24 * 60 * 60;

/// An authority, and what it has signed for the gateway.
pub struct Pki {
    authority: Identity,
    /// The gateway's own.
    pub server: Identity,
    /// Name that the gateway answers to.
    pub name: String,
    /// Trust domain: the instance, in lower case.
    domain: String,
}

impl Pki {
    /// A new authority by the recipes of the country's plan.
    pub fn make(country: &Country) -> Self {
        let recipe = |secret: &str| match country.secret(secret, "tls.crt") {
            SecretSource::Certificate(certificate) => certificate,
            other => panic!("{secret} has no certificate: {other:?}"),
        };
        let key = key();
        let certificate = issue(&recipe("gateway-exchange-authority"), key.as_bytes(), None, now()).unwrap();
        let authority = Identity { certificate, key };
        let server = recipe("gateway-exchange-server");
        let name = server.dns_names[0].clone();
        let server = signed(&authority, &server, now());
        Self { authority, server, name, domain: country.instance().to_lowercase() }
    }

    /// What clients have to trust.
    pub fn root(&self) -> &str {
        &self.authority.certificate
    }

    /// The certificate of a subsystem `<class>/<code>/<subsystem>` of this instance.
    pub fn client(&self, subsystem: &str) -> Identity {
        self.named(&[format!("spiffe://{}/{subsystem}", self.domain)], &[])
    }

    /// One with any names.
    pub fn named(&self, uris: &[String], dns_names: &[String]) -> Identity {
        signed(&self.authority, &leaf(uris, dns_names), now())
    }

    /// One that ended yesterday.
    pub fn ended(&self, subsystem: &str) -> Identity {
        signed(
            &self.authority,
            &leaf(&[format!("spiffe://{}/{subsystem}", self.domain)], &[]),
            now() - 31 * DAY,
        )
    }
}

fn leaf(uris: &[String], dns_names: &[String]) -> Certificate {
    Certificate {
        common_name: "consumer".to_owned(),
        uris: uris.to_vec(),
        dns_names: dns_names.to_vec(),
        days: Some(30),
        ..Certificate::default()
    }
}

fn signed(authority: &Identity, wanted: &Certificate, now: i64) -> Identity {
    let by = Authority { certificate: authority.certificate.as_bytes(), key: authority.key.as_bytes() };
    let key = key();
    Identity { certificate: issue(wanted, key.as_bytes(), Some(by), now).unwrap(), key }
}

fn key() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// An authority of the services' own, and a server's certificate for these names.
pub fn of_services(names: &[String]) -> (String, Identity) {
    let recipe = Certificate {
        common_name: "services".to_owned(),
        ca: true,
        days: Some(30),
        ..Certificate::default()
    };
    let key = key();
    let authority = Identity { certificate: issue(&recipe, key.as_bytes(), None, now()).unwrap(), key };
    let server = signed(&authority, &leaf(&[], names), now());
    (authority.certificate, server)
}
