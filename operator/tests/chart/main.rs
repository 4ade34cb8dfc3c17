//! The chart, by the ecosystem's own tools: Helm lints, renders, installs and upgrades it on the real control plane; what it renders
//! and what examples become is looked at by kube-score and validated by kubeconform; alerts and dashboard are asked of a real Prometheus.
//!
//! Long: the tools are built from their Go modules once, Prometheus comes as Debian's package. `e2e/all chart` runs it.

#[path = "../rights/account.rs"]
#[allow(dead_code, reason = "the account is one, each test takes its part")]
mod account;
mod alerts;
mod flux;
mod health;
mod helm;
#[path = "../reconcile/house.rs"]
#[allow(dead_code, reason = "each test that runs an operator uses its part")]
mod house;
mod install;
mod looked_at;
#[path = "../support/page.rs"]
mod page;
mod prometheus;
#[path = "../guide/ran.rs"]
#[allow(dead_code, reason = "the guide's own tests use all of it")]
mod ran;
mod real;
mod told;
mod tools;

/// Folder of the chart.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/plinth");
