//! Taking away what is owned and no longer wanted. Works from inventories and labels alone, backwards, and never touches
//! data without an explicit word. Pure.

use std::collections::{BTreeMap, BTreeSet};

use plinth_api::condition::{Reason, State};
use plinth_api::mutant::Mutant;
use plinth_api::names;
use serde_json::Value;

use super::label;
use super::object::{deletion, is_ours};
use crate::model::{
    Action, Decisions, Inventory, InventoryEntry, Live, ObjectDecision, ObjectKey, Observed, StackId,
};

/// What a deleted Stack still has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Teardown {
    /// Deletes to issue now on the hub; all may run concurrently.
    pub actions: Vec<Action>,
    /// The same for each WorkloadCluster.
    pub elsewhere: BTreeMap<String, Vec<Action>>,
    /// What the teardown waits for, one line each.
    pub waiting_for: Vec<String>,
    /// What stays because it holds data, with its namespaces.
    pub retained: Vec<ObjectKey>,
    /// Nothing that is to be deleted is left.
    pub done: bool,
}

/// What to do about a deleted Stack. The spec is not asked: it may no longer parse. Each cluster is cleared by itself; one
/// that does not answer is waited for.
pub fn teardown(stack: &StackId, observed: &Observed, delete_data: bool) -> Teardown {
    let mut whole = Teardown { done: true, ..Teardown::default() };
    for (cluster, observed) in observed.clusters() {
        let part = match observed.silence(cluster) {
            Some(silence) => Teardown { waiting_for: vec![silence], ..Teardown::default() },
            None => cleared(stack, observed, delete_data),
        };
        whole.done &= part.done;
        whole.waiting_for.extend(part.waiting_for);
        whole.retained.extend(part.retained);
        match cluster {
            None => whole.actions = part.actions,
            Some(_) if part.actions.is_empty() => {}
            Some(cluster) => drop(whole.elsewhere.insert(cluster.to_owned(), part.actions)),
        }
    }
    whole
}

/// What to do on one cluster.
fn cleared(stack: &StackId, observed: &Observed, delete_data: bool) -> Teardown {
    let listed = observed.inventory.values().flat_map(|i| i.entries.iter().cloned());
    let known: BTreeSet<&ObjectKey> =
        observed.inventory.values().flat_map(|i| i.entries.iter().map(|e| &e.key)).collect();
    let labelled =
        observed.live.iter().filter(|(key, live)| !known.contains(key) && is_leftover(key, live, stack));
    // Without an inventory line nobody said that a Secret opens no data, so it is taken to.
    let labelled = labelled.map(|(key, _)| InventoryEntry { key: key.clone(), data: key.kind == "Secret" });
    let entries: Vec<InventoryEntry> = labelled.chain(listed).collect();

    let removal = Removal::of(&entries, stack, observed, delete_data);
    let going = removal.going.iter().filter(|g| g.action.is_none());
    let forgotten = forgotten(observed, &removal);
    Teardown {
        done: removal.going.is_empty() && forgotten.is_empty(),
        waiting_for: going.map(|g| g.message.clone()).collect(),
        actions: removal.going.iter().filter_map(|g| g.action.clone()).chain(forgotten).collect(),
        retained: removal.retained.into_iter().collect(),
        elsewhere: BTreeMap::new(),
    }
}

/// Inventories in agencies' namespaces do not go with the namespace: each goes once nothing that it lists is left.
fn forgotten(observed: &Observed, removal: &Removal) -> Vec<Action> {
    let left = |entry: &InventoryEntry| removal.goes(&entry.key) || removal.retained.contains(&entry.key);
    let foreign = observed.inventory.iter().filter(|(block, inventory)| {
        block.starts_with(names::TENANT_PREFIX) && !inventory.entries.iter().any(left)
    });
    foreign
        .map(|(block, _)| Action::RecordInventory { block: block.clone(), inventory: Inventory::default() })
        .collect()
}

/// An object that no inventory lists and that carries the Stack's labels in its own right.
fn is_leftover(key: &ObjectKey, live: &Live, stack: &StackId) -> bool {
    let of_stack = label(&live.body, names::LABEL_STACK_NAMESPACE) == Some(stack.namespace.as_str())
        && label(&live.body, names::LABEL_STACK) == Some(stack.name.as_str());
    let owned = live.body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    of_stack
        // Pods and the like inherit labels; the garbage collector takes them with their owner.
        && owned.is_none_or(Vec::is_empty)
        // The inventory outlives what it lists and goes with its namespace; our own kinds are the hub's matter.
        && label(&live.body, names::LABEL_INVENTORY).is_none()
        && !key.api_version.starts_with(names::GROUP)
}

