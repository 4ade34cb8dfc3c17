//! What people sign in with: the user names and passwords of a sandbox's products, in one Secret that its owner's groups may read. It
//! goes from Secret to Secret; no status, log or event ever holds it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use plinth_api::{Stack, names};
use plinth_plan::model::{Desired, ObjectKey, Plan, SecretSource};
use plinth_runtime::call::{Answer, Applying, CallError};
use plinth_runtime::status::id_of;
use serde::de::IgnoredAny;
use serde_json::json;

use super::Memory;
use crate::controllers::context::Context;

/// Keys of a Secret that a person signs in to a product with.
const USER: &str = "username";
const PASSWORD: &str = "password";

/// Sees that the Secret is there once the Stack's plan is, and made anew when that changes. Whether it is.
///
/// # Errors
/// The API server refused or did not answer.
pub(super) async fn credentials(
    stack: &Stack,
    memory: &mut Memory,
    context: &Context,
) -> Result<bool, CallError> {
    let Some(status) = &stack.status else { return Ok(false) };
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.reason.as_str());
    let read_at = format!("{:?} {:?}", status.plan_hash, ready);
    if memory.credentials.as_ref() == Some(&read_at) {
        return Ok(true);
    }
    let Some(plan) = context.plan(&id_of(stack)).await else { return Ok(false) };
    let mut data = BTreeMap::new();
    for (block, secret) in sign_ins(&plan) {
        let Some(values) = values(&secret.key, context).await? else { return Ok(false) };
        for (key, value) in values.into_iter().filter(|(key, _)| key == USER || key == PASSWORD) {
            data.insert(format!("{block}.{key}"), value);
        }
    }
    let namespace = stack.namespace().unwrap_or_default();
    let key = secret_key(&namespace, names::SANDBOX_CREDENTIALS);
    let body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": { names::LABEL_MANAGED_BY: names::MANAGED_BY },
        },
        "type": "Opaque",
        "data": data,
    });
    let Some(served) = context.clusters.home().kinds.served("v1", "Secret").await? else { return Ok(false) };
    let how = Applying { answer: Answer::Metadata, ..Applying::rendered(true) };
    let writer = context.applier.writer();
    writer.apply::<IgnoredAny>(&served, &key, body.to_string().into_bytes(), how).await?;
    memory.credentials = Some(read_at);
    Ok(true)
}

/// Secrets of the blocks' own products that hold a user name and a password that was made: what a person signs in with. Those of
/// databases and the like belong to other products of the block.
fn sign_ins(plan: &Plan) -> impl Iterator<Item = (&str, &Desired)> {
    plan.blocks.iter().flat_map(|block| {
        let own = move |object: &&Desired| {
            let product = object.body["metadata"]["labels"][names::LABEL_PART_OF].as_str();
            let is_made = |source: &SecretSource| matches!(source, SecretSource::Generate { .. });
            product.is_some()
                && product == block.product.as_deref()
                && object.secret.contains_key(USER)
                && object.secret.get(PASSWORD).is_some_and(is_made)
        };
        let objects = block.units.iter().flat_map(|unit| &unit.objects);
        objects.filter(own).map(|object| (block.name.as_str(), object))
    })
}

pub(super) async fn values(
    key: &ObjectKey,
    context: &Context,
) -> Result<Option<BTreeMap<String, ByteString>>, CallError> {
    let home = context.clusters.home();
    let Some(served) = home.kinds.served("v1", "Secret").await? else { return Ok(None) };
    let found: Option<Secret> = home.caller.get(&served, key, Answer::Whole).await?;
    Ok(found.map(|secret| secret.data.unwrap_or_default()))
}

pub(super) fn secret_key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}
