//! Progress on standard error: bars where a person looks, plain lines where nobody does.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use plinth_cluster::{Lines, Progress};

const TICK: Duration = Duration::from_millis(120);

/// A bar over a known number of steps.
pub fn counted(what: &str, total: u64) -> ProgressBar {
    // Hidden by itself where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(bar_style());
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// A spinner over work of unknown length.
pub fn spinner(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(spinner_style());
    bar.set_prefix(what.to_owned());
    bar.enable_steady_tick(TICK);
    bar
}

/// The style of a bar. The templates are constants, checked by a test; should one be wrong, the default does.
fn bar_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix:<28} {bar:24} {pos}/{len} {elapsed:>4}  {wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}

fn spinner_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{prefix:<28} {spinner} {elapsed:>4}  {wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A line of one block: sign, name, ready of all, message.
pub fn block_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("  {prefix:<24} {bar:12} {pos:>2}/{len:<2}  {wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ ")
}

/// The progress of building and starting a cluster.
pub enum Stages {
    /// For a person.
    Bars(MultiProgress, Mutex<BTreeMap<String, ProgressBar>>),
    /// For a log.
    Lines(Lines),
}

impl Stages {
    /// In the form that fits who looks.
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bars(MultiProgress::new(), Mutex::default())
        } else {
            Self::Lines(Lines::default())
        }
    }
}

impl Progress for Stages {
    fn begin(&self, stage: &str, total: Option<u64>) {
        match self {
            Self::Lines(lines) => lines.begin(stage, total),
            Self::Bars(bars, stages) => {
                let bar = bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
                bar.set_style(if total.is_some() { bar_style() } else { spinner_style() });
                bar.set_prefix(stage.to_owned());
                bar.enable_steady_tick(TICK);
                stages.lock().unwrap_or_else(PoisonError::into_inner).insert(stage.to_owned(), bar);
            }
        }
    }

    fn advance(&self, stage: &str, done: u64, detail: &str) {
        match self {
            Self::Lines(lines) => lines.advance(stage, done, detail),
            Self::Bars(_, stages) => {
                if let Some(bar) = stages.lock().unwrap_or_else(PoisonError::into_inner).get(stage) {
                    bar.set_position(done);
                    bar.set_message(detail.to_owned());
                }
            }
        }
    }

    fn finish(&self, stage: &str) {
        match self {
            Self::Lines(lines) => lines.finish(stage),
            Self::Bars(bars, stages) => {
                if let Some(bar) = stages.lock().unwrap_or_else(PoisonError::into_inner).remove(stage) {
                    bar.finish_and_clear();
                    let _ = bars.println(format!("✔ {stage}, {:.1} s", bar.elapsed().as_secs_f64()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        for template in [
            "{prefix:<28} {bar:24} {pos}/{len} {elapsed:>4}  {wide_msg}",
            "{prefix:<28} {spinner} {elapsed:>4}  {wide_msg}",
            "  {prefix:<24} {bar:12} {pos:>2}/{len:<2}  {wide_msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
