//! Where a sandbox is in its life, and when time alone changes that.
//!
//! Deletion is the one step that cannot be taken back, and a clock can be wrong. So the end of a sandbox needs more than that the
//! operator's clock is past it: the API server's clock has to be past it too, and both have to say so for [`CONFIRMED`] as a monotonic
//! timer measures it, which no clock that is set can shorten. A jump, in either direction, starts the wait anew at worst.

use jiff::{SignedDuration, Timestamp};
use plinth_api::v1alpha1::sandbox::{AskedState, SandboxStatus};

use crate::windows::Windows;

/// How long both clocks have to agree that a sandbox's time is over.
pub const CONFIRMED: SignedDuration = SignedDuration::from_mins(10);

/// What bounds a life.
#[derive(Clone, Debug)]
pub struct Course {
    /// When it was made, by the API server's clock.
    pub born: Timestamp,
    /// Seconds that it was given.
    pub ttl: i64,
    /// Longest life in seconds, with every extension.
    pub max_life: i64,
    /// Seconds before its end at which its owner is warned.
    pub warn_before: i64,
    /// When it sleeps.
    pub schedule: Windows,
}

/// Why a sandbox is, or is to be, asleep or awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The schedule says so, or there is none.
    Schedule,
    /// A person asked.
    Asked,
    /// The month's budget is spent.
    Budget,
}

/// Where a life is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When its time is over.
    pub expires: Timestamp,
    /// Its owner is to be warned, or was.
    pub warned: bool,
    /// By the clock that was given, its time is over. That alone deletes nothing: see [`is_over`].
    pub due: bool,
    /// It is to be asleep.
    pub asleep: bool,
    /// Why it is to be asleep, or awake.
    pub why: Why,
    /// When time alone changes something of this; always later than the moment that was given.
    pub next: Timestamp,
}

/// Where a life is at a moment. `spent` says that the month's budget is.
pub fn life(course: &Course, status: &SandboxStatus, spent: bool, now: Timestamp) -> Life {
    let expires = expires(course, status);
    let warns = plus(expires, -warn_before(course));
    let (asleep, why) = asleep(course, status, spent, now);
    let edges = [Some(expires), Some(warns), course.schedule.next_change(now)];
    let next = edges.into_iter().flatten().filter(|edge| *edge > now).min();
    Life {
        expires,
        warned: now >= warns,
        due: now >= expires,
        asleep,
        why,
        next: next.unwrap_or_else(|| plus(now, 3_600)),
    }
}

/// When a sandbox's time is over: what it was given, and every extension. A policy that is tightened afterwards takes nothing away.
pub fn expires(course: &Course, status: &SandboxStatus) -> Timestamp {
    let given = plus(course.born, course.ttl);
    status.extensions.iter().map(|extension| extension.until.0).fold(given, Timestamp::max)
}

/// Seconds before the end at which the owner is warned: not before three quarters of a short life are over.
fn warn_before(course: &Course) -> i64 {
    course.warn_before.min(course.ttl / 4)
}

fn asleep(course: &Course, status: &SandboxStatus, spent: bool, now: Timestamp) -> (bool, Why) {
    if spent {
        return (true, Why::Budget);
    }
    // It comes up once whatever the hour: who made it wants to see it.
    let was_up = status.credentials_secret.is_some();
    // What a person asked holds until the schedule has its next word.
    let since = course.schedule.last_change(now);
    let asked = status.asked.as_ref().filter(|asked| since.is_none_or(|since| asked.at.0 >= since));
    match asked {
        Some(asked) => (asked.state == AskedState::Asleep, Why::Asked),
        None => (was_up && course.schedule.cover(now), Why::Schedule),
    }
}

/// What two clocks say about an end.
#[derive(Clone, Copy, Debug)]
pub struct Doubt {
    /// When the time is over.
    pub expires: Timestamp,
    /// The operator's clock.
    pub own: Timestamp,
    /// The API server's; nothing where it did not say.
    pub server: Option<Timestamp>,
    /// How long both have been past the end at every look, by a monotonic timer.
    pub agreed_for: SignedDuration,
}

