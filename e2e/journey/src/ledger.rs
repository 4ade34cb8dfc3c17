//! What the hub's operator does and sees: by the ledger's own API, from inside its pod, for nobody else reaches it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Answer, Country, within};

/// One call of its API.
const ASK: &str = include_str!("ask.js");
const POD: &str = "deployment/centralledger-service";
/// Until money that was taken in is on its account.
const BOOKED: Duration = Duration::from_secs(120);

/// The ledger of the payments block.
pub struct Ledger<'a> {
    country: &'a Country,
    namespace: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    id: u64,
    currency: String,
    ledger_account_type: String,
    value: Value,
}

impl<'a> Ledger<'a> {
    /// The one in that block's namespace.
    #[must_use]
    pub fn of(country: &'a Country, namespace: &str) -> Self {
        Self { country, namespace: namespace.to_owned() }
    }

    /// Asks its API.
    ///
    /// # Errors
    /// Its pod cannot be entered.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        self.country.ask_in(&self.namespace, POD, &["node", "-e", ASK, method, path, body])
    }

    /// What a participant owes the others (positive) or is owed by them, in that currency.
    ///
    /// # Errors
    /// The ledger does not know it.
    pub fn position(&self, participant: &str, currency: &str) -> Result<f64> {
        let account = self.account(participant, currency, "POSITION")?;
        amount(&account.value)
    }

    /// A participant brings money of its own, before it can pay anybody; returns when it is there.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn funds_in(&self, participant: &str, currency: &str, sum: u32) -> Result<()> {
        let account = self.account(participant, currency, "SETTLEMENT")?;
        let reference = Uuid::new_v4().to_string();
        let body = json!({
            "transferId": reference,
            "externalReference": reference,
            "action": "recordFundsIn",
            "reason": "Money of its own",
            "amount": { "amount": sum.to_string(), "currency": currency },
        });
        let wanted = amount(&account.value)? - f64::from(sum);
        let path = format!("/participants/{participant}/accounts/{}", account.id);
        let (status, said) = self.ask("POST", &path, &body.to_string())?;
        ensure!(status == 202, "the ledger takes no money in: {status} {said}");
        within(BOOKED, "the money to be booked", async || {
            let now = self.funds(participant, currency)?;
            ensure!(now == wanted, "{now} is not {wanted}");
            Ok(())
        })
        .await
    }

    /// What a participant has brought, less what it has taken out and what was settled: negative, as the ledger counts.
    ///
    /// # Errors
    /// The ledger does not know it.
    pub fn funds(&self, participant: &str, currency: &str) -> Result<f64> {
        let account = self.account(participant, currency, "SETTLEMENT")?;
        amount(&account.value)
    }

    fn account(&self, participant: &str, currency: &str, kind: &str) -> Result<Account> {
        let (status, body) = self.ask("GET", &format!("/participants/{participant}/accounts"), "")?;
        ensure!(status == 200, "accounts of {participant}: {status} {body}");
        let accounts: Vec<Account> = serde_json::from_str(&body).context("the ledger's accounts")?;
        accounts
            .into_iter()
            .find(|account| account.currency == currency && account.ledger_account_type == kind)
            .with_context(|| format!("{participant} has no account {kind} in {currency}"))
    }
}

/// The ledger writes amounts as numbers or as text.
fn amount(value: &Value) -> Result<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    number.with_context(|| format!("{value} is no amount"))
}
