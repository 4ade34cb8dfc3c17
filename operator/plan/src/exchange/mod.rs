//! The exchange: who may call what, why, and until when. Members, their services, agreements, registries and public
//! services become rights that servers enforce, and a word on each object. Terms are X-Road 7's.
//!
//! ```text
//! compile     (Stack, Declared) -> Compiled         `tenancy`, `federation`, `compile`
//! decide      (Rights, Call)    -> allow or deny    `rights`
//! report      (Compiled, Decisions, Observed) -> status of each object    `report`
//! ```

pub mod applied;
pub mod compile;
pub mod declared;
pub mod endpoint;
pub mod federation;
pub mod id;
pub mod openapi;
pub mod references;
pub mod registry;
pub mod report;
pub mod rights;
pub mod schema;
pub mod tenancy;
pub mod texts;
pub mod vars;
pub mod widening;

pub use compile::{Compiled, compile};
pub use declared::{Declared, Subject};
