//! The command line: one file a verb. What a verb prints is made by pure functions; what it does is in `run`.

mod agencies;
mod agreements;
mod anchor;
mod apply;
mod approve;
mod ask;
mod authorise;
mod backup;
mod can;
mod catalogue;
mod completion;
mod conformance;
mod connect;
mod country;
mod crds;
mod demo;
mod diff;
mod directory;
mod down;
mod exit;
mod explain;
mod failover;
mod generate;
mod graph;
mod images;
mod input;
mod kubectl;
mod logs;
mod lookup;
mod names;
mod onboard;
mod operations;
mod output;
mod page;
mod pause;
mod plan;
mod preflight;
mod problem;
mod progress;
mod rbac;
mod report;
mod rotate;
mod run;
mod sandbox;
mod schema;
mod status;
mod store;
mod surge;
mod tree;
mod up;
mod upgrade;
mod validate;
mod views;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::exit::{Exit, Failure};
use self::kubectl::Called;
use self::output::{Format, Out};

/// Turns a country's declaration of its digital public infrastructure into running building blocks.
#[derive(Debug, Parser)]
#[command(name = "plinth", version, after_help = exit::help(), max_term_width = 100)]
struct Cli {
    /// How data is printed. The default is `table` on a terminal and `json` everywhere else.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a cluster where none is given, run the operator, apply a Stack and wait until it is Ready.
    Up(up::Args),
    /// Go a citizen's whole way on this machine, from nothing until she is paid, and say how long each stage took.
    Demo(demo::Args),
    /// Stop what `up` left running.
    Down(down::Args),
    /// Run the operator.
    Run(run::Args),
    /// Show every object that a Stack becomes, by cluster and wave. Offline; with --diff against a cluster.
    Plan(plan::Args),
    /// Say why a plan is as it is: on which cluster each block is placed, and why on no other.
    Explain(explain::Args),
    /// List every image that a Stack runs, for a mirror, and what products would fetch when they start. Offline.
    Images(images::Args),
    /// Show what applying a file would change on a cluster, in words: `plan --diff`.
    Diff(diff::Args),
    /// Check Stacks and Products, offline.
    Validate(validate::Args),
    /// Check whether a cluster can carry a Stack, and name every shortfall.
    Preflight(preflight::Args),
    /// Show a Stack as a tree of blocks and components, with the reason for everything that is not ready.
    #[command(visible_alias = "tree")]
    Status(status::Args),
    /// Name what is at fault, the worst first, and what to do. Exit code 4 when something is.
    Why(why::Args),
    /// Print what the containers of a block say.
    Logs(logs::Args),
    /// Show what is seen of GovStack's cross-functional requirements, block by block, with evidence.
    Conformance(conformance::Args),
    /// Draw a country: who asks, who answers, who may call what.
    Graph(graph::Args),
    /// Say whether a system may call a service, and which agreement or layer decides. Exit code 7 when it may not.
    Can(can::Args),
    /// Agreements of the exchange: what is granted, and what is asked for and waits.
    Agreements(agreements::Args),
    /// Say what bends first when many people come at once: services, registries, agreements.
    Surge(surge::Args),
    /// Reports for the public.
    Report(report::Args),
    /// The public services of a country: what each does, how to reach it, what one needs, which data it uses.
    Directory(report::PageArgs),
    /// Print what other instances have to know a Stack's exchange by, to federate with it, and its fingerprint.
    Anchor(anchor::Args),
    /// Approve the plan that a Stack holds.
    Approve(approve::Args),
    /// Write nothing more to a Stack, or to a block of it. What runs goes on running.
    Pause(pause::Args),
    /// Go on with what was paused.
    Resume(pause::Args),
    /// Give a generated secret a new value, and everybody who holds it.
    Rotate(rotate::Args),
    /// Take a block over to a cluster that stands by for it.
    Failover(failover::Args),
    /// Take a block back to where it was before it was taken over.
    Switchback(failover::Takeover),
    /// List what people have asked for once: who, why, and how it ended.
    Operations(operations::Args),
    /// Backups: take one now, list them, verify one.
    Backup(backup::Args),
    /// Bring a database back from a backup. What served is kept.
    Restore(backup::RestoreArgs),
    /// Sandboxes: copies of a Stack for a team, within a budget, for a time.
    Sandbox(sandbox::Args),
    /// Bring a block to another version, step by step, or back; or the Stack to another catalogue. With --plan say what that would do.
    Upgrade(upgrade::Args),
    /// Print the definitions of Plinth's kinds, or write one file for each.
    Crds(crds::Args),
    /// Print the roles that the operator needs on a cluster, or what a file needs beyond them.
    Rbac(rbac::Args),
    /// Write the files of this repository that follow from the program: the chart's rules and policies, and pages of docs/.
    #[command(hide = true)]
    Generate(generate::Args),
    /// Take a step of onboarding: what a Job that Plinth renders runs.
    #[command(hide = true)]
    Onboard(onboard::Args),
    /// Take a backup, or bring one back: what a Job that Plinth renders runs.
    #[command(hide = true)]
    Store(store::Args),
    /// Answer the reference exchange whether a call may pass: what its authoriser runs.
    #[command(hide = true)]
    Authorise(authorise::Args),
    /// The catalogue of products.
    Catalogue(catalogue::Args),
    /// Print a completion script for a shell.
    Completion(completion::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut command = Cli::command();
    match kubectl::called_as(words.first().map(OsString::as_os_str)) {
        Called::Plinth => {}
        Called::Plugin => command = command.bin_name("kubectl plinth"),
        Called::Completer => {
            command.build();
            let words: Vec<String> =
                words.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            let offered = Out::new(None).text(&kubectl::completions(&command, &words));
            return ExitCode::from(if offered.is_ok() { Exit::Ok } else { Exit::Failed }.code());
        }
    }
    let parsed = Cli::from_arg_matches(&command.get_matches_from(words));
    let cli = parsed.unwrap_or_else(|error| error.exit());
    let exit = match dispatch(cli) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("{}", exit::explain(&error));
            exit::of(&error)
        }
    };
    ExitCode::from(exit.code())
}

