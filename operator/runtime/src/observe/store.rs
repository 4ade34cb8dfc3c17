//! The cache: what the watches and our own writes have shown, indexed by Stack. Pure apart from its lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plinth_api::mutant::Mutant;
use plinth_plan::model::{Inventory, Live, ObjectKey, Observed, PodBrief, StackId, UnitId};

use super::ingest::{Chunk, Content, Seen};

/// `(apiVersion, kind)`.
pub type KindName = (String, String);

/// Everything cached of one cluster.
#[derive(Debug, Default)]
pub struct Store {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stacks: HashMap<StackId, Objects>,
    kinds: HashMap<KindName, Kind>,
}

#[derive(Debug, Default)]
struct Kind {
    /// Whose each object is.
    owners: HashMap<ObjectKey, StackId>,
    /// Newest version that the watch has delivered.
    watched: u64,
    /// A list under way, to replace what is cached when it is complete.
    listing: Option<Listing>,
}

#[derive(Debug, Default)]
struct Listing {
    seen: Vec<Seen>,
    /// Written by us since the list began: it may be in it or not.
    written: BTreeSet<ObjectKey>,
}

/// One Stack's part.
#[derive(Debug, Default)]
struct Objects {
    live: BTreeMap<ObjectKey, (u64, Live)>,
    pods: BTreeMap<ObjectKey, (u64, UnitId, PodBrief)>,
    inventory: BTreeMap<ObjectKey, (u64, Chunk)>,
}

impl Objects {
    fn version(&self, key: &ObjectKey) -> Option<u64> {
        let live = self.live.get(key).map(|o| o.0);
        live.or_else(|| self.pods.get(key).map(|o| o.0)).or_else(|| self.inventory.get(key).map(|o| o.0))
    }

    fn put(&mut self, seen: Seen) -> bool {
        let Seen { key, version, content, .. } = seen;
        match content {
            Content::Object(live) => {
                let same = self.live.get(&key).is_some_and(|(_, old)| old.body == live.body);
                // Keep the old allocation when nothing changed: plans in flight share it.
                if same {
                    self.live.entry(key).and_modify(|old| {
                        old.0 = version;
                        old.1.applied = live.applied;
                    });
                } else {
                    self.live.insert(key, (version, live));
                }
                !same
            }
            Content::Pod(unit, brief) => {
                let same = self.pods.get(&key).is_some_and(|(_, u, b)| *u == unit && *b == brief);
                self.pods.insert(key, (version, unit, brief));
                !same
            }
            Content::Inventory(chunk) => {
                let same = self.inventory.get(&key).is_some_and(|(_, old)| old.entries == chunk.entries);
                self.inventory.insert(key, (version, chunk));
                !same
            }
        }
    }

    fn remove(&mut self, key: &ObjectKey) -> bool {
        let live = self.live.remove(key).is_some();
        let pod = self.pods.remove(key).is_some();
        self.inventory.remove(key).is_some() || live || pod
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.pods.is_empty() && self.inventory.is_empty()
    }
}

impl Inner {
    /// The Stack to look at again, when something changed.
    fn put(&mut self, kind: &KindName, seen: Seen) -> Option<StackId> {
        let owners = &mut self.kinds.entry(kind.clone()).or_default().owners;
        let Some(stack) = seen.stack.clone() else {
            // It lost the labels that made it ours.
            let old = owners.remove(&seen.key)?;
            self.forget(&old, &seen.key);
            return Some(old);
        };
        if let Some(old) = owners.insert(seen.key.clone(), stack.clone())
            && old != stack
        {
            self.forget(&old, &seen.key);
        }
        self.stacks.entry(stack.clone()).or_default().put(seen).then_some(stack)
    }

    fn remove(&mut self, kind: &KindName, key: &ObjectKey) -> Option<StackId> {
        let stack = self.kinds.get_mut(kind)?.owners.remove(key)?;
        self.forget(&stack, key).then_some(stack)
    }

