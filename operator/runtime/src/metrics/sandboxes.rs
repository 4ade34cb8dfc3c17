//! Numbers of each Sandbox: what status says at most once an hour, at any time.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct Labels {
    namespace: String,
    sandbox: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MoneyLabels {
    namespace: String,
    sandbox: String,
    currency: String,
}

type Money = Family<MoneyLabels, Gauge<f64, AtomicU64>>;

/// What is known of a Sandbox.
#[derive(Clone, Debug, Default)]
pub struct SandboxSight {
    /// It is to be asleep.
    pub asleep: bool,
    /// When its time is over, in seconds since the Unix epoch.
    pub expires: i64,
    /// Currency, and what it costs since it was made and in this month; nothing where nobody gave prices.
    pub cost: Option<(String, f64, f64)>,
}

/// Metrics with the name of a Sandbox in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sandboxes {
    asleep: Family<Labels, Gauge>,
    expires: Family<Labels, Gauge>,
    so_far: Money,
    this_month: Money,
    /// The currency that each was shown in.
    shown: Arc<Mutex<BTreeMap<Labels, String>>>,
}

impl Sandboxes {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("sandbox_asleep", "1 while a Sandbox is to be asleep, else 0", self.asleep.clone());
        registry.register(
            "sandbox_expires_timestamp_seconds",
            "When the time of a Sandbox is over, in seconds since the Unix epoch",
            self.expires.clone(),
        );
        registry.register("sandbox_cost", "What a Sandbox costs since it was made", self.so_far.clone());
        registry.register(
            "sandbox_cost_this_month",
            "What a Sandbox costs in this calendar month",
            self.this_month.clone(),
        );
    }

    /// `id` is `namespace/name`.
    pub fn show(&self, id: &str, sight: &SandboxSight) {
        let labels = labels(id);
        self.asleep.get_or_create(&labels).set(i64::from(sight.asleep));
        self.expires.get_or_create(&labels).set(sight.expires);
        self.forget_money(&labels);
        if let Some((currency, so_far, this_month)) = &sight.cost {
            let money = with(&labels, currency);
            self.so_far.get_or_create(&money).set(*so_far);
            self.this_month.get_or_create(&money).set(*this_month);
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(labels, currency.clone());
        }
    }

    pub fn forget(&self, id: &str) {
        let labels = labels(id);
        self.asleep.remove(&labels);
        self.expires.remove(&labels);
        self.forget_money(&labels);
    }

    pub fn forget_all(&self) {
        self.asleep.clear();
        self.expires.clear();
        self.so_far.clear();
        self.this_month.clear();
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Prices may come to be in another currency: what was said in the old one goes.
    fn forget_money(&self, labels: &Labels) {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(labels);
        if let Some(money) = shown.map(|currency| with(labels, &currency)) {
            self.so_far.remove(&money);
            self.this_month.remove(&money);
        }
    }
}

fn with(labels: &Labels, currency: &str) -> MoneyLabels {
    let Labels { namespace, sandbox } = labels.clone();
    MoneyLabels { namespace, sandbox, currency: currency.to_owned() }
}

fn labels(id: &str) -> Labels {
    let (namespace, sandbox) = id.split_once('/').unwrap_or_default();
    Labels { namespace: namespace.to_owned(), sandbox: sandbox.to_owned() }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_sandbox_is_counted_in_the_currency_of_its_prices_and_nothing_is_left_of_one_that_is_gone() {
        let (mut registry, sandboxes) = (Registry::with_prefix("plinth"), Sandboxes::default());
        sandboxes.register(&mut registry);
        let empty = text(&registry);
        let mut sight = SandboxSight { cost: Some(("EUR".to_owned(), 2.5, 1.0)), ..SandboxSight::default() };
        sandboxes.show("donors/demo", &sight);
        let euros = "plinth_sandbox_cost{namespace=\"donors\",sandbox=\"demo\",currency=\"EUR\"} 2.5\n";
        assert!(text(&registry).contains(euros), "{}", text(&registry));
        sight.cost = Some(("USD".to_owned(), 3.0, 1.0));
        sandboxes.show("donors/demo", &sight);
        assert!(!text(&registry).contains("EUR"), "{}", text(&registry));
        sandboxes.forget("donors/demo");
        assert_eq!(text(&registry), empty);
    }
}
