//! What the authoriser counts.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::answer::Verdict;
use crate::metrics::text;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
    layer: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReadLabels {
    outcome: &'static str,
}

/// Every metric, cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    decisions: Family<DecisionLabels, Counter>,
    reads: Family<ReadLabels, Counter>,
    broken: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("plinth_exchange");
        let decisions = Family::default();
        registry.register(
            "decisions",
            "Decisions, by outcome and by the layer that decides",
            decisions.clone(),
        );
        let reads = Family::default();
        registry.register(
            "rights_reads",
            "Changes of the rights file, by whether it could be read",
            reads.clone(),
        );
        let broken = Gauge::default();
        registry.register("rights_broken", "1 while the newest rights cannot be read", broken.clone());
        Self { registry: Arc::new(registry), decisions, reads, broken }
    }
}

impl Metrics {
    /// A call was decided on.
    pub fn decided(&self, verdict: &Verdict) {
        let labels = DecisionLabels { decision: verdict.outcome.word(), layer: verdict.layer };
        self.decisions.get_or_create(&labels).inc();
    }

    /// The rights file has changed.
    pub fn read(&self, is_good: bool) {
        let outcome = if is_good { "ok" } else { "broken" };
        self.reads.get_or_create(&ReadLabels { outcome }).inc();
        self.broken.set(i64::from(!is_good));
    }

    /// Whether the newest rights could not be read.
    pub fn is_broken(&self) -> bool {
        self.broken.get() != 0
    }

    /// All of them in OpenMetrics text.
    pub fn render(&self) -> String {
        text(&self.registry)
    }
}