/// Whether a time is over beyond doubt.
///
/// # Errors
/// Why it is not, for the log and the status.
pub fn is_over(doubt: &Doubt, confirmed: SignedDuration) -> Result<(), String> {
    let Some(server) = doubt.server else {
        return Err(
            "the API server does not say what time it is; nothing is deleted by one clock alone".to_owned()
        );
    };
    let ahead = |clock: Timestamp| clock < doubt.expires;
    match (ahead(doubt.own), ahead(server)) {
        (true, _) => Err(format!("it is there until {}", doubt.expires)),
        (false, true) => Err(format!(
            "Plinth's clock says {}, the API server's {server}: one of them is wrong, and nothing is deleted before both are past {}",
            doubt.own, doubt.expires
        )),
        (false, false) if doubt.agreed_for < confirmed => Err(format!(
            "its time is over; what it has is deleted in {} s, in case a clock was set",
            (confirmed - doubt.agreed_for).as_secs().max(1)
        )),
        (false, false) => Ok(()),
    }
}

/// Time that may be added: until when it then is.
///
/// # Errors
/// Why it may not: what was asked, and what is left.
pub fn extend(course: &Course, status: &SandboxStatus, by: i64, now: Timestamp) -> Result<Timestamp, String> {
    let expires = expires(course, status);
    if now >= expires {
        return Err(format!("its time was over on {expires}; make another Sandbox"));
    }
    let (until, last) = (plus(expires, by), plus(course.born, course.max_life));
    if until > last {
        let left = last.duration_since(expires).as_secs().max(0);
        return Err(format!(
            "it would be there until {until}; its SandboxPolicy lets it live until {last} at most, which leaves {}",
            super::span::spoken(left)
        ));
    }
    Ok(until)
}

