//! The pure part of Plinth: from a Stack and a catalogue to a plan, from a plan and what is to decisions, from
//! decisions to status. No client, no clock, no files, no threads: a test proves it from the dependency tree.
//!
//! ```text
//! validate -> plan            (Stack, Catalogue, Inputs) -> Plan      `placement`, `resolve`, `render`, `graph`
//! decide                      (Plan, Observed)           -> Decisions `decide`, `ready`, `diff`
//! report                      (Plan, Decisions)          -> status    `status`
//! closure                     Plan                       -> findings  `closure`
//! lint                        entry                      -> findings  `lint`
//! conformance                 a block's objects          -> evidence  `conformance`
//! life, cost                  a Sandbox, a moment        -> state     `sandbox`
//! ```

pub mod amount;
pub mod backing;
pub mod backup;
pub mod catalogue;
pub mod certificates;
pub mod claim;
pub mod closure;
pub mod conformance;
pub mod decide;
pub mod diff;
pub mod exchange;
pub mod expr;
pub mod failover;
pub mod fixed;
pub mod graph;
mod inputs;
pub mod installed;
pub mod lint;
pub mod model;
mod modes;
pub mod moving;
mod naming;
pub mod onboarding;
mod parameters;
pub mod people;
pub mod placement;
pub mod plan;
pub mod ready;
pub mod render;
mod requirement;
pub mod resolve;
pub mod restoring;
pub mod rotation;
pub mod sandbox;
pub mod status;
pub mod surge;
pub mod token;
pub mod upgrade;
pub mod windows;

pub use plan::plan;
pub use resolve::Inputs;
