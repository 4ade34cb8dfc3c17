//! The documentation is true: links lead somewhere, commands are ones that the program has, what needs no cluster is run, and every page
//! is in the book. What needs one runs on a real control plane (`pages`), or its block says where it runs and why not here.

mod book;
mod pages;
mod ran;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};
use support::{Ran, plinth_in};

/// Verbs that start servers or talk to a cluster: of these only the words are checked.
const NEED_A_CLUSTER: &[&str] = &[
    "agreements",
    "anchor",
    "approve",
    "backup",
    "can",
    "conformance",
    "demo",
    "diff",
    "down",
    "logs",
    "operations",
    "preflight",
    "restore",
    "run",
    "sandbox",
    "status",
    "up",
    "upgrade",
    "why",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A page of the documentation.
struct Page {
    /// From the root of the repository.
    path: PathBuf,
    text: String,
}

/// Every page that people are sent to.
fn pages() -> Vec<Page> {
    let root = root();
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::from("docs")];
    let mut files: Vec<PathBuf> = [
        "README.md",
        "CONTRIBUTING.md",
        "e2e/cluster/README.md",
        "e2e/images/README.md",
        "e2e/paths/README.md",
    ]
    .iter()
    .map(PathBuf::from)
    .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(root.join(&path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        pages.push(Page { path, text });
    }
    pages
}

/// Where the links and pictures of a page lead.
fn links(text: &str) -> Vec<String> {
    let parser = Parser::new_ext(text, pulldown_cmark::Options::ENABLE_TABLES);
    parser
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        })
        .collect()
}

/// What headings are called in addresses: small letters, a hyphen for each space, nothing else.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, pulldown_cmark::Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading {
                level: HeadingLevel::H1 | HeadingLevel::H2 | HeadingLevel::H3 | HeadingLevel::H4,
                ..
            }) => {
                heading = Some(String::new());
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let words = heading.take().unwrap_or_default().to_lowercase();
                let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
            }
            _ => {}
        }
    }
    anchors
}

/// Lines of a page that call plinth, with its arguments: those of code blocks, and those of code within a sentence that have arguments.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut in_block = false;
    for event in Parser::new_ext(text, pulldown_cmark::Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let language = language.split(' ').next().unwrap_or_default();
                in_block = matches!(language, "sh" | "console" | "text" | "");
            }
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(lines) if in_block => {
                found.extend(lines.replace("\\\n", " ").lines().filter_map(called));
            }
            Event::Code(words) => found.extend(called(&words)),
            _ => {}
        }
    }
    found
}

/// The arguments of plinth where a line calls it: alone, by cargo, by kubectl, after a prompt, after variables.
fn called(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start_matches("$ ").trim();
    let mut words = shlex::split(line.split(" #").next()?)?;
    while words.first().is_some_and(|word| word.contains('=') && !word.starts_with('-')) {
        words.remove(0);
    }
    let is = |start: &[&str]| words.iter().map(String::as_str).take(start.len()).eq(start.iter().copied());
    let skip = if is(&["plinth"]) {
        1
    } else if is(&["kubectl", "plinth"]) {
        2
    } else if is(&["cargo", "run", "--release", "--"]) {
        4
    } else if is(&["cargo", "run", "--"]) {
        3
    } else {
        return None;
    };
    let ends = |word: &String| matches!(word.as_str(), "|" | ">" | "&&" | ";" | "||");
    let arguments: Vec<String> = words.into_iter().skip(skip).take_while(|word| !ends(word)).collect();
    arguments.first().is_some_and(|verb| !verb.starts_with('<')).then_some(arguments)
}

/// What stands for something that a reader puts in its place is one such thing; of words to choose from it is the first.
fn stand_in(word: &str) -> &str {
    match word {
        "N" | "H" => "1",
        "METHOD" => "GET",
        "SHELL" => "bash",
        word => word.split('|').next().unwrap_or(word),
    }
}

/// What the program says of itself after these words: it reads every one of them first.
fn explained(words: &[&str]) -> Ran {
    plinth_in(&root(), &[words, &["--help"]].concat())
}

#[test]
fn every_link_leads_somewhere() {
    let root = root();
    let mut broken = Vec::new();
    for page in pages() {
        for link in links(&page.text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => root.join(&page.path),
                file => root.join(&page.path).parent().unwrap().join(file),
            };
            if !target.exists() {
                broken.push(format!("{}: {link} is not there", page.path.display()));
            } else if !anchor.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                if !anchors(&text).contains(anchor) {
                    broken.push(format!("{}: {link} has no such heading", page.path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_command_is_one_that_the_program_has() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        for arguments in commands(&page.text) {
            let mut asked: Vec<&str> = arguments.iter().map(|word| stand_in(word)).collect();
            let mut ran = explained(&asked);
            if ran.code != 0 && asked.last().is_some_and(|last| last.starts_with('-')) {
                // In a sentence an option may be named without its value.
                asked.push("1");
                ran = explained(&asked);
            }
            checked += 1;
            if ran.code != 0 {
                let first = ran.err.lines().next().unwrap_or_default();
                wrong.push(format!("{}: plinth {}: {first}", page.path.display(), arguments.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} commands are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 80, "{checked} commands are few: are they still found?");
}

#[test]
fn what_needs_no_cluster_runs() {
    let root = root();
    let mut wrong = Vec::new();
    let mut ran = BTreeSet::new();
    for page in pages() {
        for arguments in commands(&page.text) {
            let offline = arguments.iter().any(|word| word.starts_with("examples/"))
                && !arguments.iter().any(|word| matches!(word.as_str(), "--diff" | "…"));
            let reads_files = !NEED_A_CLUSTER.contains(&arguments[0].as_str())
                || matches!(arguments[0].as_str(), "can" | "conformance" | "agreements")
                    && arguments.iter().any(|word| word == "-f");
            let has_placeholder =
                arguments.iter().any(|word| word.chars().all(|c| c.is_uppercase() || c == '/' || c == '-'));
            if !offline || !reads_files || has_placeholder || !ran.insert(arguments.clone()) {
                continue;
            }
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let said = plinth_in(&root, &words);
            // 4 and 7 are answers: something bends, a call may not pass.
            if !matches!(said.code, 0 | 4 | 7) {
                wrong.push(format!(
                    "{}: plinth {}: {}\n{}",
                    page.path.display(),
                    words.join(" "),
                    said.code,
                    said.err
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "commands that fail:\n{}", wrong.join("\n"));
    assert!(ran.len() > 10, "{} commands are few: are they still found?", ran.len());
}

#[test]
fn every_page_is_in_the_book() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let missing: Vec<String> = pages()
        .iter()
        .filter_map(|page| page.path.strip_prefix("docs").ok().map(|path| path.display().to_string()))
        .filter(|path| path != "SUMMARY.md" && !listed.contains(path))
        .collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}
