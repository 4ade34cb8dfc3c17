//! Version `v1alpha1` of the kinds.

pub mod block;
pub mod component;
pub mod operation;
pub mod product;
pub mod schema;
pub mod stack;
