//! Controllers: thin. Each reconcile is a table of contents; the rooms are in `plinth-plan` (pure) and `plinth-runtime`
//! (I/O).

pub mod agencies;
mod approved;
mod backup;
pub mod certificates;
mod claims;
pub mod cluster;
pub mod context;
pub mod dereference;
pub mod documents;
mod failover;
mod lanes;
mod measure;
pub mod moving;
pub mod operation;
mod progress;
mod reach;
mod read;
mod records;
pub mod restoring;
mod rotation;
pub mod sandbox;
mod sites;
pub mod stack;
mod teardown;
mod trace;
mod upgrade;
