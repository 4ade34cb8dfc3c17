//! Version `v1alpha1` of the kinds.

pub mod block;
pub mod component;
pub mod moves;
pub mod onboarding;
pub mod operation;
pub mod parameter;
pub mod product;
pub mod schema;
pub mod secret;
pub mod stack;
