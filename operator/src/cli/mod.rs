//! The command line: one file a verb. What a verb prints is made by pure functions; what it does is in `run`.

mod apply;
mod approve;
mod authorise;
mod catalogue;
mod completion;
mod connect;
mod crds;
mod diff;
mod down;
mod exit;
mod images;
mod input;
mod lookup;
mod onboard;
mod output;
mod plan;
mod preflight;
mod problem;
mod progress;
mod run;
mod schema;
mod status;
mod tree;
mod up;
mod validate;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};

use self::exit::{Exit, Failure};
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
    /// Stop what `up` left running.
    Down(down::Args),
    /// Run the operator.
    Run(run::Args),
    /// Show every object that a Stack becomes, by cluster and wave. Offline; with --diff against a cluster.
    Plan(plan::Args),
    /// List every image that a Stack runs, for a mirror, and what products would fetch when they start. Offline.
    Images(images::Args),
    /// Check Stacks and Products, offline.
    Validate(validate::Args),
    /// Check whether a cluster can carry a Stack, and name every shortfall.
    Preflight(preflight::Args),
    /// Show a Stack as a tree of blocks and components, with the reason for everything that is not ready.
    Status(status::Args),
    /// Approve the plan that a Stack holds.
    Approve(approve::Args),
    /// Print the definitions of Plinth's kinds, or write one file for each.
    Crds(crds::Args),
    /// Take a step of onboarding: what a Job that Plinth renders runs.
    #[command(hide = true)]
    Onboard(onboard::Args),
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
    let cli = Cli::parse();
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
    if cli.output == Some(Format::Summary) && !matches!(cli.verb, Verb::Plan(_)) {
        return Err(Failure::new(
            Exit::Usage,
            "`-o summary` belongs to `plan`; allowed are table, json, yaml",
        )
        .into());
    }
    let out = Out::new(cli.output);
    match cli.verb {
        Verb::Up(args) => wait_for(up::run(args, out)),
        Verb::Down(args) => wait_for(down::run(args, out)),
        Verb::Run(args) => wait_for(run::main(args)),
        Verb::Plan(args) => plan::run(args, out),
        Verb::Images(args) => images::run(&args, out),
        Verb::Validate(args) => validate::run(&args, out),
        Verb::Preflight(args) => wait_for(preflight::run(args, out)),
        Verb::Status(args) => wait_for(status::run(args, out)),
        Verb::Approve(args) => wait_for(approve::run(args, out)),
        Verb::Crds(args) => crds::run(&args, out, cli.output),
        Verb::Onboard(args) => wait_for(onboard::run(args)),
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
