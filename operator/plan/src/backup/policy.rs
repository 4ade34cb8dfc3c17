//! What can be wrong with `spec.backup`.

use std::collections::BTreeSet;

use bech32::{FromBase32 as _, Variant};
use plinth_api::Stack;
use plinth_api::v1alpha1::backup::{Backup, Target};
use plinth_api::v1alpha1::stack::Profile;

use crate::backup::schedule;
use crate::model::Finding;
use crate::render::network_range;
use crate::resolve::{Inputs, finding};

/// Everything in `spec.backup` that the user must change.
pub fn findings(stack: &Stack) -> Vec<Finding> {
    let Some(policy) = &stack.spec.backup else { return Vec::new() };
    let mut found = Vec::new();
    let mut say =
        |field: &str, message: String| found.push(finding(&format!("spec.backup.{field}"), message));
    if let Err(why) = schedule::check(&policy.schedule) {
        say("schedule", why);
    }
    if let Some(why) = policy.rehearsal.as_ref().and_then(|r| schedule::check(&r.schedule).err()) {
        say("rehearsal.schedule", why);
    }
    recipients(policy, &mut say);
    target(&policy.target, stack.spec.profile, &mut say);
    if let (Some(lock), Some(days)) = (&policy.target.object_lock, policy.retention.days)
        && lock.days > days
    {
        say(
            "target.objectLock.days",
            format!(
                "{} is more than retention.days, {days}: nothing could be deleted when its time has come",
                lock.days
            ),
        );
    }
    found
}

fn recipients(policy: &Backup, say: &mut impl FnMut(&str, String)) {
    if policy.recipients.is_empty() {
        say("recipients", "names nobody; give at least one X25519 public key of age (`age1…`)".to_owned());
    }
    let mut seen = BTreeSet::new();
    for (at, recipient) in policy.recipients.iter().enumerate() {
        let at = format!("recipients[{at}]");
        // What begins like a private key must not be repeated anywhere.
        if recipient.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            say(&at, "is a private key; take it out and replace it, for it can be read here. Allowed is a public key (`age1…`)".to_owned());
        } else if !is_recipient(recipient) {
            say(
                &at,
                format!(
                    "`{recipient}` is no X25519 public key of age (`age1…`): its check sum is wrong or it is cut"
                ),
            );
        } else if !seen.insert(recipient) {
            say(&at, format!("`{recipient}` is there twice"));
        }
    }
}

/// Whether a text is an X25519 public key of age: Bech32 of 32 bytes.
fn is_recipient(text: &str) -> bool {
    let Ok((prefix, data, Variant::Bech32)) = bech32::decode(text) else { return false };
    prefix == "age" && Vec::<u8>::from_base32(&data).is_ok_and(|key| key.len() == 32)
}

fn target(target: &Target, profile: Profile, say: &mut impl FnMut(&str, String)) {
    match Endpoint::read(&target.endpoint) {
        None => say(
            "target.endpoint",
            format!("`{}` is no address of the form https://host or https://host:port", target.endpoint),
        ),
        Some(endpoint) if !endpoint.tls && profile != Profile::Sandbox => say(
            "target.endpoint",
            format!(
                "`{}` is not encrypted and spec.profile is {}: use https",
                target.endpoint,
                profile.as_str()
            ),
        ),
        Some(_) => {}
    }
    for (at, range) in target.cidrs.iter().enumerate().filter(|(_, range)| !network_range(range)) {
        say(
            &format!("target.cidrs[{at}]"),
            format!("`{range}` is no network range of the form 192.0.2.0/24 or 2001:db8::/32"),
        );
    }
}

/// What it refers to in the Stack's namespace and is not there, where somebody has looked. It keeps backups from being taken, and
/// nothing else from going on.
pub fn missing(stack: &Stack, inputs: &Inputs) -> Vec<Finding> {
    let Some(policy) = &stack.spec.backup else { return Vec::new() };
    let mut found = Vec::new();
    let mut say =
        |field: &str, message: String| found.push(finding(&format!("spec.backup.{field}"), message));
    let identity = policy
        .rehearsal
        .iter()
        .map(|r| ("rehearsal.identitySecret", &r.identity_secret, &[super::IDENTITY][..]));
    let target = (
        "target.credentialsSecret",
        &policy.target.credentials_secret,
        &[super::ACCESS_KEY, super::SECRET_KEY][..],
    );
    for (field, name, keys) in identity.chain([target]) {
        let Some(secrets) = &inputs.secrets else { break };
        match secrets.get(name) {
            None => say(field, format!("Secret `{name}` does not exist in the Stack's namespace; create it")),
            Some(has) => {
                for key in keys.iter().filter(|key| !has.contains(**key)) {
                    say(field, format!("Secret `{name}` has no key `{key}`"));
                }
            }
        }
    }
    if let (Some(name), Some(maps)) = (&policy.target.ca_config_map, &inputs.config_maps)
        && maps.get(name).is_none_or(|texts| !texts.contains_key(super::CA_FILE))
    {
        let message = format!(
            "ConfigMap `{name}` with a key `{}` does not exist in the Stack's namespace",
            super::CA_FILE
        );
        say("target.caConfigMap", message);
    }
    found
}

/// An address in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// It is reached by TLS.
    pub tls: bool,
    /// Host.
    pub host: String,
    /// Port, that of the scheme where none is said.
    pub port: u16,
}

impl Endpoint {
    /// Reads `https://host` or `https://host:port`, `http` as well.
    pub fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = match rest.split_once(':') {
            None => (rest, if tls { 443 } else { 80 }),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        (!host.is_empty() && host.chars().all(letters)).then(|| Self { tls, host: host.to_owned(), port })
    }

    /// Service and namespace, where it is a Service of the cluster.
    pub fn service(&self, cluster_domain: &str) -> Option<(&str, &str)> {
        let name = self.host.strip_suffix(cluster_domain).and_then(|name| name.strip_suffix('.'));
        let (service, namespace) = name.unwrap_or(&self.host).strip_suffix(".svc")?.split_once('.')?;
        (!namespace.contains('.')).then_some((service, namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_has_a_check_sum() {
        let good = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        assert!(is_recipient(good));
        assert!(!is_recipient(&good.replace("ql3", "ql4")));
        assert!(!is_recipient(&good[..good.len() - 1]));
        assert!(!is_recipient(""));
    }

    #[test]
    fn an_endpoint_has_host_and_port_and_may_be_a_service() {
        let read = |text| Endpoint::read(text).map(|e| (e.tls, e.host, e.port));
        assert_eq!(read("https://s3.example.org"), Some((true, "s3.example.org".to_owned(), 443)));
        assert_eq!(read("http://store:7070"), Some((false, "store".to_owned(), 7070)));
        for bad in ["ftp://a", "https://", "https://a:0", "https://a:b", "https://a/b", "a"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let service = Endpoint::read("http://store.vault.svc.cluster.local:7070").unwrap();
        assert_eq!(service.service("cluster.local"), Some(("store", "vault")));
        assert_eq!(
            Endpoint::read("http://store.vault.svc").unwrap().service("cluster.local"),
            Some(("store", "vault"))
        );
        assert_eq!(Endpoint::read("https://s3.example.org").unwrap().service("cluster.local"), None);
    }
}
