//! What the hub's operator does and sees: by the ledger's own API, from inside its pod, for nobody else reaches it.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Country;

/// Asks the API: method, path and body come on standard input.
const ASK: &str = r#"
let text = '';
process.stdin.on('data', part => { text += part });
process.stdin.on('end', async () => {
  const { method, path, body } = JSON.parse(text);
  const answer = await fetch('http://127.0.0.1:3001' + path, {
    method, headers: { 'content-type': 'application/json' }, body: body ? JSON.stringify(body) : undefined
  });
  console.log(JSON.stringify({ status: answer.status, body: await answer.text() }));
});
"#;

/// The ledger of the payments block.
pub struct Ledger<'a> {
    country: &'a Country,
}

#[derive(Deserialize)]
struct Answer {
    status: u16,
    body: String,
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
    /// The country's.
    #[must_use]
    pub fn of(country: &'a Country) -> Self {
        Self { country }
    }

    /// What a participant owes the others (positive) or is owed by them, in that currency.
    ///
    /// # Errors
    /// The ledger does not know it.
    pub async fn position(&self, participant: &str, currency: &str) -> Result<f64> {
        let account = self.account(participant, currency, "POSITION").await?;
        amount(&account.value)
    }

    /// A participant brings money of its own, before it can pay anybody.
    ///
    /// # Errors
    /// The ledger refuses.
    pub async fn funds_in(&self, participant: &str, currency: &str, sum: &str) -> Result<()> {
        let account = self.account(participant, currency, "SETTLEMENT").await?;
        let reference = Uuid::new_v4().to_string();
        let body = json!({
            "transferId": reference,
            "externalReference": reference,
            "action": "recordFundsIn",
            "reason": "Money of its own",
            "amount": { "amount": sum, "currency": currency },
        });
        let path = format!("/participants/{participant}/accounts/{}", account.id);
        let answer = self.ask("POST", &path, Some(&body)).await?;
        ensure!(answer.status == 202, "the ledger takes no money in: {} {}", answer.status, answer.body);
        Ok(())
    }

    /// What a participant has brought, less what it has taken out and what was settled: negative, as the ledger counts.
    ///
    /// # Errors
    /// The ledger does not know it.
    pub async fn funds(&self, participant: &str, currency: &str) -> Result<f64> {
        let account = self.account(participant, currency, "SETTLEMENT").await?;
        amount(&account.value)
    }

    async fn account(&self, participant: &str, currency: &str, kind: &str) -> Result<Account> {
        let answer = self.ask("GET", &format!("/participants/{participant}/accounts"), None).await?;
        ensure!(answer.status == 200, "accounts of {participant}: {} {}", answer.status, answer.body);
        let accounts: Vec<Account> = serde_json::from_str(&answer.body).context("the ledger's accounts")?;
        accounts
            .into_iter()
            .find(|account| account.currency == currency && account.ledger_account_type == kind)
            .with_context(|| format!("{participant} has no account {kind} in {currency}"))
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
        let input = json!({ "method": method, "path": path, "body": body }).to_string();
        let namespace = Country::namespace("payments");
        let command = ["node", "-e", ASK];
        let printed = self.country.run_in(&namespace, "centralledger-service", &command, &input).await?;
        serde_json::from_str(printed.trim()).with_context(|| format!("the ledger's answer: {printed}"))
    }
}

/// The ledger writes amounts as numbers or as text.
fn amount(value: &Value) -> Result<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    number.with_context(|| format!("{value} is no amount"))
}
