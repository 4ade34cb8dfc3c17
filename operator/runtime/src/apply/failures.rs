//! What failed, and when to try again: one backoff an object, with jitter. Pure apart from the jitter.

use std::collections::BTreeMap;

use plinth_api::condition::Reason;
use plinth_api::mutant::Mutant;
use plinth_plan::model::{Failure, ObjectKey};

use super::classify::Trouble;

/// So often an unchanged object may be applied within [`WINDOW`] before somebody else is seen to change it back.
const MAX_APPLIES: u32 = 6;
/// Seconds.
const WINDOW: i64 = 60;

/// The failures of one Stack.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    tried: BTreeMap<ObjectKey, Tried>,
    applied: BTreeMap<ObjectKey, Applied>,
}

#[derive(Clone, Debug)]
struct Tried {
    failure: Failure,
    attempts: u32,
}

#[derive(Clone, Debug)]
struct Applied {
    hash: String,
    since: i64,
    times: u32,
}

impl Failures {
    /// As [`plinth_plan::model::Observed`] wants them.
    pub fn view(&self) -> BTreeMap<ObjectKey, Failure> {
        self.tried.iter().map(|(key, tried)| (key.clone(), tried.failure.clone())).collect()
    }

    /// A write failed.
    pub fn failed(&mut self, key: &ObjectKey, hash: &str, trouble: Trouble, now: i64) {
        let attempts = match self.tried.get(key) {
            Some(tried) if tried.failure.hash == hash && tried.failure.reason == trouble.reason => {
                tried.attempts + 1
            }
            _ => 0,
        };
        let pause = pause(trouble.reason, attempts).max(trouble.retry_after.map_or(0, i64::from));
        let pause = match trouble.reason {
            _ if Mutant::NoBackoff.lives() => 0,
            Reason::ApplyFailed if Mutant::LostAnswerIsFinal.lives() => 3600,
            _ => pause,
        };
        let failure = Failure {
            reason: trouble.reason,
            message: trouble.message,
            hash: hash.to_owned(),
            retry_at: now + pause,
        };
        self.tried.insert(key.clone(), Tried { failure, attempts });
    }

    /// A write succeeded. An object that is changed back after every write is left alone for a while, and said so:
    /// two controllers that fight help nobody.
    pub fn succeeded(&mut self, key: &ObjectKey, hash: &str, now: i64) {
        self.tried.remove(key);
        let applied = self.applied.entry(key.clone()).or_insert_with(|| Applied {
            hash: hash.to_owned(),
            since: now,
            times: 0,
        });
        if applied.hash != hash || now - applied.since >= WINDOW {
            *applied = Applied { hash: hash.to_owned(), since: now, times: 0 };
        }
        applied.times += 1;
        if applied.times >= MAX_APPLIES {
            let message = format!(
                "was changed back {} times within a minute after Plinth had applied it; \
                 find the controller or webhook that does it (kubectl get -o yaml --show-managed-fields)",
                applied.times - 1
            );
            self.failed(key, hash, Trouble::new(Reason::Conflict, message), now);
            self.applied.remove(key);
        }
    }

    /// A write that is not an object of the plan succeeded.
    pub fn cleared(&mut self, key: &ObjectKey) {
        self.tried.remove(key);
    }

    /// Whether the last failure asks to wait beyond `now`.
    pub fn waits(&self, key: &ObjectKey, now: i64) -> bool {
        self.tried.get(key).is_some_and(|tried| tried.failure.retry_at > now)
    }

    /// Forgets objects that nobody wants any more.
    pub fn retain(&mut self, wanted: impl Fn(&ObjectKey) -> bool) {
        self.tried.retain(|key, _| wanted(key));
        self.applied.retain(|key, _| wanted(key));
    }

    /// The earliest time at which something is to be tried again.
    pub fn next_retry(&self) -> Option<i64> {
        self.tried.values().map(|tried| tried.failure.retry_at).min()
    }
}

/// Seconds until the next try. What a person has to mend is asked for less often than what mends itself.
fn pause(reason: Reason, attempts: u32) -> i64 {
    let (first, last) = match reason {
        Reason::Waiting => (1, 10),
        Reason::KindMissing => (5, 60),
        Reason::Conflict | Reason::NamespaceTaken => (15, 300),
        Reason::Denied => (10, 300),
        Reason::Invalid => (60, 600),
        _ => (1, 60),
    };
    let doubled = i64::checked_shl(first, attempts.min(20)).unwrap_or(last).min(last);
    // Objects that failed together are not all tried again at the same moment.
    doubled + rand::random_range(0..=doubled / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some("ns".into()),
            name: name.into(),
        }
    }

    fn lost() -> Trouble {
        Trouble::new(Reason::ApplyFailed, "lost")
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_start_anew_when_the_object_changes() {
        let mut failures = Failures::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            failures.failed(&key("a"), "h", lost(), 0);
            pauses.push(failures.view()[&key("a")].retry_at);
        }
        assert_eq!(pauses[0], 1);
        assert!(pauses.windows(2).take(5).all(|w| w[0] < w[1]), "{pauses:?}");
        assert!(pauses.iter().all(|p| *p <= 75), "{pauses:?}");
        failures.failed(&key("a"), "other", lost(), 0);
        assert_eq!(failures.view()[&key("a")].retry_at, 1);
    }

    #[test]
    fn the_api_servers_wish_to_wait_is_honoured() {
        let mut failures = Failures::default();
        failures.failed(&key("a"), "h", Trouble { retry_after: Some(30), ..lost() }, 100);
        assert!(failures.next_retry() >= Some(130));
    }

    #[test]
    fn a_success_clears_the_failure_and_only_its_own() {
        let mut failures = Failures::default();
        failures.failed(&key("a"), "h", lost(), 0);
        failures.failed(&key("b"), "h", lost(), 0);
        failures.succeeded(&key("a"), "h", 1);
        assert_eq!(failures.view().keys().collect::<Vec<_>>(), [&key("b")]);
    }

    #[test]
    fn an_object_that_is_changed_back_each_time_is_left_alone_and_named() {
        let mut failures = Failures::default();
        for second in 0..i64::from(MAX_APPLIES) {
            assert!(failures.view().is_empty(), "{second}");
            failures.succeeded(&key("a"), "h", second);
        }
        let view = failures.view();
        assert_eq!(view[&key("a")].reason, Reason::Conflict);
        let mut slow = Failures::default();
        for minute in 0..20 {
            slow.succeeded(&key("a"), "h", minute * WINDOW);
        }
        assert!(slow.view().is_empty(), "a correction now and then is no fight");
    }
}
