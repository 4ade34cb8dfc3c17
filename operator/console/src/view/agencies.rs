//! What is shown of what agencies declare: who they are, what they have, and who may call what.

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use plinth_api::v1alpha1::exchange::StackRef;
use plinth_api::{ExchangeAgreement, Member, PublicService, Registry};
use plinth_plan::exchange::compile::blocks_used;
use serde_json::{Value, json};

use super::conditions;

/// The Stack that is meant, in the object's own namespace where none is said.
fn stack(reference: &StackRef, object: &impl ResourceExt) -> Value {
    json!({ "namespace": reference.namespace.clone().or(object.namespace()), "name": reference.name })
}

/// A Member: who it is.
pub fn member(guard: &DeserializeGuard<Member>) -> Value {
    let Ok(member) = &guard.0 else { return Value::Null };
    let status = member.status.clone().unwrap_or_default();
    json!({
        "stack": stack(&member.spec.stack_ref, member),
        "id": status.id,
        "class": member.spec.class,
        "code": member.spec.code,
        "names": member.spec.names,
        "conditions": conditions(&status.conditions),
    })
}

/// An ExchangeAgreement: who may call what, and what for.
pub fn agreement(guard: &DeserializeGuard<ExchangeAgreement>) -> Value {
    let Ok(agreement) = &guard.0 else { return Value::Null };
    let status = agreement.status.clone().unwrap_or_default();
    let named = agreement.spec.consumers.iter().filter_map(|consumer| consumer.subsystem.as_ref());
    json!({
        "stack": stack(&agreement.spec.stack_ref, agreement),
        "provider": agreement.spec.provider,
        "consumers": named.collect::<Vec<_>>(),
        "purpose": agreement.spec.purpose,
        "phase": status.phase,
        "service": status.service,
        "resolved": status.consumers,
        "moreConsumers": status.more_consumers,
        "conditions": conditions(&status.conditions),
    })
}

/// A Registry: whose it is, and where it runs.
pub fn registry(guard: &DeserializeGuard<Registry>) -> Value {
    let Ok(registry) = &guard.0 else { return Value::Null };
    let status = registry.status.clone().unwrap_or_default();
    json!({
        "stack": stack(&registry.spec.stack_ref, registry),
        "code": registry.spec.code,
        "owner": registry.spec.owner,
        "names": registry.spec.names,
        "block": registry.spec.block,
        "conditions": conditions(&status.conditions),
    })
}

/// A PublicService: as whom it calls, which blocks it uses, and what it asks for.
pub fn service(guard: &DeserializeGuard<PublicService>) -> Value {
    let Ok(service) = &guard.0 else { return Value::Null };
    let status = service.status.clone().unwrap_or_default();
    let uses = &service.spec.uses;
    let mapper = uses.programme.iter().map(|programme| programme.account_mapper.as_str());
    json!({
        "stack": stack(&service.spec.stack_ref, service),
        "title": service.spec.title,
        "client": status.client,
        "blocks": blocks_used(uses).map(|(_, block)| block).chain(mapper).collect::<Vec<_>>(),
        "uses": status.uses,
        "conditions": conditions(&status.conditions),
    })
}
