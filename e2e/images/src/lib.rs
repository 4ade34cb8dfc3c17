//! Images of real products, built from package registries without a container engine.
//!
//! A recipe ([`Recipe`]) says what an image is made of: Debian's packages, artifacts of Maven's registry, npm packages, Go
//! programs and wheels, with files of its own. [`Images`] makes it an archive that `ctr image import` takes, once for each
//! state of the recipe. An image keeps the contract of the one that it stands for (entrypoint, arguments, variables, user,
//! paths), so that a catalogue entry runs on it unchanged; only the reference is rewritten, by the Stack's image rules.
//!
//! ```no_run
//! # fn run() -> Result<(), plinth_images::Error> {
//! use plinth_images::Images;
//!
//! let image = Images::new(&plinth_cluster::Silent)?.build("postgresql")?;
//! println!("{} is in {}", image.reference, image.archive.display());
//! # Ok(())
//! # }
//! ```

mod accounts;
mod archive;
mod command;
mod error;
mod image;
mod recipe;
pub mod release;
mod source;
mod tree;

pub use error::{Error, Result};
pub use image::{Image, Images};
pub use recipe::{Account, Config, Owner, Place, Recipe, Source};
pub use tree::{Content, Entry, Node, Tree};
