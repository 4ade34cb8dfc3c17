//! Proves that the NetworkPolicies of a plan open exactly the declared paths, over every pair of pods.
//!
//! ```text
//! Declared   what should be open     from the catalogue entries, the Stack and the agencies' objects   `declared`
//! World      who could talk to whom  pods and policies of the plan, agencies' pods, bystanders          `world`
//! Analysis   what is open            cyclonus, over the World                                           `analysis`
//! Difference what the two disagree on, side by side                                                     `difference`
//! ```
//!
//! Nothing here reads how Plinth renders a policy: what is declared is read where people declare it, and what policies mean
//! is a matter of another project.

pub mod analysis;
pub mod declared;
pub mod difference;
pub mod example;
pub mod range;
pub mod world;

pub use analysis::Analysis;
pub use declared::Declared;
pub use difference::{Difference, differences};
pub use world::World;
