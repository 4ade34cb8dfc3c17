//! One example, run through the proxy on a real control plane, once for each fault, and compared with a run without one.
//!
//! Every run is a [`case::Case`] with names of its own, so that none has to wait until the one before is cleaned up;
//! the names are taken out again before two runs are compared ([`dump::Names`]).

pub mod audit;
pub mod binary;
pub mod case;
pub mod drift;
pub mod dump;
pub mod example;
pub mod harm;
pub mod operator;
pub mod post;
pub mod session;
