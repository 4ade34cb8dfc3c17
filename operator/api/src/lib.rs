//! The words of Plinth: the kinds of `plinth.dev/v1alpha1`, their conditions and reasons, and every name that
//! leaves the process. Pure data: no client, no clock.

pub mod admission;
pub mod condition;
pub mod names;
pub mod v1alpha1;

pub use v1alpha1::{
    block::{BuildingBlock, BuildingBlockSpec, BuildingBlockStatus},
    operation::{Operation, OperationSpec, OperationStatus},
    product::{Product, ProductSpec},
    stack::{Stack, StackSpec, StackStatus},
};
