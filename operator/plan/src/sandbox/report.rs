//! What a sandbox was, said once its time is over.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plinth_api::v1alpha1::sandbox::{SandboxReport, SandboxStatus};
use plinth_api::v1alpha1::stack::BlockSummary;

/// The report of a sandbox that was made at `born` and ends now.
pub fn report(
    blocks: &[BlockSummary],
    status: &SandboxStatus,
    born: Timestamp,
    now: Timestamp,
) -> SandboxReport {
    let line = |block: &BlockSummary| {
        let words = [block.product.as_deref(), block.version.as_deref()];
        format!("{}: {}", block.name, words.into_iter().flatten().collect::<Vec<_>>().join(" "))
    };
    SandboxReport {
        blocks: blocks.iter().map(line).collect(),
        from: Time(born),
        until: Time(now),
        cost: status.cost.as_ref().map(|cost| format!("{} {}", cost.so_far, cost.currency)),
        extensions: u32::try_from(status.extensions.len()).unwrap_or(u32::MAX),
    }
}
