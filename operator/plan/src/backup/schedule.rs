//! Schedules in the five fields of cron, as a CronJob takes them. The API server would refuse a wrong one too, but as an object
//! that cannot be applied; here the field is named.

use crate::expr::listed;

/// A field: its name, the least and the greatest number, and names that stand for numbers from the least on.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field {
        name: "day of the week",
        least: 0,
        most: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Checks a schedule.
///
/// # Errors
/// Which field is wrong, its value, what is allowed.
pub fn check(schedule: &str) -> Result<(), String> {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        return Err(format!(
            "`{schedule}` has {} fields, not the five of cron: {}",
            fields.len(),
            listed(&names)
        ));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        for part in text.split(',') {
            field.check(part).map_err(|why| {
                let Field { name, least, most, .. } = field;
                format!("`{schedule}`: {name} `{text}` {why}; allowed are {least} to {most}, `*`, a range `a-b`, a step `/n`, and lists of those")
            })?;
        }
    }
    Ok(())
}

impl Field {
    fn check(&self, part: &str) -> Result<(), &'static str> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        if let Some(step) = step
            && step.parse::<u32>().ok().is_none_or(|step| step == 0 || step > self.most)
        {
            return Err("has a step that is none");
        }
        if range == "*" {
            return Ok(());
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (self.number(first), self.number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(()),
            (Some(_), Some(_)) => Err("has a range that ends before it begins"),
            _ => Err("is out of range"),
        }
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        let number = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + self.least);
        let digits = text.chars().all(|letter| letter.is_ascii_digit());
        let number = number.or_else(|| text.parse().ok().filter(|_| digits))?;
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_cron_takes_is_taken() {
        for good in ["0 2 * * *", "*/15 0-6,22 1,15 jan-MAR mon-fri", "59 23 31 12 6", "0 0-23/4 * * sun"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let cases = [
            ("daily", "has 1 fields"),
            ("@daily", "has 1 fields"),
            ("0 2 * *", "has 4 fields"),
            ("60 2 * * *", "minute `60` is out of range"),
            ("0 24 * * *", "hour `24` is out of range"),
            ("0 2 0 * *", "day of the month `0`"),
            ("0 2 * 13 *", "month `13`"),
            ("0 2 * * 7", "day of the week `7`"),
            ("0 2 * * fri-mon", "ends before it begins"),
            ("*/0 2 * * *", "a step that is none"),
            ("+5 2 * * *", "minute `+5` is out of range"),
            ("0,, 2 * * *", "minute `0,,` is out of range"),
        ];
        for (bad, part) in cases {
            let why = check(bad).unwrap_err();
            assert!(why.contains(part), "{bad}: {why}");
        }
    }
}
