//! When a step may begin by the Stack's maintenance windows. Pure; whoever asks says what time it is.

use jiff::Timestamp;
use plinth_api::Stack;

use crate::model::Finding;
use crate::windows::Windows;

/// What is wrong with the windows of a Stack.
pub(crate) fn findings(stack: &Stack) -> Vec<Finding> {
    read(stack).err().unwrap_or_default()
}

/// The windows of a Stack; `None` where it says nothing of them.
///
/// # Errors
/// Every field that is wrong.
pub(super) fn read(stack: &Stack) -> Result<Option<Windows>, Vec<Finding>> {
    let Some(maintenance) = &stack.spec.change_policy.maintenance else { return Ok(None) };
    let at = "spec.changePolicy.maintenance";
    let zone = match &maintenance.time_zone {
        Some(zone) => (format!("{at}.timeZone"), zone),
        None => ("spec.country.timeZone".to_owned(), &stack.spec.country.time_zone),
    };
    Windows::read((&zone.0, zone.1), (&format!("{at}.windows"), &maintenance.windows)).map(Some)
}

/// Why no step of an upgrade begins at a moment (seconds since the Unix epoch), by the Stack's maintenance windows; `None` while one is
/// open, where the Stack has none, and where they are wrong, which its plan says.
pub fn waits(stack: &Stack, now: i64) -> Option<String> {
    closed(&read(stack).ok()??, now)
}

/// Why no step begins at a moment; `None` while a window is open.
pub(super) fn closed(windows: &Windows, now: i64) -> Option<String> {
    let now = Timestamp::from_second(now).ok().filter(|now| !windows.cover(*now))?;
    let opens = windows.next_change(now).map(|at| at.to_zoned(windows.zone().clone()));
    let opens = opens.map_or_else(
        || "never opens".to_owned(),
        |at| at.strftime("opens on %A, %Y-%m-%d %H:%M %Q").to_string(),
    );
    Some(format!("waits for a maintenance window, which {opens} (spec.changePolicy.maintenance)"))
}

/// When the next window opens or closes.
pub(super) fn next_change(windows: &Windows, now: i64) -> Option<i64> {
    windows.next_change(Timestamp::from_second(now).ok()?).map(Timestamp::as_second)
}