fn plus(time: Timestamp, seconds: i64) -> Timestamp {
    let clamped = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(clamped)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use plinth_api::v1alpha1::sandbox::{Asked, Extension, Hibernation};
    use plinth_api::v1alpha1::window::Window;

    use super::super::schedule;
    use super::*;

    const DAY: i64 = 86_400;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn fortnight() -> Course {
        Course {
            born: at("2028-02-20T12:00:00Z"),
            ttl: 14 * DAY,
            max_life: 30 * DAY,
            warn_before: 3 * DAY,
            schedule: Windows::default(),
        }
    }

    fn nightly() -> Course {
        let window = Window { days: Vec::new(), from: "19:00".to_owned(), to: "07:00".to_owned() };
        let hibernation = Hibernation { time_zone: "UTC".to_owned(), asleep: vec![window] };
        Course { schedule: schedule::asleep(&hibernation).unwrap(), ..fortnight() }
    }

    fn asked(state: AskedState, when: &str) -> SandboxStatus {
        let asked = Asked { state, by: None, at: Time(at(when)), operation: "op".to_owned() };
        SandboxStatus { asked: Some(asked), ..up() }
    }

    /// Of one that was up.
    fn up() -> SandboxStatus {
        SandboxStatus { credentials_secret: Some("there".to_owned()), ..SandboxStatus::default() }
    }

    #[test]
    fn a_life_is_warned_of_its_end_and_ends_over_a_leap_day() {
        let course = fortnight();
        // 2028 has a 29 February: fourteen days from the 20th end on 5 March.
        for (now, warned, due, next) in [
            ("2028-02-20T12:00:00Z", false, false, "2028-03-02T12:00:00Z"),
            ("2028-02-29T23:59:59Z", false, false, "2028-03-02T12:00:00Z"),
            ("2028-03-02T12:00:00Z", true, false, "2028-03-05T12:00:00Z"),
            ("2028-03-05T11:59:59Z", true, false, "2028-03-05T12:00:00Z"),
            ("2028-03-05T12:00:00Z", true, true, "2028-03-05T13:00:00Z"),
        ] {
            let life = life(&course, &SandboxStatus::default(), false, at(now));
            assert_eq!((life.warned, life.due, life.next), (warned, due, at(next)), "{now}");
            assert!(!life.asleep);
        }
    }

    #[test]
    fn a_short_life_is_not_warned_of_its_end_from_the_start() {
        let course = Course { ttl: DAY, ..fortnight() };
        let at = |hours: i64| plus(course.born, hours * 3_600);
        assert!(!life(&course, &SandboxStatus::default(), false, at(17)).warned);
        assert!(life(&course, &SandboxStatus::default(), false, at(18)).warned);
    }

    #[test]
    fn a_clock_that_jumps_deletes_nothing() {
        let expires = at("2028-03-05T12:00:00Z");
        let long = CONFIRMED;
        let cases = [
            ("both before", "2028-03-05T11:00:00Z", Some("2028-03-05T11:00:00Z"), long, "it is there until"),
            (
                "own jumps ahead",
                "2029-01-01T00:00:00Z",
                Some("2028-03-01T00:00:00Z"),
                long,
                "one of them is wrong",
            ),
            (
                "the server's jumps ahead",
                "2028-03-01T00:00:00Z",
                Some("2029-01-01T00:00:00Z"),
                long,
                "it is there until",
            ),
            ("the server says nothing", "2029-01-01T00:00:00Z", None, long, "one clock alone"),
            (
                "both jump ahead, for a moment",
                "2029-01-01T00:00:00Z",
                Some("2029-01-01T00:00:00Z"),
                SignedDuration::from_secs(599),
                "deleted in 1 s",
            ),
        ];
        for (name, own, server, agreed_for, part) in cases {
            let doubt = Doubt { expires, own: at(own), server: server.map(at), agreed_for };
            let why = is_over(&doubt, CONFIRMED).unwrap_err();
            assert!(why.contains(part), "{name}: {why}");
        }
        let sure = Doubt { expires, own: expires, server: Some(expires), agreed_for: CONFIRMED };
        assert_eq!(is_over(&sure, CONFIRMED), Ok(()));
        // Back again: what was due is not any more.
        let back = life(&fortnight(), &SandboxStatus::default(), false, at("2028-02-21T00:00:00Z"));
        assert!(!back.due && !back.warned);
    }

    #[test]
    fn what_a_person_asked_holds_until_the_schedule_has_its_next_word() {
        let course = nightly();
        let cases = [
            ("by the schedule", up(), "2028-02-21T10:00:00Z", (false, Why::Schedule)),
            ("by the schedule, at night", up(), "2028-02-21T20:00:00Z", (true, Why::Schedule)),
            ("made at night", SandboxStatus::default(), "2028-02-21T20:00:00Z", (false, Why::Schedule)),
            (
                "put to sleep at noon",
                asked(AskedState::Asleep, "2028-02-21T12:00:00Z"),
                "2028-02-21T18:00:00Z",
                (true, Why::Asked),
            ),
            (
                "and awake the next morning",
                asked(AskedState::Asleep, "2028-02-21T12:00:00Z"),
                "2028-02-22T07:00:00Z",
                (false, Why::Schedule),
            ),
            (
                "woken at night",
                asked(AskedState::Awake, "2028-02-21T22:00:00Z"),
                "2028-02-22T01:00:00Z",
                (false, Why::Asked),
            ),
            (
                "and asleep the next evening",
                asked(AskedState::Awake, "2028-02-21T22:00:00Z"),
                "2028-02-22T19:00:00Z",
                (true, Why::Schedule),
            ),
        ];
        for (name, status, now, wanted) in cases {
            let life = life(&course, &status, false, at(now));
            assert_eq!((life.asleep, life.why), wanted, "{name}");
        }
        // Without a schedule it holds until somebody asks for something else.
        let long = life(
            &fortnight(),
            &asked(AskedState::Asleep, "2028-02-21T00:00:00Z"),
            false,
            at("2028-03-01T00:00:00Z"),
        );
        assert!(long.asleep);
    }

    #[test]
    fn a_spent_budget_puts_to_sleep_and_never_ends_a_life() {
        let life = life(
            &fortnight(),
            &asked(AskedState::Awake, "2028-02-21T00:00:00Z"),
            true,
            at("2028-02-22T00:00:00Z"),
        );
        assert_eq!((life.asleep, life.why, life.due), (true, Why::Budget, false));
    }

    #[test]
    fn time_is_added_within_the_longest_life() {
        let course = fortnight();
        let now = at("2028-03-01T00:00:00Z");
        let until = extend(&course, &SandboxStatus::default(), 14 * DAY, now).unwrap();
        assert_eq!(until, at("2028-03-19T12:00:00Z"));
        let extension = Extension {
            by: Some("anna".to_owned()),
            at: Time(now),
            added: "14d".to_owned(),
            until: Time(until),
            operation: "more".to_owned(),
        };
        let status = SandboxStatus { extensions: vec![extension], ..SandboxStatus::default() };
        assert_eq!(expires(&course, &status), until);
        let why = extend(&course, &status, 14 * DAY, now).unwrap_err();
        assert!(why.contains("until 2028-03-21T12:00:00Z at most, which leaves 2 days"), "{why}");
        let why = extend(&course, &SandboxStatus::default(), DAY, at("2028-03-05T12:00:00Z")).unwrap_err();
        assert!(why.contains("its time was over"), "{why}");
    }

    #[test]
    fn a_policy_that_is_tightened_takes_nothing_away_that_was_given() {
        let course = Course { max_life: DAY, ..fortnight() };
        assert_eq!(expires(&course, &SandboxStatus::default()), at("2028-03-05T12:00:00Z"));
    }
}
