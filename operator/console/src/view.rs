//! What is shown of an object: the words of its status, and nothing that a status does not say.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use plinth_api::{BuildingBlock, Operation, Stack};
use serde_json::{Value, json};

/// A kind that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shown {
    /// `Stack`.
    Stack,
    /// `BuildingBlock`.
    Block,
    /// `Operation`.
    Operation,
    /// Events about Plinth's own objects.
    Event,
}

impl Shown {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stack, Self::Block, Self::Operation, Self::Event];

    /// The API group and resource that a person must be allowed to list.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Stack => (plinth_api::names::GROUP, "stacks"),
            Self::Block => (plinth_api::names::GROUP, "buildingblocks"),
            Self::Operation => (plinth_api::names::GROUP, "operations"),
            Self::Event => ("", "events"),
        }
    }

    /// What the page calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Block => "block",
            Self::Operation => "operation",
            Self::Event => "event",
        }
    }
}

/// A Stack: where it stands, and a line for each of its blocks. One that Plinth cannot read is shown with the reason.
pub fn stack(guard: &DeserializeGuard<Stack>) -> Value {
    let stack = match &guard.0 {
        Ok(stack) => stack,
        Err(error) => {
            let message = format!("this Stack cannot be read: {error}");
            let invalid =
                json!({ "type": "Ready", "status": "False", "reason": "Invalid", "message": message });
            return json!({ "conditions": [invalid], "blocks": [] });
        }
    };
    let status = stack.status.clone().unwrap_or_default();
    json!({
        "country": stack.spec.country.code,
        "profile": stack.spec.profile.as_str(),
        "paused": stack.spec.paused,
        "summary": status.summary,
        "current": status.observed_generation == stack.metadata.generation,
        "conditions": conditions(&status.conditions),
        "blocks": status.blocks,
    })
}

/// A block, down to the objects that are not ready.
pub fn block(guard: &DeserializeGuard<BuildingBlock>) -> Value {
    let Ok(block) = &guard.0 else { return Value::Null };
    let status = block.status.clone().unwrap_or_default();
    json!({
        "stack": block.spec.stack,
        "block": block.spec.block,
        "product": block.spec.product,
        "version": block.spec.version,
        "targetNamespace": block.spec.target_namespace,
        "state": status.state,
        "summary": status.summary,
        "message": status.message,
        "conditions": conditions(&status.conditions),
        "components": status.components,
        "endpoints": status.endpoints,
        "objects": status.objects,
        "moreObjects": status.more_objects,
    })
}

/// An Operation: who asked what, and how it went.
pub fn operation(guard: &DeserializeGuard<Operation>) -> Value {
    let Ok(operation) = &guard.0 else { return Value::Null };
    let status = operation.status.clone().unwrap_or_default();
    json!({
        "stack": operation.spec.stack,
        "type": operation.spec.kind,
        "why": operation.spec.reason,
        "phase": status.phase,
        "by": status.by,
        "message": status.message,
        "at": operation.metadata.creation_timestamp,
        "finishedAt": status.finished_at,
    })
}

/// An event.
pub fn event(event: &Event) -> Value {
    let at = event.last_timestamp.clone().map(|time| time.0);
    let at = at.or_else(|| event.event_time.clone().map(|time| time.0));
    let at = at.or_else(|| event.creation_timestamp().map(|time| time.0));
    json!({
        "about": { "kind": event.involved_object.kind, "name": event.involved_object.name },
        "reason": event.reason,
        "message": event.message,
        "warning": event.type_.as_deref() == Some("Warning"),
        "at": at.map(|time| time.to_string()),
    })
}

fn conditions(conditions: &[Condition]) -> Vec<Value> {
    let told = conditions.iter().map(|condition| {
        json!({
            "type": condition.type_,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "since": condition.last_transition_time,
        })
    });
    told.collect()
}
