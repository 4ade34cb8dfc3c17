//! Controllers: thin. Each reconcile is a table of contents; the rooms are in `plinth-plan` (pure) and `plinth-runtime`
//! (I/O).

pub mod agencies;
mod approved;
pub mod context;
pub mod dereference;
pub mod documents;
pub mod moving;
pub mod operation;
mod read;
mod sites;
pub mod stack;
