//! The words of Plinth: the kinds of `plinth.dev/v1alpha1`, their conditions and reasons, and every name that
//! leaves the process. Pure data: no client, no clock.

pub mod admission;
pub mod condition;
pub mod mutant;
pub mod names;
pub mod rights;
pub mod v1alpha1;

pub use v1alpha1::{
    agreement::{ExchangeAgreement, ExchangeAgreementSpec, ExchangeAgreementStatus},
    block::{BuildingBlock, BuildingBlockSpec, BuildingBlockStatus},
    cluster::{WorkloadCluster, WorkloadClusterSpec, WorkloadClusterStatus},
    member::{Member, MemberSpec, MemberStatus},
    operation::{Operation, OperationSpec, OperationStatus},
    product::{Product, ProductSpec},
    registry::{Registry, RegistrySpec, RegistryStatus},
    sandbox::{Sandbox, SandboxSpec, SandboxStatus},
    sandbox_policy::{SandboxPolicy, SandboxPolicySpec},
    service::{PublicService, PublicServiceSpec, PublicServiceStatus},
    stack::{Stack, StackSpec, StackStatus},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The definition of every kind.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        Stack::crd(),
        BuildingBlock::crd(),
        Product::crd(),
        Operation::crd(),
        Member::crd(),
        ExchangeAgreement::crd(),
        Registry::crd(),
        PublicService::crd(),
        WorkloadCluster::crd(),
        Sandbox::crd(),
        SandboxPolicy::crd(),
    ]
}
