//! When a sandbox sleeps by its schedule.

use plinth_api::v1alpha1::sandbox::Hibernation;

use crate::model::Finding;
use crate::resolve::finding;
use crate::windows::Windows;

/// Reads a schedule: the windows in which the sandbox sleeps.
///
/// # Errors
/// Every field that is wrong, and a schedule by which the sandbox is never awake.
pub fn asleep(hibernation: &Hibernation) -> Result<Windows, Vec<Finding>> {
    let windows = Windows::read(
        ("spec.hibernation.timeZone", &hibernation.time_zone),
        ("spec.hibernation.asleep", &hibernation.asleep),
    )?;
    if windows.covered_share() == 1.0 {
        let why = "covers every minute of the week: the sandbox would never be awake; leave some time out";
        return Err(vec![finding("spec.hibernation.asleep", why)]);
    }
    Ok(windows)
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::window::Window;

    use super::*;

    #[test]
    fn a_schedule_by_which_nobody_is_ever_awake_is_refused() {
        for windows in [&[("07:00", "07:00")][..], &[("19:00", "07:00"), ("06:00", "20:00")]] {
            let window = |(from, to): &(&str, &str)| Window {
                days: Vec::new(),
                from: (*from).to_owned(),
                to: (*to).to_owned(),
            };
            let hibernation =
                Hibernation { time_zone: "UTC".to_owned(), asleep: windows.iter().map(window).collect() };
            let findings = asleep(&hibernation).unwrap_err();
            let part = "spec.hibernation.asleep: covers every minute of the week";
            assert!(findings[0].to_string().starts_with(part), "{findings:?}");
        }
    }
}
