//! A block is taken over by its standby and brought back. Nodes are simulated: that Jobs restore anything is tried in
//! `e2e/images/tests/backups.rs`; here it is who runs where, in which order, with which secrets.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use plinth_api::condition::State;
use plinth_api::v1alpha1::operation::OperationPhase;
use plinth_api::v1alpha1::stack::StandbySummary;
use plinth_api::{Operation, OperationStatus, Stack, names};
use plinth_cluster::testing::TestCluster;
use serde_json::{Value, json};

use crate::country::{Country, FAST, Site};
use crate::house::{condition, eventually, operation, ready, writes};
use crate::wire::Passes;

const HOME: &str = "land-identity";
/// Takeovers, half of them back, with the operator killed in the middle of each.
const KILLS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn a_block_is_taken_over_by_its_standby_and_comes_back_with_its_secrets() -> Result<()> {
    let country = with_standby().await?;
    let operator = country.operator(FAST);
    let made = prepared(&country).await?;

    let status = ask(&country, "over", "Failover", json!({})).await?;
    ensure!(status.phase == OperationPhase::Refused, "{status:?}");
    let says = status.message.unwrap_or_default();
    ensure!(says.contains("restore: name a backup of db of block `identity`"), "{says}");

    let status = ask(&country, "fail-over", "Failover", from_backup()).await?;
    ensure!(status.phase == OperationPhase::Succeeded, "{status:?}");
    let steps = status.steps.join("\n");
    for step in ["stopped block identity on `site-a`", "restored backup", "within the declared PT24H"] {
        ensure!(steps.contains(step), "{step}: {steps}");
    }
    serves(&country, "site-b", &made).await?;
    ensure!(
        stopped_before_started(&country.a, &country.b)?,
        "the old side was stopped after the new one started"
    );

    let status = ask(&country, "back", "Switchback", from_backup()).await?;
    ensure!(status.phase == OperationPhase::Succeeded, "{status:?}");
    serves(&country, "site-a", &made).await?;
    ensure!(
        stopped_before_started(&country.b, &country.a)?,
        "the old side was stopped after the new one started"
    );
    let status = ask(&country, "back-again", "Switchback", from_backup()).await?;
    ensure!(status.message.is_some_and(|says| says.contains("is at home, on `site-a`")));
    operator.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn from_a_side_that_is_gone_a_block_is_taken_over_only_by_who_accepts_the_loss() -> Result<()> {
    let country = with_standby().await?;
    let operator = country.operator(FAST);
    let made = prepared(&country).await?;
    country.a.wire.set(Passes::Nothing);
    eventually("the site is silent", async || {
        let site = country.clusters().get("site-a").await?.status.unwrap_or_default();
        Ok(site.conditions.iter().any(|c| c.type_ == "Reachable" && c.status == "False").then_some(()))
    })
    .await?;

    let status = ask(&country, "careful", "Failover", from_backup()).await?;
    ensure!(status.phase == OperationPhase::Refused, "{status:?}");
    let says = status.message.unwrap_or_default();
    ensure!(
        says.contains("whether it has stopped cannot be known") && says.contains("acceptDataLoss: true"),
        "{says}"
    );

    let mut accepted = from_backup();
    accepted["acceptDataLoss"] = json!(true);
    let status = ask(&country, "at-any-price", "Failover", accepted).await?;
    ensure!(status.phase == OperationPhase::Succeeded, "{status:?}");
    ensure!(status.steps.iter().any(|step| step.contains("waited until the lease of `site-a` had run out")));
    runs(&country.b, 1).await?;
    ensure!(country.block("identity").await?.spec.cluster.as_deref() == Some("site-b"));
    ensure!(secrets(&country.b.client).await? == made, "a secret changed");

    // The lost side is back with all that it had: it is stopped, kept, and stands by.
    runs(&country.a, 1).await?;
    country.a.wire.set(Passes::All);
    serves(&country, "site-b", &made).await?;
    let status = ask(&country, "back", "Switchback", from_backup()).await?;
    ensure!(status.phase == OperationPhase::Succeeded, "{status:?}");
    serves(&country, "site-a", &made).await?;
    operator.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: e2e/all sites"]
async fn killed_in_the_middle_the_operator_takes_over_all_the_same() -> Result<()> {
    let country = with_standby().await?;
    let mut operator = country.operator(FAST);
    let made = prepared(&country).await?;
    let mut hits = 0;
    for round in 0..KILLS {
        let over = round % 2 == 0;
        let (kind, old, new, name) = match over {
            true => ("Failover", &country.a, &country.b, "site-b"),
            false => ("Switchback", &country.b, &country.a, "site-a"),
        };
        let asked = format!("round-{round}");
        // At another write in each round, from the first on.
        let until = written(&country)? + 1 + round * 7 % 60;
        let killed = async {
            let hit = eventually("the takeover is in the middle of its work, or over", async || {
                let phase = country.phase(&asked).await?;
                let over = matches!(phase, OperationPhase::Succeeded | OperationPhase::Failed);
                Ok((over || written(&country)? >= until).then_some(!over))
            })
            .await?;
            operator.kill().await;
            anyhow::Ok((country.operator(FAST), hit))
        };
        let asks = operation(&country.client, &asked, "me", spec(kind, from_backup()));
        let (killed, status) = tokio::join!(killed, asks);
        let (next, hit) = killed?;
        hits += usize::from(hit);
        operator = next;
        let status = status?;
        ensure!(status.phase == OperationPhase::Succeeded, "round {round}: {status:?}");
        serves(&country, name, &made).await.with_context(|| format!("round {round}"))?;
        ensure!(stopped_before_started(old, new)?, "round {round}: the new side started first");
    }
    println!(
        "{KILLS} takeovers, the operator killed in the middle of {hits} of them, after more writes each time"
    );
    operator.stop().await
}

/// Writes of the operator so far, wherever.
fn written(country: &Country) -> Result<usize> {
    let planes = [&country.hub, &country.a.plane, &country.b.plane];
    planes.into_iter().map(|plane| Ok(writes(plane)?.len())).sum()
}

/// A country with a block on one site and a standby on the other, not yet running.
async fn with_standby() -> Result<Country> {
    let country = Country::start().await?;
    let secret = async |name: &str, data: Value| {
        let secret = json!({ "metadata": { "name": name }, "stringData": data });
        country.secrets().create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        anyhow::Ok(())
    };
    secret("account", json!({ "accessKey": "vault", "secretKey": "secret" })).await?;
    secret("escrow", json!({ "identity": "AGE-SECRET-KEY-1" })).await?;
    let stack: Stack = serde_json::from_value(json!({
        "apiVersion": "plinth.dev/v1alpha1", "kind": "Stack", "metadata": { "name": "land" },
        "spec": {
            "country": { "code": "EE" },
            "profile": "sandbox",
            "blocks": [{ "name": "identity", "product": "keycloak" }],
            "placement": { "blocks": [
                { "block": "identity", "clusters": ["site-a", "site-b"], "standby": { "count": 1 } },
            ] },
            "backup": {
                "schedule": "0 2 * * *",
                "target": { "endpoint": "https://s3.backup.example", "bucket": "dpi", "credentialsSecret": "account" },
                "recipients": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
            },
            "continuity": {
                "leaseSeconds": 3,
                "recovery": [{ "block": "identity", "point": "PT24H", "time": "PT1H" }],
            },
        },
    }))?;
    country.stacks().create(&PostParams::default(), &stack).await?;
    Ok(country)
}

impl Country {
    /// How far an Operation is; one that is not there yet is about to be asked for.
    async fn phase(&self, operation: &str) -> Result<OperationPhase> {
        let operations: Api<Operation> = Api::namespaced(self.client.clone(), "dpi");
        let found = operations.get_opt(operation).await?;
        Ok(found.and_then(|found| found.status).unwrap_or_default().phase)
    }
}

/// Once it runs and the standby is complete: the secrets.
async fn prepared(country: &Country) -> Result<BTreeMap<String, String>> {
    ready(&country.stacks(), "land").await?;
    let made = secrets(&country.a.client).await?;
    ensure!(made.len() > 1, "{made:?}");
    eventually("the standby is complete", async || {
        let copied = secrets(&country.b.client).await? == made;
        let waits = deployment(&country.b).await?.is_some_and(|pods| pods == 0);
        let stack = country.stacks().get("land").await?;
        let says = matches!(condition(&stack, "StandingBy"), Some(("True", _, "identity on `site-b`")));
        let side = StandbySummary { cluster: "site-b".to_owned(), state: State::Ready, message: None };
        let named =
            stack.status.is_some_and(|status| status.blocks.iter().any(|b| b.standby == [side.clone()]));
        Ok((copied && waits && says && named).then_some(()))
    })
    .await?;
    Ok(made)
}

/// A backup of an hour ago.
fn from_backup() -> Value {
    let taken = Timestamp::now().checked_sub(1.hours()).map(|at| at.to_zoned(TimeZone::UTC));
    let taken = taken.map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string()).unwrap_or_default();
    json!({ "restore": [{ "requirement": "db", "from": taken }], "identitySecret": "escrow" })
}

fn spec(kind: &str, mut target: Value) -> Value {
    target["block"] = json!("identity");
    json!({ "stack": "land", "type": kind, "reason": "an exercise", "failover": target })
}

async fn ask(country: &Country, name: &str, kind: &str, target: Value) -> Result<OperationStatus> {
    operation(&country.client, name, "me", spec(kind, target)).await
}

/// The block is ready on one side and stopped on the other, both say so, and nothing is lost.
async fn serves(country: &Country, side: &str, made: &BTreeMap<String, String>) -> Result<()> {
    let (serving, waiting, other) = match side {
        "site-a" => (&country.a, &country.b, "site-b"),
        _ => (&country.b, &country.a, "site-a"),
    };
    ready(&country.stacks(), "land").await?;
    runs(serving, 1).await?;
    runs(waiting, 0).await?;
    eventually("the block is there and has nothing left behind", async || {
        let block = country.block("identity").await?;
        let nothing_left = block.status.is_some_and(|status| status.objects.is_empty());
        Ok((block.spec.cluster.as_deref() == Some(side) && nothing_left).then_some(()))
    })
    .await?;
    for (site, stands_by) in [(serving, false), (waiting, true)] {
        ensure!(&secrets(&site.client).await? == made, "a secret changed");
        let home = Api::<Namespace>::all(site.client.clone()).get(HOME).await?;
        let annotations = home.metadata.annotations.unwrap_or_default();
        ensure!(annotations.contains_key(names::ANNOTATION_STANDBY) == stands_by, "{annotations:?}");
    }
    eventually("both sides are claimed for what they are", async || {
        let claims = async |name: &str| -> Result<_> {
            let found = country.clusters().get(name).await?.status.unwrap_or_default().claims;
            Ok(found.first().map(|claim| (claim.blocks.clone(), claim.standby.clone())))
        };
        let identity = || vec!["identity".to_owned()];
        let right = claims(side).await? == Some((identity(), Vec::new()))
            && claims(other).await? == Some((Vec::new(), identity()));
        Ok(right.then_some(()))
    })
    .await
}

/// Until so many pods of the block's own component are asked for on a side.
async fn runs(site: &Site, pods: i32) -> Result<()> {
    eventually("the side runs as many pods as it should", async || {
        Ok((deployment(site).await? == Some(pods)).then_some(()))
    })
    .await
}

async fn deployment(site: &Site) -> Result<Option<i32>> {
    let found = Api::<Deployment>::namespaced(site.client.clone(), HOME).get_opt("keycloak").await?;
    Ok(found.and_then(|found| found.spec?.replicas))
}

/// Secrets that open something, by name; those of a restore come and go.
async fn secrets(client: &Client) -> Result<BTreeMap<String, String>> {
    let ours = ListParams::default().labels(&format!("{}={}", names::LABEL_MANAGED_BY, names::MANAGED_BY));
    let found = Api::<Secret>::namespaced(client.clone(), HOME).list(&ours).await?;
    let named = |secret: Secret| Some((secret.metadata.name?, serde_json::to_string(&secret.data).ok()?));
    Ok(found.items.into_iter().filter_map(named).filter(|(name, _)| name != "restore-identity").collect())
}

/// From the audit logs of both sides: the last that was written to the old one's component, which stopped it, comes before the last
/// that was written to the new one's, which started it.
fn stopped_before_started(old: &Site, new: &Site) -> Result<bool> {
    let (stopped, started) = (last_write(&old.plane)?, last_write(&new.plane)?);
    Ok(stopped.context("the old side was never written to")? < started.context("nor the new one")?)
}

fn last_write(plane: &TestCluster) -> Result<Option<Timestamp>> {
    let log = std::fs::read_to_string(plane.audit_log())?;
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own = events.filter(|event| {
        let object = &event["objectRef"];
        let of_component = object["resource"] == "deployments" && object["name"] == "keycloak";
        let by_us = event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("plinth/"));
        let mutates = matches!(event["verb"].as_str(), Some("create" | "update" | "patch" | "delete"));
        of_component && by_us && mutates && event["stage"] == "ResponseComplete"
    });
    Ok(own.filter_map(|event| event["stageTimestamp"].as_str()?.parse().ok()).max())
}
