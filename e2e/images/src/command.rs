//! Runs the registries' own clients.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// How much of what a failed program said is shown.
const TAIL: usize = 12;

/// Runs a program to its end, and returns what it wrote to standard output.
///
/// # Errors
/// It is not installed (Debian's `package` has it), or it failed.
pub(crate) fn run(command: &mut Command, doing: &str, package: &'static str) -> Result<String> {
    let ran = command.stdin(Stdio::null()).output().map_err(|error| {
        let tool = command.get_program().to_string_lossy().into_owned();
        match error.kind() {
            ErrorKind::NotFound => Error::ToolMissing { doing: doing.to_owned(), tool, package },
            _ => Error::io(tool)(error),
        }
    })?;
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    if ran.status.success() {
        return Ok(out);
    }
    let said = format!("{out}{}", String::from_utf8_lossy(&ran.stderr));
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    Err(Error::Failed { doing: doing.to_owned(), status: ran.status.to_string(), tail })
}
