//! The operator as a library: what `plinth run` does. The binary adds the command line.

pub mod controllers;
pub mod run;
