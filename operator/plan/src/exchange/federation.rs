//! Federation: what an exchange is known by to those of other instances (X-Road's configuration anchor), and the yes of a
//! person that makes another instance a peer. An anchor is its text: whoever hands it over and whoever confirms it compare one
//! fingerprint, which any tool computes (`sha256sum anchor.yaml`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;

use super::id::{exchange_spiffe, instance_key, is_code};
use crate::catalogue::hex;
use crate::expr::is_label;
use crate::model::Finding;

/// Key of the ConfigMap that an anchor is in.
pub const ANCHOR: &str = "anchor.yaml";
/// What a step's identifier begins with, when it is about an anchor.
const STEP: &str = "federation/";
/// Most authorities of one anchor: one, and another while it is replaced.
const MOST_AUTHORITIES: usize = 4;

/// What another instance's exchange is known by. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anchor {
    /// Instance identifier.
    pub instance: String,
    /// Host name or address of its gateway, as other instances reach it.
    pub host: String,
    /// TCP port there.
    pub port: u16,
    /// Certificates of the authorities that sign for its gateway, PEM.
    pub authorities: String,
}

/// Another instance that the Stack names, and how it stands with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Federated {
    /// Its identifier.
    pub instance: String,
    /// Network ranges of its gateway outside the cluster; any address where empty.
    pub cidrs: Vec<String>,
    /// How far the two are.
    pub trust: Trust,
}

/// How far two instances are.
#[derive(Clone, Debug, PartialEq)]
pub enum Trust {
    /// A person has said yes to this anchor: the instance is a peer.
    Confirmed {
        /// The anchor.
        anchor: Anchor,
        /// The step that was approved.
        step: String,
    },
    /// The anchor is right, and nobody has said yes to it.
    Awaiting {
        /// The step that a person approves.
        step: String,
    },
    /// Something is wrong with the declaration or the anchor; the instance is no peer.
    Refused(Vec<Finding>),
    /// Nobody has looked at the anchor: a plan that is made offline.
    Unread,
}

impl Anchor {
    /// The anchor that the text is.
    ///
    /// # Errors
    /// The text is none: what is wrong, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        let anchor: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        if !is_code(&anchor.instance) {
            return Err(format!("instance: `{}` is no instance identifier", anchor.instance));
        }
        if anchor.port == 0 {
            return Err("port: 0 is no port".to_owned());
        }
        anchor.keys().map_err(|why| format!("authorities: {why}"))?;
        Ok(anchor)
    }

    /// Its text, as it is handed over.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn text(&self) -> Result<String, String> {
        serde_yaml::to_string(self).map_err(|error| error.to_string())
    }

    /// Public keys of its authorities, DER: who has the private one of them signs in this instance's name.
    ///
    /// # Errors
    /// One is no certificate of an authority.
    pub fn keys(&self) -> Result<BTreeSet<Vec<u8>>, String> {
        let mut keys = BTreeSet::new();
        let mut certificates = 0;
        for pem in Pem::iter_from_buffer(self.authorities.as_bytes()) {
            let pem = pem.map_err(|error| format!("is no PEM: {error}"))?;
            if pem.label != "CERTIFICATE" {
                return Err(format!("holds a {}; it may hold certificates alone", pem.label));
            }
            let certificate = pem.parse_x509().map_err(|error| format!("is no certificate: {error}"))?;
            if !certificate.is_ca() {
                let subject = certificate.subject();
                return Err(format!("the certificate of `{subject}` is not an authority's"));
            }
            keys.insert(certificate.public_key().raw.to_vec());
            certificates += 1;
        }
        match certificates {
            0 => Err("holds no certificate in PEM".to_owned()),
            1..=MOST_AUTHORITIES => Ok(keys),
            _ => Err(format!("holds {certificates} certificates, at most {MOST_AUTHORITIES} are allowed")),
        }
    }

    /// The namespace of its gateway where that is in the same cluster: `<service>.<namespace>.svc.<cluster domain>`.
    pub fn namespace(&self, cluster_domain: &str) -> Option<&str> {
        let inside = self.host.strip_suffix(cluster_domain)?.strip_suffix(".svc.")?;
        let (service, namespace) = inside.split_once('.')?;
        (is_label(service) && is_label(namespace)).then_some(namespace)
    }

    /// Who its gateway is in certificates.
    pub fn spiffe(&self) -> String {
        exchange_spiffe(&self.instance)
    }
}

/// Fingerprint of an anchor's text: SHA-256, in lower-case hexadecimal digits.
pub fn fingerprint(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The step that a person approves to confirm an anchor: `federation/<instance key>-<fingerprint>`. It has all of the fingerprint, so
/// that whoever types it has compared it.
pub fn step(instance: &str, text: &str) -> String {
    format!("{STEP}{}-{}", instance_key(instance), fingerprint(text))
}

/// Whether a step that a person approves is about an anchor.
pub fn is_step(step: &str) -> bool {
    step.starts_with(STEP)
}

impl Federated {
    /// Its anchor, where it is a peer.
    pub fn anchor(&self) -> Option<&Anchor> {
        match &self.trust {
            Trust::Confirmed { anchor, .. } => Some(anchor),
            Trust::Awaiting { .. } | Trust::Refused(_) | Trust::Unread => None,
        }
    }

    /// The step that a person approves, or has approved.
    pub fn step(&self) -> Option<&str> {
        match &self.trust {
            Trust::Confirmed { step, .. } | Trust::Awaiting { step } => Some(step),
            Trust::Refused(_) | Trust::Unread => None,
        }
    }
}
