//! Kubernetes events: one for each condition that changes, none for anything else. Which ones is decided by
//! [`transitions`], which is pure.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use plinth_api::condition::{self, Reason};
use plinth_api::mutant::Mutant;

use crate::call::{Writer, chain};

/// The API's limit is 1 kB.
const NOTE_CHARS: usize = 900;

/// A change worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Something needs attention.
    pub warning: bool,
    /// Condition reason.
    pub reason: String,
    /// Condition type: what was being looked at.
    pub about: String,
    /// Condition message.
    pub note: String,
}

/// Publishes events, best effort: an event that gets lost is still in the conditions.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
    writer: Writer,
}

impl Events {
    /// Reports as `plinth`, instance `identity`.
    pub fn new(client: kube::Client, writer: Writer, identity: &str) -> Self {
        let reporter = Reporter { controller: "plinth".to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), writer }
    }

    /// One event for each transition.
    pub async fn publish(&self, about: &ObjectReference, transitions: Vec<Transition>) {
        for transition in transitions {
            if self.writer.check().is_err() {
                return;
            }
            let event = Event {
                type_: if transition.warning { EventType::Warning } else { EventType::Normal },
                reason: transition.reason,
                note: Some(transition.note),
                action: transition.about,
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, about).await {
                tracing::debug!(error = chain(&error), "an event got lost");
            }
        }
    }
}

/// What changed from `before` to `after`. `Reconciling` comes and goes with every change and is left out. A condition
/// that is new is told only when it is good news that people wait for, or bad news.
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Transition> {
    after
        .iter()
        .filter(|now| now.type_ != condition::RECONCILING)
        .filter(|now| match before.iter().find(|old| old.type_ == now.type_) {
            Some(old) => old.status != now.status || Mutant::EventsEachTime.lives(),
            None => is_warning(now) || (now.type_ == condition::READY && now.status == "True"),
        })
        .map(|now| Transition {
            warning: is_warning(now),
            reason: now.reason.clone(),
            about: now.type_.clone(),
            note: shorten(&now.message, &now.type_, &now.status),
        })
        .collect()
}

/// Whether a person should look.
fn is_warning(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        condition::STALLED | condition::CONFLICT | condition::DRIFTED => condition.status == "True",
        condition::PLANNED | condition::SECRETS_INTACT => condition.status == "False",
        // That the first backup has not been made yet is no news.
        condition::BACKED_UP => condition.status == "False" && condition.reason == Reason::Unhealthy.as_str(),
        condition::READY => condition.status == "Unknown",
        _ => false,
    }
}

fn shorten(message: &str, kind: &str, status: &str) -> String {
    if message.is_empty() {
        return format!("{kind} is {status}");
    }
    match message.char_indices().nth(NOTE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn is(kind: &str, status: &str) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: "Because".to_owned(),
            message: "a sentence".to_owned(),
            observed_generation: None,
            last_transition_time: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn only_changes_are_told() {
        let cases = [
            ("nothing changed", vec![is("Ready", "True")], vec![is("Ready", "True")], vec![]),
            ("ready at last", vec![is("Ready", "False")], vec![is("Ready", "True")], vec![("Ready", false)]),
            (
                "the first look",
                vec![],
                vec![is("Ready", "False"), is("Planned", "True"), is("Stalled", "False")],
                vec![],
            ),
            (
                "bad from the start",
                vec![],
                vec![is("Planned", "False"), is("Stalled", "True")],
                vec![("Planned", true), ("Stalled", true)],
            ),
            (
                "work comes and goes",
                vec![is("Reconciling", "False")],
                vec![is("Reconciling", "True")],
                vec![],
            ),
            (
                "a secret is gone",
                vec![is("SecretsIntact", "True")],
                vec![is("SecretsIntact", "False")],
                vec![("SecretsIntact", true)],
            ),
        ];
        for (name, before, after, wanted) in cases {
            let told = transitions(&before, &after);
            let told: Vec<(&str, bool)> = told.iter().map(|t| (t.about.as_str(), t.warning)).collect();
            assert_eq!(told, wanted, "{name}");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let mut long = is("Stalled", "True");
        long.message = "ё".repeat(2000);
        let note = &transitions(&[], &[long])[0].note;
        assert_eq!(note.chars().count(), NOTE_CHARS + 1);
    }
}
