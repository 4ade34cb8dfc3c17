//! How often each consumer calls under each agreement: a bucket of calls that fills up evenly. Several authorisers share a
//! limit by each giving its part, so that over time they never give more together. At once each gives one call at least: of a
//! limit below their number a consumer gets one from each, and then waits so much longer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use plinth_plan::exchange::id::SubsystemId;
use plinth_plan::exchange::rights::Limit;

/// Buckets that are full again are forgotten when there are more than this: nobody is called to account for keeping still.
const MANY: usize = 10_000;

/// Who is counted, under which agreement.
type Key = (String, SubsystemId);

/// The calls of every consumer.
#[derive(Debug)]
pub struct Limits {
    replicas: u32,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

/// What is left of a consumer's calls.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: Limit,
    calls: f64,
    at: Timestamp,
}

impl Bucket {
    /// With what has come in since it was last looked at. A clock that went backwards brings nothing.
    fn filled(self, now: Timestamp, replicas: u32) -> Self {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        let calls = (self.calls + passed * rate(self.limit, replicas)).min(size(self.limit, replicas));
        Self { calls, at: now.max(self.at), ..self }
    }
}

/// Calls a second.
fn rate(limit: Limit, replicas: u32) -> f64 {
    f64::from(limit.requests) / f64::from(limit.seconds.max(1)) / f64::from(replicas)
}

/// Calls at once: at least one, or a small limit would never let anybody pass.
fn size(limit: Limit, replicas: u32) -> f64 {
    (f64::from(limit.requests) / f64::from(replicas)).max(1.0)
}

impl Limits {
    /// One of `replicas` authorisers that share each limit.
    pub fn new(replicas: u32) -> Self {
        Self { replicas: replicas.max(1), buckets: Mutex::default() }
    }

    /// Takes a call from a consumer's bucket; whole seconds until there is one again, where it is empty.
    pub fn take(&self, agreement: &str, client: &SubsystemId, limit: Limit, now: Timestamp) -> Option<u64> {
        let replicas = self.replicas;
        let full = Bucket { limit, calls: size(limit, replicas), at: now };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > MANY {
            buckets.retain(|_, bucket| bucket.filled(now, replicas).calls < size(bucket.limit, replicas));
        }
        let bucket = buckets.entry((agreement.to_owned(), client.clone())).or_insert(full);
        if bucket.limit != limit {
            // A changed agreement begins anew, and gives nobody more than the smaller of the two.
            *bucket = Bucket { calls: bucket.calls.min(full.calls), ..full };
        }
        *bucket = bucket.filled(now, replicas);
        if bucket.calls >= 1.0 {
            bucket.calls -= 1.0;
            return None;
        }
        if limit.requests == 0 {
            return Some(u64::from(limit.seconds.max(1)));
        }
        let seconds = ((1.0 - bucket.calls) / rate(limit, replicas)).ceil();
        // Between 1 and some days: the bucket's own numbers are that small.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on both sides")]
        let seconds = seconds.clamp(1.0, 1e6) as u64;
        Some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn client(name: &str) -> SubsystemId {
        format!("UA/GOV/1/{name}").parse().unwrap()
    }

    const TEN_A_MINUTE: Limit = Limit { requests: 10, seconds: 60 };

    /// How many of `tries` pass at once.
    fn passes(limits: &Limits, who: &str, limit: Limit, tries: usize, second: i64) -> usize {
        (0..tries).filter(|_| limits.take("civil/births", &client(who), limit, at(second)).is_none()).count()
    }

    #[test]
    fn each_consumer_has_its_own_calls_and_they_come_back_evenly() {
        let limits = Limits::new(1);
        assert_eq!(passes(&limits, "app", TEN_A_MINUTE, 15, 0), 10);
        assert_eq!(passes(&limits, "other", TEN_A_MINUTE, 15, 0), 10);
        assert_eq!(limits.take("civil/births", &client("app"), TEN_A_MINUTE, at(0)), Some(6));
        assert_eq!(passes(&limits, "app", TEN_A_MINUTE, 15, 12), 2);
        assert_eq!(passes(&limits, "app", TEN_A_MINUTE, 15, 3600), 10, "no more than the limit at once");
        assert_eq!(
            limits.take("civil/deaths", &client("app"), TEN_A_MINUTE, at(3600)),
            None,
            "another agreement"
        );
    }

    #[test]
    fn several_together_give_no_more_than_the_limit() {
        let limits: Vec<Limits> = (0..3).map(|_| Limits::new(3)).collect();
        let hour: usize = (0..3600)
            .map(|second| limits.iter().map(|l| passes(l, "app", TEN_A_MINUTE, 5, second)).sum::<usize>())
            .sum();
        assert!((590..=611).contains(&hour), "{hour}");
        let rare = Limit { requests: 1, seconds: 3600 };
        let together = |second| limits.iter().map(|l| passes(l, "rare", rare, 5, second)).sum::<usize>();
        let hours = [0, 3601, 3 * 3601].map(together);
        assert_eq!(
            hours,
            [3, 0, 3],
            "a small limit is no ban: each lets one through, and then waits for three"
        );
    }

    #[test]
    fn a_changed_limit_holds_at_once_and_a_clock_that_goes_back_gives_nothing() {
        let limits = Limits::new(1);
        assert_eq!(passes(&limits, "app", TEN_A_MINUTE, 4, 0), 4);
        let two = Limit { requests: 2, seconds: 60 };
        assert_eq!(passes(&limits, "app", two, 10, 0), 2);
        assert_eq!(passes(&limits, "app", two, 10, -100), 0);
        assert_eq!(passes(&limits, "app", Limit { requests: 0, seconds: 60 }, 10, 600), 0);
    }

    #[test]
    fn those_who_keep_still_are_forgotten() {
        let limits = Limits::new(1);
        for number in 0..=MANY {
            limits.take(&format!("civil/{number}"), &client("app"), TEN_A_MINUTE, at(0));
        }
        limits.take("civil/last", &client("app"), TEN_A_MINUTE, at(3600));
        assert_eq!(limits.buckets.lock().unwrap().len(), 1);
    }
}
