//! One Stack over a hub and two sites, each a control plane of its own: it comes up, a site that is cut off is told of and
//! holds up nobody else, what was changed meanwhile is mended, and the Stack goes in every bad order.

mod country;
mod credentials;
#[path = "../support/documents.rs"]
mod documents;
mod example;
mod failover;
#[allow(dead_code, reason = "the tests of one cluster use all of it")]
#[path = "../reconcile/house.rs"]
mod house;
mod lost;
mod pace;
mod rebuilt;
mod teardown;
mod wire;
