//! Version `v1alpha1` of the kinds.

pub mod agreement;
pub mod backup;
pub mod block;
pub mod cluster;
pub mod component;
pub mod conformance;
pub mod continuity;
pub mod dump;
pub mod exchange;
pub mod member;
pub mod moves;
pub mod onboarding;
pub mod operation;
pub mod parameter;
pub mod people;
pub mod placement;
pub mod product;
pub mod registry;
pub mod sandbox;
pub mod sandbox_policy;
pub mod schema;
pub mod secret;
pub mod service;
pub mod stack;
pub mod window;