/// What is wanted no longer, and what becomes of each.
pub(super) struct Removal {
    pub going: Vec<Going>,
    /// Live objects that hold data, and the namespaces around them.
    pub retained: BTreeSet<ObjectKey>,
}

/// An object on its way out; without an action it waits for something.
pub(super) struct Going {
    pub key: ObjectKey,
    pub action: Option<Action>,
    pub message: String,
    pub recheck: Option<i64>,
}

impl Removal {
    /// Everything in `entries`, backwards; namespaces last and only when empty of data.
    pub fn of(entries: &[InventoryEntry], stack: &StackId, observed: &Observed, delete_data: bool) -> Self {
        let mut removal = Removal { going: Vec::new(), retained: BTreeSet::new() };
        let live = |key: &ObjectKey| observed.live.get(key);
        let (namespaces, objects): (Vec<_>, Vec<_>) = entries.iter().partition(|e| e.key.kind == "Namespace");

        let mut seen = BTreeSet::new();
        for entry in objects.into_iter().rev().filter(|e| seen.insert(&e.key)) {
            let Some(live) = live(&entry.key) else { continue };
            let data = (holds_data(&entry.key, live) || entry.data) && !Mutant::RetainedDataDeleted.lives();
            if data && (!delete_data || !is_ours(live, stack)) {
                removal.retained.insert(entry.key.clone());
            } else if is_ours(live, stack) {
                removal.going.push(Going::of(&entry.key, live, observed));
            }
        }

        let objects_gone = removal.going.is_empty();
        let mut seen = BTreeSet::new();
        for entry in namespaces.into_iter().rev().filter(|e| seen.insert(&e.key)) {
            let key = &entry.key;
            let Some(live) = live(key).filter(|live| is_ours(live, stack)) else { continue };
            let inside: Vec<&ObjectKey> = observed
                .live
                .iter()
                .filter(|(k, _)| k.namespace.as_ref() == Some(&key.name))
                // Data that no list of ours names (a claim made by hand, say) keeps its namespace too.
                .filter(|(k, l)| removal.retained.contains(*k) || holds_data(k, l) && !removal.goes(k))
                .map(|(k, _)| k)
                .collect();
            if !inside.is_empty() && !Mutant::NamespaceWithDataDeleted.lives() {
                removal.retained.extend(inside.into_iter().cloned());
                removal.retained.insert(key.clone());
                continue;
            }
            let mut going = Going::of(key, live, observed);
            // The inventory lives in the namespace: it must outlast everything that it lists.
            if !objects_gone && going.action.is_some() {
                going.action = None;
                going.message = format!("{key}: waits until what is in it is gone");
            }
            removal.going.push(going);
        }
        removal
    }

    fn goes(&self, key: &ObjectKey) -> bool {
        self.going.iter().any(|g| g.key == *key)
    }

    /// Each object that is left, for the status of the block.
    pub fn decisions(&self) -> Vec<ObjectDecision> {
        let going = self.going.iter().map(|g| ObjectDecision {
            key: g.key.clone(),
            state: State::Orphaned,
            reason: Reason::Deleting,
            message: g.message.clone(),
        });
        let retained = self.retained.iter().map(|key| ObjectDecision {
            key: key.clone(),
            state: State::Orphaned,
            reason: Reason::DataRetained,
            message: format!(
                "{key}: is no longer planned and kept for its data; delete it by hand when that may go"
            ),
        });
        going.chain(retained).collect()
    }
}

impl Going {
    fn of(key: &ObjectKey, live: &Live, observed: &Observed) -> Self {
        let failure = observed.failures.get(key).filter(|f| f.retry_at > observed.now);
        let (action, message) = match failure {
            _ if live.deleting => (None, deletion(live)),
            Some(failure) => (None, format!("cannot be deleted: {}", failure.message)),
            None => {
                let delete = Action::Delete { key: key.clone(), uid: live.uid.clone() };
                (Some(delete), "is no longer planned and is being deleted".to_owned())
            }
        };
        let recheck = failure.filter(|_| !live.deleting).map(|f| f.retry_at);
        Going { key: key.clone(), action, message: format!("{key}: {message}"), recheck }
    }
}

