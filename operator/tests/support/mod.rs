//! Runs the built program as a person or a script would.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The file that most tests start from.
pub const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/demo.yaml");

/// A small country with agencies.
pub const AGENCIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/agencies.yaml");

/// How a run ended.
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `plinth` far away from any cluster of this machine.
pub fn plinth(args: &[&str]) -> Ran {
    with_input(args, "")
}

/// The same in a folder.
pub fn plinth_in(folder: &Path, args: &[&str]) -> Ran {
    run_in(folder, args, "")
}

/// The same with something on standard input.
pub fn with_input(args: &[&str], input: &str) -> Ran {
    run_in(Path::new("."), args, input)
}

fn run_in(folder: &Path, args: &[&str], input: &str) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_plinth"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Ran {
        code: status.code().expect("it ends by itself"),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// The demo file with some text replaced.
pub fn demo_with(from: &str, to: &str) -> String {
    file_with(DEMO, from, to)
}

/// The small country with some text replaced.
pub fn agencies_with(from: &str, to: &str) -> String {
    file_with(AGENCIES, from, to)
}

fn file_with(file: &str, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}
