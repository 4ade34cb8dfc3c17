//! `plinth completion SHELL`.

use anyhow::Result;
use clap_complete::Shell;

use super::exit::Exit;

/// Arguments of `completion`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args, command: &mut clap::Command) -> Result<Exit> {
    clap_complete::generate(args.shell, command, "plinth", &mut std::io::stdout());
    Ok(Exit::Ok)
}