/// What is on its way out, and what stays for its data.
pub(super) fn note_orphans(
    block: &str,
    removal: &Removal,
    hold: Option<(Reason, &str)>,
    decisions: &mut Decisions,
) {
    let mut orphans = removal.decisions();
    if let Some((reason, words)) = hold {
        for orphan in orphans.iter_mut().filter(|o| o.reason == Reason::Deleting) {
            orphan.reason = reason;
            orphan.message = format!("{}: is no longer planned; {words}", orphan.key);
        }
    }
    if !orphans.is_empty() {
        decisions.orphans.entry(block.to_owned()).or_default().append(&mut orphans);
    }
}

/// Deletes what is wanted no longer; once that is gone, takes it off the inventory.
pub(super) fn prune(
    block: &str,
    inventory: &Inventory,
    planned: &[InventoryEntry],
    removal: Removal,
    observed: &Observed,
) -> Vec<Action> {
    if !removal.going.is_empty() {
        return removal.going.into_iter().filter_map(|g| g.action).collect();
    }
    // Without its namespace an inventory is gone already; the next look will not see it.
    let home = inventory.entries.iter().find(|e| e.key.kind == "Namespace");
    let has_home = home.is_none_or(|e| observed.live.get(&e.key).is_some_and(|live| !live.deleting));
    let shrunk = shrunk(inventory, planned, &removal).filter(|_| has_home);
    let record = shrunk.map(|inventory| Action::RecordInventory { block: block.to_owned(), inventory });
    record.into_iter().collect()
}

/// By its nature or by its annotation, whatever the inventory says.
fn holds_data(key: &ObjectKey, live: &Live) -> bool {
    let annotation = live.body.pointer("/metadata/annotations").and_then(|a| a.get(names::ANNOTATION_DATA));
    key.kind == "PersistentVolumeClaim" || annotation.is_some_and(|value| value != "false")
}

/// Live claims of a block: a StatefulSet makes them, no inventory lists them.
pub(super) fn claims(stack: &StackId, block: &str, observed: &Observed) -> Vec<InventoryEntry> {
    let of_block = observed.live.iter().filter(|(key, live)| {
        key.kind == "PersistentVolumeClaim"
            && label(&live.body, names::LABEL_BLOCK) == Some(block)
            && is_leftover(key, live, stack)
    });
    of_block.map(|(key, _)| InventoryEntry { key: key.clone(), data: true }).collect()
}

/// The union of what was owned before and what is planned: what is no longer planned first, then the plan in its order.
/// `None` when the inventory holds all of the plan already. Data once is data for good.
pub(super) fn missing(before: Option<&Inventory>, planned: &[InventoryEntry]) -> Option<Inventory> {
    let before = before.map_or(&[][..], |i| &i.entries[..]);
    let data: BTreeMap<&ObjectKey, bool> = before.iter().map(|e| (&e.key, e.data)).collect();
    if planned.iter().all(|e| data.get(&e.key).is_some_and(|was| *was || !e.data)) {
        return None;
    }
    let kept: BTreeSet<&ObjectKey> = planned.iter().map(|e| &e.key).collect();
    let union = planned.iter().map(|e| InventoryEntry {
        key: e.key.clone(),
        data: e.data || data.get(&e.key).is_some_and(|was| *was),
    });
    let entries = before.iter().filter(|e| !kept.contains(&e.key)).cloned().chain(union).collect();
    Some(Inventory { entries })
}

/// The inventory without what is gone: the plan, and data with the namespaces around it. `None` when nothing is gone.
/// A line for data stays even when its object is not seen: forgetting it could one day delete it with its namespace.
fn shrunk(before: &Inventory, planned: &[InventoryEntry], removal: &Removal) -> Option<Inventory> {
    let wanted: BTreeSet<&ObjectKey> = planned.iter().map(|e| &e.key).collect();
    let entries: Vec<InventoryEntry> = before
        .entries
        .iter()
        .filter(|e| wanted.contains(&e.key) || e.data || removal.retained.contains(&e.key))
        .cloned()
        .collect();
    (entries.len() < before.entries.len()).then_some(Inventory { entries })
}
