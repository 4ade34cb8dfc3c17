//! What a candidate does with what it sees in the lease. Pure: clocks come in as values.

use std::time::Duration;

use jiff::Timestamp;

/// The clocks of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Others leave the lease alone for so long after a renewal.
    pub duration: Duration,
    /// The leader itself stops writing so long after the last renewal that it sent with success. Shorter than
    /// `duration`: the difference is for requests under way and clocks that run differently.
    pub deadline: Duration,
    /// Between two renewals, and between two looks of a standby.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// Two clocks: one that never jumps, one that others understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the start of this process.
    pub mono: Duration,
    /// Wall clock, in whole microseconds.
    pub wall: Timestamp,
}

/// What stands in the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Who holds it.
    pub holder: Option<String>,
    /// When it was renewed last, by the holder's clock.
    pub renewed: Option<Timestamp>,
    /// Since when the holder holds it.
    pub acquired: Option<Timestamp>,
    /// How long the holder asks others to keep away.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: i32,
    /// For the next write.
    pub resource_version: String,
}

/// What to write into the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The version that must still be there; `None` creates the lease.
    pub resource_version: Option<String>,
    /// Since when we hold it; `None` means from now on.
    pub acquired: Option<Timestamp>,
    /// How often it changed hands.
    pub transitions: i32,
    /// We held it before.
    pub renewal: bool,
}

/// What a standby does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Write this now.
    Take(Record),
    /// Somebody else holds it.
    Wait {
        /// Who.
        holder: String,
    },
}

/// The right to write, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    /// Monotonic time at which the last successful renewal was sent: the server cannot have stored it earlier.
    renewed: Duration,
    /// The last renewal as it stands in the lease: how we know our own hand.
    stamp: Timestamp,
    acquired: Timestamp,
    transitions: i32,
    resource_version: String,
}

/// Somebody else's lease.
#[derive(Clone, Debug)]
struct Watched {
    version: String,
    /// Since when it has not changed, by our clock.
    since: Duration,
    holder: Option<String>,
    duration: Duration,
}

/// One process that wants to lead.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    session: Option<Session>,
    /// Somebody else's lease as it was last seen.
    watched: Option<Watched>,
    /// A process with our own identity took the lease from us: it is younger, so it is not ours to take back.
    superseded: bool,
}

