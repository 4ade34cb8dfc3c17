//! Faults between the operator and a real API server, and the proof that nothing came of them.
//!
//! The operator is the unmodified binary. Between it and the API server stands a [`proxy`] that passes everything on,
//! knows each request by its content ([`write::Key`]) and can do harm to it ([`fault::Action`]): kill the operator after
//! the API server has answered and before the operator hears of it, lose the answer, answer in the API server's place,
//! hold watches back, cut everything off. The [`harness`] runs an example through it and compares what is left with a run
//! without a fault.
//!
//! ```text
//! operator --kubeconfig--> proxy --the operator's own certificate--> kube-apiserver --> etcd
//! ```

mod answers;
pub mod campaign;
pub mod fault;
pub mod harness;
mod held;
pub mod history;
pub mod oracles;
pub mod proxy;
pub mod said;
mod tls;
pub mod write;
