//! A generated secret that vanished while the data it opens still exists is an alarm, not a reason to make a new one: a
//! new password would lock the data in. Pure.
//!
//! The inventory alone cannot tell "vanished" from "not made yet", for it is written before the first apply. The order
//! can: a component starts only when its secrets are there. So a volume of a component that waits for the secret proves
//! that the secret existed, unless the component is older than its need for it: then the running workload shows
//! neither today's digest nor a reference to the secret. Where a component keeps its data elsewhere, as accounts in a
//! database, its running workload proves it alone: it goes on with the old value, and so does whoever lets it in.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use plinth_api::names;
use serde_json::Value;

use super::{is_workload, label};
use crate::model::{Desired, Live, ObjectKey, Observed, Unit, UnitId};

/// The alarm for a secret that is not on the cluster.
pub(super) fn vanished(unit: &Unit, units: &[Unit], secret: &Desired, observed: &Observed) -> Option<String> {
    generated_keys(secret).next()?;
    let witness = witness(unit, units, secret, None, observed)?;
    Some(alarm(unit, secret, &witness, "is gone"))
}

/// The alarm for a live secret that lost a generated key.
pub(super) fn lost_key(
    unit: &Unit,
    units: &[Unit],
    secret: &Desired,
    live: &Live,
    same_hash: bool,
    observed: &Observed,
) -> Option<String> {
    generated_keys(secret).filter(|key| !has_key(live, key)).find_map(|key| {
        // With today's digest the key was there when the secret was applied; otherwise it may be a new key.
        let proof = if same_hash { Proof::Certain } else { Proof::KeyReference(key) };
        let witness = witness(unit, units, secret, Some(proof), observed)?;
        Some(alarm(unit, secret, &witness, &format!("has lost its key {key}")))
    })
}

/// When something in the live secret is due to be made anew, in seconds since the Unix epoch.
pub(super) fn renewal(secret: &Desired, live: &Live) -> Option<i64> {
    let stamped = live.body.pointer("/metadata/annotations")?.get(names::ANNOTATION_RENEW_AT)?.as_str()?;
    // A text that is no time is somebody's mistake: the next write puts it right.
    let due = stamped.parse::<Timestamp>().map_or(i64::MIN, Timestamp::as_second);
    (!secret.secret.is_empty()).then_some(due)
}

/// The live secret holds this key.
pub(super) fn has_key(live: &Live, key: &str) -> bool {
    live.body.get("data").and_then(|data| data.get(key)).is_some()
}

fn generated_keys(secret: &Desired) -> impl Iterator<Item = &str> {
    let generated = secret.secret.iter().filter(|(_, source)| secret.data && source.is_born());
    generated.map(|(key, _)| key.as_str())
}

fn alarm(unit: &Unit, secret: &Desired, witness: &Witness, what: &str) -> String {
    let exists = match witness {
        Witness::Volume(key) => format!("{key}, which it opens, still exists"),
        Witness::Workload(key) => format!("{key} was started with it"),
    };
    format!(
        "{}: {what}, but {exists}: restore the Secret from backup, or ask for a new value with an Operation of type Rotate \
         (block {}, secret {})",
        secret.key, unit.id.block, secret.key.name
    )
}

/// What shows that the secret existed.
enum Witness {
    /// Data that it opens.
    Volume(ObjectKey),
    /// Something that began when it was there.
    Workload(ObjectKey),
}

enum Proof<'a> {
    Certain,
    KeyReference(&'a str),
}

