//! Which Stack each object names, and whom a change of it concerns. Pure.

use std::collections::{BTreeMap, BTreeSet};

use plinth_plan::exchange::Subject;
use plinth_plan::model::StackId;

use super::Notice;

/// What of an object has to change for somebody to be woken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The Stack; `None` where the object cannot be read.
    pub stack: Option<StackId>,
    /// uid: another one is another object of the same name.
    pub uid: Option<String>,
    /// Moves with the spec, not with the status.
    pub generation: Option<i64>,
    /// It is on its way out.
    pub deleting: bool,
}

/// Every object that was seen.
#[derive(Debug, Default)]
pub(super) struct Names {
    objects: BTreeMap<Subject, Entry>,
}

impl Names {
    /// An object as it is now; whom that concerns.
    pub fn put(&mut self, subject: Subject, entry: Entry) -> Vec<Notice> {
        let old = self.objects.insert(subject.clone(), entry.clone());
        if old.as_ref() == Some(&entry) {
            return Vec::new();
        }
        let before = old.and_then(|old| old.stack).filter(|stack| Some(stack) != entry.stack.as_ref());
        let now = entry.stack.map_or(Notice::Broken(subject), Notice::Stack);
        before.map(Notice::Stack).into_iter().chain([now]).collect()
    }

    /// An object that is gone; whom that concerns.
    pub fn remove(&mut self, subject: &Subject) -> Vec<Notice> {
        let Some(old) = self.objects.remove(subject) else { return Vec::new() };
        old.stack.map(Notice::Stack).into_iter().chain([Notice::Gone(subject.clone())]).collect()
    }

    /// A new list of a kind: what it does not have is gone.
    pub fn keep(&mut self, kind: &str, listed: &BTreeSet<Subject>) -> Vec<Notice> {
        let of_kind = self.objects.keys().filter(|subject| subject.kind == kind);
        let gone: Vec<Subject> = of_kind.filter(|subject| !listed.contains(subject)).cloned().collect();
        gone.iter().flat_map(|subject| self.remove(subject)).collect()
    }

    /// Stacks that are named.
    pub fn stacks(&self) -> BTreeSet<StackId> {
        self.objects.values().filter_map(|entry| entry.stack.clone()).collect()
    }

    /// Stacks that objects in a namespace name.
    pub fn stacks_in(&self, namespace: &str) -> BTreeSet<StackId> {
        let inside = self.objects.iter().filter(|(subject, _)| subject.namespace == namespace);
        inside.filter_map(|(_, entry)| entry.stack.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject { kind: "Member", namespace: "tax".to_owned(), name: name.to_owned() }
    }

    fn stack(name: &str) -> StackId {
        StackId { namespace: "dpi".to_owned(), name: name.to_owned() }
    }

    fn entry(name: Option<&str>, generation: i64) -> Entry {
        Entry { stack: name.map(stack), generation: Some(generation), ..Entry::default() }
    }

    #[test]
    fn a_change_concerns_the_stack_that_is_named_and_the_one_that_was() {
        let mut names = Names::default();
        let woken = |name: &str| Notice::Stack(stack(name));
        assert_eq!(names.put(subject("a"), entry(Some("one"), 1)), [woken("one")]);
        assert_eq!(names.put(subject("a"), entry(Some("one"), 1)), [], "a status alone wakes nobody");
        assert_eq!(names.put(subject("a"), entry(Some("one"), 2)), [woken("one")]);
        assert_eq!(names.put(subject("a"), entry(Some("two"), 3)), [woken("one"), woken("two")]);
        assert_eq!(names.put(subject("a"), entry(None, 4)), [woken("two"), Notice::Broken(subject("a"))]);
        assert_eq!(names.put(subject("a"), entry(Some("two"), 5)), [woken("two")]);
        let reborn = Entry { uid: Some("other".to_owned()), ..entry(Some("two"), 5) };
        assert_eq!(names.put(subject("a"), reborn), [woken("two")]);
        assert_eq!(names.remove(&subject("a")), [woken("two"), Notice::Gone(subject("a"))]);
        assert_eq!(names.remove(&subject("a")), []);
    }

    #[test]
    fn a_new_list_tells_what_is_gone_and_labels_concern_who_is_inside() {
        let mut names = Names::default();
        names.put(subject("a"), entry(Some("one"), 1));
        names.put(subject("b"), entry(Some("two"), 1));
        let other = Subject { kind: "Registry", ..subject("c") };
        names.put(other, entry(Some("three"), 1));
        assert_eq!(names.stacks_in("tax"), ["one", "two", "three"].map(stack).into());
        assert!(names.stacks_in("health").is_empty());
        let gone = [Notice::Stack(stack("one")), Notice::Gone(subject("a"))];
        assert_eq!(names.keep("Member", &[subject("b")].into()), gone);
        assert_eq!(names.stacks(), ["two", "three"].map(stack).into());
    }
}
