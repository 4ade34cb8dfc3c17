//! What agencies are told about their objects (I/O). Of a Stack that is there its own reconcile tells them, so that each
//! status has one author; of one that is not there, and of what cannot be read, a small loop beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use plinth_api::{ExchangeAgreementStatus, MemberStatus, PublicServiceStatus, RegistryStatus, Stack};
use plinth_plan::exchange::declared::{AGREEMENT, PUBLIC_SERVICE, REGISTRY};
use plinth_plan::exchange::report::{
    Ground, Seen, Status, not_admitted, not_understood, report, stack_not_understood,
};
use plinth_plan::exchange::{Declared, Subject};
use plinth_plan::model::{ObjectKey, StackId};
use plinth_runtime::call::{Answer, CallError};
use plinth_runtime::events::transitions;
use plinth_runtime::lease::NotLeader;
use plinth_runtime::observe::agencies::Notice;
use plinth_runtime::observe::ingest::Lean;
use plinth_runtime::observe::own;
use plinth_runtime::status::{Told, lenient};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::context::{Context, now};

/// Statuses that are written at the same time.
const IN_FLIGHT: usize = 16;
/// What could not be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(2);

/// An object as it was read.
struct Object {
    key: ObjectKey,
    uid: Option<String>,
    seen: Seen,
}

/// Says of each object of a Stack's exchange where it stands; when to come back, where something is left to say.
///
/// # Errors
/// Another process leads.
pub(super) async fn tell(
    ground: Ground<'_>,
    declared: &Declared,
    context: &Context,
) -> Result<Option<Duration>, NotLeader> {
    let objects = objects(declared, context);
    let seen = objects.iter().map(|(subject, object)| (subject.clone(), object.seen.clone())).collect();
    let (_, now) = now();
    let told = report(ground, &seen, &now);
    say(&objects, told, context).await
}

/// Says of each object that has changed since it was told that its Stack cannot be read.
///
/// # Errors
/// Another process leads.
pub(super) async fn tell_of_unreadable(
    stack: &StackId,
    context: &Context,
) -> Result<Option<Duration>, NotLeader> {
    let (second, now) = now();
    let objects = objects(&context.agencies.declared(stack, second), context);
    let told = objects.iter().filter_map(|(subject, object)| {
        Some((subject.clone(), stack_not_understood(stack, &object.seen, &now)?))
    });
    say(&objects, told.collect(), context).await
}

fn objects(declared: &Declared, context: &Context) -> BTreeMap<Subject, Object> {
    let read = declared.objects().into_iter().map(|(subject, meta, status)| {
        let key = key_of(&subject);
        let status = context.status.newest(&key, meta.resource_version.as_deref(), status);
        let seen = Seen { generation: meta.generation.unwrap_or(1), status };
        (subject, Object { key, uid: meta.uid.clone(), seen })
    });
    read.collect()
}

fn key_of(subject: &Subject) -> ObjectKey {
    let (api_version, kind) = own(subject.kind);
    ObjectKey { api_version, kind, namespace: Some(subject.namespace.clone()), name: subject.name.clone() }
}

/// Writes what has changed; when to come back, where something is left to say.
async fn say(
    objects: &BTreeMap<Subject, Object>,
    told: BTreeMap<Subject, Status>,
    context: &Context,
) -> Result<Option<Duration>, NotLeader> {
    let writes = told.into_iter().filter_map(|(subject, status)| {
        let object = objects.get(&subject)?;
        (object.seen.status != status).then(|| write(object, status, context))
    });
    let waits: Vec<_> = stream::iter(writes).buffer_unordered(IN_FLIGHT).collect().await;
    let waits = waits.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(waits.into_iter().flatten().min())
}

async fn write(object: &Object, status: Status, context: &Context) -> Result<Option<Duration>, NotLeader> {
    let Object { key, uid, seen } = object;
    match context.status.agency(key, uid.as_deref(), &seen.status, &status).await {
        Ok(Told::Already) => Ok(None),
        Ok(Told::Later(wait)) => Ok(Some(wait)),
        Ok(Told::Now) => {
            let about = ObjectReference {
                api_version: Some(key.api_version.clone()),
                kind: Some(key.kind.clone()),
                namespace: key.namespace.clone(),
                name: Some(key.name.clone()),
                uid: uid.clone(),
                ..ObjectReference::default()
            };
            let changed = transitions(seen.status.conditions(), status.conditions());
            context.publish(&about, changed).await;
            Ok(None)
        }
        Err(CallError::NotLeader(error)) => Err(error),
        // It is gone, or another one of its name is there: whoever comes next is told anew.
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(None),
        Err(error) => {
            tracing::warn!(%key, %error, "its status cannot be written; it is tried again");
            Ok(Some(AGAIN))
        }
    }
}

