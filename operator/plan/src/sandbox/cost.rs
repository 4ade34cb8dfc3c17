//! What a sandbox costs: what is asked for, priced by the hour. Money is counted in millionths, so that an hour of a small thing is not
//! rounded to nothing.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::v1alpha1::sandbox::{Budget, SandboxCost};
use plinth_api::v1alpha1::sandbox_policy::Prices;

use crate::amount::{Amount, GIB};

/// Seconds of the month that forecasts are for: 30 days.
pub const MONTH: i64 = 30 * 86_400;
/// Between two writes of what a sandbox costs.
pub const EVERY: i64 = 3_600;
/// Most that one look counts. A clock that jumps ahead by a year must not bill a year; an operator that was away for longer
/// undercounts.
const LONGEST: i64 = 24 * 3_600;

/// Money in millionths of a currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(i128);

impl Money {
    /// A decimal number with at most six places.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no amount; write it as 250 or 249.90");
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || whole.len() > 12 || part.len() > 6 {
            return Err(wrong());
        }
        format!("{whole}{part:0<6}").parse().map(Self).map_err(|_| wrong())
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Whole units and parts, for metrics.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for Money {
    /// At least two places, at most six.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, (self.0 % 1_000_000).unsigned_abs());
        let digits = format!("{part:06}");
        let places = digits.trim_end_matches('0').len().max(2);
        write!(f, "{whole}.{}", &digits[..places])
    }
}

/// What a sandbox costs for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Currency.
    pub currency: String,
    /// An hour awake, in millionths of millionths: prices of small things times seconds stay whole.
    awake: i128,
    /// An hour asleep: what it stores.
    asleep: i128,
}

/// Parts of a millionth that rates are kept in.
const FINE: i128 = 1_000_000;

impl Rates {
    /// Of what a sandbox asks for while it runs.
    ///
    /// # Errors
    /// A price is none: the field, its value.
    pub fn of(prices: &Prices, steady: Amount) -> Result<Self, String> {
        let price = |field: &str, text: &str| {
            Money::parse(text)
                .map(|money| money.0 * FINE)
                .map_err(|why| format!("spec.prices.{field}: {why}"))
        };
        let (cpu, memory) = (price("cpuHour", &prices.cpu_hour)?, price("memoryHour", &prices.memory_hour)?);
        let storage = price("storageMonth", &prices.storage_month)?;
        let asleep = storage * i128::from(steady.storage) / i128::from(GIB) / i128::from(MONTH / 3_600);
        let running =
            cpu * i128::from(steady.cpu) / 1000 + memory * i128::from(steady.memory) / i128::from(GIB);
        Ok(Self { currency: prices.currency.clone(), awake: running + asleep, asleep })
    }

    /// So many seconds, awake or asleep.
    pub fn over(&self, seconds: i64, asleep: bool) -> Money {
        let hour = if asleep { self.asleep } else { self.awake };
        let whole = 3_600 * FINE;
        Money((hour * i128::from(seconds) + whole / 2) / whole)
    }

    /// A month of 30 days in which it is awake for a share of the time.
    pub fn month(&self, awake_share: f64) -> Money {
        let awake = (MONTH as f64 * awake_share.clamp(0.0, 1.0)).round() as i64;
        self.over(awake, false).plus(self.over(MONTH - awake, true))
    }
}

/// What was counted last, and what is added to it.
pub struct Count<'a> {
    /// What was said last; nothing for a sandbox that is new.
    pub before: Option<&'a SandboxCost>,
    /// When it was made.
    pub born: Timestamp,
    /// Whether it slept since then.
    pub asleep: bool,
    /// Whose months count.
    pub zone: &'a TimeZone,
}

/// What a sandbox costs until now.
pub fn counted(count: &Count<'_>, rates: &Rates, per_month: Money, now: Timestamp) -> SandboxCost {
    let read = |text: Option<&String>| text.and_then(|text| Money::parse(text).ok()).unwrap_or_default();
    let since = count.before.map_or(count.born, |before| before.as_of.0);
    let seconds = now.duration_since(since).as_secs().clamp(0, LONGEST);
    let local = count.zone.to_datetime(now);
    let month = format!("{:04}-{:02}", local.year(), local.month());
    let same = count.before.is_some_and(|before| before.month == month);
    let begun =
        count.zone.to_timestamp(local.date().first_of_month().to_datetime(jiff::civil::Time::midnight()));
    // Of a month that has just begun only its own part counts.
    let in_month = begun.map_or(seconds, |begun| now.duration_since(begun).as_secs().clamp(0, seconds));
    let this_month = match same {
        true => read(count.before.map(|before| &before.this_month)).plus(rates.over(seconds, count.asleep)),
        false => rates.over(in_month, count.asleep),
    };
    let so_far = read(count.before.map(|before| &before.so_far)).plus(rates.over(seconds, count.asleep));
    SandboxCost {
        currency: rates.currency.clone(),
        per_month: per_month.to_string(),
        so_far: so_far.to_string(),
        this_month: this_month.to_string(),
        month,
        // What a clock that was set back has counted already is not counted twice.
        as_of: Time(now.max(since)),
    }
}

/// Whether what was said last is old enough to be said anew.
pub fn is_due(before: Option<&SandboxCost>, now: Timestamp) -> bool {
    before.is_none_or(|before| now.duration_since(before.as_of.0) >= SignedDuration::from_secs(EVERY))
}

