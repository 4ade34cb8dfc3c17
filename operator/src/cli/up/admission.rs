//! The admission policies that come with the kinds: who changed what is stamped, and nobody but the operator writes a
//! BuildingBlock.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use plinth_api::{Stack, admission, names};
use serde_json::json;

use crate::cli::apply::{Kinds, apply_own, key_of};
use crate::cli::output::note;

/// A policy takes effect a moment after it is stored.
const EFFECTIVE: Duration = Duration::from_secs(30);

/// Whom the API server takes this client for.
pub async fn user(client: &Client) -> Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let status = review.context("asking the cluster who we are")?.status;
    status.and_then(|status| status.user_info?.username).context("the cluster does not say who we are")
}

/// Installs the policies for an operator that runs as this user, and waits until changes are stamped.
pub async fn ensure(client: &Client, kinds: &Kinds, operator: &str) -> Result<()> {
    let objects = admission::objects(operator);
    let missing = objects.iter().map(key_of).find(|key| kinds.served(&key.api_version, &key.kind).is_none());
    if let Some(key) = missing {
        note(&format!(
            "warning: the cluster does not serve {} {}: nobody is stamped as the author of a change, so that plans cannot be approved",
            key.api_version, key.kind
        ));
        return Ok(());
    }
    for object in &objects {
        apply_own(kinds, object).await?;
    }
    let until = Instant::now() + EFFECTIVE;
    while !stamps(client).await? {
        if Instant::now() >= until {
            note(&format!(
                "warning: changes are not stamped with their author after {} s",
                EFFECTIVE.as_secs()
            ));
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Asked by a dry run: nothing is stored.
async fn stamps(client: &Client) -> Result<bool> {
    let probe: Stack = serde_json::from_value(json!({
        "apiVersion": format!("{}/{}", names::GROUP, names::VERSION),
        "kind": "Stack",
        "metadata": { "generateName": "probe-" },
        "spec": { "country": { "code": "XX" }, "blocks": [{ "name": "x-probe", "product": "probe" }] },
    }))?;
    let stacks: Api<Stack> = Api::namespaced(client.clone(), "default");
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let stamped = stacks.create(&dry_run, &probe).await.context("asking whether changes are stamped")?;
    Ok(stamped.annotations().contains_key(names::ANNOTATION_AUTHOR))
}
