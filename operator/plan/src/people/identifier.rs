//! Numbers with check digits, by the public rules: a national identifier for everybody, an account for grown-ups.
//!
//! | country | identifier | check digit |
//! | --- | --- | --- |
//! | EE | isikukood: sex and century, date of birth, number of the day | modulo 11, weights 1 to 9 and 1, then 3 to 9 and 1 to 3 (EVS 585) |
//! | PE | number of the DNI, and its check digit | modulo 11, weights 3 2 7 6 5 4 3 2 |
//! | UA | РНОКПП: days since 1899-12-31, number of the day, odd for men | modulo 11, weights -1 5 7 9 4 6 10 5 7 |
//!
//! An account is an IBAN (ISO 13616), its check digits are those of ISO 7064 MOD 97-10.

use jiff::civil::{Date, date};
use jiff::{ToSpan as _, Unit};
use plinth_api::v1alpha1::people::PeopleOf;

use super::Sex;
use super::draw::{About, Draw};
use super::household::Role;

/// When somebody was born: the day, and a number that no other of the same role and day has.
pub struct Birth {
    pub day: Date,
    serial: u64,
}

/// When a person was born.
pub fn birth(country: PeopleOf, seed: u32, number: u32, role: Role) -> Birth {
    let (years, serials) = (role.years(), serials(country));
    let (first, end) = (date(years.start, 1, 1), date(years.end, 1, 1));
    let days = u64::try_from(days_between(first, end)).unwrap_or_default();
    let about = Draw::of(seed, About::Birth, role as u32).shuffled(number.into(), days * serials);
    let days_later = i64::try_from(about % days).unwrap_or_default();
    Birth { day: first.saturating_add(days_later.days()), serial: about / days }
}

/// Numbers that a country has for those of a sex who are born on a day.
fn serials(country: PeopleOf) -> u64 {
    match country {
        PeopleOf::Estonia => 999,
        PeopleOf::Ukraine => 5_000,
        // The number says nothing of the day.
        PeopleOf::Peru => 1_000,
    }
}

/// The national identifier of a person.
pub fn identifier(country: PeopleOf, seed: u32, number: u32, role: Role, sex: Sex) -> String {
    let Birth { day, serial } = birth(country, seed, number, role);
    match country {
        PeopleOf::Estonia => estonian(day, sex, serial + 1),
        PeopleOf::Ukraine => ukrainian(day, sex, serial),
        PeopleOf::Peru => {
            const FIRST: u64 = 10_000_000;
            const LAST: u64 = 79_999_999;
            let place = Draw::of(seed, About::Birth, u32::MAX).shuffled(number.into(), LAST - FIRST + 1);
            peruvian(FIRST + place)
        }
    }
}

fn estonian(day: Date, sex: Sex, serial: u64) -> String {
    let century = (day.year() - 1800) / 100 * 2 + if sex == Sex::Male { 1 } else { 2 };
    let ten = format!("{century}{:02}{:02}{:02}{serial:03}", day.year() % 100, day.month(), day.day());
    let digit = match weighted(&ten, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11 {
        10 => weighted(&ten, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10,
        digit => digit,
    };
    format!("{ten}{digit}")
}

fn ukrainian(day: Date, sex: Sex, serial: u64) -> String {
    let days = days_between(date(1899, 12, 31), day);
    let nine = format!("{days:05}{:04}", serial * 2 + u64::from(sex == Sex::Male));
    let digit = weighted(&nine, &[-1, 5, 7, 9, 4, 6, 10, 5, 7]).rem_euclid(11) % 10;
    format!("{nine}{digit}")
}

fn peruvian(number: u64) -> String {
    const DIGITS: [char; 11] = ['6', '5', '4', '3', '2', '1', '1', '0', '9', '8', '7'];
    let eight = format!("{number:08}");
    let place = weighted(&eight, &[3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let digit = usize::try_from(place).ok().and_then(|place| DIGITS.get(place));
    format!("{eight}{}", digit.copied().unwrap_or_default())
}

/// The telephone number of whoever has that identifier, as digits of the international form. No country code begins with 0 (ITU-T
/// E.164 keeps it), so that it is nobody's.
pub fn phone(identifier: &str) -> String {
    format!("0{identifier}")
}

/// The account of a person, at bank 00 or 000000, which is nobody's; nothing where the country has no IBAN.
pub fn account(country: PeopleOf, seed: u32, number: u32) -> Option<String> {
    let own = Draw::of(seed, About::Account, number).below(100_000);
    let basic = match country {
        PeopleOf::Estonia => {
            let numbers = format!("00{number:06}{own:05}");
            format!("00{numbers}{}", seven_three_one(&numbers))
        }
        PeopleOf::Ukraine => format!("000000{number:014}{own:05}"),
        PeopleOf::Peru => return None,
    };
    let code = country.code();
    Some(format!("{code}{:02}{basic}", 98 - remainder_of_97(&format!("{basic}{code}00"))))
}

/// The check digit inside an Estonian account number.
fn seven_three_one(digits: &str) -> i64 {
    let weights = [7, 3, 1].into_iter().cycle();
    let sum: i64 = numbers(digits).rev().zip(weights).map(|(digit, weight)| digit * weight).sum();
    (10 - sum % 10) % 10
}

/// Letters count from 10 on.
fn remainder_of_97(text: &str) -> u32 {
    let values = text.chars().filter_map(|c| c.to_digit(36));
    values.fold(0, |rest, value| (rest * if value < 10 { 10 } else { 100 } + value) % 97)
}

fn weighted(digits: &str, weights: &[i64]) -> i64 {
    numbers(digits).zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn numbers(digits: &str) -> impl DoubleEndedIterator<Item = i64> {
    digits.chars().filter_map(|c| c.to_digit(10)).map(i64::from)
}

fn days_between(from: Date, to: Date) -> i64 {
    let span = from.until((Unit::Day, to));
    span.map(|span| span.get_days().into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are published as examples.
    #[test]
    fn check_digits_are_those_of_published_numbers() {
        assert_eq!(estonian(date(1968, 5, 28), Sex::Male, 10), "36805280109");
        assert_eq!(estonian(date(1980, 1, 8), Sex::Male, 571), "38001085718");
        assert_eq!(peruvian(10_117_410), "101174102");
        let born = date(1899, 12, 31).saturating_add(17_590.days());
        assert_eq!(ukrainian(born, Sex::Male, 688), "1759013776");
        assert_eq!(seven_three_one("0022102014568"), 5, "EE38 2200 2210 2014 5685");
        assert_eq!(98 - remainder_of_97("2200221020145685EE00"), 38);
        assert_eq!(98 - remainder_of_97("3223130000026007233566001UA00"), 21, "UA21 3223 1300 …");
    }
}
