//! Scenarios under faults, one run each, judged by the oracles.
//!
//! A case is its text: `crash/create/crash @ apply core/secrets STACK-identity/db #1`. The same text plays it again.

pub mod cases;
pub mod mutants;
pub mod report;
pub mod run;
pub mod scenario;
mod wrong;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::{Action, Fault, Trigger};
use crate::harness::drift::Drift;
use crate::harness::harm::Harm;

/// Between the faults of one case.
const AND: &str = " + ";

/// A class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The operator is killed after a write.
    Crash,
    /// The answer to a write is lost.
    LostResponse,
    /// The operator is killed, and again while it recovers.
    DoubleCrash,
    /// The API server refuses, or is slow.
    Error,
    /// Nothing gets through for a while.
    Partition,
    /// Watches end, are gone, or tell late.
    Stale,
    /// A component of the control plane is killed.
    ControlPlane,
    /// The leader dies, stands still, or loses its lease.
    Leader,
    /// Somebody changes what is ours.
    Drift,
    /// Somebody declares what cannot be, and takes it back.
    Misoperation,
    /// The same declaration is reached on another way.
    Path,
}

const CLASSES: [(&str, Class); 11] = [
    ("crash", Class::Crash),
    ("lost-response", Class::LostResponse),
    ("double-crash", Class::DoubleCrash),
    ("error", Class::Error),
    ("partition", Class::Partition),
    ("stale", Class::Stale),
    ("control-plane", Class::ControlPlane),
    ("leader", Class::Leader),
    ("drift", Class::Drift),
    ("misoperation", Class::Misoperation),
    ("path", Class::Path),
];

impl Class {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        CLASSES.iter().map(|(_, class)| *class)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLASSES.iter().find(|(_, class)| class == self).map_or("", |(word, _)| word))
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = CLASSES.iter().find(|(word, _)| *word == text);
        known.map(|(_, class)| *class).ok_or_else(|| {
            let words: Vec<&str> = CLASSES.iter().map(|(word, _)| *word).collect();
            format!("`{text}` is no class; there are {}", words.join(", "))
        })
    }
}

/// What is done in a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Between the operator and the API server.
    Faults(Vec<Fault>),
    /// To the control plane, or to the leader.
    Harm(Harm),
    /// To an object, by its neutral name.
    Drift(Drift, String),
    /// To the Stack, by the name of a wrong change.
    Wrong(String),
    /// The way there: another scenario that ends the same.
    As(String),
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Class.
    pub class: Class,
    /// Name of the scenario.
    pub scenario: String,
    /// What is done.
    pub deed: Deed,
}

impl Spec {
    /// What a slice takes one of: class, kind of fault, verb and resource.
    pub fn group(&self) -> String {
        let content = |trigger: &Trigger| match trigger {
            Trigger::Nth(_) => "any".to_owned(),
            Trigger::Content(key) => {
                key.target.rsplit_once(' ').map_or(key.target.clone(), |(kind, _)| kind.to_owned())
            }
        };
        let what = match &self.deed {
            Deed::Faults(faults) => match &faults[..] {
                [fault] => {
                    let on = fault.on.clone().unwrap_or_else(|| content(&fault.trigger));
                    format!("{} {on}", fault.action.kind())
                }
                _ => "two".to_owned(),
            },
            Deed::Harm(harm) => harm.deed().to_string(),
            Deed::Drift(drift, _) => drift.to_string(),
            Deed::Wrong(name) | Deed::As(name) => name.clone(),
        };
        format!("{} {what}", self.class)
    }

    /// What kind of fault it is, without what it is done to.
    pub fn kind(&self) -> String {
        match &self.deed {
            Deed::Faults(faults) => faults.first().map(|fault| fault.action.kind()).unwrap_or_default(),
            Deed::Harm(harm) => harm.deed().to_string(),
            Deed::Drift(drift, _) => drift.to_string(),
            Deed::Wrong(_) => "wrong".to_owned(),
            Deed::As(_) => "way".to_owned(),
        }
    }

