//! Spans of time as a Sandbox has them: a number and a unit. Days have 24 hours, so that a span is the same everywhere.

/// A span in seconds.
///
/// # Errors
/// It is none: the value, and what is allowed.
pub fn seconds(text: &str) -> Result<i64, String> {
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let is_number = !number.is_empty() && number.len() <= 5 && number.bytes().all(|b| b.is_ascii_digit());
    match number.parse::<i64>() {
        Ok(count) if is_number && unit > 0 && count > 0 => Ok(count * unit),
        _ => Err(format!("`{text}` is no span of time; write it as 14d, 36h or 90m")),
    }
}

/// A span for people, in its largest unit that is not 0, rounded down.
pub fn spoken(seconds: i64) -> String {
    match seconds {
        s if s >= 2 * 86_400 => format!("{} days", s / 86_400),
        s if s >= 2 * 3_600 => format!("{} hours", s / 3_600),
        s if s >= 120 => format!("{} minutes", s / 60),
        s => format!("{s} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, wanted) in [("14d", 14 * 86_400), ("36h", 36 * 3_600), ("90m", 5_400)] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for wrong in ["", "d", "0d", "14", "-1d", "+1d", "1w", "1.5d", "123456d", "4 d", "١d"] {
            assert!(seconds(wrong).unwrap_err().contains("write it as 14d"), "{wrong}");
        }
    }

    #[test]
    fn spans_are_said_in_the_largest_unit() {
        let said = [3 * 86_400, 86_400, 7_200, 3_599, 60].map(spoken);
        assert_eq!(said, ["3 days", "24 hours", "2 hours", "59 minutes", "60 seconds"]);
    }
}
