//! What is shown of an object: the words of its spec and status, and nothing that they do not say.

mod agencies;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use plinth_api::{BuildingBlock, Operation, Sandbox, Stack};
use serde_json::{Value, json};

pub use agencies::{agreement, member, registry, service};

/// A kind that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shown {
    /// `Stack`.
    Stack,
    /// `BuildingBlock`.
    Block,
    /// `Operation`.
    Operation,
    /// `Sandbox`.
    Sandbox,
    /// `Member`.
    Member,
    /// `ExchangeAgreement`.
    Agreement,
    /// `Registry`.
    Registry,
    /// `PublicService`.
    Service,
    /// Events about Plinth's own objects.
    Event,
}

impl Shown {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Stack,
        Self::Block,
        Self::Operation,
        Self::Sandbox,
        Self::Member,
        Self::Agreement,
        Self::Registry,
        Self::Service,
        Self::Event,
    ];

    /// The API group and resource that a person must be allowed to list.
    pub fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Stack => (plinth_api::names::GROUP, "stacks"),
            Self::Block => (plinth_api::names::GROUP, "buildingblocks"),
            Self::Operation => (plinth_api::names::GROUP, "operations"),
            Self::Sandbox => (plinth_api::names::GROUP, "sandboxes"),
            Self::Member => (plinth_api::names::GROUP, "members"),
            Self::Agreement => (plinth_api::names::GROUP, "exchangeagreements"),
            Self::Registry => (plinth_api::names::GROUP, "registries"),
            Self::Service => (plinth_api::names::GROUP, "publicservices"),
            Self::Event => ("", "events"),
        }
    }

    /// What the page calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Block => "block",
            Self::Operation => "operation",
            Self::Sandbox => "sandbox",
            Self::Member => "member",
            Self::Agreement => "agreement",
            Self::Registry => "registry",
            Self::Service => "service",
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
    let backup = stack.spec.backup.as_ref();
    json!({
        "country": stack.spec.country.code,
        "profile": stack.spec.profile.as_str(),
        "paused": stack.spec.paused,
        "summary": status.summary,
        "current": status.observed_generation == stack.metadata.generation,
        "conditions": conditions(&status.conditions),
        "blocks": status.blocks,
        "mode": stack.spec.mode.as_str(),
        "off": stack.spec.continuity.iter().flat_map(|continuity| &continuity.off).collect::<Vec<_>>(),
        "backups": status.backups,
        "certificates": status.certificates,
        "moreCertificates": status.more_certificates,
        "recoveryPointHours": backup.map(|backup| backup.recovery_point_hours),
        "provenWithinDays": backup.and_then(|backup| Some(backup.rehearsal.as_ref()?.proven_within_days)),
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
        "sandbox": operation.spec.sandbox,
        "takeover": operation.spec.failover.as_ref().map(|of| json!({ "block": of.block, "to": of.to })),
        "type": operation.spec.kind,
        "why": operation.spec.reason,
        "phase": status.phase,
        "by": status.by,
        "message": status.message,
        "steps": status.steps,
        "at": operation.metadata.creation_timestamp,
        "finishedAt": status.finished_at,
    })
}

/// A Sandbox: whose it is, where it is in its life, what it costs.
pub fn sandbox(guard: &DeserializeGuard<Sandbox>) -> Value {
    let Ok(sandbox) = &guard.0 else { return Value::Null };
    let status = sandbox.status.clone().unwrap_or_default();
    json!({
        "from": sandbox.spec.template.as_ref().or(sandbox.spec.from_stack.as_ref().map(|stack| &stack.name)),
        "team": sandbox.spec.owner.team,
        "donor": sandbox.spec.owner.donor,
        "contact": sandbox.spec.owner.contact,
        "budget": sandbox.spec.budget,
        "phase": status.phase,
        "stack": status.stack,
        "url": status.url,
        "expiresAt": status.expires_at,
        "warnedAt": status.warned_at,
        "cost": status.cost,
        "asked": status.asked,
        "extensions": status.extensions.len(),
        "report": status.report,
        "conditions": conditions(&status.conditions),
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
