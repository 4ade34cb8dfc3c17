//! The hub under trial: what its operator does in the ledger's pod, and what a service asks of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use kube::{Api, ResourceExt};
use plinth_journey::{Answer, Country, Ledger, within};
use serde_json::{Value, json};

use crate::node::LIMIT;

/// The country of these trials.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ledger/stack.yaml");
/// Its Stack.
pub const STACK: &str = "hub";
/// Namespace of that.
pub const STACK_NAMESPACE: &str = "dpi";
/// Where the hub runs.
pub const NAMESPACE: &str = "hub-payments";
/// Where the service runs.
const SERVICE: &str = "treasury";
/// An image with Node, which is on the node for the hub.
const NODE: &str = "plinth.local/mojaloop/ml-api-adapter:v16.9.2";
const CALL: &str = include_str!("call.js");

/// Value of each account, as `<participant> <type>`; texts, so that 25 and 25.0000 are the same.
pub type Balances = BTreeMap<String, String>;

/// Balances as a test writes them down.
pub fn balances(wanted: &[(&str, &str)]) -> Balances {
    wanted.iter().map(|(account, value)| ((*account).to_owned(), (*value).to_owned())).collect()
}

/// A running hub.
pub struct Hub {
    /// The country that it is in.
    pub country: Country,
}

impl Hub {
    pub async fn attach(name: &str) -> Result<Self> {
        Ok(Self { country: Country::attach(name).await? })
    }

    /// Its ledger.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger::of(&self.country, NAMESPACE)
    }

    fn list(&self, path: &str) -> Result<Vec<Value>> {
        let (status, body) = self.ledger().ask("GET", path, "")?;
        ensure!(status == 200, "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Names of all participants, in order.
    pub fn participants(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> =
            self.list("/participants")?.iter().map(|one| text(&one["name"])).collect();
        names.sort();
        Ok(names)
    }

    /// Net debit cap of a participant.
    pub fn cap(&self, participant: &str) -> Result<String> {
        let limits = self.list(&format!("/participants/{participant}/limits?type=NET_DEBIT_CAP"))?;
        Ok(text(&limits.first().context("no cap")?["limit"]["value"]))
    }

    fn accounts(&self, participant: &str) -> Result<Vec<Value>> {
        self.list(&format!("/participants/{participant}/accounts"))
    }

    /// What is on every account.
    pub fn balances(&self) -> Result<Balances> {
        let mut all = Balances::new();
        for participant in self.participants()? {
            for account in self.accounts(&participant)? {
                let name = format!("{participant} {}", text(&account["ledgerAccountType"]));
                ensure!(all.insert(name.clone(), text(&account["value"])).is_none(), "{name} is there twice");
            }
        }
        Ok(all)
    }

    /// Everything that onboarding makes, without the moments at which something changed.
    pub fn everything(&self) -> Result<BTreeMap<String, Vec<Value>>> {
        let mut all = BTreeMap::from([("models".to_owned(), self.list("/settlementModels")?)]);
        for participant in self.participants()? {
            for kind in ["accounts", "limits", "endpoints"] {
                all.insert(
                    format!("{participant} {kind}"),
                    self.list(&format!("/participants/{participant}/{kind}"))?,
                );
            }
        }
        Ok(all)
    }

    /// Starts a pod with this label and the service's bindings.
    pub async fn start_service(&self, name: &str, app: &str) -> Result<()> {
        let pod = json!({
            "metadata": { "name": name, "labels": { "app": app } },
            "spec": {
                "securityContext": { "runAsNonRoot": true, "runAsUser": 1001, "fsGroup": 1001, "seccompProfile": { "type": "RuntimeDefault" } },
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "main",
                    "image": NODE,
                    "command": ["node", "-e", "setInterval(() => {}, 1 << 30)"],
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                    "volumeMounts": [{ "name": "payments", "mountPath": "/bindings/payments" }],
                }],
                "volumes": [{ "name": "payments", "secret": { "secretName": "grants-payments" } }],
            },
        });
        self.country.start(SERVICE, pod).await
    }

    /// What the hub answers to a pod: `GET TRANSFER`, or `POST TRANSFER PAYEE AMOUNT`.
    pub fn asks(&self, pod: &str, arguments: &[&str]) -> Result<Answer> {
        self.country.ask_in(SERVICE, pod, &[&["node", "-e", CALL][..], arguments].concat())
    }

    /// The service orders a payment, which the hub takes in.
    pub fn pays(&self, transfer: &str, amount: &str) -> Result<()> {
        let answer = self.asks("grants", &["POST", transfer, "peoplesbank", amount])?;
        ensure!(answer.0 == 202, "{answer:?}");
        Ok(())
    }

    /// What becomes of a payment.
    pub async fn ends(&self, transfer: &str) -> Result<Value> {
        let mut state = Value::Null;
        within(LIMIT, &format!("the end of {transfer}"), async || {
            let (status, body) = self.asks("grants", &["GET", transfer])?;
            ensure!(status == 200, "{status} {body}");
            state = serde_json::from_str(&body)?;
            ensure!(["COMMITTED", "ABORTED"].iter().any(|end| state["transferState"] == *end), "{state}");
            Ok(())
        })
        .await?;
        Ok(state)
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.country.client.clone(), NAMESPACE)
    }

    /// Deletes the Jobs of onboarding, so that all of it is done again. Returns how many there were.
    pub async fn forget_onboarding(&self) -> Result<usize> {
        let jobs = self.jobs().list(&ListParams::default()).await?;
        let steps: Vec<String> = jobs
            .items
            .iter()
            .map(ResourceExt::name_any)
            .filter(|name| name.starts_with("onboard-"))
            .collect();
        let with_pods = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        for step in &steps {
            self.jobs().delete(step, &with_pods).await?;
        }
        Ok(steps.len())
    }

    /// Waits until so many Jobs of onboarding are complete, none of them from before.
    pub async fn onboarded_again(&self, steps: usize) -> Result<()> {
        within(LIMIT, "onboarding to be done again", async || {
            let jobs = self.jobs().list(&ListParams::default()).await?.items;
            let done = |job: &&Job| {
                job.name_any().starts_with("onboard-")
                    && job.metadata.deletion_timestamp.is_none()
                    && job.status.as_ref().is_some_and(|status| status.succeeded == Some(1))
            };
            ensure!(jobs.iter().filter(done).count() == steps, "{steps} steps, and not all done");
            Ok(())
        })
        .await
    }
}

/// A text as it is, a number without what says nothing.
fn text(value: &Value) -> String {
    match value.as_str().map_or_else(|| value.as_f64(), |text| text.parse().ok()) {
        Some(number) => number.to_string(),
        None => value.as_str().unwrap_or_default().to_owned(),
    }
}
