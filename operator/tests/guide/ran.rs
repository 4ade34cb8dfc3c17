//! Commands of a page, run one block after the other as a reader would: in a folder that holds the repository's examples, with `plinth`,
//! `kubectl` and a kubeconfig, each within a limit.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// A block of commands ends by then.
const LIMIT: Duration = Duration::from_secs(420);

/// A block of commands in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The page, from the root of the repository.
    pub page: String,
    /// Line of the page that it begins on.
    pub line: usize,
    /// Its commands; where it is a transcript, with a prompt and what they answer.
    pub text: String,
    /// It is a transcript.
    pub transcript: bool,
    /// Where it is run instead of here, and why.
    pub elsewhere: Option<(String, String)>,
}

/// What a page claims that stands in no transcript.
pub struct Claim {
    /// How the command begins.
    pub command: &'static str,
    /// Its exit code.
    pub code: i32,
    /// What it says.
    pub says: &'static str,
}

/// Blocks of commands of a page: `sh`, and `console` for transcripts. `elsewhere="SUITE: REASON"` behind the word says that it is not run here.
pub fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (event, range) in Parser::new_ext(text, pulldown_cmark::Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let language = info.split(' ').next().unwrap_or_default();
                let elsewhere = info.split_once("elsewhere=\"").and_then(|(_, rest)| rest.split_once('"'));
                let elsewhere = elsewhere.map(|(said, _)| said.split_once(": ").unwrap_or((said, "")));
                open = matches!(language, "sh" | "console").then(|| Block {
                    page: page.to_owned(),
                    line: text[..range.start].lines().count() + 1,
                    text: String::new(),
                    transcript: language == "console",
                    elsewhere: elsewhere.map(|(suite, why)| (suite.to_owned(), why.to_owned())),
                });
            }
            Event::Text(words) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&words);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks
}

/// Commands of a block, each with the lines that it is said to answer.
pub fn commands(block: &Block) -> Vec<(String, Vec<String>)> {
    let text = block.text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), Vec::new())),
            None if !block.transcript && line.starts_with('#') => {}
            None if !block.transcript => commands.push((line.to_owned(), Vec::new())),
            None => {
                if let Some((_, answer)) = commands.last_mut() {
                    answer.push(line.to_owned());
                }
            }
        }
    }
    commands
}

/// A reader's desk.
pub struct Desk {
    folder: tempfile::TempDir,
    kubeconfig: Option<PathBuf>,
    /// Words that a reader puts others in the place of.
    pub words: Vec<(&'static str, &'static str)>,
}

impl Desk {
    /// A desk; without a kubeconfig there is no cluster but the one that `plinth up` starts.
    pub fn new(root: &Path, kubectl: Option<&Path>, kubeconfig: Option<PathBuf>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["examples", "charts", "operator"] {
            symlink(root.join(name), folder.path().join(name))?;
        }
        let plinth = env!("CARGO_BIN_EXE_plinth");
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs)?;
        let mut scripts = vec![
            ("plinth", format!("exec {plinth} \"$@\"")),
            // What cargo builds is built already; only what follows `--` is the reader's.
            ("cargo", format!("while [ \"$1\" != -- ]; do shift; done; shift; exec {plinth} \"$@\"")),
        ];
        scripts.extend(kubectl.map(|kubectl| ("kubectl", format!("exec {} \"$@\"", kubectl.display()))));
        let desk = Self { folder, kubeconfig, words: Vec::new() };
        for (name, script) in scripts {
            desk.lay(name, &script)?;
        }
        Ok(desk)
    }

    /// Lays one more program there.
    pub fn lay(&self, name: &str, script: &str) -> Result<()> {
        let path = self.folder.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Runs a script of bash; its exit code, and all that it said.
    pub async fn bash(&self, script: &str) -> Result<(i32, String)> {
        let output = tokio::time::timeout(LIMIT, self.command(script).output()).await;
        let output =
            output.with_context(|| format!("still runs after {} s: {script}", LIMIT.as_secs()))??;
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Begins a command that goes on until it is dropped.
    #[allow(dead_code, reason = "on simulated nodes nothing serves")]
    pub fn begins(&self, command: &str) -> Result<tokio::process::Child> {
        let mut begun = self.command(&format!("exec {command}"));
        begun.stdout(Stdio::null()).spawn().with_context(|| command.to_owned())
    }

    /// A script of bash, as it runs at this desk.
    fn command(&self, script: &str) -> tokio::process::Command {
        let folder = self.folder.path();
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut bash = tokio::process::Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1\n{script}")]).current_dir(folder).env("PATH", path);
        bash.env("HOME", folder).env("XDG_STATE_HOME", folder.join("state")).env_remove("KUBECONFIG");
        // The cluster that was compiled once is taken from where it is.
        if std::env::var_os("XDG_CACHE_HOME").is_none()
            && let Some(home) = std::env::var_os("HOME")
        {
            bash.env("XDG_CACHE_HOME", Path::new(&home).join(".cache"));
        }
        bash.envs(self.kubeconfig.iter().map(|path| ("KUBECONFIG", path)));
        bash.stdin(Stdio::null()).kill_on_drop(true);
        bash
    }

    /// Runs a command of a page, and holds what comes of it against what the page says.
    pub async fn run(&self, block: &Block, command: &str, answer: &[String], claims: &[Claim]) -> Result<()> {
        let place = format!("{}:{}: {command}", block.page, block.line);
        let mut script = command.to_owned();
        for (word, stands_for) in &self.words {
            script = script.replace(word, stands_for);
        }
        if block.transcript {
            // What is answered on a terminal is for people.
            script = format!(
                "NO_COLOR=1 TERM=dumb script --quiet --return --command {} /dev/null",
                quoted(&script)?
            );
        }
        let (code, said) = self.bash(&script).await.context(place.clone())?;
        let claim = claims.iter().find(|claim| command.starts_with(claim.command));
        let expected = claim.map_or(0, |claim| claim.code);
        ensure!(code == expected, "{place}\nended with {code}, not {expected}:\n{said}");
        if let Some(claim) = claim {
            ensure!(said.contains(claim.says), "{place}\ndoes not say `{}`:\n{said}", claim.says);
        }
        let mut lines = said.lines().map(str::trim);
        for line in answer.iter().filter(|line| line.trim() != "…") {
            ensure!(lines.any(|said| said == line.trim()), "{place}\ndoes not answer `{line}`:\n{said}");
        }
        Ok(())
    }
}

fn quoted(text: &str) -> Result<String> {
    Ok(shlex::try_quote(text)?.into_owned())
}
