//! What is left, compared with what should be.

use std::collections::BTreeSet;

use super::{Oracle, Violation};
use crate::harness::audit::{Counts, Request};
use crate::harness::case::Standing;
use crate::harness::dump::Dump;
use crate::harness::example::End;

/// O1: the Stack is what it shall be, and says so of its newest generation.
pub fn reached(standing: &Standing, end: End) -> Vec<Violation> {
    let seen = standing.observed == standing.generation && standing.generation.is_some();
    let holds = match end {
        End::Ready => standing.exists && seen && standing.ready,
        End::Observed => standing.exists && seen,
        End::Gone => !standing.exists,
    };
    if holds {
        return Vec::new();
    }
    let message = format!(
        "expected {end:?}; exists: {}, generation {:?}, observed {:?}; {}",
        standing.exists, standing.generation, standing.observed, standing.words
    );
    vec![Violation::new(Oracle::O1, "Stack", message)]
}

/// O2: what is left is what a run without a fault leaves.
pub fn same_end(dump: &Dump, reference: &Dump) -> Vec<Violation> {
    differences(Oracle::O2, dump, reference)
}

/// O9: after a wrong declaration was taken back, everything is as it was before.
pub fn rolled_back(after: &Dump, before: &Dump) -> Vec<Violation> {
    differences(Oracle::O9, after, before)
}

/// O10: two ways to the same declaration end the same.
pub fn path_independent(one: &Dump, other: &Dump) -> Vec<Violation> {
    differences(Oracle::O10, one, other)
}

fn differences(oracle: Oracle, one: &Dump, other: &Dump) -> Vec<Violation> {
    let differences = one.differences(other).into_iter();
    differences
        .map(|text| match text.split_once(": ") {
            Some((object, message)) => Violation::new(oracle, object, message),
            None => Violation::new(oracle, "", text),
        })
        .collect()
}

/// O3: every object was created and deleted as often as in a run without a fault. Where the API server itself was killed
/// its log may lack what it had under way: then no more often.
pub fn same_counts(counts: &Counts, reference: &Counts, gaps: bool) -> Vec<Violation> {
    let keys: BTreeSet<&String> = counts.keys().chain(reference.keys()).collect();
    let of = |counts: &Counts, key: &str| counts.get(key).copied().unwrap_or_default();
    let differ = keys.into_iter().filter(|key| {
        let (seen, wanted) = (of(counts, key), of(reference, key));
        let fewer = seen.0 <= wanted.0 && seen.1 <= wanted.1;
        seen != wanted && !(gaps && fewer)
    });
    differ
        .map(|key| {
            let ((created, deleted), (wanted, gone)) = (of(counts, key), of(reference, key));
            let message = format!(
                "created {created} times, expected {wanted}; deleted {deleted} times, expected {gone}"
            );
            Violation::new(Oracle::O3, key.clone(), message)
        })
        .collect()
}

/// O4: these are writes of an operator that had nothing to do. What the API server refuses for another's sake is asked again after a
/// restart, and changes nothing.
pub fn stable(writes: &[Request]) -> Vec<Violation> {
    const CONFLICT: u16 = 409;
    let made = writes.iter().filter(|write| write.code() != CONFLICT);
    made.map(|write| Violation::new(Oracle::O4, write.object(), write.line())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standing(ready: bool, observed: i64) -> Standing {
        Standing {
            exists: true,
            ready,
            generation: Some(2),
            observed: Some(observed),
            words: "why".to_owned(),
        }
    }

    fn dump(replicas: u32) -> Dump {
        let object = json!({ "spec": { "replicas": replicas } });
        Dump { objects: [("Deployment a/b".to_owned(), object)].into() }
    }

    #[test]
    fn a_stack_that_is_not_ready_or_has_not_been_looked_at_is_not_there_yet() {
        assert_eq!(reached(&standing(true, 2), End::Ready), []);
        assert_eq!(reached(&standing(false, 2), End::Ready)[0].oracle, Oracle::O1);
        assert_eq!(reached(&standing(true, 1), End::Ready).len(), 1);
        assert_eq!(reached(&standing(false, 2), End::Observed), []);
        assert_eq!(reached(&standing(false, 1), End::Observed).len(), 1);
        assert_eq!(reached(&standing(true, 2), End::Gone).len(), 1);
        assert_eq!(reached(&Standing::default(), End::Gone), []);
    }

    #[test]
    fn another_end_is_seen_whatever_it_is_compared_with() {
        assert_eq!(same_end(&dump(1), &dump(1)), []);
        let found = same_end(&dump(2), &dump(1));
        assert_eq!((found[0].oracle, found[0].object.as_str()), (Oracle::O2, "Deployment a/b"));
        assert_eq!(found[0].message, ".spec.replicas: 2, expected 1");
        assert_eq!(same_end(&Dump::default(), &dump(1))[0].message, "is missing");
        assert_eq!(rolled_back(&dump(2), &dump(1))[0].oracle, Oracle::O9);
        assert_eq!(path_independent(&dump(2), &dump(1))[0].oracle, Oracle::O10);
    }

    #[test]
    fn an_object_that_was_made_twice_is_seen_although_the_end_is_the_same() {
        let counts = |created, deleted| Counts::from([("core/secrets a/b".to_owned(), (created, deleted))]);
        assert_eq!(same_counts(&counts(1, 0), &counts(1, 0), false), []);
        let found = same_counts(&counts(2, 1), &counts(1, 0), true);
        assert_eq!((found[0].oracle, found[0].object.as_str()), (Oracle::O3, "core/secrets a/b"));
        assert_eq!(same_counts(&Counts::new(), &counts(1, 0), false).len(), 1, "never made");
        assert_eq!(same_counts(&Counts::new(), &counts(1, 0), true), [], "or never logged");
    }

    #[test]
    fn a_write_at_rest_is_seen_and_what_was_refused_for_anothers_sake_is_none() {
        let write = |code: u16| -> Request {
            serde_json::from_value(json!({
                "verb": "patch", "objectRef": { "resource": "configmaps", "namespace": "a", "name": "b" },
                "responseStatus": { "code": code },
            }))
            .unwrap()
        };
        assert_eq!(stable(&[write(200)])[0].oracle, Oracle::O4);
        assert_eq!(stable(&[write(409)]), []);
    }
}
