//! `plinth catalogue`: what can be installed, the language that entries are written in, and everything that a person
//! who writes one needs: a start, a lint, a test.

mod diff;
mod folder;
mod freeze;
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
    /// List the built-in products, and the revisions of the catalogue that this version carries.
    List,
    /// Say what a Stack, or the catalogue itself, would be like by another revision than by this one.
    Diff {
        /// Revision, or the beginning of its digits; `current` is this version's own.
        from: String,
        /// The other one.
        to: String,
        /// File or folder with Stacks: what would change of what they become. Without it, what has changed of the entries.
        #[arg(short, long, value_name = "FILE|FOLDER")]
        file: Option<PathBuf>,
    },
    /// Keep the present catalogue for the versions of Plinth to come: a file under operator/catalogues.
    #[command(hide = true)]
    Freeze {
        /// Folder of the repository.
        #[arg(value_name = "FOLDER")]
        root: PathBuf,
        /// Folder with the entries in place of the built-in ones, say of an earlier commit.
        #[arg(long, value_name = "FOLDER")]
        entries: Option<PathBuf>,
    },
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
        What::Diff { from, to, file } => diff::run(from, to, file.as_deref(), out),
        What::Freeze { root, entries } => freeze::run(root, entries.as_deref()),
        What::Show { product } => show::run(product, out),
        What::New { name, dir } => new::run(name, dir, out),
        What::Lint { folders } => test::lint(folders, out),
        What::Test { folders } => test::run(folders, out),
        What::Schema => schema::run(out),
    }
}