    fn forget(&mut self, stack: &StackId, key: &ObjectKey) -> bool {
        let Some(objects) = self.stacks.get_mut(stack) else { return false };
        let removed = objects.remove(key);
        if objects.is_empty() {
            self.stacks.remove(stack);
        }
        removed
    }

    fn version(&self, kind: &KindName, key: &ObjectKey) -> Option<u64> {
        let stack = self.kinds.get(kind)?.owners.get(key)?;
        self.stacks.get(stack)?.version(key)
    }
}

/// What the end of a list brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Relisted {
    /// Stacks of which something changed.
    pub changed: BTreeSet<StackId>,
    /// Objects that we wrote meanwhile and the list does not have: only a read can tell whether they still exist.
    pub doubtful: Vec<ObjectKey>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held leaves a cache that the next list repairs.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list begins; what is cached stays until it is complete.
    pub fn list_begins(&self, kind: &KindName) {
        self.lock().kinds.entry(kind.clone()).or_default().listing = Some(Listing::default());
    }

    /// An object of the list.
    pub fn listed(&self, kind: &KindName, seen: Seen) {
        let mut inner = self.lock();
        let kind = inner.kinds.entry(kind.clone()).or_default();
        kind.watched = kind.watched.max(seen.version);
        kind.listing.get_or_insert_with(Listing::default).seen.push(seen);
    }

    /// The list is complete: what it does not have is gone.
    pub fn list_ends(&self, kind: &KindName) -> Relisted {
        let mut inner = self.lock();
        let Some(state) = inner.kinds.get_mut(kind) else { return Relisted::default() };
        let Some(listing) = state.listing.take() else { return Relisted::default() };
        let present: BTreeSet<&ObjectKey> = listing.seen.iter().map(|seen| &seen.key).collect();
        let absent: Vec<ObjectKey> =
            state.owners.keys().filter(|key| !present.contains(key)).cloned().collect();
        let mut relisted = Relisted::default();
        for key in absent {
            if Mutant::RelistKeepsTheOld.lives() {
                continue;
            }
            if listing.written.contains(&key) {
                relisted.doubtful.push(key);
            } else {
                relisted.changed.extend(inner.remove(kind, &key));
            }
        }
        for seen in listing.seen {
            // Our own write may be newer than the list.
            if inner.version(kind, &seen.key).is_none_or(|version| version <= seen.version) {
                relisted.changed.extend(inner.put(kind, seen));
            }
        }
        relisted
    }

    /// The watch delivered an object.
    pub fn watched(&self, kind: &KindName, seen: Seen) -> Option<StackId> {
        let mut inner = self.lock();
        let state = inner.kinds.entry(kind.clone()).or_default();
        state.watched = state.watched.max(seen.version);
        if inner.version(kind, &seen.key).is_some_and(|version| version > seen.version) {
            return None;
        }
        inner.put(kind, seen)
    }

    /// The watch delivered a deletion.
    pub fn deleted(&self, kind: &KindName, seen: &Seen) -> Option<StackId> {
        let mut inner = self.lock();
        let state = inner.kinds.entry(kind.clone()).or_default();
        state.watched = state.watched.max(seen.version);
        inner.remove(kind, &seen.key)
    }

    /// The API server answered one of our own writes. Taken in at once, so that the reconcile that wrote sees it,
    /// unless the watch knows better already.
    pub fn wrote(&self, kind: &KindName, seen: Seen) {
        let mut inner = self.lock();
        let known = inner.version(kind, &seen.key);
        let state = inner.kinds.entry(kind.clone()).or_default();
        if let Some(listing) = &mut state.listing {
            listing.written.insert(seen.key.clone());
        }
        let stale = match known {
            Some(version) => version >= seen.version,
            // The watch has passed this version and does not have the object: it was deleted since.
            None => state.watched >= seen.version,
        };
        if !stale {
            inner.put(kind, seen);
        }
    }

    /// The API server accepted our delete. Until the watch shows the end the object counts as going, so that the
    /// reconcile that deletes does not ask twice.
    pub fn deleting(&self, kind: &KindName, key: &ObjectKey, uid: &str) {
        let mut inner = self.lock();
        let Some(stack) = inner.kinds.get(kind).and_then(|kind| kind.owners.get(key)).cloned() else {
            return;
        };
        let live = inner.stacks.get_mut(&stack).and_then(|objects| objects.live.get_mut(key));
        if let Some((_, live)) = live
            && live.uid == uid
        {
            live.deleting = true;
        }
    }

    /// A read found that the object does not exist.
    pub fn absent(&self, kind: &KindName, key: &ObjectKey) -> Option<StackId> {
        self.lock().remove(kind, key)
    }

    /// What is known of one Stack. Plinth's own kinds are left out: they describe, they are not described.
    pub fn snapshot(&self, stack: &StackId) -> Observed {
        let inner = self.lock();
        let mut observed = Observed::default();
        let Some(objects) = inner.stacks.get(stack) else { return observed };
        observed.live = objects
            .live
            .iter()
            .filter(|(key, _)| !is_own(key))
            .map(|(key, (_, live))| (key.clone(), live.clone()))
            .collect();
        for (_, unit, brief) in objects.pods.values() {
            observed.pods.entry(unit.clone()).or_default().push(brief.clone());
        }
        let mut chunks: Vec<&Chunk> = objects.inventory.values().map(|(_, chunk)| chunk).collect();
        chunks.sort_by_key(|chunk| (&chunk.block, chunk.index));
        for chunk in chunks {
            let inventory: &mut Inventory = observed.inventory.entry(chunk.block.clone()).or_default();
            inventory.entries.extend(chunk.entries.iter().cloned());
        }
        observed
    }

    /// One object, whoever's it is.
    pub fn object(&self, key: &ObjectKey) -> Option<Live> {
        let inner = self.lock();
        let kind = (key.api_version.clone(), key.kind.clone());
        let stack = inner.kinds.get(&kind)?.owners.get(key)?;
        inner.stacks.get(stack)?.live.get(key).map(|(_, live)| live.clone())
    }

    /// A Stack's objects of Plinth's own kinds.
    pub fn own(&self, stack: &StackId) -> Vec<(ObjectKey, Live)> {
        let inner = self.lock();
        let objects = inner.stacks.get(stack);
        let live = objects.into_iter().flat_map(|objects| &objects.live);
        live.filter(|(key, _)| is_own(key)).map(|(key, (_, live))| (key.clone(), live.clone())).collect()
    }

    /// A Stack's objects of one kind.
    pub fn of_kind(&self, stack: &StackId, kind: &KindName) -> Vec<Live> {
        let inner = self.lock();
        let live = inner.stacks.get(stack).into_iter().flat_map(|objects| &objects.live);
        let is_kind = |key: &ObjectKey| key.api_version == kind.0 && key.kind == kind.1;
        live.filter(|(key, _)| is_kind(key)).map(|(_, (_, live))| live.clone()).collect()
    }

    /// Every Stack's objects of one kind, with whose each is.
    pub fn all_of_kind(&self, kind: &KindName) -> Vec<(StackId, Live)> {
        let inner = self.lock();
        let owners = inner.kinds.get(kind).into_iter().flat_map(|kind| &kind.owners);
        let live = owners.filter_map(|(key, stack)| {
            let (_, live) = inner.stacks.get(stack)?.live.get(key)?;
            Some((stack.clone(), live.clone()))
        });
        live.collect()
    }

    /// The inventory ConfigMaps of one block.
    pub fn chunks(&self, stack: &StackId, block: &str) -> Vec<(ObjectKey, Chunk)> {
        let inner = self.lock();
        let objects = inner.stacks.get(stack);
        let chunks = objects.into_iter().flat_map(|objects| &objects.inventory);
        let mut chunks: Vec<_> = chunks
            .filter(|(_, (_, chunk))| chunk.block == block)
            .map(|(key, (_, chunk))| (key.clone(), chunk.clone()))
            .collect();
        chunks.sort_by_key(|(_, chunk)| chunk.index);
        chunks
    }

    /// Kinds that the inventories of all Stacks list.
    pub fn inventoried_kinds(&self, stack: &StackId) -> BTreeSet<KindName> {
        let inner = self.lock();
        let objects = inner.stacks.get(stack);
        let chunks = objects.into_iter().flat_map(|objects| objects.inventory.values());
        let entries = chunks.flat_map(|(_, chunk)| &chunk.entries);
        entries.map(|entry| (entry.key.api_version.clone(), entry.key.kind.clone())).collect()
    }

    /// How many objects are cached.
    pub fn len(&self) -> usize {
        self.lock().kinds.values().map(|kind| kind.owners.len()).sum()
    }

    /// Nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn is_own(key: &ObjectKey) -> bool {
    key.api_version.split_once('/').is_some_and(|(group, _)| group == plinth_api::names::GROUP)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn kind() -> KindName {
        ("v1".to_owned(), "ConfigMap".to_owned())
    }

    fn stack(name: &str) -> StackId {
        StackId { namespace: "gov".to_owned(), name: name.to_owned() }
    }

    fn seen(name: &str, version: u64, owner: Option<&str>) -> Seen {
        let key = ObjectKey {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some("ns".to_owned()),
            name: name.to_owned(),
        };
        let body = Arc::new(json!({ "data": { "version": version } }));
        Seen {
            key,
            version,
            stack: owner.map(stack),
            content: Content::Object(Live { body, ..Live::default() }),
        }
    }

    fn names(store: &Store, owner: &str) -> Vec<String> {
        store.snapshot(&stack(owner)).live.keys().map(|key| key.name.clone()).collect()
    }

    #[test]
    fn our_own_write_is_seen_at_once_and_its_echo_changes_nothing() {
        let store = Store::default();
        store.wrote(&kind(), seen("a", 5, Some("one")));
        assert_eq!(names(&store, "one"), ["a"]);
        assert_eq!(store.watched(&kind(), seen("a", 5, Some("one"))), None);
        assert_eq!(store.watched(&kind(), seen("a", 6, Some("one"))), Some(stack("one")));
    }

    #[test]
    fn an_answer_that_arrives_after_the_deletion_raises_no_ghost() {
        let store = Store::default();
        store.watched(&kind(), seen("a", 5, Some("one")));
        store.deleted(&kind(), &seen("a", 7, Some("one")));
        store.wrote(&kind(), seen("a", 5, Some("one")));
        assert!(names(&store, "one").is_empty());
    }

    #[test]
    fn an_older_event_never_replaces_a_newer_answer() {
        let store = Store::default();
        store.wrote(&kind(), seen("a", 9, Some("one")));
        assert_eq!(store.watched(&kind(), seen("a", 8, Some("one"))), None);
        assert_eq!(store.snapshot(&stack("one")).live.values().next().unwrap().body["data"]["version"], 9);
    }

    #[test]
    fn a_new_list_removes_what_is_gone_and_doubts_what_was_just_written() {
        let store = Store::default();
        store.watched(&kind(), seen("gone", 1, Some("one")));
        store.watched(&kind(), seen("stays", 2, Some("two")));
        store.list_begins(&kind());
        store.wrote(&kind(), seen("new", 9, Some("one")));
        store.listed(&kind(), seen("stays", 2, Some("two")));
        let relisted = store.list_ends(&kind());
        assert_eq!(relisted.changed, [stack("one")].into());
        assert_eq!(relisted.doubtful.len(), 1);
        assert_eq!(names(&store, "one"), ["new"]);
        assert_eq!(names(&store, "two"), ["stays"]);
    }

    #[test]
    fn an_object_that_changes_its_labels_changes_its_stack() {
        let store = Store::default();
        store.watched(&kind(), seen("a", 1, Some("one")));
        assert_eq!(store.watched(&kind(), seen("a", 2, Some("two"))), Some(stack("two")));
        assert!(names(&store, "one").is_empty());
        assert_eq!(store.watched(&kind(), seen("a", 3, None)), Some(stack("two")));
        assert!(store.is_empty());
    }
}
