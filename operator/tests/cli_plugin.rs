//! The program under the names by which kubectl finds it.

mod support;

use std::os::unix::fs::symlink;
use std::process::Command;

use support::plinth;

/// Runs the program under another name.
fn called(name: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    symlink(env!("CARGO_BIN_EXE_plinth"), &program).unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn as_a_plugin_it_calls_itself_what_people_type() {
    let help = called("kubectl-plinth", &["why", "--help"]);
    assert!(help.contains("Usage: kubectl plinth why"), "{help}");
    assert!(plinth(&["why", "--help"]).out.contains("Usage: plinth why"));
}

#[test]
fn kubectls_completion_is_offered_what_may_come_next() {
    let offered = called("kubectl_complete-plinth", &["ap"]);
    assert!(offered.starts_with("approve\t"), "{offered}");
    assert!(offered.trim_end().ends_with(":4"), "{offered}");
}
