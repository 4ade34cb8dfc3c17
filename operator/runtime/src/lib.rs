//! The I/O half of Plinth: everything that talks to a Kubernetes API server, and what a Job of onboarding says to a
//! product. It decides nothing.
//!
//! ```text
//! clusters   clients and discovery, by cluster name
//! observe    watches -> caches -> Observed
//!   agencies   what agencies declare about a Stack's exchange, from any namespace
//! apply      Decisions -> writes; the only author of objects
//!   secrets    values, resolved here and nowhere else (keys: key pairs, certificates: who signs whom)
//!   inventory  what Plinth owns, written before it is owned
//! status     reports -> status subresources
//! events     condition transitions -> events
//! lease      one writer at a time; asked before every single write
//! metrics, serve, traces
//! webhook    one event to somebody outside, and their receipt
//! authorise  the exchange's authoriser: what its gateway asks about every call
//! onboard    the calls of one step, made inside the block by a Job
//! store      backups: what a Job encrypts and sends, fetches, checks and decrypts
//! ```

pub mod apply;
pub mod authorise;
pub mod call;
pub mod certificates;
pub mod clusters;
pub mod events;
pub mod handover;
pub mod inventory;
mod keys;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod onboard;
pub mod secrets;
pub mod serve;
pub mod status;
pub mod store;
pub mod traces;
pub mod webhook;
