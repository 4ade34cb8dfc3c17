//! What a Sandbox is made of: a namespace of its own, and a Stack in it, beside what its template declares. Everything else is the Stack's.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use plinth_api::{Sandbox, Stack, StackSpec, names};
use plinth_plan::model::{Finding, ObjectKey};
use plinth_plan::sandbox::life::Life;
use plinth_plan::sandbox::prospect::Prospect;
use plinth_plan::sandbox::{id, place, template};
use plinth_runtime::call::{Answer, Applying, CallError};
use plinth_runtime::observe::own;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{Memory, key_of};
use crate::controllers::claims::finalizer;
use crate::controllers::context::Context;

/// Makes what is not there, and sees that the Stack is as it should be. The Stack as it was seen last; `None` until it is.
///
/// # Errors
/// The API server refused or did not answer. Inside: what is in the way.
pub(super) async fn stack(
    sandbox: &Sandbox,
    prospect: &Prospect,
    life: &Life,
    memory: &mut Memory,
    context: &Context,
) -> Result<Result<Option<Stack>, Vec<Finding>>, CallError> {
    let spot = place(sandbox);
    let seen = context.sandboxes.stack(&spot.namespace, &spot.name);
    let generation = sandbox.metadata.generation.unwrap_or_default();
    if memory.housed != Some(generation) || seen.is_none() {
        if let Err(finding) = house(sandbox, context).await? {
            return Ok(Err(vec![finding]));
        }
        memory.housed = Some(generation);
    }
    let wanted = StackSpec { asleep: life.asleep, ..prospect.stack.spec.clone() };
    let as_wanted = seen.as_ref().is_some_and(|seen| seen.spec == wanted && is_ours(seen, sandbox));
    let on_its_way = seen.is_none() && memory.applied.as_ref() == Some(&wanted);
    if !as_wanted && !on_its_way {
        apply(sandbox, &Stack { spec: wanted.clone(), ..prospect.stack.clone() }, context).await?;
        memory.applied = Some(wanted);
    }
    Ok(Ok(seen))
}

fn is_ours(stack: &Stack, sandbox: &Sandbox) -> bool {
    stack.annotations().get(names::ANNOTATION_SANDBOX) == Some(&id(sandbox))
}

/// By a manager of its own: the finalizer that a Stack's reconcile sets is not this one's to take away.
async fn apply(sandbox: &Sandbox, stack: &Stack, context: &Context) -> Result<(), CallError> {
    let metadata = &stack.metadata;
    let (key, body) = owned(sandbox, "Stack", metadata, json!(metadata.labels), json!(stack.spec));
    put(&key, &body, names::SANDBOX_MANAGER, context).await
}

/// An object of one of Plinth's kinds that says whose it is.
fn owned(
    sandbox: &Sandbox,
    kind: &str,
    metadata: &ObjectMeta,
    labels: Value,
    spec: Value,
) -> (ObjectKey, Value) {
    let (api_version, kind) = own(kind);
    let name = metadata.name.clone().unwrap_or_default();
    let key = ObjectKey { api_version, kind, namespace: metadata.namespace.clone(), name };
    let body = json!({
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": labels,
            "annotations": { names::ANNOTATION_SANDBOX: id(sandbox) },
        },
        "spec": spec,
    });
    (key, body)
}