/// Whether the month's budget is spent. One that is spent in one month is whole in the next.
pub fn is_spent(
    budget: Option<&Budget>,
    cost: Option<&SandboxCost>,
    zone: &TimeZone,
    now: Timestamp,
) -> bool {
    let (Some(budget), Some(cost)) = (budget, cost) else { return false };
    let local = zone.to_datetime(now);
    let month = format!("{:04}-{:02}", local.year(), local.month());
    let (Ok(limit), Ok(spent)) = (Money::parse(&budget.monthly), Money::parse(&cost.this_month)) else {
        return false;
    };
    cost.month == month && spent >= limit
}

/// Whether a budget can be kept at all.
///
/// # Errors
/// Why it cannot: what is given, what is needed.
pub fn keeps(budget: &Budget, rates: &Rates) -> Result<(), String> {
    let limit = Money::parse(&budget.monthly)?;
    if budget.currency != rates.currency {
        return Err(format!(
            "is in {}, and the prices of its SandboxPolicy are in {}",
            budget.currency, rates.currency
        ));
    }
    let least = rates.month(0.0);
    if limit.0 == 0 || limit <= least {
        return Err(format!(
            "is {limit} {}; what it stores alone costs {least} a month, so that it could never be awake",
            budget.currency
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        Prices {
            currency: "EUR".to_owned(),
            cpu_hour: "0.04".to_owned(),
            memory_hour: "0.005".to_owned(),
            storage_month: "0.10".to_owned(),
        }
    }

    fn rates() -> Rates {
        Rates::of(&prices(), Amount { cpu: 2_000, memory: 4 * GIB, storage: 30 * GIB }).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn budget(monthly: &str) -> Budget {
        Budget { monthly: monthly.to_owned(), currency: "EUR".to_owned() }
    }

    #[test]
    fn amounts_are_read_and_written_without_loss() {
        for (text, written) in
            [("250", "250.00"), ("249.9", "249.90"), ("0.004", "0.004"), ("1.000001", "1.000001")]
        {
            assert_eq!(Money::parse(text).map(|money| money.to_string()), Ok(written.to_owned()));
        }
        for wrong in ["", ".5", "5.", "-1", "1e3", "1.0000001", "ten"] {
            assert!(Money::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_hour_costs_what_is_asked_for_and_less_asleep() {
        let rates = rates();
        // 2 x 0.04 + 4 x 0.005 + 30 x 0.10 / 720.
        assert_eq!(rates.over(3_600, false).to_string(), "0.104167");
        assert_eq!(rates.over(3_600, true).to_string(), "0.004167");
        assert_eq!(rates.month(1.0).to_string(), "75.00");
        assert_eq!(rates.month(0.0).to_string(), "3.00");
        assert_eq!(rates.month(0.5).to_string(), "39.00");
    }

    #[test]
    fn what_is_counted_goes_on_from_month_to_month_and_survives_a_clock() {
        let (rates, born) = (rates(), at("2026-11-30T20:00:00Z"));
        let count = |before: Option<&SandboxCost>, now: &str| {
            counted(&Count { before, born, asleep: false, zone: &TimeZone::UTC }, &rates, Money(0), at(now))
        };
        let first = count(None, "2026-11-30T22:00:00Z");
        assert_eq!(
            (first.so_far.as_str(), first.this_month.as_str(), first.month.as_str()),
            ("0.208333", "0.208333", "2026-11")
        );
        let next = count(Some(&first), "2026-12-01T01:00:00Z");
        assert_eq!(
            (next.so_far.as_str(), next.this_month.as_str(), next.month.as_str()),
            ("0.520833", "0.104167", "2026-12")
        );
        // Set back, nothing is added, and what was counted is not counted again.
        let back = count(Some(&next), "2026-12-01T00:00:00Z");
        assert_eq!((back.so_far.as_str(), back.as_of.0), ("0.520833", next.as_of.0));
        // Set ahead by a year, a day at most is.
        let ahead = count(Some(&next), "2027-12-01T01:00:00Z");
        assert_eq!(ahead.so_far, "3.020833");
    }

    #[test]
    fn a_budget_is_spent_for_a_month() {
        let zone = TimeZone::UTC;
        let count = Count { before: None, born: at("2026-11-30T00:00:00Z"), asleep: false, zone: &zone };
        let counted = counted(&count, &rates(), Money(0), at("2026-11-30T01:00:00Z"));
        let cost = SandboxCost { this_month: "10.00".to_owned(), ..counted };
        let spent = |monthly: &str, now: &str| is_spent(Some(&budget(monthly)), Some(&cost), &zone, at(now));
        assert!(spent("10", "2026-11-30T23:59:59Z"));
        assert!(!spent("10.01", "2026-11-30T23:59:59Z"));
        assert!(!spent("10", "2026-12-01T00:00:00Z"));
    }

    #[test]
    fn a_budget_that_cannot_be_kept_is_refused_with_the_least() {
        let why = keeps(&budget("0"), &rates()).unwrap_err();
        assert!(why.contains("is 0.00 EUR; what it stores alone costs 3.00 a month"), "{why}");
        assert!(keeps(&budget("3"), &rates()).is_err());
        assert_eq!(keeps(&budget("3.01"), &rates()), Ok(()));
        let dollars = Budget { currency: "USD".to_owned(), ..budget("100") };
        assert!(keeps(&dollars, &rates()).unwrap_err().contains("is in USD"));
    }
}
