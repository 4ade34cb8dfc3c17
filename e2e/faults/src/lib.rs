//! Faults between the operator and a real API server, and the proof that nothing came of them.
//!
//! The operator is the unmodified binary. Between it and the API server stands a [`proxy`] that passes everything on,
//! knows each write by its content ([`write::Key`]) and can do two things to one of them ([`fault::Action`]): kill the
//! operator after the API server has answered and before the operator hears of it, or lose the answer. The
//! [`harness`] runs an example through it and compares what is left with a run without a fault.
//!
//! ```text
//! operator --kubeconfig--> proxy --the operator's own certificate--> kube-apiserver --> etcd
//! ```

pub mod fault;
pub mod harness;
pub mod history;
pub mod proxy;
mod tls;
pub mod write;