/// Tells those whom no Stack's reconcile tells, until the notices or the lease end.
pub async fn outsiders(
    mut notices: UnboundedReceiver<Notice>,
    stacks: Store<DeserializeGuard<Stack>>,
    context: &Context,
) {
    let mut due: BTreeSet<Notice> = BTreeSet::new();
    let mut at = Instant::now();
    loop {
        tokio::select! {
            notice = notices.recv() => match notice {
                Some(notice) => drop(due.insert(notice)),
                None => return,
            },
            () = tokio::time::sleep_until(at), if !due.is_empty() => {}
        }
        let mut left = None;
        for notice in std::mem::take(&mut due) {
            match attend(&notice, &stacks, context).await {
                Ok(None) => {}
                Ok(Some(wait)) => {
                    left = left.into_iter().chain([wait]).min();
                    due.insert(notice);
                }
                Err(_) => return,
            }
        }
        at = Instant::now() + left.unwrap_or_default();
    }
}

async fn attend(
    notice: &Notice,
    stacks: &Store<DeserializeGuard<Stack>>,
    context: &Context,
) -> Result<Option<Duration>, NotLeader> {
    match notice {
        Notice::Stack(stack) => tell_of_missing(stack, stacks, context).await,
        Notice::Broken(subject) => tell_of_broken(subject, context).await,
        Notice::Gone(subject) => {
            context.status.forget_object(&key_of(subject));
            Ok(None)
        }
    }
}

/// Objects that name a Stack which does not exist.
async fn tell_of_missing(
    stack: &StackId,
    stacks: &Store<DeserializeGuard<Stack>>,
    context: &Context,
) -> Result<Option<Duration>, NotLeader> {
    let is_there = || stacks.get(&ObjectRef::new(&stack.name).within(&stack.namespace)).is_some();
    if is_there() {
        return Ok(None);
    }
    let (second, now) = now();
    let objects = objects(&context.agencies.declared(stack, second), context);
    let told = objects
        .iter()
        .map(|(subject, object)| (subject.clone(), not_admitted(subject, stack, &object.seen, &now)));
    let again = say(&objects, told.collect(), context).await?;
    if is_there() {
        // It came meanwhile: its own reconcile has the last word.
        context.clusters.home().observer.triggers().poke(stack.clone());
    }
    Ok(again)
}

/// An object that does not parse. What it says is read leniently, for the times of its conditions.
async fn tell_of_broken(subject: &Subject, context: &Context) -> Result<Option<Duration>, NotLeader> {
    let key = key_of(subject);
    let Some(why) = context.agencies.broken(subject) else { return Ok(None) };
    let home = context.clusters.home();
    let raw = match home.kinds.served(&key.api_version, &key.kind).await {
        Ok(Some(served)) => home.caller.get::<Lean>(&served, &key, Answer::Whole).await,
        Ok(None) => return Ok(None),
        Err(error) => Err(error),
    };
    let raw = match raw {
        Ok(Some(raw)) => raw,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(%key, %error, "it cannot be read; it is tried again");
            return Ok(Some(AGAIN));
        }
    };
    let text = |at: &str| raw.body().pointer(at).and_then(serde_json::Value::as_str).map(str::to_owned);
    let generation = raw.body().pointer("/metadata/generation").and_then(serde_json::Value::as_i64);
    let seen = Seen { generation: generation.unwrap_or(1), status: status_of(subject.kind, raw.body()) };
    let (_, now) = now();
    let told = not_understood(subject, &why, &seen, &now);
    let object = Object { key, uid: text("/metadata/uid"), seen };
    say(&[(subject.clone(), object)].into(), [(subject.clone(), told)].into(), context).await
}

fn status_of(kind: &str, body: &serde_json::Value) -> Status {
    match kind {
        AGREEMENT => Status::Agreement(lenient::<ExchangeAgreementStatus>(body)),
        REGISTRY => Status::Registry(lenient::<RegistryStatus>(body)),
        PUBLIC_SERVICE => Status::PublicService(lenient::<PublicServiceStatus>(body)),
        _ => Status::Member(lenient::<MemberStatus>(body)),
    }
}
