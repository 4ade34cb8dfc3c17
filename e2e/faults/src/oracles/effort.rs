//! How much was asked.

use std::collections::BTreeMap;

use super::{Oracle, Violation};
use crate::harness::case::Tale;

/// More writes of one content within a second are a hot loop: kube's own backoff begins at 0.8 s, and a lost answer
/// or a conflict may be tried again at once a few times.
const SAME_WRITES: usize = 8;
/// The same for reads of one content. A watch that ends is begun again at once, and a decision reads what it has to.
const SAME_READS: usize = 30;
/// Beyond so many times the effort of a run without a fault, for each process of the operator, something loops.
const FACTOR: usize = 3;
/// A run without a fault may be so short that a few requests more are a multiple.
const ALLOWANCE: usize = 40;
/// While something is wrong, what fails is tried again.
const EACH_SECOND: usize = 40;

/// O11: the effort is bounded: no more than a multiple of what a run without a fault takes, and the same thing is not
/// asked again and again within a second.
pub fn bounded(tales: &[Tale], reference: &[Tale], seconds: u16) -> Vec<Violation> {
    let mut found = Vec::new();
    let processes: usize = tales.iter().map(processes).sum();
    let allowance = ALLOWANCE + EACH_SECOND * usize::from(seconds);
    for (what, count) in [("writes", writes as fn(&Tale) -> usize), ("reads", |tale| tale.reads.len())] {
        let (seen, usual) =
            (tales.iter().map(count).sum::<usize>(), reference.iter().map(count).sum::<usize>());
        let bound = FACTOR * usual * processes + allowance;
        if seen > bound {
            let message =
                format!("{seen} {what}; without a fault {usual}, at most {bound} for {processes} processes");
            found.push(Violation::new(Oracle::O11, "", message));
        }
    }
    for tale in tales {
        let writes = tale.writes.iter().map(|write| (write.key.target.as_str(), write.came));
        found.extend(loops(writes, SAME_WRITES));
        found.extend(loops(tale.reads.iter().map(|read| (read.target.as_str(), read.seconds)), SAME_READS));
    }
    found
}

fn writes(tale: &Tale) -> usize {
    tale.writes.iter().filter(|write| write.k.is_some()).count()
}

fn processes(tale: &Tale) -> usize {
    let last =
        tale.writes.iter().map(|write| write.incarnation).chain(tale.reads.iter().map(|r| r.incarnation));
    last.max().map_or(1, |last| last as usize + 1)
}

/// Contents that come more often than `limit` within a second.
fn loops<'a>(requests: impl Iterator<Item = (&'a str, f64)>, limit: usize) -> Vec<Violation> {
    let mut times = BTreeMap::<&str, Vec<f64>>::new();
    for (target, at) in requests {
        times.entry(target).or_default().push(at);
    }
    let hot = times.into_iter().filter_map(|(target, mut times)| {
        times.sort_by(f64::total_cmp);
        let most = times
            .iter()
            .enumerate()
            .map(|(index, from)| times[index..].iter().take_while(|at| **at - from < 1.0).count());
        let most = most.max().unwrap_or_default();
        (most > limit).then(|| {
            let message = format!("{most} times within a second, at most {limit}");
            Violation::new(Oracle::O11, target, message)
        })
    });
    hot.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Read;

    fn tale(reads: usize, apart: f64) -> Tale {
        let read = |index: usize| Read {
            target: "get core/secrets a/b".to_owned(),
            incarnation: 0,
            seconds: index as f64 * apart,
        };
        Tale { reads: (0..reads).map(read).collect(), ..Tale::default() }
    }

    #[test]
    fn a_hot_loop_is_seen() {
        assert_eq!(bounded(&[tale(SAME_READS, 0.01)], &[tale(SAME_READS, 0.01)], 0), []);
        let found = bounded(&[tale(SAME_READS + 1, 0.01)], &[tale(SAME_READS, 0.01)], 0);
        assert_eq!(
            (found.len(), found[0].oracle, found[0].object.as_str()),
            (1, Oracle::O11, "get core/secrets a/b")
        );
    }

    #[test]
    fn effort_without_end_is_seen_although_it_is_slow() {
        assert_eq!(bounded(&[tale(60, 0.1)], &[tale(10, 0.1)], 0), []);
        assert_eq!(bounded(&[tale(100, 0.1)], &[tale(10, 0.1)], 0).len(), 1);
        assert_eq!(bounded(&[tale(100, 0.1)], &[tale(10, 0.1)], 5), [], "something was wrong for a while");
    }
}
