//! Identifiers of the exchange, X-Road 7's: instance, member class, member code, subsystem code, service code.

use std::fmt;
use std::str::FromStr;

use plinth_api::v1alpha1::member::MemberSpec;
use serde::{Deserialize, Serialize};

use crate::render::short_digest;

/// Path of an exchange's own SPIFFE id.
pub(super) const EXCHANGE_PATH: &str = "/gateway";

/// `<instance>/<class>/<code>`: an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MemberId {
    /// Instance of the exchange.
    pub instance: String,
    /// Member class.
    pub class: String,
    /// Member code.
    pub code: String,
}

/// `<instance>/<class>/<code>/<subsystem>`: a system of an organisation. It is what rights are granted to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SubsystemId {
    /// The organisation.
    pub member: MemberId,
    /// Subsystem code.
    pub subsystem: String,
}

/// `<instance>/<class>/<code>/<subsystem>/<service>`: what a system serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ServiceId {
    /// The system.
    pub subsystem: SubsystemId,
    /// Service code.
    pub service: String,
}

/// Whether the text is a code: what an identifier has between its slashes, and needs no escaping in an address.
pub fn is_code(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    first && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The codes of `text`, when it has `N` of them.
fn codes<const N: usize>(text: &str) -> Option<[String; N]> {
    let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
    let parts: [String; N] = parts.try_into().ok()?;
    parts.iter().all(|part| is_code(part)).then_some(parts)
}

impl MemberId {
    /// The identifier of a Member in an instance.
    pub fn of(instance: &str, spec: &MemberSpec) -> Self {
        Self { instance: instance.to_owned(), class: spec.class.clone(), code: spec.code.clone() }
    }

    /// `<class>/<code>`, as a Stack's bindings have it.
    pub fn short(&self) -> String {
        format!("{}/{}", self.class, self.code)
    }

    /// One of its systems.
    pub fn subsystem(&self, code: &str) -> SubsystemId {
        SubsystemId { member: self.clone(), subsystem: code.to_owned() }
    }

    /// A DNS label that stands for it in names of objects.
    pub fn key(&self) -> String {
        key(&self.to_string(), &[&self.class, &self.code])
    }
}

impl SubsystemId {
    /// `<class>/<code>/<subsystem>` in that instance, as an agreement has it.
    pub fn within(instance: &str, text: &str) -> Option<Self> {
        codes(text).map(|[class, code, subsystem]| Self {
            member: MemberId { instance: instance.to_owned(), class, code },
            subsystem,
        })
    }

    /// As somebody of that instance writes it: with the instance of another one before it, or without.
    pub fn asked(instance: &str, text: &str) -> Option<Self> {
        Self::within(instance, text).or_else(|| text.parse().ok())
    }

    /// One of its services.
    pub fn service(&self, code: &str) -> ServiceId {
        ServiceId { subsystem: self.clone(), service: code.to_owned() }
    }

    /// A DNS label that stands for it in names of objects.
    pub fn key(&self) -> String {
        key(&self.to_string(), &[&self.member.code, &self.subsystem])
    }

    /// Who it is in a certificate: a SPIFFE id, whose trust domain is the instance.
    pub fn spiffe(&self) -> String {
        let MemberId { instance, class, code } = &self.member;
        format!("spiffe://{}/{class}/{code}/{}", trust_domain(instance), self.subsystem)
    }
}

impl ServiceId {
    /// `<class>/<code>/<subsystem>/<service>` in that instance, as a service's request has it.
    pub fn within(instance: &str, text: &str) -> Option<Self> {
        codes(text).map(|[class, code, subsystem, service]| Self {
            subsystem: SubsystemId {
                member: MemberId { instance: instance.to_owned(), class, code },
                subsystem,
            },
            service,
        })
    }

    /// As somebody of that instance writes it: with the instance of another one before it, or without.
    pub fn asked(instance: &str, text: &str) -> Option<Self> {
        Self::within(instance, text).or_else(|| text.parse().ok())
    }

    /// A DNS label that stands for it in names of objects.
    pub fn key(&self) -> String {
        key(&self.to_string(), &[&self.subsystem.subsystem, &self.service])
    }
}

/// The trust domain of an instance in certificates: its identifier in lower case, as SPIFFE has it.
pub fn trust_domain(instance: &str) -> String {
    instance.to_ascii_lowercase()
}

/// Who the exchange of an instance is in a certificate, before the exchanges of others: no subsystem has that path.
pub fn exchange_spiffe(instance: &str) -> String {
    format!("spiffe://{}{EXCHANGE_PATH}", trust_domain(instance))
}

/// A DNS label of at most 32 characters that stands for an instance.
pub fn instance_key(instance: &str) -> String {
    key(instance, &[instance])
}

/// A DNS label of at most 32 characters: what is readable of the codes, then a digest of the whole.
fn key(id: &str, codes: &[&str]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let mut words: String = codes.join("-").chars().map(plain).take(23).collect();
    words.truncate(words.trim_end_matches('-').len());
    format!("{words}-{}", short_digest(id))
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.instance, self.class, self.code)
    }
}

