//! What goes wrong, and when.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::write::{Key, Target};

/// The request at which a fault begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Trigger {
    /// The k-th counted write of the run, from 1.
    Nth(u64),
    /// The request of this content, a read or a write. A target that ends in `*` stands for all that begin so: the name
    /// of a Job ends in a digest that nobody knows before.
    Content(Key),
}

impl Trigger {
    /// Whether it means the request of this number and content.
    pub(crate) fn means(&self, k: Option<u64>, key: &Key) -> bool {
        match self {
            Self::Nth(nth) => k == Some(*nth),
            Self::Content(wanted) => wanted.occurrence == key.occurrence && same(&wanted.target, &key.target),
        }
    }
}

/// Whether a target is the wanted one, or one of those that it stands for.
fn same(wanted: &str, target: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(stem) => target.starts_with(stem),
        None => wanted == target,
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(0) => Err("writes are counted from 1".to_owned()),
            Ok(nth) => Ok(Self::Nth(nth)),
            Err(_) => text.parse().map(Self::Content),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nth(nth) => write!(f, "{nth}"),
            Self::Content(key) => write!(f, "{key}"),
        }
    }
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// Nothing gets through.
    Both,
    /// Requests get through and are carried out; answers and events do not come back.
    Answers,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Action {
    /// The API server carries the write out, and the operator is killed (SIGKILL) before it gets the answer.
    Crash,
    /// The API server carries it out, and the answer never comes: the stream is reset, or the connection closed where
    /// streams do not exist.
    LoseResponse,
    /// The API server is not asked; this is the answer.
    Error(u16),
    /// The request reaches the API server so many seconds later.
    Delay(u16),
    /// Watches end, as the API server ends them every few minutes.
    CloseWatch,
    /// Watches end with the event that says 410 Gone: what the watch began at is compacted.
    Gone,
    /// Watches tell nothing for so many seconds, then everything: what the operator remembers is stale.
    HoldWatch(u16),
    /// Nothing gets through for so many seconds, whatever it is; then what waited is reset.
    Partition(Cut, u16),
    /// Nothing happens to the request; whoever waits for it is told, and does harm elsewhere.
    Signal,
}

/// Answers that [`Action::Error`] can give.
pub const ERRORS: [u16; 9] = [401, 403, 409, 410, 422, 429, 500, 503, 504];

impl Action {
    /// Whether it is about watches, not about one request.
    pub fn on_watches(self) -> bool {
        matches!(self, Self::CloseWatch | Self::Gone | Self::HoldWatch(_))
    }

    /// How long it lasts by itself.
    pub(crate) fn seconds(self) -> Option<u16> {
        match self {
            Self::HoldWatch(seconds) | Self::Partition(_, seconds) => Some(seconds),
            _ => None,
        }
    }

    /// Its kind, without a number of seconds.
    pub fn kind(self) -> String {
        match self {
            Self::Delay(_) => "delay".to_owned(),
            Self::HoldWatch(_) => "hold-watch".to_owned(),
            Self::Partition(Cut::Both, _) => "partition".to_owned(),
            Self::Partition(Cut::Answers, _) => "partition-answers".to_owned(),
            other => other.to_string(),
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, number) = text.split_once('=').map_or((text, None), |(word, number)| (word, Some(number)));
        let number = match number.map(str::parse::<u16>) {
            None => None,
            Some(Ok(number)) => Some(number),
            Some(Err(_)) => return Err(format!("`{text}` must end in a number, as in `delay=3`")),
        };
        match (word, number) {
            ("crash", None) => Ok(Self::Crash),
            ("signal", None) => Ok(Self::Signal),
            ("lose-response", None) => Ok(Self::LoseResponse),
            ("error", Some(code)) if ERRORS.contains(&code) => Ok(Self::Error(code)),
            ("error", _) => Err(format!("`{text}` must be one of {ERRORS:?}, as in `error=503`")),
            ("delay", Some(seconds)) => Ok(Self::Delay(seconds)),
            ("close-watch", None) => Ok(Self::CloseWatch),
            ("gone", None) => Ok(Self::Gone),
            ("hold-watch", Some(seconds)) => Ok(Self::HoldWatch(seconds)),
            ("partition", Some(seconds)) => Ok(Self::Partition(Cut::Both, seconds)),
            ("partition-answers", Some(seconds)) => Ok(Self::Partition(Cut::Answers, seconds)),
            _ => Err(format!(
                "`{text}` is no fault; there are crash, lose-response, error=CODE, delay=SECONDS, close-watch, gone, \
                 hold-watch=SECONDS, partition=SECONDS, partition-answers=SECONDS, signal"
            )),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash => f.write_str("crash"),
            Self::Signal => f.write_str("signal"),
            Self::LoseResponse => f.write_str("lose-response"),
            Self::Error(code) => write!(f, "error={code}"),
            Self::Delay(seconds) => write!(f, "delay={seconds}"),
            Self::CloseWatch => f.write_str("close-watch"),
            Self::Gone => f.write_str("gone"),
            Self::HoldWatch(seconds) => write!(f, "hold-watch={seconds}"),
            Self::Partition(Cut::Both, seconds) => write!(f, "partition={seconds}"),
            Self::Partition(Cut::Answers, seconds) => write!(f, "partition-answers={seconds}"),
        }
    }
}

