//! A reconcile in numbers: what metrics say of a Stack, taken from the outcome that its status is made of. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plinth_api::condition::{Reason, State};
use plinth_api::v1alpha1::stack::CertificateSource;
use plinth_api::{Stack, StackStatus};
use plinth_plan::certificates::known;
use plinth_plan::model::{Decisions, Observed, Plan};
use plinth_plan::status::Outcome;
use plinth_runtime::clusters::HOME;
use plinth_runtime::metrics::Sight;

/// What an outcome says that the status made of it does not: how many parts are in which state, what waits for a person, which
/// certificate is due first.
pub(super) fn of_outcome(stack: &Stack, outcome: &Outcome<'_>) -> Sight {
    let Outcome::Planned { plan, decisions, observed, approved } = outcome else { return Sight::default() };
    let steps = decisions.units.iter().filter(|unit| unit.reason == Reason::AwaitingApproval).count();
    Sight {
        parts: parts(plan, decisions),
        approvals: if approved.is_open() { steps } else { steps + 1 },
        renewal: renewal(observed),
        ends: ends(stack, plan, observed),
        ..Sight::default()
    }
}

/// The same, with what the status says.
pub(super) fn with_status(sight: Sight, status: &StackStatus) -> Sight {
    let blocks = status.blocks.iter().map(|block| (on(block.cluster.as_deref()), block.state)).collect();
    Sight { conditions: status.conditions.clone(), blocks, ..sight }
}

fn parts(plan: &Plan, decisions: &Decisions) -> Vec<(String, State)> {
    let clusters: BTreeMap<&str, Option<&str>> =
        plan.blocks.iter().map(|block| (block.name.as_str(), block.cluster.as_deref())).collect();
    let cluster = |block: &str| on(clusters.get(block).copied().flatten());
    decisions.units.iter().map(|unit| (cluster(&unit.id.block), unit.state)).collect()
}

/// A cluster as metrics name it.
fn on(cluster: Option<&str>) -> String {
    cluster.unwrap_or(HOME).to_owned()
}

/// The earliest moment that is noted on a Secret of any cluster, in seconds since the Unix epoch.
fn renewal(observed: &Observed) -> Option<i64> {
    let live = observed.clusters().flat_map(|(_, observed)| &observed.live);
    let secrets = live.filter(|(key, _)| key.kind == "Secret");
    secrets.filter_map(|(_, live)| live.renew_at()).map(Timestamp::as_second).min()
}

/// When the first certificate ends, by who brings the next one.
fn ends(stack: &Stack, plan: &Plan, observed: &Observed) -> BTreeMap<CertificateSource, i64> {
    let before = stack.status.as_ref().map(|status| status.certificates.as_slice()).unwrap_or_default();
    let mut ends = BTreeMap::new();
    // The first of each is the one that ends first.
    for certificate in known(stack, plan, observed, before) {
        ends.entry(certificate.source).or_insert(certificate.not_after.0.as_second());
    }
    ends
}