fn dispatch(cli: Cli) -> Result<Exit> {
    let misplaced = match (cli.output, &cli.verb) {
        (Some(Format::Summary), Verb::Plan(_)) => None,
        (Some(Format::Summary), _) => Some("`-o summary` belongs to `plan`"),
        (Some(Format::Html), Verb::Report(_) | Verb::Directory(_)) => None,
        (Some(Format::Html), _) => Some("`-o html` belongs to `report` and `directory`"),
        _ => None,
    };
    if let Some(what) = misplaced {
        return Err(Failure::new(Exit::Usage, format!("{what}; allowed are table, json, yaml")).into());
    }
    let out = Out::new(cli.output);
    match cli.verb {
        Verb::Up(args) => wait_for(up::run(args, out)),
        Verb::Demo(args) => wait_for(demo::run(args, out)),
        Verb::Down(args) => wait_for(down::run(args, out)),
        Verb::Run(args) => wait_for(run::main(args)),
        Verb::Plan(args) => plan::run(args, out),
        Verb::Explain(args) => explain::run(&args, out),
        Verb::Images(args) => images::run(&args, out),
        Verb::Diff(args) => diff::main(args, out),
        Verb::Validate(args) => validate::run(&args, out),
        Verb::Preflight(args) => wait_for(preflight::run(args, out)),
        Verb::Why(args) => wait_for(why::run(args, out)),
        Verb::Logs(args) => wait_for(logs::run(args, out)),
        Verb::Status(args) => wait_for(status::run(args, out)),
        Verb::Conformance(args) => wait_for(conformance::run(args, out)),
        Verb::Graph(args) => wait_for(graph::run(args, out, cli.output)),
        Verb::Can(args) => wait_for(can::run(args, out)),
        Verb::Agreements(args) => wait_for(agreements::run(args, out)),
        Verb::Surge(args) => wait_for(surge::run(args, out)),
        Verb::Report(args) => wait_for(report::run(args, out)),
        Verb::Directory(args) => wait_for(directory::run(args, out)),
        Verb::Anchor(args) => wait_for(anchor::run(args, out, cli.output)),
        Verb::Approve(args) => wait_for(approve::run(args, out)),
        Verb::Pause(args) => wait_for(pause::run(args, true, out)),
        Verb::Resume(args) => wait_for(pause::run(args, false, out)),
        Verb::Rotate(args) => wait_for(rotate::run(args, out)),
        Verb::Failover(args) => wait_for(failover::run(args, out)),
        Verb::Switchback(args) => wait_for(failover::back(args, out)),
        Verb::Operations(args) => wait_for(operations::run(args, out)),
        Verb::Backup(args) => wait_for(backup::run(args, out)),
        Verb::Restore(args) => wait_for(backup::restore(args, out)),
        Verb::Sandbox(args) => wait_for(sandbox::run(args, out)),
        Verb::Upgrade(args) => wait_for(upgrade::run(args, out)),
        Verb::Crds(args) => crds::run(&args, out, cli.output),
        Verb::Rbac(args) => rbac::run(&args, out, cli.output),
        Verb::Generate(args) => generate::run(&args),
        Verb::Onboard(args) => wait_for(onboard::run(args)),
        Verb::Store(args) => wait_for(store::run(args)),
        Verb::Authorise(args) => wait_for(authorise::run(args)),
        Verb::Catalogue(args) => catalogue::run(&args, out),
        Verb::Completion(args) => completion::run(&args, &mut Cli::command()),
    }
}

/// Runs a command that talks to a cluster. Pure ones need no threads.
fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