impl fmt::Display for SubsystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.member, self.subsystem)
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subsystem, self.service)
    }
}

/// What an identifier has to look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no identifier of the form {form}")]
pub struct NoId {
    /// The text.
    pub text: String,
    /// The form.
    pub form: &'static str,
}

impl FromStr for MemberId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let [instance, class, code] =
            codes(text).ok_or_else(|| NoId { text: text.to_owned(), form: "INSTANCE/CLASS/CODE" })?;
        Ok(Self { instance, class, code })
    }
}

impl FromStr for SubsystemId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let [instance, class, code, subsystem] = codes(text)
            .ok_or_else(|| NoId { text: text.to_owned(), form: "INSTANCE/CLASS/CODE/SUBSYSTEM" })?;
        Ok(Self { member: MemberId { instance, class, code }, subsystem })
    }
}

impl FromStr for ServiceId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let [instance, class, code, subsystem, service] = codes(text)
            .ok_or_else(|| NoId { text: text.to_owned(), form: "INSTANCE/CLASS/CODE/SUBSYSTEM/SERVICE" })?;
        Ok(Self { subsystem: SubsystemId { member: MemberId { instance, class, code }, subsystem }, service })
    }
}

macro_rules! as_text {
    ($($id:ty),*) => { $(
        impl From<$id> for String {
            fn from(id: $id) -> String {
                id.to_string()
            }
        }
        impl TryFrom<String> for $id {
            type Error = NoId;

            fn try_from(text: String) -> Result<Self, NoId> {
                text.parse()
            }
        }
    )* };
}
as_text!(MemberId, SubsystemId, ServiceId);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::is_label;

    #[test]
    fn an_identifier_is_read_as_it_is_written() {
        for text in ["UA/GOV/00032684/citizen-app", "EE/COM/1.2_3/X"] {
            assert_eq!(text.parse::<SubsystemId>().unwrap().to_string(), text);
        }
        for text in ["", "UA/GOV/1", "UA/GOV/1/a/b", "UA//1/a", "UA/GOV/../a", "UA/GOV/1/a%2Fb", "UA/GOV/1/ä"]
        {
            assert!(text.parse::<SubsystemId>().is_err(), "{text}");
        }
    }

    #[test]
    fn whoever_asks_may_leave_the_instance_out() {
        let asked = |text| ServiceId::asked("UA", text).map(|id| id.to_string());
        assert_eq!(asked("GOV/2/register/births").as_deref(), Some("UA/GOV/2/register/births"));
        assert_eq!(asked("EE/GOV/2/register/births").as_deref(), Some("EE/GOV/2/register/births"));
        assert_eq!(asked("GOV/2/register"), None);
        let asked = |text| SubsystemId::asked("UA", text).map(|id| id.to_string());
        assert_eq!(asked("GOV/2/register").as_deref(), Some("UA/GOV/2/register"));
        assert_eq!(asked("EE/GOV/2/register").as_deref(), Some("EE/GOV/2/register"));
        assert_eq!(asked("EE/GOV/2/register/births"), None);
    }

    #[test]
    fn keys_are_short_labels_and_differ_where_only_case_does() {
        let one: ServiceId = "UA/GOV/00032684/civil-status-register/births.v2".parse().unwrap();
        let other: ServiceId = "UA/GOV/00032684/civil-status-register/Births.V2".parse().unwrap();
        for key in [one.key(), other.key(), one.subsystem.key(), one.subsystem.member.key()] {
            assert!(is_label(&key) && key.len() <= 32, "{key}");
        }
        assert_ne!(one.key(), other.key());
    }
}
