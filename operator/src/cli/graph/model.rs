//! A country as a graph, in one language: what every picture is drawn from.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::v1alpha1::registry::Classification;
use plinth_api::v1alpha1::service::Channel;
use serde::Serialize;

/// How people reach services, as it is drawn.
pub const CHANNELS: [Channel; 5] =
    [Channel::App, Channel::Web, Channel::Ussd, Channel::Sms, Channel::Assisted];

/// Nodes refer to each other by their place in these lists, which are in the order of their identifiers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Name of the Stack.
    pub stack: String,
    /// Instance of the exchange.
    pub instance: String,
    /// The moment that is shown, as a day or a time.
    pub at: String,
    /// Language of the names.
    pub language: String,
    /// Block that is the exchange; `None` where the Stack has none.
    pub exchange: Option<String>,
    /// Building blocks.
    pub blocks: Vec<Block>,
    /// Organisations.
    pub members: Vec<Member>,
    /// Public services.
    pub services: Vec<PublicService>,
    /// Systems that ask.
    pub clients: Vec<Client>,
    /// Services that answer.
    pub offers: Vec<Offer>,
    /// Registries.
    pub registries: Vec<Registry>,
    /// Who may call what.
    pub calls: Vec<Call>,
}

/// A building block of the Stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Block {
    /// Its name.
    pub name: String,
    /// What plays it: a product, or `external`.
    pub product: String,
    /// Public services that use it.
    pub services: Vec<usize>,
    /// How many registries it runs.
    pub registries: usize,
}

/// An organisation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Member {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A public service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicService {
    /// `<namespace>/<name>`.
    pub id: String,
    /// Its title.
    pub name: String,
    /// Who offers it; `None` where that is not clear.
    pub member: Option<usize>,
    /// How people reach it.
    pub channels: Vec<Channel>,
    /// Anybody may use it, without an identity.
    pub anybody: bool,
    /// The system that it calls as.
    pub client: Option<usize>,
    /// Building blocks that it uses beside the exchange.
    pub blocks: Vec<usize>,
}

/// A system that asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Client {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it is; `None` for one of another instance.
    pub member: Option<usize>,
}

/// A service that answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Offer {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Name of the system that has it.
    pub subsystem: String,
    /// Whose it is.
    pub member: usize,
    /// Registry behind it.
    pub registry: Option<usize>,
}

/// A registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Registry {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub member: usize,
    /// How sensitive a record is.
    pub classification: Classification,
    /// The state stops without it.
    pub critical: bool,
    /// It already runs elsewhere.
    pub external: bool,
}

/// A line between a system and a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// The system.
    pub client: usize,
    /// The service.
    pub offer: usize,
    /// Whether it may.
    pub state: State,
    /// Agreements behind it, as `<namespace>/<name>`, or who asks.
    pub why: Vec<String>,
}

/// Whether a system may call a service. The lesser of two says less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// An agreement granted it until an earlier moment.
    Expired,
    /// It is asked for, and not granted.
    Asked,
    /// An agreement grants it from a later moment on.
    Scheduled,
    /// An agreement grants it.
    InForce,
}

impl State {
    /// All of them, the one that says most first.
    pub const ALL: [Self; 4] = [Self::InForce, Self::Scheduled, Self::Asked, Self::Expired];

    /// Key of what a line of that state means.
    pub fn word(self) -> &'static str {
        match self {
            Self::InForce => "graph-in-force",
            Self::Scheduled => "graph-scheduled",
            Self::Asked => "graph-asked",
            Self::Expired => "graph-expired",
        }
    }
}

impl Model {
    /// How people reach any of the services, in the order in which it is drawn.
    pub fn channels(&self) -> impl Iterator<Item = Channel> {
        let used = |channel: &Channel| self.services.iter().any(|s| s.channels.contains(channel));
        CHANNELS.into_iter().filter(used)
    }

    /// Organisations that are neither shown as one that asks nor as one that answers.
    pub fn idle(&self) -> Vec<usize> {
        let asking =
            self.services.iter().filter_map(|s| s.member).chain(self.clients.iter().filter_map(|c| c.member));
        let answering = self.offers.iter().map(|o| o.member).chain(self.registries.iter().map(|r| r.member));
        let shown: BTreeSet<usize> = asking.chain(answering).collect();
        (0..self.members.len()).filter(|member| !shown.contains(member)).collect()
    }

    /// Building blocks that a public service uses, in one line; nothing where it uses none.
    pub fn used_by(&self, service: &PublicService) -> String {
        let names: Vec<&str> = service.blocks.iter().map(|block| self.blocks[*block].name.as_str()).collect();
        names.join(", ")
    }

    /// One line for each pair of system and service: the most that is said of it, and every agreement.
    pub fn merged(calls: impl IntoIterator<Item = Call>) -> Vec<Call> {
        let mut pairs: BTreeMap<(usize, usize), Call> = BTreeMap::new();
        for call in calls {
            let pair = pairs
                .entry((call.client, call.offer))
                .or_insert_with(|| Call { why: Vec::new(), ..call.clone() });
            if call.state > pair.state {
                *pair = Call { why: Vec::new(), ..call.clone() };
            }
            if call.state == pair.state {
                pair.why.extend(call.why);
            }
        }
        pairs.into_values().collect()
    }
}
