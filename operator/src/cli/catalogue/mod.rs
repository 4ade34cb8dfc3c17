//! `plinth catalogue`: what can be installed, the language that entries are written in, and everything that a person
//! who writes one needs: a start, a lint, a test.

mod folder;
mod list;
mod new;
mod schema;
mod show;
mod test;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use super::exit::Exit;
use super::output::Out;

/// Arguments of `catalogue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the built-in products.
    List,
    /// Show one product: what it is, what it needs, how much of it is known.
    Show {
        /// Name of a built-in product, or a folder with an entry.
        product: String,
    },
    /// Start an entry of one's own: a folder with an entry that works and a Stack that shows it.
    New {
        /// Name of the product.
        name: String,
        /// Where its folder is made.
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        dir: PathBuf,
    },
    /// Check what entries say, without a plan: tags that move, missing budgets and probes, ended support.
    Lint {
        /// Folders with entries; the built-in ones where none is given.
        #[arg(value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// Plan every Stack beside an entry in every profile, and check that nothing it mentions is missing.
    Test {
        /// Folders with entries; the built-in ones where none is given. Entries in folders beside them are known too.
        #[arg(value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// Print the JSON schema of an entry, for editors and checks.
    Schema,
}

/// Runs the command.
pub fn run(args: &Args, out: Out) -> Result<Exit> {
    match &args.what {
        What::List => list::run(out),
        What::Show { product } => show::run(product, out),
        What::New { name, dir } => new::run(name, dir, out),
        What::Lint { folders } => test::lint(folders, out),
        What::Test { folders } => test::run(folders, out),
        What::Schema => schema::run(out),
    }
}
