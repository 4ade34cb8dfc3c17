//! How a command ends: the exit codes, and failures that say what is wrong and what to do next.

use std::fmt::{self, Write as _};

use crate::cli::problem::Problem;

/// Every exit code. A script may rely on each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing is wrong.
    Ok = 0,
    /// Something else failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The input is wrong.
    InvalidInput = 3,
    /// Something is not ready.
    NotReady = 4,
    /// `plan --diff` found differences.
    Differences = 5,
    /// No cluster answers.
    NoCluster = 6,
    /// The answer to `can` is no.
    Denied = 7,
    /// Ended by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::InvalidInput,
        Self::NotReady,
        Self::Differences,
        Self::NoCluster,
        Self::Denied,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; nothing is wrong",
            Self::Failed => "failed; standard error says why",
            Self::Usage => "the command line is wrong",
            Self::InvalidInput => "the input is invalid; every field at fault is named",
            Self::NotReady => {
                "not ready, not in time, or the cluster falls short (up, status, approve, preflight)"
            }
            Self::Differences => "the cluster differs from the plan (plan --diff)",
            Self::NoCluster => "no cluster is configured, or it does not answer or refuses access",
            Self::Denied => "the answer is no (can)",
            Self::Interrupted => "interrupted (Ctrl-C or SIGTERM)",
        }
    }
}

/// The table of exit codes, for `--help`.
pub fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    text.truncate(text.trim_end().len());
    text
}

/// Why a command ends early.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The fields at fault.
    pub problems: Vec<Problem>,
    /// What to do next.
    pub next: Option<String>,
}

impl Failure {
    /// A failure that ends with this code.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), problems: Vec::new(), next: None }
    }

    /// The input is wrong in these places.
    pub fn invalid(problems: Vec<Problem>) -> Self {
        let what = match problems.len() {
            1 => "the input is invalid".to_owned(),
            n => format!("the input is invalid in {n} places"),
        };
        Self { problems, ..Self::new(Exit::InvalidInput, what) }
    }

    /// What to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The code that an error ends with.
pub fn of(error: &anyhow::Error) -> Exit {
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map(|failure| failure.exit);
    let cluster = || error.chain().find_map(|cause| cause.downcast_ref::<kube::Error>()).map(of_request);
    failure.or_else(cluster).unwrap_or(Exit::Failed)
}

fn of_request(error: &kube::Error) -> Exit {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => Exit::NoCluster,
        kube::Error::Api(_) => Exit::Failed,
        kube::Error::HyperError(_) | kube::Error::Service(_) => Exit::NoCluster,
        _ => Exit::Failed,
    }
}

/// The error as a person reads it: what is wrong, and what to do next.
pub fn explain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = None;
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            next = failure.next.clone();
        }
        let request = cause.downcast_ref::<kube::Error>();
        let text = request.map_or_else(|| cause.to_string(), explain_request);
        // Many errors repeat their source in their own text.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        if request.is_some() {
            break;
        }
    }
    let mut text = format!("error: {}", parts.join(": "));
    if let Some(next) = next {
        let _ = write!(text, "\n  next: {next}");
    }
    text
}

/// What the API server said, without the debug dump that kube adds.
pub fn explain_request(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => "the cluster does not know who you are (401); renew the credentials of the kubeconfig"
                .to_owned(),
            403 => format!("{} (403); ask the cluster's owner for this right", status.message),
            _ if status.message.is_empty() => {
                format!("the API server answered {} {}", status.code, status.reason)
            }
            _ => status.message.clone(),
        },
        kube::Error::HyperError(_) | kube::Error::Service(_) => {
            format!("the cluster does not answer: {}", innermost(error))
        }
        other => other.to_string(),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_and_all_in_the_help() {
        let help = help();
        for (nth, exit) in Exit::ALL.iter().enumerate() {
            assert!(Exit::ALL[..nth].iter().all(|other| other.code() < exit.code()));
            assert!(help.contains(&format!("{}  {}", exit.code(), exit.meaning())), "{help}");
        }
    }

    #[test]
    fn the_page_about_the_command_line_lists_every_code() {
        let page = include_str!("../../../docs/cli.md");
        for exit in Exit::ALL {
            assert!(page.contains(&format!("| {} | {} |", exit.code(), exit.meaning())), "{exit:?}");
        }
    }

    #[test]
    fn an_error_says_what_and_what_next_and_no_part_twice() {
        let failure = Failure::new(Exit::NotReady, "the Stack is not ready").next("plinth status");
        let error = anyhow::Error::new(failure).context("up");
        assert_eq!(explain(&error), "error: up: the Stack is not ready\n  next: plinth status");
        assert_eq!(of(&error), Exit::NotReady);
        let status =
            kube::core::Status::failure("stacks.plinth.dev \"a\" not found", "NotFound").with_code(404);
        let error = anyhow::Error::new(kube::Error::Api(status.boxed())).context("reading the Stack");
        assert_eq!(explain(&error), "error: reading the Stack: stacks.plinth.dev \"a\" not found");
        assert_eq!(of(&error), Exit::Failed);
    }
}
