//! What goes to standard output: a table when a person looks, stable JSON when a program asks.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use plinth_api::condition::State;
use serde::Serialize;

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. The default on a terminal.
    Table,
    /// For programs: fields keep their names and meaning. The default everywhere else.
    Json,
    /// The same as JSON, as YAML.
    Yaml,
    /// Counts only (`plan`).
    Summary,
    /// A page for everybody (`report`, `directory`).
    Html,
}

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// How data is printed.
    pub format: Format,
    /// Whether a person looks.
    pub terminal: bool,
}

impl Out {
    /// In the format that was asked for, or else the one that fits who looks.
    pub fn new(asked: Option<Format>) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let format = asked.unwrap_or(if terminal { Format::Table } else { Format::Json });
        Self { format, terminal }
    }

    /// Prints a value, `text` being its form for people.
    pub fn print<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        let text = match self.format {
            Format::Table | Format::Summary | Format::Html => text(value),
            Format::Json => serde_json::to_string_pretty(value).context("writing JSON")?,
            // By way of JSON: both say the same, and no reader meets a YAML tag.
            Format::Yaml => yaml(value)?,
        };
        self.text(&text)
    }

    /// Prints text.
    pub fn text(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
            // `plinth plan | head` has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.context("writing to standard output"),
        }
    }

    /// Colours, where a person looks and did not refuse them.
    pub fn paint(&self) -> Paint {
        Paint { on: self.terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }
}

/// A value as YAML, with nothing in it that JSON cannot say.
///
/// # Errors
/// It cannot be written.
pub fn yaml<T: Serialize>(value: &T) -> Result<String> {
    let value = serde_json::to_value(value).context("writing YAML")?;
    serde_yaml::to_string(&value).context("writing YAML")
}

/// A note for people, on standard error. Programs that read standard output never see it.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// `1 block`, `2 blocks`.
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// `1 Registry`, `2 Registries`.
pub fn kinds(n: usize, kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) if n != 1 => format!("{n} {stem}ies"),
        _ => count(n, kind),
    }
}

/// A table in the house style: no lines, headings in capitals.
pub fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// The table's text, without the spaces at line ends that would break a comparison of files.
pub fn lines(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Colours and signs. Signs alone tell states apart, so that nothing is lost without colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint {
    /// Whether colours are written.
    pub on: bool,
}

impl Paint {
    /// Text in the colour of a state.
    pub fn state(self, state: State, text: &str) -> String {
        match state {
            State::Ready => self.with("32", text),
            State::Unreachable | State::Conflicted | State::Blocked | State::Unhealthy => {
                self.with("31", text)
            }
            State::Drifted | State::OutOfDate | State::Progressing => self.with("33", text),
            State::Absent | State::Waiting | State::Orphaned | State::Suspended => self.dim(text),
        }
    }

    /// Text that steps back.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Text that steps forward.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The sign of a state.
pub fn sign(state: State) -> &'static str {
    match state {
        State::Ready => "✔",
        State::Unreachable | State::Conflicted | State::Blocked | State::Unhealthy => "✖",
        State::Drifted | State::OutOfDate => "!",
        State::Progressing => "◐",
        State::Absent | State::Waiting => "…",
        State::Orphaned | State::Suspended => "‖",
    }
}