impl Candidate {
    /// Holds nothing yet.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, session: None, watched: None, superseded: false }
    }

    /// Until when we may write; `None` when not at all.
    pub fn until(&self, now: Now) -> Option<Duration> {
        self.session.as_ref().map(|s| s.renewed + self.timing.deadline).filter(|until| *until > now.mono)
    }

    /// The last renewal succeeded and is recent.
    pub fn is_current(&self, now: Now) -> bool {
        self.session.as_ref().is_some_and(|s| s.renewed + self.timing.retry > now.mono)
    }

    /// What the leader writes next. `None` when we do not lead, or led and were cut off for too long.
    pub fn renewal(&mut self, now: Now) -> Option<Record> {
        if self.until(now).is_none() {
            self.session = None;
        }
        self.session.as_ref().map(|s| Record {
            resource_version: Some(s.resource_version.clone()),
            acquired: Some(s.acquired),
            transitions: s.transitions,
            renewal: true,
        })
    }

    /// What the leader writes when it goes.
    pub fn release(&self) -> Option<Record> {
        self.session.as_ref().map(|s| Record {
            resource_version: Some(s.resource_version.clone()),
            acquired: Some(s.acquired),
            transitions: s.transitions,
            renewal: true,
        })
    }

    /// What a standby does about the lease.
    pub fn stand(&mut self, seen: Option<&View>, now: Now) -> Standing {
        let Some(view) = seen else {
            // Somebody deleted it. Who held it may not know yet, and writes until its own deadline: it gets the time to
            // make it anew.
            if let Some(Watched { since, holder: Some(holder), duration, .. }) = &self.watched
                && now.mono.saturating_sub(*since) < *duration
            {
                return Standing::Wait { holder: holder.clone() };
            }
            self.watched = None;
            return Standing::Take(Record {
                resource_version: None,
                acquired: None,
                transitions: 0,
                renewal: false,
            });
        };
        let since = match &self.watched {
            Some(watched) if watched.version == view.resource_version => watched.since,
            _ => now.mono,
        };
        self.watched = Some(Watched {
            version: view.resource_version.clone(),
            since,
            holder: view.holder.clone(),
            duration: view.duration,
        });
        // A holder that renews is seen to do so, whatever its clock says; one that died long ago need not be watched
        // for a whole lease first.
        let silent = now.mono.saturating_sub(since) >= view.duration;
        let outdated = view.renewed.is_none_or(|renewed| {
            now.wall.duration_since(renewed).unsigned_abs() >= view.duration && now.wall > renewed
        });
        match &view.holder {
            Some(holder) if *holder == self.identity && !self.superseded => {}
            Some(holder) if !silent && !outdated => return Standing::Wait { holder: holder.clone() },
            _ => {}
        }
        Standing::Take(Record {
            resource_version: Some(view.resource_version.clone()),
            acquired: None,
            transitions: view.transitions.saturating_add(1),
            renewal: false,
        })
    }

    /// Our write was answered with success.
    pub fn written(&mut self, view: &View, sent: Now) -> bool {
        self.session = Some(Session {
            renewed: sent.mono,
            stamp: sent.wall,
            acquired: view.acquired.unwrap_or(sent.wall),
            transitions: view.transitions,
            resource_version: view.resource_version.clone(),
        });
        self.watched = None;
        self.superseded = false;
        true
    }

    /// Our write was not answered with success; this is what stands in the lease. True when we lead.
    pub fn settle(&mut self, view: &View, sent: Now) -> bool {
        let mine = view.holder.as_deref() == Some(&*self.identity);
        if mine && view.renewed == Some(sent.wall) {
            // It was stored, only the answer got lost.
            return self.written(view, sent);
        }
        match &mut self.session {
            Some(session) if mine && view.renewed == Some(session.stamp) => {
                // It was not stored, and nobody else wrote: the old session runs on to its old deadline.
                session.resource_version.clone_from(&view.resource_version);
                true
            }
            Some(_) => {
                self.superseded = mine;
                self.session = None;
                false
            }
            None => false,
        }
    }

    /// Somebody deleted the lease that we held: we make it anew, before others may.
    pub fn vanished(&mut self) {
        self.session = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Duration::from_secs(seconds),
            wall: Timestamp::from_second(1_000_000 + i64::try_from(seconds).unwrap()).unwrap(),
        }
    }

    fn held(by: Option<&str>, renewed: u64, version: &str) -> View {
        View {
            holder: by.map(str::to_owned),
            renewed: Some(at(renewed).wall),
            acquired: Some(at(0).wall),
            duration: Duration::from_secs(15),
            transitions: 3,
            resource_version: version.to_owned(),
        }
    }

    fn candidate() -> Candidate {
        Candidate::new("me".to_owned(), Timing::default())
    }

    #[test]
    fn a_standby_takes_what_nobody_holds_and_waits_for_the_rest() {
        let cases = [
            ("no lease at all", None, true),
            ("released", Some(held(None, 100, "1")), true),
            ("held by an earlier life of this process", Some(held(Some("me"), 100, "1")), true),
            ("held by another and fresh", Some(held(Some("other"), 100, "1")), false),
            ("held by another, renewed 14 s ago", Some(held(Some("other"), 86, "1")), false),
            ("held by another, expired", Some(held(Some("other"), 85, "1")), true),
            ("held by another whose clock is ahead", Some(held(Some("other"), 500, "1")), false),
        ];
        for (name, view, takes) in cases {
            let standing = candidate().stand(view.as_ref(), at(100));
            assert_eq!(matches!(standing, Standing::Take(_)), takes, "{name}: {standing:?}");
        }
    }

    #[test]
    fn a_lease_that_somebody_deletes_is_left_to_its_holder_for_as_long_as_that_may_write() {
        let mut me = candidate();
        assert!(matches!(me.stand(Some(&held(Some("other"), 100, "1")), at(100)), Standing::Wait { .. }));
        assert!(matches!(me.stand(None, at(102)), Standing::Wait { .. }));
        assert!(matches!(me.stand(None, at(114)), Standing::Wait { .. }));
        assert!(matches!(me.stand(None, at(115)), Standing::Take(_)), "the holder is dead");
        let mut me = candidate();
        me.written(&held(Some("me"), 100, "1"), at(100));
        me.vanished();
        assert!(matches!(me.stand(None, at(102)), Standing::Take(_)), "it was ours");
    }

    #[test]
    fn a_holder_whose_clock_is_ahead_expires_by_our_clock() {
        let mut me = candidate();
        let view = held(Some("other"), 500, "1");
        assert!(matches!(me.stand(Some(&view), at(100)), Standing::Wait { .. }));
        assert!(matches!(me.stand(Some(&view), at(114)), Standing::Wait { .. }));
        assert!(matches!(me.stand(Some(&view), at(115)), Standing::Take(_)));
    }

    #[test]
    fn a_holder_that_renews_is_never_disturbed() {
        let mut me = candidate();
        for second in 100..200 {
            let view = held(Some("other"), second, &second.to_string());
            assert!(matches!(me.stand(Some(&view), at(second)), Standing::Wait { .. }), "{second}");
        }
    }

    #[test]
    fn a_leader_that_is_cut_off_falls_silent_before_the_lease_expires() {
        let mut me = candidate();
        me.written(&held(Some("me"), 100, "1"), at(100));
        assert_eq!(me.until(at(109)), Some(Duration::from_secs(110)));
        assert!(me.renewal(at(109)).is_some());
        assert_eq!(me.until(at(110)), None);
        assert!(me.renewal(at(110)).is_none());
    }

    #[test]
    fn a_lost_answer_to_a_renewal_that_was_stored_renews() {
        let mut me = candidate();
        me.written(&held(Some("me"), 100, "1"), at(100));
        assert!(me.settle(&held(Some("me"), 102, "2"), at(102)));
        assert_eq!(me.until(at(103)), Some(Duration::from_secs(112)));
    }

    #[test]
    fn a_renewal_that_was_not_stored_does_not_move_the_deadline() {
        let mut me = candidate();
        me.written(&held(Some("me"), 100, "1"), at(100));
        assert!(me.settle(&held(Some("me"), 100, "1"), at(102)));
        assert_eq!(me.until(at(103)), Some(Duration::from_secs(110)));
    }

    #[test]
    fn a_twin_that_took_over_is_not_fought_for_the_lease() {
        let mut me = candidate();
        me.written(&held(Some("me"), 100, "1"), at(100));
        let twin = held(Some("me"), 101, "2");
        assert!(!me.settle(&twin, at(102)));
        assert_eq!(me.until(at(102)), None);
        assert!(matches!(me.stand(Some(&twin), at(103)), Standing::Wait { .. }));
        assert!(
            matches!(me.stand(Some(&twin), at(116)), Standing::Take(_)),
            "but once the twin is dead it is free"
        );
    }

    #[test]
    fn another_holder_ends_the_session() {
        let mut me = candidate();
        me.written(&held(Some("me"), 100, "1"), at(100));
        assert!(!me.settle(&held(Some("other"), 101, "2"), at(102)));
        assert!(me.renewal(at(102)).is_none());
    }
}
