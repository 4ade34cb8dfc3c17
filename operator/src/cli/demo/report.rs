//! What the demo says at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use plinth_journey::Paid;
use serde::Serialize;

use crate::cli::output::{lines, note, table};

/// The demo, told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    cluster: String,
    kept: bool,
    /// In the order in which they were.
    stages: Vec<Stage>,
    /// What the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<Paid>,
    /// What the ledger says.
    pub positions: Vec<Change>,
}

/// A stage and its time.
#[derive(Debug, Serialize)]
struct Stage {
    name: &'static str,
    seconds: f64,
}

/// A participant's position in the ledger.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    participant: &'static str,
    before: f64,
    after: f64,
}

impl Change {
    /// Before the citizen was paid, and after.
    pub fn of(participant: &'static str, before: f64, after: f64) -> Self {
        Self { participant, before, after }
    }

    fn by(&self) -> f64 {
        self.after - self.before
    }
}

impl Told {
    /// Of a demo that begins.
    pub fn new(cluster: &str, kept: bool) -> Self {
        Self { cluster: cluster.to_owned(), kept, stages: Vec::new(), paid: None, positions: Vec::new() }
    }

    /// A stage that ends now.
    pub fn stage(&mut self, name: &'static str, began: Instant) {
        self.took(name, began.elapsed());
    }

    /// A stage that took so long.
    pub fn took(&mut self, name: &'static str, time: Duration) {
        note(&format!("✔ {name}, {:.1} s", time.as_secs_f64()));
        self.stages.push(Stage { name, seconds: (time.as_secs_f64() * 10.0).round() / 10.0 });
    }

    /// The service's word and the ledger's are the same: what one participant gave the other got, and it is the sum.
    ///
    /// # Errors
    /// They are not.
    pub fn hold(&self) -> Result<()> {
        let sum: Option<f64> =
            self.paid.as_ref().and_then(|paid| paid.amount.split(' ').next()?.parse().ok());
        let moved: Vec<f64> = self.positions.iter().map(Change::by).collect();
        ensure!(
            sum.is_some_and(|sum| moved == [sum, -sum]),
            "the service says that {sum:?} was paid, and the ledger's positions changed by {moved:?}"
        );
        Ok(())
    }
}

/// For people.
pub fn text(told: &Told) -> String {
    let mut stages = table(["STAGE", "SECONDS"]);
    for stage in &told.stages {
        stages.add_row([stage.name.to_owned(), format!("{:.1}", stage.seconds)]);
    }
    let total: f64 = told.stages.iter().map(|stage| stage.seconds).sum();
    stages.add_row(["all".to_owned(), format!("{total:.1}")]);
    let mut text = lines(&stages);
    if let Some(paid) = &told.paid {
        let _ = write!(
            text,
            "\n\n{} paid to {} (transfer {}, {}).\nSigned by {}: {}.",
            paid.amount, paid.account, paid.number, paid.payment, paid.signer, paid.indication
        );
    }
    for change in &told.positions {
        let _ = write!(
            text,
            "\nThe ledger's position of {}: {} -> {}.",
            change.participant, change.before, change.after
        );
    }
    if told.kept {
        let name = &told.cluster;
        let _ = write!(text, "\n\nEverything is left running: plinth down --name {name} --purge ends it.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(amount: &str, treasury: f64, bank: f64) -> Told {
        let said = |text: &str| text.to_owned();
        let paid = Paid {
            number: said("n"),
            signer: said("s"),
            indication: said("TOTAL_PASSED"),
            amount: said(amount),
            account: said("a"),
            payment: said("COMMITTED"),
        };
        let positions = vec![Change::of("treasury", 0.0, treasury), Change::of("peoplesbank", 0.0, bank)];
        Told { paid: Some(paid), positions, ..Told::new("demo", false) }
    }

    #[test]
    fn a_payment_that_the_ledger_does_not_know_is_none() {
        assert!(told("25 XTS", 25.0, -25.0).hold().is_ok());
        for (amount, treasury, bank) in
            [("25 XTS", 0.0, 0.0), ("25 XTS", 25.0, 0.0), ("25 XTS", 24.0, -24.0), ("XTS", 0.0, 0.0)]
        {
            assert!(told(amount, treasury, bank).hold().is_err(), "{amount} {treasury} {bank}");
        }
    }
}