/// The finalizer first, then the namespace, then what bounds it. A namespace that is somebody else's is refused with its owner's name.
async fn house(sandbox: &Sandbox, context: &Context) -> Result<Result<(), Finding>, CallError> {
    let own_key = key_of(sandbox);
    let home = context.clusters.home();
    if !sandbox.finalizers().iter().any(|name| name == names::FINALIZER)
        && let Some(served) = home.kinds.served(&own_key.api_version, &own_key.kind).await?
    {
        finalizer(&own_key, sandbox.metadata.uid.as_deref(), true, &served, context).await?;
    }
    let name = place(sandbox).namespace;
    let key = object("v1", "Namespace", None, &name);
    let Some(served) = home.kinds.served("v1", "Namespace").await? else { return Ok(Ok(())) };
    let found: Option<PartialObjectMeta<Namespace>> =
        home.caller.get(&served, &key, Answer::Metadata).await?;
    if let Some(found) = &found {
        let claim = found.annotations().get(names::ANNOTATION_SANDBOX);
        if claim != Some(&id(sandbox)) {
            let whose =
                claim.map_or_else(|| "is not Plinth's".to_owned(), |claim| format!("is Sandbox {claim}'s"));
            let message = format!("Namespace {name} exists and {whose}; give the Sandbox another name");
            return Ok(Err(Finding { path: "metadata.name".to_owned(), message }));
        }
        if found.metadata.deletion_timestamp.is_some() {
            return Err(CallError::Lost(format!("Namespace {name} is still being deleted")));
        }
    }
    for (key, body) in objects(sandbox, &name).into_iter().chain(declared(sandbox)) {
        put(&key, &body, names::FIELD_MANAGER, context).await?;
    }
    Ok(Ok(()))
}

/// What the template declares beside the Stack: agencies, and the registers that they answer for.
fn declared(sandbox: &Sandbox) -> Vec<(ObjectKey, Value)> {
    let all = template::declared(sandbox);
    let ours = json!({ names::LABEL_MANAGED_BY: names::MANAGED_BY });
    let of = |kind: &str, metadata: &ObjectMeta, spec| owned(sandbox, kind, metadata, ours.clone(), spec);
    let members = all.members.iter().map(|one| of("Member", &one.metadata, json!(one.spec)));
    let registries = all.registries.iter().map(|one| of("Registry", &one.metadata, json!(one.spec)));
    members.chain(registries).collect()
}

/// The namespace and what is in it beside the Stack: nothing runs there, and only its owner's groups look into it.
fn objects(sandbox: &Sandbox, name: &str) -> Vec<(ObjectKey, Value)> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let mut labels = json!({ names::LABEL_MANAGED_BY: names::MANAGED_BY });
    for mode in ["enforce", "audit", "warn"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = json!("restricted");
    }
    let subject = |group: &String| json!({ "apiGroup": RBAC, "kind": "Group", "name": group });
    let subjects: Vec<Value> = sandbox.spec.owner.groups.iter().map(subject).collect();
    let role = json!({ "apiGroup": RBAC, "kind": "ClusterRole", "name": names::VIEWER_ROLE });
    let all = [
        ("v1", "Namespace", json!({}), labels),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } }),
            json!({}),
        ),
        ("v1", "ResourceQuota", json!({ "spec": { "hard": { "pods": "0" } } }), json!({})),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            json!({ "roleRef": role, "subjects": subjects }),
            json!({}),
        ),
    ];
    let made = all.into_iter().map(|(version, kind, mut body, labels)| {
        let namespaced = kind != "Namespace";
        let key = object(
            version,
            kind,
            namespaced.then_some(name),
            if namespaced { "plinth-bounds" } else { name },
        );
        body["apiVersion"] = json!(version);
        body["kind"] = json!(kind);
        body["metadata"] = json!({
            "name": key.name,
            "labels": labels,
            "annotations": { names::ANNOTATION_SANDBOX: id(sandbox) },
        });
        body["metadata"]["labels"][names::LABEL_MANAGED_BY] = json!(names::MANAGED_BY);
        if namespaced {
            body["metadata"]["namespace"] = json!(name);
        }
        (key, body)
    });
    made.collect()
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
    ObjectKey {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}

async fn put(key: &ObjectKey, body: &Value, manager: &str, context: &Context) -> Result<(), CallError> {
    let Some(served) = context.clusters.home().kinds.served(&key.api_version, &key.kind).await? else {
        return Err(CallError::Lost(format!("{} is not served", key.kind)));
    };
    let how = Applying { manager, answer: Answer::Metadata, ..Applying::rendered(true) };
    let writer = context.applier.writer();
    writer.apply::<IgnoredAny>(&served, key, body.to_string().into_bytes(), how).await.map(drop)
}
