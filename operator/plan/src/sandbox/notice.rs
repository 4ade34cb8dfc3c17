//! What the owner of a sandbox should hear of it, whatever else happens: which occasions there are, which was told already, and the event
//! that tells of one. How it is delivered is the operator's. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::condition::{self, Reason, Verdict};
use plinth_api::v1alpha1::sandbox::{Notice, Occasion, SandboxPhase};
use plinth_api::{Sandbox, SandboxStatus};
use serde_json::{Value, json};

use crate::status::verdict;

/// An occasion that nobody was told of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub occasion: Occasion,
    /// Which of several.
    pub of: String,
}

impl Due {
    /// As the status keeps it once somebody has heard it.
    pub fn heard(&self, at: Timestamp) -> Notice {
        Notice { occasion: self.occasion, of: self.of.clone(), at: Time(at) }
    }
}

/// How telling it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was heard.
    Heard(Due),
    /// It was not, and will be told again.
    Failed {
        /// The policy whose webhook it is.
        policy: String,
        /// What.
        due: Due,
        /// Why, in a sentence that holds no address: it may be a secret.
        why: String,
    },
}

/// The first occasion that is to be told of a sandbox in this state.
pub fn due(status: &SandboxStatus) -> Option<Due> {
    let lives = matches!(
        status.phase,
        SandboxPhase::Starting | SandboxPhase::Awake | SandboxPhase::FallingAsleep | SandboxPhase::Asleep
    );
    let ready = status.conditions.iter().find(|c| c.type_ == condition::READY);
    let is_spent = ready.is_some_and(|ready| ready.reason == Reason::BudgetSpent.as_str());
    let place = status.stack.as_ref().filter(|_| status.phase == SandboxPhase::Awake);
    let warned = status.expires_at.as_ref().filter(|_| lives && status.warned_at.is_some());
    let month = status.cost.as_ref().filter(|_| lives && is_spent).map(|cost| cost.month.clone());
    let report = status.report.as_ref().filter(|_| status.phase == SandboxPhase::Expired);
    let occasions = [
        (Occasion::Available, place.map(|place| place.namespace.clone())),
        (Occasion::BudgetSpent, month),
        (Occasion::ExpiresSoon, warned.map(moment)),
        (Occasion::Ended, report.map(|report| moment(&report.until))),
    ];
    let all = occasions.into_iter().filter_map(|(occasion, of)| Some(Due { occasion, of: of? }));
    let told = |due: &Due| status.notices.iter().any(|n| n.occasion == due.occasion && n.of == due.of);
    all.into_iter().find(|due| !told(due))
}

/// A time as the API server keeps it, which knows no parts of a second: read back, it must be the same.
fn moment(time: &Time) -> String {
    let whole = Timestamp::from_second(time.0.as_second());
    whole.map_or_else(|_| time.0.to_string(), |whole| whole.to_string())
}

/// Notes in the status what became of telling.
pub fn note(status: &mut SandboxStatus, delivery: &Delivery, generation: i64, now: Timestamp) {
    if let Delivery::Heard(due) = delivery {
        status.notices.retain(|notice| notice.occasion != due.occasion);
        status.notices.push(due.heard(now));
    }
    let noted = notified(delivery).merge(&status.conditions, generation, Time(now));
    status.conditions.retain(|condition| condition.type_ != condition::NOTIFIED);
    status.conditions.push(noted);
}

fn notified(delivery: &Delivery) -> Verdict {
    match delivery {
        Delivery::Heard(due) => {
            let message = format!("the webhook was told: {:?}", due.occasion);
            verdict(condition::NOTIFIED, Some(true), Reason::Answers, message)
        }
        Delivery::Failed { policy, due, why } => {
            let message = format!(
                "SandboxPolicy {policy}: its webhook was not told {:?}: {why}; it is told again until it answers",
                due.occasion
            );
            verdict(condition::NOTIFIED, Some(false), Reason::Unreachable, message)
        }
    }
}