/// One fault. It begins once. Written as `error=503 for=5 @ apply apps/deployments small-identity/keycloak #1`, or
/// `gone on=core/pods @ 4`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub action: Action,
    /// The kind, as `group/resource`, whose open watches it is about; all watches where nothing is said and the trigger is
    /// no watch itself.
    pub on: Option<String>,
    /// For so many seconds it happens to every request of the trigger's content, whichever time it comes, and to every
    /// watch that it is about.
    pub lasts: Option<u16>,
}

impl Fault {
    /// Once, at this request.
    pub fn new(action: Action, trigger: Trigger) -> Self {
        Self { trigger, action, on: None, lasts: None }
    }

    /// Not once, but for so many seconds.
    #[must_use]
    pub fn lasting(mut self, seconds: u16) -> Self {
        self.lasts = Some(seconds);
        self
    }

    /// About watches of this kind (`group/resource`).
    #[must_use]
    pub fn on(mut self, kind: impl Into<String>) -> Self {
        self.on = Some(kind.into());
        self
    }

    /// Whether, once begun at `begun`, it is also about a request to `target`.
    pub(crate) fn concerns(&self, begun: &str, target: &Target) -> bool {
        if matches!(self.action, Action::Partition(..)) {
            return true;
        }
        if self.action.on_watches() {
            return target.verb == "watch" && self.watches(begun, target);
        }
        let text = target.to_string();
        match &self.trigger {
            Trigger::Nth(_) => begun == text,
            Trigger::Content(key) => same(&key.target, &text),
        }
    }

    /// Whether it is about this watch.
    fn watches(&self, begun: &str, watch: &Target) -> bool {
        match &self.on {
            Some(kind) => *kind == format!("{}/{}", watch.group, watch.resource),
            None if begun.starts_with("watch ") => begun == watch.to_string(),
            None => true,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (what, trigger) =
            text.split_once(" @ ").ok_or_else(|| format!("`{text}` must be `FAULT @ REQUEST`"))?;
        let mut words = what.split(' ').filter(|word| !word.is_empty());
        let action = words.next().unwrap_or_default().parse()?;
        let mut fault = Self::new(action, trigger.trim().parse()?);
        for word in words {
            match word.split_once('=') {
                Some(("on", kind)) if kind.contains('/') => fault.on = Some(kind.to_owned()),
                Some(("for", seconds)) => {
                    let seconds =
                        seconds.parse().map_err(|_| format!("`{word}` must be a number of seconds"))?;
                    fault.lasts = Some(seconds);
                }
                _ => return Err(format!("`{word}` must be `for=SECONDS` or `on=GROUP/RESOURCE`")),
            }
        }
        Ok(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        if let Some(kind) = &self.on {
            write!(f, " on={kind}")?;
        }
        if let Some(seconds) = self.lasts {
            write!(f, " for={seconds}")?;
        }
        write!(f, " @ {}", self.trigger)
    }
}

macro_rules! as_text {
    ($kind:ident) => {
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(Trigger);
as_text!(Action);
as_text!(Fault);

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        let (verb, rest) = text.split_once(' ').unwrap();
        let (kind, name) = rest.split_once(' ').unwrap();
        let (group, resource) = kind.split_once('/').unwrap();
        Target {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: None,
            name: (name != "*").then(|| name.to_owned()),
            subresource: None,
            passing: false,
        }
    }

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
        assert_eq!("apply core/namespaces a".parse(), Ok(Trigger::Content(key)));
        assert!("third".parse::<Trigger>().is_err());
    }

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        for text in [
            "crash @ 3",
            "error=503 for=5 @ apply apps/deployments a/b #2",
            "gone on=core/pods @ apply apps/deployments a/b #1",
            "hold-watch=4 on=apps/deployments @ 7",
            "partition-answers=6 @ get core/secrets a/b #1",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in ["crash", "error=418 @ 1", "delay @ 1", "crash for=x @ 1", "crash on=pods @ 1"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_that_lasts_is_about_the_same_content_or_the_watches_of_its_kind() {
        let fault: Fault = "error=503 for=5 @ 3".parse().unwrap();
        assert!(fault.concerns("get core/pods a", &target("get core/pods a")));
        assert!(!fault.concerns("get core/pods a", &target("get core/pods b")));
        let fault: Fault = "gone on=core/pods @ 3".parse().unwrap();
        assert!(fault.concerns("apply apps/deployments a", &target("watch core/pods *")));
        assert!(!fault.concerns("apply apps/deployments a", &target("watch core/secrets *")));
        assert!(!fault.concerns("apply apps/deployments a", &target("list core/pods *")));
        let fault: Fault = "partition=5 @ 3".parse().unwrap();
        assert!(fault.concerns("get core/pods a", &target("list core/secrets *")));
    }
}
