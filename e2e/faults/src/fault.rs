//! What goes wrong, and when.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::write::Key;

/// The write that a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Trigger {
    /// The k-th counted write of the run, from 1.
    Nth(u64),
    /// The write of this content. A target that ends in `*` stands for all that begin so: the name of a Job ends in a
    /// digest that nobody knows before.
    Write(Key),
}

impl Trigger {
    /// Whether it means the write of this number and content.
    pub(crate) fn means(&self, k: Option<u64>, key: &Key) -> bool {
        match self {
            Self::Nth(nth) => k == Some(*nth),
            Self::Write(wanted) => {
                wanted.occurrence == key.occurrence
                    && match wanted.target.strip_suffix('*') {
                        Some(stem) => key.target.starts_with(stem),
                        None => wanted.target == key.target,
                    }
            }
        }
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Err("writes are counted from 1".to_owned()),
            Ok(nth) => Ok(Self::Nth(nth)),
            Err(_) => text.parse().map(Self::Write),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nth(nth) => write!(f, "write {nth}"),
            Self::Write(key) => write!(f, "`{key}`"),
        }
    }
}

/// What happens to it. The API server has done the write in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Action {
    /// The operator is killed (SIGKILL) before it gets the answer.
    Crash,
    /// The answer never comes: the stream is reset, or the connection closed where streams do not exist.
    LoseResponse,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "crash after",
            Self::LoseResponse => "lost response to",
        })
    }
}

/// One fault. It strikes once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub action: Action,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.trigger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_what_nobody_knows_before() {
        let trigger: Trigger = "apply batch/jobs a/migrate-*".parse().unwrap();
        let key = |text: &str| text.parse::<Key>().unwrap();
        assert!(trigger.means(Some(4), &key("apply batch/jobs a/migrate-0a1b2c3d #1")));
        assert!(!trigger.means(Some(4), &key("apply batch/jobs a/migrate-0a1b2c3d #2")));
        assert!(!trigger.means(Some(4), &key("apply batch/jobs a/other #1")));
    }

    #[test]
    fn a_trigger_is_a_number_or_a_content() {
        assert_eq!("3".parse(), Ok(Trigger::Nth(3)));
        assert!("0".parse::<Trigger>().is_err());
        let key = Key { target: "apply core/namespaces a".to_owned(), occurrence: 1 };
        assert_eq!("apply core/namespaces a".parse(), Ok(Trigger::Write(key)));
        assert!("third".parse::<Trigger>().is_err());
    }
}
