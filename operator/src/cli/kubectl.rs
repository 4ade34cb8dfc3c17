//! The program as a plugin of kubectl: `kubectl plinth` runs what is installed as `kubectl-plinth`, and asks `kubectl_complete-plinth`
//! what may come next. Both are this program under another name.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;

/// Name of the plugin.
const PLUGIN: &str = "kubectl-plinth";
/// What kubectl runs for completion, with the words so far; the last one is under work, and may be empty.
const COMPLETER: &str = "kubectl_complete-plinth";
/// How cobra's completion scripts are told to offer no files (`ShellCompDirectiveNoFileComp`), or those they find.
const NO_FILES: &str = ":4";
const FILES: &str = ":0";

/// What this process was called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// By its own name.
    Plinth,
    /// As the plugin.
    Plugin,
    /// As the plugin's completer.
    Completer,
}

/// By the first word of a command line.
pub fn called_as(program: Option<&OsStr>) -> Called {
    let name = program.map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
    match name {
        Some(PLUGIN) => Called::Plugin,
        Some(COMPLETER) => Called::Completer,
        _ => Called::Plinth,
    }
}

/// What may come next, as kubectl reads it: a word a line, with what it means after a tab, then whether files may come too.
pub fn completions(root: &Command, words: &[String]) -> String {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = root;
    for word in before {
        if let Some(found) = command.find_subcommand(word) {
            command = found;
        }
    }
    let mut lines = Vec::new();
    let mut offer = |word: String, about: Option<String>| {
        if word.starts_with(last) {
            lines.push(about.map_or(word.clone(), |about| format!("{word}\t{about}")));
        }
    };
    if last.starts_with('-') {
        for argument in command.get_arguments().chain(root.get_arguments().filter(|a| a.is_global_set())) {
            if let Some(long) = argument.get_long().filter(|_| !argument.is_hide_set()) {
                offer(format!("--{long}"), argument.get_help().map(|help| first_line(&help.to_string())));
            }
        }
    } else {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            offer(sub.get_name().to_owned(), sub.get_about().map(|about| first_line(&about.to_string())));
        }
    }
    let wants_file =
        before.last().is_some_and(|word| word == "-f" || word == "--file" || word == "--kubeconfig");
    lines.push(if wants_file { FILES } else { NO_FILES }.to_owned());
    lines.join("\n")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn offered(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut root = crate::cli::Cli::command();
        root.build();
        completions(&root, &words)
    }

    #[test]
    fn the_name_decides_what_the_program_is() {
        assert_eq!(called_as(Some(OsStr::new("/usr/bin/kubectl-plinth"))), Called::Plugin);
        assert_eq!(called_as(Some(OsStr::new("kubectl_complete-plinth"))), Called::Completer);
        assert_eq!(called_as(Some(OsStr::new("./plinth"))), Called::Plinth);
        assert_eq!(called_as(None), Called::Plinth);
    }

    #[test]
    fn commands_and_options_are_offered_where_they_may_stand() {
        let verbs = offered(&["st"]);
        assert!(verbs.starts_with("status\t") && verbs.ends_with("\n:4"), "{verbs}");
        assert!(!offered(&[""]).contains("onboard"), "what is hidden is not offered");
        let options = offered(&["approve", "--re"]);
        assert!(options.starts_with("--reason\t"), "{options}");
        let nested = offered(&["catalogue", "sh"]);
        assert!(nested.starts_with("show\t"), "{nested}");
        assert_eq!(offered(&["validate", "-f", "exa"]), ":0", "files may come");
    }
}
