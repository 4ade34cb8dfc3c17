//! What a failed write means: a reason, a sentence, a time to try again. Pure.

use std::collections::BTreeMap;

use kube::core::Status;
use plinth_api::condition::Reason;
use plinth_plan::model::ObjectKey;

use crate::call::CallError;

/// A failure understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Condition reason.
    pub reason: Reason,
    /// What happened and what to do, in a sentence.
    pub message: String,
    /// Seconds that the API server asked to wait.
    pub retry_after: Option<u32>,
}

impl Trouble {
    /// Without a wish of the API server.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }
}

/// What `error`, the answer to a write of `key`, means. The message does not repeat which object: whoever shows it does.
pub fn classify(key: &ObjectKey, error: &CallError) -> Trouble {
    let (status, retry_after) = match error {
        CallError::Api { status, retry_after } => (status.as_ref(), *retry_after),
        CallError::Lost(_) => {
            return Trouble::new(Reason::ApplyFailed, format!("{error}; it is tried again"));
        }
        CallError::NotLeader(_) => return Trouble::new(Reason::Waiting, error.to_string()),
    };
    let (reason, message) = match status.code {
        409 => conflict(status),
        401 => (Reason::Denied, "the API server does not accept the operator's credentials".to_owned()),
        403 if has_cause(status, "NamespaceTerminating") => {
            (Reason::Waiting, "its namespace is being deleted; it is created again afterwards".to_owned())
        }
        403 => (Reason::Denied, sentence(status)),
        404 if details_kind(status) == Some("namespaces") => {
            (Reason::Waiting, "its namespace does not exist yet".to_owned())
        }
        404 => (Reason::KindMissing, kind_missing(key)),
        400 | 405 | 413 | 415 | 422 => (Reason::Invalid, sentence(status)),
        // The API server calls a patch that its schema does not know an internal error; trying again mends nothing.
        500 if status.message.contains("failed to create typed patch object") => {
            (Reason::Invalid, sentence(status))
        }
        429 => (Reason::ApplyFailed, "the API server is overloaded; it is tried again".to_owned()),
        _ => (Reason::ApplyFailed, format!("{}; it is tried again", sentence(status))),
    };
    Trouble { reason, message, retry_after }
}

/// The sentence for a kind that the cluster does not serve.
pub fn kind_missing(key: &ObjectKey) -> String {
    format!(
        "the cluster does not serve {} {}; install its CustomResourceDefinition",
        key.api_version, key.kind
    )
}

fn conflict(status: &Status) -> (Reason, String) {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for cause in status.details.iter().flat_map(|d| &d.causes).filter(|c| c.reason == "FieldManagerConflict")
    {
        // `conflict with "kubectl-edit" using apps/v1`
        let manager = cause.message.split('"').nth(1).unwrap_or("another manager");
        fields.entry(manager).or_default().push(&cause.field);
    }
    if fields.is_empty() {
        return (Reason::ApplyFailed, format!("{}; it is tried again", sentence(status)));
    }
    let owners: Vec<String> =
        fields.iter().map(|(manager, fields)| format!("\"{manager}\" owns {}", fields.join(", "))).collect();
    let message = format!(
        "{}. Let it give them up, or take them out of the Stack: Plinth does not take a field by force",
        owners.join("; ")
    );
    (Reason::Conflict, message)
}

fn has_cause(status: &Status, reason: &str) -> bool {
    status.details.iter().flat_map(|d| &d.causes).any(|cause| cause.reason == reason)
}

fn details_kind(status: &Status) -> Option<&str> {
    status.details.as_ref().map(|details| details.kind.as_str())
}

/// The API server's own words, on one line, with the fields at fault.
fn sentence(status: &Status) -> String {
    let message = status.message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut message = if message.is_empty() { format!("HTTP status {}", status.code) } else { message };
    for cause in status.details.iter().flat_map(|d| &d.causes) {
        if !cause.field.is_empty() && !message.contains(&cause.field) {
            message.push_str(&format!(" ({}: {})", cause.field, cause.message));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn key() -> ObjectKey {
        ObjectKey {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: Some("ns".to_owned()),
            name: "web".to_owned(),
        }
    }

    fn answer(code: u16, message: &str, kind: &str, causes: &[(&str, &str, &str)]) -> CallError {
        let causes = causes
            .iter()
            .map(|(reason, message, field)| StatusCause {
                reason: (*reason).to_owned(),
                message: (*message).to_owned(),
                field: (*field).to_owned(),
            })
            .collect();
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: kind.to_owned(),
            uid: String::new(),
            causes,
            retry_after_seconds: 0,
        };
        let status =
            Status { code, message: message.to_owned(), details: Some(details), ..Status::default() };
        CallError::Api { status: Box::new(status), retry_after: None }
    }

    #[test]
    fn every_answer_has_a_reason_and_names_what_is_at_fault() {
        let manager =
            [("FieldManagerConflict", "conflict with \"kubectl-edit\" using apps/v1", ".spec.replicas")];
        let terminating =
            [("NamespaceTerminating", "namespace ns is being terminated", "metadata.namespace")];
        let field = [("FieldValueInvalid", "must be positive", "spec.ports[0]")];
        let cases = [
            (
                answer(409, "Apply failed", "deployments", &manager),
                Reason::Conflict,
                "\"kubectl-edit\" owns .spec.replicas",
            ),
            (answer(409, "the object has been modified", "", &[]), Reason::ApplyFailed, "modified"),
            (answer(403, "exceeded quota: pods", "", &[]), Reason::Denied, "exceeded quota"),
            (answer(403, "forbidden", "", &terminating), Reason::Waiting, "being deleted"),
            (
                answer(404, "namespaces \"ns\" not found", "namespaces", &[]),
                Reason::Waiting,
                "does not exist yet",
            ),
            (answer(404, "the server could not find", "", &[]), Reason::KindMissing, "apps/v1 Deployment"),
            (answer(422, "is invalid", "", &field), Reason::Invalid, "spec.ports[0]: must be positive"),
            (
                answer(400, "strict decoding error: unknown field \"spec.replica\"", "", &[]),
                Reason::Invalid,
                "unknown field \"spec.replica\"",
            ),
            (
                answer(
                    500,
                    "failed to create typed patch object: .spec.replica: field not declared in schema",
                    "",
                    &[],
                ),
                Reason::Invalid,
                ".spec.replica",
            ),
            (answer(429, "slow down", "", &[]), Reason::ApplyFailed, "overloaded"),
            (answer(503, "shutting down", "", &[]), Reason::ApplyFailed, "shutting down"),
            (CallError::Lost("connection reset".to_owned()), Reason::ApplyFailed, "connection reset"),
        ];
        for (error, reason, part) in cases {
            let trouble = classify(&key(), &error);
            assert_eq!(trouble.reason, reason, "{error}");
            assert!(trouble.message.contains(part), "{}", trouble.message);
        }
    }
}