/// A live object of a component that could only start with the secret: one with data where there is one.
fn witness(
    unit: &Unit,
    units: &[Unit],
    secret: &Desired,
    proof: Option<Proof<'_>>,
    observed: &Observed,
) -> Option<Witness> {
    let name = secret.key.name.as_str();
    let started_with_it = |desired: &Desired, live: &Live| match &proof {
        Some(Proof::Certain) => true,
        Some(Proof::KeyReference(key)) => mentions(&live.body, name, Some(key)),
        None => live.applied_hash() == Some(desired.hash.as_str()) || mentions(&live.body, name, None),
    };
    let mut running = None;
    for consumer in consumers(unit, units) {
        let workloads: Vec<(&Desired, &Live)> = consumer
            .objects
            .iter()
            .filter(|o| is_workload(&o.key.kind))
            .filter_map(|o| Some((o, observed.live.get(&o.key)?)))
            .collect();
        let started = workloads.iter().find(|(desired, live)| started_with_it(desired, live));
        // What is left alone, without a workload, is as it was when that ran.
        let alone = workloads.is_empty() && !matches!(proof, Some(Proof::KeyReference(_)));
        if (started.is_some() || alone)
            && let Some(volume) = data_of(consumer, secret.key.namespace.as_deref(), observed)
        {
            return Some(Witness::Volume(volume));
        }
        if let Some((workload, live)) = started
            && consumer.component
            && !live.deleting
            && !keeps_data(consumer)
        {
            running.get_or_insert_with(|| workload.key.clone());
        }
    }
    running.map(Witness::Workload)
}

/// The secret's own unit and the components that wait for it, directly or through secrets and configs made of it.
fn consumers<'a>(unit: &'a Unit, units: &'a [Unit]) -> Vec<&'a Unit> {
    let mut seen: BTreeSet<&UnitId> = BTreeSet::from([&unit.id]);
    let mut queue = VecDeque::from([unit]);
    let mut consumers = Vec::new();
    while let Some(current) = queue.pop_front() {
        consumers.push(current);
        if current.component {
            continue;
        }
        for next in units.iter().filter(|u| u.after.contains(&current.id)) {
            if seen.insert(&next.id) {
                queue.push_back(next);
            }
        }
    }
    consumers
}

/// A live object of the unit that holds data and is not itself a Secret: a planned one, or a claim that a StatefulSet
/// made. A claim without a component label counts for every component of its namespace.
fn data_of(unit: &Unit, namespace: Option<&str>, observed: &Observed) -> Option<ObjectKey> {
    let stays = |live: &Live| !live.deleting;
    let planned = unit.objects.iter().filter(|o| o.data && o.key.kind != "Secret").map(|o| &o.key);
    if let Some(key) = planned.filter(|k| observed.live.get(k).is_some_and(stays)).min() {
        return Some(key.clone());
    }
    if !unit.objects.iter().any(|o| is_workload(&o.key.kind)) {
        return None;
    }
    let claimed = observed.live.iter().find(|(key, live)| {
        key.kind == "PersistentVolumeClaim"
            && key.namespace.as_deref() == namespace
            && stays(live)
            && label(&live.body, names::LABEL_COMPONENT).is_none_or(|component| component == unit.id.name)
    });
    claimed.map(|(key, _)| key.clone())
}

/// Its data is in volumes of its own: without them it begins anew.
fn keeps_data(unit: &Unit) -> bool {
    unit.objects.iter().any(|o| o.key.kind == "StatefulSet" || (o.data && o.key.kind != "Secret"))
}

/// The object refers to the Secret (and to this key of it) from a container or a volume.
pub(crate) fn mentions(body: &Value, secret: &str, key: Option<&str>) -> bool {
    match body {
        Value::Array(items) => items.iter().any(|item| mentions(item, secret, key)),
        Value::Object(fields) => fields.iter().any(|(field, value)| {
            let hit = match field.as_str() {
                "secretKeyRef" => value["name"] == secret && key.is_none_or(|key| value["key"] == key),
                "secretRef" => key.is_none() && value["name"] == secret,
                "secret" => {
                    let named = value["secretName"] == secret || value["name"] == secret;
                    let items = value["items"].as_array().into_iter().flatten();
                    named && key.is_none_or(|key| items.into_iter().any(|item| item["key"] == key))
                }
                _ => false,
            };
            hit || mentions(value, secret, key)
        }),
        _ => false,
    }
}
