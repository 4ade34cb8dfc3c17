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
    /// The write of this content.
    Write(Key),
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
    fn a_trigger_is_a_number_or_a_content() {
        assert_eq!("3".parse(), Ok(Trigger::Nth(3)));
        assert!("0".parse::<Trigger>().is_err());
        let key = Key { target: "apply core/namespaces a".to_owned(), occurrence: 1 };
        assert_eq!("apply core/namespaces a".parse(), Ok(Trigger::Write(key)));
        assert!("third".parse::<Trigger>().is_err());
    }
}