    /// A number that depends on the case alone: it is the same on every machine and in every year.
    pub fn hash(&self) -> u64 {
        let digest = Sha256::digest(self.to_string());
        u64::from_be_bytes(std::array::from_fn(|index| digest[index]))
    }

    /// Whether it is wrong for the whole cluster, and not for what is the Stack's alone.
    pub fn is_everywhere(&self) -> bool {
        match &self.deed {
            Deed::Faults(faults) => faults.iter().any(|fault| {
                let any = matches!(&fault.trigger, Trigger::Content(key) if key.target.ends_with(" *"));
                any || fault.action.on_watches() || matches!(fault.action, Action::Partition(..))
            }),
            Deed::Harm(_) => true,
            Deed::Drift(..) | Deed::Wrong(_) | Deed::As(_) => false,
        }
    }

    /// For how many seconds something is wrong.
    pub fn seconds(&self) -> u16 {
        match &self.deed {
            Deed::Faults(faults) => {
                faults.iter().map(|fault| fault.lasts.max(fault.action.seconds()).unwrap_or_default()).sum()
            }
            Deed::Harm(_) => 20,
            Deed::Drift(..) | Deed::Wrong(_) => 10,
            Deed::As(_) => 0,
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.class, self.scenario)?;
        match &self.deed {
            Deed::Faults(faults) => {
                let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
                f.write_str(&faults.join(AND))
            }
            Deed::Harm(harm) => write!(f, "{harm}"),
            Deed::Drift(drift, object) => write!(f, "{drift} {object}"),
            Deed::Wrong(name) | Deed::As(name) => f.write_str(name),
        }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '/');
        let (Some(class), Some(scenario), Some(what)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(format!("`{text}` must be `CLASS/SCENARIO/WHAT`"));
        };
        let class: Class = class.parse()?;
        let deed = match class {
            Class::ControlPlane | Class::Leader => Deed::Harm(what.parse()?),
            Class::Drift => {
                let (drift, object) =
                    what.split_once(' ').ok_or_else(|| format!("`{what}` must be `DRIFT OBJECT`"))?;
                Deed::Drift(drift.parse()?, object.to_owned())
            }
            Class::Misoperation => Deed::Wrong(what.to_owned()),
            Class::Path => Deed::As(what.to_owned()),
            _ => Deed::Faults(what.split(AND).map(str::parse).collect::<Result<_, _>>()?),
        };
        Ok(Self { class, scenario: scenario.to_owned(), deed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_as_it_is_written() {
        for text in [
            "crash/create/crash @ apply core/secrets STACK-identity/db #1",
            "double-crash/create/crash @ 3 + crash @ 5",
            "error/delete-data/error=503 for=5 @ get core/secrets * #1",
            "control-plane/create/kill-etcd=2 @ apply core/namespaces STACK-identity #1",
            "drift/create/strip-labels core/services STACK-identity/keycloak",
            "misoperation/create/unknown-version",
            "path/change/resume",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        assert!("crash/create".parse::<Spec>().is_err());
        assert!("chaos/create/crash @ 3".parse::<Spec>().is_err());
    }

    #[test]
    fn cases_of_one_class_kind_verb_and_resource_are_a_group() {
        let group = |text: &str| text.parse::<Spec>().unwrap().group();
        let one = group("crash/create/crash @ apply core/secrets a/b #1");
        assert_eq!(one, "crash crash apply core/secrets");
        assert_eq!(one, group("crash/change/crash @ apply core/secrets c/d #2"));
        assert_ne!(one, group("crash/create/crash @ apply core/services a/b #1"));
        assert_ne!(
            group("error/create/error=503 @ get core/secrets * #1"),
            group("error/create/error=409 @ get core/secrets * #1")
        );
    }
}