/// The event, as CloudEvents 1.0 has it. `id` is the same each time that it is told.
pub fn event(sandbox: &Sandbox, status: &SandboxStatus, due: &Due, now: Timestamp) -> Value {
    let metadata = &sandbox.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let occasion = serde_json::to_value(due.occasion).unwrap_or_default();
    let condition =
        |kind: &str| status.conditions.iter().find(|c| c.type_ == kind).map(|c| c.message.clone());
    let about = if due.occasion == Occasion::ExpiresSoon { condition::EXPIRING } else { condition::READY };
    json!({
        "specversion": "1.0",
        "id": format!("{}/{}/{}", metadata.uid.as_deref().unwrap_or_default(), occasion.as_str().unwrap_or_default(), due.of),
        "source": format!("/apis/plinth.dev/v1alpha1/namespaces/{}/sandboxes/{}", namespace.unwrap_or_default(), name.unwrap_or_default()),
        "type": format!("dev.plinth.sandbox.{}", occasion.as_str().unwrap_or_default()),
        "time": now.to_string(),
        "datacontenttype": "application/json",
        "data": {
            "namespace": namespace,
            "name": name,
            "owner": sandbox.spec.owner,
            "phase": status.phase,
            "url": status.url,
            "expiresAt": status.expires_at,
            "cost": status.cost,
            "report": status.report,
            "message": condition(about),
        },
    })
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::sandbox::StackPlace;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn awake() -> SandboxStatus {
        SandboxStatus {
            phase: SandboxPhase::Awake,
            stack: Some(StackPlace { namespace: "demo-1".to_owned(), name: "demo".to_owned() }),
            expires_at: Some(Time(at("2026-12-14T00:00:00Z"))),
            ..SandboxStatus::default()
        }
    }

    #[test]
    fn each_occasion_is_told_once_and_another_end_again() {
        let now = at("2026-12-01T00:00:00Z");
        let mut status = awake();
        let first = due(&status).unwrap();
        assert_eq!(first.occasion, Occasion::Available);
        note(&mut status, &Delivery::Heard(first), 1, now);
        assert_eq!(due(&status), None);
        status.warned_at = Some(Time(now));
        let second = due(&status).unwrap();
        assert_eq!((second.occasion, second.of.as_str()), (Occasion::ExpiresSoon, "2026-12-14T00:00:00Z"));
        note(&mut status, &Delivery::Heard(second), 1, now);
        assert_eq!(due(&status), None);
        // It was extended, and comes near its new end.
        status.expires_at = Some(Time(at("2027-01-14T00:00:00Z")));
        assert_eq!(due(&status).unwrap().of, "2027-01-14T00:00:00Z");
        // Read back from the API server it is the same end.
        status.expires_at = Some(Time(at("2027-01-14T00:00:00.7Z")));
        assert_eq!(due(&status).unwrap().of, "2027-01-14T00:00:00Z");
    }

    #[test]
    fn a_webhook_that_did_not_answer_is_named_in_the_status_and_told_again() {
        let now = at("2026-12-01T00:00:00Z");
        let mut status = awake();
        let first = due(&status).unwrap();
        let failed =
            Delivery::Failed { policy: "site".to_owned(), due: first.clone(), why: "no answer".to_owned() };
        note(&mut status, &failed, 1, now);
        let notified = |status: &SandboxStatus| {
            let of_kind = status.conditions.iter().filter(|c| c.type_ == condition::NOTIFIED);
            of_kind.map(|c| (c.status.clone(), c.message.clone())).collect::<Vec<_>>()
        };
        assert_eq!(notified(&status).len(), 1);
        assert!(
            notified(&status)[0]
                .1
                .starts_with("SandboxPolicy site: its webhook was not told Available: no answer")
        );
        assert_eq!(due(&status), Some(first.clone()));
        note(&mut status, &Delivery::Heard(first), 1, now);
        assert_eq!(notified(&status)[0].0, "True");
        assert_eq!(due(&status), None);
    }
}
